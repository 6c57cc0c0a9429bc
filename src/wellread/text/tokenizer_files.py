"""A tokenizer's files as Hugging Face lays them out: found, and written; `tokenizer_reader` reads them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import Any

from wellread.config import TokenizerConfig
from wellread.dataclass import dataclass
from wellread.files import matching
from wellread.schema import write_json
from wellread.text.tokenizer import Tokenizer, load_tokenizer
from wellread.text.tokenizer_json import NAME
from wellread.text.vocabulary import Vocabulary

SPECIAL = ("unk_token", "pad_token", "cls_token", "sep_token", "mask_token")
RULES = ("do_lower_case", "strip_accents", "tokenize_chinese_chars")
CONFIG = "tokenizer_config.json"
BERT_CLASS = "BertTokenizer"  # makes its own rules
FAST_CLASS = "PreTrainedTokenizerFast"  # takes tokenizer.json as it is

_NAMED = re.compile(r"(?<![a-z])(un)?cased(?![a-z])")  # as in "uncased_L-12_H-768_A-12"
_SPECIAL = re.compile(r"\[.*\]|<.*>")  # "[CLS]" is written in capitals everywhere


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Text:
    """A tokenizer, and which of its rules no file states: rule -> value and reason."""

    tokenizer: Tokenizer
    inferred: Mapping[str, str] = field(default_factory=dict)
    max_length: int | None = None  # tokens, special ones included, where its files say so
    ignored: Mapping[str, str] = field(default_factory=dict)  # of its files: key -> why it has no effect


# Of these a directory holds one where it holds a tokenizer.
TOKENIZER_FILES = ("vocab.txt", "tokenizer.json", "vocab.json", "*.model", "*.spiece")


def has_tokenizer(directory: Path) -> bool:
    """Say whether a directory holds a tokenizer's files."""
    return any(matching(directory, *TOKENIZER_FILES))


def read_wordpiece(directory: Path, config: TokenizerConfig, *, do_lower_case: bool | None) -> Text:
    """Load a WordPiece tokenizer; `do_lower_case` is what a file says, or None where it must be inferred.

    Raises: TextError for a vocabulary that is missing or damaged.
    """
    if do_lower_case is not None:
        return Text(tokenizer=load_tokenizer(directory, replace(config, do_lower_case=do_lower_case)))
    pieces = Vocabulary.read(directory / str(config.vocab_file), config).pieces
    lower_case, why = infer_case(directory.resolve().name, pieces)
    tokenizer = load_tokenizer(directory, replace(config, do_lower_case=lower_case))
    return Text(tokenizer=tokenizer, inferred={"do_lower_case": f"{lower_case}: {why}"})


def infer_case(name: str, pieces: Iterable[str]) -> tuple[bool, str]:
    """Infer from the `name` of a model's directory, or from its vocabulary, whether to lower the case, and say why.

    >>> infer_case("uncased_L-12_H-768_A-12", ["Paris"])
    (True, 'the directory is named uncased')
    >>> infer_case("bert", ["[CLS]", "the", "Paris"])
    (False, "the vocabulary holds 'Paris'")
    """
    if match := _NAMED.search(name.lower()):
        return match[1] is not None, f"the directory is named {match[0]}"
    upper = next((piece for piece in pieces if piece != piece.lower() and not _SPECIAL.fullmatch(piece)), None)
    if upper is not None:
        return False, f"the vocabulary holds {upper!r}"
    return True, "the vocabulary holds no upper-case letter"


def write_tokenizer(
    directory: Path, tokenizer: Tokenizer, *, max_length: int, segments: bool = True
) -> TokenizerConfig:
    """Write the vocabulary, the SentencePiece model if there is one, and Hugging Face's settings.

    `segments`: whether the encoder takes type ids. Returns the tokenizer's config with the names under which its files
    now lie.
    """
    config = tokenizer.config
    settings: dict[str, Any] = {name: getattr(config, name) for name in SPECIAL}
    bert = config.dialect == "hf" and config.template == "bert"
    settings |= {"tokenizer_class": BERT_CLASS if bert else FAST_CLASS}
    settings |= {"do_lower_case": config.do_lower_case, "model_max_length": max_length}
    settings |= {"model_input_names": ["input_ids", *(["token_type_ids"] if segments else []), "attention_mask"]}
    if config.dialect == "fast":
        config = replace(config, vocab_file=NAME)
        (directory / NAME).write_bytes(tokenizer.model_bytes())
        settings.pop("do_lower_case")
    elif config.model_file is not None:
        config = replace(config, model_file=Path(config.model_file).name)
        (directory / str(config.model_file)).write_bytes(tokenizer.model_bytes())
    else:
        settings |= {name: getattr(config, name) for name in RULES}
    if config.vocab_file is not None and config.dialect != "fast":
        config = replace(config, vocab_file="vocab.txt")
        text = "".join(f"{piece}\n" for piece in tokenizer.vocabulary.pieces)
        (directory / "vocab.txt").write_bytes(text.encode("utf-8"))
    write_json(directory / CONFIG, settings)
    return config
