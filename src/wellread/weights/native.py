"""The native format: a Hugging Face directory with `wellread.json` beside its files. Read, and written atomically."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from wellread.config import HeadConfig
from wellread.errors import CheckpointError, ConfigError, WeightsError
from wellread.hub.atomic import whole_directory
from wellread.text.tokenizer import Tokenizer
from wellread.weights.checkpoint import Array, Checkpoint
from wellread.weights.fast_tokenizer import write_fast_tokenizer
from wellread.weights.huggingface import FAMILIES, Source, is_huggingface, read_encoder, read_huggingface
from wellread.weights.keys import write_json
from wellread.weights.manifest import NAME, Manifest, check_files, read_manifest, write_manifest
from wellread.weights.mapping import to_theirs
from wellread.weights.names import head_shapes, mismatches, sentence_shapes, shapes
from wellread.weights.safetensors import write_safetensors
from wellread.weights.saved_model import read_saved_model
from wellread.weights.saved_model_graph import NAME as SAVED_MODEL
from wellread.weights.saved_model_text import read_preprocessor
from wellread.weights.sentence_transformers import (
    check_sentence,
    dense_folder,
    dense_tensors,
    write_sentence_files,
)
from wellread.weights.stored import StoredTensor
from wellread.weights.task_heads import as_told, check_expressible, head_keys
from wellread.weights.tf1_checkpoint import is_tf1, read_tf1
from wellread.weights.tokenizer_files import write_tokenizer

DTYPES = ("float32", "float16")


def read_directory(directory: Path, *, ignore: Collection[str] = (), preprocessor: Path | None = None) -> Source:
    """Read a module's directory: native where `wellread.json` is there; else Hugging Face's, a SavedModel or TF1's.

    `preprocessor` is the directory of a SavedModel whose tokenizer is taken instead of the module's own.

    Raises: CheckpointError, ConfigError, WeightsError, TextError.
    """
    if not directory.is_dir():
        raise CheckpointError(f"a module was asked of {directory}; found no directory there; check the path")
    text = read_preprocessor(preprocessor) if preprocessor is not None else None
    native = (directory / NAME).is_file()
    if is_saved_model(directory):
        return read_saved_model(directory, text=text)
    if not native and not is_huggingface(directory) and is_tf1(directory):
        return read_tf1(directory, ignore=ignore, text=text)
    source = read_native(directory) if native else read_huggingface(directory, ignore=ignore)
    return source if text is None else replace(source, tokenizer=text.tokenizer.config, made=text.tokenizer)


def is_saved_model(directory: Path) -> bool:
    """Say whether a directory is read as a SavedModel: it holds one, and neither a native module nor Hugging Face's."""
    return (directory / SAVED_MODEL).is_file() and not (directory / NAME).is_file() and not is_huggingface(directory)


def read_native(directory: Path) -> Source:
    """Read a directory that `write_native` wrote, each file checked against its SHA-256 first."""
    manifest = read_manifest(directory)
    check_files(directory, manifest, needed=_files_read(manifest))
    encoder = read_encoder(directory)
    if encoder.config.pooler != manifest.pooled_output:
        raise ConfigError(
            f"{directory / NAME} says that pooled_output is {manifest.pooled_output}; the tensors make it "
            f"{encoder.config.pooler}; save the module again"
        )
    _check_head(directory, manifest.head, encoder)
    maps: dict[str, StoredTensor] = {}
    for i in range(len(manifest.sentence.dense)):
        stored = dense_tensors(dense_folder(directory, i))
        maps |= {f"sentence.{i}.{leaf}": tensor for leaf, tensor in stored.items()}
    check_sentence(manifest.sentence, encoder.config, maps, source=directory)
    checkpoint = replace(encoder, sentence=manifest.sentence, head=manifest.head, tensors={**encoder.tensors, **maps})
    return Source(
        directory=directory, checkpoint=checkpoint, tokenizer=manifest.tokenizer, provenance=manifest.provenance
    )


def _check_head(directory: Path, head: HeadConfig | None, encoder: Checkpoint) -> None:
    """Refuse a head in `wellread.json` that is not the one in `config.json`, as far as that can tell it."""
    expected = as_told(FAMILIES[encoder.family], encoder.config, head)
    if encoder.head != expected:
        raise ConfigError(
            f"{directory / NAME} says that the head is {head}; config.json tells {encoder.head} where that makes "
            f"{expected}; save the module again"
        )


