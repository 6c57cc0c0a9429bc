"""Vectors as columns of Arrow: the forms that they are stored in, and a Parquet file of them, whole or not there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wellread.backends.backend import FloatArray
from wellread.encode import WINDOW
from wellread.errors import DataError, InputError, nearest
from wellread.files import whole_file

if TYPE_CHECKING:
    import pyarrow as pa

VECTOR, SCALE, ERROR = "embedding", "embedding_scale", "error"  # columns of ours
FORMS = ("float32", "float16", "int8", "binary")
LARGEST = 127  # of an int8 number
SHARD_ROWS = 4 * WINDOW
GROUP_ROWS = 4_096  # of a row group, which the writer holds twice: 6 MB of vectors of 384 numbers


def check_form(dtype: str, width: int) -> None:
    """Refuse a form that there is not, or binary vectors that do not fill bytes. Raises: InputError."""
    if dtype not in FORMS:
        raise InputError(
            f"vectors are stored as {', '.join(FORMS)}; found dtype={dtype!r}; choose one{nearest(dtype, FORMS)}"
        )
    if dtype == "binary" and width % 8:
        raise InputError(
            f"binary vectors are of whole bytes; found {width} dimensions; pass a truncate_dim= of {width // 8 * 8}"
        )


def schema_of(kept: pa.Schema, dtype: str, width: int, metadata: Mapping[str, str]) -> pa.Schema:
    """Return the columns of a shard: those that are kept, the vector of `width` numbers, its scale, its error."""
    import pyarrow as pa

    ours = {VECTOR, SCALE, ERROR} & set(kept.names)
    if ours:
        raise DataError(
            f"columns of other names than {VECTOR}, {SCALE} and {ERROR} were to be kept; found "
            f"{', '.join(sorted(ours))}; name the columns to keep without it"
        )
    numbers = {"float32": pa.float32(), "float16": pa.float16(), "int8": pa.int8(), "binary": pa.uint8()}[dtype]
    vector = pa.list_(numbers, width // 8 if dtype == "binary" else width)
    scale = [pa.field(SCALE, pa.float32())] if dtype == "int8" else []
    return pa.schema([*kept, pa.field(VECTOR, vector), *scale, pa.field(ERROR, pa.string())], dict(metadata))


def stored_columns(
    vectors: FloatArray, missing: NDArray[np.bool_], errors: Sequence[str | None], dtype: str
) -> dict[str, pa.Array]:
    """Make the columns of N vectors [N, E], nulls where they are `missing` [N].

    int8 is symmetric, a scale a row: number x scale is the float, and a cosine needs no scale. binary is the sign of
    each number, eight a byte, the first in its highest bit, as sentence-transformers' `ubinary`. Raises: InputError
    for numbers that halves cannot hold.
    """
    import pyarrow as pa

    columns: dict[str, Any] = {}
    if dtype == "binary":
        numbers = np.packbits(vectors > 0, axis=1)
    elif dtype == "int8":
        scales = np.maximum(np.abs(vectors).max(axis=1, initial=0), np.finfo(np.float32).tiny * LARGEST) / LARGEST
        numbers = np.rint(vectors / scales[:, None]).astype(np.int8)
        columns[SCALE] = pa.array(scales.astype(np.float32), mask=missing)
    else:
        with np.errstate(over="ignore"):
            numbers = np.ascontiguousarray(vectors, np.dtype(dtype))
        if not np.isfinite(numbers).all():
            raise InputError(
                f"vectors were to be stored as {dtype}, which ends at {np.finfo(np.float16).max}; found "
                f'{np.abs(vectors).max():.6g}; store them as dtype="float32", or pass normalize_embeddings=True'
            )
    flat = pa.array(numbers.reshape(-1))
    vector = pa.FixedSizeListArray.from_arrays(flat, numbers.shape[1], mask=pa.array(missing))
    return {VECTOR: vector, **columns, ERROR: pa.array(errors, pa.string())}


def write_shard(path: Path, schema: pa.Schema, tables: Iterable[pa.Table]) -> int:
    """Write a Parquet file, whole or not at all, and return its bytes. Raises: DataError where the disk refuses."""
    import pyarrow.parquet as pq

    # floats are as good as random: nothing makes them smaller; Parquet has no number smaller than four bytes, and a
    # dictionary of the 256 that there are makes one of them
    bytes_alone = schema.field(VECTOR).type.value_type.bit_width == 8
    packed = {name: "NONE" if name == VECTOR else "SNAPPY" for name in schema.names}
    words = [name for name in schema.names if name not in (VECTOR, SCALE)]
    words += [f"{VECTOR}.list.element"] if bytes_alone else []
    with whole_file(path) as file:
        with pq.ParquetWriter(file, schema, compression=packed, use_dictionary=words) as writer:
            for table in tables:
                writer.write_table(table, row_group_size=GROUP_ROWS)
                del table  # or it would lie beside the next one while that is made
        return file.tell()
