"""Vectors in Parquet files, decoded a batch of rows at a time.

What a file says of its vectors stands in the metadata of its schema, under the keys of `forms`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wellread.dataclass import dataclass
from wellread.errors import DataError, nearest
from wellread.files import load_json
from wellread.formats.parquet_pages import PlainColumn, plain_column
from wellread.searching.forms import (
    DIMENSIONS_KEY,
    FINGERPRINT_KEY,
    PRECISION_KEY,
    PRECISIONS,
    SCALE_KEY,
    form_of,
)
from wellread.searching.search import Block, Part, Rows

PART = 16384  # rows of a part, at least, where the file has so many
BATCH = 1024  # rows that are decoded at once
ERROR = "error"  # the column that says why a row has no vector
MANIFEST = "_manifest.json"  # of shards: its `rows` say how many there are, when all are


@dataclass(frozen=True, slots=True, kw_only=True)
class _Groups:
    """Row groups of a Parquet file that are read one after the other."""

    file: int
    numbers: tuple[int, ...]
    first: int  # row, of all files
    rows: int


class ParquetVectors:
    """A column of vectors in a Parquet file, or in the shards of a directory, in the order of their names.

    int8 numbers beside a column of scales, one a row, are read as the float32 that they stand for.
    """

    def __init__(self, path: Path, *, column: str, precision: str | None = None, scale: Any = None) -> None:
        """Read what the files say of themselves. Raises: DataError."""
        self.name, self._column = str(path), column
        self._files = _shards(path)
        footers = [_footer(file) for file in self._files]
        self._metadata = [metadata for metadata, _ in footers]
        schema = footers[0][1]
        said = _said(schema, self.name)
        self._type = _list_type(schema, column, self.name)
        self._check_shards([schema for _, schema in footers], said)
        self._numbers = np.dtype(self._type.value_type.to_pandas_dtype())
        scales = f"{column}_scale"
        self._scaled = self._numbers == np.int8 and scales in schema.names
        self._read = [column, scales] if self._scaled else [column]
        ours = [*self._read, ERROR] if said else self._read  # where wellread wrote the file, it says something
        self.columns = [name for name in schema.names if name not in ours]
        self._groups = list(self._grouped())
        self.rows = sum(each.num_rows for each in self._metadata)
        self._check_complete(path)
        self.fingerprint = said.get(FINGERPRINT_KEY)
        precision = _agreed(said.get(PRECISION_KEY), precision, self.name)
        self.form = form_of(
            self.name,
            np.dtype(np.float32) if self._scaled else self._numbers,
            self._width(),
            precision=None if self._scaled else precision,
            scale=said.get(SCALE_KEY) if scale is None else scale,
            dimensions=said.get(DIMENSIONS_KEY),
        )

    def _check_complete(self, path: Path) -> None:
        """Refuse the shards of a run that has not come to its end, as its manifest says."""
        manifest = load_json(path / MANIFEST) if (path / MANIFEST).is_file() else None
        rows = manifest.get("rows", self.rows) if isinstance(manifest, dict) else self.rows
        if rows != self.rows:
            raise DataError(
                f"{'the end of a run was' if rows is None else f'{rows} rows were'} expected of {self.name}, as its "
                f"{MANIFEST} has it; found {self.rows} rows so far; let wellread embed go on to the end"
            )

    def _check_shards(self, schemas: Sequence[Any], said: Mapping[str, Any]) -> None:
        """Refuse shards that hold other columns, or say something else of their vectors, than the first."""
        for file, schema in zip(self._files, schemas, strict=True):
            same = _list_type(schema, self._column, str(file)) == self._type and _said(schema, str(file)) == said
            if not same or {*schema.names} != {*schemas[0].names}:
                raise DataError(
                    f"shards of one kind were expected of {self.name}; {file.name} has other columns, or says other "
                    f"things of its vectors, than {self._files[0].name}; keep the shards of one run in a directory"
                )

    def _grouped(self) -> Iterator[_Groups]:
        """Yield row groups together that have few rows each."""
        first = 0
        for file, metadata in enumerate(self._metadata):
            numbers: list[int] = []
            rows = 0
            for number in range(metadata.num_row_groups):
                numbers.append(number)
                rows += metadata.row_group(number).num_rows
                if rows >= PART or number == metadata.num_row_groups - 1:
                    yield _Groups(file=file, numbers=tuple(numbers), first=first, rows=rows)
                    first, numbers, rows = first + rows, [], 0

    def _width(self) -> int:
        """Return how many numbers a row has; of lists of any length, how many the first has."""
        import pyarrow as pa

        if pa.types.is_fixed_size_list(self._type):
            return int(self._type.list_size)
        for groups in self._groups:
            for _, batch in self._batches(groups, self._read):
                for length in _storage(batch.column(self._column)).value_lengths().drop_null()[:1].to_pylist():
                    return int(length)
        raise DataError(
            f"vectors were asked of {self.name}; found {self.rows} rows without one; embed some texts first"
        )

    def _batches(self, groups: _Groups, columns: Sequence[str]) -> Iterator[tuple[int, Any]]:
        """Yield the number of a first row and what columns hold of it and of rows after it."""
        import pyarrow.parquet as pq

        first, path, metadata = groups.first, self._files[groups.file], self._metadata[groups.file]
        with _reading(str(path)), pq.ParquetFile(path, metadata=metadata, memory_map=True) as file:
            for batch in file.iter_batches(
                BATCH, row_groups=list(groups.numbers), columns=list(columns), use_threads=False
            ):
                yield first, batch
                first += len(batch)

    def parts(self) -> Sequence[Part]:
        return [partial(self._part, groups) for groups in self._groups]

    def _part(self, groups: _Groups) -> Iterator[Block]:
        plain = self._plain(groups)
        if plain is None:
            for first, batch in self._batches(groups, self._read):
                yield self._block(np.arange(first, first + len(batch)), batch)
            return
        scales = self._scales(groups) if self._scaled else None
        first = 0
        with _reading(str(plain.path)):
            for stored in plain.read():
                vectors, rows = stored.astype(self._numbers, copy=False), np.arange(first, first + len(stored))
                yield groups.first + rows, vectors if scales is None else vectors * scales[rows, None]
                first += len(stored)

    def _plain(self, groups: _Groups) -> PlainColumn | None:
        """Return the column where it needs no decoding: as wellread embed writes it, if no row is without a vector."""
        import pyarrow as pa

        if not pa.types.is_fixed_size_list(self._type):
            return None
        path, metadata = self._files[groups.file], self._metadata[groups.file]
        with _reading(str(path)):
            return plain_column(path, metadata, groups.numbers, self._column, self.form.width)

    def _scales(self, groups: _Groups) -> NDArray[np.float32]:
        batches = [batch.column(0) for _, batch in self._batches(groups, self._read[1:])]
        return np.concatenate([np.asarray(scales.to_numpy(zero_copy_only=False), np.float32) for scales in batches])

    def _block(self, rows: Rows, batch: Any) -> Block:
        """Return the rows that have a vector, and their vectors. Raises: DataError for vectors of other lengths."""
        lists, width = _storage(batch.column(self._column)), self.form.width
        valid = lists.is_valid().to_numpy(zero_copy_only=False)
        rows = rows[valid]
        lengths = lists.drop_null().value_lengths().to_numpy(zero_copy_only=False)
        wrong = np.flatnonzero(lengths != width)
        if len(wrong):
            raise DataError(
                f"vectors of {width} numbers were expected of {self.name}; found {lengths[wrong[0]]} in row "
                f"{rows[wrong[0]]}; embed all rows with one module"
            )
        numbers = lists.flatten()  # of the rows that are not null
        if numbers.null_count:
            first = np.flatnonzero(numbers.is_null().to_numpy(zero_copy_only=False))[0]
            raise DataError(
                f"vectors of numbers were expected of {self.name}; found a null among those of row "
                f"{rows[first // width]}; embed that row again, or drop it"
            )
        vectors = numbers.to_numpy(zero_copy_only=False).reshape(len(rows), width)
        if self._scaled:
            scales = batch.column(self._read[1]).to_numpy(zero_copy_only=False)[valid]
            vectors = vectors * np.asarray(scales, np.float32)[:, None]
        return rows, vectors

    def _chosen(self, rows: Rows, columns: Sequence[str]) -> Iterator[tuple[Rows, Any]]:
        """Yield those of sorted `rows` that a batch holds, and what columns hold of them."""
        for groups in self._groups:
            start, end = np.searchsorted(rows, [groups.first, groups.first + groups.rows])
            if start == end:
                continue
            wanted = rows[start:end]
            for first, batch in self._batches(groups, columns):
                start, end = np.searchsorted(wanted, [first, first + len(batch)])
                if start < end:
                    yield wanted[start:end], batch.take(wanted[start:end] - first)
                if end == len(wanted):
                    break

    def take(self, rows: Rows) -> NDArray[Any]:
        wanted, places = np.unique(rows, return_inverse=True)
        blocks = [self._block(some, batch) for some, batch in self._chosen(wanted, self._read)]
        missing = np.setdiff1d(wanted, np.concatenate([found for found, _ in blocks]))
        if len(missing):
            raise DataError(
                f"the vectors of {len(wanted)} rows were asked of {self.name}; found none in row {missing[0]}; embed "
                "that row again"
            )
        return np.concatenate([stored for _, stored in blocks])[places]

    def records(self, rows: Rows, columns: Sequence[str]) -> list[dict[str, Any]]:
        wrong = [name for name in columns if name not in self.columns]
        if wrong:
            raise DataError(
                f"the column {wrong[0]} was asked of {self.name}; found {', '.join(self.columns) or 'no others'}"
                f"{nearest(wrong[0], self.columns)}; name some of these"
            )
        if not columns:
            return [{} for _ in rows]
        found: dict[int, dict[str, Any]] = {}
        for some, batch in self._chosen(np.unique(rows), columns):
            found |= zip(some.tolist(), batch.to_pylist(), strict=True)
        return [found[row] for row in rows.tolist()]


def _shards(path: Path) -> list[Path]:
    """Return the Parquet files that a path means. Raises: DataError where there is none."""
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.glob("*.parquet") if not file.name.startswith("."))
    if not files:
        raise DataError(
            f"vectors were asked of {path}; found no .parquet file in that directory; name one that has some"
        )
    return files


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """Say which file it is that cannot be read. Raises: DataError."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, ValueError) as error:
        words = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"vectors were asked of {name}; it cannot be read: {words}; write the file again") from error


