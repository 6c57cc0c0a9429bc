"""Text to ids on one core: our WordPiece beside the tokenizers library and tensorflow-text."""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Worker
from benchmarks.machine import Machine, lacks, this_machine
from benchmarks.report import ABSENT, ratio, spread, table
from benchmarks.tokenise_worker import SYSTEMS, TFHUB
from wellread.errors import BenchError, InputError
from wellread.export.parity import read_lines
from wellread.module import load
from wellread.progress import progress

JOINED = 100  # texts that make one long text
PASSES = ("first pass", "later passes")
MEASURED = ("numpy", "tokenizers", "tensorflow-text")
PROGRAM = "benchmarks.tokenise_worker"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokeniseRow:
    """One system on the texts of one kind, with a new tokenizer or with one that has read them."""

    workload: str
    system: str
    lacks: str | None = None  # why it was not measured
    seconds: tuple[float, ...] = ()  # of CPU, of each round
    characters: int = 0  # of all texts

    @property
    def median(self) -> float | None:
        """Seconds of a round: the median; None where there are none."""
        return statistics.median(self.seconds) if self.seconds else None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokeniseResult:
    """The result of `run_tokenise`."""

    model: str  # the directory's name
    rounds: int
    machine: Machine
    rows: tuple[TokeniseRow, ...]

    def ratio(self, row: TokeniseRow) -> float | None:
        """Return how many times as fast as the tokenizers library on the same texts a row is."""
        (peer,) = (r.median for r in self.rows if (r.workload, r.system) == (row.workload, "tokenizers"))
        return peer / row.median if peer and row.median else None

    def derived(self) -> list[dict[str, Any]]:
        """Return the median of each row, and its ratio."""
        return [{"median": row.median, "ratio": self.ratio(row)} for row in self.rows]

    def paragraphs(self) -> list[str]:
        """Write the table."""
        title = (
            f"{self.model}: text to ids on one core, million characters a second of CPU, median of {self.rounds} "
            "rounds in turn (lowest to highest); ids are equal under the same rules"
        )
        rows = []
        for row in self.rows:
            speeds = [row.characters / seconds / 1e6 for seconds in row.seconds]
            speed = [f"{statistics.median(speeds):.2f}", spread(speeds)] if speeds else [ABSENT, ABSENT]
            rows.append([row.workload, row.system, *speed, ratio(self.ratio(row)), row.lacks or ""])
        return [title, table(["workload", "system", "M characters/s", "spread", "x tokenizers", "note"], rows)]


def kinds(texts: Sequence[str]) -> dict[str, list[str]]:
    """Return the texts by kind: as they are, many as one, and the packaged Korean lines, as many at most."""
    joined = [" ".join(texts[start : start + JOINED]) for start in range(0, len(texts), JOINED)]
    return {"texts": list(texts), f"{JOINED} texts as one": joined, "Korean lines": read_lines("ko")[: len(texts)]}


def run_tokenise(
    model_dir: Path, texts: Sequence[str], *, rounds: int = 7, show_progress: bool | None = None
) -> TokeniseResult:
    """Measure text to ids of a WordPiece module, ours and others' in turn, each on one core, and compare the ids.

    First one round that does not count, then `rounds` rounds. The first pass of each is that of a tokenizer just
    loaded; a later one has read the same texts.

    Raises: InputError for arguments that nothing can be measured with; BenchError for a system that fails, or gives
        other ids than the one beside it.
    """
    if not texts or rounds < 1:
        raise InputError(f"a measurement takes at least 1 text and 1 round; found {len(texts)} and {rounds}; give more")
    dialect = load(model_dir).tokenizer.config.dialect
    if dialect not in ("hf", "tfhub"):
        raise InputError(
            f"a module of WordPiece under BERT's rules was expected; found the dialect {dialect}; name one"
        )
    by_kind = kinds(texts)
    missing = {name: lacks(system.needs) for name, system in SYSTEMS.items()}
    present = [name for name in SYSTEMS if missing[name] is None]
    show = sys.stderr.isatty() if show_progress is None else show_progress
    steps = len(present) * (rounds + 1) * len(by_kind)
    with (
        tempfile.TemporaryDirectory() as work,
        ExitStack() as stack,
        progress(steps, show=show, label="steps") as advance,
    ):
        workers = {
            name: stack.enter_context(Worker(SYSTEMS[name], model_dir, Path(work), program=PROGRAM)) for name in present
        }
        for worker in workers.values():
            for kind, own in by_kind.items():
                worker.ask("take", kind=kind, texts=own)
        seconds = _measure(workers, list(by_kind), rounds, advance)
        for kind in by_kind:
            _compare(kind, workers, Path(work))
    rows = tuple(
        TokeniseRow(
            workload=f"{kind}, {each}",
            system=name,
            lacks=missing[name],
            seconds=tuple(seconds.get((kind, each, name), ())[1:]),
            characters=sum(map(len, own)),
        )
        for kind, own in by_kind.items()
        for each in PASSES
        for name in SYSTEMS
    )
    return TokeniseResult(model=model_dir.name, rounds=rounds, machine=this_machine(MEASURED), rows=rows)


def _measure(
    workers: Mapping[str, Worker], names: Sequence[str], rounds: int, advance: Callable[[int], None]
) -> dict[tuple[str, str, str], list[float]]:
    """Let all tokenise the texts of each kind twice, in turn; return the seconds by kind, pass and system."""
    seconds: dict[tuple[str, str, str], list[float]] = {}
    for _ in range(rounds + 1):
        for kind in names:
            for name, worker in workers.items():
                worker.ask("renew")
                for each in PASSES:
                    seconds.setdefault((kind, each, name), []).append(worker.ask("run", kind=kind)["seconds"])
                advance(1)
    return seconds


def _compare(kind: str, workers: Mapping[str, Worker], work: Path) -> None:
    """See that systems under the same rules give the same ids. Raises: BenchError."""
    arrays = {}
    for name, worker in workers.items():
        file = work / f"{name}.npz"
        worker.ask("save", kind=kind, file=str(file))
        arrays[name] = dict(np.load(file))
    for rules in (TFHUB, [name for name in workers if name not in TFHUB]):
        first, *others = (name for name in rules if name in arrays)
        for other in others:
            if not all(np.array_equal(arrays[first][part], arrays[other][part]) for part in ("values", "splits")):
                raise BenchError(
                    f"{first} and {other} were to give the same ids of {kind}; found others; report it with the "
                    "module's name"
                )
