"""One file made of shards: Parquet, NumPy, JSON lines, CSV or Lance, whole or not there."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from wellread.corpus.shards import ERROR, SCALE, VECTOR, write_shard, writing
from wellread.errors import DataError, require_extra
from wellread.files import whole_directory

if TYPE_CHECKING:
    import pyarrow as pa

Tables = Iterator["pa.Table"]


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
        partial = output.with_name(f".{output.name}.{os.getpid()}")
        try:
            with writing(output):
                with partial.open("w+b") as file:
                    _WRITERS[ending](file, schema, _tables(shards, schema))
                partial.replace(output)
        finally:
            partial.unlink(missing_ok=True)


def _tables(shards: Sequence[Path], schema: pa.Schema) -> Tables:
    """Yield the row groups of shards."""
    import pyarrow.parquet as pq

    for shard in shards:
        with pq.ParquetFile(shard) as file:
            for group in range(file.num_row_groups):
                yield file.read_row_group(group, columns=schema.names).replace_schema_metadata(schema.metadata)


def vectors_of(table: pa.Table) -> Any:
    """Return the vectors of a table as an array [N, E], as they are stored; zeros where there is none."""
    column = table.column(VECTOR).combine_chunks()
    column = column.chunk(0) if hasattr(column, "chunk") else column
    return column.values.to_numpy(zero_copy_only=False)[
        column.offset * column.type.list_size : (column.offset + len(column)) * column.type.list_size
    ].reshape(len(column), column.type.list_size)


def _write_numpy(file: IO[bytes], schema: pa.Schema, tables: Tables) -> None:
    """Write rows after a header of 128 bytes, which gets their number at the end; one without a vector is NaN."""
    vector = schema.field(VECTOR).type
    numbers = np.dtype(vector.value_type.to_pandas_dtype()).newbyteorder("<")
    if SCALE in schema.names:
        raise DataError(
            "int8 vectors with their scales were asked for in a .npy file, which holds one array; pass "
            'dtype="float16", or name a .parquet file'
        )
    rows = 0

    def header() -> bytes:
        words = f"{{'descr': '{numbers.str}', 'fortran_order': False, 'shape': ({rows}, {vector.list_size}), }}"
        return np.lib.format.magic(1, 0) + (118).to_bytes(2, "little") + f"{words:<117}\n".encode()

    file.write(header())
    for table in tables:
        vectors = np.ascontiguousarray(vectors_of(table), numbers)
        missing = table.column(VECTOR).is_null().to_numpy()
        if missing.any() and numbers.kind == "f":
            vectors = np.where(missing[:, None], np.array(np.nan, numbers), vectors)
        file.write(vectors.tobytes())
        rows += len(vectors)
    file.seek(0)
    file.write(header())


def _write_jsonl(file: IO[bytes], schema: pa.Schema, tables: Tables) -> None:
    for table in tables:
        file.writelines(f"{json.dumps(row, default=str)}\n".encode() for row in table.to_pylist())


def _write_csv(file: IO[bytes], schema: pa.Schema, tables: Tables) -> None:
    """Write the other columns, and one for each dimension."""
    import csv
    import io

    others = [name for name in schema.names if name != VECTOR]
    for number, table in enumerate(tables):
        lines = io.StringIO()
        writer = csv.writer(lines, lineterminator="\n")
        if not number:
            writer.writerow([*others, *range(schema.field(VECTOR).type.list_size)])
        cells = [table.column(name).to_pylist() for name in others]
        vectors = table.column(VECTOR).to_pylist()
        writer.writerows([*row, *(vector or [])] for *row, vector in zip(*cells, vectors, strict=True))
        file.write(lines.getvalue().encode())


def _write_lance(output: Path, schema: pa.Schema, tables: Tables) -> None:
    """Write a Lance dataset, a folder, beside its place and put it there."""
    require_extra("lance", extra="lance")
    import lance
    import pyarrow as pa

    batches = (batch for table in tables for batch in table.cast(schema).to_batches())
    with whole_directory(output, overwrite=True) as partial, writing(output):
        lance.write_dataset(pa.RecordBatchReader.from_batches(schema, batches), str(partial))


_WRITERS: dict[str, Callable[[IO[bytes], Any, Tables], None]] = {
    ".npy": _write_numpy,
    ".jsonl": _write_jsonl,
    ".csv": _write_csv,
}
JOINED = (".npy", ".parquet", ".jsonl", ".csv", ".lance")
