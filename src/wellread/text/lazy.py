"""An attribute that is made when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")


class Lazy(Generic[Value]):
    """Do as `functools.cached_property`, without the lock that it has in Python 3.11.

    A fork may come while another thread holds that; the child would wait for it for ever.

    >>> class Numbers:
    ...     @Lazy
    ...     def squares(self):
    ...         return [number**2 for number in range(4)]
    >>> numbers = Numbers()
    >>> numbers.squares, numbers.squares is numbers.squares
    ([0, 1, 4, 9], True)
    """

    def __init__(self, make: Callable[[Any], Value]) -> None:
        """Take the function that makes the value."""
        self.make, self.__doc__ = make, make.__doc__

    def __get__(self, instance: Any, owner: type | None = None) -> Value:
        """Make the value and keep it; of several threads, the first one's stays."""
        value: Value = vars(instance).setdefault(self.make.__name__, self.make(instance))
        return value
