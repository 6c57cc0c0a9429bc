"""Labels of texts and of pairs of texts, read from the logits of a classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wellread.backends.backend import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What a text, or a pair of texts, is said to be."""

    label: str
    score: float  # its probability, 0 to 1
    scores: dict[str, float]  # of all labels, in their order


def read_classes(logits: FloatArray, labels: Sequence[str]) -> list[Prediction]:
    """Turn logits [N, C] into N predictions.

    >>> made = read_classes(np.log([[0.25, 0.75]]), ("bad", "good"))
    >>> made[0].label, round(made[0].score, 6)
    ('good', 0.75)
    """
    chances = softmax(np.asarray(logits))
    best = chances.argmax(-1).tolist()
    rows = [dict(zip(labels, row, strict=True)) for row in chances.tolist()]
    return [
        Prediction(label=labels[place], score=scores[labels[place]], scores=scores)
        for place, scores in zip(best, rows, strict=True)
    ]


def softmax(logits: FloatArray) -> FloatArray:
    """Turn logits [..., C] into probabilities, in float64."""
    raised = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True, initial=-np.inf))
    chances: FloatArray = raised / raised.sum(-1, keepdims=True)
    return chances
