"""Vectors in arrays, .npy files, Parquet files and directories of shards, and what of them is refused."""

from __future__ import annotations

import json
import mmap
import subprocess
import sys

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import wellread
from wellread.errors import DataError, InputError
from wellread.searching import parquet_vectors
from wellread.searching.search import rescored, search
from wellread.searching.vectors_file import check_fingerprint, open_vectors

ROWS, WIDTH = 53, 7
VECTORS = np.random.default_rng(0).standard_normal((ROWS, WIDTH)).astype(np.float32)
QUERY = np.random.default_rng(1).standard_normal((1, WIDTH)).astype(np.float32)
NULLS = (0, 4, 17, 52)
PLAIN = {"compression": "NONE", "use_dictionary": False}


def column(numbers, *, kind="fixed", nulls=()):
    """Make a column of lists of one of Arrow's kinds, some of them null."""
    if kind == "fixed":
        mask = np.isin(np.arange(len(numbers)), nulls)
        return pa.FixedSizeListArray.from_arrays(pa.array(numbers.reshape(-1)), numbers.shape[1], mask=pa.array(mask))
    rows = [None if row in nulls else list(vector) for row, vector in enumerate(numbers)]
    kinds = {"list": pa.list_, "large": pa.large_list}
    return pa.array(rows, kinds[kind](pa.array(numbers[0]).type))


def write(path, numbers, *, said=None, rows_a_group=10, plain=False, **options):
    """Write a Parquet file of texts and vectors, which says something of them in its metadata."""
    table = pa.table({"text": [f"text {row}" for row in range(len(numbers))], "embedding": column(numbers, **options)})
    metadata = {f"wellread.{key}": value for key, value in (said or {}).items()}
    packing = PLAIN if plain else {}
    pq.write_table(table.replace_schema_metadata(metadata), path, row_group_size=rows_a_group, **packing)
    return path


def found(vectors, top_k=9):
    rows, scores = search(QUERY, vectors, top_k=top_k)
    return rows.tolist(), scores.tolist()


EXPECTED = found(open_vectors(VECTORS))


def without_nulls(top_k=9):
    kept = np.setdiff1d(np.arange(ROWS), NULLS)
    rows, scores = search(QUERY, open_vectors(VECTORS[kept]), top_k=top_k)
    return kept[rows].tolist(), scores.tolist()


@pytest.mark.parametrize("part", [1, 20, 16384])
@pytest.mark.parametrize("nulls", [(), NULLS], ids=["whole", "nulls"])
@pytest.mark.parametrize("kind", ["fixed", "list", "large"])
@pytest.mark.parametrize("batch", [3, 4096])
@pytest.mark.parametrize("plain", [False, True], ids=["packed", "plain"])
def test_parquet_of_every_kind_of_list(plain, kind, nulls, part, batch, tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_vectors, "PART", part)
    monkeypatch.setattr(parquet_vectors, "BATCH", batch)
    vectors = open_vectors(write(tmp_path / "a.parquet", VECTORS, kind=kind, nulls=nulls, plain=plain))
    assert bool(vectors._plain(vectors._groups[0])) == (plain and kind == "fixed" and not nulls)
    assert found(vectors) == (without_nulls() if nulls else EXPECTED)
    assert vectors.rows == ROWS
    wanted = np.array([50, 3, 18, 3])
    assert vectors.take(wanted).tolist() == VECTORS[wanted].tolist()
    assert vectors.records(wanted, ["text"]) == [{"text": f"text {row}"} for row in wanted]


def test_what_other_programs_write(tmp_path):
    frame = pd.DataFrame({"id": range(ROWS), "embedding": list(VECTORS)})
    frame.to_parquet(tmp_path / "pandas.parquet")
    pd.DataFrame({"embedding": VECTORS.astype(float).tolist()}).to_parquet(tmp_path / "doubles.parquet")
    pl.DataFrame({"embedding": VECTORS}).write_parquet(tmp_path / "polars.parquet")
    tensors = pa.FixedShapeTensorArray.from_numpy_ndarray(VECTORS)
    pq.write_table(pa.table({"embedding": tensors}), tmp_path / "tensors.parquet")
    duckdb.sql("copy (select embedding::FLOAT[] as embedding from frame) to '{}'".format(tmp_path / "duckdb.parquet"))
    for name in ("pandas", "doubles", "polars", "tensors", "duckdb"):
        assert found(open_vectors(tmp_path / f"{name}.parquet")) == EXPECTED, name


