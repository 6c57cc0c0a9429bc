"""The directory where tensorflow-hub looks a handle up before it downloads: list it, add to it, take out of it.

As tensorflow-hub 0.16.1 has it (`compressed_module_resolver.py`, `resolver.py`): the module lies in
`$TFHUB_CACHE_DIR/<SHA-1 of the handle as written>`, and `<SHA-1>.descriptor.txt` beside it says whose it is.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

from wellread.dataclass import dataclass
from wellread.errors import ExportError, HandleError, nearest
from wellread.files import cache_directory
from wellread.version import __version__

VARIABLE = "TFHUB_CACHE_DIR"
# The lines of a descriptor: the first two are tensorflow-hub's, which reads none of them; the third is ours.
HANDLE, TIME, VOCABULARY = "Module", "Download Time", "Vocabulary"


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """A module in the cache, whoever put it there."""

    handle: str | None  # None: nothing says whose it is
    directory: Path
    size: int  # bytes
    time: str = ""  # when it was put there
    vocabulary: str = ""  # checksum of the vocabulary, of a preprocessor that wellread made


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """A finished module, about to be moved into the cache."""

    handle: str
    directory: Path
    vocabulary: str = ""  # as in Installed


def cache_dir() -> Path:
    """Return $TFHUB_CACHE_DIR, or a lasting directory in wellread's own cache.

    tensorflow-hub's default is a temporary directory, so a user has to set the variable: see `setting`.

    Raises: HandleError for a cache that is no local directory.
    """
    named = os.environ.get(VARIABLE)
    if named and "://" in named:
        raise HandleError(
            f"TF Hub's cache was to be opened; found that {VARIABLE} is {named!r}, and wellread reads and writes local "
            "disks; name a directory"
        )
    return Path(named) if named else cache_directory() / "tfhub_modules"


def setting() -> str:
    """Return the line for a shell that makes tensorflow-hub look where wellread installs."""
    return f"export {VARIABLE}={shlex.quote(str(cache_dir().absolute()))}"


def module_dir(handle: str) -> Path:
    """Return where the module of a handle lies, or would lie; the handle counts to the letter.

    >>> module_dir("https://tfhub.dev/jeongukjae/distilkobert_cased_L-3_H-768_A-12/1").name
    'a53518ec808a56fadec76a2d6dce7b0c296af498'
    """
    return cache_dir() / hashlib.sha1(handle.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()


def find(handle: str) -> Path | None:
    """Return the directory of an installed module; None where tensorflow-hub would download it."""
    directory = module_dir(handle)
    return directory if directory.is_dir() and any(directory.iterdir()) else None


def installed() -> list[Installed]:
    """List what is in the cache, by handle; those that tensorflow-hub downloaded too."""
    here = cache_dir()
    places = [path for path in here.iterdir() if _is_module(path)] if here.is_dir() else []
    return sorted(map(_described, places), key=lambda module: (module.handle or "", module.directory))


def described(handle: str) -> Installed | None:
    """Return what is known of an installed module; None where there is none."""
    directory = find(handle)
    return _described(directory) if directory else None


def remove(handle: str) -> Installed:
    """Take a module out of the cache, its descriptor too. Raises: HandleError where it is not installed."""
    module = described(handle)
    if module is None:
        known = [each.handle for each in installed() if each.handle]
        raise HandleError(
            f"{handle!r} was to be removed; {cache_dir()} holds {len(known)} modules, and not this one; "
            f"see wellread revive --list{nearest(handle, known)}"
        )
    with staging() as aside:
        module.directory.rename(aside / "removed")  # gone at once for others, whatever deleting takes
        _descriptor(module.directory).unlink(missing_ok=True)
    return module


def refuse_installed(handles: Collection[str]) -> None:
    """Refuse to install over modules. Raises: ExportError that names them."""
    taken = [handle for handle in handles if find(handle) is not None]
    if taken:
        raise ExportError(
            f"modules were to be installed in {cache_dir()}; found that {', '.join(taken)} "
            f"{'is' if len(taken) == 1 else 'are'} there; pass overwrite=True (--overwrite), or remove them first"
        )


@contextmanager
def staging() -> Iterator[Path]:
    """Give a directory in the cache to prepare modules in; it vanishes at the end. Raises: ExportError."""
    try:
        cache_dir().mkdir(parents=True, exist_ok=True)
        place = tempfile.TemporaryDirectory(prefix=".wellread.", dir=cache_dir())
    except OSError as error:
        raise ExportError(f"{cache_dir()} was to be written; found that {error}; name another {VARIABLE}") from error
    with place as name:
        yield Path(name)


def install(modules: Collection[Staged], *, overwrite: bool = False) -> list[Path]:
    """Move finished modules under their handles, each with its descriptor: all of them or none.

    Raises: ExportError where one is installed already and `overwrite` does not say otherwise, or the disk refuses.
    """
    if not overwrite:
        refuse_installed([module.handle for module in modules])
    with staging() as aside, ExitStack() as undo:
        try:
            for number, module in enumerate(modules):
                _replace(module, aside / str(number), undo)
        except OSError as error:
            raise ExportError(
                f"{', '.join(module.handle for module in modules)} were to be installed in {cache_dir()}; found that "
                f"{error}; nothing was changed: make room, or try again"
            ) from error
        undo.pop_all()
    return [module_dir(module.handle) for module in modules]


def _replace(module: Staged, aside: Path, undo: ExitStack) -> None:
    """Move one module to its place, and what was there aside; `undo` learns how to take each step back."""
    place = module_dir(module.handle)
    descriptor = _descriptor(place)
    old = descriptor.read_bytes() if descriptor.is_file() else None
    undo.callback(lambda: descriptor.unlink(missing_ok=True) if old is None else descriptor.write_bytes(old))
    partial = aside.with_name(f"{aside.name}.txt")
    partial.write_text(_description(module), "utf-8")
    partial.replace(descriptor)
    if place.exists():
        place.rename(aside)
        undo.callback(aside.rename, place)
    module.directory.rename(place)
    undo.callback(shutil.rmtree, place)


def _description(module: Staged) -> str:
    """Return the content of a descriptor."""
    facts = {HANDLE: module.handle, TIME: datetime.now(), "Written by": f"wellread {__version__}"}
    facts |= {VOCABULARY: module.vocabulary} if module.vocabulary else {}
    return "\n".join(f"{key}: {value}" for key, value in facts.items())


def _described(directory: Path) -> Installed:
    """Read a descriptor; one that is damaged, or of another handle, says nothing."""
    path = _descriptor(directory)
    text = path.read_text("utf-8", "replace") if path.is_file() else ""
    facts = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
    handle = facts.get(HANDLE)
    known = handle is not None and module_dir(handle).name == directory.name
    return Installed(
        handle=handle if known else None,
        directory=directory,
        size=sum(file.stat().st_size for file in directory.rglob("*") if file.is_file()),
        time=facts.get(TIME, "") if known else "",
        vocabulary=facts.get(VOCABULARY, "") if known else "",
    )


def _descriptor(directory: Path) -> Path:
    return directory.with_name(f"{directory.name}.descriptor.txt")


def _is_module(path: Path) -> bool:
    is_sha1 = len(path.name) == 40 and set(path.name) <= set("0123456789abcdef")
    return is_sha1 and path.is_dir() and any(path.iterdir())
