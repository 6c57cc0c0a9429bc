"""The rows of tests/data/encoders.toml: what the hub holds of each encoder."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

DATA = tomllib.loads((Path(__file__).parent / "data" / "encoders.toml").read_text("utf-8"))
ROWS: dict[str, dict[str, Any]] = {row["id"]: row for row in DATA["encoder"]}
SIZES = ("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size")
OTHER_NAMES = {"distilbert": ("n_layers", "dim", "n_heads", "hidden_dim")}


def published(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return config.json as the hub has it."""
    base = {key: value for key, value in DATA["config"][row["base"]].items() if key not in row.get("without", ())}
    names = OTHER_NAMES.get(base.get("model_type", ""), SIZES)
    return with_null({**base, **dict(zip(names, row["shape"], strict=True)), **row["config"]})


def with_null(values: Mapping[str, Any]) -> dict[str, Any]:
    """Put None where "null" stands, which TOML has no word for."""
    return {key: None if value == "null" else value for key, value in values.items()}
