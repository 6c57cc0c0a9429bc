"""The preprocessor that an encoder without a vocabulary needs, as DistilBERT's modules of TF Hub do."""

from __future__ import annotations

import os
from pathlib import Path

from wellread.errors import HandleError
from wellread.hub.handles import locate


def preprocessor_for(handle: str | os.PathLike[str], directory: Path) -> str | None:
    """Return the handle of the preprocessor that the page of `handle` names, where `directory` holds no vocabulary.

    None where it does, or is no SavedModel, or the catalog does not know the page.
    """
    if not (directory / "saved_model.pb").is_file() or any((directory / "assets").glob("*")):
        return None
    try:
        publication = locate(os.fspath(handle)).publication
    except HandleError:  # a path
        return None
    return publication.preprocessor if publication else None