def test_halves_int8_and_bits_of_a_file(tmp_path):
    halves = VECTORS.astype(np.float16)
    assert found(open_vectors(write(tmp_path / "halves.parquet", halves))) == found(open_vectors(halves))
    scale = np.abs(VECTORS).max(0) / 127
    int8 = np.rint(VECTORS / scale).astype(np.int8)
    said = {"precision": "int8", "scale": json.dumps(scale.tolist())}
    vectors = open_vectors(write(tmp_path / "int8.parquet", int8, said=said))
    assert found(vectors) == found(open_vectors(int8, scale=scale))
    assert found(open_vectors(write(tmp_path / "bare.parquet", int8), scale=scale)) == found(vectors)
    bits = np.packbits(VECTORS > 0, axis=1)
    said = {"precision": "binary", "dimensions": str(WIDTH)}
    assert found(open_vectors(write(tmp_path / "bits.parquet", bits, said=said))) == found(open_vectors(bits))
    with pytest.raises(InputError, match="found 8 numbers in the query and 7 bits in a row"):
        search(np.ones((1, 8)), open_vectors(tmp_path / "bits.parquet"))


@pytest.mark.parametrize("nulls", [(), NULLS], ids=["whole", "nulls"])
def test_int8_with_a_scale_a_row_is_read_as_floats(nulls, tmp_path):
    scales = (np.abs(VECTORS).max(1) / 127).astype(np.float32)
    int8 = np.rint(VECTORS / scales[:, None]).astype(np.int8)
    mask = pa.array(np.isin(np.arange(ROWS), nulls))
    table = pa.table(
        {"embedding": column(int8, nulls=nulls), "embedding_scale": pa.array(scales, mask=mask.to_numpy(False))}
    )
    pq.write_table(table.replace_schema_metadata({"wellread.precision": "int8"}), tmp_path / "a.parquet", **PLAIN)
    vectors = open_vectors(tmp_path / "a.parquet")
    kept = np.setdiff1d(np.arange(ROWS), nulls)
    floats = int8 * scales[:, None]
    rows, scores = search(QUERY, open_vectors(floats[kept]), top_k=9, similarity="dot")
    again = search(QUERY, vectors, top_k=9, similarity="dot")
    assert (again[0].tolist(), again[1].tolist()) == (kept[rows].tolist(), scores.tolist())
    assert vectors.take(kept).tolist() == floats[kept].tolist()
    assert list(vectors.columns) == []
    with pytest.raises(DataError, match="of vectors in int8; found .* of vectors in float32"):
        open_vectors(tmp_path / "a.parquet", scale=2)


def test_numpy_files_are_mapped(tmp_path):
    for name, array in (
        ("a", VECTORS),
        ("b", VECTORS.astype(">f4")),
        ("c", np.asfortranarray(VECTORS)),
        ("d", 2.0 * VECTORS),
    ):
        np.save(tmp_path / f"{name}.npy", array)
        assert found(open_vectors(tmp_path / f"{name}.npy"))[0] == EXPECTED[0]
    vectors = open_vectors(str(tmp_path / "a.npy"))
    assert isinstance(vectors._array, np.memmap)
    assert vectors.take(np.array([2, 1])).tolist() == VECTORS[[2, 1]].tolist()
    assert (list(vectors.columns), vectors.fingerprint) == ([], None)


