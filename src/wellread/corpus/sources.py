"""The files of a corpus: named, found by patterns and folders, and read as Arrow tables of the columns that are wanted.

A corpus is the rows of its files, one after another, in the order of the files. Parquet is read in its own types, and
rows of it are passed over unread; of the other kinds a table of text has strings, and JSON what its first rows hold.
"""

from __future__ import annotations

import glob
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wellread.data.corpus import text_column
from wellread.data.formats import ENDINGS, STDIN, FilePath, Format, ending_of
from wellread.data.tables import PART, format_of, no_column, read_rows, reading, source_of
from wellread.dataclass import dataclass
from wellread.encode import WINDOW
from wellread.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

PATTERN = "*?["
ARROW_ERRORS = (ValueError, TypeError, OverflowError)  # pyarrow's own are kinds of these, or of OSError


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Which columns of the files are read."""

    text: str | None = None  # of the texts; None: the one called text, or the only one of texts
    id: str | None = None  # goes before the others
    keep: tuple[str, ...] = ()  # those that stay beside the vectors


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """A file as it was when a run began."""

    path: str
    size: int  # bytes
    mtime_ns: int  # when it was changed


def corpus_files(inputs: Iterable[FilePath]) -> list[str]:
    """Return the files that names, patterns and folders mean; of a folder all that can be read, in alphabetical order.

    Raises: DataError for a name, pattern or folder with no such file, or a file that comes twice.
    """
    files: list[str] = []
    for given in (os.fspath(one) for one in inputs):
        found = [given] if given == STDIN or os.path.isfile(given) else _found(given)
        if not found:
            raise DataError(
                f"files of texts were asked of {given}; found none that end in {', '.join(ENDINGS)}; check the path"
            )
        files += found
    twice = [file for file, count in Counter(files).items() if count > 1]
    if twice:
        raise DataError(f"every file was to be read once; found {', '.join(sorted(twice))} twice; name it once")
    return files


def _found(given: str) -> list[str]:
    """Return the files of a folder, its folders included, or of a pattern."""
    if os.path.isdir(given):
        paths: Iterable[str] = (str(path) for path in Path(given).rglob("*") if path.is_file())
        paths = (path for path in paths if not any(part.startswith(".") for part in Path(path).parts[1:]))
        return sorted(path for path in paths if ending_of(path) in ENDINGS)
    if any(letter in given for letter in PATTERN):
        return sorted(path for path in glob.glob(given, recursive=True) if os.path.isfile(path))
    return []


def inputs_of(files: Sequence[str]) -> tuple[Input, ...]:
    """Return what a run notes of its files; nothing of standard input, which cannot be read twice."""
    noted = []
    for file in files:
        if file != STDIN:
            with reading(file):
                status = os.stat(file)
            noted.append(Input(path=file, size=status.st_size, mtime_ns=status.st_mtime_ns))
    return tuple(noted)


class Corpus:
    """The rows of files, read from the first to the last: so many at a time, or passed over."""

    def __init__(
        self,
        files: Sequence[str],
        columns: Columns,
        *,
        format: str | None = None,
        kind: str | None = None,
    ) -> None:
        """Look at the first file, which says what columns and types there are.

        Raises: DataError for a file that cannot be read, or has no such column.
        """
        named = {"text": columns.text} if columns.text else {}
        self._files = [_File(file, format_of(file, format=format, kind=kind, columns=named)) for file in files]
        self._weights = [max(1, file.size) for file in self._files]
        self._number = 0
        self._rest: pa.Table | None = None
        first = self._files[0]
        self.text, self.joiner = first.choose_text(), first.form.joiner
        names = [*([columns.id] if columns.id else []), *(columns.keep or ([] if columns.id else [self.text]))]
        self.kept = list(dict.fromkeys(names))
        self.schema = first.schema_of(list(dict.fromkeys([self.text, *self.kept])))
        self._tables = first.tables(self.schema)

    @property
    def rows(self) -> int | None:
        """How many rows there are, where the files say so."""
        counts = [file.rows for file in self._files]
        return None if None in counts else sum(filter(None, counts))

    @property
    def rows_read(self) -> int:
        """Rows that were read from the files, those too that `read` has not given yet."""
        return sum(file.position for file in self._files)

    @property
    def share(self) -> float:
        """The share of the files' bytes that is read, 0 to 1."""
        before = sum(self._weights[: self._number])
        here = self._files[self._number].share * self._weights[self._number] if self._number < len(self._files) else 0.0
        return (before + here) / sum(self._weights)

    def read(self, count: int) -> pa.Table:
        """Return the next `count` rows, or those that are left. Raises: DataError."""
        import pyarrow as pa

        parts, missing = [], count
        while missing and (table := self._next()) is not None:
            parts.append(table.slice(0, missing))
            self._rest = table.slice(missing) if len(table) > missing else None
            missing -= len(parts[-1])
        return pa.concat_tables(parts) if parts else self.schema.empty_table()

    def skip(self, count: int) -> int:
        """Pass over `count` rows, or those that are left, and return how many; those of Parquet are not read."""
        missing = count
        while missing and self._number < len(self._files):
            file = self._files[self._number]
            if file.rows is not None:
                unread = file.rows - file.position + (len(self._rest) if self._rest is not None else 0)
                if missing < unread:
                    self._rest, self._tables = None, file.tables(self.schema, skip=file.rows - unread + missing)
                    missing = 0
                    break
                missing -= unread
                self._rest = None
                self._open_next()
            else:
                table = self._next()
                if table is None:
                    break
                self._rest = table.slice(missing) if len(table) > missing else None
                missing -= min(missing, len(table))
        return count - missing

    def texts(self, table: pa.Table) -> list[object]:
        """Return the cells of the texts: str, tokens of a list joined; null and what is no text stay as they are."""
        cells = table.column(self.text).to_pylist()
        return [self.joiner.join(map(str, cell)) if isinstance(cell, list) else cell for cell in cells]

    def _next(self) -> pa.Table | None:
        """Return what was read and not given yet, or the next table of the files; None at the end."""
        if self._rest is not None:
            table, self._rest = self._rest, None
            return table
        while self._number < len(self._files):
            table = next(self._tables, None)
            if table is not None:
                return table
            self._open_next()
        return None

    def _open_next(self) -> None:
        self._number += 1
        if self._number < len(self._files):
            self._tables = self._files[self._number].tables(self.schema)


