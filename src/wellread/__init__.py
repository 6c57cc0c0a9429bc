"""wellread: compact BERT-family text encoders, in whatever format they survive.

>>> import wellread
>>> module = wellread.load("default")
>>> module.encode("A man is playing a guitar.").shape
(384,)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wellread.errors import WellreadError as WellreadError
    from wellread.module import EncoderOutput as EncoderOutput
    from wellread.module import Module as Module
    from wellread.module import load as load

__version__ = "0.1.0"

# Public names, each loaded when it is first asked for, so that `import wellread` is instant.
_HOMES = {
    "load": "wellread.module",
    "Module": "wellread.module",
    "EncoderOutput": "wellread.module",
    "WellreadError": "wellread.errors",
}
__all__ = ["EncoderOutput", "Module", "WellreadError", "__version__", "load"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'wellread' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
