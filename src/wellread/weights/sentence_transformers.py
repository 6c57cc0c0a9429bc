"""The files by which sentence-transformers describes pooling, linear maps and normalisation: read and written as data."""

from __future__ import annotations

import reprlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wellread.config import DenseConfig, EncoderConfig, SentenceConfig
from wellread.errors import ConfigError, WeightsError
from wellread.weights.keys import Keys, KeyTable, account_for, read_json, write_json
from wellread.weights.names import mismatches, sentence_shapes
from wellread.weights.records import record
from wellread.weights.safetensors import read_safetensors, write_safetensors
from wellread.weights.stored import StoredTensor
from wellread.weights.torch_zip import read_torch

KINDS = ("Transformer", "Pooling", "Dense", "Normalize")  # the last word of a module's type; the path is never resolved
# Old keys, one switch a pooling, and the new `pooling_mode`, which names it.
POOLING_SWITCHES = {"pooling_mode_cls_token": "cls", "pooling_mode_mean_tokens": "mean"}
POOLING_KEYS = KeyTable(
    used={**{key: key for key in POOLING_SWITCHES}, "pooling_mode": "pooling_mode"},
    fixed={
        "include_prompt": [True],
        "pooling_mode_max_tokens": [False],
        "pooling_mode_mean_sqrt_len_tokens": [False],
        "pooling_mode_weightedmean_tokens": [False],
        "pooling_mode_lasttoken": [False],
    },
    ignored={
        "word_embedding_dimension": "the encoder's own width is used",
        "embedding_dimension": "the encoder's own width is used",
    },
)
DENSE_KEYS = KeyTable(
    used={key: key for key in ("in_features", "out_features", "bias", "activation_function")},
    required=("in_features", "out_features"),
    fixed={"module_input_name": ["sentence_embedding"], "module_output_name": ["sentence_embedding"]},
)
DENSE_ACTIVATIONS = {
    "torch.nn.modules.linear.Identity": "identity",
    "torch.nn.modules.activation.Tanh": "tanh",
}
PROMPT_KEYS = KeyTable(
    used={"prompts": "prompts", "default_prompt_name": "default_prompt_name"},
    fixed={"model_type": ["SentenceTransformer"], "similarity_fn_name": ["cosine", "dot", None], "truncate_dim": [None]},
    ignored={"__version__": "a note"},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SentenceFiles:
    """What the directory says of the sentence vector, and the tensors of its linear maps."""

    pooling: str
    dense: tuple[DenseConfig, ...] = ()
    normalize: bool = False
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt_name: str | None = None
    tensors: Mapping[str, StoredTensor] = field(default_factory=dict)


def read_sentence_files(directory: Path, *, ignore: Collection[str] = ()) -> SentenceFiles | None:
    """Read `modules.json` and what it names, or return None where there is none.

    Raises: ConfigError for a kind, an order or a setting that wellread does not compute; CheckpointError; WeightsError.
    """
    path = directory / "modules.json"
    if not path.is_file():
        return None
    modules = _modules(path)
    kinds = [kind for kind, _ in modules]
    expected = ["Transformer", "Pooling", *["Dense"] * kinds.count("Dense"), *["Normalize"] * ("Normalize" in kinds)]
    if kinds != expected:
        raise ConfigError(
            f"{path} must chain Transformer, Pooling, then any Dense, then perhaps Normalize; "
            f"found {', '.join(kinds)}; wellread computes no other chain"
        )
    folders = {kind: [directory / folder for k, folder in modules if k == kind] for kind in KINDS}
    dense = tuple(_dense(folder, ignore) for folder in folders["Dense"])
    tensors: dict[str, StoredTensor] = {}
    for i, folder in enumerate(folders["Dense"]):
        tensors |= {f"sentence.{i}.{name}": tensor for name, tensor in dense_tensors(folder).items()}
    return SentenceFiles(
        pooling=_pooling(folders["Pooling"][0] / "config.json", ignore),
        dense=dense,
        normalize=bool(folders["Normalize"]),
        tensors=tensors,
        **_prompts(directory / "config_sentence_transformers.json", ignore),
    )


def _modules(path: Path) -> list[tuple[str, str]]:
    """Read kind and folder of every module, in order."""
    try:
        entries = sorted(json.loads(path.read_bytes()), key=lambda entry: entry["idx"])
        modules = [(entry["type"].rsplit(".", 1)[-1], entry["path"]) for entry in entries]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{path} must be a list of modules with idx, path and type; found that {error!r}; fetch the file again"
        ) from None
    for kind, folder in modules:
        if kind not in KINDS:
            raise ConfigError(f"{path} names a module {kind!r}; wellread computes {', '.join(KINDS)}; use another model")
        if not isinstance(folder, str) or "/" in folder or "\\" in folder or folder in (".", ".."):
            raise ConfigError(f"{path} names the folder {folder!r}; a module lies beside it; correct the path")
    return modules


