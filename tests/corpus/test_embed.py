"""A corpus to disk: the vectors of `encode` in the order of the rows, whatever the files, the forms and the shards."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny import NATIVE, tiny_config, tiny_module

import wellread
from wellread.corpus.canary import check_canary
from wellread.corpus.embed import estimate_corpus
from wellread.data.tables import format_of, read_rows
from wellread.errors import DataError, InputError, TextError
from wellread.module import Module
from wellread.schema import parse_object

WORDS = ("a man", "the cat", "paris", "guitar", "a woman is playing the flute", "dog", "runs and runs")
TEXTS = [f"{WORDS[i % 7]} {WORDS[i % 5]} word{i % 60}" for i in range(101)]


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Module:
    return tiny_module(tmp_path_factory.mktemp("tiny"), config=tiny_config(**NATIVE), backend="native")


@pytest.fixture(scope="module")
def expected(module: Module) -> np.ndarray:
    return module.encode(TEXTS)


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    table = pa.table({"id": np.arange(101), "body": TEXTS, "stars": np.linspace(0, 5, 101)})
    pq.write_table(table, tmp_path / "corpus.parquet", row_group_size=17)
    return tmp_path / "corpus.parquet"


def stacked(table: pa.Table) -> np.ndarray:
    return np.array(table["embedding"].to_pylist())


def folder_bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("part-*"))}


def write_texts(path: Path, kind: str) -> Path:
    file = path / f"corpus.{kind}"
    rows = [{"id": i, "body": text} for i, text in enumerate(TEXTS)]
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), file, row_group_size=29)
    elif kind == "jsonl.gz":
        file.write_bytes(gzip.compress("".join(f"{json.dumps(row)}\n" for row in rows).encode()))
    elif kind == "txt":
        file.write_text("\n".join(TEXTS))
    else:
        cells = {"csv": ",", "tsv": "\t"}[kind]
        file.write_text("".join(f"{cells.join(map(str, row.values()))}\n" for row in [{"i": "id", "b": "body"}, *rows]))
    return file


@pytest.mark.parametrize("kind", ["parquet", "csv", "tsv", "jsonl.gz", "txt"])
def test_every_kind_of_file_gives_the_vectors_of_encode_in_order(
    tmp_path: Path, module: Module, expected: np.ndarray, kind: str
) -> None:
    file = write_texts(tmp_path, kind)
    done = wellread.embed_corpus(file, tmp_path / "vectors", module=module, shard_rows=13)
    table = pq.read_table(tmp_path / "vectors")  # pyarrow's readers of folders pass over names with an underscore
    assert (done.rows, len(table), done.nulls, done.fingerprint) == (101, 101, 0, module.fingerprint)
    assert [table[table.schema.names[0]].to_pylist(), table["error"].null_count] == [TEXTS, 101]
    np.testing.assert_array_equal(stacked(table), expected)
    parts = sorted(path.name for path in (tmp_path / "vectors").glob("part-*"))
    assert parts == [f"part-{number:06}.parquet" for number in range(8)]


def test_ids_and_kept_columns_stay_in_their_types(tmp_path: Path, module: Module, parquet: Path) -> None:
    wellread.embed_corpus(
        parquet, tmp_path / "v", module=module, column="body", id_column="id", keep=["stars"], shard_rows=50
    )
    table, source = pq.read_table(tmp_path / "v"), pq.read_table(parquet)
    assert table.schema.names == ["id", "stars", "embedding", "error"]
    assert table["id"].equals(source["id"])
    assert table["stars"].equals(source["stars"])


@pytest.mark.parametrize(("dtype", "cosine"), [("float32", 1.0), ("float16", 0.99999), ("int8", 0.9999)])
def test_forms_hold_the_vectors(
    tmp_path: Path, module: Module, expected: np.ndarray, parquet: Path, dtype: str, cosine: float
) -> None:
    wellread.embed_corpus(parquet, tmp_path / "v", module=module, column="body", dtype=dtype)
    table = pq.read_table(tmp_path / "v")
    assert str(table.schema.field("embedding").type.value_type) == {"float32": "float", "float16": "halffloat"}.get(
        dtype, dtype
    )
    group = pq.read_metadata(tmp_path / "v" / "part-000000.parquet").row_group(0)
    columns = [group.column(number) for number in range(group.num_columns)]
    (stored,) = [column for column in columns if column.path_in_schema.startswith("embedding.")]
    size = {"float32": 4, "float16": 2, "int8": 1}[
        dtype
    ]  # bytes a number; a dictionary of 256, and levels, beside them
    assert stored.total_compressed_size < expected.size * (size + 0.2) + 2_000
    vectors = stacked(table).astype(np.float32)
    if dtype == "int8":
        assert np.abs(vectors).max(axis=1).tolist() == [127.0] * 101
        vectors *= table["embedding_scale"].to_numpy()[:, None]
    np.testing.assert_allclose(vectors, expected, atol=np.abs(expected).max() / 200 if dtype == "int8" else 1e-2)
    cosines = (vectors * expected).sum(1) / np.linalg.norm(vectors, axis=1) / np.linalg.norm(expected, axis=1)
    assert cosines.min() >= cosine - 1e-6


def test_binary_is_what_sentence_transformers_packs(
    tmp_path: Path, module: Module, expected: np.ndarray, parquet: Path
) -> None:
    quantize = pytest.importorskip("sentence_transformers.util.quantization").quantize_embeddings
    wellread.embed_corpus(parquet, tmp_path / "v", module=module, column="body", dtype="binary")
    np.testing.assert_array_equal(stacked(pq.read_table(tmp_path / "v")), quantize(expected, precision="ubinary"))
    with pytest.raises(InputError, match=r"whole bytes; found 13 dimensions; pass a truncate_dim= of 8"):
        wellread.embed_corpus(parquet, tmp_path / "w", module=module, column="body", dtype="binary", truncate_dim=13)


def test_single_files_are_made_of_the_shards(
    tmp_path: Path, module: Module, expected: np.ndarray, parquet: Path
) -> None:
    for name in ("v.npy", "v.parquet", "v.jsonl", "v.csv"):
        wellread.embed_corpus(parquet, tmp_path / name, module=module, column="body", shard_rows=13)
    np.testing.assert_array_equal(np.load(tmp_path / "v.npy"), expected)
    table = pq.read_table(tmp_path / "v.parquet")
    assert table.schema.names == ["body", "embedding"]
    np.testing.assert_array_equal(stacked(table), expected)
    lines = [json.loads(line) for line in (tmp_path / "v.jsonl").read_text().splitlines()]
    np.testing.assert_array_equal(np.array([line["embedding"] for line in lines], np.float32), expected)
    assert len((tmp_path / "v.csv").read_text().splitlines()) == 102
    assert sorted(os.listdir(tmp_path)) == ["corpus.parquet", "v.csv", "v.jsonl", "v.npy", "v.parquet"]


def test_single_files_say_which_rows_have_no_vector(tmp_path: Path, module: Module) -> None:
    """What was written is read again by wellread and by NumPy; JSON has no NaN."""
    nan, infinity = float("nan"), float("inf")
    rows = {"text": ["a man", None, "the cat"], "stars": [1.5, nan, -infinity], "all": [[nan, 1.0], [], None]}
    pq.write_table(pa.table({**rows, "of": [{"a": nan}, {"a": 0.5}, None]}), tmp_path / "c.parquet")
    expected = module.encode(["a man", "the cat"])
    for name in ("v.npy", "v.jsonl", "v.csv"):
        keep = [] if name == "v.csv" else ["text", "stars", "all", "of"]
        done = wellread.embed_corpus(
            tmp_path / "c.parquet", tmp_path / name, module=module, column="text", keep=keep, on_error="null"
        )
        assert (done.rows, done.nulls) == (3, 1)
    vectors = np.load(tmp_path / "v.npy")
    np.testing.assert_array_equal(vectors[[0, 2]], expected)
    assert np.isnan(vectors[1]).all()
    lines = [parse_object(line) for line in (tmp_path / "v.jsonl").read_bytes().splitlines()]
    assert [line["stars"] for line in lines] == [1.5, None, None]
    assert [line["all"] for line in lines] == [[None, 1.0], [], None]
    assert [line["of"] for line in lines] == [{"a": None}, {"a": 0.5}, None]
    assert [line["embedding"] is None for line in lines] == [False, True, False]
    source = str(tmp_path / "v.csv")
    table = [row for _, row in read_rows(source, format_of(source))]
    assert [len(row) for row in table] == [98, 98, 98]
    assert [(row["text"], row["0"] == "", row["error"]) for row in table] == [
        ("a man", False, ""),
        ("", True, "null"),
        ("the cat", False, ""),
    ]


def test_a_csv_of_no_rows_has_a_header(tmp_path: Path, module: Module) -> None:
    (tmp_path / "c.txt").touch()
    assert wellread.embed_corpus(tmp_path / "c.txt", tmp_path / "v.csv", module=module, truncate_dim=2).rows == 0
    assert (tmp_path / "v.csv").read_text() == "text,0,1\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "int8"}, r'int8 vectors with their scales were asked for in .*w.npy, .*; pass dtype="float16", or'),
        ({"dtype": "binary", "on_error": "null"}, r'bits .* nothing where a row has none; pass on_error="fail", or'),
    ],
)
def test_what_numpy_cannot_hold_is_refused_before_the_module_is_loaded(
    tmp_path: Path, parquet: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        wellread.embed_corpus(parquet, tmp_path / "w.npy", module="/no/such", column="body", **options)


@pytest.mark.parametrize("name", ["v", "v.parquet", "v.npy", "v.jsonl", "v.csv", "v.lance"])
def test_what_was_written_is_on_the_disk_before_what_it_is_made_of_goes(
    tmp_path: Path, module: Module, parquet: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    if name == "v.lance":
        pytest.importorskip("lance")
    fsync, synced = os.fsync, set()

    def note(file: int) -> None:
        synced.add(os.fstat(file).st_ino)
        fsync(file)

    monkeypatch.setattr("os.fsync", note)
    wellread.embed_corpus(parquet, tmp_path / name, module=module, column="body", shard_rows=40)
    written = [tmp_path, tmp_path / name, *(tmp_path / name).rglob("*")]
    assert [path.name for path in written if path.stat().st_ino not in synced] == []


def test_a_folder_of_lance_is_what_lance_reads(
    tmp_path: Path, module: Module, expected: np.ndarray, parquet: Path
) -> None:
    lance = pytest.importorskip("lance")
    for overwrite in (False, True):  # the second takes the place of the first
        wellread.embed_corpus(
            parquet, tmp_path / "v.lance", module=module, column="body", shard_rows=40, overwrite=overwrite
        )
    table = lance.dataset(str(tmp_path / "v.lance")).to_table()
    np.testing.assert_array_equal(stacked(table), expected)
    assert check_canary(module, tmp_path / "v.lance").same


def test_folders_and_patterns_name_files_in_their_order(tmp_path: Path, module: Module, expected: np.ndarray) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / ".hidden").mkdir()
    (tmp_path / "in" / ".hidden" / "x.txt").write_text("no\n")
    (tmp_path / "in" / "readme.md").write_text("no\n")
    (tmp_path / "in" / "a.txt").write_text("".join(f"{text}\n" for text in TEXTS[:40]))
    (tmp_path / "in" / "deep" / "b.txt").write_text("".join(f"{text}\n" for text in TEXTS[40:]))
    for number, given in enumerate([tmp_path / "in", f"{tmp_path}/in/**/*.txt"]):
        wellread.embed_corpus(given, tmp_path / f"v{number}", module=module, shard_rows=30)
        np.testing.assert_array_equal(stacked(pq.read_table(tmp_path / f"v{number}")), expected)
    with pytest.raises(DataError, match=r"found .*a\.txt twice"):
        wellread.embed_corpus([tmp_path / "in", tmp_path / "in" / "a.txt"], tmp_path / "w", module=module)
    with pytest.raises(DataError, match=r"found none that end in"):
        wellread.embed_corpus(tmp_path / "nothing-here", tmp_path / "w", module=module)
    assert not (tmp_path / "w").exists()


def test_rows_without_a_text_stop_the_run_or_are_null(tmp_path: Path, module: Module) -> None:
    cells: list[Any] = [*TEXTS[:20], None, *TEXTS[20:40], "paris " * 40, *TEXTS[40:]]
    (tmp_path / "c.jsonl").write_text("".join(f"{json.dumps({'text': cell})}\n" for cell in cells))
    options: dict[str, Any] = {"module": module, "shard_rows": 16, "on_long": "error"}
    with pytest.raises(DataError, match=r'row 20 of the corpus, counted from 0, is null; .* pass on_error="null"'):
        wellread.embed_corpus(tmp_path / "c.jsonl", tmp_path / "v", **options)
    # what was made before the fault stays, and the run goes on
    done = wellread.embed_corpus(tmp_path / "c.jsonl", tmp_path / "v", on_error="null", resume=True, **options)
    assert (done.rows, done.nulls, done.resumed) == (103, 2, 16)
    table = pq.read_table(tmp_path / "v")
    missing = [row for row, vector in enumerate(table["embedding"].to_pylist()) if vector is None]
    assert missing == [20, 41]
    errors = table["error"].to_pylist()
    assert errors[20] == "null"
    assert "too long" in errors[41] or "tokens" in errors[41]
    assert sum(error is not None for error in errors) == 2
    rest = [cell for row, cell in enumerate(cells) if row not in missing]
    np.testing.assert_array_equal(
        np.array([vector for vector in table["embedding"].to_pylist() if vector is not None]), module.encode(rest)
    )


def test_cells_of_json_that_are_no_texts_stop_the_run_or_are_null(tmp_path: Path, module: Module) -> None:
    cells: list[Any] = ["a man", 5, ["the", "cat"], {"x": 1}]
    (tmp_path / "c.jsonl").write_text("".join(f"{json.dumps({'text': cell})}\n" for cell in cells))
    with pytest.raises(DataError, match="row 1 of the corpus, counted from 0, is 5, no text"):
        wellread.embed_corpus(tmp_path / "c.jsonl", tmp_path / "v", module=module)
    wellread.embed_corpus(tmp_path / "c.jsonl", tmp_path / "w", module=module, on_error="null")
    table = pq.read_table(tmp_path / "w")
    assert table["error"].to_pylist() == [None, "5, no text", None, "{'x': 1}, no text"]
    assert table["text"].to_pylist() == ["a man", "5", '["the", "cat"]', '{"x": 1}']
    vectors = [vector for vector in table["embedding"].to_pylist() if vector is not None]
    np.testing.assert_array_equal(np.array(vectors), module.encode(["a man", "the cat"]))


def test_what_was_cut_is_counted_once_for_all(tmp_path: Path, module: Module, recwarn: pytest.WarningsRecorder) -> None:
    (tmp_path / "c.txt").write_text("".join(f"{text}\n" for text in [*TEXTS, "cat " * 50, "dog " * 5_000_000]))
    done = wellread.embed_corpus(tmp_path / "c.txt", tmp_path / "v", module=module, shard_rows=60)  # 20 MB in a text
    assert (done.rows, done.truncated) == (103, 2)
    assert not [one for one in recwarn if "too long" in str(one.message)]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"column": "stars"}, DataError, r"row 0 of the corpus, counted from 0, is 0.0, no text"),
        ({"column": "boddy"}, DataError, r"a column boddy was asked .*\(did you mean body\?\)"),
        ({"column": "body", "keep": ["star"]}, DataError, r"a column star was asked .*\(did you mean stars\?\)"),
        ({"column": "body", "dtype": "int4"}, InputError, r"stored as float32, .* found dtype='int4'"),
        ({"column": "body", "on_error": "skip"}, InputError, r"on_error is fail or null; found 'skip'"),
        ({"column": "body", "shard_rows": 0}, InputError, r"shard_rows must be a whole number of at least 1; found 0"),
        ({"column": "body", "prompt_name": "q"}, InputError, r"the prompt 'q' was asked for"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_written(
    tmp_path: Path, module: Module, parquet: Path, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        wellread.embed_corpus(parquet, tmp_path / "v", module=module, **options)
    assert not list(tmp_path.glob("v/part-*"))


def test_a_text_that_cannot_be_encoded_is_named_by_its_row_of_the_corpus(tmp_path: Path, module: Module) -> None:
    texts = [*TEXTS[:41], "paris " * 40, *TEXTS[41:]]
    (tmp_path / "c.txt").write_text("".join(f"{text}\n" for text in texts))
    options: dict[str, Any] = {"module": module, "shard_rows": 16, "on_long": "error"}
    said = "row 41 of the corpus, counted from 0, could not be encoded: a sequence length of "
    with pytest.raises(TextError, match=said):
        wellread.embed_corpus(tmp_path / "c.txt", tmp_path / "v", **options)
    assert len(folder_bytes(tmp_path / "v")) == 2
    wellread.embed_corpus(tmp_path / "c.txt", tmp_path / "w", on_error="null", **options)
    (error,) = filter(None, pq.read_table(tmp_path / "w")["error"].to_pylist())
    assert error.startswith(said)


def test_columns_of_our_names_are_refused(tmp_path: Path, module: Module) -> None:
    pq.write_table(pa.table({"text": TEXTS, "embedding": np.zeros(101)}), tmp_path / "c.parquet")
    with pytest.raises(DataError, match=r"other names than embedding.*found\s+embedding"):
        wellread.embed_corpus(tmp_path / "c.parquet", tmp_path / "v", module=module, keep=["embedding"])


def test_an_estimate_of_no_rows_takes_no_time(tmp_path: Path, module: Module) -> None:
    (tmp_path / "c.txt").touch()
    estimate = estimate_corpus(tmp_path / "c.txt", module=module)
    assert (estimate.rows, estimate.seconds, estimate.bytes) == (0, 0, 0)


def test_an_estimate_writes_nothing(tmp_path: Path, module: Module, parquet: Path) -> None:
    estimate = estimate_corpus(parquet, module=module, column="body", dtype="int8")
    assert (estimate.rows, estimate.exact, estimate.bytes) == (101, True, 101 * (96 + 4))
    (tmp_path / "c.txt").write_text("".join(f"{text}\n" for text in TEXTS * 400))
    about = estimate_corpus(tmp_path / "c.txt", module=module)
    assert abs(about.rows / 40_400 - 1) < 0.1
    assert not about.exact
    assert sorted(os.listdir(tmp_path)) == ["c.txt", "corpus.parquet"]


def test_the_canary_tells_the_module_from_another(tmp_path: Path, module: Module, parquet: Path) -> None:
    wellread.embed_corpus(
        parquet, tmp_path / "v", module=module, column="body", prompt="a ", truncate_dim=40, normalize_embeddings=True
    )
    wellread.embed_corpus(parquet, tmp_path / "v.parquet", module=module, column="body")
    module.save(tmp_path / "again")
    for path in (tmp_path / "v", tmp_path / "v.parquet", tmp_path / "v" / "part-000000.parquet"):
        result = check_canary(wellread.load(tmp_path / "again"), path)
        assert result.same
        assert result.stored_fingerprint == result.fingerprint
        assert result.least_cosine == pytest.approx(1, abs=1e-5)
    other = check_canary(tiny_module(tmp_path / "other", config=tiny_config(**NATIVE), seed=1), tmp_path / "v.parquet")
    assert not other.same
    assert other.stored_fingerprint != other.fingerprint
    with pytest.raises(DataError, match=r"canary vectors were asked of .*corpus.parquet; found none"):
        check_canary(module, parquet)


def test_the_canary_is_of_the_precision_that_the_run_computes_in(tmp_path: Path) -> None:
    default = wellread.load("default", backend="native")  # int8, unless another precision is named
    (tmp_path / "c.txt").write_text("a man\n")
    least = {}
    for precision in ("f32", "int8"):
        wellread.embed_corpus(tmp_path / "c.txt", tmp_path / precision, module=default, precision=precision)
        canary = json.loads(json.loads((tmp_path / precision / "_manifest.json").read_text())["canary"])
        expected = default.encode_counted(canary["texts"], precision=precision)[0]
        np.testing.assert_allclose(np.array(canary["vectors"]), expected, rtol=1e-5)
        least[precision] = check_canary(default, tmp_path / precision).least_cosine
    assert least["f32"] < least["int8"] == pytest.approx(1, abs=1e-6)


def test_verify_says_whether_vectors_belong_to_a_module(tmp_path: Path, module: Module, parquet: Path) -> None:
    from click.testing import CliRunner

    from wellread.cli.verify import command

    wellread.embed_corpus(parquet, tmp_path / "v", module=module, column="body")
    module.save(tmp_path / "saved")
    said = CliRunner().invoke(command, [str(tmp_path / "saved"), "--canary", str(tmp_path / "v"), "--json"])
    assert json.loads(said.stdout)["same"] is True
    said = CliRunner().invoke(command, ["default", "--canary", str(tmp_path / "v")])
    assert isinstance(said.exception, DataError)
    assert "embed the texts again, or name the module that made them" in str(said.exception)
