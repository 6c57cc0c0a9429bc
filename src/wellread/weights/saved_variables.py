"""The variables of a SavedModel: its bundle's tensors under the names that its object graph records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from wellread.errors import CheckpointError
from wellread.weights.families.tensorflow import DESCRIPTION, LABELS
from wellread.weights.object_graph import OBJECT_GRAPH_KEY, Variable, read_object_graph
from wellread.weights.stored import StoredTensor
from wellread.weights.tensor_bundle import read_bundle
from wellread.weights.tensorflow import TRAINING, leave_out, some, states

PREFIX = Path("variables") / "variables"
DO_LOWER_CASE = "do_lower_case"  # the attribute of TF Hub's root objects
TRAINING_PATHS = ("optimizer.", "_optimizer.", "keras_api.metrics.")  # where Keras' models keep what training leaves
# What Keras noted beside the variables, by key: it says nothing about the arithmetic that they do not.
NOTES = {"*/.ATTRIBUTES/OBJECT_CONFIG_JSON": "a layer's settings, as Keras noted them"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedVariables:
    """What a SavedModel's bundle holds, by the variables' names; what no object owns stands under its key."""

    tensors: Mapping[str, StoredTensor] = field(default_factory=dict)
    do_lower_case: bool | None = None  # none: there is no such variable
    description: bytes | None = None  # what wellread's exporter says of the encoder
    ignored: Mapping[str, str] = field(default_factory=dict)


def read_variables(directory: Path) -> SavedVariables:
    """Open the variables of a SavedModel; a preprocessor may have none.

    Raises: CheckpointError: a file is damaged; WeightsError: two variables bear one name.
    """
    prefix = directory / PREFIX
    if not prefix.with_name(f"{prefix.name}.index").is_file():
        return SavedVariables()
    bundle = read_bundle(prefix)
    listed = read_object_graph(bundle.string(OBJECT_GRAPH_KEY), source=prefix)
    held = states(bundle)
    del held[OBJECT_GRAPH_KEY]
    tables = {key.rpartition("-")[0] for key in held}  # the keys and values of a lookup table stand apart
    if missing := sorted({variable.key for variable in listed} - held.keys() - tables):
        raise CheckpointError(
            f"{prefix} was to hold the {len(listed)} variables of its object graph; found none under "
            f"{some(missing)}; fetch the SavedModel again"
        )
    case = _attribute(DO_LOWER_CASE, "bool", listed, held)
    description = _attribute(DESCRIPTION, "string", listed, held)
    trained = {variable.key for variable in listed if variable.slot or variable.path.startswith(TRAINING_PATHS)}
    left_out = {*trained, case, description}
    names = {variable.key: variable.name for variable in listed}
    pairs = ((names.get(key) or key, tensor) for key, tensor in held.items() if key not in left_out)
    notes = {**NOTES, LABELS: f"told by the variable {DESCRIPTION} too"} if description else NOTES
    kept = leave_out(pairs, {**TRAINING, **notes}, source=prefix)
    left = {"optimizer, metrics": f"{len(trained)} variables: what Keras kept of training"} if trained else {}
    return SavedVariables(
        tensors=kept.variables,
        do_lower_case=bool(held[case].read()) if case else None,
        description=bundle.string(description) if description else None,
        ignored={**left, **kept.ignored},
    )


def _attribute(path: str, dtype: str, listed: list[Variable], held: Mapping[str, StoredTensor]) -> str | None:
    """Return the key of the scalar that is an attribute of the root object."""
    keys = [variable.key for variable in listed if variable.path == path and variable.key in held]
    return next((key for key in keys if held[key].dtype == dtype and held[key].shape == ()), None)
