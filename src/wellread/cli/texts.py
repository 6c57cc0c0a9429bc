"""What commands read and write: texts from arguments, files and standard input; where results may go."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from wellread.cli.help import Setting
from wellread.errors import DataError, nearest

# endings of files that wellread does not read: a word with one is a mistyped path, or a file in need of another kind
OF_DOCUMENTS = (
    *(".log", ".md", ".rst", ".text", ".doc", ".docx", ".odt", ".pdf", ".rtf", ".tex", ".hwp", ".hwpx", ".epub"),
    *(".html", ".htm", ".xml", ".yaml", ".yml", ".xls", ".xlsx", ".ods", ".dat", ".db", ".sql", ".arrow", ".feather"),
    *(".npy", ".npz", ".pkl", ".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst"),
)
LONG = 200_000  # bytes of files whose reading is shown

F = TypeVar("F", bound=Callable[..., Any])

# the columns that have an option
COLUMNS = {
    "text": "The column of the texts.  [default: text, or the only one of texts]",
    "pair": "The column of the second text of each pair, or of the context of a question.",
    "label": "The column of the labels.",
    "label_set": "The column of any number of labels: a list, or labels with commas.",
    "score": "The column of the scores.",
    "tags": "The column of the tags.",
}
READING = (*COLUMNS, "format_", "kind")
FORMAT = "What the files are: nsmc, kornli, korsts, klue-ner, sst2, stsb, squad, korquad ..."
KIND = "txt, csv, tsv, jsonl, json, parquet, conll or squad, where a file's ending does not say it."


def reading_options(*roles: str) -> Callable[[F], F]:
    """Add how files are read: --text (also --column) and the columns of other `roles`, --format and --kind."""
    section: dict[str, Any] = {"cls": Setting, "section": "The files"}
    options = [
        click.option(
            f"--{role.replace('_', '-')}",
            *(["--column"] if role == "text" else []),
            role,
            metavar="COLUMN",
            help=COLUMNS[role],
            **section,
        )
        for role in roles
    ]
    options.append(click.option("--format", "format_", metavar="NAME", help=FORMAT, **section))
    options.append(click.option("--kind", help=KIND, **section))

    def add(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def reading_of(options: dict[str, Any]) -> dict[str, str]:
    """Return what `reading_options` adds to a command's options, as `read_examples` and `read_texts` take it."""
    return {name.rstrip("_"): value for name in READING if (value := options.get(name))}


def files_of(arguments: Sequence[str]) -> list[str]:
    """Return the files that arguments name; none if they are texts; standard input, as `-`, if there are none.

    An argument is a file where one of that name lies. Where none does, it is a mistyped path if it is a word that holds
    a slash or ends as files do, and a text otherwise.

    Raises: DataError for paths of no file; UsageError for files beside texts, or where a person would have to type.
    """
    from wellread.data.formats import ENDINGS, STDIN, ending_of

    def is_path(text: str) -> bool:
        solid = len(text.split()) == 1 or text.startswith(("/", "./", "../", "~"))
        if solid and (text.lower().endswith(OF_DOCUMENTS) or "*." in text):  # a pattern that matched no file
            return True
        ending = ending_of(text)
        if os.path.isdir(text) or ending in ENDINGS or (solid and os.sep in text):
            return True
        if not solid or not ending:
            return False
        from difflib import get_close_matches

        return bool(get_close_matches(ending, ENDINGS, 1, cutoff=0.7))  # .cvs

    if not arguments:
        if sys.stdin is None or sys.stdin.isatty():  # closed, or a person
            raise click.UsageError("give texts, files, or - for lines that you type (end them with Ctrl-D); found none")
        return [STDIN]
    files = [text for text in arguments if text == STDIN or (os.path.exists(text) and not os.path.isdir(text))]
    wrong = [text for text in arguments if text not in files and is_path(text)]
    if wrong:
        folder = "a directory" if os.path.isdir(wrong[0]) else "no file there"
        directory = os.path.dirname(wrong[0])
        with_it = os.listdir(directory or ".") if os.path.isdir(directory or ".") else []
        near = nearest(wrong[0], [os.path.join(directory, name) for name in with_it]) if folder != "a directory" else ""
        raise DataError(
            f"texts or files were asked for; {', '.join(wrong)} reads as a path, and there is {folder}{near}; name "
            "files, or send a text that reads as a path on standard input"
        )
    if files and len(files) < len(arguments):
        text = next(text for text in arguments if text not in files)
        raise click.UsageError(
            f"give files or texts, not both; found the file {files[0]} beside the text {text!r:.60}; put the texts in "
            "a file, or check the path"
        )
    return files


def stream_arguments(arguments: Sequence[str], options: dict[str, Any], *, show: bool = False) -> Iterator[str]:
    """Yield the texts of a command, holding a few: its arguments, or the texts of the files that they name, in order.

    Takes what `reading_options` adds out of `options`. With `show` a person sees how far long files are read.

    Raises: DataError, UsageError as `files_of`, and for options of files where there are none.
    """
    from wellread.data.formats import STDIN

    files, reading = files_of(arguments), reading_of(options)
    for name in READING:
        options.pop(name, None)
    if not files:
        if reading:
            flags = ", ".join(f"--{name}" for name in reading)
            raise click.UsageError(f"{flags}: for files alone; found texts; leave that out, or name a file")
        return iter(arguments)
    from wellread.data.corpus import stream_texts
    from wellread.progress import transfer

    def texts() -> Iterator[str]:
        some, column = False, reading.pop("text", None)
        size = sum(map(os.path.getsize, files)) if all(map(os.path.isfile, files)) else 0  # 0: of a pipe
        with transfer(size, show=show and size > LONG and sys.stderr.isatty(), label="texts") as moved:
            stream = stream_texts(files, column=column, moved=moved if size else None, **reading)
            for text in stream:
                some = True
                yield text
        if not some and files != [STDIN]:
            raise DataError(f"texts were asked of {', '.join(files)}; found none; check the files")

    return texts()


def files_on_disk(paths: Sequence[Path], run_dir: Path, kind: str | None) -> list[Path]:
    """Return files that can be read more than once: standard input, as `-`, becomes a file in `run_dir`."""
    import shutil

    from wellread.data.formats import STDIN

    if Path(STDIN) not in paths:
        return list(paths)
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise click.UsageError("several processes cannot share standard input; found -; put the texts in a file")
    run_dir.mkdir(parents=True, exist_ok=True)
    copy = copy_of_stdin(run_dir, kind)
    with copy.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    return [copy if path == Path(STDIN) else path for path in paths]


def copy_of_stdin(run_dir: Path, kind: str | None) -> Path:
    """Return where a run keeps standard input."""
    return run_dir / f"stdin.{kind or 'txt'}"


def check_output(output: Path, endings: Collection[str] = ()) -> None:
    """Refuse a file that cannot be written, or with another ending than `endings`, before any work.

    Raises: DataError.
    """
    if endings and output.suffix.lower() not in endings:
        raise DataError(
            f"results were to be written to {output}; wellread writes {', '.join(endings)}; name such a file"
            f"{nearest(output.suffix, endings)}"
        )
    if not output.parent.is_dir():
        fault = f"there is no directory {output.parent}"
    elif output.is_dir():
        fault = "it is a directory"
    elif not os.access(output.parent, os.W_OK):
        fault = f"{output.parent} may not be written to"
    else:
        return
    raise DataError(f"results were to be written to {output}; found that {fault}; choose another place")
