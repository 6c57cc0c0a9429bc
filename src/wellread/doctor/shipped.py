"""The modules that ship with wellread: whether their files are as they were packaged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from wellread.catalog.packaged import packaged_modules
from wellread.doctor.installation import Problem
from wellread.hub.pull import verify


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipped:
    """A module that ships with wellread."""

    name: str
    size: int  # bytes of its files
    faults: tuple[str, ...] = ()  # files that are damaged or missing


def shipped() -> list[Shipped]:
    """Hash the files of every module that ships with wellread.

    >>> [(module.name, module.faults) for module in shipped()][0]
    ('default', ())
    """
    found = [module for name in packaged_modules() for module in verify(name)]
    return [
        Shipped(
            name=one.handle, size=sum(stamp.size for stamp in one.stamps.values()), faults=tuple(sorted(one.faults))
        )
        for one in found
    ]


def shipped_problems(modules: Sequence[Shipped]) -> Iterator[Problem]:
    """Tell of modules that are not as they were packaged."""
    for module in modules:
        if module.faults:
            found = f"the module {module.name}, which ships with wellread, is damaged: {', '.join(module.faults)}"
            yield Problem(found=found, advice="run pip install --force-reinstall --no-deps wellread")
