"""What decides the vectors of a module, in sixteen letters: stored beside vectors, it says which module made them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np

from wellread.checkpoints.checkpoint import Checkpoint
from wellread.encoder.heads import POOLED_FROM
from wellread.formats.arrays import StoredTensor
from wellread.schema import as_dict
from wellread.text.tokenizer import Tokenizer

LENGTH = 16  # hexadecimal digits: two modules in 4 billion share them by chance
# Settings of training, and of what is not computed for a vector.
UNUSED = {"hidden_dropout_prob", "attention_probs_dropout_prob", "initializer_range", "mlm_act", "pooler"}
COMPARING = "similarity_fn_name"  # how vectors are compared, not what they are


def fingerprint(checkpoint: Checkpoint, tokenizer: Tokenizer) -> str:
    """Return a short hash of what decides a module's vectors: weights, sizes, vocabulary, text rules, pooling, prompts.

    What does not decide them is left out: heads, a pooler that is not read, the family, how floats are stored. Weights
    in int8 are other weights. Backends and precisions, which move a vector by its last digits, are not part of it.
    """
    import hashlib  # loads OpenSSL, which a start does without

    sentence = {name: value for name, value in as_dict(checkpoint.sentence).items() if name != COMPARING}
    encoder = {name: value for name, value in as_dict(checkpoint.config).items() if name not in UNUSED}
    pooled = {"pooler": checkpoint.config.pooler} if _reads_pooler(checkpoint) else {}
    text = {**as_dict(tokenizer.config), "vocab_file": None, "model_file": None}  # names of files
    settings = json.dumps([encoder, pooled, sentence, text], sort_keys=True)
    digest = hashlib.sha256(settings.encode())
    digest.update("\n".join(tokenizer.vocabulary.pieces).encode("utf-8", "surrogatepass"))
    digest.update(tokenizer.model_bytes())
    for name in sorted(filter(lambda name: _decides(name, checkpoint), checkpoint.tensors)):
        digest.update(name.encode())
        for part in _numbers(checkpoint.tensors[name]):
            digest.update(part)
    return digest.hexdigest()[:LENGTH]


def _reads_pooler(checkpoint: Checkpoint) -> bool:
    return POOLED_FROM["pooled_output"] in checkpoint.sentence.poolings


def _decides(name: str, checkpoint: Checkpoint) -> bool:
    """Say whether a tensor is part of the way from ids to a vector."""
    if name.startswith("pooler."):
        return _reads_pooler(checkpoint)
    return name.startswith(("embeddings.", "encoder.", "sentence."))


def _numbers(tensor: StoredTensor) -> Iterator[bytes]:
    """Yield the numbers of a tensor: floats as float32, however they are stored; an int8 matrix with its scales."""
    if tensor.int8 is None:
        yield np.ascontiguousarray(tensor.read()).tobytes()
        return
    matrix = tensor.int8()
    for array in (matrix.values, matrix.scales, matrix.input_scales):
        yield b"" if array is None else np.ascontiguousarray(array).tobytes()
