"""Semantic textual similarity: how well cosines follow people's scores (STS-B, KorSTS)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wellread.errors import DataError
from wellread.measure.metrics import pearson, spearman
from wellread.module import Module

RESAMPLES = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """N pairs of sentences and the similarity that people gave them."""

    first: list[str]
    second: list[str]
    scores: list[float]  # 0 (unrelated) to 5 (equivalent)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimilarityScore:
    """Correlations of cosines with people's scores; `low` and `high` bound Spearman's at 95 % (bootstrap)."""

    spearman: float
    pearson: float
    low: float
    high: float
    pairs: int


def read_stsb(path: Path) -> Pairs:
    """Read STS-B's or KorSTS' file: tab separated, no quoting; genre, file, year, id, score, sentence1, sentence2, ...

    A header line, which KorSTS has, is passed over.

    Raises: DataError for a file that is missing or empty, and that names the first ragged line.
    """
    try:
        lines = path.read_text("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"pairs were asked of {path}; it cannot be read as UTF-8: {error}; check the file") from error
    found = Pairs(first=[], second=[], scores=[])
    for number, line in enumerate(lines, 1):
        fields = line.rstrip("\r").split("\t")
        if fields == [""] or (number == 1 and "score" in fields):
            continue
        try:
            score, first, second = float(fields[4]), fields[5], fields[6]
        except (IndexError, ValueError):
            raise DataError(
                f"7 columns with a score in the fifth were asked of {path}; line {number} has {len(fields)} columns: "
                f"{line[:60]!r}; this must be an STS-B file"
            ) from None
        found.first.append(first)
        found.second.append(second)
        found.scores.append(score)
    if not found.scores:
        raise DataError(f"pairs were asked of {path}; found 0; check the file")
    return found


def evaluate_similarity(module: Module, pairs: Pairs, *, seed: int = 0) -> SimilarityScore:
    """Encode both sides in float32, take cosines, and correlate them with the scores."""
    precision = "f64" if module.backend == "numpy" else "f32"
    first, second = (
        np.asarray(module.encode(side, precision=precision, normalize_embeddings=True), np.float64)
        for side in (pairs.first, pairs.second)
    )
    cosines, scores = (first * second).sum(1), np.asarray(pairs.scores)
    rng = np.random.default_rng(seed)
    drawn = [rng.integers(0, len(scores), len(scores)) for _ in range(RESAMPLES)]
    told = [rows for rows in drawn if np.ptp(cosines[rows]) and np.ptp(scores[rows])]  # a draw of equals has none
    low, high = np.quantile([spearman(cosines[rows], scores[rows]) for rows in told], [0.025, 0.975])
    return SimilarityScore(
        spearman=spearman(cosines, scores),
        pearson=pearson(cosines, scores),
        low=float(low),
        high=float(high),
        pairs=len(scores),
    )
