"""Legacy packages by their names, which wellread's wheel does not own, over wellread."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType

from wellread.errors import InputError

# legacy name -> the module that stands in for it
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
    modules = {name: importlib.import_module(stand_in) for name, stand_in in STAND_INS.items()}
    origins = {name: origin for name, module in modules.items() if (origin := _origin(name, module)) is not None}
    if origins and not override:
        others = ", ".join(f"{name} ({origin})" for name, origin in origins.items())
        raise InputError(
            f"{', '.join(STAND_INS)} were to be wellread's in this process; found others: {others}; "
            "remove them, or call install(override=True)"
        )
    for name, module in modules.items():
        before = sys.modules.get(name)
        if before is not None and before is not module:
            _replaced[name] = before
        sys.modules[name] = module


def uninstall() -> None:
    """Undo `install`: what had been imported under the names before is back; what was taken from them stays usable."""
    for name, stand_in in STAND_INS.items():
        if sys.modules.get(name) is sys.modules.get(stand_in, name):
            del sys.modules[name]
        if name in _replaced:
            sys.modules[name] = _replaced.pop(name)


def _origin(name: str, ours: ModuleType) -> str | None:
    """Say where the module of a name lies, if there is one that is not ours."""
    loaded = sys.modules.get(name)
    if loaded is ours:
        return None
    if loaded is not None:
        return getattr(loaded, "__file__", None) or "made by this process"
    spec = importlib.util.find_spec(name)
    return None if spec is None else spec.origin  # none for a mere directory, such as one of weights
