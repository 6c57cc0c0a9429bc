"""The native format: a Hugging Face directory with `wellread.json` beside its files. Read, and written atomically."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from wellread.errors import CheckpointError, ConfigError
from wellread.text.tokenizer import Tokenizer
from wellread.weights.checkpoint import Checkpoint
from wellread.weights.huggingface import FAMILIES, SPECIAL, Source, read_encoder, read_huggingface
from wellread.weights.keys import write_json
from wellread.weights.manifest import NAME, Manifest, check_files, read_manifest, write_manifest
from wellread.weights.mapping import to_theirs
from wellread.weights.safetensors import write_safetensors
from wellread.weights.sentence_transformers import (
    check_dense_tensors,
    dense_folder,
    dense_tensors,
    write_sentence_files,
)
from wellread.weights.stored import StoredTensor

DTYPES = ("float32", "float16")


def read_directory(directory: Path, *, ignore: Collection[str] = ()) -> Source:
    """Read a module's directory: native where `wellread.json` is there, Hugging Face's otherwise.

    Raises: CheckpointError, ConfigError, WeightsError.
    """
    if not directory.is_dir():
        raise CheckpointError(f"a module was asked of {directory}; found no such directory; check the path")
    return read_native(directory) if (directory / NAME).is_file() else read_huggingface(directory, ignore=ignore)


def read_native(directory: Path) -> Source:
    """Read a directory that `write_native` wrote, each file checked against its SHA-256 first."""
    manifest = read_manifest(directory)
    check_files(directory, manifest)
    encoder = read_encoder(directory)
    if encoder.config.pooler != manifest.pooled_output:
        raise ConfigError(
            f"{directory / NAME} says that pooled_output is {manifest.pooled_output}; the tensors make it "
            f"{encoder.config.pooler}; save the module again"
        )
    maps: dict[str, StoredTensor] = {}
    for i in range(len(manifest.sentence.dense)):
        stored = dense_tensors(dense_folder(directory, i))
        maps |= {f"sentence.{i}.{leaf}": tensor for leaf, tensor in stored.items()}
    check_dense_tensors(manifest.sentence, maps, source=directory)
    checkpoint = replace(encoder, sentence=manifest.sentence, tensors={**encoder.tensors, **maps})
    return Source(
        directory=directory, checkpoint=checkpoint, tokenizer=manifest.tokenizer, provenance=manifest.provenance
    )


def write_native(
    directory: Path,
    checkpoint: Checkpoint,
    tokenizer: Tokenizer,
    *,
    provenance: Mapping[str, Any],
    dtype: str = "float32",
    extra_files: Mapping[str, str] | None = None,
) -> None:
    """Write a module's directory whole or not at all; `dtype` is how floats are stored; `extra_files` maps name to text.

    Raises: CheckpointError where `directory` exists and is not empty, or `dtype` is unknown.
    """
    from wellread import __version__

    if dtype not in DTYPES:
        raise CheckpointError(f"weights were to be saved as {dtype!r}; wellread writes {', '.join(DTYPES)}; choose one")
    arrays = {name: np.asarray(array, dtype) for name, array in checkpoint.arrays().items()}
    with whole_directory(directory) as partial:
        _write_encoder(partial, checkpoint, arrays)
        write_sentence_files(partial, checkpoint.sentence, arrays, width=checkpoint.config.hidden_size)
        config = _write_tokenizer(partial, tokenizer, checkpoint)
        for name, text in (extra_files or {}).items():
            (partial / name).write_text(text, "utf-8")
        manifest = Manifest(
            pooled_output=checkpoint.config.pooler,
            sentence=checkpoint.sentence,
            tokenizer=config,
            provenance=provenance,
        )
        write_manifest(partial, manifest, version=__version__)


@contextmanager
def whole_directory(directory: Path) -> Iterator[Path]:
    """Give a directory beside `directory` to write in; it takes its name when all went well and vanishes when not.

    Raises: CheckpointError where `directory` exists and is not empty.
    """
    refuse_existing(directory)
    directory.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        partial.chmod(0o755)
        yield partial
        partial.replace(directory)  # an empty directory of that name gives way
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def refuse_existing(directory: Path) -> None:
    """Refuse to write where something stands. Raises: CheckpointError."""
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise CheckpointError(f"{directory} was to be written; found that it exists; remove it or choose another name")


def _write_encoder(directory: Path, checkpoint: Checkpoint, arrays: Mapping[str, Any]) -> None:
    family = FAMILIES[checkpoint.family]
    architecture = family.mlm_architecture if checkpoint.has_mlm else family.architecture
    keys = {theirs: getattr(checkpoint.config, ours) for theirs, ours in family.keys.used.items()}
    write_json(directory / "config.json", {"architectures": [architecture], "model_type": family.name, **keys})
    named = to_theirs(family, checkpoint.config, arrays, mlm=checkpoint.has_mlm)
    write_safetensors(directory / "model.safetensors", named)


def _write_tokenizer(directory: Path, tokenizer: Tokenizer, checkpoint: Checkpoint) -> Any:
    """Write the vocabulary, the SentencePiece model if there is one, and Hugging Face's settings."""
    config = tokenizer.config
    settings: dict[str, Any] = {name: getattr(config, name) for name in SPECIAL}
    settings["do_lower_case"] = config.do_lower_case
    settings["model_max_length"] = checkpoint.sentence.max_seq_length
    if config.model_file is not None:
        (directory / config.model_file).write_bytes(tokenizer.model_bytes)
    else:
        settings |= {
            "tokenizer_class": "BertTokenizer",
            "strip_accents": config.strip_accents,
            "tokenize_chinese_chars": config.tokenize_chinese_chars,
        }
    if config.vocab_file is not None:
        config = replace(config, vocab_file="vocab.txt")
        text = "".join(f"{piece}\n" for piece in tokenizer.vocabulary.pieces)
        (directory / "vocab.txt").write_bytes(text.encode("utf-8"))
    write_json(directory / "tokenizer_config.json", settings)
    return config
