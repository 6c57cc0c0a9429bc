"""Tiny models of transformers of every family beside BERT and DistilBERT, odd-sized, their weights far from zero."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import transformers
from tiny import NATIVE

SIZES = {
    "vocab_size": 99,
    "hidden_size": 12,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "max_position_embeddings": 41,
}
ROBERTA = {"type_vocab_size": 1, "layer_norm_eps": 1e-5}
# name of a body -> how its classes begin, and what its configuration says beside SIZES
BODIES: dict[str, tuple[str, dict[str, Any]]] = {
    "roberta": ("Roberta", ROBERTA),
    "roberta, relu, two types": ("Roberta", {"hidden_act": "relu", "type_vocab_size": 2, "pad_token_id": 4}),
    "xlm-roberta": ("XLMRoberta", ROBERTA),
    "camembert": ("Camembert", ROBERTA),
    "electra": ("Electra", {"embedding_size": 5, "hidden_act": "relu"}),
    "electra, as wide as its embeddings": ("Electra", {"embedding_size": 12}),
    "albert": ("Albert", {"embedding_size": 5}),
    "albert, as wide as its embeddings": ("Albert", {"embedding_size": 12, "hidden_act": "relu"}),
    "mpnet": ("MPNet", {"layer_norm_eps": 1e-5}),
    "mpnet, relu": ("MPNet", {"hidden_act": "relu", "pad_token_id": 4}),
}
# of sizes that the native kernel takes; it has no biases by position, as MPNet has
NATIVE_BODIES: dict[str, tuple[str, dict[str, Any]]] = {
    "roberta, wider": ("Roberta", {**ROBERTA, **NATIVE}),
    "electra, wider": ("Electra", {"embedding_size": 32, "hidden_act": "relu", **NATIVE}),
    "albert, wider": ("Albert", {"embedding_size": 32, **NATIVE}),
}


def body(name: str, kind: str = "ForMaskedLM", keys: dict[str, Any] | None = None, **options: Any) -> Any:
    """Make a model of transformers, of the class that ends in `kind`; `keys` are more of its configuration."""
    torch.manual_seed(0)
    begin, changes = {**BODIES, **NATIVE_BODIES}[name]
    config = getattr(transformers, f"{begin}Config")(**{**SIZES, **changes, **(keys or {})})
    model = getattr(transformers, begin + kind)(config, **options).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3)
    return model


def batch(model: Any) -> dict[str, np.ndarray]:
    """Three rows of 7 tokens, two of them padded, one with the id of padding in its midst; two positions to guess."""
    rng = np.random.default_rng(0)
    config = model.config
    mask = np.arange(7) < np.array([[7], [4], [1]])
    ids = np.where(mask, rng.integers(5, 99, (3, 7)), config.pad_token_id)
    ids[0, 2] = config.pad_token_id
    types = rng.integers(0, getattr(config, "type_vocab_size", 1), (3, 7)) * mask
    return {
        "input_word_ids": ids.astype(np.int32),
        "input_mask": mask.astype(np.int32),
        "input_type_ids": types.astype(np.int32),
        "masked_lm_positions": np.array([[0, 6], [3, 1], [0, 0]], np.int32),
    }


def outputs(model: Any, inputs: dict[str, np.ndarray]) -> dict[str, Any]:
    """Run a model of transformers; return its outputs under our names."""
    given = {"input_ids": inputs["input_word_ids"], "attention_mask": inputs["input_mask"]}
    if hasattr(model.config, "type_vocab_size"):
        given["token_type_ids"] = inputs["input_type_ids"]
    with torch.no_grad():
        given = {name: torch.from_numpy(array).long() for name, array in given.items()}
        out = model(**given, output_hidden_states=True)
        pooled = getattr(model.base_model(**given), "pooler_output", None)
    made = {
        "embedding_output": out.hidden_states[0].numpy(),
        "encoder_outputs": [layer.numpy() for layer in out.hidden_states[1:]],
        "sequence_output": out.hidden_states[-1].numpy(),
        "pooled_output": out.hidden_states[-1][:, 0].numpy() if pooled is None else pooled.numpy(),
    }
    if "MaskedLM" in type(model).__name__:
        made["mlm_logits"] = np.take_along_axis(out.logits.numpy(), inputs["masked_lm_positions"][:, :, None], 1)
    return made
