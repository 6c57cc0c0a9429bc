"""The files by which sentence-transformers describes a sentence vector: read and written as data."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from wellread.checkpoints.names import mismatches, sentence_shapes
from wellread.config import DenseConfig, EncoderConfig, SentenceConfig
from wellread.errors import ConfigError, WeightsError
from wellread.formats.arrays import StoredTensor
from wellread.formats.safetensors import read_safetensors, write_safetensors
from wellread.formats.torch_file import read_torch
from wellread.schema import Keys, KeyTable, account_for, parse_json, read_json, record, write_json

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
ON_SENTENCE: dict[str, list[Any]] = {
    "module_input_name": ["sentence_embedding"],
    "module_output_name": ["sentence_embedding", None],
}
DENSE_KEYS = KeyTable(
    used={key: key for key in ("in_features", "out_features", "bias", "activation_function")},
    required=("in_features", "out_features"),
    fixed={**ON_SENTENCE, "use_residual": [False]},
)
NORMALIZE_KEYS = KeyTable(used={}, fixed=ON_SENTENCE)
DENSE_ACTIVATIONS = {
    "torch.nn.modules.linear.Identity": "identity",
    "torch.nn.modules.activation.Tanh": "tanh",
}
PROMPT_KEYS = KeyTable(
    used={"prompts": "prompts", "default_prompt_name": "default_prompt_name"},
    fixed={
        "model_type": ["SentenceTransformer"],
        "similarity_fn_name": ["cosine", "dot", None],
        "truncate_dim": [None],
    },
    ignored={"__version__": "a note"},
)


# The settings of the encoder, whatever its family.
TRANSFORMER_CONFIGS = ("sentence_bert_config.json", "sentence_distilbert_config.json")
TRANSFORMER_KEYS = KeyTable(
    used={"max_seq_length": "max_seq_length"},
    fixed={
        "do_lower_case": [False],
        "transformer_task": ["feature-extraction"],
        "modality_config": [{"text": {"method": "forward", "method_output_name": "last_hidden_state"}}],
        "module_output_name": ["token_embeddings"],
        "processing_kwargs": [{}],
    },
    ignored={"unpad_inputs": "a choice of kernels, not of arithmetic"},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SentenceFiles:
    """What the directory says of the sentence vector, and the tensors of its linear maps."""

    pooling: str
    dense: tuple[DenseConfig, ...] = ()
    normalize: bool = False
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt_name: str | None = None
    max_seq_length: int | None = None  # none: as the tokenizer says
    tensors: Mapping[str, StoredTensor] = field(default_factory=dict)
    ignored: Mapping[str, str] = field(default_factory=dict)


def read_sentence_files(directory: Path, *, ignore: Collection[str] = ()) -> SentenceFiles | None:
    """Read `modules.json` and what it names, or return None where there is none.

    Raises: ConfigError for a kind, an order or a setting that wellread does not compute; CheckpointError; WeightsError.
    """
    path = directory / "modules.json"
    if not path.is_file():
        return None
    folders = _folders(path)
    pooling = _keys(folders["Pooling"][0], POOLING_KEYS, ignore)
    dense = [_keys(folder, DENSE_KEYS, ignore) for folder in folders["Dense"]]
    normalize = [_keys(folder, NORMALIZE_KEYS, ignore) for folder in folders["Normalize"] if os.path.isdir(folder)]
    prompts = _optional_keys(directory, ("config_sentence_transformers.json",), PROMPT_KEYS, ignore)
    transformer = _optional_keys(directory, TRANSFORMER_CONFIGS, TRANSFORMER_KEYS, ignore)
    tensors: dict[str, StoredTensor] = {}
    for i, folder in enumerate(folders["Dense"]):
        tensors |= {f"sentence.{i}.{name}": tensor for name, tensor in dense_tensors(folder).items()}
    settings = {
        "pooling": _pooling(pooling.used, folders["Pooling"][0]),
        "dense": [_dense(keys.used, folder) for keys, folder in zip(dense, folders["Dense"], strict=True)],
        "normalize": bool(folders["Normalize"]),
        **prompts.used,
        **transformer.used,
    }
    tables = (pooling, *dense, *normalize, prompts, transformer)
    ignored = {key: why for keys in tables for key, why in keys.ignored.items()}
    return replace(record(SentenceFiles, settings, source=directory), tensors=tensors, ignored=ignored)


def _folders(path: Path) -> dict[str, list[Path]]:
    """Read the folders of each kind of module. Raises: ConfigError for a kind or an order that is not computed."""
    try:
        entries = sorted(parse_json(path.read_bytes()), key=lambda entry: entry["idx"])
        modules = [(entry["type"].rsplit(".", 1)[-1], entry["path"]) for entry in entries]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{path} must be a list of modules with idx, path and type; found that {error!r}; fetch the file again"
        ) from None
    for kind, folder in modules:
        if kind not in KINDS:
            raise ConfigError(
                f"{path} names a module {kind!r}; wellread computes {', '.join(KINDS)}; use another model"
            )
        if not isinstance(folder, str) or "/" in folder or "\\" in folder or folder == "..":
            raise ConfigError(f"{path} names the folder {folder!r}; a module lies beside it; correct the path")
    kinds = [kind for kind, _ in modules]
    expected = ["Transformer", "Pooling", *["Dense"] * kinds.count("Dense"), *["Normalize"] * ("Normalize" in kinds)]
    if kinds != expected:
        raise ConfigError(
            f"{path} must chain Transformer, Pooling, then any Dense, then perhaps Normalize; "
            f"found {', '.join(kinds) or 'none'}; wellread computes no other chain"
        )
    if modules[0][1] not in ("", "."):
        raise ConfigError(
            f"{path} must have its Transformer beside it; found it in {modules[0][1]!r}; "
            "move that folder's files up, or save the model again with sentence-transformers"
        )
    return {kind: [path.parent / folder for k, folder in modules if k == kind] for kind in KINDS}


def _keys(folder: Path, table: KeyTable, ignore: Collection[str]) -> Keys:
    """Account for the keys of a module's `config.json`."""
    path = folder / "config.json"
    return account_for(read_json(path), table, source=path, ignore=ignore)


