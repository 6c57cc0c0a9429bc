"""Vectors of a few texts that travel with a file of vectors: years later they say whether a module still makes them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from wellread.backends.backend import FloatArray
from wellread.dataclass import dataclass
from wellread.errors import DataError, require_extra
from wellread.module import Module
from wellread.schema import parse_object

TEXTS = (
    "A man is playing a guitar.",
    "The quick brown fox jumps over 13 lazy dogs, doesn't it?",
    "한국어 모델을 공유합니다.",
    "Wie spät ist es? Il est 18 h 30, déjà!",
)
# A cosine of bfloat16 to float32 is 0.9999, of an int8 module to its floats 0.9997 on average and 0.999 at least.
SAME = 0.998
SETTINGS = ("prompt", "prompt_name", "normalize_embeddings", "truncate_dim", "on_long")  # of `encode`
KEY = "wellread.canary"  # of a schema's metadata


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryResult:
    """How stored canary vectors compare with those that a module makes now."""

    stored_fingerprint: str
    fingerprint: str
    least_cosine: float  # over the canary's texts; -1 where the widths differ

    @property
    def same(self) -> bool:
        """Whether the stored vectors belong to the module."""
        return self.least_cosine >= SAME


def canary_of(module: Module, settings: Mapping[str, Any], *, precision: str) -> str:
    """Return what a file of vectors keeps: fingerprint, settings of `encode`, texts and their vectors, as JSON.

    The vectors are those that the module computes in `precision`, in few digits.
    """
    kept = {name: settings[name] for name in SETTINGS if name in settings}
    vectors, _ = module.encode_counted(TEXTS, precision=precision, **kept)
    digits = [[float(f"{number:.6g}") for number in vector] for vector in vectors.tolist()]
    facts = {"fingerprint": module.fingerprint, "settings": kept, "texts": TEXTS, "vectors": digits}
    return json.dumps(facts, ensure_ascii=False)


def check_canary(module: Module, path: str | os.PathLike[str]) -> CanaryResult:
    """Compare the canary of a file of vectors, or a folder of them, with what a module makes of its texts.

    Raises: DataError for a file without one.
    """
    stored = _read(os.fspath(path))
    theirs: FloatArray = np.asarray(stored["vectors"], np.float32)
    ours = np.asarray(module.encode(list(stored["texts"]), show_progress_bar=False, **stored["settings"]))
    least = -1.0
    if ours.shape == theirs.shape:
        norms = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
        least = float(((ours * theirs).sum(1) / np.where(norms > 0, norms, 1)).min())
    return CanaryResult(stored_fingerprint=stored["fingerprint"], fingerprint=module.fingerprint, least_cosine=least)


def _read(path: str) -> dict[str, Any]:
    from wellread.corpus.manifest import MANIFEST

    source = os.path.join(path, MANIFEST) if os.path.isdir(path) and not path.endswith(".lance") else path
    try:
        if source.endswith(".lance"):
            require_extra("lance", extra="lance")
            import lance

            text = (lance.dataset(source).schema.metadata or {})[KEY.encode()]
        elif source.endswith(".parquet"):
            import pyarrow.parquet as pq

            text = (pq.read_schema(source).metadata or {})[KEY.encode()]
        else:
            with open(source, "rb") as file:
                text = parse_object(file.read())["canary"].encode()
        stored = parse_object(text)
        return {name: stored[name] for name in ("fingerprint", "settings", "texts", "vectors")}
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise DataError(
            f"canary vectors were asked of {path}; found none ({type(error).__name__}: {error}); name a Parquet file, "
            "a Lance dataset or a folder that wellread embed wrote"
        ) from error
