"""A teacher's sentence vectors, computed once and kept on disk."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wellread.learn.processes import Process, wait
from wellread.module import Module
from wellread.progress import progress

SHARD = 8_192  # texts a file: what a kill can cost


def teacher_vectors(
    teacher: Module, texts: Sequence[str], *, cache: Path, process: Process | None = None
) -> NDArray[np.float16]:
    """Return the teacher's vectors of N texts, float16 [N, E], from `cache` where they are there.

    Every shard is a file named by the SHA-256 of the teacher and its texts, written whole or not at all: a run that was
    cut short goes on where it stopped, and another teacher or text never gets a stale vector. Of several processes each
    computes a share, and takes what the others have put in `cache`.
    """
    cache.mkdir(parents=True, exist_ok=True)
    process = process or Process()
    identity = fingerprint(teacher)
    parts = [list(texts[start : start + SHARD]) for start in range(0, len(texts), SHARD)]
    paths = [cache / f"{_digest(identity, part)}.npy" for part in parts]
    with progress(len(texts), label="teacher", show=None if process.is_main else False) as advance:
        for index in range(process.rank, len(parts), process.count):
            _shard(teacher, parts[index], paths[index])
            advance(len(parts[index]))
    wait(process, "the teacher's vectors were to be computed by all processes")
    shards = [_shard(teacher, part, path) for part, path in zip(parts, paths, strict=True)]
    return np.concatenate(shards) if shards else np.zeros((0, teacher.embedding_size), np.float16)


def _shard(teacher: Module, texts: list[str], path: Path) -> NDArray[np.float16]:
    if path.is_file():
        cached: NDArray[np.float16] = np.load(path, allow_pickle=False)
        return cached
    vectors = np.asarray(teacher.encode(texts, show_progress_bar=False), np.float16)
    partial = path.with_suffix(f".{os.getpid()}")
    with partial.open("wb") as file:
        np.save(file, vectors)
    partial.replace(path)
    return vectors


def fingerprint(module: Module) -> str:
    """Return the SHA-256 of a module's tensors and of the settings that its vectors depend on, in hexadecimal."""
    checkpoint, text = module.checkpoint, module.tokenizer.config
    config, sentence = checkpoint.config, checkpoint.sentence
    settings = [config.num_attention_heads, config.hidden_act, config.layer_norm_eps, sentence.pooling]
    settings += [sentence.normalize, sentence.max_seq_length, text.dialect, text.do_lower_case, text.strip_accents]
    digest = hashlib.sha256(json.dumps(settings).encode())
    for name, array in sorted(checkpoint.arrays().items()):
        digest.update(name.encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _digest(identity: str, texts: Sequence[str]) -> str:
    digest = hashlib.sha256(identity.encode())
    for text in texts:
        digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()
