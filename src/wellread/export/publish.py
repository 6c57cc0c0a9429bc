"""A module to the Hugging Face hub: whole, with a model card, and read back before it is called done."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from wellread.export.card import CARD, MARK, model_card
from wellread.hub.push import Destination, Pushed, connect, explained, fill, make_repository
from wellread.module import Module
from wellread.text.tokenizer_json import text_differences


def push(
    module: Module,
    repo_id: str,
    *,
    private: bool = False,
    token: str | None = None,
    revision: str | None = None,
    commit_message: str | None = None,
    card: str | None = None,
    dtype: str = "float32",
) -> Pushed:
    """Put `module` on the Hugging Face hub as `repo_id`, in one commit, and compare what the hub then holds.

    The repository is made where it is not there, and so is the branch `revision`. `private` makes a new repository
    private, and refuses one that is public. `card` is the text of README.md; without it one is made of what the module
    knows of itself, where the repository has none or one that wellread made: what people wrote there stays. Files of
    other names stay too, and are named in `Pushed.others`. `token` is the stored login's if not given; HF_ENDPOINT,
    HF_TOKEN and HF_HUB_OFFLINE are honoured.

    Raises: InputError without a login; HandleError for what is no id; CheckpointError where the module cannot be
        written; ExportError where the hub refuses, fails, or holds something else than what was sent.
    """
    from wellread import __version__

    message = commit_message or f"Push with wellread {__version__}"
    to = Destination(repo_id=repo_id, revision=revision, private=private, message=message)
    api = connect(to, token)
    with tempfile.TemporaryDirectory(prefix="wellread.") as place:
        folder = Path(place) / "module"
        module.save(folder, dtype=dtype)
        to = make_repository(api, to)
        if card is None and not _has_own_card(api, to, Path(place) / "theirs"):
            card = model_card(module, repo_id=to.repo_id, differences=text_differences(module.tokenizer))
        if card is not None:
            (folder / CARD).write_text(card, "utf-8")
        return fill(api, folder, to)


def _has_own_card(api: Any, to: Destination, place: Path) -> bool:
    """Say whether the repository has a card that people wrote."""
    from huggingface_hub import errors

    with explained(to):
        try:
            found = api.hf_hub_download(to.repo_id, CARD, revision=to.revision, local_dir=place)
        except errors.EntryNotFoundError:
            return False
    return MARK not in Path(found).read_text("utf-8", "replace")
