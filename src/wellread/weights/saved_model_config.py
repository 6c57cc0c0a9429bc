"""The config of an encoder in a SavedModel: as wellread described it, else read off the variables and operations."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from wellread.config import EncoderConfig, HeadConfig
from wellread.errors import ConfigError, WeightsError, nearest
from wellread.weights.families.tensorflow import DESCRIPTION, EXACT_GELU, GOOGLE_GELU
from wellread.weights.huggingface import FAMILIES
from wellread.weights.records import record
from wellread.weights.saved_model_graph import Graph
from wellread.weights.stored import StoredTensor
from wellread.weights.strict_json import parse_object
from wellread.weights.tensorflow import some

POOLER, TYPES = "pooler_transform/kernel", "type_embeddings/embeddings"
LAYER = re.compile(r"transformer/layer_(\d{1,9})/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a size of the encoder can be read: a dimension of a variable."""

    variable: str
    rank: int
    axis: int


SIZES = {
    "vocab_size": Place(variable="word_embeddings/embeddings", rank=2, axis=0),
    "hidden_size": Place(variable="word_embeddings/embeddings", rank=2, axis=1),
    "max_position_embeddings": Place(variable="position_embedding/embeddings", rank=2, axis=0),
    "num_attention_heads": Place(variable="transformer/layer_0/self_attention/query/kernel", rank=3, axis=1),
    "intermediate_size": Place(variable="transformer/layer_0/intermediate/kernel", rank=2, axis=1),
}
# An operation by which an activation is known, and the activation; BERT's pooler computes Tanh too, so that it is last.
ACTIVATIONS = {"Erf": EXACT_GELU, "Erfc": EXACT_GELU, "Relu": "relu", "Sigmoid": "silu", "Tanh": GOOGLE_GELU}
FAMILY_ACTIVATIONS = {"bert": GOOGLE_GELU, "distilbert": EXACT_GELU}
CONSTANTS = {
    **{"layer_norm_eps": 1e-12, "initializer_range": 0.02},
    **{"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1},
    "pad_token_id": 0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What wellread's exporter writes of an encoder into its SavedModel, as JSON in a variable."""

    family: str
    config: EncoderConfig
    head: HeadConfig | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The fields of a config, and how each is known that no file states."""

    family: str
    values: dict[str, Any]
    why: dict[str, str]
    head: HeadConfig | None = None  # of a task, where wellread described one


def described_config(description: bytes, *, source: object) -> Found:
    """Read the config that wellread's exporter wrote; `source` names the SavedModel.

    Raises: ConfigError for a description that is none, or of an unknown family.
    """
    try:
        described = record(Description, parse_object(description), source=f"the variable {DESCRIPTION} of {source}")
    except ValueError as error:
        raise ConfigError(
            f"the variable {DESCRIPTION} of {source} must describe its encoder; found that {error}; export it again"
        ) from None
    if described.family not in FAMILIES:
        raise ConfigError(
            f"the variable {DESCRIPTION} of {source} names the family {described.family!r}; wellread reads "
            f"{', '.join(FAMILIES)}; upgrade wellread{nearest(described.family, FAMILIES)}"
        )
    return Found(family=described.family, values=asdict(described.config), why={}, head=described.head)


def infer_config(found: Mapping[str, StoredTensor], graph: Graph, *, source: object) -> Found:
    """Infer family and config from the variables and from the operations of the graph; `source` names the SavedModel.

    Raises: WeightsError for variables that are none of BERT or DistilBERT.
    """
    _check_encoder(found, graph, source)
    sizes = {field: found[place.variable].shape[place.axis] for field, place in SIZES.items()}
    why = {field: f"{size}, from {SIZES[field].variable}" for field, size in sizes.items()}
    types = found[TYPES].shape[0] if TYPES in found else 0
    why["type_vocab_size"] = f"{types}, from {TYPES}" if types else "0: there is no type table"
    layers = 1 + max(int(match[1]) for name in found if (match := LAYER.match(name)))
    why["num_hidden_layers"] = f"{layers}, the layers that have variables"
    pooler = "dense_tanh" if POOLER in found else "first_token"
    why["pooler"] = f"{pooler}: there is {'a' if POOLER in found else 'no'} pooler_transform"
    family = "bert" if types else "distilbert"
    op = next(filter(graph.uses, ACTIVATIONS), None)
    act = ACTIVATIONS[op] if op else FAMILY_ACTIVATIONS[family]
    why["hidden_act"] = f"{act}, as " + (
        f"saved_model.pb computes {op}" if op else f"TF Hub's {family} modules have it"
    )
    why |= {field: f"{value}, as TF Hub's modules have it" for field, value in CONSTANTS.items()}
    shape = {"type_vocab_size": types, "num_hidden_layers": layers, "pooler": pooler, "hidden_act": act}
    return Found(family=family, values={**sizes, **shape, **CONSTANTS}, why=why)


def _check_encoder(found: Mapping[str, StoredTensor], graph: Graph, source: object) -> None:
    """Refuse what has not the variables that show an encoder's shape."""
    wanted = {place.variable: place.rank for place in SIZES.values()}
    wanted |= {TYPES: 2} if TYPES in found else {}
    faults = [f"no {name}" for name in wanted if name not in found]
    faults += [
        f"{name} of shape {list(found[name].shape)} where it has {rank} dimensions"
        for name, rank in wanted.items()
        if name in found and len(found[name].shape) != rank
    ]
    if faults and graph.tokenizes:
        raise WeightsError(
            f"an encoder was asked of {source}; found a preprocessor, which turns text into ids; load the encoder that "
            "it belongs to, and pass this as tokenizer="
        )
    if faults:
        names = f"its {len(found)} variables are {some(found)}" if found else "it has no variables"
        raise WeightsError(
            f"an encoder of the BERT family was asked of {source}; found {', '.join(faults)}: {names}; "
            "choose a text encoder with the variables of TF Hub's BERT or DistilBERT"
        )
    if POOLER in found and TYPES not in found:
        raise WeightsError(
            f"BERT or DistilBERT was asked of {source}; found {POOLER}, which BERT has, without {TYPES}; "
            "choose another module: wellread knows no family of this kind"
        )
