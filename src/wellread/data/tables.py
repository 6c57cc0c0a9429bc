"""Files of texts and rows, read by every verb: lines, TSV, CSV, JSON, Parquet; each also .gz, or standard input."""

from __future__ import annotations

import codecs
import csv
import gzip
import json
import os
import re
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import chain, compress
from typing import Any, BinaryIO, NoReturn

from wellread.data.formats import STDIN, FilePath, Format, kind_of, known_format
from wellread.data.frames import SOURCE
from wellread.data.pandas_json import orient_of, pandas_rows
from wellread.errors import DataError, nearest
from wellread.schema import parse_object

PART = 1_000  # rows between two movements of the bar
SHOWN = 5  # how many offenders a message names
BOM = b"\xef\xbb\xbf"
LONGEST_CELL = 1 << 27  # characters; an unclosed quotation must not collect a whole file
BEGINNING = 1 << 16  # bytes of a file of JSON that say what it holds
CHUNK = 1 << 20  # characters of a JSON array that are read together

# the line where a row begins, from 1 (in JSON arrays and Parquet its number), and its cells
Row = tuple[int, dict[str, object]]


def at(lines: Sequence[int], bad: Sequence[bool] | None = None) -> str:
    """Say where the offenders stand: the first few of them, and how many more.

    >>> at(range(1, 5), [False, True, False, True])
    'lines 2, 4'
    >>> at(range(7, 20))
    'lines 7, 8, 9, 10, 11 and 8 more'
    """
    places = list(lines if bad is None else compress(lines, bad))
    more = f" and {len(places) - SHOWN} more" if len(places) > SHOWN else ""
    return f"line{'s' * (len(places) > 1)} {', '.join(map(str, places[:SHOWN]))}{more}"


def no_column(name: str, columns: Iterable[str], source: str, *, role: str = "text") -> DataError:
    """Say which columns there are, and what names one of them."""
    columns = list(columns)
    of_rows = ", an argument of wellread.take_examples" if source == SOURCE else ""
    return DataError(
        f"a column {name} was asked of {source}; it has {', '.join(columns) or 'none'}; name one of them with "
        f"{role}={nearest(name, columns)}{of_rows}"
    )


def format_of(
    path: FilePath, *, format: str | None = None, kind: str | None = None, columns: Mapping[str, str] | None = None
) -> Format:
    """Say how a file is read: by the name of its format, or by its kind or ending, with the columns that are named.

    A file of JSON holds an array of objects, an object a line, or SQuAD's one object: its beginning says which.

    Raises: DataError.
    """
    if os.path.isdir(path):
        raise DataError(
            f"rows were asked of {source_of(path)}; it is a directory; name the files in it, as the shell does for "
            f"{os.path.join(path, '*')}"
        )
    columns = columns or {}
    form = known_format(format) if format else Format(kind=kind or kind_of(path))
    form = replace(form, kind=kind or form.kind, columns={**form.columns, **columns})
    if "label" in columns:
        form = replace(form, labels=())  # those of another column
    if form.kind != "json":
        return form
    with reading(path), binary(path) as (file, _):
        beginning = file.peek(BEGINNING).removeprefix(BOM).lstrip()
    if not beginning.startswith(b"{"):
        return form
    if orient_of(beginning):
        return replace(form, kind="pandas")
    return replace(form, kind="squad" if b'"paragraphs"' in beginning else "jsonl")


def source_of(path: FilePath) -> str:
    """Return what messages call a file."""
    return "standard input" if os.fspath(path) == STDIN else os.fspath(path)


@contextmanager
def reading(path: FilePath) -> Iterator[None]:
    """Make whatever the disk or a packed file has to say a DataError."""
    try:
        yield
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"rows were asked of {source_of(path)}; it cannot be read: {error}; check the file") from error


@contextmanager
def binary(path: FilePath) -> Iterator[tuple[Any, BinaryIO]]:
    """Open a file, or standard input: its bytes, unpacked where the name ends in .gz, and the file as it stands."""
    if os.fspath(path) == STDIN:
        yield sys.stdin.buffer, sys.stdin.buffer
        return
    with open(path, "rb", buffering=BEGINNING) as file:
        if os.fspath(path).lower().endswith(".gz"):
            with gzip.open(file) as unpacked:
                yield unpacked, file
        else:
            yield file, file


