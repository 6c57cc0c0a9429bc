"""TensorBoard and Weights & Biases as listeners to a run; neither is a dependency, nor touched unless named."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from wellread.learn.events import Evaluated, Event, Step

Listener = Callable[[Event], None]
Reporter = Callable[[Path, Mapping[str, Any]], AbstractContextManager[Listener]]
CURVES = ("loss", "learning_rate", "grad_norm", "tokens", "seconds")  # of every step


def scalars(event: Event) -> dict[str, float]:
    """Return the numbers of an event, by the names that reporters show.

    >>> scalars(Evaluated(step=7, scores={"accuracy": 0.5}))
    {'eval/accuracy': 0.5}
    """
    if isinstance(event, Step):
        return {f"train/{name}": getattr(event, name) for name in CURVES}
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
