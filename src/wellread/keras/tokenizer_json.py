"""A tokenizer as JSON, for the configuration of a layer: a saved Keras model needs no other file to read text."""

from __future__ import annotations

import binascii
import tempfile
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from wellread.config import TokenizerConfig
from wellread.errors import ConfigError
from wellread.text.tokenizer import Tokenizer, load_tokenizer
from wellread.weights.records import record
from wellread.weights.tokenizer_files import write_tokenizer

FILES = {"vocab_file": "vocab.txt", "model_file": "spiece.model"}  # a field of the config -> what its file is called
KEYS = {"config", *FILES}
SOURCE = "a saved tokenizer"


def to_json(tokenizer: Tokenizer) -> dict[str, Any]:
    """Put a tokenizer's settings and files, in base64, into a dict that JSON can hold."""
    with tempfile.TemporaryDirectory() as place:
        config = write_tokenizer(Path(place), tokenizer, max_length=tokenizer.vocab_size)
        names = {field: getattr(config, field) for field in FILES}
        files = {field: Path(place, name).read_bytes() for field, name in names.items() if name is not None}
    return {
        "config": asdict(_named(config)),
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
    needed = [field for field in FILES if getattr(config, field) is not None]
    with tempfile.TemporaryDirectory() as place:
        for field in needed:
            Path(place, FILES[field]).write_bytes(_decoded(field, values.get(field)))
        return load_tokenizer(Path(place), _named(config))


def _named(config: TokenizerConfig) -> TokenizerConfig:
    """Give the files that a tokenizer has the names of FILES."""
    vocabulary = FILES["vocab_file"] if config.vocab_file is not None else None
    model = FILES["model_file"] if config.model_file is not None else None
    return replace(config, vocab_file=vocabulary, model_file=model)


def _decoded(field: str, text: Any) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise ConfigError(f"{field} of {SOURCE} must be in base64; found that {error}; save the model again") from None