def read_bytes(path: FilePath) -> bytes:
    """Read a file, unpacked where its name ends in .gz. Raises: DataError."""
    with reading(path), binary(path) as (file, _):
        content: bytes = file.read()
    return content


def lines_of(file: Iterable[bytes], source: str) -> Iterator[str]:
    """Yield UTF-8 lines; they end at \\n or \\r\\n alone, for other separators may stand inside a text.

    Raises: DataError that names the first byte that is not UTF-8.
    """
    position = 0
    for number, raw in enumerate(file, 1):
        mark = len(BOM) if number == 1 and raw.startswith(BOM) else 0
        try:
            line = raw[mark:].decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(
                f"UTF-8 was asked of {source}; line {number} is not UTF-8 (byte {position + mark + error.start}: "
                f"{error.reason}); convert the file"
            ) from None
        position += len(raw)
        yield line.removesuffix("\n").removesuffix("\r")


def filled_lines(file: Iterable[bytes], source: str) -> Iterator[str]:
    """Yield lines; empty ones at the end are left out. Raises: DataError for a file without any."""
    empty, some = 0, False
    for line in lines_of(file, source):
        if not line:
            empty += 1
            continue
        yield from [""] * empty
        yield line
        empty, some = 0, True
    if not some:
        raise DataError(f"rows were asked of {source}; it holds {empty} empty lines and no other; check the file")


def read_lines(path: FilePath) -> list[str]:
    """Read the lines of a UTF-8 file, without empty ones at the end. Raises: DataError."""
    with reading(path), binary(path) as (file, _):
        return list(filled_lines(file, source_of(path)))


def read_rows(
    path: FilePath, form: Format, *, texts: bool = False, moved: Callable[[int], None] | None = None
) -> Iterator[Row]:
    """Yield the rows of a file, holding a few of them; `moved` is told how many bytes of it are read.

    With `texts` a Parquet file gives the column of `form`'s text alone or, where it names none, every one of strings.

    Raises: DataError for a file that is missing, damaged, not UTF-8, of another kind, or without rows (a file of lines
        may be empty).
    """
    rows = READERS[form.kind]
    with reading(path), binary(path) as (file, raw):
        for number, row in enumerate(rows(file, source_of(path), form, texts)):
            if moved is not None and number % PART == 0:
                moved(raw.tell())
            yield row


def _txt(file: BinaryIO, source: str, form: Format, texts: bool = False) -> Iterator[Row]:
    return ((number, {"text": line}) for number, line in enumerate(lines_of(file, source), 1))


def _tsv(file: BinaryIO, source: str, form: Format, texts: bool = False) -> Iterator[Row]:
    """Split lines at tabs; a quotation mark is a character as any other."""
    lines = enumerate(filled_lines(file, source), 1)
    return _headed(((number, line.split("\t")) for number, line in lines), source, form)


def _csv(file: BinaryIO, source: str, form: Format, texts: bool = False) -> Iterator[Row]:
    """Read comma separated values, quoted as RFC 4180 has it, line ends inside quotations included."""
    csv.field_size_limit(LONGEST_CELL)
    reader = csv.reader((f"{line}\n" for line in filled_lines(file, source)), strict=True)

    def rows() -> Iterator[tuple[int, list[str]]]:
        line = 1
        try:
            for cells in reader:
                yield line, cells
                line = reader.line_num + 1
        except csv.Error as error:
            raise DataError(
                f"comma separated values were asked of {source}; the row that begins in line {line} cannot be read: "
                f"{error}; close the quotation, or read the file as tsv (kind=tsv) if it quotes nothing"
            ) from None

    return _headed(rows(), source, form)


def _headed(rows: Iterator[tuple[int, list[str]]], source: str, form: Format, texts: bool = False) -> Iterator[Row]:
    """Name the cells of rows. Without `names` the first row does; with `names` it may, and is passed over then.

    Raises: DataError for a name that stands twice, ragged rows, or no rows.
    """
    first = next(rows)
    names = list(form.names or first[1])
    if len(set(names)) < len(names):
        raise DataError(f"columns were asked of {source}; its first line names {names}, one of them twice; rename it")
    if form.names and first[1][: len(names)] != names:
        rows = chain([first], rows)
    count = 0
    for count, (line, cells) in enumerate(rows, 1):
        if len(cells) != len(names) and (len(cells) < len(names) or not form.surplus):
            _refuse_ragged(chain([(line, cells)], rows), source, form, width=len(names), before=count - 1)
        yield line, dict(zip(names, cells, strict=False))
    if not count:
        raise DataError(f"rows were asked of {source}; it holds no rows; check the file")


