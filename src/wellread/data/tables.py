"""Files of rows as columns: TSV without quoting, CSV, JSON lines, Parquet, and what they have in common."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

from wellread.errors import DataError, nearest
from wellread.schema import parse_object

SHOWN = 5  # how many offenders a message names


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """N rows, held as columns."""

    source: str  # the file, for messages
    columns: dict[str, list[object]]  # each of N values
    lines: Sequence[int]  # where each row begins in the file, from 1; in Parquet and in Python the row, from 1


def at(lines: Sequence[int], bad: Sequence[bool] | None = None) -> str:
    """Say where the offenders stand: the first few of them, and how many more.

    >>> at(range(1, 5), [False, True, False, True])
    'lines 2, 4'
    >>> at(range(7, 20))
    'lines 7, 8, 9, 10, 11 and 8 more'
    """
    found = list(lines if bad is None else compress(lines, bad))
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return f"line{'s' * (len(found) > 1)} {', '.join(map(str, found[:SHOWN]))}{more}"


def read_bytes(path: Path) -> bytes:
    """Read a file, unpacked where its name ends in .gz. Raises: DataError."""
    try:
        return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"examples were asked of {path}; it cannot be read: {error}; check the file") from error


def read_lines(path: Path) -> list[str]:
    """Read the lines of a UTF-8 file; they end at \\n or \\r\\n alone, and empty ones at the end are left out.

    Raises: DataError for a file that is missing, empty or not UTF-8.
    """
    data = read_bytes(path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"examples were asked of {path}; line {line} is not UTF-8 "
            f"(byte {error.start} of {len(data)}: {error.reason}); convert the file"
        ) from None
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise DataError(f"examples were asked of {path}; it holds {len(data)} bytes and no line; check the file")
    return lines


def read_tsv(path: Path, names: Sequence[str], surplus: bool) -> Table:
    """Read tab separated values; a quotation mark is a character as any other. See `_table`."""
    rows = [line.split("\t") for line in read_lines(path)]
    return _table(path, rows, range(1, len(rows) + 1), names, surplus)


def read_csv(path: Path, names: Sequence[str], surplus: bool) -> Table:
    """Read comma separated values, quoted as RFC 4180 has it, line ends inside quotations included. See `_table`."""
    text = "\n".join(read_lines(path)) + "\n"
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows, lines, line = [], [], 1
    try:
        for row in reader:
            rows.append(row)
            lines.append(line)
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"comma separated values were asked of {path}; the row that begins in line {line} cannot be read: {error}; "
            "close the quotation, or read the file as tsv if it quotes nothing"
        ) from None
    return _table(path, rows, lines, names, surplus)


def _table(path: Path, rows: list[list[str]], lines: Sequence[int], names: Sequence[str], surplus: bool) -> Table:
    """Turn rows into columns. Without `names` the first row names them; with `names` it may, and is passed over then.

    With `surplus` a row may hold more than is named; what is not named is left out.

    Raises: DataError for a name that stands twice, ragged rows (all are counted), or no rows.
    """
    heads = list(names or rows[0])
    if len(set(heads)) < len(heads):
        raise DataError(f"columns were asked of {path}; its first line names {heads}, one of them twice; rename it")
    start = int(not names or rows[0][: len(names)] == heads)
    rows, lines = rows[start:], lines[start:]
    bad = [len(row) < len(heads) or (len(row) > len(heads) and not surplus) for row in rows]
    if any(bad):
        first = next(compress(rows, bad))
        raise DataError(
            f"{len(heads)} columns were asked of every row of {path}; {sum(bad)} of {len(rows)} rows have another "
            f"number, {at(lines, bad)}; the first has {len(first)}: {' | '.join(first)[:60]!r}; mend them, or check "
            "which character separates the columns"
        )
    columns: list[list[object]] = [list(column) for column in zip(*rows, strict=False)]
    return _filled(Table(source=str(path), columns=dict(zip(heads, columns, strict=False)), lines=lines))


def read_jsonl(path: Path, names: Sequence[str], surplus: bool) -> Table:
    """Read a JSON object a line. Raises: DataError for a line that is none, or lines that lack a key others have."""
    rows = []
    for line, text in enumerate(read_lines(path), 1):
        try:
            rows.append(parse_object(text.encode()))
        except ValueError as error:
            raise DataError(
                f"a JSON object a line was asked of {path}; line {line} is none: {error}; mend that line"
            ) from None
    return table_of(rows, str(path))


def table_of(rows: Sequence[dict[str, object]], source: str) -> Table:
    """Turn objects with the same keys into columns. Raises: DataError for rows that lack a key others have."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    bad = [len(row) < len(keys) for row in rows]
    if any(bad):
        lacks = [key for key in keys if key not in next(compress(rows, bad))]
        raise DataError(
            f"the keys {', '.join(keys)} were asked of every row of {source}; {sum(bad)} of {len(rows)} rows lack one, "
            f"{at(range(1, len(rows) + 1), bad)}; the first lacks {', '.join(lacks)}; write null where there is nothing"
        )
    columns = {key: [row[key] for row in rows] for key in keys}
    return _filled(Table(source=source, columns=columns, lines=range(1, len(rows) + 1)))


def read_parquet(path: Path, names: Sequence[str], surplus: bool) -> Table:
    """Read a Parquet file. Raises: DataError for a file that is none or has no rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        found = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"a Parquet file was asked of {path}; it cannot be read: {error}; check the file") from error
    columns = {name: found.column(name).to_pylist() for name in found.column_names}
    return _filled(Table(source=str(path), columns=columns, lines=range(1, found.num_rows + 1)))


def _filled(table: Table) -> Table:
    if not len(table.lines):
        raise DataError(f"examples were asked of {table.source}; it holds no rows; check the file")
    return table


def column(table: Table, name: str) -> list[object]:
    """Return a column. Raises: DataError that names the nearest one."""
    if name not in table.columns:
        raise DataError(
            f"a column {name} was asked of {table.source}; it has {', '.join(table.columns)}; name one of them"
            f"{nearest(name, table.columns)}"
        )
    return table.columns[name]


def refuse_rows(table: Table, bad: Iterable[bool], asked: str, do: str) -> None:
    """Raise `DataError` if a row is bad, with the first few line numbers and how many."""
    flags = list(bad)
    if any(flags):
        raise DataError(
            f"{asked} of {table.source}; {sum(flags)} of {len(flags)} rows have none, {at(table.lines, flags)}; {do}"
        )


READERS: dict[str, Callable[[Path, Sequence[str], bool], Table]] = {
    "tsv": read_tsv,
    "csv": read_csv,
    "jsonl": read_jsonl,
    "parquet": read_parquet,
}
