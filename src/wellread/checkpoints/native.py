"""The native format: a Hugging Face directory with `wellread.json` beside its files. Read, and written atomically.

What reading does without is imported where it is called, for the sake of start-up.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wellread.catalog.packaged import is_packaged
from wellread.checkpoints.checkpoint import Array, Checkpoint
from wellread.checkpoints.families import FAMILIES
from wellread.checkpoints.family import to_theirs
from wellread.checkpoints.huggingface import Source, read_encoder
from wellread.checkpoints.int8_tensors import split_scales
from wellread.checkpoints.names import head_shapes, mismatches, sentence_shapes, shapes
from wellread.checkpoints.sentence_steps import check_sentence, read_steps, step_files
from wellread.checkpoints.task_head import check_expressible, head_in_config, head_keys
from wellread.config import HeadConfig, SentenceConfig, TokenizerConfig
from wellread.dataclass import dataclass
from wellread.errors import CheckpointError, ConfigError, WeightsError
from wellread.files import (
    CARD,
    MANIFEST,
    UNREADABLE,
    Stamp,
    as_stamps,
    cache_directory,
    compare,
    load_json,
    refuse_others,
    save_json,
    sha256,
    whole_directory,
)
from wellread.formats.int8 import Int8Matrix
from wellread.formats.safetensors import write_safetensors
from wellread.schema import as_dict, read_json, record, write_json
from wellread.text.tokenizer import Tokenizer, load_tokenizer
from wellread.version import __version__

if TYPE_CHECKING:
    from wellread.text.tokenizer_files import Text

NAME = MANIFEST
FORMAT = 1
WITH_INT8 = 2  # the format of a module with int8 matrices, which a wellread that does not know them refuses as later


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What stands in `wellread.json`."""

    pooled_output: str  # a pooler of EncoderConfig
    sentence: SentenceConfig
    tokenizer: TokenizerConfig
    head: HeadConfig | None = None  # of a fine-tuned module; config.json cannot tell a pair, nor a similarity
    provenance: Mapping[str, Any] = field(default_factory=dict)  # where the module comes from, free of form
    files: Mapping[str, str] = field(default_factory=dict)  # path in the directory -> SHA-256
    written_by: str = ""  # a note: the wellread that wrote it
    format: int = FORMAT


