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
from contextlib import contextmanager
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
IN_JSON = "wellread.in_json"  # beside a column of texts: where it has the JSON of what is no text
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
        files = (path for path in Path(given).rglob("*") if path.is_file() and ending_of(str(path)) in ENDINGS)
        return sorted(str(file) for file in files if not _is_hidden(file.relative_to(given)))
    if any(letter in given for letter in PATTERN):
        return sorted(path for path in glob.glob(given, recursive=True) if os.path.isfile(path))
    return []


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


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
        """Look at the beginnings of all files; the first that has rows says what columns and types there are.

        Raises: DataError for a file that cannot be read, has no rows (one of Parquet or lines may) or no such column.
        """
        named = {"text": columns.text} if columns.text else {}
        self._files = [_File(file, format_of(file, format=format, kind=kind, columns=named)) for file in files]
        self._weights = [max(1, file.size) for file in self._files]
        self._number = 0
        self._rest: pa.Table | None = None
        first = next((file for file in self._files if file.rows != 0), self._files[0])
        self.text, self.joiner = first.choose_text(), first.form.joiner
        names = [*([columns.id] if columns.id else []), *(columns.keep or ([] if columns.id else [self.text]))]
        self.kept = list(dict.fromkeys(names))
        self.schema = first.schema_of(list(dict.fromkeys([self.text, *self.kept])))
        for file in self._files:
            file.check(self.schema)
        self._tables = self._files[0].tables(self.schema)

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
        return pa.concat_tables(parts, promote_options="default") if parts else self.schema.empty_table()

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
        if IN_JSON in table.column_names:
            in_json = table.column(IN_JSON).to_pylist()
            cells = [json.loads(cell) if encoded else cell for cell, encoded in zip(cells, in_json, strict=True)]
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
        # of a Parquet file, which is open while it is read: there may be thousands
        self._metadata: Any = None
        self._types: Any = None
        if form.kind == "parquet" and path != STDIN and not path.lower().endswith(".gz"):
            with self._open_parquet() as file:
                self._metadata, self._types = file.metadata, file.schema_arrow

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
        rows = self._first(PART)
        keys = dict.fromkeys(key for row in rows for key in row)  # a row of JSON may lack some
        return text_column([keys, *rows], self.form, self.source)

    def _first(self, count: int) -> list[dict[str, Any]]:
        if self._metadata is not None:
            with self._open_parquet() as file:
                rows = next(file.iter_batches(count)).to_pylist() if self.rows else []
            if not rows:
                raise DataError(f"rows were asked of {self.source}; it holds no rows; check the file")
            return list(rows)
        return [row for _, row in islice(read_rows(self.path, self.form), count)]

    def schema_of(self, names: Sequence[str]) -> pa.Schema:
        """Return the types of columns, the texts' first. Raises: DataError for one that is not there."""
        import pyarrow as pa

        self._check_names(names)
        if self._types is not None:
            return pa.schema([self._types.field(name).with_nullable(True).remove_metadata() for name in names])
        if self.form.kind in ("txt", "csv", "tsv"):
            return pa.schema([(name, pa.string()) for name in names])
        first = self._first(WINDOW)
        return pa.schema([(name, _type_of([row.get(name) for row in first])) for name in names])

    def check(self, schema: pa.Schema) -> None:
        """Refuse a file that lacks one of the columns, or of Parquet in types that are none of theirs.

        Raises: DataError.
        """
        import pyarrow as pa

        self._check_names(schema.names)
        if self._types is None:
            return
        text, own = schema.field(0), self._types.field(schema.names[0]).type
        if not pa.types.is_null(own) and pa.types.is_primitive(own) != pa.types.is_primitive(text.type):
            raise DataError(
                f"texts were asked of the column {text.name} of {self.source}; found {own}, where the first file has "
                f"{text.type}; name the column of the texts with column="
            )
        with self._in_types(schema):
            pa.schema([self._types.field(name) for name in schema.names]).empty_table().cast(schema)

    def _check_names(self, names: Sequence[str]) -> None:
        columns = self._names(names)
        for name in names:
            if name not in columns:
                raise no_column(name, columns, self.source, role="column" if name == names[0] else "keep")

    def _names(self, wanted: Sequence[str]) -> list[str]:
        """Return the columns; of JSON, whose rows may lack some, the keys of rows until all that are wanted came."""
        if self._types is not None:
            return list(self._types.names)
        if self.form.kind == "txt":
            return ["text"]
        names: dict[str, None] = {}
        for _, row in islice(read_rows(self.path, self.form), WINDOW):
            names |= dict.fromkeys(row)
            if all(name in names for name in wanted):
                break
        return list(names)

    @contextmanager
    def _in_types(self, schema: pa.Schema) -> Iterator[None]:
        """Say that columns are not of the types that were asked. Raises: DataError."""
        import pyarrow as pa

        try:
            yield
        except (pa.ArrowException, *ARROW_ERRORS) as error:
            raise DataError(
                f"the columns {', '.join(schema.names)} of the first file's types were asked of {self.source}; "
                f"it cannot be read so: {error}; check the file"
            ) from error

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
        with self._open_parquet() as file, reading(self.path), self._in_types(schema):
            for batch in file.iter_batches(WINDOW, row_groups=groups, columns=schema.names) if groups else ():
                table = pa.Table.from_batches([batch]).select(schema.names)
                table, skip = table.slice(skip), max(0, skip - len(table))
                if len(table):
                    yield table.cast(schema)

    def _text_tables(self, schema: pa.Schema) -> Iterator[pa.Table]:
        import pyarrow as pa

        rows = read_rows(self.path, self.form, moved=self._move)
        while part := list(islice(rows, WINDOW)):
            columns = [[row.get(name) for _, row in part] for name in schema.names]
            try:
                arrays = [_array(cells, field.type) for cells, field in zip(columns, schema, strict=True)]
            except (pa.ArrowException, *ARROW_ERRORS) as error:
                raise DataError(
                    f"columns of one type each were asked of {self.source} ({', '.join(map(str, schema))}); from line "
                    f"{part[0][0]} on they are not: {error}; make them one"
                ) from error
            if len(part) < WINDOW:
                self._bytes = self.size
            table = pa.Table.from_arrays(arrays, schema=schema)
            in_json = [not isinstance(cell, str | None) for cell in columns[0]]
            if pa.types.is_string(schema.field(0).type) and any(in_json):
                table = table.append_column(IN_JSON, pa.array(in_json))
            yield table


