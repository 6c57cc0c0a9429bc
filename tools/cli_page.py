"""Write docs/cli.md: every verb of the command line, its arguments and options, from the code.

python tools/cli_page.py
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import click

from wellread.cli.help import VERBS
from wellread.cli.main import group

PAGE = Path(__file__).parent.parent / "docs" / "cli.md"
HEAD = """# Command line

Written from the code by `python tools/cli_page.py`; a test holds the two together. `wellread VERB --help` shows the
options that people use, `--help-all` all of them.

Results go to stdout, progress and warnings to stderr. Exit status: 0 success; 1 a bug, with its traceback; 2 wrong
usage; 3 an error that wellread explains in one line. `wellread --help` says how to switch on shell completion.
"""


def page() -> str:
    """Return the whole page."""
    context = click.Context(group, info_name="wellread")
    return "\n".join([HEAD, *(line for verb in sorted(VERBS) for line in _verb(context, verb))])


def _verb(parent: click.Context, verb: str) -> Iterator[str]:
    command = group.get_command(parent, verb)
    assert command is not None
    context = click.Context(command, info_name=verb, parent=parent)
    yield f"## {verb}\n"
    yield f"    {command.get_usage(context).removeprefix('Usage: ')}\n"
    yield inspect.cleandoc(command.help or "") + "\n"
    yield "| option | |"
    yield "|---|---|"
    for option in command.get_params(context):
        record = option.get_help_record(context)
        if isinstance(option, click.Option) and "--help" not in option.opts:
            # a hidden option has no record, but it works
            flags, words = record or (", ".join(option.opts), option.help or "")
            yield f"| `{_cell(flags)}` | {_cell(words)} |"
    yield ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
