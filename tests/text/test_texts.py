"""What counts as texts, at every entry of a module; and what is refused, with what to pass."""

import pathlib
import pickle

import datasets
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from headed import headed_checkpoint
from tiny import tiny_module, tiny_tokenizer

from wellread.errors import InputError
from wellread.module import Module

TEXTS = ["a man", "a cat runs"]
GOOD = {
    "tuple": tuple(TEXTS),
    "keys": dict.fromkeys(TEXTS).keys(),
    "NumPy's own strings": [np.str_(text) for text in TEXTS],
    "array": np.array(TEXTS),
    "array of objects": np.array(TEXTS, dtype=object),
    "array of variable width": np.array(TEXTS, dtype=np.dtypes.StringDType()),
    "Series": pd.Series(TEXTS),
    "Series of objects": pd.Series(TEXTS, dtype=object, index=["x", "y"]),
    "Series of categories": pd.Series(TEXTS, dtype="category"),
    "Index": pd.Index(TEXTS),
    "polars": pl.Series(TEXTS),
    "polars' categories": pl.Series(TEXTS, dtype=pl.Categorical),
    "pyarrow": pa.array(TEXTS),
    "chunks": pa.chunked_array([TEXTS[:1], TEXTS[1:]]),
    "large strings": pa.array(TEXTS, pa.large_string()),
    "dictionary": pa.array(TEXTS).dictionary_encode(),
    "column of datasets": datasets.Dataset.from_dict({"t": TEXTS})["t"],
}
FRAME = pd.DataFrame({"text": TEXTS, "label": [0, 1]})
DATASET = datasets.Dataset.from_dict({"text": TEXTS})
# what is refused -> what the message must say to do
BAD = {
    "DataFrame": (FRAME, "given['text']"),
    "DataFrame of one column": (FRAME[["text"]], "given['text']"),
    "polars' frame": (pl.from_pandas(FRAME), "given['text']"),
    "polars' plan": (pl.LazyFrame({"text": TEXTS}), "given['text']"),
    "groups": (FRAME.groupby("label"), ""),
    "table": (pa.table({"text": TEXTS}), "given['text']"),
    "batch": (pa.record_batch({"text": TEXTS}), "given['text']"),
    "data set": (DATASET, "given['text']"),
    "data sets": (datasets.DatasetDict({"train": DATASET}), "given['train']"),
    "stream": (DATASET.to_iterable_dataset(), "given['text']"),
    "mapping": ({"id1": "a"}, "given['id1']"),
    "structured array": (np.array([("a", 1)], dtype=[("t", "U3"), ("n", "i4")]), "given['t']"),
    "table of strings": (np.array([TEXTS * 2] * 3), ""),
    "bytes": (b"a man", 'given.decode("utf-8")'),
    "memory": (memoryview(b"a man"), "given.decode"),
    "path": (pathlib.Path("texts.txt"), 'read_text("utf-8").splitlines()'),
    "set": (set(TEXTS), "sorted(given)"),
    "None": (None, "found None"),
    "int": (3, "a str or a list of str"),
    "NaN": (float("nan"), "a str or a list of str"),
    "array of no dimension": (np.array("a man"), "a str or a list of str"),
    "numbers": (np.arange(3), "int64 in row 0"),
    "NaN in a row": (pd.Series(["a", None]), "NaN in row 1"),
    "null": (pa.array(["a", None]), "NoneType in row 1"),
    "bytes in a row": ([b"a"], "bytes in row 0"),
    "lists in a row": ([["a", "b", "c"]], "list in row 0"),
    "path in a row": ([pathlib.Path("a")], "PosixPath in row 0"),
}

# arguments that mean something else there: packed inputs, an array of pairs or of windows, no second texts
NOT_TEXTS = {
    ("bytes", "tokenizer"),
    ("mapping", "call"),
    ("data sets", "call"),
    ("table of strings", "embed"),
    ("None", "pairs, second"),
}


@pytest.fixture(scope="module")
def entries(tmp_path_factory: pytest.TempPathFactory):
    place = tmp_path_factory.mktemp("texts")
    module, tokenizer = tiny_module(place / "a", backend="torch"), tiny_tokenizer(place / "b")
    tagger, pairs = (
        Module(checkpoint=headed_checkpoint(task), tokenizer=tokenizer, backend="torch") for task in ("tag", "pair")
    )
    return {
        "encode": module.encode,
        "embed": lambda texts: list(module.embed(texts)),
        "call": module,
        "tokenize": lambda texts: module.tokenize(texts).to_list(),
        "tokenize_with_offsets": lambda texts: module.tokenize_with_offsets(texts).starts.to_list(),
        "tokenizer": lambda texts: module.tokenizer.tokenize(texts).to_list(),
        "predict": tagger.predict,
        "pairs, first": lambda texts: pairs.predict(texts, TEXTS),
        "pairs, second": lambda texts: pairs.predict(TEXTS, texts),
        "documents": lambda texts: module.rank("a man", texts),
    }


@pytest.mark.parametrize("kind", GOOD)
def test_columns_and_iterables_of_texts_are_texts(entries, kind: str) -> None:
    for name, entry in entries.items():
        assert pickle.dumps(entry(GOOD[kind])) == pickle.dumps(entry(TEXTS)), name
        assert pickle.dumps(entry(text for text in TEXTS)) == pickle.dumps(entry(TEXTS)), name


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_list_of_texts_is_refused_with_advice(entries, kind: str) -> None:
    given, advice = BAD[kind]
    for name, entry in entries.items():
        with pytest.raises(InputError) as error:
            entry(given)
        if (kind, name) not in NOT_TEXTS:
            assert advice in str(error.value), name


def test_one_text_where_many_are_meant(entries) -> None:
    for name in ("embed", "tokenize", "tokenize_with_offsets", "pairs, first", "pairs, second", "documents"):
        with pytest.raises(InputError):
            entries[name]("a man")


@pytest.mark.parametrize("given", [None, 3, ["a [MASK]"], FRAME, b"[MASK]", pathlib.Path("[MASK]"), np.array("[MASK]")])
def test_fill_mask_takes_one_text(tmp_path: pathlib.Path, given) -> None:
    with pytest.raises(InputError, match="a text with masks was expected: one str"):
        tiny_module(tmp_path, backend="torch").fill_mask(given)