def test_rows_of_a_file_that_are_nan_from_end_to_end_have_no_vector(tmp_path):
    vectors = VECTORS.copy()
    vectors[list(NULLS)] = np.nan
    np.save(tmp_path / "a.npy", vectors)
    assert found(open_vectors(tmp_path / "a.npy")) == without_nulls()
    assert len(found(open_vectors(tmp_path / "a.npy"), top_k=100)[0][0]) == ROWS - len(NULLS)
    with pytest.raises(DataError, match="the vectors of 2 rows were asked of .*; found none in row 4"):
        open_vectors(tmp_path / "a.npy").take(np.array([3, 4]))
    vectors[7, :-1] = np.nan
    np.save(tmp_path / "a.npy", vectors)
    with pytest.raises(DataError, match="found others in row 7"):
        found(open_vectors(tmp_path / "a.npy"))
    with pytest.raises(DataError, match="found others in row 0"):  # in memory nobody has said what NaN means
        found(open_vectors(vectors))


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "binary"])
def test_what_embed_writes_is_found(dtype, tmp_path):
    module = wellread.load("default")
    texts = ["The cat sleeps.", "A man is playing the guitar.", "Paris is in France.", "It rains.", "A woman runs."]
    (tmp_path / "texts.txt").write_text("\n".join(texts))
    for name in ("vectors", "vectors.parquet", *([] if dtype == "int8" else ["vectors.npy"])):
        wellread.embed_corpus(tmp_path / "texts.txt", tmp_path / name, module=module, dtype=dtype)
        hits = module.search(texts[2], tmp_path / name, 5)
        assert hits[0]["corpus_id"] == 2
        assert hits[0]["score"] == pytest.approx(1, abs=1e-3)
        assert sorted(hit["corpus_id"] for hit in hits) == [0, 1, 2, 3, 4]
        assert name == "vectors.npy" or list(hits[0]) == ["corpus_id", "score", "text"]


def test_the_memory_of_a_search_is_that_of_blocks(tmp_path):
    if not hasattr(mmap.mmap, "madvise"):
        pytest.skip("the pages of a mapping cannot be given back on this system")
    table = pa.table({"embedding": column(np.tile(VECTORS, (100, 32))[:5000])})
    for name, groups in (("small", 8), ("large", 28)):
        path = tmp_path / f"{name}.parquet"
        with pq.ParquetWriter(path, table.schema, use_dictionary=False, compression="NONE") as writer:
            for _ in range(groups):
                writer.write_table(table)
        np.save(tmp_path / f"{name}.npy", np.tile(VECTORS, (100 * groups, 32))[: 5000 * groups])
    code = """
import sys
import numpy as np
from wellread.doctor.speed import peak_bytes
from wellread.searching.search import search
from wellread.searching.vectors_file import open_vectors
query = np.random.default_rng(1).standard_normal((1, 224))
for name in sys.argv[1:]:
    search(query, open_vectors(name))
    print(peak_bytes())
"""
    for ending in ("npy", "parquet"):
        run = [sys.executable, "-c", code, *(str(tmp_path / f"{name}.{ending}") for name in ("small", "large"))]
        small, large = map(int, subprocess.run(run, capture_output=True, text=True, check=True).stdout.split())
        assert (tmp_path / f"large.{ending}").stat().st_size > 125_000_000
        assert large - small < 40_000_000, ending


def test_arrays_of_every_make(tmp_path):
    import torch

    for vectors in (VECTORS.tolist(), torch.from_numpy(VECTORS), VECTORS.astype(np.float64)):
        assert found(open_vectors(vectors)) == EXPECTED


def test_a_directory_of_shards_is_one_file(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_vectors, "PART", 10)
    for number, first in enumerate(range(0, ROWS, 20)):
        write(tmp_path / f"part-{number:05}.parquet", VECTORS[first : first + 20])
    (tmp_path / "_manifest.json").write_text('{"rows": 53}')
    (tmp_path / ".part-00009.parquet").write_text("half written")
    vectors = open_vectors(tmp_path)
    assert found(vectors) == EXPECTED
    assert vectors.take(np.array([45, 5])).tolist() == VECTORS[[45, 5]].tolist()
    assert vectors.records(np.array([45, 5]), ["text"]) == [{"text": "text 5"}, {"text": "text 5"}]
    for rows, words in (("null", "the end of a run was expected"), ("60", "60 rows were expected")):
        (tmp_path / "_manifest.json").write_text(f'{{"rows": {rows}}}')
        with pytest.raises(DataError, match=f"{words} .* found 53 rows so far; let wellread embed go on"):
            open_vectors(tmp_path)
    (tmp_path / "_manifest.json").unlink()
    write(tmp_path / "part-00003.parquet", VECTORS, said={"fingerprint": "b"})
    with pytest.raises(DataError, match=r"part-00003.parquet has other columns, or says other things .* part-00000"):
        open_vectors(tmp_path)


