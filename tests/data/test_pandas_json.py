"""Files that pandas wrote, by every orient of its to_json and under every spelling of their endings."""

from pathlib import Path

import pandas as pd
import pytest

from wellread.data.corpus import stream_texts
from wellread.data.examples import read_examples
from wellread.data.tables import format_of
from wellread.errors import DataError

FRAME = pd.DataFrame({"text": ['one "two"', "기타, 셋", ""], "label": ["x", "y", "x"]})


@pytest.mark.parametrize("orient", ["columns", "index", "split", "table", "records"])
@pytest.mark.parametrize("indent", [None, 2])
def test_every_orient_with_names_is_read(tmp_path: Path, orient: str, indent: int | None) -> None:
    path = tmp_path / "rows.json"
    FRAME.to_json(path, orient=orient, indent=indent)
    found = read_examples(path)
    assert (found.texts, found.labels) == (FRAME["text"].tolist(), FRAME["label"].tolist())
    assert [*stream_texts([path])] == FRAME["text"].tolist()


def test_an_index_of_its_own_and_one_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    FRAME[1:2].to_json(path)
    assert read_examples(path).texts == FRAME["text"].tolist()[1:2]


@pytest.mark.parametrize("name", ["ROWS.CSV", "rows.Csv.gz", "rows.tsv", "ROWS.JSONL", "rows.ndjson", "rows.NDJSON.GZ"])
def test_endings_in_any_case(tmp_path: Path, name: str) -> None:
    path, ending = tmp_path / name, name.lower()
    if "json" in ending:
        FRAME.to_json(path, orient="records", lines=True, compression="gzip" if ending.endswith("gz") else None)
    else:
        separator = "\t" if "tsv" in ending else ","
        rows = FRAME[1:] if separator == "\t" else FRAME  # a .tsv quotes nothing, and pandas does
        rows.to_csv(path, index=False, sep=separator, compression="gzip" if ending.endswith("gz") else None)
    assert read_examples(path).texts[-2:] == FRAME["text"].tolist()[-2:]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"text":{"0":"a","1":"b"},"label":{"0":"x"}}', "its columns have different rows"),
        ('{"text":{"0":"a"},"label":3}', "is none"),
        ('{"text":{"0":"a"', "is none"),
        ('{"columns":["text"],"data":[["a","b"]]}', "is none"),
        ('{"columns":["text"]}', "is none"),
        ('{"schema":{},"data":["a"]}', "is none"),
        ('{"columns":["text"],"data":[]}', "it holds no rows"),
        ('{"0":{"text":' + "[" * 100_000, "is none"),
    ],
)
def test_what_is_damaged_is_refused(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "rows.json"
    path.write_text(content)
    with pytest.raises(DataError, match=words):
        read_examples(path)


def test_objects_a_line_stay_what_they_are(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text('{"text": "a", "meta": {"0": 1}}\n{"text": "b", "meta": {"0": 2}}\n')
    assert read_examples(path).texts == ["a", "b"]


def test_a_directory_is_refused_with_advice(tmp_path: Path) -> None:
    for options in ({}, {"kind": "txt"}, {"format": "nsmc"}):
        with pytest.raises(DataError, match="it is a directory; name the files in it"):
            format_of(tmp_path, **options)
