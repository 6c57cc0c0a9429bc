"""A module in int8, and what it scores before and after."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

from wellread.data.examples import Given
from wellread.measure.evaluate import evaluate, task_of
from wellread.module import Module
from wellread.quantising.quantise import BUDGET, Int8Checkpoint, quantise_checkpoint
from wellread.quantising.sample import Texts
from wellread.quantising.trial import Matrices, Trial


def quantise(
    module: Module,
    texts: Texts | None = None,
    *,
    budget: float = BUDGET,
    examples: Given | None = None,
    show_progress_bar: bool | None = None,
    column: str | None = None,
    kind: str | None = None,
    format: str | None = None,
) -> Module:
    """Return a module whose matrices are int8, with vectors of a mean cosine to float32 of at least `budget`.

    The word and position tables and the linear maps of the layers become int8; scales and roundings are chosen by
    what `texts`, or paths of files of them, give the maps as inputs. Half of the texts are held out, and the loss is
    measured on these. While it is over the budget, the matrix that costs most goes back to floats. Without texts
    wellread takes its own, English and Korean. `examples`, those of `evaluate`, score the module before and after.
    `column`, `kind` and `format` say how files are read. `provenance["quantise"]` holds a `Quantised`.

    Raises: ConfigError for a budget that is none, or that no int8 matrix is within; InputError for a module that is
        int8 already; DataError for too few texts; WeightsError for weights that are no numbers.

    >>> import wellread
    >>> small = wellread.quantise(wellread.load("default").dequantise(), budget=0.99)
    >>> small.provenance["quantise"]["mean_cosine"] > 0.99
    True
    """
    show = sys.stderr.isatty() if show_progress_bar is None else show_progress_bar
    reading = {"column": column, "kind": kind, "format": format}
    int8 = quantise_checkpoint(module.checkpoint, module.tokenizer, texts, budget=budget, show=show, **reading)
    if examples is not None:
        int8 = replace(int8, report=replace(int8.report, **_scores(module, int8, examples)))
    smaller = replace(module, checkpoint=int8.checkpoint)
    smaller.provenance = int8.provenance({"made_by": "wellread quantise", "from": {**module.provenance}})
    return smaller


def _scores(module: Module, int8: Int8Checkpoint, examples: Given) -> dict[str, Any]:
    """Score the module on examples, in float32 and in int8."""
    task = task_of(module, None if module.checkpoint.head else "similarity")
    before, after = (
        evaluate(simulated(module, int8.trial, matrices), examples, task=task.name).scores[task.main_score].value
        for matrices in ({}, int8.matrices)
    )
    return {
        "score": f"{task.name}: {task.main_score}",
        "score_before": round(before, 4),
        "score_after": round(after, 4),
    }


def simulated(module: Module, trial: Trial, matrices: Matrices) -> Module:
    """Return the module as it computes with `matrices` in int8, whatever its own backend."""
    module = replace(module, backend="numpy")
    simulation: Any = trial.simulation(matrices)
    module._backends = dict.fromkeys((None, "f32", "f64"), simulation)
    return module
