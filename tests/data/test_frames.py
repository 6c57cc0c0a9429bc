"""Examples from what people hold in Python: each gives what the same rows in a file give."""

import json
from collections import namedtuple
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from headed import headed_checkpoint
from tiny import tiny_module, tiny_tokenizer

from wellread.data.examples import as_examples, read_examples, take_examples
from wellread.errors import DataError, InputError
from wellread.learn.finetune import finetune
from wellread.learn.settings import FinetuneConfig, LoopConfig, PretrainConfig
from wellread.measure.evaluate import evaluate
from wellread.module import Module

ROWS = [
    {"text": "a man runs", "pair": "he runs", "label": "yes", "score": 0.5},
    {"text": "한국 기타", "pair": "a cat", "label": "no", "score": 2.0},
    {"text": "paris", "pair": "france", "label": "yes", "score": 1.0},
]
FRAME = pd.DataFrame(ROWS)
COLUMNS = {name: [row[name] for row in ROWS] for name in ROWS[0]}
Row = namedtuple("Row", list(ROWS[0]))
GIVEN = {
    "pandas": FRAME,
    "pandas with an index": FRAME.set_index(pd.Index([7, 7, 9])),
    "pandas of Arrow": FRAME.convert_dtypes(dtype_backend="pyarrow"),
    "pandas of categories": FRAME.astype({"label": "category"}),
    "polars": pl.DataFrame(ROWS),
    "polars' plan": pl.DataFrame(ROWS).lazy(),
    "pyarrow": pa.Table.from_pylist(ROWS),
    "a batch of pyarrow": pa.RecordBatch.from_pylist(ROWS),
    "datasets": datasets.Dataset.from_list(ROWS),
    "a stream of datasets": datasets.Dataset.from_list(ROWS).to_iterable_dataset(),
    "dict of lists": COLUMNS,
    "dict of arrays": {name: np.array(values) for name, values in COLUMNS.items()},
    "dict of Series": {name: pd.Series(values) for name, values in COLUMNS.items()},
    "dict of pyarrow's": {name: pa.array(values) for name, values in COLUMNS.items()},
    "list of dicts": ROWS,
    "named tuples": [Row(**row) for row in ROWS],
    "rows of a DataFrame": FRAME.itertuples(index=False),
    "records": FRAME.to_dict("records"),
}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory):
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in ROWS))
    return read_examples(path)


@pytest.mark.parametrize("kind", GIVEN)
def test_rows_in_python_are_those_of_a_file(expected, kind: str) -> None:
    found = as_examples(GIVEN[kind])
    for name in ("texts", "pairs", "labels", "scores"):
        assert getattr(found, name) == getattr(expected, name)


def test_tuples_hold_what_the_task_needs() -> None:
    found = as_examples([("a", "yes"), ["b", "no"]], needed=("labels",))
    assert (found.texts, found.labels) == (["a", "b"], ["yes", "no"])
    for rows in ([("a", "b", 0.5)], [(("a", "b"), 0.5)], [(["a", "b"], np.float32(0.5))]):
        found = as_examples(rows, needed=("pairs", "scores"))
        assert (found.texts, found.pairs, found.scores) == (["a"], ["b"], [0.5])
    assert as_examples([("a", "b")], needed=("pairs", "scores")).pairs == ["b"]
    assert as_examples(np.array([["a", "yes"]], dtype=object), needed=("labels",)).labels == ["yes"]
    for tokens, tags in ((["a", "man"], ["O", "B-PER"]), (("a", "man"), ("O", "B-PER"))):
        found = as_examples([(tokens, tags)], needed=("tags", "spans"))
        assert (found.texts, found.tags) == (["a man"], [["O", "B-PER"]])


def test_columns_are_named_as_for_files() -> None:
    frame = FRAME.rename(columns={"text": "review", "label": "stars"})
    found = take_examples(frame, text="review", label="stars")
    assert (found.texts, found.labels) == (COLUMNS["text"], COLUMNS["label"])
    with pytest.raises(DataError, match=r"a column text was asked of the given rows; it has review, pair, stars"):
        take_examples(frame)
    words = pd.DataFrame({"text": [np.array(["a", "man"])], "tags": [np.array(["O", "B-PER"])]})
    assert take_examples(words).tags == [["O", "B-PER"]]