def _refuse_ragged(
    rows: Iterator[tuple[int, list[str]]], source: str, form: Format, *, width: int, before: int
) -> NoReturn:
    """Read the rest of a file to count the rows that have another number of cells than `width`, and refuse them."""
    lines: list[int] = []
    text, count = "", before
    for line, cells in rows:
        count += 1
        if len(cells) != width and (len(cells) < width or not form.surplus):
            text = text or f"{len(cells)}: {' | '.join(cells)[:60]!r}"
            lines.append(line)
    raise DataError(
        f"{width} columns were asked of every row of {source}; {len(lines)} of {count} rows have another number, "
        f"{at(lines)}; the first has {text}; mend them, or check which character separates the columns"
    )


def _jsonl(file: BinaryIO, source: str, form: Format, texts: bool = False) -> Iterator[Row]:
    for number, line in enumerate(filled_lines(file, source), 1):
        try:
            yield number, parse_object(line.encode())
        except ValueError as error:
            raise DataError(
                f"a JSON object a line was asked of {source}; line {number} is none: {error}; mend that line"
            ) from None


def _json(file: BinaryIO, source: str, form: Format, texts: bool = False) -> Iterator[Row]:
    """Read the objects of an array, a part of the file at a time."""
    number = 0
    try:
        for number, item in enumerate(_items(file, source), 1):
            yield number, parse_object(item.encode())
    except ValueError as error:
        raise DataError(
            f"a JSON array of objects was asked of {source}; it is none after item {number}: {error}; check the file"
        ) from None
    if not number:
        raise DataError(f"rows were asked of {source}; it holds no rows; check the file")


def _pandas(file: BinaryIO, source: str, form: Format, texts: bool = False) -> Iterator[Row]:
    """Read what pandas' `to_json` writes in one object, whole."""
    number = 0
    for number, row in enumerate(pandas_rows(file.read().removeprefix(BOM).lstrip(), source), 1):
        yield number, row
    if not number:
        raise DataError(f"rows were asked of {source}; it holds no rows; check the file")


def _items(file: BinaryIO, source: str) -> Iterator[str]:
    """Cut a JSON array into its items. Raises: ValueError where it is none."""
    decoder, space = json.JSONDecoder(), re.compile(r"[ \t\r\n]*")
    text, start, expected = "", 0, "["  # what is read, where the rest of it begins, and what may stand there
    for part in chain(_decoded(file, source), [None]):  # None: the end
        text, start = text[start:] + (part or ""), 0
        while (start := space.match(text, start).end()) < len(text):  # type: ignore[union-attr]
            mark = text[start]
            if expected == "end" or (expected in "[,]" and mark not in expected):
                raise ValueError(f"found {text[start : start + 20]!r} where {expected} was to stand")
            if mark == "]" and expected in (",]", "item]"):
                start, expected = start + 1, "end"
            elif expected in "[,]":
                start, expected = start + 1, "item]" if mark == "[" else "item"
            else:
                try:
                    end = decoder.raw_decode(text, start)[1]
                except ValueError:
                    if part is not None:  # the rest of the item is not read yet
                        break
                    raise
                yield text[start:end]
                start, expected = end, ",]"
    if expected != "end":
        raise ValueError(f"it ends where {expected} was to stand")


def _decoded(file: BinaryIO, source: str) -> Iterator[str]:
    """Yield UTF-8 text, a part at a time. Raises: DataError, as `lines_of`."""
    decoder, position = codecs.getincrementaldecoder("utf-8-sig")(), 0
    while True:
        raw = file.read(CHUNK)
        position += len(raw)
        try:
            yield decoder.decode(raw, final=not raw)
        except UnicodeDecodeError as error:
            byte = position - len(error.object) + error.start
            raise DataError(
                f"UTF-8 was asked of {source}; byte {byte} is not UTF-8 ({error.reason}); convert the file"
            ) from None
        if not raw:
            return


