"""A SentencePiece model that holds the special tokens as symbols: its ids are final, as in TF Hub's DistilKoBERT."""

from __future__ import annotations

import io
from pathlib import Path

import sentencepiece

from wellread.config import TokenizerConfig
from wellread.export.parity import read_lines
from wellread.text.tokenizer import Tokenizer, load_tokenizer

SPECIAL = ["[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]"]


def own_tokenizer(directory: Path) -> Tokenizer:
    """Train a model of 1,500 pieces on Korean lines."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(read_lines("ko")[:2000]),
        model_writer=model,
        vocab_size=1500,
        character_coverage=0.99,
        unk_id=0,
        unk_piece="[UNK]",
        bos_id=-1,
        eos_id=-1,
        user_defined_symbols=SPECIAL[1:],
        minloglevel=2,
    )
    (directory / "own.model").write_bytes(model.getvalue())
    return load_tokenizer(directory, TokenizerConfig(dialect="spm", vocab_file=None, model_file="own.model"))