def _type_of(values: Sequence[object]) -> pa.DataType:
    """Return the Arrow type of a column of JSON: strings where it is mixed, as they stand in the file."""
    import pyarrow as pa

    try:
        found = pa.array(values).type
    except (pa.ArrowException, *ARROW_ERRORS):
        return pa.string()
    return pa.string() if pa.types.is_null(found) else found


def _array(cells: Sequence[object], type: pa.DataType) -> pa.Array:
    """Return cells as a column of a type, which must be able to hold them as they are.

    In one of strings, what is none becomes JSON. Raises: TypeError, or what pyarrow does, for cells of other types.
    """
    import pyarrow as pa

    if pa.types.is_string(type):
        return pa.array([None if cell is None else _string(cell) for cell in cells], type)
    found = pa.array(cells)
    if _is_number(found.type) and _is_number(type):
        return found.cast(type)  # refuses 4.9 as an int, which `pa.array` makes 4
    both = [pa.schema([("column", each)]) for each in (type, found.type)]
    if pa.unify_schemas(both, promote_options="permissive").field(0).type != type:  # `pa.array` would drop keys
        raise TypeError(f"{type} was expected; found {found.type}")
    return pa.array(cells, type)


def _is_number(type: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(type) or pa.types.is_floating(type))


def _string(cell: object) -> str:
    """Return a text, without halves of surrogate pairs, or the JSON of what is none."""
    text = cell if isinstance(cell, str) else json.dumps(cell, ensure_ascii=False)
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
