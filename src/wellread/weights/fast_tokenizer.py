"""`tokenizer.json`: our text rules as the tokenizers library runs them, so that other libraries get our ids."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import AddedToken, models, processors

from wellread.text.tokenizer import Tokenizer
from wellread.text.wordpiece import DECODER, HfEngine
from wellread.weights.fast_unigram import unigram
from wellread.weights.fast_words import normalizer, wordpiece, words
from wellread.weights.sentencepiece_model import read_sentencepiece

NAME = "tokenizer.json"
MARKED = (
    "Special tokens written in a text count as such; in the {dialect} dialect they are mere text, as they are here "
    "with split_special_tokens=True."
)
TIES = (
    "Where two segmentations of a text have the same score, another may be chosen: in 0.22 % of 10,000 Korean lines, "
    "in none of 10,000 English ones."
)
ABSENT = (
    "There is no tokenizer.json, and transformers makes no tokenizer of this module: its SentencePiece model has "
    "{faults}, which the tokenizers library's Unigram does not know."
)
# dialect -> what a text becomes otherwise than with wellread; tests hold the numbers
DIFFERENCES: dict[str, list[str]] = {
    "hf": [],
    "tfhub": [
        MARKED.format(dialect="tfhub"),
        "Words of over 100 bytes in UTF-8 that mix characters of different widths, and some 400 rare characters, such "
        "as Cherokee capitals, may get other ids: none does in 10,000 English and 10,000 Korean lines.",
    ],
    "spm": [MARKED.format(dialect="spm"), TIES],
    "kobert": [
        TIES,
        'Where a SentencePiece model has pieces such as "1," (KoBERT\'s has none), the number before the comma may be '
        "cut otherwise.",
    ],
}


def text_differences(tokenizer: Tokenizer) -> list[str]:
    """Say, in sentences for a model card, where `tokenizer.json` gives other ids than wellread; often nothing.

    >>> import wellread
    >>> text_differences(wellread.load("default").tokenizer)
    []
    """
    model = tokenizer.model_bytes()
    faults = read_sentencepiece(model).faults if model else ()
    return [ABSENT.format(faults=", ".join(faults))] if faults else list(DIFFERENCES[tokenizer.config.dialect])


def write_fast_tokenizer(directory: Path, tokenizer: Tokenizer) -> None:
    """Write `tokenizer.json`, the same bytes each time.

    A SentencePiece model that is no plain Unigram has none: nothing is written, and `text_differences` says so.
    """
    fast = fast_tokenizer(tokenizer)
    if fast is not None:
        fast.save(str(directory / NAME))


def fast_tokenizer(tokenizer: Tokenizer) -> tokenizers.Tokenizer | None:
    """Build the tokenizers library's form of a tokenizer, special tokens included; None where there is none."""
    fast = BUILDERS[tokenizer.config.dialect](tokenizer)
    if fast is None:
        return None
    config, special = tokenizer.config, tokenizer.special
    names = tokenizer.pieces(asdict(special).values())
    fast.add_special_tokens([AddedToken(name, normalized=False, special=True) for name in names])
    fast.post_processor = processors.TemplateProcessing(
        single=f"{config.cls_token}:0 $A:0 {config.sep_token}:0",
        pair=f"{config.cls_token}:0 $A:0 {config.sep_token}:0 $B:1 {config.sep_token}:1",
        special_tokens=[(config.cls_token, special.cls), (config.sep_token, special.sep)],
    )
    return fast


def _bert(tokenizer: Tokenizer) -> tokenizers.Tokenizer:
    """Copy Hugging Face's own implementation, which the `hf` dialect holds already."""
    assert isinstance(tokenizer.engine, HfEngine)
    fast = tokenizers.Tokenizer.from_str(tokenizer.engine.full.to_str())
    fast.decoder = DECODER
    return fast


BUILDERS = {"hf": _bert, "tfhub": wordpiece, "spm": unigram, "kobert": unigram}


def tfhub_case(parts: Mapping[str, Any]) -> bool | None:
    """Say whether the rules of a `tokenizer.json` that we wrote for `tfhub` lower the case; None for any others."""
    rules = parts.get("normalizer")
    if not isinstance(rules, dict) or rules.get("type") != "Sequence":
        return None
    for lower_case in (True, False):
        ours = tokenizers.Tokenizer(models.WordPiece(vocab={}, unk_token=""))
        ours.normalizer, ours.pre_tokenizer = normalizer(lower_case=lower_case), words()
        made = json.loads(ours.to_str())
        if all(parts.get(part) == made[part] for part in ("normalizer", "pre_tokenizer")):
            return lower_case
    return None
