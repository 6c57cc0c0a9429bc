"""A checkpoint's matrices to int8, within a budget of accuracy that is measured on texts held out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from wellread.checkpoints.checkpoint import Checkpoint, in_memory
from wellread.errors import ConfigError, InputError
from wellread.formats.int8 import Int8Matrix
from wellread.progress import progress
from wellread.quantising.calibrate import Unit, Watcher, quantise_unit, units_of
from wellread.quantising.sample import Sample, Texts, sample_of
from wellread.quantising.trial import Matrices, Trial
from wellread.text.tokenizer import Tokenizer

BUDGET = 0.999  # mean cosine to float32, at least, where none is named
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Int8Checkpoint:
    """A checkpoint with int8 matrices, and what it was measured with."""

    checkpoint: Checkpoint
    report: Quantised
    trial: Trial
    matrices: Matrices

    def provenance(self, source: Mapping[str, Any]) -> dict[str, Any]:
        """Return the provenance of a module that is stored so, of the `source` that it was before."""
        return {**source, "quantise": asdict(self.report)}


def quantise_checkpoint(
    checkpoint: Checkpoint,
    tokenizer: Tokenizer,
    texts: Texts | None = None,
    *,
    budget: float = BUDGET,
    show: bool = False,
    **reading: Any,
) -> Int8Checkpoint:
    """Do as `wellread.quantise`; `reading` says how files are read, as for `sample_of`.

    Raises: as `wellread.quantise`.
    """
    if isinstance(budget, bool) or not isinstance(budget, int | float) or not 0 < budget < 1:
        raise ConfigError(
            f"budget is the mean cosine to float32, above 0 and below 1; found {budget!r}; pass one such as {BUDGET}"
        )
    if checkpoint.has_int8:
        raise InputError(
            "a module with float matrices was to be quantised; found one of int8; quantise the one that it was made of"
        )
    sample = sample_of(tokenizer, texts, **reading)
    trial = Trial(checkpoint, tokenizer, sample.held_out, show=show)
    int8 = _all_int8(trial, sample, show=show)
    kept = _within(trial, int8, float(budget), show=show)
    matrices = _flat({unit: int8[unit] for unit in int8 if unit.name not in kept})
    smaller = replace(checkpoint, tensors={**checkpoint.tensors, **in_memory(matrices)})
    report = _report(trial, smaller, matrices, sample, budget=float(budget), kept=kept)
    return Int8Checkpoint(checkpoint=smaller, report=report, trial=trial, matrices=matrices)


ByUnit = Mapping[Unit, Mapping[str, Int8Matrix]]


def _all_int8(trial: Trial, sample: Sample, *, show: bool) -> ByUnit:
    """Quantise every unit of a module by what the calibration texts give it."""
    units = units_of(trial.checkpoint)
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
    smaller: Checkpoint,
    matrices: Matrices,
    sample: Sample,
    *,
    budget: float,
    kept: Mapping[str, str],
) -> Quantised:
    """Measure what was chosen."""
    vectors = trial.vectors(trial.held_out, matrices)
    cosines = (vectors * trial.reference).sum(1)
    integers = sum(smaller.tensors[name].nbytes for name in matrices)
    floats = smaller.num_parameters - sum(matrix.values.size for matrix in matrices.values())
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
        megabytes_before=round(smaller.num_parameters * 4e-6, 1),
        megabytes_after=round((4 * floats + integers) * 1e-6, 1),
    )
