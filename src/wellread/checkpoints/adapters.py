"""A LoRA adapter (Hu et al. 2021), as PEFT saves it: read, and merged into the encoder that it was trained on."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wellread.checkpoints.checkpoint import Array, Checkpoint
from wellread.checkpoints.families import FAMILIES
from wellread.checkpoints.names import ANOTHERS, head_shapes, mismatches, sentence_shapes, shapes, warn_unused
from wellread.checkpoints.task_head import CLASSES, COUNT, head_from_config
from wellread.config import HEADS
from wellread.dataclass import dataclass
from wellread.errors import CheckpointError, ConfigError, WeightsError, some
from wellread.formats.arrays import StoredTensor
from wellread.formats.safetensors import read_safetensors
from wellread.formats.torch_file import read_torch
from wellread.schema import KeyTable, account_for, is_named, read_json, record

CONFIG = "adapter_config.json"
_WEIGHTS = {"adapter_model.safetensors": read_safetensors, "adapter_model.bin": read_torch}
_TELL = "the adapter's tensors tell which maps it changes"
_TRAINING = "a setting of training runs"
_DRAWN = [True, False, None, "gaussian", "orthogonal", "eva"]  # initialisations that leave the base as it is
KEYS = KeyTable(
    used={
        key: key
        for key in (
            *("peft_type", "base_model_name_or_path", "revision", "task_type", "r", "lora_alpha", "use_rslora"),
            *("rank_pattern", "alpha_pattern"),
        )
    },
    required=("peft_type",),
    nullable=("use_rslora", "rank_pattern", "alpha_pattern"),
    fixed={"use_dora": [False, None], "init_lora_weights": _DRAWN},
    ignored={
        **dict.fromkeys(
            """
            target_modules exclude_modules layers_to_transform layers_pattern modules_to_save bias lora_bias
            ensure_weight_tying
            """.split(),
            _TELL,
        ),
        **dict.fromkeys(("lora_dropout", "inference_mode", "ephemeral_gpu_offload", "runtime_config"), _TRAINING),
        **dict.fromkeys(("loftq_config", "eva_config", "corda_config", "lora_ga_config"), "of fresh adapters"),
        "auto_mapping": "names classes, which are never resolved",
        "fan_in_fan_out": "a map's weight is [out, in] in every family here, as PEFT finds too",
        "megatron_core": "counts with megatron_config alone",
        "peft_version": "a note",
        "qalora_group_size": "counts with use_qalora alone",
    },
    patterns={"*": None},
)
HEAD_CLASSES = {  # PEFT's names of tasks, and the endings of Hugging Face's classes
    "SEQ_CLS": "ForSequenceClassification",
    "TOKEN_CLS": "ForTokenClassification",
    "QUESTION_ANS": "ForQuestionAnswering",
}
WRAPPER = "base_model.model."
# A tensor's name behind the module that it changes; the name of the adapter may stand in it.
_LORA = re.compile(
    r"(?P<module>.+)\.lora_(?P<side>(embedding_)?[AB])(\.(?!weight$|bias$)[^.]+)?(\.(?P<leaf>weight|bias))?"
)
_PARTS: dict[tuple[str, str | None], str] = {
    ("A", "weight"): "A",
    ("B", "weight"): "B",
    ("B", "bias"): "bias",
    ("embedding_A", None): "A",
    ("embedding_B", None): "B",
}
_WRAPPED = re.compile(r"\.(base_layer|modules_to_save(\.(?!weight$|bias$)[^.]+(?=\.(weight|bias)$))?)(?=\.)")
_PLAIN = re.compile(r"[\w.\\^$|\[\]()-]*(?:(?<!\))[*+][\w.\\^$|\[\]()-]*){0,2}")  # expressions that cannot explode
_MAX_PATTERN = 200  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraConfig:
    """What adapter_config.json says of a LoRA."""

    peft_type: str
    base_model_name_or_path: str | None = None
    revision: str | None = None  # of the base, on the hub
    task_type: str | None = None
    r: int = 8  # its rank
    lora_alpha: float = 8
    use_rslora: bool = False  # whether the scale is alpha / sqrt(r) instead of alpha / r
    rank_pattern: Mapping[str, int] = field(default_factory=dict)  # a pattern of modules -> their rank
    alpha_pattern: Mapping[str, float] = field(default_factory=dict)

    def rank(self, module: str) -> int:
        """Return the rank of the adapter of a module."""
        return next((value for key, value in self.rank_pattern.items() if _is_of(key, module)), self.r)

    def scale(self, module: str) -> float:
        """Return what the product of the two matrices of a module is multiplied by."""
        alpha = next((value for key, value in self.alpha_pattern.items() if _is_of(key, module)), self.lora_alpha)
        rank = self.rank(module)
        return alpha / (math.sqrt(rank) if self.use_rslora else rank)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """An adapter in memory."""

    directory: Path
    config: LoraConfig
    tensors: Mapping[str, StoredTensor]
    ignored: Mapping[str, str]


def read_adapter(directory: Path, *, ignore: Collection[str] = ()) -> Adapter:
    """Read configuration and tensors of an adapter.

    Raises: ConfigError for another kind than LoRA, or a setting that is not computed; CheckpointError.
    """
    path = directory / CONFIG
    data = read_json(path)
    kind = data.get("peft_type")
    if kind != "LORA":
        found = f"one of {kind}" if isinstance(kind, str) else "no peft_type, as in files of adapter-transformers"
        raise ConfigError(
            f"a LoRA adapter was asked of {path}; found {found}; merge it with the library that it was made with "
            "(merge_and_unload, where the kind can be merged) and save the whole model"
        )
    keys = account_for(data, KEYS, source=path, ignore=ignore)
    config = record(LoraConfig, keys.used, source=path)
    wrong = [f"rank {rank}" for rank in (config.r, *config.rank_pattern.values()) if rank < 1]
    wrong += [
        f"the pattern {key[:60]!r}" for key in (*config.rank_pattern, *config.alpha_pattern) if not _is_plain(key)
    ]
    if wrong:
        raise ConfigError(
            f"the ranks of {path} must be above 0, and its patterns simple; found {some(wrong)}; correct the file"
        )
    name = next((name for name in _WEIGHTS if (directory / name).is_file()), None)
    if name is None:
        raise CheckpointError(
            f"an adapter's weights were asked of {directory}; found none of {', '.join(_WEIGHTS)}; fetch it again"
        )
    return Adapter(
        directory=directory, config=config, tensors=_WEIGHTS[name](directory / name), ignored=dict(keys.ignored)
    )


def merge(adapter: Adapter, base: Checkpoint, *, base_name: str, ignore: Collection[str] = ()) -> Checkpoint:
    """Merge an adapter into its base: W + scale x B A, and the tensors that it holds whole instead of the base's.

    Raises: WeightsError where ranks or shapes do not fit, or a module is none of the base's.
    """
    sorted_tensors = _sorted(adapter)
    base = _with_head(adapter, base, sorted_tensors.whole)
    family = FAMILIES[base.family]
    names = {theirs: ours for ours, theirs in family.theirs(base.config, mlm=base.has_mlm, head=base.head).items()}
    tensors = dict(base.tensors)
    faults: list[str] = []
    for module, matrices in sorted_tensors.pairs.items():
        weight = _ours(f"{module}.weight", names)
        if weight is None or weight not in tensors:
            faults.append(f"the base has no {module}")
        elif fault := _misfit(matrices, tensors[weight].shape, adapter.config.rank(module)):
            faults.append(f"{module} {fault}")
        else:
            tensors[weight] = _added(tensors[weight], matrices, adapter.config.scale(module))
            bias = _ours(f"{module}.bias", names)
            if matrices.bias is not None and bias is not None:
                tensors[bias] = _shifted(tensors[bias], matrices.bias, adapter.config.scale(module))
    unused: dict[str, str] = {}
    for name, tensor in sorted_tensors.whole.items():
        ours = _ours(name, names)
        if ours is not None:
            tensors[ours] = tensor
        else:
            unused[name] = ANOTHERS
    faults += [] if faults else _shape_faults(base, tensors)
    if faults:
        raise WeightsError(
            f"the adapter {adapter.directory} must fit its base {base_name}; found that {_listed(faults)}; name the "
            "base that it was trained on, or fetch both again"
        )
    told = [name for name in unused if not is_named(name, ignore)]
    warn_unused(told, adapter.directory)
    ranks = some([str(rank) for rank in sorted({adapter.config.rank(module) for module in sorted_tensors.pairs})])
    note = f"LoRA of rank {ranks or 0} in {len(sorted_tensors.pairs)} maps, merged into {base_name}"
    return replace(
        base,
        tensors=tensors,
        ignored={**base.ignored, **adapter.ignored, **unused},
        inferred={**base.inferred, "adapter": note},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrices:
    """The two matrices of a module: A [r, in] and B [out, r]; of an embedding [r, rows] and [width, r]."""

    a: StoredTensor
    b: StoredTensor
    bias: StoredTensor | None  # of B
    of_table: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SortedTensors:
    """An adapter's tensors: the matrices of each module, and those that replace the base's."""

    pairs: Mapping[str, Matrices]
    whole: Mapping[str, StoredTensor]


def _sorted(adapter: Adapter) -> SortedTensors:
    """Sort the tensors of an adapter. Raises: WeightsError for what is none of a plain LoRA's."""
    parts: dict[str, dict[str, StoredTensor]] = {}  # module -> A, B, bias
    tables: set[str] = set()
    whole: dict[str, StoredTensor] = {}
    faults = []
    for name, tensor in adapter.tensors.items():
        plain = _WRAPPED.sub("", name.removeprefix(WRAPPER))
        match = _LORA.fullmatch(plain)
        part = _PARTS.get((match["side"], match["leaf"])) if match else None
        if match is None and "lora_" not in plain:
            whole[plain] = tensor
        elif match is None or part is None:
            faults.append(f"{name} is none of a LoRA's matrices")
        elif part in parts.setdefault(match["module"], {}):
            faults.append(f"{name} is of a second adapter")
        else:
            parts[match["module"]][part] = tensor
            tables |= {match["module"]} if match["leaf"] is None else set()
    faults += [f"{module} has one matrix of two" for module, each in parts.items() if not {"A", "B"} <= each.keys()]
    if faults or not (parts or whole):
        raise WeightsError(
            f"the matrices of one LoRA were asked of {adapter.directory}; found that {_listed(faults) or 'it has none'}"
            "; fetch the adapter again, or merge it with PEFT"
        )
    pairs = {
        module: Matrices(a=each["A"], b=each["B"], bias=each.get("bias"), of_table=module in tables)
        for module, each in parts.items()
    }
    return SortedTensors(pairs=pairs, whole=whole)


