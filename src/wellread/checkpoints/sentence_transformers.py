"""The files by which sentence-transformers describes a sentence vector: read and written as data."""

from __future__ import annotations

import reprlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import Any

from wellread.checkpoints.sentence_modules import NAME, read_modules
from wellread.checkpoints.sentence_steps import (
    STEP_CLASSES,
    STEP_KEYS,
    UNREAD,
    described,
    effective,
    step_folder,
    step_tensors,
    write_step,
)
from wellread.checkpoints.task_head import MODEL_CONFIG
from wellread.config import DenseConfig, SentenceConfig
from wellread.dataclass import dataclass
from wellread.errors import ConfigError
from wellread.formats.arrays import StoredTensor
from wellread.schema import Keys, KeyTable, account_for, read_json, record, write_json

# Old keys, one switch a pooling, and the new `pooling_mode`, which names it or several. Switches have this order.
POOLING_SWITCHES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
ALWAYS_WRITTEN = ("cls", "mean")  # their switches stand in every file
POOLING_KEYS = KeyTable(
    used={key: key for key in (*POOLING_SWITCHES, "pooling_mode", "include_prompt")},
    ignored=dict.fromkeys(("word_embedding_dimension", "embedding_dimension"), "the encoder's own width is used"),
)
PROMPT_KEYS = KeyTable(
    used={key: key for key in ("prompts", "default_prompt_name", "similarity_fn_name", "truncate_dim")},
    fixed={"model_type": ["SentenceTransformer"]},
    ignored={"__version__": "a note"},
    patterns=UNREAD,
)
DEFAULT_PROMPTS = ("query", "document")  # sentence-transformers has these whatever the file says: empty

