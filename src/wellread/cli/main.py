"""The command line: one verb, one file; errors become one line here and in `help`, and nowhere else."""

from __future__ import annotations

import gc
import os
import sys
import warnings
from typing import Any

import click

from wellread.cli.help import Verbs, in_flags
from wellread.version import __version__

COMPLETION = """\b
Completion of verbs and options, in your shell's start-up file:
  bash  eval "$(_WELLREAD_COMPLETE=bash_source wellread)"
  zsh   eval "$(_WELLREAD_COMPLETE=zsh_source wellread)"
  fish  _WELLREAD_COMPLETE=fish_source wellread | source
"""


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]}, epilog=COMPLETION)
@click.version_option(
    __version__, "-V", "--version", message=f"wellread %(version)s, Python {sys.version.split(maxsplit=1)[0]}"
)
def group() -> None:
    """Compact BERT-family text encoders: text in, vectors out."""


def main() -> None:
    """Run the command line. Exit 0: fine; 1: a bug, with its traceback; 2: usage; 3: an error wellread knows."""

    gc.set_threshold(50_000, 20, 20)  # imports alone make enough for a dozen passes over everything

    def show(message: Warning | str, *args: Any, **kwargs: Any) -> None:
        ctx = click.get_current_context(silent=True)
        click.echo(f"wellread: {in_flags(str(message), ctx.command.params if ctx else ())}", err=True)

    warnings.showwarning = show
    try:
        group(prog_name="wellread")
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
