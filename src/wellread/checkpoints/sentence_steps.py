"""The steps behind the pooling of a sentence vector, as sentence-transformers files them: read and written."""

from __future__ import annotations

import reprlib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wellread.checkpoints.names import mismatches, sentence_shapes
from wellread.config import DenseConfig, EncoderConfig, SentenceConfig
from wellread.errors import ConfigError, WeightsError
from wellread.formats.arrays import StoredTensor
from wellread.formats.safetensors import read_safetensors, write_safetensors
from wellread.schema import KeyTable, write_json

if TYPE_CHECKING:
    from wellread.checkpoints.sentence_modules import ModuleEntry

ON_SENTENCE: dict[str, list[Any]] = {
    "module_input_name": ["sentence_embedding"],
    "module_output_name": ["sentence_embedding", None],
}
UNREAD = {"*": "sentence-transformers reads no such key"}  # of files in which it passes such keys over too
# What a step's own file may say.
STEP_KEYS = {
    "Dense": KeyTable(
        used={
            **{key: key for key in ("in_features", "out_features", "bias", "activation_function")},
            "use_residual": "residual",
        },
        required=("in_features", "out_features"),
        fixed=ON_SENTENCE,
        patterns=UNREAD,
    ),
    "LayerNorm": KeyTable(used={"dimension": "dimension"}, required=("dimension",), patterns=UNREAD),
    "Normalize": KeyTable(used={}, fixed=ON_SENTENCE, patterns=UNREAD),
    "Dropout": KeyTable(used={}, ignored={"dropout": "for training"}, patterns=UNREAD),
}
# How the tensors of a step begin, and what stands in place of it behind `sentence.{i}.`.
STEP_TENSORS = {"Dense": {"linear.": "", "residual.": "residual."}, "LayerNorm": {"norm.": ""}}
STEP_CLASSES = {"dense": "Dense", "layer_norm": "LayerNorm", "normalize": "Normalize"}  # our kind -> theirs
# torch's classes, as any of the packages that export them; sentence-transformers makes them without arguments.
TORCH_ACTIVATIONS = {
    "Identity": "identity",
    "Tanh": "tanh",
    "ReLU": "relu",
    "GELU": "gelu",
    "Sigmoid": "sigmoid",
    "SiLU": "silu",
    "LeakyReLU": "leaky_relu",
    "ELU": "elu",
    "SELU": "selu",
    "ReLU6": "relu6",
    "Softplus": "softplus",
    "Mish": "mish",
    "Softsign": "softsign",
    "Hardtanh": "hardtanh",
    "Hardswish": "hardswish",
}
TORCH_HOMES = ("torch.nn.modules.activation", "torch.nn.modules.linear", "torch.nn.modules", "torch.nn")

Step = tuple["ModuleEntry", Mapping[str, Any]]  # with the keys of its file, under our names


def effective(steps: Iterable[Step]) -> list[Step]:
    """Leave out what changes nothing: Dropout, and a Normalize right behind another."""
    kept: list[Step] = []
    for step, keys in steps:
        repeated = bool(kept) and step.kind == kept[-1][0].kind == "Normalize"
        if step.kind != "Dropout" and not repeated:
            kept.append((step, keys))
    return kept


def described(steps: Collection[Step]) -> list[dict[str, Any]]:
    """Describe steps under our names; a Normalize, which says no width, has that of the step behind it."""
    backwards: list[dict[str, Any]] = []
    for step, keys in reversed(list(steps)):
        if step.kind == "Normalize":
            width = backwards[-1].get("in_features")
            backwards.append({"kind": "normalize", "in_features": width, "out_features": width})
        elif step.kind == "LayerNorm":
            width = keys["dimension"]
            backwards.append({"kind": "layer_norm", "in_features": width, "out_features": width})
        else:
            named = {key: value for key, value in keys.items() if key != "activation_function"}
            backwards.append({**named, "activation": _activation(keys, step.folder)})
    return backwards[::-1]


def _activation(keys: Mapping[str, Any], folder: Path) -> str:
    """Name the activation behind a linear map; sentence-transformers' default is tanh."""
    given = keys.get("activation_function", "torch.nn.modules.activation.Tanh")
    home, _, name = given.rpartition(".") if isinstance(given, str) else ("", "", "")
    if home not in TORCH_HOMES or name not in TORCH_ACTIVATIONS:
        raise ConfigError(
            f"{folder} names the activation {reprlib.repr(given)}; wellread computes {', '.join(TORCH_ACTIVATIONS)} "
            "of torch.nn; use another model"
        )
    return TORCH_ACTIVATIONS[name]


