"""The texts of plain files, one after another: however large they are, memory holds a few."""

from __future__ import annotations

import csv
import gzip
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from wellread.errors import DataError, nearest
from wellread.schema import parse_object

PART = 1_000  # texts between two movements of the bar
Moved = Callable[[int], None]


def stream_texts(paths: Sequence[Path], *, column: str = "text", moved: Moved = lambda position: None) -> Iterator[str]:
    """Yield the texts of files in their order, without line ends, empty ones too.

    `.txt` holds a text a line; of `.tsv` (unquoted), `.csv`, `.jsonl` and `.parquet` one `column` is taken; all but the
    last may be gzipped. `moved` is told how many bytes of all files are read.

    Raises: DataError for a file that is missing, of another kind, damaged, not UTF-8, or without such a column.
    """
    before = 0
    for path in paths:
        read = _reader(path)
        try:
            with path.open("rb") as file:
                for number, text in enumerate(read(path, file, column)):
                    if number % PART == 0:
                        moved(before + file.tell())
                    yield text
            before += path.stat().st_size
        except (OSError, EOFError, csv.Error, UnicodeDecodeError) as error:
            raise DataError(f"texts were asked of {path}; it cannot be read: {error}; check the file") from error
    moved(before)


def total_bytes(paths: Sequence[Path]) -> int:
    """Return the size of all files. Raises: DataError for one that is missing."""
    missing = [str(path) for path in paths if not path.is_file()]
    if missing:
        raise DataError(f"texts were asked of {len(paths)} files; found no {', '.join(missing)}; check the paths")
    return sum(path.stat().st_size for path in paths)


Reader = Callable[[Path, BinaryIO, str], Iterator[str]]


def _reader(path: Path) -> Reader:
    suffixes = [suffix for suffix in path.suffixes if suffix != ".gz"]
    kind = suffixes[-1].removeprefix(".") if suffixes else ""
    if kind not in READERS or (kind == "parquet" and path.suffix == ".gz"):
        raise DataError(
            f"texts were asked of {path}; wellread reads .{', .'.join(READERS)}, all but the last also .gz; convert it"
        )
    return READERS[kind]


@contextmanager
def _lines(path: Path, file: BinaryIO) -> Iterator[Iterator[str]]:
    """Give the lines; they end at \\n or \\r\\n alone, for other separators may stand inside a text."""
    packed = gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file
    with io.TextIOWrapper(packed, "utf-8-sig", newline="\n") as text:
        yield (line.removesuffix("\n").removesuffix("\r") for line in text)


def _txt(path: Path, file: BinaryIO, column: str) -> Iterator[str]:
    with _lines(path, file) as lines:
        yield from lines


def _tsv(path: Path, file: BinaryIO, column: str) -> Iterator[str]:
    with _lines(path, file) as lines:
        yield from _column(path, (line.split("\t") for line in lines), column)


def _csv(path: Path, file: BinaryIO, column: str) -> Iterator[str]:
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    with _lines(path, file) as lines:
        yield from _column(path, csv.reader((f"{line}\n" for line in lines), strict=True), column)


def _column(path: Path, rows: Iterator[list[str]], column: str) -> Iterator[str]:
    """Take one cell of every row after the first, which names them."""
    names = next(rows, [])
    place = _place(path, names, column)
    for number, row in enumerate(rows, 2):
        if len(row) != len(names):
            raise DataError(
                f"{len(names)} columns were asked of every row of {path}; row {number} has {len(row)}: "
                f"{' | '.join(row)[:60]!r}; mend it, or check which character separates the columns"
            )
        yield row[place]


def _place(path: Path, names: Sequence[str], column: str) -> int:
    if column not in names:
        raise DataError(
            f"a column {column} was asked of {path}; it has {', '.join(names) or 'none'}; name one of them"
            f"{nearest(column, names)}"
        )
    return names.index(column)


def _jsonl(path: Path, file: BinaryIO, column: str) -> Iterator[str]:
    with _lines(path, file) as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = parse_object(line.encode())
            except ValueError as error:
                raise DataError(
                    f"a JSON object a line was asked of {path}; line {number} is none: {error}; mend that line"
                ) from None
            _place(path, list(row), column)
            yield _text(path, row[column], f"line {number}")


def _parquet(path: Path, file: BinaryIO, column: str) -> Iterator[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        stored = pq.ParquetFile(file)
        _place(path, stored.schema_arrow.names, column)
        number = 0
        for batch in stored.iter_batches(PART, columns=[column]):
            for value in batch.column(0).to_pylist():
                number += 1
                yield _text(path, value, f"row {number}")
    except pa.ArrowException as error:
        raise DataError(f"a Parquet file was asked of {path}; it cannot be read: {error}; check the file") from error


def _text(path: Path, value: object, place: str) -> str:
    """Take null for an empty text. Raises: DataError for anything else that is none."""
    if value is not None and not isinstance(value, str):
        raise DataError(f"texts were asked of {path}; {place} holds {value!r:.60}; name the column of the texts")
    return value or ""


READERS: dict[str, Reader] = {"txt": _txt, "tsv": _tsv, "csv": _csv, "jsonl": _jsonl, "parquet": _parquet}