def _with_head(adapter: Adapter, base: Checkpoint, whole: Mapping[str, StoredTensor]) -> Checkpoint:
    """Give the base the pooler and the head that the adapter brings, their tensors still to be put there."""
    family = FAMILIES[base.family]
    config = base.config
    brings_pooler = any(f".{name}".endswith(".pooler.dense.weight") for name in whole)
    if brings_pooler and config.pooler == "first_token" and "pooler" not in family.constants:
        config = replace(config, pooler="dense_tanh")
    suffix = HEAD_CLASSES.get(str(adapter.config.task_type))
    kind = next((kind for kind in family.heads if HEADS[kind.task].huggingface == suffix), None) if suffix else None
    if kind is None:
        return replace(base, config=config)
    last = f"{HEADS[kind.task].tensors}.weight"
    last = kind.rows.get(last, last)
    rows = next((tensor.shape[0] for name, tensor in whole.items() if name == last and tensor.shape), None)
    if rows is None or (base.head is not None and base.head.outputs == rows and family.head_class(base.head) == kind):
        return replace(base, config=config)
    data = {CLASSES: [family.head_architecture(kind)], COUNT: rows}
    found = head_from_config(family, config, data, whole, source=adapter.directory / CONFIG)
    without = {name: tensor for name, tensor in base.tensors.items() if name not in head_shapes(config, base.head)}
    ignored = {name: why for name, why in base.ignored.items() if name not in whole} | dict(found.ignored)
    inferred = {**base.inferred, **found.inferred}
    return replace(base, config=config, head=found.head, tensors=without, ignored=ignored, inferred=inferred)


