"""What a tokenizer.json may hold: looked at as data, before the tokenizers library takes any of it.

The library trusts its file. A file of others is bounded here in size, depth, ids and regular expressions, and a part
that is not known is refused by its name.
"""

from __future__ import annotations

import base64
import binascii
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from wellread.errors import CheckpointError, ConfigError, TextError, nearest
from wellread.formats.sentencepiece_model import check_charsmap
from wellread.schema import parse_object
from wellread.text.pattern import fault_of, may_match_nothing
from wellread.text.vocabulary import by_id

KEYS = (
    *("version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder"),
    "model",
)
# part -> the key of a Sequence's steps there, and the types that are known
PARTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "normalizer": (
        "normalizers",
        (
            *("BertNormalizer", "Replace", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "StripAccents", "Strip"),
            *("Precompiled", "Prepend", "Nmt", "ByteLevel", "Sequence"),
        ),
    ),
    "pre_tokenizer": (
        "pretokenizers",
        (
            *("BertPreTokenizer", "Whitespace", "WhitespaceSplit", "Metaspace", "ByteLevel", "Split", "Punctuation"),
            *("Digits", "CharDelimiterSplit", "UnicodeScripts", "FixedLength", "Sequence"),
        ),
    ),
    "post_processor": (
        "processors",
        ("BertProcessing", "RobertaProcessing", "ByteLevel", "TemplateProcessing", "Sequence"),
    ),
    "decoder": (
        "decoders",
        (
            *("WordPiece", "ByteLevel", "Metaspace", "BPEDecoder", "ByteFallback", "CTC", "Fuse", "Replace", "Strip"),
            "Sequence",
        ),
    ),
}
MODELS = ("WordPiece", "BPE", "Unigram", "WordLevel")
STEPS = 64  # of one part, those in sequences counted
DEPTH = 8  # of sequences in sequences
GROWTH = 64  # times that the rules may lengthen a text
LONGEST_WORD = 1_000  # characters that WordPiece looks at: its steps grow with the square


def parse_content(raw: bytes, *, source: object) -> dict[str, Any]:
    """Parse the bytes of a tokenizer.json. Raises: CheckpointError for what is no JSON object."""
    try:
        return parse_object(raw)
    except ValueError as error:
        raise CheckpointError(
            f"{source} was to be read as a JSON object; found that {error}; fetch the file again"
        ) from None


def check_content(content: Mapping[str, Any], *, source: object) -> None:
    """Refuse a tokenizer.json that holds what is not run.

    Raises: ConfigError for a part that is not run, TextError for a vocabulary that is damaged.
    """
    unknown = [key for key in content if key not in KEYS]
    if unknown:
        raise ConfigError(
            f"{source} must have the parts {', '.join(KEYS)}; found {reprlib.repr(unknown)}"
            f"{nearest(unknown[0], KEYS)}; fetch the file again"
        )
    for part in PARTS:
        steps = [_checked_step(step, part, source) for step in _steps(content.get(part), part, source)]
        growth = 1.0
        for step in steps:
            growth *= _growth(step)
        if growth > GROWTH:
            raise ConfigError(
                f"the {part} of {source} may lengthen a text up to {GROWTH} times; found {growth:.3g} times; take the "
                "file that belongs to the model"
            )
    check_model(content.get("model"), source=source)
    _check_added(content.get("added_tokens"), source)


def model_type(model: Mapping[str, Any]) -> str:
    """Name the type of a model; files of before 2022 do not say it."""
    if "type" in model:
        return str(model["type"])
    return "BPE" if "merges" in model else "Unigram" if isinstance(model.get("vocab"), list) else "WordPiece"


def check_model(model: Any, *, source: object) -> None:
    """Refuse a model without the pieces and the unknown token that it needs. Raises: ConfigError, TextError."""
    if not isinstance(model, Mapping):
        raise ConfigError(f"the model of {source} must be an object; found {reprlib.repr(model)}; fetch the file again")
    kind, vocab, unknown = model_type(model), model.get("vocab"), model.get("unk_token")
    if kind not in MODELS:
        raise ConfigError(
            f"the model of {source} must be one of {', '.join(MODELS)}; found {reprlib.repr(kind)}"
            f"{nearest(kind, MODELS)}; wellread computes no other"
        )
    if kind == "Unigram":
        _check_unigram(model, source)
        return
    if not isinstance(vocab, Mapping) or not vocab:
        raise TextError(f"the {kind} of {source} must have a vocab of pieces and ids; found {reprlib.repr(vocab)}")
    by_id(vocab, source=source)
    longest = model.get("max_input_chars_per_word", 100)
    if kind == "WordPiece" and not (type(longest) is int and 0 < longest <= LONGEST_WORD):
        raise ConfigError(
            f"max_input_chars_per_word of {source} must be 1 to {LONGEST_WORD}; found {reprlib.repr(longest)}; "
            "correct it"
        )
    merges = model.get("merges")
    if kind == "BPE" and merges is not None and not all(isinstance(merge, str | list) for merge in merges):
        raise TextError(f"the merges of {source} must be pairs of pieces; found {reprlib.repr(merges)}; fetch it again")
    if unknown is not None and unknown not in vocab:
        raise TextError(
            f"the unknown token of {source} must be one of its {len(vocab)} pieces; none is {reprlib.repr(unknown)}; "
            "fetch the file again"
        )
    if kind == "BPE" and model.get("dropout") not in (None, 0, 0.0):
        raise ConfigError(
            f"dropout of {source} must be null, or the ids of a text would be drawn by lot; found "
            f"{reprlib.repr(model['dropout'])}; set it to null"
        )


