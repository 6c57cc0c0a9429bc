"""EncodeBatch on the batches of each engine, by the engines themselves where they are light."""

from __future__ import annotations

import inspect
import os
import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import wellread
from wellread.corpus.batches import FINGERPRINT, HANDLE, OPTIONS, EncodeBatch
from wellread.errors import HandleError, InputError, TextError

TEXTS = ["A man is playing a guitar.", None, "It rains."]
ENCODE = EncodeBatch("default", column="body")


@pytest.fixture(scope="module")
def module():
    return wellread.load("default")


@pytest.fixture(scope="module")
def expected(module):
    """Return the vectors of TEXTS: NaN where there is none."""
    vectors = np.full((3, module.embedding_size), np.nan, np.float32)
    vectors[[0, 2]] = module.encode([TEXTS[0], TEXTS[2]])
    return vectors


def as_numpy(column) -> np.ndarray:
    """Return fixed-size lists as an array: NaN where there is none."""
    width = column.type.list_size
    return np.array([[np.nan] * width if row is None else row for row in column.to_pylist()], np.float32)


def test_a_table_of_arrow_gets_a_field_that_says_which_module_it_is_of(module, expected):
    table = pa.table({"id": [1, 2, 3], "body": TEXTS})
    result = ENCODE(table)
    assert result.schema.names == ["id", "body", "embedding"]
    assert result.schema.field("embedding").type == pa.list_(pa.float32(), module.embedding_size)
    assert result.schema.field("embedding").metadata == {
        FINGERPRINT: module.fingerprint.encode(),
        HANDLE: b"default",
    }
    assert result.schema.field("embedding").equals(ENCODE.field(), check_metadata=True)
    np.testing.assert_array_equal(as_numpy(result["embedding"]), expected)
    record_batch = ENCODE(table.to_batches()[0])
    assert isinstance(record_batch, pa.RecordBatch)
    np.testing.assert_array_equal(as_numpy(record_batch["embedding"]), expected)
    np.testing.assert_array_equal(as_numpy(ENCODE(table["body"])), expected)
    np.testing.assert_array_equal(as_numpy(ENCODE(table["body"].dictionary_encode())), expected)


def test_the_metadata_is_kept_in_a_file(tmp_path):
    pq.write_table(ENCODE(pa.table({"body": TEXTS})), tmp_path / "vectors.parquet")
    assert pq.read_schema(tmp_path / "vectors.parquet").field("embedding").metadata[HANDLE] == b"default"


@pytest.mark.parametrize("column", [pd.Series(TEXTS), pd.Series(TEXTS, dtype=object), pd.Series(["a", pd.NA, "b"])])
def test_a_column_of_pandas_keeps_its_index(column, module):
    column.index = [7, 5, 3]
    result = ENCODE(column)
    assert result.name == "embedding"
    assert result.index.tolist() == [7, 5, 3]
    assert result[5] is None
    np.testing.assert_array_equal(np.stack(result.dropna()), module.encode([column[7], column[3]]))


def test_a_frame_of_pandas_stays_as_it_was(expected):
    frame = pd.DataFrame({"body": TEXTS, "id": [1, 2, 3]})
    result = ENCODE(frame)
    assert frame.columns.tolist() == ["body", "id"]
    assert result.columns.tolist() == ["body", "id", "embedding"]
    np.testing.assert_array_equal(as_numpy(pa.Table.from_pandas(result)["embedding"]), expected)


@pytest.mark.parametrize("column", [TEXTS, np.array(TEXTS, object)], ids=["list", "array"])
def test_a_mapping_of_arrays_gets_an_array(column, expected):
    batch = {"body": column}
    result = ENCODE(batch)
    assert [*batch] == ["body"]
    assert result["embedding"].dtype == np.float32
    np.testing.assert_array_equal(result["embedding"], expected)
    np.testing.assert_array_equal(ENCODE(column), expected)


def test_no_rows_are_a_batch_too(module):
    assert ENCODE(pa.table({"body": pa.array([], pa.string())}))["embedding"].type.list_size == module.embedding_size
    assert ENCODE({"body": np.array([], float)})["embedding"].shape == (0, module.embedding_size)


def test_options_are_those_of_encode(module):
    assert {*OPTIONS} <= {*inspect.signature(wellread.Module.encode).parameters}
    encode = EncodeBatch(module, column="body", output_column="v", dtype="float16", truncate_dim=8, prompt="a: ")
    column = encode(pa.table({"body": ["b"]}))["v"]
    assert column.type == encode.field().type == pa.list_(pa.float16(), 8)
    vectors = module.encode(["b"], truncate_dim=8, prompt="a: ").astype(np.float16)
    np.testing.assert_array_equal(as_numpy(column), vectors)


def test_a_handle_travels_light_and_a_module_with_its_arrays(module, expected):
    assert len(pickle.dumps(ENCODE)) < 1000
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(ENCODE))(TEXTS), expected)
    first, second = (pickle.loads(pickle.dumps(EncodeBatch(module))) for _ in range(2))
    np.testing.assert_array_equal(first(TEXTS), expected)
    assert first.process() is second.process()  # what came with another task is not prepared again
    longer = replace(module)
    longer.max_seq_length = 8
    assert EncodeBatch(longer).process() is not first.process()


def test_a_path_is_one_in_other_working_directories_too(tmp_path, monkeypatch):
    (tmp_path / "models" / "mine").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert EncodeBatch("models/mine").module == str(tmp_path / "models" / "mine")
    assert EncodeBatch("some/handle").module == "some/handle"


