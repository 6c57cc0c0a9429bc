"""Plain pages of Parquet hold what pyarrow reads of them; others are left to it, and what is no page is named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wellread.formats import parquet_pages
from wellread.formats.parquet_pages import plain_column

ROWS, WIDTH = 301, 7
VECTORS = np.random.default_rng(0).standard_normal((ROWS, WIDTH)).astype(np.float32)
PLAIN = {"compression": "NONE", "use_dictionary": False, "row_group_size": 100, "data_page_size": 500}
PLAIN["write_batch_size"] = 10


def write(path, numbers=VECTORS, *, nullable=True, nulls=(), **options):
    """Write texts, vectors and ids; `nulls` are rows without a vector."""
    mask = np.isin(np.arange(ROWS), nulls)
    lists = pa.FixedSizeListArray.from_arrays(pa.array(numbers.reshape(-1)), WIDTH, mask=pa.array(mask))
    kind = pa.list_(pa.field("element", lists.type.value_type, nullable=nullable), WIDTH)
    fields = [("text", pa.string()), pa.field("embedding", kind, nullable=nullable), ("id", pa.int64())]
    columns = [pa.array(["text"] * ROWS), lists.cast(kind), pa.array(range(ROWS))]
    pq.write_table(pa.table(columns, schema=pa.schema(fields)), path, **{**PLAIN, **options})
    return path


def column_of(path, *groups):
    metadata = pq.ParquetFile(path).metadata
    return plain_column(path, metadata, groups or range(metadata.num_row_groups), "embedding", WIDTH)


@pytest.mark.parametrize("nullable", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int8, np.uint8])
def test_plain_pages_are_read_as_pyarrow_reads_them(dtype, nullable, tmp_path):
    numbers = (VECTORS * 20).clip(0, 100).astype(dtype)
    column = column_of(write(tmp_path / "a.parquet", numbers, nullable=nullable))
    assert len(column.pages) > parquet_pages.AT_ONCE
    lists = list(column.read())
    assert len(lists) > 1
    assert np.concatenate(lists).astype(dtype).tolist() == numbers.tolist()
    (second,) = [np.concatenate(list(column_of(tmp_path / "a.parquet", 1).read()))]
    assert second.astype(dtype).tolist() == numbers[100:200].tolist()


def test_lists_may_go_over_the_ends_of_pages(tmp_path):
    column = column_of(write(tmp_path / "a.parquet"))
    cut = [piece for at, count in column.pages for piece in ((at, 5), (at + 5 * 4, count - 5))]
    lists = list(replace(column, pages=tuple(cut)).read())
    assert np.concatenate(lists).tolist() == VECTORS.tolist()


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "SNAPPY"},
        {"use_dictionary": True},
        {"data_page_version": "2.0"},
        {"column_encoding": {"embedding.list.element": "BYTE_STREAM_SPLIT"}},
        {"nulls": [120]},
    ],
    ids=str,
)
def test_other_pages_are_left_to_pyarrow(options, tmp_path):
    path = write(tmp_path / "a.parquet", **options)
    assert column_of(path) is None
    assert (column_of(path, 0) is None) == ("nulls" not in options)


def test_a_null_among_numbers_and_doubles_are_left_to_pyarrow(tmp_path):
    rows = VECTORS.tolist()
    rows[5][3] = None
    pq.write_table(
        pa.table({"embedding": pa.array(rows, pa.list_(pa.float32(), WIDTH))}), tmp_path / "a.parquet", **PLAIN
    )
    assert column_of(tmp_path / "a.parquet", 0) is None
    assert column_of(tmp_path / "a.parquet", 1) is not None
    pq.write_table(
        pa.table({"embedding": pa.array(rows, pa.list_(pa.float64(), WIDTH))}), tmp_path / "a.parquet", **PLAIN
    )
    assert column_of(tmp_path / "a.parquet", 1) is None


def test_columns_of_a_name_that_is_not_clear_are_left_to_pyarrow(tmp_path):
    lists = pa.FixedSizeListArray.from_arrays(pa.array(VECTORS.reshape(-1)), WIDTH)
    pq.write_table(pa.table({"embedding": lists, "embedding.model": ["a"] * ROWS}), tmp_path / "a.parquet", **PLAIN)
    assert column_of(tmp_path / "a.parquet") is None


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """A file, its metadata, and where its first column of vectors lies."""
    path = write(tmp_path_factory.mktemp("pages") / "a.parquet")
    metadata = pq.ParquetFile(path).metadata
    chunk = metadata.row_group(0).column(1)
    return path, metadata, chunk.data_page_offset, chunk.total_compressed_size


@given(st.data())
def test_any_bytes_end_in_numbers_or_in_an_error(one, data):
    path, metadata, start, size = one
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[start + data.draw(st.integers(0, min(size, 60) - 1))] = data.draw(st.integers(0, 255))
    damaged = path.with_name("damaged.parquet")
    damaged.write_bytes(bytes(content)[: data.draw(st.sampled_from([len(content), start + 20, start + 1]))])
    try:
        column = plain_column(damaged, metadata, [0], "embedding", WIDTH)
    except ValueError:
        return
    assert column is None or sum(len(lists) for lists in column.read()) == 100


def test_bytes_that_are_no_page_are_named(one):
    path, metadata, start, _ = one
    content = path.read_bytes()
    damaged = path.with_name("damaged.parquet")
    for header, words in (
        (b"\x1b" * 20, "has a field of type 11"),
        (b"\x15\x00\x15\x08\x15\x80\x80\x80\x80\x01\x2c\x15\x02\x15\x00\x15\x06\x15\x06\x00\x00", "a page ends beyond"),
    ):
        damaged.write_bytes(content[:start] + header + content[start + len(header) :])
        with pytest.raises(ValueError, match=words):
            plain_column(damaged, metadata, [0], "embedding", WIDTH)
    damaged.write_bytes(content[: start + 3])
    with pytest.raises(ValueError, match="header ends beyond its column"):
        plain_column(damaged, metadata, [0], "embedding", WIDTH)
