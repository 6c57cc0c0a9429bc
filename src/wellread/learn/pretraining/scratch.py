"""Modules to begin with: a shape by its name or its configuration, weights drawn anew, the head of word scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from wellread.catalog.modules import entries
from wellread.config import EncoderConfig, SentenceConfig
from wellread.errors import ConfigError, nearest
from wellread.learn.initial import drawn
from wellread.module import Module
from wellread.text.tokenizer import Tokenizer
from wellread.weights.checkpoint import Checkpoint, in_memory
from wellread.weights.huggingface import FAMILIES
from wellread.weights.keys import account_for, read_json
from wellread.weights.names import shapes
from wellread.weights.records import record

DROPPED = "a task's head says nothing of words; fine-tune the module again"


@cache
def named_shapes() -> Mapping[str, EncoderConfig]:
    """Return the shapes of the 24 small BERTs (Turc et al. 2019) as `L-2_H-128`; heads are of width 64."""
    small = [entry for entry in entries() if entry.family == "small_bert"]
    return {f"L-{entry.num_hidden_layers}_H-{entry.hidden_size}": entry.config() for entry in small}


def shape_named(name: str) -> EncoderConfig:
    """Return the shape of a small BERT. Raises: ConfigError for an unknown one, with the nearest known.

    >>> shape_named("L-2_H-128").num_attention_heads
    2
    """
    if name not in named_shapes():
        raise ConfigError(
            f"the shape {name!r} was asked for; it is none of {', '.join(named_shapes())}; name one of these, or give "
            f"a config.json{nearest(name, named_shapes())}"
        )
    return named_shapes()[name]


def shape_of_file(path: Path) -> EncoderConfig:
    """Return the shape that a Hugging Face config.json describes. Raises: ConfigError, as in loading a module."""
    data = read_json(path)
    model_type = str(data.get("model_type", "bert"))
    if model_type not in FAMILIES:
        raise ConfigError(
            f"{path} names the model_type {model_type!r}; wellread trains {', '.join(FAMILIES)}; choose one of these"
            f"{nearest(model_type, FAMILIES)}"
        )
    family = FAMILIES[model_type]
    return record(EncoderConfig, {**family.constants, **account_for(data, family.keys, source=path).used}, source=path)


def scratch(config: EncoderConfig, tokenizer: Tokenizer, *, seed: int = 0, max_seq_length: int = 128) -> Module:
    """Make an untrained module of a shape, with the masked-language-model head; its sentence vector is the mean.

    `pad_token_id` becomes the tokenizer's. Raises: InputError for a vocabulary larger than `config.vocab_size`.
    """
    config = replace(config, pad_token_id=tokenizer.special.pad)
    rng = np.random.default_rng(seed)
    arrays = drawn(shapes(config, mlm=True), config.initializer_range, rng)
    checkpoint = Checkpoint(
        family="bert" if config.type_vocab_size else "distilbert",
        config=config,
        sentence=SentenceConfig(max_seq_length=min(max_seq_length, config.max_position_embeddings)),
        tensors=in_memory(arrays),
    )
    return Module(checkpoint=checkpoint, tokenizer=tokenizer, provenance={"made_by": "wellread", "drawn_from": seed})


def with_mlm_head(checkpoint: Checkpoint, *, seed: int) -> Checkpoint:
    """Return a checkpoint with a masked-language-model head, its own or a fresh one, and without a task's head."""
    wanted = shapes(checkpoint.config, mlm=True)
    if checkpoint.has_mlm and checkpoint.head is None:
        return checkpoint
    rng = np.random.default_rng(seed)
    fresh = {name: shape for name, shape in wanted.items() if name not in checkpoint.tensors}
    drawn_now = in_memory(drawn(fresh, checkpoint.config.initializer_range, rng))
    maps = {name: tensor for name, tensor in checkpoint.tensors.items() if name.startswith("sentence.")}
    kept = {name: tensor for name, tensor in checkpoint.tensors.items() if name in wanted}
    ignored = {**checkpoint.ignored, **({"classifier": DROPPED} if checkpoint.head else {})}
    return replace(checkpoint, head=None, tensors={**kept, **drawn_now, **maps}, ignored=ignored)