def test_only_row_groups_of_the_rows_that_are_asked_for_are_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_vectors, "PART", 10)
    vectors = open_vectors(write(tmp_path / "a.parquet", VECTORS))
    decoded, batches = [], vectors._batches

    def noted(groups, columns):
        decoded.append(groups.first)
        return batches(groups, columns)

    monkeypatch.setattr(vectors, "_batches", noted)
    for rows, firsts in (([50], [50]), ([29, 10, 12], [10, 20]), ([0, 52], [0, 50]), ([], [])):
        decoded.clear()
        rows = np.array(rows, np.int64)
        assert vectors.records(rows, ["text"]) == [{"text": f"text {row}"} for row in rows]
        assert decoded == firsts
        decoded.clear()
        assert not len(rows) or vectors.take(rows).tolist() == VECTORS[rows].tolist()
        assert decoded == firsts


def test_a_column_whose_name_begins_with_that_of_the_vectors_is_another(tmp_path):
    table = pa.table({"embedding.model": ["a"] * ROWS, "embedding": column(VECTORS)})
    pq.write_table(table, tmp_path / "a.parquet", **PLAIN)
    vectors = open_vectors(tmp_path / "a.parquet")
    assert found(vectors) == EXPECTED
    assert vectors.records(np.array([3]), ["embedding.model"]) == [{"embedding.model": "a"}]
    assert vectors.take(np.array([3, 1])).tolist() == VECTORS[[3, 1]].tolist()


def test_a_fingerprint_stands_in_the_metadata(tmp_path):
    vectors = open_vectors(write(tmp_path / "a.parquet", VECTORS, said={"fingerprint": "aa"}))
    check_fingerprint(vectors, lambda: "aa")
    with pytest.raises(InputError, match=r"whose fingerprint is bb, .*a.parquet; found those of aa; .*fingerprint=F"):
        check_fingerprint(vectors, lambda: "bb")
    check_fingerprint(open_vectors(VECTORS), pytest.fail)  # a module's own is asked for where there is another
    check_fingerprint(None, pytest.fail)


def test_the_error_column_of_embed_is_no_column_to_show(tmp_path):
    table = pa.table({"error": pa.nulls(ROWS, pa.string()), "embedding": column(VECTORS)})
    pq.write_table(table, tmp_path / "a.parquet")
    assert list(open_vectors(tmp_path / "a.parquet").columns) == ["error"]
    pq.write_table(table.replace_schema_metadata({"wellread.fingerprint": "aa"}), tmp_path / "a.parquet")
    assert list(open_vectors(tmp_path / "a.parquet").columns) == []


def test_what_is_no_file_of_vectors_is_refused(tmp_path):
    write(tmp_path / "vectors.parquet", VECTORS)
    with pytest.raises(DataError, match=r"there is no such file \(did you mean vectors.parquet\?\)"):
        open_vectors(tmp_path / "vector.parquet")
    (tmp_path / "texts.txt").write_text("a\n")
    with pytest.raises(DataError, match=r"make vectors of its texts first: wellread embed \S+texts.txt -o vectors.par"):
        open_vectors(tmp_path / "texts.txt")
    (tmp_path / "a.bin").write_text("a\n")
    with pytest.raises(DataError, match="found a file of another kind"):
        open_vectors(tmp_path / "a.bin")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"found no \.parquet file in that directory"):
        open_vectors(tmp_path / "empty")
    for shape in ((3,), (2, 3, 4), (0, 3), (3, 0)):
        with pytest.raises(DataError, match=r"an array of shape \[rows, numbers\]; found one of shape"):
            open_vectors(np.zeros(shape, np.float32))
    with pytest.raises(InputError, match="vectors were expected, an array"):
        open_vectors([["a", "b"]])
    with pytest.raises(DataError, match="found numbers of int64"):
        open_vectors(np.zeros((3, 4), np.int64))
    with pytest.raises(DataError, match="vectors of float16 were expected of the array; found numbers of float32"):
        open_vectors(VECTORS, precision="float16")


@pytest.mark.parametrize("scale", [0, -1.0, np.nan, np.ones(WIDTH + 1), np.ones((2, WIDTH))])
def test_wrong_scales_are_refused(scale):
    with pytest.raises(DataError, match="scale= must be a number above 0, or one for each of 7"):
        open_vectors(np.ones((3, WIDTH), np.int8), scale=scale)
    with pytest.raises(DataError, match="of vectors in int8; found .* of vectors in float32"):
        open_vectors(VECTORS, scale=1.0)


