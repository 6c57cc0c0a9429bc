"""Layers from and to the Hugging Face hub, under the names of dimitreOliveira's fork of tensorflow-hub."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

from wellread.errors import ExportError, HandleError, InputError
from wellread.export.tfhub import PACKAGES, export_tfhub
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
    written: that too is a format that `pull_from_hub` reads. `token` is the stored login's if not given.

    Raises: InputError for any other model and without a login; as `export_tfhub`; HandleError, ExportError for a
        repository that cannot be made or filled.
    """
    import huggingface_hub

    module = _module(model)
    token = token or huggingface_hub.get_token()
    if token is None:
        raise InputError(
            f"{repo_id} was to be filled; found no token of the Hugging Face hub; run hf auth login, set HF_TOKEN or "
            "pass token="
        )
    if all(importlib.util.find_spec(package) for package in PACKAGES):
        export_tfhub(module, folder_path)
    else:
        module.save(folder_path)
    _upload(repo_id, Path(folder_path), path_in_repo, token)


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


def _upload(repo_id: str, folder: Path, path_in_repo: str, token: str) -> None:
    import huggingface_hub
    from huggingface_hub import constants, errors

    constants.HF_HUB_DISABLE_TELEMETRY = True  # see hub.resolve
    try:
        huggingface_hub.create_repo(repo_id, token=token, exist_ok=True)
        huggingface_hub.upload_folder(repo_id=repo_id, folder_path=folder, path_in_repo=path_in_repo, token=token)
    except errors.HFValidationError as error:
        raise HandleError(
            f"the Hugging Face id {repo_id!r} was given; found that it is none, such as owner/name; check its spelling"
        ) from error
    except (errors.HTTPError, OSError) as error:
        raise ExportError(
            f"{folder} was to be put on the hub as {repo_id}; found that {error}; it lies there whole: check the token "
            "and try again"
        ) from error
