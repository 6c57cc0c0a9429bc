"""Texts of plain files, in every kind of file, and the files that are none."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wellread.data.corpus import PART, stream_texts, total_bytes
from wellread.data.tables import format_of, read_rows
from wellread.errors import DataError

TEXTS = ["A man.", "", 'Say "a, b".', "유리\u2028창", " x "]


def written(path, kind):
    packed = path.suffix.lower() == ".gz"
    if kind == "parquet":
        file = io.BytesIO()
        pq.write_table(pa.table({"id": range(5), "said": TEXTS}), file)
        path.write_bytes(gzip.compress(file.getvalue()) if packed else file.getvalue())
        return path
    cells = {
        "txt": lambda text: text,
        "tsv": lambda text: f"1\t{text}",
        "csv": lambda text: '1,"' + text.replace('"', '""') + '"',
        "jsonl": lambda text: json.dumps({"said": text, "id": 1}),
        "json": lambda text: json.dumps({"said": text, "id": 1}, ensure_ascii=False) + ",",
    }
    cells["ndjson"] = cells["jsonl"]
    head = {"tsv": ["id\tsaid"], "csv": ["id,said"]}.get(kind, [])
    data = "".join(f"{line}\n" for line in [*head, *map(cells[kind], TEXTS)]).encode()
    data = b"[" + data.rstrip(b",\n") + b"]" if kind == "json" else data
    path.write_bytes(gzip.compress(data) if packed else data)
    return path


@pytest.mark.parametrize("packed", ["", ".gz", ".GZ"])
@pytest.mark.parametrize("kind", ["txt", "TSV", "csv", "jsonl", "ndjson", "Json", "parquet"])
def test_every_kind_gives_the_texts(tmp_path, kind, packed):
    path = written(tmp_path / f"a.b.{kind}{packed}", kind.lower())
    assert list(stream_texts([path, path], column="said")) == TEXTS * 2


def test_line_ends_of_windows_and_a_mark_at_the_beginning(tmp_path):
    (tmp_path / "a.txt").write_bytes("\ufeffone\r\ntwo".encode())
    assert list(stream_texts([tmp_path / "a.txt"])) == ["one", "two"]


def test_a_text_of_several_lines_in_csv(tmp_path):
    (tmp_path / "a.csv").write_text('text\n"one\ntwo"\n')
    assert list(stream_texts([tmp_path / "a.csv"])) == ["one\ntwo"]


def test_null_is_an_empty_text(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": null}\n')
    pq.write_table(pa.table({"text": ["a", None]}), tmp_path / "a.parquet")
    assert list(stream_texts([tmp_path / "a.jsonl", tmp_path / "a.parquet"])) == ["", "a", ""]


def test_the_position_grows_to_the_size_of_all_files(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text("a long enough line of text\n" * 3 * PART)
    paths = [tmp_path / "a.txt", tmp_path / "b.txt"]
    seen: list[int] = []
    assert sum(1 for _ in stream_texts(paths, moved=seen.append)) == 6 * PART
    assert seen == sorted(seen)
    assert len(set(seen)) > 4
    assert seen[-1] == total_bytes(paths)


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("a.doc", b"x", "the kind of .*a.doc was asked of its name; wellread knows files that end in .txt, "),
        ("a.parquet.gz", b"x", "it cannot be read: Not a gzipped file"),
        ("a", b"x", "the kind of .* was asked of its name; wellread knows files that end in .txt"),
        ("a.txt", b"a\n\xff", r"UTF-8 was asked of .*; line 2 is not UTF-8 \(byte 2: invalid start byte\); convert"),
        ("a.txt", b"\xef\xbb\xbf\xff", r"line 1 is not UTF-8 \(byte 3: "),
        ("a.txt.gz", b"plain", "it cannot be read: Not a gzipped file"),
        ("a.txt.gz", gzip.compress(b"many words", mtime=0)[:-9], "it cannot be read: "),
        ("a.tsv", b"", "it holds 0 empty lines and no other; check the file"),
        ("a.tsv", b"id\ttext\n", "it holds no rows; check the file"),
        (
            "a.tsv",
            b"id\ttext\n1\tx\n2\ty\tz\n",
            "of every row of .*; 1 of 2 rows .* line 3; the first has 3: '2 . y . z'",
        ),
        ("a.csv", b'text\n"x\n', "that begins in line 2 cannot be read: unexpected end of data; close the quotation"),
        ("a.jsonl", b'{"text": "a"}\n[1]\n', "a JSON object a line was asked of .*; line 2 is none: it holds a list"),
        ("a.jsonl", b'{"text": 7}\n', "line 1 holds 7; name the column of the texts with column="),
        ("a.jsonl", b'{"text": "x"}\n{"a": "x"}\n', "a column text was asked of line 2 of .*; it has a; "),
        ("a.parquet", b"PAR0", "a Parquet file was asked of .*; it cannot be read: "),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path, name, content, found):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=found):
        list(stream_texts([tmp_path / name]))


def test_a_column_of_numbers_is_no_column_of_texts(tmp_path):
    pq.write_table(pa.table({"text": [1, 2]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="line 1 holds 1; name the column of the texts"):
        list(stream_texts([tmp_path / "a.parquet"]))


def test_files_that_are_not_there_are_named_before_any_is_read(tmp_path):
    (tmp_path / "a.txt").write_text("x\n")
    with pytest.raises(DataError, match="texts were asked of 3 files; found no .*b.txt, .*c.txt; check the paths"):
        total_bytes([tmp_path / "a.txt", tmp_path / "b.txt", tmp_path / "c.txt"])


# -- the column of the texts -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "texts"),
    [
        ("a.csv", b"id,review,stars\n1,good,5\n2,,1\n3,-7,2\n", ["good", "", "-7"]),
        ("a.csv", b"title,text\na,b\n", ["b"]),
        ("a.csv", b"said\n7\n", None),
        ("a.json", b'[{"n": 1, "said": "x", "tags": ["a"]}, {"n": 2, "said": null}]', ["x", ""]),
        ("a.jsonl", b'{"words": ["a", "man"], "text": ["new", "york"]}\n', ["new york"]),
        ("a.conll", b"a\tO\nman\tO\n\nruns\tO\n", ["a man", "runs"]),
    ],
)
def test_a_table_of_one_column_of_texts_needs_no_name_for_it(tmp_path, name, content, texts):
    (tmp_path / name).write_bytes(content)
    if texts is None:
        with pytest.raises(DataError, match="one column of texts was asked of .*; found 0 among said; name one"):
            list(stream_texts([tmp_path / name]))
        assert list(stream_texts([tmp_path / name], column="said")) == ["7"]
    else:
        assert list(stream_texts([str(tmp_path / name)])) == texts


def test_of_parquet_the_columns_of_texts_alone_are_read(tmp_path):
    columns = {"id": [1, 2], "said": pa.array(["a", "b"]).dictionary_encode(), "embedding": [[0.5], [1.0]]}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    form = format_of(tmp_path / "a.parquet")
    assert [row for _, row in read_rows(tmp_path / "a.parquet", form, texts=True)] == [{"said": "a"}, {"said": "b"}]
    assert list(stream_texts([tmp_path / "a.parquet"])) == ["a", "b"]
    with pytest.raises(DataError, match="a column sayd was asked .*; it has said; .* column= .did you mean said"):
        list(stream_texts([tmp_path / "a.parquet"], column="sayd"))


def test_a_known_format_says_kind_and_column(tmp_path):
    (tmp_path / "ratings").write_text('id\tdocument\tlabel\n1\t"good\t1\n')
    assert list(stream_texts([tmp_path / "ratings"], format="nsmc")) == ['"good']
    assert list(stream_texts([tmp_path / "ratings"], kind="tsv", column="label")) == ["1"]


@pytest.mark.parametrize("ending", ["txt", "csv", "jsonl", "json", "parquet"])
def test_memory_does_not_grow_with_a_file(tmp_path, ending):
    """20 times the rows take about the same memory."""
    peaks = []
    for rows in (2_000, 40_000):
        path = tmp_path / f"{rows}.{ending}"
        texts = [f"text number {row}, which is not a short one" for row in range(rows)]
        if ending == "parquet":
            pq.write_table(pa.table({"text": texts}), path, row_group_size=2_000)
        elif ending == "json":
            path.write_text(json.dumps([{"text": text} for text in texts]))
        else:
            cells = {"txt": str, "csv": '"{}"'.format, "jsonl": '{{"text": "{}"}}'.format}[ending]
            path.write_text("".join(f"{cells(text)}\n" for text in (["text"] * (ending == "csv") + texts)))
        del texts
        tracemalloc.start()
        assert sum(1 for _ in stream_texts([path])) == rows
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 2.5 * peaks[0] + 4_000_000
