"""A teacher: known by its hash, and prepared to be asked."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace

import numpy as np

from wellread.backends.backend import Backend, load_backend
from wellread.module import Module


def fingerprint(module: Module) -> str:
    """Return the SHA-256 of a module's tensors and of the settings that its outputs depend on, in hexadecimal."""
    checkpoint, text = module.checkpoint, module.tokenizer.config
    config, sentence = checkpoint.config, checkpoint.sentence
    settings = [config.num_attention_heads, config.hidden_act, config.layer_norm_eps, sentence.pooling]
    settings += [sentence.normalize, sentence.max_seq_length, text.dialect, text.do_lower_case, text.strip_accents]
    settings += [config.pooler, [asdict(dense) for dense in sentence.dense]]
    settings += [asdict(checkpoint.head) if checkpoint.head else None]
    digest = hashlib.sha256(json.dumps(settings).encode())
    for name, array in sorted(checkpoint.arrays().items()):
        digest.update(name.encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def key_of(*facts: object) -> str:
    """Return the SHA-256 of what decides a set of outputs, in hexadecimal.

    >>> key_of("teacher", 1)[:8]
    'ffe1b53a'
    """
    return hashlib.sha256(json.dumps(facts, default=str).encode()).hexdigest()


def running(module: Module, *, layers: int | None = None) -> Backend:
    """Prepare a teacher, or its first `layers` layers, in its backend's fastest precision.

    On torch that is the GPU where there is one.
    """
    checkpoint = module.checkpoint
    if layers is not None:
        checkpoint = replace(checkpoint, config=replace(checkpoint.config, num_hidden_layers=layers))
    return load_backend(module.backend, checkpoint)
