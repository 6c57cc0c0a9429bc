"""Files of a model that are not what their names say: git-lfs pointers, web pages, empty weights."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from wellread.errors import CheckpointError

HEAD = 1024  # bytes that are read of each file; no pointer is longer
POINTER = b"version https://git-lfs.github.com/spec/v1"
SIZE = re.compile(rb"^size (\d+)$", re.MULTILINE)
WEIGHTS = re.compile(r"\.(safetensors|bin|pt|h5|pb|index|data-\d+-of-\d+|model|spiece)$")
TEXTS = re.compile(r"\.(json|jsonl|txt|vocab)$")
LFS = "run `git lfs pull` there, or fetch the model with `wellread pull`"
FETCH = "fetch the model again with `wellread pull`"


def refuse_impostors(directory: Path) -> None:
    """Refuse a directory of a model in which files are not what their names say; a kilobyte of each is read.

    Raises: CheckpointError, which names all of them.
    """
    found = []
    try:
        for path in _files(os.fspath(directory)):
            if what := _impostor(path):
                found.append(f"{os.path.relpath(path, directory)}, {what}")
    except OSError as error:
        raise CheckpointError(f"{directory} was to be read; found that {error}; check the path") from error
    if found:
        advice = LFS if any("git-lfs" in what for what in found) else FETCH
        raise CheckpointError(f"{directory} was to be read; found {'; '.join(sorted(found))}; {advice}")


def is_page(head: bytes) -> bool:
    """Say whether the first bytes of a file are those of a web page.

    >>> is_page(b"<!DOCTYPE html>"), is_page(b"[PAD]")
    (True, False)
    """
    plain = head[:HEAD].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return plain.startswith((b"<!doctype html", b"<html"))


def _files(directory: str) -> Iterator[str]:
    """Give the files of a model, in folders too; links are followed to files, not to folders."""
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _files(entry.path)
            elif WEIGHTS.search(entry.name) or TEXTS.search(entry.name):
                yield entry.path


def _impostor(path: str) -> str | None:
    """Say what stands in place of a file; None where nothing is amiss."""
    with open(path, "rb", buffering=0) as file:
        head = file.read(HEAD)
    if head.startswith(POINTER):
        size = SIZE.search(head)
        return f"a git-lfs pointer to {size[1].decode() if size else 'an unknown number of'} bytes"
    if is_page(head):
        return "a web page"
    if not head and WEIGHTS.search(path):
        return "an empty file"
    return None