def test_classes_of_a_data_set_go_by_their_names() -> None:
    tag = datasets.ClassLabel(names=["O", "B-PER", "I-PER"])
    features = datasets.Features({"text": datasets.List(datasets.Value("string")), "tags": datasets.List(tag)})
    words = datasets.Dataset.from_dict({"text": [["김", "철수"]], "tags": [[1, 2]]}, features=features)
    assert take_examples(words).tags == [["B-PER", "I-PER"]]
    kinds = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])})
    rows = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [1, 0]}, features=kinds)
    assert take_examples(rows).labels == ["pos", "neg"]
    unknown = datasets.Dataset.from_dict({"text": ["a"], "label": [-1]}, features=kinds)
    with pytest.raises(DataError, match="a label was asked of the column label"):
        take_examples(unknown)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"text": [["a", "b"]], "tags": [["O", None]]}, "a tag for each token was asked of the column tags"),
        ({"text": ["a", "b"], "labels": [[1, 0, 0], [0, 1, 1]]}, "found rows of zeros and ones, a place for each"),
        ({"review": ["a"]}, "name one of them with text=, an argument of wellread.take_examples"),
    ],
)
def test_cells_that_stand_for_something_else_are_refused(rows, message) -> None:
    with pytest.raises(DataError, match=message):
        take_examples(rows)


NAN = pd.DataFrame({"text": ["a", None], "label": ["x", "y"]})
BAD = {
    "one column": (FRAME["text"], "pass the whole table"),
    "splits": (datasets.DatasetDict({"train": datasets.Dataset.from_list(ROWS)}), "pass one of its parts"),
    "texts": (["a", "b"], "row 1 is a str"),
    "one text in bytes": (b"a", "found a bytes"),
    "nothing": (None, "found None"),
    "number": (3, "found a int"),
    "one row": ({"text": "a", "label": "b"}, "put one row in a list"),
    "lengths": ({"text": ["a"], "label": []}, "text 1, label 0"),
    "one name": (FRAME.set_axis(["text", "text", "label", "score"], axis=1), "two are called text"),
    "long tuples": ([("a", "b", "c")], "row 1 is a tuple of 3 for a task that takes text and label"),
    "short tuples": ([("a",)], "row 1 is a tuple of 1"),
    "no text": (NAN, "a text was asked of the column text of the given rows; 1 of 2 rows have none, line 2"),
    "no label": (pd.DataFrame({"text": ["a", "b"], "label": ["x", None]}), "a label was asked of the column label"),
    "NA": (pd.DataFrame({"text": ["a", "b"], "label": pd.array([1, None], "Int64")}), "a label was asked"),
    "no rows": (FRAME[:0], "it holds no rows"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_holds_no_examples_is_refused_with_advice(kind: str) -> None:
    given, words = BAD[kind]
    with pytest.raises(DataError) as error:
        as_examples(given, needed=("labels",))
    assert words in str(error.value)


def test_finetune_and_evaluate_take_a_data_frame(tmp_path: Path) -> None:
    config = FinetuneConfig(loop=LoopConfig(max_steps=1), max_seq_length=16)
    module = tiny_module(tmp_path / "files", backend="torch")
    trained = finetune(
        module, FRAME, task="classify", output_dir=tmp_path / "run", config=config, dev=pl.from_pandas(FRAME)
    )
    assert trained.checkpoint.head.labels == ("no", "yes")
    from_frame = evaluate(trained, FRAME).scores["accuracy"].value
    assert from_frame == evaluate(trained, [(row["text"], row["label"]) for row in ROWS]).scores["accuracy"].value
    similar = evaluate(module, [("a man", "a cat", 1.0), ("paris", "france", 0.2), ("a", "b", 0.7)], task="similarity")
    assert similar.examples == 3


@pytest.mark.parametrize("given", [FRAME, {"id1": "a"}, "a text", None, b"a", 3])
def test_texts_to_train_on_are_guarded_too(tmp_path: Path, given) -> None:
    from wellread.learn.distill.distill import distill
    from wellread.learn.pretrain import pretrain

    module = tiny_module(tmp_path / "files", backend="torch")
    with pytest.raises(InputError):
        pretrain(module, given, output_dir=tmp_path / "run", config=PretrainConfig(max_seq_length=16))
    with pytest.raises(InputError):
        distill(module, given, output_dir=tmp_path / "run")


def test_predictions_of_a_pair_module_take_columns(tmp_path: Path) -> None:
    module = Module(checkpoint=headed_checkpoint("pair"), tokenizer=tiny_tokenizer(tmp_path), backend="torch")
    assert module.predict(FRAME["text"], FRAME["pair"]) == module.predict(COLUMNS["text"], COLUMNS["pair"])
    assert module.predict(FRAME[["text", "pair"]].to_numpy()) == module.predict(COLUMNS["text"], COLUMNS["pair"])