def _pooling(path: Path, ignore: Collection[str]) -> str:
    used = account_for(read_json(path), POOLING_KEYS, source=path, ignore=ignore).used
    chosen = [pooling for switch, pooling in POOLING_SWITCHES.items() if used.get(switch)]
    chosen += [used["pooling_mode"]] if "pooling_mode" in used else []
    if len(chosen) != 1 or chosen[0] not in POOLING_SWITCHES.values():
        raise ConfigError(
            f"{path} must choose one of {', '.join(POOLING_SWITCHES.values())}; "
            f"found {', '.join(map(str, chosen)) or 'none'}; use another model"
        )
    return str(chosen[0])


def _dense(folder: Path, ignore: Collection[str]) -> DenseConfig:
    path = folder / "config.json"
    used = dict(account_for(read_json(path), DENSE_KEYS, source=path, ignore=ignore).used)
    activation = used.pop("activation_function", "torch.nn.modules.activation.Tanh")
    if activation not in DENSE_ACTIVATIONS:
        raise ConfigError(
            f"{path} names the activation {activation!r}; wellread computes {', '.join(DENSE_ACTIVATIONS)}; "
            "use another model"
        )
    return DenseConfig(**used, activation=DENSE_ACTIVATIONS[activation])


def dense_tensors(folder: Path) -> dict[str, StoredTensor]:
    """Open the `weight` and `bias` of one linear map. Raises: CheckpointError, WeightsError."""
    safe = folder / "model.safetensors"
    stored = read_safetensors(safe) if safe.is_file() else read_torch(folder / "pytorch_model.bin")
    strangers = [name for name in stored if not name.startswith("linear.")]
    if strangers:
        raise WeightsError(f"{folder} must hold linear.weight and linear.bias; found {', '.join(strangers)}; remove them")
    return {name.removeprefix("linear."): tensor for name, tensor in stored.items()}


def check_dense_tensors(sentence: SentenceConfig, tensors: Mapping[str, StoredTensor], *, source: Path) -> None:
    """Refuse linear maps whose tensors are not as `sentence` says. Raises: WeightsError that lists them all."""
    expected = sentence_shapes(sentence)
    faults = [f"{name} is missing" for name in expected if name not in tensors]
    faults += [f"{name} is surplus" for name in tensors if name not in expected]
    faults += [
        f"{name} has shape {list(tensors[name].shape)} where the configuration says {list(shape)}"
        for name, shape in expected.items()
        if name in tensors and tensors[name].shape != shape
    ]
    if faults:
        raise WeightsError(
            f"the linear maps of {source} must fit their configuration; found that {'; '.join(faults)}; fetch them again"
        )


def _prompts(path: Path, ignore: Collection[str]) -> dict[str, Any]:
    if not path.is_file():
        return {}
    return dict(account_for(read_json(path), PROMPT_KEYS, source=path, ignore=ignore).used)


def write_sentence_files(directory: Path, sentence: SentenceConfig, arrays: Mapping[str, Any], *, width: int) -> None:
    """Write what `read_sentence_files` reads, so that sentence-transformers opens the directory too.

    `pooled_output` has no name there: the linear maps are written, and no chain.
    """
    for i, dense in enumerate(sentence.dense):
        _write_dense(dense_folder(directory, i), dense, arrays, f"sentence.{i}.")
    if sentence.pooling == "pooled_output":
        return
    chain = [("", "Transformer"), ("1_Pooling", "Pooling")]
    chain += [(dense_folder(directory, i).name, "Dense") for i in range(len(sentence.dense))]
    chain += [(f"{len(chain)}_Normalize", "Normalize")] if sentence.normalize else []
    modules = [
        {"idx": i, "name": str(i), "path": folder, "type": f"sentence_transformers.models.{kind}"}
        for i, (folder, kind) in enumerate(chain)
    ]
    switches = {switch: pooling == sentence.pooling for switch, pooling in POOLING_SWITCHES.items()}
    write_json(directory / "modules.json", modules)
    (directory / "1_Pooling").mkdir()
    write_json(directory / "1_Pooling" / "config.json", {"word_embedding_dimension": width, **switches})
    write_json(
        directory / "config_sentence_transformers.json",
        {"prompts": dict(sentence.prompts), "default_prompt_name": sentence.default_prompt_name},
    )
    lengths = {"max_seq_length": sentence.max_seq_length, "do_lower_case": False}
    write_json(directory / "sentence_bert_config.json", lengths)


def dense_folder(directory: Path, i: int) -> Path:
    """Name the folder of the i-th linear map, counted from 0."""
    return directory / f"{i + 2}_Dense"


def _write_dense(folder: Path, dense: DenseConfig, arrays: Mapping[str, Any], prefix: str) -> None:
    folder.mkdir()
    activation = next(theirs for theirs, ours in DENSE_ACTIVATIONS.items() if ours == dense.activation)
    settings = {"in_features": dense.in_features, "out_features": dense.out_features, "bias": dense.bias}
    write_json(folder / "config.json", {**settings, "activation_function": activation})
    own = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
    write_safetensors(folder / "model.safetensors", {f"linear.{leaf}": array for leaf, array in own.items()})