# The settings of the encoder, under a name for each body of before version 1.
BODIES = ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet", "electra", "mpnet")
TRANSFORMER_CONFIGS = tuple(f"sentence_{body}_config.json" for body in BODIES)
TRANSFORMER_KEYS = KeyTable(
    used={"max_seq_length": "max_seq_length", "do_lower_case": "do_lower_case"},
    fixed={
        "transformer_task": ["feature-extraction"],
        "modality_config": [{"text": {"method": "forward", "method_output_name": "last_hidden_state"}}],
        "module_output_name": ["token_embeddings"],
        "processing_kwargs": [{}, None],
        "tokenizer_name_or_path": [None],
        **{key: [None] for key in ("query_length", "document_length", "query_expansion")},
    },
    ignored={
        "unpad_inputs": "a choice of kernels, not of arithmetic",
        "cache_dir": "a path elsewhere",
        "backend": "a choice of the caller",
    },
)
# Of a cross-encoder, whose activation is its head's.
CROSS_ENCODER_KEYS = KeyTable(
    used={"activation_fn": "activation_fn"},
    fixed={"model_type": ["CrossEncoder"], "default_prompt_name": [None]},
    ignored={
        "__version__": "a note",
        "keep_in_fp32_modules": "scores are computed in float32 where that is asked for",
        "prompts": "put before texts only where they are asked for by name",
    },
    patterns=UNREAD,
)
CROSS_ENCODER_TRANSFORMER = {
    "transformer_task": ["sequence-classification"],
    "modality_config": [{"text": {"method": "forward", "method_output_name": "logits"}}],
    "module_output_name": ["scores"],
}
LOADING = "an argument of loading; wellread has its own"
_LOADING = (
    *("trust_remote_code", "torch_dtype", "dtype", "attn_implementation", "device_map", "low_cpu_mem_usage", "token"),
    *("use_safetensors", "cache_dir", "local_files_only", "use_auth_token", "force_download", "proxies", "revision"),
    *("add_pooling_layer", "output_attentions", "output_hidden_states", "output_loading_info", "return_dict"),
    *("use_cache", "use_fast", "legacy", "clean_up_tokenization_spaces", "code_revision", "max_memory"),
)
# Of the arguments of a model's loader those that choose other weights, or quantise them; the others choose kernels.
_OF_WEIGHTS = dict.fromkeys(("*quant*", "load_in_*", "subfolder", "variant", "gguf*", "*adapter*", "*mapping*"))
# What stands in `model_args` and its like is passed to transformers' loaders; what is not listed may change the model.
LOADER_KEYS = {
    **{
        name: KeyTable(used={}, ignored=dict.fromkeys(_LOADING, LOADING), patterns=patterns)
        for names, patterns in (
            (("model_args", "model_kwargs"), _OF_WEIGHTS),
            (("config_args", "config_kwargs"), {}),  # any of them may change the arithmetic
        )
        for name in names
    },
    **{
        name: KeyTable(
            used={"model_max_length": "max_seq_length"},
            fixed={"padding_side": ["right"], "truncation_side": ["right"]},
            ignored=dict.fromkeys((*_LOADING, "padding", "truncation", "max_length", "model_input_names"), LOADING),
        )
        for name in ("tokenizer_args", "processor_kwargs")
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SentenceFiles:
    """What the directory says of the sentence vector, and the tensors of the steps behind the pooling."""

    pooling: str
    folder: Path | None = None  # of the encoder's own files; none: the directory
    dense: tuple[DenseConfig, ...] = ()
    normalize: bool = False
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt_name: str | None = None
    include_prompt: bool = True
    similarity_fn_name: str = "cosine"
    truncate_dim: int | None = None
    max_seq_length: int | None = None  # none: as the tokenizer says
    do_lower_case: bool = False  # the tokenizer lowers texts, whatever its own files say
    tensors: Mapping[str, StoredTensor] = field(default_factory=dict)
    ignored: Mapping[str, str] = field(default_factory=dict)


def read_sentence_files(directory: Path, *, ignore: Collection[str] = ()) -> SentenceFiles | None:
    """Read `modules.json` and what it names, or return None where there is none.

    Raises: ConfigError for a class, an order or a setting that is not computed; CheckpointError; WeightsError.
    """
    chain = read_modules(directory)
    if chain is None:
        return None
    if len(chain) == 1:
        return _cross_encoder(directory, chain[0].folder, ignore)
    transformer, pooling, *steps = chain
    pooling_keys = account_for(
        read_json(pooling.folder / "config.json"), POOLING_KEYS, source=pooling.folder / "config.json", ignore=ignore
    )
    prompts = _settings([directory / MODEL_CONFIG], PROMPT_KEYS, ignore)
    encoder = _encoder_settings(transformer.folder, ignore)
    accounted = [_settings([step.folder / "config.json"], STEP_KEYS[step.kind], ignore) for step in steps]
    kept = effective(zip(steps, (keys.used for keys in accounted), strict=True))
    normalize = bool(kept) and kept[-1][0].kind == "Normalize"
    kept = kept[:-1] if normalize else kept
    settings = {
        **_pooling(pooling_keys.used, pooling.folder),
        **_prompts(prompts.used),
        **{key: value for key, value in encoder.used.items() if value is not None},
        "dense": described(kept),
        "normalize": normalize,
    }
    ignored = {key: why for keys in (pooling_keys, *accounted, prompts, encoder) for key, why in keys.ignored.items()}
    ignored |= {step.path: "Dropout does nothing but in training" for step in steps if step.kind == "Dropout"}
    tensors = {
        f"sentence.{i}.{name}": tensor
        for i, (step, _) in enumerate(kept)
        for name, tensor in step_tensors(step.folder, step.kind).items()
    }
    files = record(SentenceFiles, settings, source=directory)
    return replace(files, tensors=tensors, ignored=ignored, folder=transformer.folder)


def _cross_encoder(directory: Path, folder: Path, ignore: Collection[str]) -> SentenceFiles:
    """Read the settings of a cross-encoder, which has no vector: the plain mean, as where no file describes one."""
    whole = _settings([directory / MODEL_CONFIG], CROSS_ENCODER_KEYS, ignore)
    encoder = _encoder_settings(folder, ignore, fixed=CROSS_ENCODER_TRANSFORMER)
    used = {key: value for key, value in encoder.used.items() if value is not None}
    files = record(SentenceFiles, {"pooling": "mean", **used}, source=directory)
    return replace(files, ignored={**whole.ignored, **encoder.ignored}, folder=folder)


def _settings(paths: Iterable[Path], table: KeyTable, ignore: Collection[str]) -> Keys:
    """Account for the keys of the first of `paths` that is there."""
    path = next((path for path in paths if path.is_file()), None)
    if path is None and table.required:
        read_json(next(iter(paths)))  # raises: it must be there
    return account_for({} if path is None else read_json(path), table, source=path, ignore=ignore)


def _encoder_settings(folder: Path, ignore: Collection[str], *, fixed: Mapping[str, Any] | None = None) -> Keys:
    """Read `sentence_bert_config.json`, or the file of its older names, and the arguments of loaders in it."""
    paths = [folder / name for name in TRANSFORMER_CONFIGS]
    loaders = {name: name for name in LOADER_KEYS}
    values = {**TRANSFORMER_KEYS.fixed, **(fixed or {})}
    whole = _settings(paths, replace(TRANSFORMER_KEYS, used={**TRANSFORMER_KEYS.used, **loaders}, fixed=values), ignore)
    used = {key: value for key, value in whole.used.items() if key not in LOADER_KEYS}
    ignored = dict(whole.ignored)
    for name in whole.used.keys() & LOADER_KEYS.keys():
        arguments = whole.used[name] or {}
        if not isinstance(arguments, dict):
            raise ConfigError(
                f"{name} of {folder} must be an object; found {reprlib.repr(arguments)}; correct the file"
            )
        keys = account_for(arguments, LOADER_KEYS[name], source=f"{folder}, {name}", ignore=ignore)
        used |= keys.used
        ignored |= {f"{name}.{key}": why for key, why in keys.ignored.items()} or {name: "empty"}
    return Keys(used=used, ignored=ignored)


def _pooling(used: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Find the poolings that switches or `pooling_mode` name; where no switch is on, sentence-transformers' mean."""
    mode = used.get("pooling_mode")
    switches = [switch for switch in POOLING_SWITCHES if switch in used]
    if "pooling_mode" not in used and switches:
        mode = [POOLING_SWITCHES[switch] for switch in switches if used[switch]] or "mean"
    poolings = [mode] if isinstance(mode, str) else mode
    known = [*POOLING_SWITCHES.values()]
    if not isinstance(poolings, list) or not poolings or not all(pooling in known for pooling in poolings):
        raise ConfigError(
            f"{folder} must choose of {', '.join(known)}; found {reprlib.repr(poolings)}; use another model"
        )
    return {"pooling": "+".join(poolings), "include_prompt": used.get("include_prompt", True)}


def _prompts(used: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of texts and vectors: a null prompt is empty, a null similarity the cosine."""
    settings = {key: value for key, value in used.items() if key != "similarity_fn_name" or value is not None}
    prompts, default = settings.get("prompts", {}), settings.get("default_prompt_name")
    if isinstance(prompts, dict):
        settings["prompts"] = {name: "" if prompt is None else prompt for name, prompt in prompts.items()}
        if default in DEFAULT_PROMPTS:
            settings["prompts"].setdefault(default, "")
    return settings


def write_sentence_files(directory: Path, sentence: SentenceConfig, arrays: Mapping[str, Any], *, width: int) -> None:
    """Write what `read_sentence_files` reads, so that sentence-transformers opens the directory too.

    `pooled_output` has no name there: the steps behind it are written, and no chain.
    """
    for i, dense in enumerate(sentence.dense):
        write_step(step_folder(directory, sentence, i), dense, arrays, f"sentence.{i}.")
    if sentence.pooling == "pooled_output":
        return
    chain = [("", "Transformer"), ("1_Pooling", "Pooling")]
    chain += [
        (step_folder(directory, sentence, i).name, STEP_CLASSES[dense.kind]) for i, dense in enumerate(sentence.dense)
    ]
    chain += [(f"{len(chain)}_Normalize", "Normalize")] if sentence.normalize else []
    modules = [
        {"idx": i, "name": str(i), "path": name, "type": f"sentence_transformers.models.{kind}"}
        for i, (name, kind) in enumerate(chain)
    ]
    write_json(directory / NAME, modules)
    (directory / "1_Pooling").mkdir()
    write_json(directory / "1_Pooling" / "config.json", _pooling_keys(sentence, width))
    later = {"similarity_fn_name": "cosine", "truncate_dim": None}  # named where they are not at these
    write_json(
        directory / MODEL_CONFIG,
        {
            "prompts": dict(sentence.prompts),
            "default_prompt_name": sentence.default_prompt_name,
            **{key: getattr(sentence, key) for key, value in later.items() if getattr(sentence, key) != value},
        },
    )
    transformer = {"max_seq_length": sentence.max_seq_length, "do_lower_case": False}
    write_json(directory / TRANSFORMER_CONFIGS[0], transformer)


def _pooling_keys(sentence: SentenceConfig, width: int) -> dict[str, Any]:
    """Say the pooling as switches, which every sentence-transformers reads; another order than theirs is a list."""
    in_order = [pooling for pooling in POOLING_SWITCHES.values() if pooling in sentence.poolings]
    keys: dict[str, Any] = {"word_embedding_dimension": width}
    if in_order == list(sentence.poolings):
        keys |= {
            switch: pooling in sentence.poolings
            for switch, pooling in POOLING_SWITCHES.items()
            if pooling in (*ALWAYS_WRITTEN, *sentence.poolings)
        }
    else:
        keys |= {"pooling_mode": list(sentence.poolings)}
    return keys | ({} if sentence.include_prompt else {"include_prompt": False})
