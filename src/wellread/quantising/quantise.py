"""A module's matrices to int8, within a budget of accuracy that is measured on texts held out."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

from wellread.checkpoints.checkpoint import in_memory
from wellread.data.examples import Given
from wellread.errors import ConfigError, InputError
from wellread.formats.int8 import Int8Matrix
from wellread.module import Module
from wellread.progress import progress
from wellread.quantising.calibrate import Unit, Watcher, quantise_unit, units_of
from wellread.quantising.sample import Sample, Texts, sample_of
from wellread.quantising.trial import Matrices, Trial

FEW = 96  # of the held-out texts, those that the cost of single matrices is measured on


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantised:
    """What int8 made of a module, measured on texts that it was not calibrated on, against float32."""

    budget: float  # the mean cosine that was asked for
    mean_cosine: float
    least_cosine: float
    neighbours_kept: float  # share of the held-out texts whose nearest other is the same
    predictions_kept: float | None  # share of a task's predictions that are the same; of numbers their correlation
    texts: str  # where they are from
    calibration_texts: int
    held_out_texts: int
    int8_matrices: int
    kept_as_floats: Mapping[str, str] = field(default_factory=dict)  # a matrix, or those of one input -> what it costs
    megabytes_before: float  # of all tensors, in float32
    megabytes_after: float
    score: str | None = None  # what examples are scored by
    score_before: float | None = None
    score_after: float | None = None


def quantise(
    module: Module,
    texts: Texts | None = None,
    *,
    budget: float = 0.999,
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
    >>> small = wellread.quantise(wellread.load("default"), budget=0.99)
    >>> small.provenance["quantise"]["mean_cosine"] > 0.99
    True
    """
    if isinstance(budget, bool) or not isinstance(budget, int | float) or not 0 < budget < 1:
        raise ConfigError(
            f"budget is the mean cosine to float32, above 0 and below 1; found {budget!r}; pass one such as 0.999"
        )
    if module.checkpoint.has_int8:
        raise InputError(
            "a module with float matrices was to be quantised; found one of int8; quantise the one that it was made of"
        )
    show = sys.stderr.isatty() if show_progress_bar is None else show_progress_bar
    sample = sample_of(module.tokenizer, texts, column=column, kind=kind, format=format)
    trial = Trial(module, sample.held_out, show=show)
    int8 = _all_int8(trial, sample, show=show)
    kept = _within(trial, int8, float(budget), show=show)
    matrices = _flat({unit: int8[unit] for unit in int8 if unit.name not in kept})
    tensors = {**module.checkpoint.tensors, **in_memory(matrices)}
    smaller = replace(module, checkpoint=replace(module.checkpoint, tensors=tensors))
    smaller.provenance = {
        "made_by": "wellread quantise",
        "from": {**module.provenance},
        "quantise": asdict(_report(trial, smaller, sample, budget=budget, kept=kept, examples=examples)),
    }
    return smaller


ByUnit = Mapping[Unit, Mapping[str, Int8Matrix]]


def _all_int8(trial: Trial, sample: Sample, *, show: bool) -> ByUnit:
    """Quantise every unit of a module by what the calibration texts give it."""
    units = units_of(trial.module.checkpoint)
    watcher = Watcher(units)
    trial.vectors(sample.calibration, {}, watch=watcher, show=show)
    int8 = {}
    with progress(len(units), show=show, label="matrices") as advance:
        for unit in units:
            int8[unit] = quantise_unit(unit, trial.weights, watcher)
            advance(1)
    return int8


def _flat(int8: ByUnit) -> dict[str, Int8Matrix]:
    return {name: matrix for matrices in int8.values() for name, matrix in matrices.items()}


def _within(trial: Trial, int8: ByUnit, budget: float, *, show: bool) -> dict[str, str]:
    """Return the units that must stay floats for the mean cosine to be within the budget, and what each costs.

    Raises: ConfigError that tells the best that was reached, where no unit alone is within it.
    """
    best = mean = float(trial.cosines(_flat(int8), show=show).mean())
    kept: dict[str, str] = {}
    if mean >= budget:
        return kept
    costs: dict[Unit, float] = {}
    with progress(len(int8), show=show, label="costs") as advance:
        for unit, matrices in int8.items():
            costs[unit] = max(0.0, 1 - float(trial.cosines(matrices, first=FEW).mean()))
            advance(1)
    left = dict(sorted(int8.items(), key=lambda item: costs[item[0]]))
    while left and mean < budget:
        # costs add up, nearly: units go until what is left should do, and then it is measured
        told = sum(costs[unit] for unit in left)
        enough = told * (1 - budget) / max(1 - mean, 1e-12)
        while left and (told > enough or told == 0):
            unit, _ = left.popitem()
            told -= costs[unit]
            kept[unit.name] = f"alone it costs {costs[unit]:.2g} of the cosine"
            if told <= enough:
                break
        if left:
            mean = float(trial.cosines(_flat(left), show=show).mean())
            best = max(best, mean)
    if not left:
        raise ConfigError(
            f"a mean cosine to float32 of at least {budget} was asked for; found {best:.6f} at best with any matrix in "
            "int8; lower the budget, or calibrate on more texts, such as the module will be given"
        )
    return kept


def _report(
    trial: Trial,
    smaller: Module,
    sample: Sample,
    *,
    budget: float,
    kept: Mapping[str, str],
    examples: Given | None,
) -> Quantised:
    """Measure what was chosen."""
    tensors = smaller.checkpoint.tensors
    matrices: Matrices = {name: tensor.int8() for name, tensor in tensors.items() if tensor.int8 is not None}
    vectors = trial.vectors(trial.held_out, matrices)
    cosines = (vectors * trial.reference).sum(1)
    score = trial.scores(matrices, examples) if examples is not None else None
    integers = sum(tensors[name].nbytes for name in matrices)
    floats = smaller.checkpoint.num_parameters - sum(matrix.values.size for matrix in matrices.values())
    return Quantised(
        budget=budget,
        mean_cosine=round(float(cosines.mean()), 6),
        least_cosine=round(float(cosines.min()), 6),
        neighbours_kept=round(trial.neighbours_kept(vectors), 4),
        predictions_kept=trial.predictions_kept(matrices),
        texts=sample.source,
        calibration_texts=len(sample.calibration),
        held_out_texts=len(sample.held_out),
        int8_matrices=len(matrices),
        kept_as_floats=kept,
        megabytes_before=round(smaller.checkpoint.num_parameters * 4e-6, 1),
        megabytes_after=round((4 * floats + integers) * 1e-6, 1),
        score=score[0] if score else None,
        score_before=round(score[1], 4) if score else None,
        score_after=round(score[2], 4) if score else None,
    )
