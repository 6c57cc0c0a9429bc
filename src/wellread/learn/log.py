"""What becomes of a run's events: a log, progress, curves, TensorBoard or Weights & Biases; and logs read back."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import asdict
from importlib import import_module
from importlib.util import find_spec
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from wellread.errors import DataError, MissingExtra
from wellread.learn.distributed import device_name
from wellread.learn.settings import LoopConfig
from wellread.learn.step import Evaluated, Event, Started, Step
from wellread.measure.figures import new_figure, plain, save, styled
from wellread.progress import progress

LOG = "log.jsonl"
CURVES = "curves.png"
LINE_SECONDS = 60.0  # between two lines where no terminal shows a bar
SCALARS = ("loss", "learning_rate", "grad_norm", "tokens", "seconds")  # of every step
# Okabe and Ito's colours, with dashes beside them for those who see or print none.
STYLES = (
    ("#0072B2", "-"),
    ("#D55E00", "--"),
    ("#009E73", "-."),
    ("#CC79A7", ":"),
    ("#56B4E9", (0, (5, 1, 1, 1, 1, 1))),
)
Line = Mapping[str, Any]
Callback = Callable[[Event], None]
Reporter = Callable[[Path, Mapping[str, Any]], AbstractContextManager[Callback]]


def log_events(events: Iterable[Event], config: LoopConfig, output_dir: Path, *, settings: Any = None) -> int:
    """Read all events of a run and return its last step.

    `output_dir` gets `log.jsonl`, and `curves.png` where matplotlib is installed; stderr gets a bar on a terminal, else
    a line a minute. `settings` is what reporters show of the run. Only the first process of several should call this.

    Raises: MissingExtra for a reporter of `report_to` that is not installed, before the run begins.
    """
    with ExitStack() as stack:
        output_dir.mkdir(parents=True, exist_ok=True)
        shown = open_bar() if sys.stderr.isatty() else nullcontext(progress_lines())
        callbacks = [stack.enter_context(open_log(output_dir / LOG, config)), stack.enter_context(shown)]
        for name in config.reporters:
            if name != "none" and not find_spec(name):
                raise MissingExtra(
                    f"report_to names {name}, which is not installed; run: pip install {name}, or leave it out"
                )
            reporter = REPORTER_OF[name](output_dir, asdict(settings) if settings else {})
            callbacks.append(stack.enter_context(reporter))
        step = 0
        for event in events:
            for callback in callbacks:
                callback(event)
            step = event.step
    log = read_log(output_dir / LOG)
    if find_spec("matplotlib") and any("loss" in line for line in log):
        draw_runs({output_dir.name: log}, [output_dir / CURVES], rate=True)
    return step


# -- callbacks ---------------------------------------------------------------------------------------------------------


@contextmanager
def open_log(path: Path, config: LoopConfig, *, clock: Callable[[], float] = time.monotonic) -> Iterator[Callback]:
    """Give what writes a line of JSON every `logging_steps`, at the last step, and for every evaluation.

    `elapsed` is the time of the whole run so far, in seconds. Of a run that goes on, the lines that it will write again
    are taken away first, and with them their time.
    """
    total, before, begin = 0, 0.0, clock()
    with path.open("a", encoding="utf-8") as file:

        def callback(event: Event) -> None:
            nonlocal total, before
            if isinstance(event, Started):
                total = event.total
                lines = [line for line in read_log(path) if line["step"] <= event.step]
                file.truncate(0)
                file.writelines(f"{json.dumps(line)}\n" for line in lines)
                before = elapsed_of(lines)
            elif isinstance(event, Evaluated):
                print(json.dumps({"step": event.step, "scores": dict(event.scores)}), file=file, flush=True)
            elif isinstance(event, Step):
                every = config.logging_steps
                if event.step == total or (every > 0 and event.step % every == 0):
                    elapsed = round(before + clock() - begin, 1)
                    line = {**asdict(event), "seconds": round(event.seconds, 4), "elapsed": elapsed}
                    parts = line.pop("parts")
                    print(json.dumps({**line, **parts}), file=file, flush=True)

        yield callback


@contextmanager
def open_bar() -> Iterator[Callback]:
    """Give what moves a bar by one with every step."""
    with ExitStack() as stack:
        advance: Callable[[int], None] = lambda count: None  # noqa: E731

        def callback(event: Event) -> None:
            nonlocal advance
            if isinstance(event, Started):
                advance = stack.enter_context(progress(event.total, show=True, label="steps"))
                advance(event.step)
            elif isinstance(event, Step):
                advance(1)

        yield callback


def progress_lines(every: float = LINE_SECONDS, clock: Callable[[], float] = time.monotonic) -> Callback:
    """Return what writes to stderr, every so many seconds: step, loss, tokens a second, time left."""
    total = first = tokens = 0
    begin = last = clock()

    def callback(event: Event) -> None:
        nonlocal total, first, tokens, begin, last
        if isinstance(event, Started):
            total, first, begin, last = event.total, event.step, clock(), clock()
        elif isinstance(event, Step):
            tokens += event.tokens
            if (now := clock()) - last >= every:
                last = now
                left = (now - begin) / (event.step - first) * (total - event.step)
                rate = f"{tokens / (now - begin):,.0f} tokens/s, {_span(left)} left"
                print(f"step {event.step:,} of {total:,}: loss {event.loss:.4f}, {rate}", file=sys.stderr, flush=True)
        elif isinstance(event, Evaluated):
            scores = ", ".join(f"{name} {score:.4f}" for name, score in event.scores.items())
            print(f"step {event.step:,} of {total:,}: {scores}", file=sys.stderr, flush=True)

    return callback


def _span(seconds: float) -> str:
    """Write a time for people.

    >>> _span(59.7), _span(7380)
    ('1 min', '2 h 3 min')
    """
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def scalars(event: Event) -> dict[str, float]:
    """Return the numbers of an event, by the names that reporters show.

    >>> scalars(Evaluated(step=7, scores={"accuracy": 0.5}))
    {'eval/accuracy': 0.5}
    """
    if isinstance(event, Step):
        values = {name: getattr(event, name) for name in SCALARS} | {**event.parts}
        return {f"train/{name}": value for name, value in values.items()}
    return {f"eval/{name}": score for name, score in event.scores.items()} if isinstance(event, Evaluated) else {}


@contextmanager
def tensorboard(output_dir: Path, settings: Mapping[str, Any]) -> Iterator[Callback]:
    """Write event files for TensorBoard into `output_dir`."""
    writer = import_module("torch.utils.tensorboard").SummaryWriter(str(output_dir))
    writer.add_text("settings", str(dict(settings)))

    def callback(event: Event) -> None:
        for name, value in scalars(event).items():
            writer.add_scalar(name, value, event.step)

    with writer:
        yield callback


@contextmanager
def wandb(output_dir: Path, settings: Mapping[str, Any]) -> Iterator[Callback]:
    """Report to Weights & Biases, as its own environment variables say."""
    with import_module("wandb").init(dir=str(output_dir), project="wellread", config=dict(settings)) as run:

        def callback(event: Event) -> None:
            if values := scalars(event):
                run.log(values, step=event.step)

        yield callback


REPORTER_OF: dict[str, Reporter] = {
    "none": lambda output_dir, settings: nullcontext(lambda event: None),
    "tensorboard": tensorboard,
    "wandb": wandb,
}


# -- logs read back ----------------------------------------------------------------------------------------------------


def read_log(path: Path) -> list[dict[str, Any]]:
    """Read a log; a last line that a kill cut short is left out.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "log.jsonl")
    >>> _ = path.write_text('{"step": 1, "loss": 2.0}' + chr(10) + '{"step": 2, "lo')
    >>> read_log(path)
    [{'step': 1, 'loss': 2.0}]
    """
    lines = path.read_text("utf-8").split("\n")[:-1]  # what follows the last line feed is no whole line
    return [json.loads(line) for line in lines]


def elapsed_of(log: Sequence[Line]) -> float:
    """Return the seconds that a run has taken by its last line that tells; 0 for a log without any.

    >>> elapsed_of([{"step": 1, "elapsed": 2.5}, {"step": 1, "scores": {}}])
    2.5
    """
    return next((float(line["elapsed"]) for line in reversed(log) if "elapsed" in line), 0.0)


def time_of(output_dir: Path) -> dict[str, Any]:
    """Say how long a run took, in seconds, over all its parts, and on what; nothing where no log tells."""
    seconds = elapsed_of(read_log(output_dir / LOG)) if is_run(output_dir) else 0.0
    return {"time": {"seconds": seconds, "device": device_name()}} if seconds else {}


def is_run(directory: Path) -> bool:
    """Say whether a training run left its log in a directory."""
    return (directory / LOG).is_file()


def read_run(directory: Path) -> list[dict[str, Any]]:
    """Read the log of a run. Raises: DataError for one that says nothing, or that is no log."""
    try:
        log = read_log(directory / LOG)
        losses = sum("loss" in line for line in log)
        tokens_at(log)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"a run's log was asked of {directory / LOG}; {error!r}; name another run") from error
    if not losses:
        raise DataError(
            f"curves were asked of {directory / LOG}; found {len(log)} lines and no loss among them; wait for the "
            "run's first steps, or name another run"
        )
    return log


def tokens_at(log: Sequence[Line]) -> tuple[list[int], list[float]]:
    """Return the logged steps, and how many tokens the run had taken after each.

    A log holds the tokens of some steps alone; those between two lines count as many as the later of the two.

    >>> tokens_at([{"step": 2, "loss": 1.0, "tokens": 10}, {"step": 3, "loss": 0.9, "tokens": 7}])
    ([2, 3], [20.0, 27.0])
    """
    lines = [(int(line["step"]), int(line["tokens"])) for line in log if "loss" in line]
    gaps = np.diff([0, *(step for step, _ in lines)])
    counts = np.cumsum([gap * tokens for gap, (_, tokens) in zip(gaps, lines, strict=True)])
    return [step for step, _ in lines], [float(count) for count in counts]


def curves_of(log: Sequence[Line], *, rate: bool = False) -> dict[str, list[tuple[int, float]]]:
    """Return the points of the loss, of the learning rate if asked for, and of every score, by name.

    >>> curves_of([{"step": 1, "loss": 0.5, "learning_rate": 0.1}, {"step": 1, "scores": {"f1": 0.9}}])
    {'loss': [(1, 0.5)], 'f1': [(1, 0.9)]}
    """
    names = ("loss", "learning_rate") if rate else ("loss",)
    curves: dict[str, list[tuple[int, float]]] = {name: [] for name in names}
    for line in log:
        for name, value in (line.get("scores") or {name: line[name] for name in names}).items():
            curves.setdefault(name, []).append((line["step"], value))
    return curves


def summary(runs: Mapping[str, Sequence[Line]]) -> dict[str, dict[str, float]]:
    """Say of each run where it stands: its last step, the tokens it has taken, the last loss and scores.

    >>> summary({"a": [{"step": 2, "loss": 0.5, "tokens": 10}]})
    {'a': {'step': 2, 'tokens': 20, 'loss': 0.5}}
    """
    return {
        name: {
            "step": log[-1]["step"],
            "tokens": round(tokens_at(log)[1][-1]),
            **{curve: points[-1][1] for curve, points in curves_of(log).items()},
        }
        for name, log in runs.items()
    }


def as_table(runs: Mapping[str, Sequence[Line]]) -> str:
    """Write the summary for people, a line a run.

    >>> print(as_table({"a": [{"step": 2, "loss": 0.5, "tokens": 10}]}))
    a: step 2, tokens 20, loss 0.5000
    """
    return "\n".join(
        f"{name}: " + ", ".join(f"{k} {v:,}" if isinstance(v, int) else f"{k} {v:.4f}" for k, v in values.items())
        for name, values in summary(runs).items()
    )


def draw_runs(runs: Mapping[str, Sequence[Line]], files: Sequence[Path], *, rate: bool = False) -> None:
    """Draw the curves of all runs, by their names, into files of their endings' kinds.

    Raises: MissingExtra without matplotlib.
    """
    with styled():
        save(runs_figure(runs, rate=rate), *files)


def runs_figure(runs: Mapping[str, Sequence[Line]], *, rate: bool = False) -> Any:
    """Return a figure with a row for each curve, against steps and against tokens."""
    curves = {run: curves_of(log, rate=rate) for run, log in runs.items()}
    names = list(dict.fromkeys(name for points in curves.values() for name in points))
    figure = new_figure(1.0 + 1.9 * len(names))
    panels = figure.subplots(len(names), 2, sharex="col", sharey="row", squeeze=False)
    for curve, row in zip(names, panels, strict=True):
        row[0].set_ylabel(curve.replace("_", " "))
        for panel in row:
            plain(panel)
    handles = []
    for (run, log), (color, dashes) in zip(runs.items(), cycle(STYLES), strict=False):
        logged, counts = tokens_at(log)
        for curve, row in zip(names, panels, strict=True):
            points = curves[run].get(curve, [])
            style = {"color": color, "linestyle": dashes, "linewidth": 1.3, "marker": "" if len(points) > 40 else "."}
            steps, values = [step for step, _ in points], [value for _, value in points]
            for panel, across in zip(row, (steps, np.interp(steps, logged, counts) / 1e6), strict=True):
                panel.plot(across, values, **style)
        handles.append(panels[0][0].lines[-1])
    figure.align_ylabels()
    panels[-1][0].set_xlabel("step")
    panels[-1][1].set_xlabel("tokens, millions")
    figure.legend(handles, list(runs), loc="outside upper left", ncols=3, frameon=False)
    return figure