def step_tensors(folder: Path, kind: str) -> dict[str, StoredTensor]:
    """Open the tensors of one step of a kind, under our names behind `sentence.{i}.`; none where it has none.

    Raises: CheckpointError, WeightsError.
    """
    if kind not in STEP_TENSORS:
        return {}
    safe = folder / "model.safetensors"
    if safe.is_file():
        stored = read_safetensors(safe)
    else:
        from wellread.formats.torch_file import read_torch  # rare, and not quickly imported

        stored = read_torch(folder / "pytorch_model.bin")
    prefixes = STEP_TENSORS[kind]
    named = {
        ours + name.removeprefix(theirs): tensor
        for name, tensor in stored.items()
        for theirs, ours in prefixes.items()
        if name.startswith(theirs)
    }
    strangers = [name for name in stored if not name.startswith(tuple(prefixes))]
    if strangers:
        first = next(iter(prefixes))
        raise WeightsError(
            f"{folder} must hold {first}weight and {first}bias; found {', '.join(strangers)}; remove them"
        )
    return named


def write_step(folder: Path, dense: DenseConfig, arrays: Mapping[str, Any], prefix: str) -> None:
    """Write the folder of one step; a Normalize needs none."""
    if not dense.has_weights:
        return
    folder.mkdir()
    kind = STEP_CLASSES[dense.kind]
    if dense.kind == "dense":
        activation = next(name for name, ours in TORCH_ACTIVATIONS.items() if ours == dense.activation)
        home = TORCH_HOMES[1 if dense.activation == "identity" else 0]
        settings: dict[str, Any] = {"in_features": dense.in_features, "out_features": dense.out_features}
        settings |= {"bias": dense.bias, "activation_function": f"{home}.{activation}"}
        settings |= {"use_residual": True} if dense.residual else {}
    else:
        settings = {"dimension": dense.in_features}
    write_json(folder / "config.json", settings)
    leaves = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
    theirs = {leaf: next(iter(STEP_TENSORS[kind])) + leaf for leaf in leaves} | {"residual.weight": "residual.weight"}
    write_safetensors(folder / "model.safetensors", {theirs[leaf]: array for leaf, array in leaves.items()})


def step_folder(directory: Path, sentence: SentenceConfig, i: int) -> Path:
    """Name the folder of the i-th step behind the pooling, counted from 0."""
    return directory / f"{i + 2}_{STEP_CLASSES[sentence.dense[i].kind]}"


def read_steps(directory: Path, sentence: SentenceConfig) -> dict[str, StoredTensor]:
    """Open the tensors of every step that `write_sentence_files` wrote. Raises: CheckpointError, WeightsError."""
    return {
        f"sentence.{i}.{leaf}": tensor
        for i, dense in enumerate(sentence.dense)
        for leaf, tensor in step_tensors(step_folder(directory, sentence, i), STEP_CLASSES[dense.kind]).items()
    }


def step_files(sentence: SentenceConfig) -> list[str]:
    """Name the files of those tensors."""
    weighted = [i for i, dense in enumerate(sentence.dense) if dense.has_weights]
    return [f"{step_folder(Path(), sentence, i)}/model.safetensors" for i in weighted]


def check_sentence(
    sentence: SentenceConfig, config: EncoderConfig, tensors: Mapping[str, StoredTensor], *, source: object
) -> None:
    """Refuse a sentence vector that does not fit its encoder, or linear maps that are not as `sentence` says.

    Raises: ConfigError; WeightsError that lists every tensor that is missing, surplus or of a wrong shape.
    """
    width = config.hidden_size * len(sentence.poolings)
    in_features = sentence.dense[0].in_features if sentence.dense else width
    if in_features != width:
        raise ConfigError(
            f"the first linear map of {source} must take the encoder's {width} features; "
            f"it takes {in_features}; correct one of them"
        )
    if sentence.max_seq_length > config.max_length:
        raise ConfigError(
            f"max_seq_length of {source} must be at most the {config.max_length} rows of the position "
            f"table; found {sentence.max_seq_length}; correct it"
        )
    faults = mismatches(sentence_shapes(sentence), tensors)
    if faults:
        raise WeightsError(
            f"the linear maps of {source} must fit their configuration; found that {'; '.join(faults)}; "
            "fetch them again"
        )
