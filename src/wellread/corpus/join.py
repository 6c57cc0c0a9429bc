"""One file made of shards: Parquet, NumPy, JSON lines, CSV or Lance, whole or not there."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from wellread.corpus.shards import ERROR, VECTOR, write_shard
from wellread.errors import DataError, require_extra
from wellread.files import sync_directory, sync_tree, whole_directory, whole_file, writing

if TYPE_CHECKING:
    import pyarrow as pa

Tables = Iterator["pa.Table"]


def check_join(output: Path, *, dtype: str, nulls: bool) -> None:
    """Refuse a .npy file, which holds one array and nothing beside it, for what it cannot hold. Raises: DataError."""
    if output.suffix.lower() != ".npy":
        return
    if dtype == "int8":
        raise DataError(
            f"int8 vectors with their scales were asked for in {output}, a file that holds one array; pass "
            'dtype="float16", or name a .parquet file'
        )
    if dtype == "binary" and nulls:
        raise DataError(
            f"vectors of bits were asked for in {output}, where they can say nothing where a row has none; pass "
            'on_error="fail", or name a .parquet file'
        )


def join_shards(shards: Sequence[Path], output: Path, *, errors: bool) -> None:
    """Write the rows of shards, of which there is one at least, to one file; its ending says of which kind.

    The column of errors is left out unless `errors` are wanted. Raises: DataError, and MissingExtra for Lance.
    """
    import pyarrow.parquet as pq

    schema = pq.read_schema(shards[0])
    if not errors:
        schema = schema.remove(schema.get_field_index(ERROR))
    ending = output.suffix.lower()
    if ending == ".parquet":
        write_shard(output, schema, _tables(shards, schema))
    elif ending == ".lance":
        _write_lance(output, schema, _tables(shards, schema))
    else:
        with whole_file(output) as file:
            _WRITERS[ending](file, schema, _tables(shards, schema))


def _tables(shards: Sequence[Path], schema: pa.Schema) -> Tables:
    """Yield the row groups of shards."""
    import pyarrow.parquet as pq

    for shard in shards:
        with pq.ParquetFile(shard) as file:
            for group in range(file.num_row_groups):
                yield file.read_row_group(group, columns=schema.names).replace_schema_metadata(schema.metadata)


def vectors_of(table: pa.Table) -> Any:
    """Return the vectors of a table of Parquet as an array [N, E], as they are stored; NaN where there is none."""
    column = table.column(VECTOR).combine_chunks()
    column = column.chunk(0) if hasattr(column, "chunk") else column
    return column.values.to_numpy(zero_copy_only=False)[
        column.offset * column.type.list_size : (column.offset + len(column)) * column.type.list_size
    ].reshape(len(column), column.type.list_size)


def _write_numpy(file: IO[bytes], schema: pa.Schema, tables: Tables) -> None:
    """Write rows after a header of 128 bytes, which gets their number at the end; one without a vector is NaN."""
    vector = schema.field(VECTOR).type
    numbers = np.dtype(vector.value_type.to_pandas_dtype()).newbyteorder("<")
    rows = 0

    def header() -> bytes:
        words = f"{{'descr': '{numbers.str}', 'fortran_order': False, 'shape': ({rows}, {vector.list_size}), }}"
        return np.lib.format.magic(1, 0) + (118).to_bytes(2, "little") + f"{words:<117}\n".encode()

    file.write(header())
    for table in tables:
        vectors = np.ascontiguousarray(vectors_of(table), numbers)
        file.write(vectors.tobytes())
        rows += len(vectors)
    file.seek(0)
    file.write(header())


def _write_jsonl(file: IO[bytes], schema: pa.Schema, tables: Tables) -> None:
    """Write a row a line: null for NaN and the infinities, which are no JSON."""
    for table in tables:
        for row in table.to_pylist():
            cells = {name: cell if name == VECTOR else _finite(cell) for name, cell in row.items()}
            file.write(f"{json.dumps(cells, default=str)}\n".encode())


def _finite(cell: Any) -> Any:
    """Return a cell with None for floats that are no numbers, inside of lists and structs too."""
    if isinstance(cell, list):
        return [_finite(value) for value in cell]
    if isinstance(cell, dict):
        return {name: _finite(value) for name, value in cell.items()}
    return None if isinstance(cell, float) and not math.isfinite(cell) else cell


def _write_csv(file: IO[bytes], schema: pa.Schema, tables: Tables) -> None:
    """Write the other columns, and one for each dimension: empty cells where there is no vector."""
    import csv
    import io

    def encoded(rows: Iterable[Sequence[object]]) -> bytes:
        lines = io.StringIO()
        csv.writer(lines, lineterminator="\n").writerows(rows)
        return lines.getvalue().encode()

    others, width = [name for name in schema.names if name != VECTOR], schema.field(VECTOR).type.list_size
    file.write(encoded([[*others, *range(width)]]))
    for table in tables:
        cells = [table.column(name).to_pylist() for name in others]
        vectors = table.column(VECTOR).to_pylist()
        rows = ([*row, *(vector or [""] * width)] for *row, vector in zip(*cells, vectors, strict=True))
        file.write(encoded(rows))


def _write_lance(output: Path, schema: pa.Schema, tables: Tables) -> None:
    """Write a Lance dataset, a folder, beside its place and put it there."""
    require_extra("lance", extra="lance")
    import lance
    import pyarrow as pa

    batches = (batch for table in tables for batch in table.cast(schema).to_batches())
    with whole_directory(output, overwrite=True) as partial, writing(output):
        lance.write_dataset(pa.RecordBatchReader.from_batches(schema, batches), str(partial))
        sync_tree(partial)
    with writing(output):
        sync_directory(output.parent)


_WRITERS: dict[str, Callable[[IO[bytes], Any, Tables], None]] = {
    ".npy": _write_numpy,
    ".jsonl": _write_jsonl,
    ".csv": _write_csv,
}
JOINED = (".npy", ".parquet", ".jsonl", ".csv", ".lance")
