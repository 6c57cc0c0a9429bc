"""A Hugging Face directory, read as data: encoder, tokenizer, sentence vector."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from wellread.config import EncoderConfig, SentenceConfig, TokenizerConfig
from wellread.errors import CheckpointError, ConfigError, nearest
from wellread.text.tokenizer import Tokenizer
from wellread.weights.checkpoint import Checkpoint
from wellread.weights.families import bert, distilbert
from wellread.weights.keys import account_for, read_json
from wellread.weights.mapping import to_ours
from wellread.weights.records import record
from wellread.weights.safetensors import read_safetensors
from wellread.weights.sentence_transformers import SentenceFiles, check_sentence, read_sentence_files
from wellread.weights.shards import read_sharded
from wellread.weights.stored import StoredTensor
from wellread.weights.task_heads import told_head
from wellread.weights.tokenizer_files import read_tokenizer
from wellread.weights.torch_zip import read_torch

FAMILIES = {family.name: family for family in (bert.FAMILY, distilbert.FAMILY)}
# In the order of preference.
WEIGHTS = {
    "model.safetensors": read_safetensors,
    "model.safetensors.index.json": read_sharded,
    "pytorch_model.bin": read_torch,
    "pytorch_model.bin.index.json": read_sharded,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a directory holds, ready to become a module."""

    directory: Path
    checkpoint: Checkpoint
    tokenizer: TokenizerConfig
    made: Tokenizer | None = None  # where reading it took making it; else it is loaded from the directory
    provenance: Mapping[str, Any] = field(default_factory=dict)


def is_huggingface(directory: Path) -> bool:
    """Say whether a directory holds a configuration and weights of Hugging Face's, whatever else."""
    return (directory / "config.json").is_file() and any((directory / name).is_file() for name in WEIGHTS)


def read_huggingface(directory: Path, *, ignore: Collection[str] = ()) -> Source:
    """Read config, tensors, tokenizer settings and sentence modules of `directory`; nothing in it is executed.

    `ignore` names configuration keys, unknown or of unsupported value, that may be passed over. The sequence length is
    the first of: what `sentence_bert_config.json`, `tokenizer_config.json` and the truncation in `tokenizer.json` say,
    and the position table; never more than the last. Without `modules.json` the sentence vector is the plain mean.

    Raises: CheckpointError, ConfigError, WeightsError.
    """
    encoder = read_encoder(directory, ignore=ignore)
    tokenizer = read_tokenizer(directory, ignore=ignore)
    files = read_sentence_files(directory, ignore=ignore) or SentenceFiles(pooling="mean")
    positions = encoder.config.max_position_embeddings
    length = files.max_seq_length if files.max_seq_length is not None else tokenizer.max_length
    sentence = SentenceConfig(
        pooling=files.pooling,
        dense=files.dense,
        normalize=files.normalize,
        max_seq_length=min(length if length is not None else positions, positions),
        prompts=files.prompts,
        default_prompt_name=files.default_prompt_name,
    )
    check_sentence(sentence, encoder.config, files.tensors, source=directory)
    checkpoint = replace(
        encoder,
        sentence=sentence,
        tensors={**encoder.tensors, **files.tensors},
        ignored={**encoder.ignored, **tokenizer.ignored, **files.ignored},
    )
    return Source(directory=directory, checkpoint=checkpoint, tokenizer=tokenizer.config)


def read_encoder(directory: Path, *, ignore: Collection[str] = ()) -> Checkpoint:
    """Read `config.json` and the tensors that belong to it, those of a task's head included.

    A head that wellread does not compute is left out, with the reason in `ignored`; so is any other where `ignore`
    names `architectures`. Raises: CheckpointError, ConfigError, WeightsError.
    """
    path = directory / "config.json"
    data = read_json(path)
    model_type = str(data.get("model_type", _unnamed(data)))
    if model_type not in FAMILIES:
        raise ConfigError(
            f"{path} names the model_type {model_type!r}; wellread reads {', '.join(FAMILIES)}; "
            f"choose a checkpoint of these{nearest(model_type, FAMILIES)}"
        )
    family = FAMILIES[model_type]
    keys = account_for(data, family.keys, source=path, ignore=ignore)
    config = record(EncoderConfig, {**family.constants, **keys.used}, source=path)
    stored = read_weights(directory)
    told = told_head(family, config, {key: data[key] for key in data if key not in ignore}, stored, source=path)
    mapped = to_ours(family, config, stored, source=directory, head=told.head)
    of_config = {key: why for key, why in keys.ignored.items() if key not in told.used}
    return Checkpoint(
        family=family.name,
        config=mapped.config,
        head=told.head,
        tensors=mapped.tensors,
        ignored={**of_config, **mapped.ignored, **told.ignored},
        inferred=told.inferred,
    )


def _unnamed(data: Mapping[str, Any]) -> str:
    """Tell the family of a `config.json` of before transformers 2.3, which names none, by its keys."""
    fitting = (family.name for family in FAMILIES.values() if data.keys() >= set(family.keys.required))
    return next(fitting, "bert")


def read_weights(directory: Path) -> dict[str, StoredTensor]:
    """Open the weights of `directory`, in whatever of the known files they are. Raises: CheckpointError."""
    for name, read in WEIGHTS.items():
        if (directory / name).is_file():
            return read(directory / name)
    raise CheckpointError(
        f"weights were asked of {directory}; found none of {', '.join(WEIGHTS)}; fetch the whole repository"
    )
