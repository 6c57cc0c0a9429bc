"""Modules of every kind of vocabulary, for trimming."""

from __future__ import annotations

import tempfile
from pathlib import Path

from neighbours import TOKENIZERS, neighbour
from piece_models import model_of
from tiny import tiny_checkpoint, tiny_config
from trained import KINDS as TRAINED
from trained import library

from wellread.config import SentenceConfig
from wellread.export.parity import read_lines
from wellread.module import Module
from wellread.text.fast import of_library
from wellread.text.tokenizer import Tokenizer
from wellread.text.tokenizer_reader import open_tokenizer, read_tokenizer


def corpus() -> list[str]:
    """Return lines of two languages."""
    return [line for pair in zip(read_lines("ko")[:600], read_lines("en")[:600], strict=True) for line in pair]


FAST = {"fast, bytes": "byte-level", "fast, WordPiece": "wordpiece"}  # a kind of `trained`
KINDS = ("hf, cased", "tfhub, uncased", "kobert", "spm, a vocabulary", "spm, own ids", *FAST, "fast, Unigram")


def fast(kind: str) -> Tokenizer:
    """Make a tokenizer of the library's; the Unigram is a SentencePiece model under XLM-R's ids."""
    if kind in FAST:
        return of_library(library(FAST[kind]), TRAINED[FAST[kind]][1])
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "sentencepiece.bpe.model").write_bytes(model_of("XLMRobertaTokenizer"))
        (Path(place) / "tokenizer_config.json").write_text('{"tokenizer_class": "XLMRobertaTokenizer"}')
        return open_tokenizer(Path(place), read_tokenizer(Path(place)))


def of_kind(place: Path, kind: str) -> Module:
    """Make a tiny module with a vocabulary of a kind; the encoder of a `fast` one counts positions as RoBERTa does."""
    if kind in TOKENIZERS:
        return neighbour(place, kind)
    tokenizer = fast(kind)
    pad = tokenizer.special.pad
    config = tiny_config(vocab_size=tokenizer.vocab_size + 3, pad_token_id=pad)
    return Module(checkpoint=tiny_checkpoint(config, SentenceConfig(max_seq_length=23)), tokenizer=tokenizer)
