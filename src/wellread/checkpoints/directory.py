"""Any directory to a module: the layout chooses the reader, an adapter is merged, what lies beside is told.

Readers of layouts that are not met every day are imported where they are met, for the sake of start-up.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from wellread.catalog.packaged import is_packaged
from wellread.checkpoints.huggingface import Source, read_huggingface, read_text, with_sentence
from wellread.checkpoints.native import NAME, check_files, read_manifest, read_native
from wellread.errors import CheckpointError, ConfigError, DownloadError, HandleError, TextError, UnusedTensorsWarning
from wellread.files import public_name
from wellread.hub.resolve import resolve
from wellread.schema import ASKED, is_named, read_json
from wellread.text.tokenizer import load_tokenizer

if TYPE_CHECKING:
    from wellread.checkpoints.adapters import Adapter
    from wellread.hub.places import Layout, Place
    from wellread.text.tokenizer_files import Text

# From the name of an adapter's base, and its revision, to the directory where it lies.
FindBase = Callable[[str, str | None], Path]


def _find_base(name: str, revision: str | None) -> Path:
    return resolve(name, revision=revision).directory


def read_directory(
    directory: Path,
    *,
    ignore: Collection[str] = (),
    text_from: Path | None = None,
    find_base: FindBase = _find_base,
) -> Source:
    """Read the module that lies in a directory, by its layout; see `hub.places`.

    `text_from` is the directory of a tokenizer that is taken instead of the module's own: see `read_text_of`. An
    adapter is merged into the model beside it, or else into the one that it names, which `find_base` looks up.

    Raises: CheckpointError, ConfigError, WeightsError, TextError; as `find_base`.
    """
    if is_packaged(directory) and text_from is None:  # what lies there is known
        return read_native(directory)
    from wellread.hub.places import what_lies_at

    if not os.path.exists(directory):
        raise CheckpointError(f"a module was asked of {directory}; found no directory there; check the path")
    place = what_lies_at(directory)
    place.refuse()
    text = read_text_of(text_from, ignore=ignore) if text_from is not None else None
    if place.layout.name == "adapter":
        return _read_adapted(place, ignore=ignore, text=text, find_base=find_base)
    source = _read(place.directory, place.layout, ignore=ignore, text=text)
    return _with_parts_beside(source, place, ignore)


def _read(directory: Path, layout: Layout, *, ignore: Collection[str], text: Text | None) -> Source:
    if layout.name == "saved_model":
        from wellread.checkpoints.saved_model import read_saved_model

        return read_saved_model(directory, ignore=ignore, text=text)
    if layout.name == "tf1":
        from wellread.checkpoints.tf1 import read_tf1

        return read_tf1(directory, ignore=ignore, text=text)
    if layout.name == "native":
        return read_native(directory, text=text)
    return read_huggingface(directory, ignore=ignore, text=text)


def _with_parts_beside(source: Source, place: Place, ignore: Collection[str]) -> Source:
    """Say what lies beside a model and is not used; what `ignore` does not name, in a warning too."""
    from wellread.hub.places import parts_beside

    beside = {name: ASKED if is_named(name, ignore) else what for name, what in parts_beside(place).items()}
    told = "; ".join(f"{name} of {place.directory}: {what}" for name, what in beside.items() if what != ASKED)
    if told:
        warnings.warn(f"{told}; the module is read without", UnusedTensorsWarning, stacklevel=2)
    checkpoint = replace(source.checkpoint, ignored={**source.checkpoint.ignored, **beside})
    return replace(source, checkpoint=checkpoint) if beside else source


def _read_adapted(place: Place, *, ignore: Collection[str], text: Text | None, find_base: FindBase) -> Source:
    """Read an adapter and its base and merge them; tokenizer and sentence modules are the adapter's, if it has any."""
    from wellread.checkpoints.adapters import merge, read_adapter
    from wellread.checkpoints.sentence_transformers import read_sentence_files
    from wellread.hub.places import layout_of
    from wellread.text.tokenizer_files import has_tokenizer

    directory = place.directory
    files = read_sentence_files(directory, ignore=ignore)
    folder = files.folder if files is not None and files.folder is not None else directory
    adapter = read_adapter(folder, ignore=ignore)
    own = layout_of([name for name in place.names if not name.rpartition("/")[2].startswith("adapter_")], directory)
    if text is None and has_tokenizer(folder):
        text = read_text_of(folder, ignore=ignore)
    if own.is_read:
        base, name = _read(directory, own, ignore=ignore, text=text), "the model beside it"
    else:
        name = adapter.config.base_model_name_or_path or ""
        base = replace(_read_base(adapter, find_base, ignore=ignore, text=text), provenance={"base": public_name(name)})
    checkpoint = merge(adapter, base.checkpoint, base_name=name, ignore=ignore)
    if files is not None and not own.is_read:
        checkpoint = with_sentence(checkpoint, files, max_length=text.max_length if text else None, source=directory)
    return replace(base, directory=directory, checkpoint=checkpoint)


