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
    from wellread.hub.pull import Pulled as Pulled
    from wellread.hub.pull import pull as pull
    from wellread.hub.verify import Verified as Verified
    from wellread.hub.verify import verify as verify
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
    "Pulled": "wellread.hub.pull",
    "Verified": "wellread.hub.verify",
    "pull": "wellread.hub.pull",
    "verify": "wellread.hub.verify",
}
__all__ = ["EncoderOutput", "Module", "Pulled", "Verified", "WellreadError", "__version__", "load", "pull", "verify"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'wellread' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
