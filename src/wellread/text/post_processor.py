"""The post-processor of a tokenizer.json, read as data: where special tokens stand in a row of one segment or two."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wellread.config import TemplateConfig
from wellread.errors import ConfigError

NONE = TemplateConfig(single=(None,), pair=(None, None), pair_types=(0, 1))
KINDS = ("BertProcessing", "RobertaProcessing", "ByteLevel", "TemplateProcessing", "Sequence")
TokenToId = Callable[[str], int | None]


def read_template(processor: Any, token_to_id: TokenToId, *, source: object) -> TemplateConfig:
    """Read the template off the `post_processor` of a tokenizer.json; null puts no special tokens.

    Raises: ConfigError for one that is not known, or whose tokens have other ids in the vocabulary.
    """
    if processor is None:
        return NONE
    try:
        return _READERS[processor["type"]](processor, token_to_id, source)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError):
        raise ConfigError(
            f"the post_processor of {source} must be one of {', '.join(KINDS)}, with their fields; found "
            f"{reprlib.repr(processor)}; wellread computes no other"
        ) from None


def _bert(processor: Mapping[str, Any], token_to_id: TokenToId, source: object) -> TemplateConfig:
    cls, sep = (_checked(processor[name], token_to_id, source) for name in ("cls", "sep"))
    return TemplateConfig(single=(cls, None, sep), pair=(cls, None, sep, None, sep), pair_types=(0, 0, 0, 1, 1))


def _roberta(processor: Mapping[str, Any], token_to_id: TokenToId, source: object) -> TemplateConfig:
    cls, sep = (_checked(processor[name], token_to_id, source) for name in ("cls", "sep"))
    return TemplateConfig(single=(cls, None, sep), pair=(cls, None, sep, sep, None, sep))


def _offsets_alone(processor: Mapping[str, Any], token_to_id: TokenToId, source: object) -> TemplateConfig:
    return NONE


def _template(processor: Mapping[str, Any], token_to_id: TokenToId, source: object) -> TemplateConfig:
    tokens = {
        name: [_checked(pair, token_to_id, source) for pair in zip(token["tokens"], token["ids"], strict=True)]
        for name, token in processor["special_tokens"].items()
    }
    rows: dict[str, Any] = {}
    for name in ("single", "pair"):
        entries: list[tuple[str | None, int]] = []
        segments = []
        for part in processor[name]:
            [(kind, content)] = part.items()
            if kind == "Sequence":
                segments.append(content["id"])
                entries.append((None, content["type_id"]))
            else:
                entries += [(token, content["type_id"]) for token in tokens[content["id"]]]
        if segments != ["A", "B"][: 1 if name == "single" else 2]:
            raise ConfigError(
                f"the {name} of the post_processor of {source} must hold "
                f"{'$A' if name == 'single' else '$A, then $B'}; found {reprlib.repr(segments)}; no other is packed"
            )
        rows |= {name: tuple(token for token, _ in entries), f"{name}_types": tuple(type_id for _, type_id in entries)}
    return TemplateConfig(**rows)


def _sequence(processor: Mapping[str, Any], token_to_id: TokenToId, source: object) -> TemplateConfig:
    templates = [read_template(step, token_to_id, source=source) for step in processor["processors"]]
    with_tokens = [template for template in templates if template != NONE]
    if len(with_tokens) > 1:
        raise ConfigError(
            f"the post_processor of {source} must put special tokens once; found {len(with_tokens)} steps that do; "
            "wellread computes no such chain"
        )
    return with_tokens[0] if with_tokens else NONE


def _checked(pair: Sequence[Any], token_to_id: TokenToId, source: object) -> str:
    """Return the token of a pair of token and id, after a look at its id."""
    token, id = pair
    if type(id) is not int or token_to_id(token) != id:
        raise ConfigError(
            f"the post_processor of {source} must name special tokens by their ids; found {token!r} as {id!r}, and "
            f"{token_to_id(token)} in the vocabulary; fetch the file again"
        )
    return str(token)


_READERS: dict[str, Callable[[Mapping[str, Any], TokenToId, object], TemplateConfig]] = {
    "BertProcessing": _bert,
    "RobertaProcessing": _roberta,
    "ByteLevel": _offsets_alone,
    "TemplateProcessing": _template,
    "Sequence": _sequence,
}
