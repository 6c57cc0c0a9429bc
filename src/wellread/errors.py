"""The tree of errors that wellread raises, and the warnings it gives.

    WellreadError
    ├── HandleError        a handle that names no module
    ├── DownloadError      a module that could not be fetched
    ├── CheckpointError    a file that is damaged, hostile or of no known format
    │   ├── ConfigError    a configuration key that is unknown or contradicts another
    │   └── WeightsError   a tensor that is missing, surplus or of the wrong shape
    ├── TextError          a text, vocabulary or tokenizer that cannot be used
    ├── InputError         ids, masks or arguments that do not fit the module
    ├── DataError          a data file that cannot be read
    ├── ExportError        an artefact that could not be written or does not agree with its source
    ├── TrainingError      a training run that cannot start, go on or resume
    ├── BenchError         a contender of a measurement that failed
    ├── ClusterError       a process of a cluster that died
    ├── ServeError         a request that a server refuses
    └── MissingExtra       an optional dependency that is not installed

Every message has three clauses: what was expected; what was found; what to do. An argument that a user may pass is
written as in Python, `on_long="chunk"` or `prompt=`: the command line shows it as its option, `--on-long chunk`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Collection, Iterable


class WellreadError(Exception):
    """The root of every error that wellread raises on purpose."""


class HandleError(WellreadError):
    """A handle names no module that can be found."""


class DownloadError(WellreadError):
    """A module was found but could not be fetched whole."""


class CheckpointError(WellreadError):
    """A checkpoint file is damaged, hostile or of no known format."""


class ConfigError(CheckpointError):
    """A configuration key is unknown, missing or contradicts another."""


class WeightsError(CheckpointError):
    """A tensor is missing, surplus or of the wrong shape or type."""


class TextError(WellreadError):
    """A text, a vocabulary or a tokenizer cannot be used."""


class InputError(WellreadError):
    """Ids, masks or arguments do not fit the module."""


class DataError(WellreadError):
    """A data file cannot be read."""


class ExportError(WellreadError):
    """An artefact could not be written, or does not agree with its source."""


class TrainingError(WellreadError):
    """A training run cannot start, go on or resume."""


class BenchError(WellreadError):
    """A contender of a measurement failed."""


class ClusterError(WellreadError):
    """A process of a cluster died, and with it what it computed."""


class ServeError(WellreadError):
    """A server refuses a request, or cannot answer it."""


class MissingExtra(WellreadError):  # noqa: N818
    """An optional dependency is not installed."""


class TruncationWarning(UserWarning):
    """Texts were longer than the module's sequence length and were cut."""


class VocabularyWarning(UserWarning):
    """The module's vocabulary cannot read the texts: most tokens are unknown or single letters."""


class UnusedTensorsWarning(UserWarning):
    """A file holds tensors that are no part of the encoder nor of a head that wellread computes."""


class TrainingWarning(UserWarning):
    """A training run has ended in a module that is of no use."""


def require_extra(package: str, *, extra: str) -> None:
    """Raise `MissingExtra` unless `package` can be imported; `extra` of wellread brings it.

    >>> require_extra("json", extra="train")
    """
    require_package(package, install=f"wellread[{extra}]")


def require_package(package: str, *, install: str) -> None:
    """Raise `MissingExtra` unless `package` can be imported; pip knows it as `install`.

    >>> require_package("json", install="json")
    """
    if importlib.util.find_spec(package) is None:
        command = f'"{install}"' if "[" in install else install
        raise MissingExtra(f"this needs {package}, which is not installed; run: pip install {command}")


def nearest(name: object, known: Iterable[str]) -> str:
    """Return a hint at the known name closest to `name`, or an empty string, as for what is no str.

    >>> nearest("hiden_size", ["hidden_size", "vocab_size"])
    ' (did you mean hidden_size?)'
    """
    if not isinstance(name, str):
        return ""
    from difflib import get_close_matches

    close = get_close_matches(name, list(known), n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def some(names: Collection[str], limit: int = 5) -> str:
    """List the first few names, each cut at 100 characters, and count the others.

    >>> some(["a", "b", "c"], limit=2)
    'a, b and 1 more'
    """
    first = ", ".join(name[:100] for name in list(names)[:limit])
    return first if len(names) <= limit else f"{first} and {len(names) - limit} more"