def test_nothing_is_loaded_before_the_first_batch():
    assert "/no/such" in repr(EncodeBatch("/no/such"))
    with pytest.raises(
        HandleError, match=r"nothing at it.*; on .*pass the Module itself, wellread\.load\('/no/such'\)"
    ):
        EncodeBatch("/no/such")(["a"])


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({"text": ["a"]}, "a column 'body' of texts was expected; found 'text'; pass one of these as column="),
        ({"boby": ["a"]}, r"as column= \(did you mean boby\?\)"),
        (pd.DataFrame(), "found no column"),
        ({"body": np.array([1, 2])}, "the column 'body' was to hold texts; found int64; pass another column="),
        (pa.table({"body": [1.5]}), "found double"),
        (pd.DataFrame({"body": [True]}), "found bool"),
        ({"body": ["a", None, 3, 4.5]}, "each of 4 texts must be a str; 2 are not: int in row 2, float in row 3"),
        ({"body": ["a"], "embedding": [1]}, "the batch has one of that name; pass output_column="),
    ],
)
def test_what_holds_no_texts_is_refused(batch, message):
    with pytest.raises(InputError, match=message):
        ENCODE(batch)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "int8"}, "dtype is one of float32, float16; found 'int8'"),
        ({"on_error": "skip"}, "on_error is one of fail, null; found 'skip'"),
        ({"truncate_dims": 8}, r"found truncate_dims=; leave it out \(did you mean truncate_dim\?\)"),
        ({"device": "cpu"}, "an option of encode was expected, one of prompt, prompt_name, batch_size"),
    ],
)
def test_arguments_of_other_kinds_are_refused_before_anything_is_loaded(options, message):
    with pytest.raises(InputError, match=message):
        EncodeBatch("/no/such", **options)


def test_texts_that_cannot_be_encoded_have_no_vector_where_that_is_asked_for(module):
    texts = ["a", 3, "b", "long " * 1000, None, "c"]
    lenient = EncodeBatch("default", on_error="null", on_long="error")
    with pytest.warns(UserWarning, match="5 texts of 'text' were to be encoded; 2 could not be"):
        vectors = lenient(texts)
    assert np.isnan(vectors).all(axis=1).tolist() == [False, True, False, True, True, False]
    np.testing.assert_array_equal(vectors[[0, 2, 5]], module.encode(["a", "b", "c"]))
    with pytest.raises(TextError, match="row 3 of 'text' could not be encoded: .*rows are longer: row 0 of 1000"):
        EncodeBatch("default", on_long="error")(["a", None, "b", "long " * 1000])


def test_wrong_options_are_no_fault_of_a_text():
    with pytest.raises(InputError, match="the prompt 'query' was asked for"):
        EncodeBatch("default", on_error="null", prompt_name="query")(["a"])


def test_dask_maps_it_over_partitions(expected):
    dataframe = pytest.importorskip("dask.dataframe")
    texts = dataframe.from_pandas(pd.DataFrame({"body": TEXTS, "id": [1, 2, 3]}), npartitions=2)
    vectors = texts.map_partitions(ENCODE, meta=ENCODE(texts._meta)).compute(scheduler="threads")
    assert vectors["id"].tolist() == [1, 2, 3]
    np.testing.assert_array_equal(as_numpy(pa.Table.from_pandas(vectors)["embedding"]), expected)


DAFT = """
import daft
from wellread.corpus.batches import EncodeBatch

encode = EncodeBatch("default", column="body")
vector = daft.DataType.embedding(daft.DataType.float32(), 384)
embed = daft.udf(return_dtype=vector)(lambda texts: encode(texts))
frame = daft.from_pydict({"body": ["A man is playing a guitar.", None, "It rains."]})
found = frame.with_column("embedding", embed(frame["body"])).to_pydict()["embedding"]
print([None if vector is None else list(map(float, vector)) for vector in found])
"""


def of_own_process(source: str) -> list[list[float] | None]:
    """Run an engine where what it leaves open harms no other test: Daft never closes its event loop."""
    environment = {**os.environ, "PYSPARK_PYTHON": sys.executable}
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return eval(done.stdout)


def test_daft_takes_it_as_a_udf(expected):
    pytest.importorskip("daft")
    first, none, last = of_own_process(DAFT)
    assert none is None
    np.testing.assert_array_equal(np.array([first, last], np.float32), expected[[0, 2]])


SPARK = """
import pandas as pd
from pyspark.sql import SparkSession
from pyspark.sql.functions import pandas_udf
from wellread.corpus.batches import EncodeBatch

spark = SparkSession.builder.master("local[2]").config("spark.ui.enabled", False).getOrCreate()
encode = EncodeBatch("default")

@pandas_udf("array<float>")
def embed(texts: pd.Series) -> pd.Series:
    return encode(texts)

texts = spark.createDataFrame([("A man is playing a guitar.",), (None,), ("It rains.",)], "text string")
print([row.vector for row in texts.select(embed("text").alias("vector")).collect()])
"""


@pytest.mark.slow
def test_spark_takes_it_in_a_pandas_udf(expected):
    pytest.importorskip("pyspark")
    first, none, last = of_own_process(SPARK)
    assert none is None
    np.testing.assert_array_equal(np.array([first, last], np.float32), expected[[0, 2]])