def _footer(path: Path) -> tuple[Any, Any]:
    """Return the metadata and the schema of a file."""
    import pyarrow.parquet as pq

    with _reading(str(path)), pq.ParquetFile(path, memory_map=True) as file:
        return file.metadata, file.schema_arrow


def _list_type(schema: Any, column: str, name: str) -> Any:
    """Return the type of the lists that hold the vectors. Raises: DataError where there are none of numbers."""
    import pyarrow as pa

    if column not in schema.names:
        raise DataError(
            f"a column {column} of vectors was asked of {name}; found {', '.join(schema.names) or 'no columns'}; name "
            f"the column as vector_column=, or make vectors of its texts: wellread embed {name} -o vectors.parquet"
        )
    kind = schema.field(column).type
    kind = getattr(kind, "storage_type", kind)
    lists = pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind)
    numbers = (pa.float16(), pa.float32(), pa.float64(), pa.int8(), pa.uint8())
    if not lists or kind.value_type not in numbers:
        raise DataError(
            f"lists of float, halffloat, int8 or uint8 were asked of the column {column} of {name}; found {kind}; name "
            "the column that holds vectors as vector_column="
        )
    return kind


def _storage(column: Any) -> Any:
    """Return the lists of a column that has a type of its own on top of them, as tensors have."""
    return getattr(column, "storage", column)


