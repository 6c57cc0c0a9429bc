"""Whether the environment forbids the network."""

from __future__ import annotations

import os

# Both are huggingface_hub's; the second is the older name.
VARIABLES = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")


def is_offline() -> bool:
    """Say whether the network must not be used, as huggingface_hub reads it."""
    named = next(filter(None, map(os.environ.get, VARIABLES)), "")
    return named.upper() in ("1", "ON", "YES", "TRUE")