def read_manifest(directory: Path) -> Manifest:
    """Read `wellread.json`. Raises: CheckpointError, ConfigError; a later format says that it is later."""
    path = directory / NAME
    data = read_json(path)
    if data.get("format") not in (FORMAT, WITH_INT8):
        raise CheckpointError(
            f"{path} must be of format {FORMAT} or {WITH_INT8}; found {data.get('format')!r}; a later wellread may "
            "have written it: upgrade with pip install -U wellread"
        )
    return record(Manifest, data, source=path)


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Hash every file of `directory` and write `wellread.json` beside them."""
    files = {name: sha256(directory / name) for name in sorted(listed(directory))}
    write_json(directory / NAME, {**as_dict(manifest), "files": files})


def retell(directory: Path, provenance: Mapping[str, Any], card: str) -> None:
    """Give a module that lies in `directory` another provenance and card; its other files stay as they are.

    Raises: CheckpointError where it holds no module of wellread, or the disk refuses.
    """
    manifest = replace(read_manifest(directory), provenance=provenance)
    partial = directory / f".{NAME}.{os.getpid()}"
    try:
        write_json(partial, as_dict(manifest))
        partial.replace(directory / NAME)
        (directory / CARD).write_text(card, "utf-8")
    except OSError as error:
        raise CheckpointError(f"{directory} was to be told more; found that {error}; make it writable") from error
    finally:
        partial.unlink(missing_ok=True)


def listed(directory: Path) -> Iterable[str]:
    """Name every file under `directory` but the manifest and the model card, with forward slashes.

    The card is for people, who edit it where it is published; nothing is loaded from it.
    """
    unlisted = (directory / NAME, directory / CARD)
    for path in directory.rglob("*"):
        if path.is_file() and path not in unlisted:
            yield path.relative_to(directory).as_posix()


def check_files(directory: Path, manifest: Manifest, *, full: bool = False, needed: Collection[str] = ()) -> None:
    """Compare every file with its recorded SHA-256; `needed` names files that the record must hold.

    Files of a module over 64 MB, and of those that ship with wellread, that have the size and time of their last full
    check are taken as unchanged, unless `full`.

    Raises: CheckpointError that names every file that is unrecorded, missing or damaged.
    """
    unrecorded = [f"{name} is not recorded" for name in needed if name not in manifest.files]
    stamps: dict[str, Stamp] = {}  # of the last full check; none where its record is absent or damaged: hash again
    with suppress(*UNREADABLE):
        stamps = {} if full else as_stamps(load_json(_record_path(directory)))
    packaged = is_packaged(directory)  # its files are the installer's, which replaces and does not mend them
    comparison = compare(directory, manifest.files, known=stamps, full=full, trusted=manifest.files if packaged else ())
    if faults := unrecorded + [f"{name} {fault}" for name, fault in comparison.faults.items()]:
        raise CheckpointError(
            f"the files of {directory} must be as {NAME} records them; found that {'; '.join(faults)}; "
            "fetch or save the module again"
        )
    if (comparison.large or packaged) and comparison.stamps != stamps:
        with suppress(RuntimeError):  # a cache that cannot be written costs time at the next load, no more
            save_json(_record_path(directory), {name: asdict(stamp) for name, stamp in comparison.stamps.items()})


def _record_path(directory: Path) -> Path:
    # of two directories with the same name here, each is hashed again after the other
    name = f"{zlib.crc32(os.fsencode(directory.resolve())):08x}"
    return cache_directory() / "verified" / f"{name}.json"


DTYPES = ("float32", "float16")
SAFETENSORS, GRAPH = "model.safetensors", "onnx/model.onnx"  # where the weights lie: in one or the other


def read_native(directory: Path, *, text: Text | None = None) -> Source:
    """Read a directory that `write_native` wrote, each file checked against its SHA-256 first.

    `text` is a preprocessor's, instead of its own.
    """
    manifest = read_manifest(directory)
    text_files = [file for file in (manifest.tokenizer.vocab_file, manifest.tokenizer.model_file) if file is not None]
    in_graph = SAFETENSORS not in manifest.files and GRAPH in manifest.files  # what `export.onnx` writes
    weights = GRAPH if in_graph else SAFETENSORS
    check_files(directory, manifest, needed=["config.json", weights, *text_files, *step_files(manifest.sentence)])
    encoder = _read_graph(directory, manifest) if in_graph else read_encoder(directory)
    if encoder.config.pooler != manifest.pooled_output:
        raise ConfigError(
            f"{directory / NAME} says that pooled_output is {manifest.pooled_output}; the tensors make it "
            f"{encoder.config.pooler}; save the module again"
        )
    expected = head_in_config(FAMILIES[encoder.family], encoder.config, manifest.head)
    if encoder.head != expected:
        raise ConfigError(
            f"{directory / NAME} says that the head is {manifest.head}; config.json tells {encoder.head} where that "
            f"makes {expected}; save the module again"
        )
    maps = read_steps(directory, manifest.sentence)
    check_sentence(manifest.sentence, encoder.config, maps, source=directory)
    checkpoint = replace(encoder, sentence=manifest.sentence, head=manifest.head, tensors={**encoder.tensors, **maps})
    tokenizer = text.tokenizer if text else load_tokenizer(directory, manifest.tokenizer)
    return Source(directory=directory, checkpoint=checkpoint, tokenizer=tokenizer, provenance=manifest.provenance)


def _read_graph(directory: Path, manifest: Manifest) -> Checkpoint:
    from wellread.checkpoints.onnx_weights import read_onnx_encoder

    return read_onnx_encoder(directory, directory / GRAPH, pooler=manifest.pooled_output, head=manifest.head)


def write_native(
    directory: Path,
    checkpoint: Checkpoint,
    tokenizer: Tokenizer,
    *,
    provenance: Mapping[str, Any],
    dtype: str = "float32",
    card: str | None = None,
    overwrite: bool = False,
) -> None:
    """Write a module's directory whole or not at all: floats as `dtype`, `card` as README.md, if one is given.

    int8 matrices stay int8.

    With `overwrite`, a directory that holds what a module's record lists, and nothing else, is replaced.

    Raises: CheckpointError where `directory` exists and is not empty, the disk refuses, or `dtype` is unknown or too
        narrow; WeightsError and ConfigError where the checkpoint is none of its family.
    """
    if dtype not in DTYPES:
        raise CheckpointError(
            f"weights were to be saved as {dtype!r}; wellread writes {', '.join(DTYPES)} and, by Module.save, int8; "
            "choose one"
        )
    refuse_stranger(checkpoint)
    if overwrite:
        refuse_unrecorded(directory)
    with whole_directory(directory, overwrite=overwrite) as partial:
        arrays = {
            # steps behind the pooling have files of their own, which other libraries read
            name: array if isinstance(array, Int8Matrix) else narrowed(name, array, dtype)
            for name, array in checkpoint.stored(floats="sentence.").items()
        }
        write_weights(partial, checkpoint, arrays)
        write_around(partial, checkpoint, tokenizer, arrays, provenance=provenance, card=card)


def refuse_unrecorded(directory: Path) -> None:
    """Refuse to overwrite a directory that holds more than its record and the card. Raises: CheckpointError."""
    recorded = read_manifest(directory).files if (directory / NAME).is_file() else ()
    refuse_others(directory, {*recorded, NAME, CARD})


def write_around(
    directory: Path,
    checkpoint: Checkpoint,
    tokenizer: Tokenizer,
    arrays: Mapping[str, Any],
    *,
    provenance: Mapping[str, Any],
    card: str | None,
) -> None:
    """Write what stands around the weights in `directory`: config, steps, tokenizer, card; the record of all last.

    `arrays` holds those of the steps behind the pooling.
    """
    from wellread.checkpoints.sentence_transformers import write_sentence_files
    from wellread.text.tokenizer_files import write_tokenizer
    from wellread.text.tokenizer_json import write_fast_tokenizer

    _write_config(directory, checkpoint)
    write_sentence_files(directory, checkpoint.sentence, arrays, width=checkpoint.config.hidden_size)
    length, segments = checkpoint.sentence.max_seq_length, checkpoint.config.reads_types
    config = write_tokenizer(directory, tokenizer, max_length=length, segments=segments)
    write_fast_tokenizer(directory, tokenizer)
    if card is not None:
        (directory / CARD).write_text(card, "utf-8")
    manifest = Manifest(
        pooled_output=checkpoint.config.pooler,
        sentence=checkpoint.sentence,
        tokenizer=config,
        head=checkpoint.head,
        provenance=provenance,
        written_by=f"wellread {__version__}",
        format=WITH_INT8 if checkpoint.has_int8 else FORMAT,
    )
    write_manifest(directory, manifest)


def refuse_stranger(checkpoint: Checkpoint) -> None:
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
    if wrong := FAMILIES[checkpoint.family].misfits(config):
        raise ConfigError(
            f"a {checkpoint.family} module was to be saved; found that {', '.join(wrong)}; save it as another family"
        )
    check_expressible(FAMILIES[checkpoint.family], config, checkpoint.head)
    maps = {name: tensor for name, tensor in checkpoint.tensors.items() if name.startswith("sentence.")}
    check_sentence(sentence, config, maps, source="the module to be saved")


def narrowed(name: str, array: Array, dtype: str) -> Array:
    """Turn an array into `dtype`. Raises: CheckpointError for a number that is too large for it."""
    try:
        with np.errstate(over="raise", under="ignore"):
            return np.asarray(array, dtype)
    except FloatingPointError:
        raise CheckpointError(
            f"{name} was to be saved as {dtype}; found {np.abs(array).max():.6g}, over its {np.finfo(dtype).max:.6g}; "
            "save as float32"
        ) from None


def _write_config(directory: Path, checkpoint: Checkpoint) -> None:
    family = FAMILIES[checkpoint.family]
    architecture = family.mlm_architecture if checkpoint.has_mlm else family.architecture
    keys = {theirs: getattr(checkpoint.config, ours) for theirs, ours in family.keys.used.items()}
    # without dtype, transformers computes in whatever the weights are stored as; it knows no scales, takes integers for
    # floats and says nothing, but refuses to compute in int8
    computes_in = "int8" if checkpoint.has_int8 else "float32"
    model = {"architectures": [architecture], "model_type": family.name, "dtype": computes_in}
    write_json(directory / "config.json", {**model, **keys, **head_keys(family, checkpoint.head)})


def write_weights(directory: Path, checkpoint: Checkpoint, arrays: Mapping[str, Any]) -> None:
    """Write the encoder's and the head's `arrays` to `directory` under the family's names."""
    family = FAMILIES[checkpoint.family]
    named = to_theirs(family, checkpoint.config, arrays, mlm=checkpoint.has_mlm, head=checkpoint.head)
    write_safetensors(directory / SAFETENSORS, split_scales(named), for_torch=not checkpoint.has_int8)