@pytest.mark.parametrize("ending", ["parquet", "npy"])
def test_damaged_files_are_refused(ending, tmp_path):
    path = tmp_path / f"a.{ending}"
    np.save(path, VECTORS) if ending == "npy" else write(path, VECTORS)
    whole = path.read_bytes()
    for damaged in (b"", b"PAR1", whole[: len(whole) // 2], b"x" * len(whole)):
        path.write_bytes(damaged)
        with pytest.raises(
            DataError, match=rf"vectors were asked of {path}; it cannot be read: .+; write the file again"
        ):
            search(QUERY, open_vectors(path))


@pytest.mark.parametrize("plain", [False, True])
def test_a_damaged_page_is_refused_when_it_is_read(plain, tmp_path):
    path = write(tmp_path / "a.parquet", VECTORS, plain=plain)
    content = bytearray(path.read_bytes())
    place = pq.ParquetFile(path).metadata.row_group(2).column(1).data_page_offset
    content[place : place + 20] = b"\xff" * 20
    path.write_bytes(content)
    with pytest.raises(
        DataError, match="vectors were asked of .*a.parquet; it cannot be read: .*; write the file again"
    ):
        search(QUERY, open_vectors(path))


def test_columns_that_hold_no_vectors_are_refused(tmp_path):
    path = write(tmp_path / "a.parquet", VECTORS)
    with pytest.raises(DataError, match=r"found text, embedding; name the column as vector_column=, or make"):
        open_vectors(path, column="vector")
    with pytest.raises(DataError, match="were asked of the column text of .*; found string"):
        open_vectors(path, column="text")
    with pytest.raises(DataError, match=r"the column txt was asked of .*; found text \(did you mean text\?\)"):
        open_vectors(path).records(np.array([1]), ["txt"])
    write(path, VECTORS, kind="list", nulls=range(ROWS))
    with pytest.raises(DataError, match="found 53 rows without one"):
        open_vectors(path)
    write(path, VECTORS, nulls=range(ROWS))
    with pytest.raises(DataError, match="it holds none"):
        search(QUERY, open_vectors(path))
    pq.write_table(pa.table({"embedding": column(VECTORS)}).slice(0, 0), path)
    with pytest.raises(DataError, match="it holds none"):
        search(QUERY, open_vectors(path))


def test_rows_of_other_lengths_and_nulls_among_numbers_are_refused_with_their_row(tmp_path):
    rows = VECTORS.tolist()
    rows[41] = rows[41][:-1]
    pq.write_table(pa.table({"embedding": rows}), tmp_path / "a.parquet", row_group_size=10)
    with pytest.raises(DataError, match=r"vectors of 7 numbers were expected of .*; found 6 in row 41"):
        search(QUERY, open_vectors(tmp_path / "a.parquet"))
    rows[41] = [*rows[41], None]
    pq.write_table(pa.table({"embedding": rows}), tmp_path / "a.parquet", row_group_size=10)
    with pytest.raises(DataError, match="found a null among those of row 41"):
        search(QUERY, open_vectors(tmp_path / "a.parquet"))
    nan = VECTORS.copy()
    nan[41, 3] = np.nan
    with pytest.raises(DataError, match=r"expected of .*a.parquet; found others in row 41"):
        search(QUERY, open_vectors(write(tmp_path / "a.parquet", nan, nulls=[3])))
    write(tmp_path / "a.parquet", VECTORS, nulls=[3])
    with pytest.raises(DataError, match="the vectors of 2 rows were asked of .*; found none in row 3"):
        rescored(QUERY, np.array([[3, 4]]), open_vectors(tmp_path / "a.parquet"))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"precision": "int4"}, "of float32, float16, int8, binary was expected of .*; found int4"),
        ({"precision": "int8"}, "vectors of int8 were expected of .*; found numbers of float32"),
        ({"scale": "[1, "}, "in JSON"),
        ({"scale": '"a"'}, "in JSON"),
        ({"dimensions": "many"}, "wellread.dimensions, a number"),
        ({"dimensions": "9"}, "7 numbers of 1 dimensions were expected .* found 9 dimensions"),
    ],
)
def test_metadata_that_contradicts_the_vectors_is_refused(said, words, tmp_path):
    with pytest.raises(DataError, match=words):
        open_vectors(write(tmp_path / "a.parquet", VECTORS, said=said))
    with pytest.raises(
        DataError, match="corpus_precision='float16' was asked of .*; it says that its vectors are floa"
    ):
        open_vectors(write(tmp_path / "a.parquet", VECTORS, said={"precision": "float32"}), precision="float16")
