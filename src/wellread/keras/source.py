"""A handle to an encoder or a preprocessor, and both as the JSON of a saved Keras model."""

from __future__ import annotations

import binascii
import json
import os
import tempfile
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from wellread.checkpoints import saved_model
from wellread.checkpoints.checkpoint import Checkpoint
from wellread.checkpoints.saved_model import read_preprocessor, read_text, read_variables
from wellread.config import EncoderConfig, HeadConfig, SentenceConfig, TokenizerConfig
from wellread.errors import ConfigError, InputError
from wellread.formats.saved_model_pb import read_graph
from wellread.hub.places import what_lies_at
from wellread.hub.resolve import resolve
from wellread.module import Module, load
from wellread.schema import as_dict, record
from wellread.text.tokenizer import Tokenizer, load_tokenizer
from wellread.text.tokenizer_files import write_tokenizer

FILES = {"vocab_file": "vocab.txt", "model_file": "spiece.model"}  # a field of the config -> what its file is called
KEYS = {"config", *FILES}
SOURCE = "a saved tokenizer"


def to_json(tokenizer: Tokenizer) -> dict[str, Any]:
    """Put a tokenizer's settings and files, in base64, into a dict that JSON can hold."""
    with tempfile.TemporaryDirectory() as directory:
        config = write_tokenizer(Path(directory), tokenizer, max_length=tokenizer.vocab_size)
        names = {field: getattr(config, field) for field in FILES}
        files = {field: Path(directory, name).read_bytes() for field, name in names.items() if name is not None}
    return {
        "config": as_dict(_named(config)),
        **{field: b64encode(content).decode("ascii") for field, content in files.items()},
    }


def from_json(values: Mapping[str, Any]) -> Tokenizer:
    """Make the tokenizer that `to_json` put away; the files take names of ours, whatever the settings say.

    Raises: ConfigError, TextError for what `to_json` did not write.
    """
    if not KEYS.issuperset(values) or not isinstance(values.get("config"), Mapping):
        raise ConfigError(
            f"{SOURCE} must hold {', '.join(sorted(KEYS))}; found {', '.join(values)}; save the model again"
        )
    config = record(TokenizerConfig, values["config"], source=SOURCE)
    with tempfile.TemporaryDirectory() as directory:
        for field in FILES:
            if getattr(config, field) is None:
                continue
            try:
                content = b64decode(values[field], validate=True)
            except (binascii.Error, KeyError, TypeError, ValueError) as error:
                raise ConfigError(
                    f"{field} of {SOURCE} must be in base64; found that {error}; save the model again"
                ) from None
            Path(directory, FILES[field]).write_bytes(content)
        return load_tokenizer(Path(directory), _named(config))


def _named(config: TokenizerConfig) -> TokenizerConfig:
    """Give the files that a tokenizer has the names of FILES."""
    vocabulary = FILES["vocab_file"] if config.vocab_file is not None else None
    model = FILES["model_file"] if config.model_file is not None else None
    return replace(config, vocab_file=vocabulary, model_file=model)


WORDS = "word_embeddings/embeddings"
TYPES = b"input_type_ids"  # stands in the graph of a preprocessor that makes them


class Text(NamedTuple):
    """What a preprocessor is made of."""

    tokenizer: Tokenizer
    type_ids: bool  # whether it makes `input_type_ids`


def read_source(handle: str | os.PathLike[str], **options: Any) -> Module | Checkpoint | Text:
    """Read what a handle names; options as for `wellread.load`.

    A preprocessor's SavedModel gives a Text; an encoder's without vocabulary, as TF Hub's DistilBERT modules are, a
    bare Checkpoint; everything else a Module. Raises: as `wellread.load`.
    """
    fetching = {
        name: options[name] for name in ("revision", "token", "cache_dir", "local_files_only") if name in options
    }
    directory = resolve(handle, **fetching).directory
    if what_lies_at(directory).layout.name != "saved_model" or "tokenizer" in options:
        return load(handle, **options)
    graph, variables = read_graph(directory), read_variables(directory)
    if graph.tokenizes and WORDS not in variables.tensors:
        return Text(tokenizer=read_preprocessor(directory).tokenizer, type_ids=TYPES in graph.content)
    if read_text(directory, graph, variables) is None:
        return saved_model.read_encoder(directory, graph, variables)
    return load(handle, **options)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderSpec:
    """The shape of an encoder and what goes with it."""

    family: str  # as in Checkpoint
    config: EncoderConfig
    sentence: SentenceConfig = field(default_factory=SentenceConfig)
    mlm: bool = False  # whether there is a masked-language-model head
    head: HeadConfig | None = None  # of a fine-tuned module
    provenance: Mapping[str, Any] = field(default_factory=dict)
    tokenizer: Mapping[str, Any] = field(default_factory=dict)  # of `to_json`; empty where none is known

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON has them."""
        plain: dict[str, Any] = json.loads(json.dumps(as_dict(self)))
        return plain


def read_encoder(source: Any) -> tuple[EncoderSpec, Checkpoint | None]:
    """Read what an encoder layer is made of: a handle, a Module, a Checkpoint or the JSON of an EncoderSpec.

    The last comes without a checkpoint: the weights are drawn anew, or follow later.

    Raises: as `wellread.load`; InputError for anything else.
    """
    if isinstance(source, str | os.PathLike):
        handle, source = source, read_source(source)
        if isinstance(source, Text):
            raise InputError(
                f"an encoder was asked of {os.fspath(handle)}; found a preprocessor, which has no weights; "
                "make a wellread.keras.Preprocessor of it"
            )
    extra: dict[str, Any] = {}
    if isinstance(source, Module):
        extra = {"provenance": source.provenance, "tokenizer": to_json(source.tokenizer)}
        source = source.checkpoint
    if isinstance(source, Checkpoint):
        spec = EncoderSpec(
            family=source.family,
            config=source.config,
            sentence=source.sentence,
            mlm=source.has_mlm,
            head=source.head,
            **extra,
        )
        return spec, source
    if isinstance(source, Mapping):
        return record(EncoderSpec, source, source="the configuration of an Encoder"), None
    raise InputError(
        f"an Encoder is made of a handle, a Module or a Checkpoint; found {type(source).__name__}; pass one of these"
    )
