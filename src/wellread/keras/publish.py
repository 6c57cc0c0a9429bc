"""Layers from and to the Hugging Face hub, under the names of dimitreOliveira's fork of tensorflow-hub."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

from wellread import __version__
from wellread.errors import InputError
from wellread.export.tfhub import PACKAGES, export_tfhub
from wellread.export.upload import Destination, connect, fill, make_repository
from wellread.keras.encoder import Encoder
from wellread.keras.layer import KerasLayer, load
from wellread.module import Module


def pull_from_hub(repo_id: str, local_files_only: bool = False, trainable: bool = False, **options: Any) -> KerasLayer:
    """Load a repository of the Hugging Face hub as a KerasLayer: a module in any format, or a preprocessor.

    Options are `revision`, `token` and `cache_dir`, as for `wellread.load`. Raises: as `wellread.load`.
    """
    return KerasLayer(load(repo_id, local_files_only=local_files_only, **options), trainable=trainable)


def push_to_hub(
    model: Any,
    repo_id: str,
    folder_path: str | os.PathLike[str],
    path_in_repo: str = "./",
    token: str | None = None,
) -> None:
    """Write an encoder to `folder_path`, as TF Hub's SavedModel, and put it on the Hugging Face hub.

    `model` is a Module, an Encoder or a KerasLayer over one. Where TensorFlow is not installed, a native directory is
    written: that too is a format that `pull_from_hub` reads. It goes there in one commit, and what the hub then holds
    is compared with it. `token` is the stored login's if not given.

    Raises: InputError for any other model and without a login; as `export_tfhub`; HandleError, ExportError for a
        repository that cannot be made or filled, or holds something else. `folder_path` stays whole.
    """
    module = _module(model)
    to = Destination(repo_id=repo_id, path=path_in_repo, message=f"Push with wellread {__version__}")
    api = connect(to, token)
    if all(importlib.util.find_spec(package) for package in PACKAGES):
        export_tfhub(module, folder_path)
    else:
        module.save(folder_path)
    fill(api, Path(folder_path), make_repository(api, to))


def _module(model: Any) -> Module:
    inner = model.resolved_object if isinstance(model, KerasLayer) else model
    if isinstance(inner, Module):
        return inner
    if isinstance(inner, Encoder):
        return inner.to_module()
    raise InputError(
        f"a Module or an Encoder can be put on the hub; found {type(inner).__name__}; pass the encoder inside, "
        "and save the rest with model.save"
    )