def _parquet(file: BinaryIO, source: str, form: Format, texts: bool = False) -> Iterator[Row]:
    """Read a part of a Parquet file at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    with ExitStack() as stack:
        if isinstance(file, gzip.GzipFile) or not file.seekable():
            packed, file = file, stack.enter_context(tempfile.TemporaryFile())  # Parquet begins at the end of its file
            shutil.copyfileobj(packed, file)
        try:
            stored = pq.ParquetFile(file)
            schema = stored.schema_arrow
            strings = [
                field.name for field in schema if "string" in str(field.type) and not pa.types.is_nested(field.type)
            ]
            named = [form.columns["text"]] if form.columns.get("text") in schema.names else strings
            for batch in stored.iter_batches(PART, columns=(named or None) if texts else None):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
        except pa.ArrowException as error:
            raise DataError(
                f"a Parquet file was asked of {source}; it cannot be read: {error}; check the file"
            ) from error
    if not number:
        raise DataError(f"rows were asked of {source}; it holds no rows; check the file")


DOCUMENT = "-DOCSTART-"  # a row of CoNLL-2003 that is no token


def _conll(file: BinaryIO, source: str, form: Format, texts: bool = False) -> Iterator[Row]:
    """Take the first cell of a line as token and the last as tag: the columns `tokens` and `tags`, a list a sentence.

    Cells are separated by tabs if the first line has one, and by white space if not; a token of a file with tabs may
    therefore be a space. Lines that begin with the format's comment are passed over, as are rows of -DOCSTART-.

    Raises: DataError for rows with another number of cells than the first (all are counted), or no row at all.
    """
    lines = enumerate(filled_lines(file, source), 1)
    rows = [(number, line) for number, line in lines if not (form.comment and line.startswith(form.comment))]
    tabs = "\t" in next((line for _, line in rows if line.strip()), "")
    cells = [  # none where a sentence ends
        (number, [] if line.startswith(DOCUMENT) or not line else line.split("\t" if tabs else None))
        for number, line in rows
    ]
    width = next((len(row) for _, row in cells if row), 0)
    bad = [bool(row) and (len(row) != width or width < 2 or not row[-1]) for _, row in cells]
    if any(bad) or not width:
        request = f"{max(width, 2)} columns, a token first and a tag last, separated by "
        request += f"{'tabs' if tabs else 'white space'}, were asked of {source}"
        if not any(bad):
            raise DataError(f"{request}; it holds no row; check the file")
        raise DataError(f"{request}; {sum(bad)} rows are not so, {at([row[0] for row in cells], bad)}; mend them")
    sentence: list[tuple[int, list[str]]] = []
    for number, row in (*cells, (0, [])):
        if row:
            sentence.append((number, row))
        elif sentence:
            yield sentence[0][0], {"tokens": [row[0] for _, row in sentence], "tags": [row[-1] for _, row in sentence]}
            sentence = []


def _squad(file: BinaryIO, source: str, form: Format, texts: bool = False) -> Iterator[Row]:
    """Read the columns `id`, `question`, `context` and `answers` of SQuAD's JSON, a question a row.

    Raises: DataError for a file that is not JSON in UTF-8 or of another form, or that has no question.
    """
    number = 0
    try:
        for article in parse_object(file.read().removeprefix(BOM))["data"]:
            for paragraph in article["paragraphs"]:
                for question in paragraph["qas"]:
                    number += 1
                    yield (
                        number,
                        {
                            "id": str(question["id"]),
                            "question": question["question"],
                            "context": paragraph["context"],
                            "answers": list(question["answers"]),
                        },
                    )
    except ValueError as error:
        raise DataError(f"SQuAD's JSON was asked of {source}; it cannot be read: {error}; check the file") from None
    except (KeyError, TypeError) as error:
        raise DataError(
            "data, of paragraphs, of a context and qas, each with id, question and answers, was asked of "
            f"{source}; found another form: {type(error).__name__} {error}; convert the file to SQuAD's form"
        ) from None
    if not number:
        raise DataError(f"questions were asked of {source}; it holds none; check the file")


READERS: dict[str, Callable[[BinaryIO, str, Format, bool], Iterator[Row]]] = {
    "txt": _txt,
    "tsv": _tsv,
    "csv": _csv,
    "jsonl": _jsonl,
    "json": _json,
    "pandas": _pandas,
    "parquet": _parquet,
    "conll": _conll,
    "squad": _squad,
}