def _optional_keys(directory: Path, names: Collection[str], table: KeyTable, ignore: Collection[str]) -> Keys:
    """Account for the keys of the first of `names` that is there."""
    for path in (directory / name for name in names):
        if path.is_file():
            return account_for(read_json(path), table, source=path, ignore=ignore)
    return Keys(used={}, ignored={})


def _pooling(used: Mapping[str, Any], folder: Path) -> str:
    """Find the one pooling that a switch or `pooling_mode` names."""
    poolings = [pooling for switch, pooling in POOLING_SWITCHES.items() if used.get(switch)]
    poolings += [used["pooling_mode"]] if "pooling_mode" in used else []
    if len(poolings) != 1 or poolings[0] not in POOLING_SWITCHES.values():
        raise ConfigError(
            f"{folder} must choose one of {', '.join(POOLING_SWITCHES.values())}; "
            f"found {reprlib.repr(poolings)}; use another model"
        )
    return str(poolings[0])


def _dense(used: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Describe one linear map under our names; sentence-transformers' default is tanh."""
    shape = dict(used)
    activation = shape.pop("activation_function", "torch.nn.modules.activation.Tanh")
    if not isinstance(activation, str) or activation not in DENSE_ACTIVATIONS:
        raise ConfigError(
            f"{folder} names the activation {reprlib.repr(activation)}; "
            f"wellread computes {', '.join(DENSE_ACTIVATIONS)}; use another model"
        )
    return {**shape, "activation": DENSE_ACTIVATIONS[activation]}


def dense_tensors(folder: Path) -> dict[str, StoredTensor]:
    """Open the `weight` and `bias` of one linear map. Raises: CheckpointError, WeightsError."""
    safe = folder / "model.safetensors"
    stored = read_safetensors(safe) if safe.is_file() else read_torch(folder / "pytorch_model.bin")
    strangers = [name for name in stored if not name.startswith("linear.")]
    if strangers:
        raise WeightsError(
            f"{folder} must hold linear.weight and linear.bias; found {', '.join(strangers)}; remove them"
        )
    return {name.removeprefix("linear."): tensor for name, tensor in stored.items()}


def check_sentence(
    sentence: SentenceConfig, config: EncoderConfig, tensors: Mapping[str, StoredTensor], *, source: object
) -> None:
    """Refuse a sentence vector that does not fit its encoder, or linear maps that are not as `sentence` says.

    Raises: ConfigError; WeightsError that lists every tensor that is missing, surplus or of a wrong shape.
    """
    in_features = sentence.dense[0].in_features if sentence.dense else config.hidden_size
    if in_features != config.hidden_size:
        raise ConfigError(
            f"the first linear map of {source} must take the encoder's {config.hidden_size} features; "
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


def write_sentence_files(directory: Path, sentence: SentenceConfig, arrays: Mapping[str, Any], *, width: int) -> None:
    """Write what `read_sentence_files` reads, so that sentence-transformers opens the directory too.

    `pooled_output` has no name there: the linear maps are written, and no chain.
    """
    for i, dense in enumerate(sentence.dense):
        folder = dense_folder(directory, i)
        folder.mkdir()
        activation = next(theirs for theirs, ours in DENSE_ACTIVATIONS.items() if ours == dense.activation)
        settings = {"in_features": dense.in_features, "out_features": dense.out_features, "bias": dense.bias}
        write_json(folder / "config.json", {**settings, "activation_function": activation})
        prefix = f"sentence.{i}."
        leaves = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
        write_safetensors(folder / "model.safetensors", {f"linear.{leaf}": array for leaf, array in leaves.items()})
    if sentence.pooling == "pooled_output":
        return
    chain = [("", "Transformer"), ("1_Pooling", "Pooling")]
    chain += [(dense_folder(directory, i).name, "Dense") for i in range(len(sentence.dense))]
    chain += [(f"{len(chain)}_Normalize", "Normalize")] if sentence.normalize else []
    modules = [
        {"idx": i, "name": str(i), "path": name, "type": f"sentence_transformers.models.{kind}"}
        for i, (name, kind) in enumerate(chain)
    ]
    switches = {switch: pooling == sentence.pooling for switch, pooling in POOLING_SWITCHES.items()}
    write_json(directory / "modules.json", modules)
    (directory / "1_Pooling").mkdir()
    write_json(directory / "1_Pooling" / "config.json", {"word_embedding_dimension": width, **switches})
    write_json(
        directory / "config_sentence_transformers.json",
        {"prompts": dict(sentence.prompts), "default_prompt_name": sentence.default_prompt_name},
    )
    transformer = {"max_seq_length": sentence.max_seq_length, "do_lower_case": False}
    write_json(directory / TRANSFORMER_CONFIGS[0], transformer)


def dense_folder(directory: Path, i: int) -> Path:
    """Name the folder of the i-th linear map, counted from 0."""
    return directory / f"{i + 2}_Dense"
