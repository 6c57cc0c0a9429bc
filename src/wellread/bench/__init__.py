"""Us and our peers on the same work, in turn: speed, agreement, start-up, growth, TF Hub's work, downloads, training.

>>> from wellread import bench
>>> bench.read_texts()[3999]
'We must, by'
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wellread.bench.contenders import CONTENDERS as CONTENDERS
    from wellread.bench.contenders import DEFAULT as DEFAULT
    from wellread.bench.contenders import Contender as Contender
    from wellread.bench.encode import EncodeResult as EncodeResult
    from wellread.bench.encode import run_encode as run_encode
    from wellread.bench.growth import GrowthResult as GrowthResult
    from wellread.bench.growth import run_growth as run_growth
    from wellread.bench.hub import HubResult as HubResult
    from wellread.bench.hub import run_hub as run_hub
    from wellread.bench.learn import LearnResult as LearnResult
    from wellread.bench.learn import run_learn as run_learn
    from wellread.bench.learn_report import learn_as_json as learn_as_json
    from wellread.bench.learn_report import render_learn as render_learn
    from wellread.bench.report import as_json as as_json
    from wellread.bench.report import render as render
    from wellread.bench.startup import StartupResult as StartupResult
    from wellread.bench.startup import run_startup as run_startup
    from wellread.bench.texts import read_texts as read_texts
    from wellread.bench.tfhub import TfhubResult as TfhubResult
    from wellread.bench.tfhub import run_tfhub as run_tfhub

# Public names, each loaded when it is first asked for: a worker imports this package and must not pay for its parent's.
_HOMES = {
    "CONTENDERS": "contenders",
    "Contender": "contenders",
    "DEFAULT": "contenders",
    "EncodeResult": "encode",
    "GrowthResult": "growth",
    "HubResult": "hub",
    "LearnResult": "learn",
    "StartupResult": "startup",
    "TfhubResult": "tfhub",
    "as_json": "report",
    "learn_as_json": "learn_report",
    "read_texts": "texts",
    "render": "report",
    "render_learn": "learn_report",
    "run_encode": "encode",
    "run_growth": "growth",
    "run_hub": "hub",
    "run_learn": "learn",
    "run_startup": "startup",
    "run_tfhub": "tfhub",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'wellread.bench' has no attribute {name!r}")
    return getattr(importlib.import_module(f"wellread.bench.{_HOMES[name]}"), name)
