"""What becomes of a run's events: a log, a bar, curves, and TensorBoard or Weights & Biases where asked for."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from wellread.errors import MissingExtra
from wellread.learn.curves import plot
from wellread.learn.events import Evaluated, Event, Started, Step
from wellread.learn.reporters import REPORTER_OF
from wellread.learn.settings import LoopConfig
from wellread.progress import progress

LOG = "log.jsonl"
CURVES = "curves.png"

Listener = Callable[[Event], None]


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
