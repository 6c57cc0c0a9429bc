"""Semantic textual similarity: how well cosines follow people's scores (STS-B, KorSTS)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wellread.errors import DataError
from wellread.measure.bootstrap import interval
from wellread.measure.examples import Examples
from wellread.measure.metrics import pearson, spearman
from wellread.module import Module


@dataclass(frozen=True, slots=True, kw_only=True)
class SimilarityScore:
    """Correlations of cosines with people's scores; `low` and `high` bound Spearman's at 95 % (bootstrap)."""

    spearman: float
    pearson: float
    low: float
    high: float
    pairs: int


def evaluate_similarity(module: Module, examples: Examples, *, seed: int = 0) -> SimilarityScore:
    """Encode both sides in float32, take cosines, and correlate them with the scores.

    Raises: DataError for examples without pairs or scores.
    """
    if examples.pairs is None or examples.scores is None:
        raise DataError(
            f"pairs and scores were asked of {examples.source}; its format has none; name a file as STS-B's"
        )
    cosines, scores = pair_cosines(module, examples.texts, examples.pairs), np.asarray(examples.scores)
    found = interval(lambda rows: spearman(cosines[rows], scores[rows]), len(scores), seed=seed)
    return SimilarityScore(
        spearman=found.value, pearson=pearson(cosines, scores), low=found.low, high=found.high, pairs=len(scores)
    )


def pair_cosines(module: Module, texts: Sequence[str], pairs: Sequence[str]) -> NDArray[np.float64]:
    """Return the cosine of the vectors of each text and its pair, computed in float32: [N]."""
    first, second = (
        np.asarray(module.encode(side, precision=exact(module), normalize_embeddings=True), np.float64)
        for side in (texts, pairs)
    )
    cosines: NDArray[np.float64] = (first * second).sum(1)
    return cosines


def exact(module: Module) -> str:
    """Name the precision that scores are computed in."""
    return "f64" if module.backend == "numpy" else "f32"
