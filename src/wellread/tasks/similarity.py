"""Scores of pairs of texts: the cosine of their sentence vectors (Reimers and Gurevych 2019, arXiv:1908.10084)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wellread.config import HeadConfig
from wellread.data.examples import Examples
from wellread.encode import encode_rows
from wellread.errors import DataError
from wellread.metrics.metrics import pearson, spearman
from wellread.metrics.similarity import unit
from wellread.tasks.task import Advance, Inputs, Predictions, Predictor, Scores, Scoring, Targets, Task, needed
from wellread.text.batch import Ragged
from wellread.text.tokenizer import Tokenizer


def predict(predictor: Predictor, inputs: Inputs, advance: Advance) -> Predictions:
    """Score N pairs on the scale of the head: the cosine, from its `low` for 0 to its `high` for 1."""
    first, first_cut = encode_rows(
        predictor.backend, predictor.tokenizer.tokenize(inputs.texts), predictor.packer, advance=lambda count: None
    )
    second, second_cut = encode_rows(
        predictor.backend, predictor.tokenizer.tokenize(inputs.pairs or []), predictor.packer, advance=advance
    )
    first, second = (vectors[:, : predictor.checkpoint.encoded_size] for vectors in (first, second))
    cosines = (unit(first).astype(np.float64) * unit(second).astype(np.float64)).sum(1)
    head = predictor.head
    scores = head.low + cosines * (head.high - head.low)
    return Predictions(values=scores.tolist(), truncated=first_cut + second_cut)


def targets(
    tokenizer: Tokenizer, examples: Examples, head: HeadConfig, *, max_seq_length: int, stride: int
) -> tuple[list[Ragged], Targets]:
    """Make rows of single texts, [2N], all first texts before all second ones; targets are cosines, float32 [N].

    Without scores there are no targets: the loss is contrastive.
    """
    segments = [tokenizer.tokenize([*examples.texts, *(examples.pairs or [])])]
    if examples.scores is None:
        return segments, None
    return segments, ((np.asarray(examples.scores) - head.low) / (head.high - head.low)).astype(np.float32)


def score(examples: Examples, predicted: Sequence[object], scoring: Scoring) -> Scores:
    """Score numbers by their correlation with people's: Spearman's and Pearson's.

    Raises: DataError for predictions that are no finite numbers.
    """
    true = np.asarray(needed(examples, "scores"), np.float64)
    try:
        numbers = np.asarray([float(value) for value in predicted])  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise DataError(f"numbers were asked of the predictions; {error}; mend them, or name another column") from None
    if bad := int((~np.isfinite(numbers)).sum()):
        raise DataError(f"numbers were asked of the predictions; {bad} of {len(numbers)} are not finite; mend them")
    return {
        "spearman": lambda rows: spearman(true[rows], numbers[rows]),
        "pearson": lambda rows: pearson(true[rows], numbers[rows]),
    }


SIMILARITY = Task(
    name="similarity",
    head="similarity",
    takes_pairs="yes",
    columns=("pairs", "scores"),
    target="scores",
    targets=targets,
    loss="cosine",
    predict=predict,
    scored=float,
    score=score,
    main_score="spearman",
    summary="a score for a pair of texts, {low:g} for a cosine of 0 and {high:g} for one of 1",
    pipeline="sentence-similarity",
    usage='["A text."], ["Another."]',
    needs_head=False,
    in_array=True,
)
