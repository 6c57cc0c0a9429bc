"""Lets a process import the packages of before by their names, which wellread's wheel does not own."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType

from wellread.errors import InputError

# the name of before -> the module that stands in for it
STAND_INS = {
    "distilkobert": "wellread.compat.distilkobert",
    "tokenization_kobert": "wellread.compat.tokenization_kobert",
    "kobert_transformers": "wellread.compat.kobert_transformers",
}
_replaced: dict[str, ModuleType] = {}  # what had been imported under a name before


def install(*, override: bool = False) -> None:
    """Make `import distilkobert`, `tokenization_kobert`, `kobert_transformers` find wellread's in this process.

    All three or none. With `override` wellread's take precedence over what is installed under those names.

    Raises: InputError where one of the names is taken.

    >>> install()
    >>> from tokenization_kobert import KoBertTokenizer
    >>> uninstall()
    """
    modules = {name: importlib.import_module(place) for name, place in STAND_INS.items()}
    taken = {name: where for name, module in modules.items() if (where := _where(name, module)) is not None}
    if taken and not override:
        found = ", ".join(f"{name} ({where})" for name, where in taken.items())
        raise InputError(
            f"{', '.join(STAND_INS)} were to be wellread's in this process; found others: {found}; "
            "remove them, or call install(override=True)"
        )
    for name, module in modules.items():
        before = sys.modules.get(name)
        if before is not None and before is not module:
            _replaced[name] = before
        sys.modules[name] = module


def uninstall() -> None:
    """Undo `install`: what had been imported under the names before is back; what was taken from them stays usable."""
    for name, place in STAND_INS.items():
        if sys.modules.get(name) is sys.modules.get(place, name):
            del sys.modules[name]
        if name in _replaced:
            sys.modules[name] = _replaced.pop(name)


def _where(name: str, ours: ModuleType) -> str | None:
    """Say where the module of a name lies, if there is one that is not ours."""
    loaded = sys.modules.get(name)
    if loaded is ours:
        return None
    if loaded is not None:
        return getattr(loaded, "__file__", None) or "made by this process"
    spec = importlib.util.find_spec(name)
    return None if spec is None else spec.origin  # none for a mere directory, such as one of weights