def _shape_faults(base: Checkpoint, tensors: Mapping[str, StoredTensor]) -> list[str]:
    expected = shapes(base.config, mlm=base.has_mlm) | head_shapes(base.config, base.head)
    return mismatches(expected | sentence_shapes(base.sentence), tensors)


def _listed(faults: list[str], limit: int = 5) -> str:
    """List the first few faults and count the others."""
    more = f" and {len(faults) - limit} more" if len(faults) > limit else ""
    return f"{'; '.join(fault[:300] for fault in faults[:limit])}{more}"


def _ours(name: str, names: Mapping[str, str]) -> str | None:
    """Return our name of a tensor, whatever wrapper's names stand before its own."""
    parts = name.split(".")
    candidates = (".".join(parts[i:]) for i in range(len(parts) - 1))
    return next((names[candidate] for candidate in candidates if candidate in names), None)


def _misfit(matrices: Matrices, shape: tuple[int, ...], rank: int) -> str | None:
    """Say how the matrices of a module do not fit a weight, or each other."""
    if len(shape) != 2:
        return f"is no map: the base's weight is of shape {list(shape)}"
    out, width = shape[::-1] if matrices.of_table else shape
    if (matrices.a.shape, matrices.b.shape) == ((rank, width), (out, rank)):
        return None
    return (
        f"has matrices of {list(matrices.a.shape)} and {list(matrices.b.shape)} where rank {rank} and the base's "
        f"{list(shape)} make {[rank, width]} and {[out, rank]}"
    )


def _added(weight: StoredTensor, matrices: Matrices, scale: float) -> StoredTensor:
    def read() -> Array:
        product = _floats(matrices.b) @ _floats(matrices.a)
        return _floats(weight) + np.float32(scale) * (product.T if matrices.of_table else product)

    return StoredTensor(shape=weight.shape, dtype="float32", read=read)


def _shifted(bias: StoredTensor, shift: StoredTensor, scale: float) -> StoredTensor:
    return StoredTensor(
        shape=bias.shape, dtype="float32", read=lambda: _floats(bias) + np.float32(scale) * _floats(shift)
    )


def _floats(tensor: StoredTensor) -> NDArray[np.float32]:
    return np.asarray(tensor.read(), np.float32)


def _is_plain(pattern: str) -> bool:
    """Say whether a regular expression can be matched in a moment, and is one at all."""
    if len(pattern) > _MAX_PATTERN or not _PLAIN.fullmatch(pattern):
        return False
    try:
        re.compile(pattern)
    except (re.error, RecursionError):
        return False
    return True


def _is_of(pattern: str, module: str) -> bool:
    """Say whether a pattern of ranks stands for a module: its whole name, or the end of it from a dot on."""
    return re.match(rf"(.*\.)?({pattern})$", module) is not None
