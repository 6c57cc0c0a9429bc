"""Labels of texts, and of pairs of texts: a classifier on the pooled output (Devlin et al. 2018, section 4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from wellread.backends.backend import FloatArray
from wellread.config import HeadConfig
from wellread.data.examples import Examples, LabelMap
from wellread.dataclass import dataclass
from wellread.encode import logits_of
from wellread.metrics.metrics import Outcomes, accuracy_of, f1_of_classes, macro_f1_of, matthews_of
from wellread.tasks.task import Advance, Inputs, Predictions, Predictor, Scores, Scoring, Targets, Task, needed
from wellread.text.batch import Ragged
from wellread.text.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What a text, or a pair of texts, is said to be."""

    label: str
    score: float  # its probability, 0 to 1
    scores: dict[str, float]  # of all labels, in their order

    def __str__(self) -> str:
        return f"{self.label}\t{self.score:.4f}"


def read_classes(logits: FloatArray, labels: Sequence[str]) -> list[Prediction]:
    """Turn logits [N, C] into N predictions.

    >>> first = read_classes(np.log([[0.25, 0.75]]), ("bad", "good"))[0]
    >>> first.label, round(first.score, 6)
    ('good', 0.75)
    """
    probabilities = softmax(np.asarray(logits))
    best = probabilities.argmax(-1).tolist()
    rows = [dict(zip(labels, row, strict=True)) for row in probabilities.tolist()]
    return [
        Prediction(label=labels[index], score=scores[labels[index]], scores=scores)
        for index, scores in zip(best, rows, strict=True)
    ]


def softmax(logits: FloatArray) -> FloatArray:
    """Turn logits [..., C] into probabilities, in float64."""
    exponentials = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True, initial=-np.inf))
    probabilities: FloatArray = exponentials / exponentials.sum(-1, keepdims=True)
    return probabilities


def text_logits(predictor: Predictor, inputs: Inputs, advance: Advance) -> tuple[FloatArray, NDArray[np.int64]]:
    """Return the logits of N texts, or N pairs, [N, C], and how many tokens of each found no room [N]."""
    segments = text_segments(predictor.tokenizer, inputs)
    logits = np.empty((len(inputs.texts), predictor.head.outputs))
    for rows, values in logits_of(predictor.backend, segments, predictor.packer):
        logits[rows] = values
        advance(len(rows))
    tokens = np.sum([segment.lengths for segment in segments], axis=0)
    return logits, np.maximum(0, tokens - predictor.packer.beside(len(segments)))


def text_segments(tokenizer: Tokenizer, given: Inputs | Examples) -> list[Ragged]:
    """Make rows of a text, or of two where there are pairs."""
    return [tokenizer.tokenize(side) for side in ([given.texts] if given.pairs is None else [given.texts, given.pairs])]


def predict(predictor: Predictor, inputs: Inputs, advance: Advance) -> Predictions:
    """Label N texts, or N pairs."""
    logits, truncated = text_logits(predictor, inputs, advance)
    return Predictions(values=read_classes(logits, predictor.head.labels), truncated=truncated)


def targets(
    tokenizer: Tokenizer, examples: Examples, head: HeadConfig, *, max_seq_length: int, stride: int
) -> tuple[list[Ragged], Targets]:
    """Make rows of a text, or of two where there are pairs, each with the id of its label: int64 [N].

    Soft labels stand beside them as shares, float32 [N, C].
    """
    segments = text_segments(tokenizer, examples)
    if examples.soft_labels is None:
        return segments, LabelMap(names=head.labels).ids(examples.labels or [])
    shares = [[row.get(label, 0.0) for label in head.labels] for row in examples.soft_labels]
    return segments, np.array(shares, np.float32)


def score(examples: Examples, predicted: Sequence[object], scoring: Scoring) -> Scores:
    """Score labels: accuracy, macro F1, Matthews, and the F1 of one label if asked for.

    Raises: DataError for labels that neither occur among the examples nor in `scoring`.
    """
    true = [str(label) for label in needed(examples, "labels")]
    labels = [str(label).strip() for label in predicted]
    LabelMap.of({*true, *scoring.labels}).ids(labels, source="the predictions")
    outcomes = Outcomes.of(true, labels)
    scores = {"accuracy": accuracy_of, "macro_f1": macro_f1_of, "matthews": matthews_of}
    if scoring.positive is not None:
        classes = LabelMap(names=tuple(map(str, outcomes.classes)))
        index = int(classes.ids([scoring.positive], source="the positive label")[0])
        scores["f1"] = lambda confusion: float(f1_of_classes(confusion)[index])
    return {name: lambda rows, of=of: of(outcomes.confusion(rows)) for name, of in scores.items()}  # type: ignore[misc]


CLASSIFY = Task(
    name="classify",
    head="classify",
    takes_pairs="either",  # Hugging Face's configurations do not say which of the two a head is for
    columns=("labels",),
    target="labels",
    targets=targets,
    loss="cross_entropy",
    predict=predict,
    scored=lambda prediction: prediction.label,
    score=score,
    main_score="accuracy",
    summary="a label for a text",
    pipeline="text-classification",
    usage='["A text.", "Another."]',
)
PAIR = replace(
    CLASSIFY,
    name="pair",
    head="pair",
    takes_pairs="yes",
    columns=("pairs", "labels"),
    summary="a label for a pair of texts",
    usage='["A text."], ["Another."]',
)
