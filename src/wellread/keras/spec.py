"""What an encoder layer is but for its numbers: the part of a saved Keras model that is JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from wellread.config import EncoderConfig, HeadConfig, SentenceConfig
from wellread.errors import InputError
from wellread.keras.source import Text, read_source
from wellread.keras.tokenizer_json import to_json
from wellread.module import Module
from wellread.weights.checkpoint import Checkpoint
from wellread.weights.records import record


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderSpec:
    """The shape of an encoder and what goes with it."""

    family: str  # as in Checkpoint
    config: EncoderConfig
    sentence: SentenceConfig = field(default_factory=SentenceConfig)
    mlm: bool = False  # whether there is a masked-language-model head
    head: HeadConfig | None = None  # of a fine-tuned module
    provenance: Mapping[str, Any] = field(default_factory=dict)
    tokenizer: Mapping[str, Any] = field(default_factory=dict)  # of tokenizer_json; empty where none is known

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON has them."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Origin:
    """What an encoder layer is made of."""

    spec: EncoderSpec
    checkpoint: Checkpoint | None = None  # none: the weights are drawn anew, or follow later


def origin(source: Any) -> Origin:
    """Take a handle, a Module, a Checkpoint or the JSON of an EncoderSpec.

    Raises: as `wellread.load`; InputError for anything else.
    """
    if isinstance(source, str | os.PathLike):
        handle, source = source, read_source(source)
        if isinstance(source, Text):
            raise InputError(
                f"an encoder was asked of {os.fspath(handle)}; found a preprocessor, which has no weights; "
                "make a wellread.keras.Preprocessor of it"
            )
    if isinstance(source, Module):
        return _of(source.checkpoint, provenance=source.provenance, tokenizer=to_json(source.tokenizer))
    if isinstance(source, Checkpoint):
        return _of(source)
    if isinstance(source, Mapping):
        return Origin(spec=record(EncoderSpec, source, source="the configuration of an Encoder"))
    raise InputError(
        f"an Encoder is made of a handle, a Module or a Checkpoint; found {type(source).__name__}; pass one of these"
    )


def _of(checkpoint: Checkpoint, **known: Any) -> Origin:
    spec = EncoderSpec(
        family=checkpoint.family,
        config=checkpoint.config,
        sentence=checkpoint.sentence,
        mlm=checkpoint.has_mlm,
        head=checkpoint.head,
        **known,
    )
    return Origin(spec=spec, checkpoint=checkpoint)
