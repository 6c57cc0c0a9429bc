"""Tokenizers of every kind that a tokenizer.json holds, trained on packaged lines in a moment."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import (
    AddedToken,
    Regex,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from wellread.export.parity import read_lines

BERT = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
ROBERTA = {"cls_token": "<s>", "pad_token": "<pad>", "sep_token": "</s>", "unk_token": "<unk>", "mask_token": "<mask>"}


def lines() -> list[str]:
    return [*read_lines("en")[:1500], *read_lines("ko")[:1500]]


def wordpiece() -> tokenizers.Tokenizer:
    """WordPiece under rules that are none of BERT's: NFKC, digits by themselves, words of up to 200 characters."""
    fast = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=200))
    fast.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase(), normalizers.Strip()])
    fast.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Digits(True)])
    fast.decoder = decoders.WordPiece(prefix="##")
    fast.train_from_iterator(
        lines(),
        trainers.WordPieceTrainer(vocab_size=1500, special_tokens=list(BERT.values()), show_progress=False),
    )
    fast.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return fast


def bert(*, lower_case: bool = True, special: dict[str, str] = BERT) -> tokenizers.Tokenizer:
    """BERT's WordPiece."""
    fast = tokenizers.Tokenizer(models.WordPiece(unk_token=special["unk_token"]))
    fast.normalizer = normalizers.BertNormalizer(lowercase=lower_case)
    fast.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    fast.decoder = decoders.WordPiece(prefix="##")
    tokens = list(dict.fromkeys(special.values()))
    fast.train_from_iterator(
        lines(), trainers.WordPieceTrainer(vocab_size=1500, special_tokens=tokens, show_progress=False)
    )
    cls, sep = special["cls_token"], special["sep_token"]
    fast.post_processor = processors.BertProcessing((sep, tokens.index(sep)), (cls, tokens.index(cls)))
    return fast


def byte_level(add_prefix_space: bool = False) -> tokenizers.Tokenizer:
    """RoBERTa's byte-level BPE."""
    fast = tokenizers.Tokenizer(models.BPE())
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    fast.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1200,
        special_tokens=list(ROBERTA.values())[:4],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    fast.train_from_iterator(lines(), trainer)
    fast.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=False)])
    fast.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), True, add_prefix_space)
    return fast


def unigram_trainer(size: int, special: Sequence[str], unknown: str) -> trainers.UnigramTrainer:
    """Make a trainer that is done in a second: few pieces to begin with, and fewer rounds until `size` are left."""
    return trainers.UnigramTrainer(
        vocab_size=size,
        special_tokens=[*special],
        unk_token=unknown,
        seed_size=5000,
        shrinking_factor=0.4,
        n_sub_iterations=1,
        show_progress=False,
    )


def unigram(special: tuple[str, ...] = ("<s>", "<pad>", "</s>", "<unk>"), size: int = 1500) -> tokenizers.Tokenizer:
    """XLM-R's Unigram: cut at spaces, "▁" before each word."""
    fast = tokenizers.Tokenizer(models.Unigram())
    fast.normalizer = normalizers.Sequence(
        [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    fast.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")]
    )
    fast.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    fast.train_from_iterator(lines(), unigram_trainer(size, special, "<unk>"))
    fast.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=False)])
    begin, end = fast.token_to_id("<s>") or 0, fast.token_to_id("</s>") or 2
    fast.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", begin), ("</s>", end)]
    )
    return fast


def metaspace() -> tokenizers.Tokenizer:
    """A Unigram of the newer form: "▁" before the text alone, no cut at spaces beforehand, [CLS] $A."""
    fast = tokenizers.Tokenizer(models.Unigram())
    fast.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Strip()])
    fast.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first", split=True)
    fast.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="first")
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    fast.train_from_iterator(lines(), unigram_trainer(1400, special, "[UNK]"))
    fast.post_processor = processors.TemplateProcessing(
        single="[CLS] $A", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return fast


MPNET = {**ROBERTA, "unk_token": "[UNK]"}
ALBERT = {**BERT, "pad_token": "<pad>", "unk_token": "<unk>"}
CAMEMBERT = ("<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<unk>NOTUSED", "<s>", "</s>")
KINDS: dict[str, tuple[Callable[[], tokenizers.Tokenizer], dict[str, str]]] = {
    "wordpiece": (wordpiece, BERT),
    "byte-level": (byte_level, ROBERTA),
    "byte-level, prefix": (lambda: byte_level(True), ROBERTA),
    "unigram": (unigram, ROBERTA),
    "metaspace": (metaspace, BERT),
}
# those whose class makes its rules
OF_CLASS: dict[str, Callable[[], tokenizers.Tokenizer]] = {
    "bert": bert,
    "bert, cased": lambda: bert(lower_case=False),
    "mpnet": lambda: bert(special=MPNET),
    "camembert": lambda: unigram(CAMEMBERT),
    "albert": lambda: unigram(("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]", "<s>", "</s>")),
}


@cache
def content(kind: str) -> str:
    """Return the tokenizer.json of a kind; training takes a second."""
    return (KINDS[kind][0] if kind in KINDS else OF_CLASS[kind])().to_str()


def library(kind: str) -> tokenizers.Tokenizer:
    return tokenizers.Tokenizer.from_str(content(kind))


def write_directory(directory: Path, kind: str, **settings: Any) -> Path:
    """Write what transformers saves of a kind: tokenizer.json, and the class that takes it at its value."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "tokenizer.json").write_text(content(kind), "utf-8")
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", **KINDS[kind][1], **settings}
    (directory / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    return directory
