"""SentencePiece models of a thousand pieces, one for each class of Hugging Face's that reads such a model."""

from __future__ import annotations

import functools
import io
from typing import Any

import sentencepiece

from wellread.export.parity import read_lines

FILES = {
    "XLMRobertaTokenizer": "sentencepiece.bpe.model",
    "CamembertTokenizer": "sentencepiece.bpe.model",
    "AlbertTokenizer": "spiece.model",
}
ALBERT = {"pad_id": 0, "unk_id": 1, "bos_id": -1, "eos_id": -1, "control_symbols": ["[CLS]", "[SEP]", "[MASK]"]}
ALBERT |= {"user_defined_symbols": ["(", ")", '"'], "normalization_rule_name": "nmt_nfkc_cf"}


def train(**settings: Any) -> bytes:
    """Train a model on Korean and English lines."""
    lines = [line for pair in zip(read_lines("ko")[:1500], read_lines("en")[:1500], strict=True) for line in pair]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        character_coverage=0.99,
        minloglevel=2,
        **{"vocab_size": 1000, **settings},
    )
    return model.getvalue()


@functools.cache
def model_of(kind: str) -> bytes:
    """Return the model of a class."""
    return train(**(ALBERT if kind == "AlbertTokenizer" else {}))
