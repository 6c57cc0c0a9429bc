"""Numbers for texts, and for pairs of texts: regression, and cross-encoders (Reimers and Gurevych 2019, section 3)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from wellread.backends.backend import FloatArray
from wellread.config import SCORE_ACTIVATIONS, HeadConfig
from wellread.data.examples import Examples
from wellread.dataclass import dataclass
from wellread.errors import DataError, InputError, nearest
from wellread.tasks.classify import softmax, text_logits, text_segments
from wellread.tasks.similarity import SIMILARITY
from wellread.tasks.task import Advance, Inputs, Predictions, Predictor, Targets, Task
from wellread.text.batch import Ragged
from wellread.text.tokenizer import Tokenizer

# What each of config.SCORE_ACTIVATIONS makes of logits [N, C], in float64.
ACTIVATIONS: Mapping[str, Callable[[FloatArray], FloatArray]] = {
    "identity": lambda logits: logits,
    "sigmoid": lambda logits: np.exp(-np.logaddexp(0, -logits)),
    "tanh": np.tanh,
    "relu": lambda logits: np.maximum(logits, 0),
    "softplus": lambda logits: np.logaddexp(0, logits),
    "softmax": softmax,
}
# The least and the largest number that each gives.
RANGES = {
    "identity": (-math.inf, math.inf),
    "sigmoid": (0, 1),
    "tanh": (-1, 1),
    "relu": (0, math.inf),
    "softplus": (0, math.inf),
    "softmax": (1, 1),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreSettings:
    """How logits become scores."""

    activation: str | None = None  # of SCORE_ACTIVATIONS; None: that of the head

    def __post_init__(self) -> None:
        """Refuse an activation that is not known."""
        if self.activation is not None and self.activation not in SCORE_ACTIVATIONS:
            raise InputError(
                f"the activation {self.activation!r} was asked for; scores go through one of "
                f"{', '.join(SCORE_ACTIVATIONS)}; name one of these{nearest(str(self.activation), SCORE_ACTIVATIONS)}"
            )


def predict(predictor: Predictor, inputs: Inputs, advance: Advance) -> Predictions:
    """Score N texts, or N pairs: a number each, or C of them where the head has several outputs."""
    logits, truncated = text_logits(predictor, inputs, advance)
    scores = ACTIVATIONS[predictor.options.activation or predictor.head.activation](logits)
    return Predictions(values=(scores[:, 0] if scores.shape[1] == 1 else scores).tolist(), truncated=truncated)


def targets(
    tokenizer: Tokenizer, examples: Examples, head: HeadConfig, *, max_seq_length: int, stride: int
) -> tuple[list[Ragged], Targets]:
    """Make rows of a text, or of two where there are pairs, each with its number: float32 [N, 1].

    Raises: DataError for numbers that the head's activation cannot give.
    """
    numbers = np.asarray(examples.scores, np.float32)[:, None]
    low, high = RANGES[head.activation]
    if bad := int(((numbers < low) | (numbers > high)).sum()):
        raise DataError(
            f"numbers from {low:g} to {high:g} were asked of {examples.source}, for the module's head gives them "
            f"through {head.activation}; {bad} of {len(numbers)} are others; scale them, or take a module without head"
        )
    return text_segments(tokenizer, examples), numbers


def one_number(prediction: object) -> float:
    """Return a prediction as what can be scored. Raises: DataError for the numbers of a head of several outputs."""
    if np.ndim(prediction):  # type: ignore[arg-type]
        raise DataError(
            f"one number a row was to be scored; found {np.size(prediction)}, for the module's head has as many "  # type: ignore[arg-type]
            "outputs; score what predict gives, one output at a time"
        )
    return float(prediction)  # type: ignore[arg-type]


SCORE = Task(
    name="score",
    head="score",
    takes_pairs="either",  # Hugging Face's configurations do not say which of the two a head is for
    columns=("scores",),
    target="scores",
    targets=targets,
    loss="regression",
    predict=predict,
    scored=one_number,
    score=SIMILARITY.score,
    main_score="spearman",
    summary="a number for a text, or for a pair of texts",
    pipeline="text-classification",
    usage='["A text.", "Another."]',
    options=ScoreSettings,
    outputs=("score",),
    truncation="longest_first",  # as sentence-transformers' cross-encoders cut pairs
    in_array=True,
)
RANK = replace(
    SCORE,
    name="rank",
    head="rank",
    takes_pairs="yes",
    columns=("pairs", "scores"),
    summary="a number for a pair of texts, by which documents are ranked for a query",
    pipeline="text-ranking",
    usage='["A query.", "A query."], ["A document.", "Another."]',
    cross_encoder=True,
)
