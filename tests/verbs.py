"""A verb of the command line, run in this process: the pages of the guide run each in a process of its own."""

from __future__ import annotations

from typing import Any

from click.testing import CliRunner

from wellread.cli.main import group


def run_verb(*arguments: Any, given: str = "", code: int = 0) -> str:
    """Run `wellread ARGUMENTS`, which must end with `code`; return what it printed, or said of its failure."""
    done = CliRunner().invoke(group, [*map(str, arguments)], input=given, prog_name="wellread", catch_exceptions=False)
    assert done.exit_code == code, done.stderr
    return done.stdout if code == 0 else done.stderr
