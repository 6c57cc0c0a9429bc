"""The encoders of tests/data/encoders.toml, made tiny: their config.json, layout and tokenizer, and drawn weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from encoder_rows import DATA, OTHER_NAMES, SIZES, published, with_null
from encoder_tokenizers import write_tokenizer_files
from safetensors.torch import save_file

# the sizes of a tiny one; those of DistilBERT go by other names
LAYERS, WIDTH, HEADS, INNER = 2, 24, 4, 37
POSITIONS = 40  # that a text may take
FACTOR = 10  # the width of factorised embeddings
SWITCHES = {
    "cls": "pooling_mode_cls_token",
    "mean": "pooling_mode_mean_tokens",
    "max": "pooling_mode_max_tokens",
    "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}


def write_tiny(row: Mapping[str, Any], directory: Path) -> None:
    """Write a directory as `row` describes it, with few layers, few pieces and weights far from zero."""
    directory.mkdir(parents=True)
    tokenizer = DATA["tokenizers"][row["tokenizer"]]
    sentence = row.get("sentence")
    folder = directory / "0_Transformer" if sentence and sentence["layout"] == 2020 else directory
    folder.mkdir(exist_ok=True)
    settings = with_null({**tokenizer["config"], **row.get("tokenizer_config", {})})
    for name in ("model_max_length", "max_len", "max_length"):  # of which some are of no effect
        if name in settings:
            settings[name] = _scaled(settings[name], row)
    pieces = write_tokenizer_files(folder, tokenizer, settings)
    config = tiny_config(row, pieces)
    (folder / "config.json").write_text(json.dumps(config))
    tensors = {"weight": torch.zeros(1)} if row["base"] == "other" else tiny_tensors(row, config)
    if row.get("file", "model.safetensors") == "model.safetensors":
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    else:
        torch.save(tensors, folder / row["file"])
    if sentence:
        write_sentence_modules(row, directory)


def tiny_config(row: Mapping[str, Any], pieces: int) -> dict[str, Any]:
    """Return config.json under the sizes of a tiny one."""
    config = published(row)
    names = OTHER_NAMES.get(config.get("model_type", ""), SIZES)
    config |= dict(zip(names, (LAYERS, WIDTH, HEADS, INNER), strict=True))
    config["vocab_size"] = pieces + min(row.get("spare", 0), 5)
    config["max_position_embeddings"] = POSITIONS + (config.get("max_position_embeddings", 512) % 8)
    for name in {"embedding_size", "emb_size"} & config.keys():
        config[name] = WIDTH if config[name] == row["shape"][1] else FACTOR
    return config


def _scaled(length: int, row: Mapping[str, Any]) -> int:
    """Bring a length of texts down with the position table: whole stays whole, a part about the same part."""
    full = published(row).get("max_position_embeddings", 512) // 8 * 8
    return POSITIONS if length >= full else max(8, POSITIONS * length // full)


def tiny_tensors(row: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Draw the state dict of the class that the published file is of, and what else the file holds."""
    name = row.get("tensors") or config["architectures"][0]
    kind = getattr(transformers, name)
    torch.manual_seed(len(row["id"]))
    model = kind(kind.config_class(**{key: value for key, value in config.items() if key != "model_type"}))
    tensors: dict[str, torch.Tensor] = {}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3)
        # of tied tensors, which safetensors does not take twice, the encoder's own name stays
        for key, tensor in sorted(model.state_dict().items(), key=lambda item: "embeddings" not in item[0]):
            tied = any(tensor.data_ptr() == held.data_ptr() and tensor.shape == held.shape for held in tensors.values())
            if not tied or row.get("file"):
                tensors[key] = tensor
    tensors = {key: tensor.clone() for key, tensor in tensors.items()}
    for extra in row.get("surplus", ()):
        positions = torch.arange(config["max_position_embeddings"]).unsqueeze(0)
        tensors[extra] = positions if extra.endswith("position_ids") else torch.randn(WIDTH)
    if dtype := row.get("dtype"):
        narrow = getattr(torch, dtype)
        tensors = {key: tensor.to(narrow) if tensor.is_floating_point() else tensor for key, tensor in tensors.items()}
    if row.get("old_names"):  # as TensorFlow called them
        for new, old in (("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta")):
            tensors = {key.replace(new, old): tensor for key, tensor in tensors.items()}
    return tensors


def write_sentence_modules(row: Mapping[str, Any], directory: Path) -> None:
    """Write sentence-transformers' files in the form of the year that the row names."""
    sentence = row["sentence"]
    old = sentence["layout"] == 2020
    chain: list[tuple[str, str]] = [("0_Transformer" if old else "", "Transformer"), ("1_Pooling", "Pooling")]
    chain += [(f"{i}_Dense", "Dense") for i, _ in enumerate(sentence.get("dense", ()), 2)]
    chain += [(f"{len(chain)}_Normalize", "Normalize")] if sentence.get("normalize") else []
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(chain)
    ]
    _write(directory / "modules.json", modules)
    known = list(SWITCHES) if sentence["layout"] == 2024 else list(SWITCHES)[:4]
    pooling = {"word_embedding_dimension": WIDTH, **{SWITCHES[mode]: mode == sentence["pooling"] for mode in known}}
    _write(directory / "1_Pooling" / "config.json", {**pooling, **({"include_prompt": True} if len(known) > 4 else {})})
    width = WIDTH
    for i, (activation, out) in enumerate(sentence.get("dense", ()), 2):
        linear = torch.nn.Linear(width, WIDTH if out == row["shape"][1] else 9)
        settings = {"in_features": width, "out_features": linear.out_features, "bias": True}
        module = "linear" if activation == "Identity" else "activation"
        settings["activation_function"] = f"torch.nn.modules.{module}.{activation}"
        _write(directory / f"{i}_Dense" / "config.json", settings)
        tensors = {f"linear.{key}": torch.randn_like(value) for key, value in linear.state_dict().items()}
        torch.save(tensors, directory / f"{i}_Dense" / "pytorch_model.bin")
        width = linear.out_features
    transformer = {
        "max_seq_length": _scaled(sentence["max_seq_length"], row),
        "do_lower_case": bool(sentence.get("lower")),
    }
    _write((directory / "0_Transformer" if old else directory) / "sentence_bert_config.json", transformer)
    versions = {"sentence_transformers": "2.0.0", "transformers": "4.6.1", "pytorch": "1.8.1"}
    if old:
        _write(directory / "config.json", {"__version__": "0.3.9"})
    elif sentence["layout"] == 2024:
        prompts = {"prompts": sentence.get("prompts", {}), "default_prompt_name": None}
        prompts |= with_null({"similarity_fn_name": sentence["similarity"]}) if "similarity" in sentence else {}
        _write(directory / "config_sentence_transformers.json", {"__version__": versions, **prompts})
    else:
        _write(directory / "config_sentence_transformers.json", {"__version__": versions})


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=2))