def _files_read(manifest: Manifest) -> list[str]:
    """Name the files that a native module is read from, by their paths in the directory."""
    own = [file for file in (manifest.tokenizer.vocab_file, manifest.tokenizer.model_file) if file is not None]
    maps = [f"{dense_folder(Path(), i)}/model.safetensors" for i in range(len(manifest.sentence.dense))]
    return ["config.json", "model.safetensors", *own, *maps]


def write_native(
    directory: Path,
    checkpoint: Checkpoint,
    tokenizer: Tokenizer,
    *,
    provenance: Mapping[str, Any],
    dtype: str = "float32",
    extra_files: Mapping[str, str] | None = None,
) -> None:
    """Write a module's directory whole or not at all; floats as `dtype`; `extra_files` maps name to text.

    Raises: CheckpointError where `directory` exists and is not empty, the disk refuses, or `dtype` is unknown or too
        narrow; WeightsError and ConfigError where the checkpoint is none of its family.
    """
    from wellread import __version__

    if dtype not in DTYPES:
        raise CheckpointError(f"weights were to be saved as {dtype!r}; wellread writes {', '.join(DTYPES)}; choose one")
    _refuse_stranger(checkpoint)
    with whole_directory(directory) as partial:
        arrays = {name: _narrowed(name, array, dtype) for name, array in checkpoint.arrays().items()}
        _write_encoder(partial, checkpoint, arrays)
        write_sentence_files(partial, checkpoint.sentence, arrays, width=checkpoint.config.hidden_size)
        length, segments = checkpoint.sentence.max_seq_length, bool(checkpoint.config.type_vocab_size)
        config = write_tokenizer(partial, tokenizer, max_length=length, segments=segments)
        write_fast_tokenizer(partial, tokenizer)
        for name, text in (extra_files or {}).items():
            (partial / name).write_text(text, "utf-8")
        manifest = Manifest(
            pooled_output=checkpoint.config.pooler,
            sentence=checkpoint.sentence,
            tokenizer=config,
            head=checkpoint.head,
            provenance=provenance,
            written_by=f"wellread {__version__}",
        )
        write_manifest(partial, manifest)


def _refuse_stranger(checkpoint: Checkpoint) -> None:
    """Refuse what would not come back: tensors that the config does not call for, fields that the family fixes."""
    config, sentence = checkpoint.config, checkpoint.sentence
    expected = shapes(config, mlm=checkpoint.has_mlm) | sentence_shapes(sentence)
    expected |= head_shapes(config, checkpoint.head)
    faults = mismatches(expected, checkpoint.tensors)
    if faults:
        raise WeightsError(
            f"a {checkpoint.family} module was to be saved; found that {'; '.join(faults)}; "
            "make its tensors and its configuration agree"
        )
    fixed = FAMILIES[checkpoint.family].constants
    wrong = [
        f"{name} is {getattr(config, name)!r} instead of {value!r}"
        for name, value in fixed.items()
        if getattr(config, name) != value
    ]
    if wrong:
        raise ConfigError(
            f"a {checkpoint.family} module was to be saved; found that {', '.join(wrong)}; save it as another family"
        )
    check_expressible(FAMILIES[checkpoint.family], config, checkpoint.head)
    maps = {name: tensor for name, tensor in checkpoint.tensors.items() if name.startswith("sentence.")}
    check_sentence(sentence, config, maps, source="the module to be saved")


def _narrowed(name: str, array: Array, dtype: str) -> Array:
    """Turn an array into `dtype`. Raises: CheckpointError for a number that is too large for it."""
    try:
        with np.errstate(over="raise", under="ignore"):
            return np.asarray(array, dtype)
    except FloatingPointError:
        raise CheckpointError(
            f"{name} was to be saved as {dtype}; found {np.abs(array).max():.6g}, over its {np.finfo(dtype).max:.6g}; "
            "save as float32"
        ) from None


def _write_encoder(directory: Path, checkpoint: Checkpoint, arrays: Mapping[str, Any]) -> None:
    family = FAMILIES[checkpoint.family]
    architecture = family.mlm_architecture if checkpoint.has_mlm else family.architecture
    keys = {theirs: getattr(checkpoint.config, ours) for theirs, ours in family.keys.used.items()}
    said: dict[str, Any] = {"architectures": [architecture], "model_type": family.name}
    said["dtype"] = "float32"  # without it, transformers computes in whatever the weights are stored as
    write_json(directory / "config.json", {**said, **keys, **head_keys(family, checkpoint.head)})
    named = to_theirs(family, checkpoint.config, arrays, mlm=checkpoint.has_mlm, head=checkpoint.head)
    write_safetensors(directory / "model.safetensors", named)