def _read_base(adapter: Adapter, find_base: FindBase, *, ignore: Collection[str], text: Text | None) -> Source:
    """Read the model that an adapter names as its base."""
    from wellread.hub.places import what_lies_at

    name = adapter.config.base_model_name_or_path
    where = f"the base of the adapter {adapter.directory}"
    if not name:
        raise ConfigError(
            f"{where} was asked for; found no base_model_name_or_path in adapter_config.json; put the base's "
            "files beside the adapter's, or its name there"
        )
    try:
        directory = find_base(name, adapter.config.revision)
    except (HandleError, DownloadError) as error:
        raise type(error)(
            f"{where}, {name}, was to be opened; found that {error}; put the base's files beside the adapter's, or "
            "correct its name"
        ) from error
    place = what_lies_at(directory)
    if place.layout.name == "adapter":
        raise ConfigError(
            f"{where}, {name}, must be a whole model; found an adapter; merge that with PEFT's merge_and_unload first"
        )
    place.refuse()
    return _read(place.directory, place.layout, ignore=ignore, text=text)


def read_text_of(directory: Path, *, ignore: Collection[str] = ()) -> Text:
    """Read the tokenizer of any directory: a module's of whatever layout, a preprocessor's, or a tokenizer's alone.

    Raises: CheckpointError, ConfigError; TextError where there is none.
    """
    from wellread.checkpoints.families import FAMILIES
    from wellread.formats.saved_model_pb import NAME as SAVED_MODEL
    from wellread.text.tokenizer_files import TOKENIZER_FILES, Text, has_tokenizer

    if not directory.is_dir():
        raise TextError(
            f"a tokenizer was asked of {directory}; found no directory there, nor a file of one; "
            f"pass a directory or handle that holds one of {', '.join(TOKENIZER_FILES)}"
        )
    if (directory / NAME).is_file():
        manifest = read_manifest(directory)
        check_files(directory, manifest)
        length = manifest.sentence.max_seq_length
        return Text(tokenizer=load_tokenizer(directory, manifest.tokenizer), max_length=length)
    if not has_tokenizer(directory) and (directory / SAVED_MODEL).is_file():
        from wellread.checkpoints.saved_model import read_preprocessor

        return read_preprocessor(directory)
    if (directory / "bert_config.json").is_file():
        from wellread.checkpoints.tf1 import read_tf1_text

        return read_tf1_text(directory, ignore=ignore)
    of_encoder = (path for path in sorted(directory.glob("0_*")) if has_tokenizer(path))  # of sentence-transformers
    folder = directory if has_tokenizer(directory) else next(of_encoder, directory)
    data = read_json(folder / "config.json") if (folder / "config.json").is_file() else {}
    model_type = str(data.get("model_type"))
    return read_text(folder, model_type if model_type in FAMILIES else "bert", ignore=ignore)
