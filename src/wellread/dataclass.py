"""`dataclass` as the standard library's, for frozen classes; nothing of theirs is compiled until it is used.

The library writes and compiles six functions for every class when its module is imported, whether they are ever called
or not: half of what it took to import the modules that a first vector needs. Here `__init__` is compiled at the
first call, and the others are the same for all classes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import MISSING, FrozenInstanceError, fields
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(*, frozen: bool, slots: bool, kw_only: bool, eq: bool = True) -> Callable[[type], type]:
        """Make a frozen dataclass with slots whose arguments are keywords; each field is an argument."""
        assert (frozen, slots, kw_only) == (True, True, True), "other dataclasses are made by the standard library"

        def decorate(written: type) -> type:
            cls = dataclasses.dataclass(init=False, repr=False, eq=False, slots=True, kw_only=True)(written)
            methods = {"__setattr__": _refuse_set, "__delattr__": _refuse_delete, "__repr__": _repr}
            methods |= {"__getstate__": _state, "__setstate__": _set_state}
            methods |= _comparing(cls) if eq else {}
            for name, method in {"__init__": _late_init(cls), **methods}.items():
                if name not in written.__dict__:
                    setattr(cls, name, method)
            return cls

        return decorate


def _late_init(cls: type) -> Callable[..., None]:
    """Return an `__init__` that compiles the class's own and puts it in its place."""

    def __init__(self: Any, *args: Any, **values: Any) -> None:  # noqa: N807
        cls.__init__ = init = _compiled_init(cls)  # type: ignore[misc]
        init(self, *args, **values)

    return __init__


def _compiled_init(cls: Any) -> Callable[..., None]:
    """Write and compile `__init__`: it sets the slots themselves, past the refusal to set an attribute."""
    names: dict[str, Any] = {"_MISSING": MISSING}
    parameters, body = [], []
    for field in fields(cls):
        names[f"_set_{field.name}"] = getattr(cls, field.name).__set__
        value = field.name
        if field.default_factory is not MISSING:
            names[f"_make_{field.name}"] = field.default_factory
            parameters.append(f"{field.name}=_MISSING")
            value = f"_make_{field.name}() if {field.name} is _MISSING else {field.name}"
        elif field.default is not MISSING:
            names[f"_default_{field.name}"] = field.default
            parameters.append(f"{field.name}=_default_{field.name}")
        else:
            parameters.append(field.name)
        body.append(f"_set_{field.name}(self, {value})")
    body += ["self.__post_init__()"] if hasattr(cls, "__post_init__") else []
    exec(f"def __init__(self, *, {', '.join(parameters)}):\n " + "\n ".join(body), names)
    init: Any = names["__init__"]
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    return init


def _refuse_set(self: Any, name: str, value: Any) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_delete(self: Any, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


@recursive_repr()
def _repr(self: Any) -> str:
    shown = (f"{field.name}={getattr(self, field.name)!r}" for field in fields(self) if field.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _state(self: Any) -> list[Any]:
    return [getattr(self, field.name) for field in fields(self)]


def _set_state(self: Any, state: list[Any]) -> None:
    for field, value in zip(fields(self), state, strict=True):
        object.__setattr__(self, field.name, value)


def _comparing(cls: Any) -> dict[str, Callable[..., Any]]:
    """Return `__eq__` and `__hash__` over the fields that are compared."""
    values = attrgetter(*[field.name for field in fields(cls) if field.compare])

    def __eq__(self: Any, other: object) -> Any:  # noqa: N807
        return values(self) == values(other) if type(other) is type(self) else NotImplemented

    def __hash__(self: Any) -> int:  # noqa: N807
        return hash(values(self))

    return {"__eq__": __eq__, "__hash__": __hash__}
