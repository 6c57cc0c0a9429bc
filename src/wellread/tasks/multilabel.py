"""Any number of labels for a text, or for a pair of texts: a sigmoid for each label."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wellread.config import HeadConfig
from wellread.data.examples import Examples, split_labels
from wellread.dataclass import dataclass
from wellread.errors import DataError, InputError
from wellread.tasks.classify import text_logits, text_segments
from wellread.tasks.score import ACTIVATIONS
from wellread.tasks.task import Advance, Inputs, Predictions, Predictor, Scores, Scoring, Targets, Task, needed
from wellread.text.batch import Ragged
from wellread.text.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSet:
    """What a text, or a pair of texts, is said to be: labels that do not exclude each other."""

    labels: tuple[str, ...]  # those above the threshold, the most probable first
    scores: dict[str, float]  # the probability of every label, each 0 to 1, in their order

    def __str__(self) -> str:
        return "\t".join(f"{label}={self.scores[label]:.4f}" for label in self.labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class MultilabelSettings:
    """Which labels a text is said to have."""

    threshold: float = 0.5  # the probability that they are above

    def __post_init__(self) -> None:
        """Refuse what is no probability."""
        if not 0 <= self.threshold <= 1:
            raise InputError(f"threshold is a probability, 0 to 1; found {self.threshold}; give one of these")


def predict(predictor: Predictor, inputs: Inputs, advance: Advance) -> Predictions:
    """Give N texts, or N pairs, their labels."""
    logits, truncated = text_logits(predictor, inputs, advance)
    names, threshold = predictor.head.labels, predictor.options.threshold
    rows = [dict(zip(names, row, strict=True)) for row in ACTIVATIONS["sigmoid"](logits).tolist()]
    return Predictions(values=[read_labels(scores, threshold) for scores in rows], truncated=truncated)


def read_labels(scores: dict[str, float], threshold: float) -> LabelSet:
    """Choose the labels of a text by their probabilities.

    >>> read_labels({"toxic": 0.6, "insult": 0.9, "threat": 0.1}, 0.5).labels
    ('insult', 'toxic')
    """
    above = [label for label, score in scores.items() if score > threshold]
    return LabelSet(labels=tuple(sorted(above, key=lambda label: -scores[label])), scores=scores)


def targets(
    tokenizer: Tokenizer, examples: Examples, head: HeadConfig, *, max_seq_length: int, stride: int
) -> tuple[list[Ragged], Targets]:
    """Make rows of a text, or of two where there are pairs, each with a 1 for every label it has: float32 [N, C]."""
    return text_segments(tokenizer, examples), members(examples.label_sets or [], head.labels).astype(np.float32)


def members(rows: Sequence[Sequence[str]], names: Sequence[str]) -> NDArray[np.bool_]:
    """Say of each of N rows which of C labels it has: [N, C].

    >>> members([["b"], []], ["a", "b"]).tolist()
    [[False, True], [False, False]]
    """
    column = {name: number for number, name in enumerate(names)}
    there = np.zeros((len(rows), len(names)), np.bool_)
    for row, labels in enumerate(rows):
        there[row, [column[label] for label in labels]] = True
    return there


def score(examples: Examples, predicted: Sequence[object], scoring: Scoring) -> Scores:
    """Score sets of labels: F1 over all labels (micro), its mean over the labels (macro), and the share of equal sets.

    Raises: DataError for predictions that are no lists of labels.
    """
    true: list[list[str]] = needed(examples, "label_sets")
    sets = [split_labels(value) for value in predicted]
    if bare := sum(value is None for value in sets):
        raise DataError(f"lists of labels were asked of the predictions; {bare} of {len(sets)} are none; mend them")
    labels = [value or [] for value in sets]
    names = sorted({*(label for row in (*true, *labels) for label in row), *scoring.labels})
    truth, guess = members(true, names), members(labels, names)
    counts = np.stack([truth & guess, truth, guess], -1).astype(np.float64)  # [N, C, 3]
    equal = (truth == guess).all(-1).astype(np.float64)

    def f1(counted: NDArray[np.float64]) -> NDArray[np.float64]:
        right, were, said = np.moveaxis(counted, -1, 0)
        ratio: NDArray[np.float64] = 2 * right / np.maximum(were + said, 1)
        return ratio

    def macro_f1(rows: NDArray[np.int64]) -> float:
        counted = counts[rows].sum(0)
        there = counted[:, 1:].sum(-1) > 0
        return float(f1(counted[there]).mean()) if there.any() else 0.0

    return {
        "f1": lambda rows: float(f1(counts[rows].sum((0, 1)))),
        "macro_f1": macro_f1,
        "accuracy": lambda rows: float(equal[rows].mean()),
    }


MULTILABEL = Task(
    name="multilabel",
    head="multilabel",
    takes_pairs="either",
    columns=("label_sets",),
    target="label_sets",
    targets=targets,
    loss="binary_cross_entropy",
    predict=predict,
    scored=lambda prediction: list(prediction.labels),
    score=score,
    main_score="f1",
    summary="any number of labels for a text",
    pipeline="text-classification",
    usage='["A text.", "Another."]',
    options=MultilabelSettings,
)
