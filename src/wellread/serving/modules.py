"""The modules of a server by their names, loaded once."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from wellread.module import Module
from wellread.serving.faults import Unready
from wellread.serving.memory import Memory
from wellread.serving.served import Served

Loader = Callable[[], Module]


class Modules:
    """The modules by name, the first of which stands in for names that are unknown. Names are fixed at the start."""

    def __init__(self, given: Mapping[str, Module | Loader]) -> None:
        self._given = dict(given)
        self._served: dict[str, Served] = {}
        self.names = tuple(given)

    @property
    def ready(self) -> bool:
        """Whether every module is loaded."""
        return len(self._served) == len(self.names)

    def load(self, memory: Memory | None = None) -> None:
        """Load what is to be loaded, prepare it, and fit it into memory.

        Raises: what `wellread.load` does; ServeError where the memory is too small.
        """
        loaded = {}
        for name, given in self._given.items():
            loaded[name] = Served(name=name, module=given if isinstance(given, Module) else given())
            loaded[name].warm()
        if memory is not None:
            memory.fit([*loaded.values()])
        self._served = loaded

    def named(self, name: str | None) -> Served:
        """Return the module of that name, or the first one. Raises: Unready while they are being loaded."""
        if not self.ready:
            raise Unready(f"an answer was asked for; the modules {', '.join(self.names)} are being loaded; try again")
        return self._served.get(name or "") or self._served[self.names[0]]
