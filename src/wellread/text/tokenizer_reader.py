"""A directory's tokenizer, read by the rules of the class that it names, as transformers 5 reads it."""

from __future__ import annotations

import reprlib
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from wellread.errors import ConfigError
from wellread.files import matching
from wellread.schema import read_json
from wellread.text.added_tokens import read_tokens, text_of, without_others
from wellread.text.class_rules import (
    Named,
    TokenizerFiles,
    at_value,
    length_of,
    of_class,
    of_kobert,
    of_sentencepiece,
    tfhub,
)
from wellread.text.fast import from_library, named_template
from wellread.text.piece_files import BPE_VOCABULARY, VOCABULARY
from wellread.text.tokenizer import Tokenizer, load_tokenizer
from wellread.text.tokenizer_check import check_content, parse_content
from wellread.text.tokenizer_class import AT_VALUE, BERT, CLASSES, IN_PYTHON, KOBERT, OF_MODEL_TYPE
from wellread.text.tokenizer_files import CONFIG, SPECIAL
from wellread.text.tokenizer_json import NAME, tfhub_case
from wellread.text.tokenizer_keys import CLASS, LENGTHS, account_for_settings
from wellread.text.unigram import ID_RULES
from wellread.text.vocabulary import read_bounded


def open_tokenizer(
    directory: Path, files: TokenizerFiles, *, template: str | None = None, do_lower_case: bool = False
) -> Tokenizer:
    """Load the tokenizer that `read_tokenizer` found in `directory`.

    `template` is a family's, for where no file says any; `do_lower_case` lowers the texts before its own rules, and
    keeps the accents that it keeps, as sentence-transformers does.

    Raises: TextError for a file that is missing, damaged or lacks a special token.
    """
    config = files.config
    if template is not None and not files.states_rows:
        config = replace(config, template=template)
    if do_lower_case:
        accents = bool(config.strip_accents) if config.dialect == "hf" else None
        config = config if config.do_lower_case else replace(config, do_lower_case=True, strip_accents=accents)
    if files.library is None:
        return load_tokenizer(directory, config)
    return named_template(from_library(files.library, config, source=f"the tokenizer of {directory}"))


def read_tokenizer(directory: Path, *, ignore: Collection[str] = ()) -> TokenizerFiles:
    """Read the settings of a tokenizer and choose its rules as transformers does: by the class that a file names.

    BertTokenizer and the like make their own rules of a vocabulary, wherever it stands, and `tokenizer_config.json`;
    PreTrainedTokenizerFast, and a class that no one knows, take `tokenizer.json` at its value. Where no file names a
    class, the `model_type` of config.json does. A SentencePiece model under a class that reads one has that class's
    ids; beside a vocabulary, or under the class that SKT's files name, it is KoBERT's; alone it is its own. BERT's
    WordPiece is the dialect `hf`, a `tokenizer.json` with the rules of TF Hub `tfhub`, all else `fast`. `ignore` names
    keys to pass over; "added_tokens" among them leaves all tokens but the special ones to the rules of text.

    Raises: CheckpointError; ConfigError for a setting or rule that wellread does not compute; TextError.
    """
    path = directory / CONFIG
    settings = read_json(path) if path.is_file() else {}
    named = _class_of(directory, settings, ignore)
    models = [path.name for path in matching(directory, "*.model", "*.spiece")]
    fast = (directory / NAME).is_file()
    own = named.explicit or named.kind.name in ID_RULES or not (directory / VOCABULARY).is_file()
    if named.kind is KOBERT or (models and not (fast and own)):
        read = of_sentencepiece if named.kind.name in ID_RULES else of_kobert
        return read(directory, settings, named, models, ignore)
    keys = account_for_settings(settings, named.kind, source=path, ignore=ignore)
    content, lower_case = _content(directory / NAME) if fast else (None, None)
    tokens = read_tokens(directory, settings, content)
    if "added_tokens" in ignore:
        five = {tokens.name(key, text_of(named.kind.special.get(key, ""))) for key in SPECIAL}
        tokens = without_others(tokens, {token for token in five if token})
        content = content and {**content, "added_tokens": [t for t in content["added_tokens"] if t["content"] in five]}
    run = _run_settings(content, directory / NAME)
    if lower_case is not None:
        files = tfhub(directory, tokens, lower_case)
    elif named.kind is AT_VALUE and content is not None:
        files = at_value(directory, content, tokens, named, run)
    else:
        files = of_class(directory, content, tokens, keys.used, named)
    lengths = [
        length_of(value, name, directory) for name in LENGTHS if (value := {**keys.used, **run}.get(name)) is not None
    ]
    return replace(
        files,
        max_length=next(filter(None, lengths), None),
        ignored={**keys.ignored, **tokens.ignored, **files.ignored},
    )


