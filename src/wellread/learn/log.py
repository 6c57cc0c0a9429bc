"""What becomes of a run's events: a log, a progress bar, curves, TensorBoard or Weights & Biases where asked for."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import asdict
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from wellread.errors import MissingExtra
from wellread.learn.settings import LoopConfig
from wellread.learn.step import Evaluated, Event, Started, Step
from wellread.progress import progress


def plot(log: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw the lines of a log with matplotlib; one panel for each of what is measured."""
    curves = curves_of(log)
    figure = import_module("matplotlib.figure").Figure(figsize=(7, 2.2 * len(curves)), layout="constrained")
    panels = figure.subplots(len(curves), sharex=True, squeeze=False)[:, 0]
    for panel, (name, points) in zip(panels, curves.items(), strict=True):
        panel.plot([step for step, _ in points], [value for _, value in points], marker="." if len(points) < 50 else "")
        panel.set_ylabel(name)
    panels[-1].set_xlabel("step")
    figure.savefig(path, dpi=120)


def curves_of(log: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[int, float]]]:
    """Return the points of each curve, by its name.

    >>> curves_of([{"step": 1, "loss": 0.5, "learning_rate": 0.1}, {"step": 1, "scores": {"f1": 0.9}}])
    {'loss': [(1, 0.5)], 'learning_rate': [(1, 0.1)], 'f1': [(1, 0.9)]}
    """
    curves: dict[str, list[tuple[int, float]]] = {"loss": [], "learning_rate": []}
    for line in log:
        found = line.get("scores") or {name: line[name] for name in ("loss", "learning_rate")}
        for name, value in found.items():
            curves.setdefault(name, []).append((line["step"], value))
    return curves


Listener = Callable[[Event], None]
Reporter = Callable[[Path, Mapping[str, Any]], AbstractContextManager[Listener]]
SCALARS = ("loss", "learning_rate", "grad_norm", "tokens", "seconds")  # of every step


def scalars(event: Event) -> dict[str, float]:
    """Return the numbers of an event, by the names that reporters show.

    >>> scalars(Evaluated(step=7, scores={"accuracy": 0.5}))
    {'eval/accuracy': 0.5}
    """
    if isinstance(event, Step):
        return {f"train/{name}": getattr(event, name) for name in SCALARS}
    return {f"eval/{name}": score for name, score in event.scores.items()} if isinstance(event, Evaluated) else {}


@contextmanager
def tensorboard(output_dir: Path, settings: Mapping[str, Any]) -> Iterator[Listener]:
    """Write event files for TensorBoard into `output_dir`."""
    writer = import_module("torch.utils.tensorboard").SummaryWriter(str(output_dir))
    writer.add_text("settings", str(dict(settings)))

    def listen(event: Event) -> None:
        for name, value in scalars(event).items():
            writer.add_scalar(name, value, event.step)

    with writer:
        yield listen


@contextmanager
def wandb(output_dir: Path, settings: Mapping[str, Any]) -> Iterator[Listener]:
    """Report to Weights & Biases, as its own environment variables say."""
    with import_module("wandb").init(dir=str(output_dir), project="wellread", config=dict(settings)) as run:

        def listen(event: Event) -> None:
            if found := scalars(event):
                run.log(found, step=event.step)

        yield listen


REPORTER_OF: dict[str, Reporter] = {"tensorboard": tensorboard, "wandb": wandb}


LOG = "log.jsonl"
CURVES = "curves.png"


def follow(events: Iterable[Event], config: LoopConfig, output_dir: Path, *, settings: Any = None) -> int:
    """Read all events of a run and return its last step.

    `output_dir` gets `log.jsonl`, and `curves.png` where matplotlib is installed; stderr gets a bar where a person
    looks. `settings` is what reporters are told of the run. Only the first process of several should call this.

    Raises: MissingExtra for a reporter of `report_to` that is not installed, before the run begins.
    """
    with ExitStack() as stack:
        output_dir.mkdir(parents=True, exist_ok=True)
        listeners = [stack.enter_context(open_log(output_dir / LOG, config)), stack.enter_context(open_bar())]
        for name in config.reporters:
            listeners.append(stack.enter_context(_reporter(name, output_dir, settings)))
        step = 0
        for event in events:
            for listen in listeners:
                listen(event)
            step = event.step
    if find_spec("matplotlib"):
        plot(read_log(output_dir / LOG), output_dir / CURVES)
    return step


@contextmanager
def open_log(path: Path, config: LoopConfig) -> Iterator[Listener]:
    """Give what writes a line of JSON every `logging_steps`, at the last step, and for every evaluation.

    Of a run that goes on, the lines that it will write again are taken away first.
    """
    total = 0
    with path.open("a", encoding="utf-8") as file:

        def listen(event: Event) -> None:
            nonlocal total
            if isinstance(event, Started):
                total = event.total
                kept = [line for line in read_log(path) if line["step"] <= event.step]
                file.truncate(0)
                file.writelines(f"{json.dumps(line)}\n" for line in kept)
            elif isinstance(event, Evaluated) or (isinstance(event, Step) and _is_logged(event, config, total)):
                print(json.dumps(_line(event)), file=file, flush=True)

        yield listen


def _is_logged(event: Step, config: LoopConfig, total: int) -> bool:
    return event.step == total or (config.logging_steps > 0 and event.step % config.logging_steps == 0)


def _line(event: Step | Evaluated) -> dict[str, Any]:
    if isinstance(event, Evaluated):
        return {"step": event.step, "scores": dict(event.scores)}
    return {**asdict(event), "seconds": round(event.seconds, 4)}


def read_log(path: Path) -> list[dict[str, Any]]:
    """Read a log; a last line that a kill cut short is left out.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "log.jsonl")
    >>> _ = path.write_text('{"step": 1, "loss": 2.0}' + chr(10) + '{"step": 2, "lo')
    >>> read_log(path)
    [{'step': 1, 'loss': 2.0}]
    """
    whole = path.read_text("utf-8").split("\n")[:-1]  # what follows the last line feed is no whole line
    return [json.loads(line) for line in whole]


@contextmanager
def open_bar() -> Iterator[Listener]:
    """Give what moves a bar by one with every step."""
    with ExitStack() as stack:
        advance: Callable[[int], None] = lambda count: None  # noqa: E731

        def listen(event: Event) -> None:
            nonlocal advance
            if isinstance(event, Started):
                advance = stack.enter_context(progress(event.total, show=sys.stderr.isatty(), label="steps"))
                advance(event.step)
            elif isinstance(event, Step):
                advance(1)

        yield listen


def _reporter(name: str, output_dir: Path, settings: Any) -> Any:
    if name == "none":
        return nullcontext(lambda event: None)
    if not find_spec(name):
        raise MissingExtra(f"report_to names {name}, which is not installed; run: pip install {name}, or leave it out")
    return REPORTER_OF[name](output_dir, asdict(settings) if settings else {})
