"""The command line: one verb, one file; errors become one line here and nowhere else."""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from typing import Any

import click

from wellread import __version__
from wellread.errors import WellreadError

# verb -> the module of this package that holds it, imported when the verb is used
VERBS = {
    "bench": "bench",
    "catalog": "catalog",
    "distill": "distill",
    "doctor": "doctor",
    "embed": "embed",
    "evaluate": "evaluate",
    "export": "export",
    "fill-mask": "fill_mask",
    "finetune": "finetune",
    "info": "info",
    "pretrain": "pretrain",
    "predict": "predict",
    "pull": "pull",
    "push": "push",
    "report": "report",
    "revive": "revive",
    "tokenize": "tokenize",
    "verify": "verify",
}


class Verbs(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name every verb."""
        return sorted(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import one verb."""
        if name not in VERBS:
            return None
        command: click.Command = importlib.import_module(f"wellread.cli.{VERBS[name]}").command
        return command


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="wellread")
def group() -> None:
    """Compact BERT-family text encoders: text in, vectors out."""


def _one_line(message: Warning | str, *args: Any, **kwargs: Any) -> None:
    click.echo(f"wellread: {message}", err=True)


def main() -> None:
    """Run the command line. Exit 0: fine; 1: a bug, with its traceback; 2: usage; 3: an error wellread knows."""
    warnings.showwarning = _one_line
    try:
        group(prog_name="wellread")
    except WellreadError as error:
        click.echo(f"wellread: {error}", err=True)
        sys.exit(3)
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