def _class_of(directory: Path, settings: Mapping[str, Any], ignore: Collection[str]) -> Named:
    """Find the class of a tokenizer: named in tokenizer_config.json, in config.json, or that of the model's type."""
    path = directory / "config.json"
    model = read_json(path) if path.is_file() else {}
    fast = (directory / NAME).is_file()
    for data, file in ((settings, CONFIG), (model, path.name)):
        name = data.get(CLASS)
        if name is None or CLASS in ignore:
            continue
        if not isinstance(name, str):
            raise ConfigError(f"{CLASS} of {directory / file} must be a name; found {reprlib.repr(name)}; correct it")
        base = name if name in AT_VALUE.names else name.removesuffix("Fast")
        known = next((kind for kind in CLASSES if base in kind.names), None)
        if known is not None:
            known = BERT if known is AT_VALUE and not fast else known
            return Named(kind=known, name=name, why=f"{file} names {name}", explicit=True)
        if base in IN_PYTHON:
            raise ConfigError(
                f"{CLASS} of {directory / file} is {name!r}, whose rules are code: {IN_PYTHON[base]}; wellread runs "
                f"none; where the directory has a tokenizer.json that says the same, pass ignore=['{CLASS}']"
            )
        if not fast:
            raise ConfigError(
                f"{CLASS} of {directory / file} is {name!r}; wellread knows the rules of "
                f"{', '.join(kind.name for kind in CLASSES)}; save the tokenizer with transformers as a tokenizer.json"
            )
        why = f"{file} names {name}, whose own rules are not known here"
        return Named(kind=AT_VALUE, name=name, why=why, explicit=True)
    kind = OF_MODEL_TYPE.get(str(model.get("model_type", "")))
    if kind is None or CLASS in ignore:
        kind = AT_VALUE if fast else BERT
        return Named(kind=kind, why="no file names a class")
    others = (NAME, BPE_VOCABULARY, "*.model", "*.spiece")
    if kind.model != BERT.model and (directory / VOCABULARY).is_file() and not any(matching(directory, *others)):
        # Korean ALBERTs and RoBERTas have WordPiece's vocabularies
        why = f"no file names a class, and {VOCABULARY} is the only vocabulary, which {kind.name} does not read"
        return Named(kind=BERT, why=why, explicit=True)
    return Named(kind=kind, why=f"no file names a class, and that of {model['model_type']} is {kind.name}")


def _content(path: Path) -> tuple[dict[str, Any], bool | None]:
    """Read a tokenizer.json and look at all of it; of one with the rules of TF Hub, say whether they lower the case."""
    content = parse_content(read_bounded(path, "tokenizer"), source=path)
    lower_case = tfhub_case(content)
    known = {} if lower_case is None else {"normalizer": None}  # its expressions are ours
    check_content({**content, **known}, source=path)
    return content, lower_case


def _run_settings(content: Mapping[str, Any] | None, source: Path) -> dict[str, Any]:
    """Read what tokenizer.json says of cutting and padding: `truncation` tokens, `pad_token`."""
    run: dict[str, Any] = {}
    for part, key in (("truncation", "max_length"), ("padding", "pad_token")):
        value = (content or {}).get(part)
        if value is None:
            continue
        if not isinstance(value, dict) or value.get("direction", "Right") != "Right":
            raise ConfigError(
                f"{part} of {source} must be an object whose direction is 'Right', and wellread computes only that; "
                f"found {reprlib.repr(value)}; correct the file"
            )
        run[part if key == "max_length" else key] = value.get(key)
    return run
