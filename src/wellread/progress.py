"""The progress of long work, on stderr and only where a person looks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

LONG = 2_000  # items; shorter work shows nothing unless asked to
LONG_BYTES = 8_000_000
_open: list[Any] = []  # the display that work inside other work adds its bar to; there can be one at a time


@contextmanager
def progress(total: int, *, show: bool | None = None, label: str = "texts") -> Iterator[Callable[[int], None]]:
    """Give a function that advances a bar by a number of items.

    `show=None` shows it for long work on a terminal; True always; False never.

    >>> with progress(3, show=False) as advance:
    ...     advance(3)
    """
    if show is None:
        show = total >= LONG and sys.stderr.isatty()
    if not show:
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with _shared(lambda: Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True))) as bar:
        task = bar.add_task(label, total=total)
        yield lambda count: bar.advance(task, count)
        if len(_open) > 1:
            bar.remove_task(task)


@contextmanager
def _shared(make: Callable[[], Any]) -> Iterator[Any]:
    """Give the display that is open, or open one."""
    with make() if not _open else nullcontext(_open[-1]) as bar:
        _open.append(bar)
        try:
            yield bar
        finally:
            _open.pop()


@contextmanager
def transfer(total: int | None, *, show: bool | None = None, label: str = "bytes") -> Iterator[Callable[[int], None]]:
    """Give a function that moves a bar to a position in a file of `total` bytes, or of a size that nobody knows.

    `show` is that of `progress`.

    >>> with transfer(3, show=False) as move:
    ...     move(3)
    """
    if show is None:
        show = (total is None or total >= LONG_BYTES) and sys.stderr.isatty()
    if not show:
        yield lambda position: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(label, total=total)
        yield lambda position: bar.update(task, completed=position)


@contextmanager
def rows_progress(total: int | None, *, show: bool | None = None) -> Iterator[Callable[..., None]]:
    """Give a function that moves a bar: so many rows more, and the share of all that is done, 0 to 1.

    It tells rows, rows a second (of those that were not `skipped`) and the time left. `show` is that of `progress`;
    with no `total` the work counts as long.

    >>> with rows_progress(3, show=False) as advance:
    ...     advance(3, 1.0)
    """
    if show is None:
        show = (total is None or total >= LONG) and sys.stderr.isatty()
    if not show:
        yield lambda rows, share, skipped=False: None
        return
    import time

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("rows", total=1.0)
        done, made, started = 0, 0, time.monotonic()

        def advance(rows: int, share: float, skipped: bool = False) -> None:
            nonlocal done, made
            done, made = done + rows, made + (0 if skipped else rows)
            rate = made / max(time.monotonic() - started, 1e-9)
            of_all = f" of {total:,}" if total is not None else ""
            bar.update(task, completed=share, description=f"{done:,}{of_all} rows, {rate:,.0f} rows/s")

        yield advance