def _check_unigram(model: Mapping[str, Any], source: object) -> None:
    vocab, unknown = model.get("vocab"), model.get("unk_id")
    scored = isinstance(vocab, list) and all(
        isinstance(entry, list) and len(entry) == 2 and type(entry[0]) is str and type(entry[1]) in (int, float)
        for entry in vocab
    )
    if not vocab or not scored:
        raise TextError(
            f"the Unigram of {source} must have a vocab of pieces and scores; found {reprlib.repr(vocab)}; fetch "
            "the file again"
        )
    if len({entry[0] for entry in vocab}) != len(vocab):
        raise TextError(
            f"every piece of {source} must stand once; found {len(vocab)} of which some are the same; fetch it"
        )
    if type(unknown) is not int or not 0 <= unknown < len(vocab):
        raise TextError(
            f"unk_id of {source} must be one of the {len(vocab)} pieces; found {reprlib.repr(unknown)}; fetch it again"
        )


def steps_of(content: Mapping[str, Any], part: str) -> list[Mapping[str, Any]]:
    """Return the steps of a part of a tokenizer.json that was looked at."""
    return _steps(content.get(part), part, "tokenizer.json")


def _steps(part: Any, name: str, source: object) -> list[Mapping[str, Any]]:
    """Return the steps of a part, those in sequences one behind another."""
    steps = list(_flat(part, name, source, 0)) if part is not None else []
    if len(steps) > STEPS:
        raise ConfigError(f"the {name} of {source} may have {STEPS} steps; found {len(steps)}; take another file")
    return steps


def _flat(part: Any, name: str, source: object, depth: int) -> Iterator[Mapping[str, Any]]:
    key, types = PARTS[name]
    if not isinstance(part, Mapping) or part.get("type") not in types:
        found = part.get("type") if isinstance(part, Mapping) else part
        raise ConfigError(
            f"the {name} of {source} must be of a type among {', '.join(types)}; found {reprlib.repr(found)}"
            f"{nearest(str(found), types)}; wellread computes no other"
        )
    if part["type"] != "Sequence":
        yield part
        return
    inner = part.get(key)
    if depth >= DEPTH or not isinstance(inner, list):
        raise ConfigError(
            f"the {name} of {source} must hold a list of steps, at most {DEPTH} deep; found {reprlib.repr(inner)}; "
            "fetch the file again"
        )
    for step in inner:
        yield from _flat(step, name, source, depth + 1)


def _checked_step(step: Mapping[str, Any], part: str, source: object) -> Mapping[str, Any]:
    """Look at what a step brings with it: a regular expression, a map of characters."""
    pattern = step.get("pattern")
    if isinstance(pattern, Mapping) and isinstance(pattern.get("Regex"), str):
        fault = fault_of(pattern["Regex"])
        if fault is not None:
            raise ConfigError(
                f"the {part} of {source} has a regular expression that a text could make run without end: "
                f"{reprlib.repr(pattern['Regex'])} has {fault}; where you trust it, write it without repetitions "
                "within repetitions, or tokenise elsewhere and pass ids"
            )
    if step["type"] in ("Replace", "Split") and not isinstance(pattern, Mapping | str):
        raise ConfigError(
            f"the {part} of {source} must have a pattern in its {step['type']}; found {reprlib.repr(step)}"
        )
    if step["type"] == "Precompiled":
        try:
            charsmap = base64.b64decode(step["precompiled_charsmap"], validate=True)
            check_charsmap(charsmap)
        except (KeyError, TypeError, ValueError, binascii.Error) as error:
            raise TextError(
                f"the precompiled_charsmap of {source} must be a map of characters; found {error}; fetch the file again"
            ) from None
    return step


def _growth(step: Mapping[str, Any]) -> float:
    """Return how many times a step may lengthen a text."""
    if step["type"] == "Prepend":
        return 1 + len(str(step.get("prepend", ""))) / 16
    if step["type"] != "Replace":
        return 1.0
    pattern, content = step["pattern"], len(str(step.get("content", "")))
    text = pattern if isinstance(pattern, str) else pattern.get("String")
    if isinstance(text, str):
        return max(1.0, content / len(text)) if text else 1.0 + content
    return max(1.0, content) + (content if may_match_nothing(str(pattern.get("Regex"))) else 0)


def _check_added(tokens: Any, source: object) -> None:
    """Refuse added tokens without content and id."""
    if tokens is None:
        return
    if not isinstance(tokens, Sequence) or isinstance(tokens, str):
        raise ConfigError(f"added_tokens of {source} must be a list; found {reprlib.repr(tokens)}; fetch it again")
    for token in tokens:
        whole = isinstance(token, Mapping) and type(token.get("content")) is str and type(token.get("id")) is int
        if not whole or not token["content"] or not 0 <= token["id"] < 1 << 31:
            raise ConfigError(
                f"an added token of {source} must be an object with a content and an id; found {reprlib.repr(token)}; "
                "fetch the file again"
            )
