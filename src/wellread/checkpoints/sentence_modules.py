"""`modules.json`: which modules sentence-transformers chains into a sentence vector, and where each of them lies."""

from __future__ import annotations

import re
import reprlib
from pathlib import Path, PurePosixPath
from typing import Any

from wellread.checkpoints.task_head import read_cross_encoder
from wellread.dataclass import dataclass
from wellread.errors import ConfigError
from wellread.schema import parse_json

NAME = "modules.json"
# The classes whose arithmetic wellread has, and the file of each in today's package.
KINDS = {
    "Transformer": "transformer",
    "Pooling": "pooling",
    "Dense": "dense",
    "LayerNorm": "layer_norm",
    "Dropout": "dropout",
    "Normalize": "normalize",
}
STEPS = ("Dense", "LayerNorm", "Dropout", "Normalize")  # what may stand behind the pooling, in any order
# Before version 1 each body had a class of its own.
OLD_TRANSFORMERS = ("BERT", "RoBERTa", "DistilBERT", "ALBERT", "XLMRoBERTa", "CamemBERT", "XLNet")
PACKAGE = "sentence_transformers."
HOMES = ("models", "sentence_transformer.modules", "base.modules")  # since the beginning, 5.4 and 6.0


def _types() -> dict[str, str]:
    """Return the full names of the classes, each with its kind."""
    classes = {kind: (kind, file) for kind, file in KINDS.items()}
    classes |= {old: ("Transformer", old) for old in OLD_TRANSFORMERS}
    return {
        f"{PACKAGE}{home}.{module}{name}": kind
        for name, (kind, file) in classes.items()
        for home in HOMES
        for module in ("", f"{name}.", f"{file}.")
    }


TYPES = _types()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleEntry:
    """One module of the chain."""

    kind: str  # of KINDS
    path: str  # of its folder in the directory; empty: the directory itself
    folder: Path


def read_modules(directory: Path) -> list[ModuleEntry] | None:
    """Read `modules.json`, or return None where there is none: a Transformer, a Pooling, then any of STEPS.

    Of a cross-encoder it is a Transformer alone. The order is that of the list, by which sentence-transformers goes;
    where that begins with no Transformer, it is that of `idx`.

    A class goes by its full name: one of the same name from elsewhere is code, and code is never run.

    Raises: ConfigError for a damaged file, a class, a folder or an order that is not read.
    """
    path = directory / NAME
    if not path.is_file():
        return None
    try:
        entries = parse_json(path.read_bytes())
        ordered = sorted(enumerate(entries), key=lambda entry: entry[1].get("idx", entry[0]))
        modules = [(entry["type"].strip(), entry["path"]) for entry in entries]
        if modules and TYPES.get(modules[0][0]) != "Transformer":
            modules = [modules[i] for i, _ in ordered]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{path} must be a list of modules with idx, path and type; found that {error!r}; fetch the file again"
        ) from None
    chain = [
        ModuleEntry(kind=_kind(name, path), path=_relative(place, path), folder=directory / _relative(place, path))
        for name, place in modules
    ]
    while [entry.kind for entry in chain[:2]] == ["Transformer", "Normalize"]:
        del chain[1]  # there is no vector yet that it could scale, and sentence-transformers passes over it
    kinds = [entry.kind for entry in chain]
    if kinds != ["Transformer"] or not read_cross_encoder(directory):
        _check_order(path, kinds)
    return chain


def _kind(name: str, path: Path) -> str:
    """Return the kind of a class. Raises: ConfigError for one that wellread does not compute."""
    if name in TYPES:
        return TYPES[name]
    known = ", ".join(KINDS)
    if name.startswith(PACKAGE) and re.fullmatch(r"[\w.]+", name):
        raise ConfigError(
            f"{path} names the module {name.rpartition('.')[2]} ({name}); of sentence-transformers' modules wellread "
            f"computes {known}; use another model"
        )
    raise ConfigError(
        f"{path} names the module {reprlib.repr(name)}; it is no class of sentence-transformers but code of the "
        f"repository or of another package, which wellread never runs; it computes {known} of sentence_transformers; "
        "use another model"
    )


def _relative(place: Any, path: Path) -> str:
    """Return a folder inside the directory. Raises: ConfigError for one outside."""
    inside = isinstance(place, str) and not re.search(r"[\\\0]", place)
    parts = PurePosixPath(place).parts if inside else ()
    if not inside or place.startswith("/") or ".." in parts:
        raise ConfigError(f"{path} names the folder {place!r}; a module lies beside it; correct the path")
    return "/".join(parts)


def _check_order(path: Path, kinds: list[str]) -> None:
    """Refuse another order than a Transformer, a Pooling, then any steps."""
    if kinds[:2] == ["Transformer", "Pooling"] and all(kind in STEPS for kind in kinds[2:]):
        return
    raise ConfigError(
        f"{path} must chain Transformer, Pooling, then any of {', '.join(STEPS)}; found "
        f"{', '.join(kinds) or 'none'}; wellread computes no other chain"
    )