class _File:
    """One file: its columns, and its rows as tables of a schema."""

    def __init__(self, path: str, form: Format) -> None:
        self.path, self.form, self.source = path, form, source_of(path)
        self.size = 0 if path == STDIN else os.path.getsize(path)
        self.position, self._bytes = 0, 0
        self._metadata: Any = None  # of a Parquet file, which is open while it is read: there may be thousands
        if form.kind == "parquet" and path != STDIN and not path.lower().endswith(".gz"):
            with self._open_parquet() as file:
                self._metadata = file.metadata

    @property
    def rows(self) -> int | None:
        """Rows, of Parquet."""
        return None if self._metadata is None else int(self._metadata.num_rows)

    @property
    def share(self) -> float:
        if self.rows is not None:
            return self.position / max(1, self.rows)
        return min(1.0, self._bytes / self.size) if self.size else 0.0

    def _open_parquet(self) -> Any:
        import pyarrow as pa
        import pyarrow.parquet as pq

        with reading(self.path):
            try:
                return pq.ParquetFile(self.path, memory_map=True)
            except pa.ArrowException as error:
                raise DataError(
                    f"a Parquet file was asked of {self.source}; it cannot be read: {error}; check the file"
                ) from error

    def choose_text(self) -> str:
        """Return the column of the texts. Raises: DataError where it is not clear."""
        if self.form.kind == "txt":
            return "text"
        return text_column(self._first(PART), self.form, self.source)

    def _first(self, count: int) -> list[dict[str, Any]]:
        if self._metadata is not None:
            with self._open_parquet() as file:
                rows = next(file.iter_batches(count)).to_pylist() if self.rows else []
            if not rows:
                raise DataError(f"rows were asked of {self.source}; it holds no rows; check the file")
            return list(rows)
        return [row for _, row in islice(self._rows(), count)]

    def schema_of(self, names: Sequence[str]) -> pa.Schema:
        """Return the types of columns. Raises: DataError for one that is not there, or holds several types."""
        import pyarrow as pa

        if self._metadata is not None:
            with self._open_parquet() as file:
                own = file.schema_arrow
            self._check(names, own.names)
            return pa.schema([own.field(name).with_nullable(True).remove_metadata() for name in names])
        if self.form.kind in ("txt", "csv", "tsv"):
            if self.form.kind != "txt":
                self._check(names, self._first(1)[0])
            return pa.schema([(name, pa.string()) for name in names])
        first = self._first(WINDOW)
        self._check(names, first[0])
        return pa.schema([(name, _type_of([row.get(name) for row in first])) for name in names])

    def _check(self, names: Sequence[str], columns: Iterable[str]) -> None:
        columns = list(columns)
        for name in names:
            if name not in columns:
                raise no_column(name, columns, self.source, role="keep")

    def _rows(self) -> Iterator[tuple[int, dict[str, object]]]:
        return read_rows(self.path, self.form, moved=self._move)

    def _move(self, position: int) -> None:
        self._bytes = position

    def tables(self, schema: pa.Schema, *, skip: int = 0) -> Iterator[pa.Table]:
        """Yield the rows, a window of them at most, behind the first `skip`."""
        self.position = skip  # at once, for it may be asked before the first table is
        return self._counted(schema, skip)

    def _counted(self, schema: pa.Schema, skip: int) -> Iterator[pa.Table]:
        for table in self._parquet_tables(schema, skip) if self._metadata is not None else self._text_tables(schema):
            self.position += len(table)
            yield table

    def _parquet_tables(self, schema: pa.Schema, skip: int) -> Iterator[pa.Table]:
        import pyarrow as pa

        sizes = [self._metadata.row_group(group).num_rows for group in range(self._metadata.num_row_groups)]
        first = 0
        while first < len(sizes) and skip >= sizes[first]:
            skip -= sizes[first]
            first += 1
        groups = list(range(first, len(sizes)))
        with self._open_parquet() as file, reading(self.path):
            self._check(schema.names, file.schema_arrow.names)
            try:
                for batch in file.iter_batches(WINDOW, row_groups=groups, columns=schema.names) if groups else ():
                    table = pa.Table.from_batches([batch]).select(schema.names)
                    table, skip = table.slice(skip), max(0, skip - len(table))
                    if len(table):
                        yield table.cast(schema)
            except (pa.ArrowException, *ARROW_ERRORS) as error:
                raise DataError(
                    f"the columns {', '.join(schema.names)} of the first file's types were asked of {self.source}; "
                    f"it cannot be read so: {error}; check the file"
                ) from error

    def _text_tables(self, schema: pa.Schema) -> Iterator[pa.Table]:
        import pyarrow as pa

        rows = self._rows()
        while part := list(islice(rows, WINDOW)):
            self._check(schema.names, part[0][1])
            try:
                columns = [
                    pa.array([_cell(row.get(field.name), field.type) for _, row in part], field.type)
                    for field in schema
                ]
            except (pa.ArrowException, *ARROW_ERRORS) as error:
                raise DataError(
                    f"columns of one type each were asked of {self.source} ({', '.join(map(str, schema))}); from line "
                    f"{part[0][0]} on they are not: {error}; make them one"
                ) from error
            if len(part) < WINDOW:
                self._bytes = self.size
            yield pa.Table.from_arrays(columns, schema=schema)


def _type_of(values: Sequence[object]) -> pa.DataType:
    """Return the Arrow type of a column of JSON: strings where it is mixed, as they stand in the file."""
    import pyarrow as pa

    try:
        found = pa.array(values).type
    except (pa.ArrowException, *ARROW_ERRORS):
        return pa.string()
    return pa.string() if pa.types.is_null(found) else found


def _cell(value: object, type: pa.DataType) -> object:
    """Return a cell as a column of a type takes it: in one of strings, what is none becomes JSON; no half of a pair."""
    import pyarrow as pa

    if not pa.types.is_string(type) or value is None:
        return value
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