def _said(schema: Any, name: str) -> dict[str, Any]:
    """Return what a file says of its vectors. Raises: DataError for what cannot be understood."""
    words = {key.decode("utf-8", "replace"): value for key, value in (schema.metadata or {}).items()}
    said: dict[str, Any] = {
        key: words[key].decode("utf-8", "replace") for key in (PRECISION_KEY, FINGERPRINT_KEY) if key in words
    }
    try:
        if SCALE_KEY in words:
            said[SCALE_KEY] = np.asarray(json.loads(words[SCALE_KEY]), np.float32).tolist()
        if DIMENSIONS_KEY in words:
            said[DIMENSIONS_KEY] = int(words[DIMENSIONS_KEY])
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{SCALE_KEY} in JSON and {DIMENSIONS_KEY}, a number, were expected of the metadata of {name}; {error}; "
            "write the file again"
        ) from None
    if said.get(PRECISION_KEY, "float32") not in PRECISIONS:
        raise DataError(
            f"{PRECISION_KEY} of {', '.join(PRECISIONS)} was expected of {name}; found {said[PRECISION_KEY]}; write "
            "the file again, or read it with a newer wellread"
        )
    return said


def _agreed(said: str | None, asked: str | None, name: str) -> str | None:
    """Return the precision that the file or the caller names. Raises: DataError where they name two."""
    if said is not None and asked not in (None, said):
        raise DataError(
            f"corpus_precision={asked!r} was asked of {name}; it says that its vectors are {said}; leave that out"
        )
    return said or asked
