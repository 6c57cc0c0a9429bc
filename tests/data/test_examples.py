"""Examples from files of every known format (excerpts made by hand), and from Python."""

from __future__ import annotations

import csv
import io
import json
import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wellread.data.examples import Answer, LabelMap, as_examples, read_examples, read_texts, take_examples
from wellread.data.formats import formats
from wellread.errors import DataError

NSMC = 'id\tdocument\tlabel\n1\t"""진짜 좋다\t1\n2\t\t0\n3\t그냥 "그럭저럭\t0\n4\t끝"\t1\n'
STS = "main-news\tMSR\t2012\t7\t{}\t{}\t{}\n"
FILES = {  # the file; texts, pairs, and labels, scores or tags of the first example
    "nsmc": (NSMC, '"""진짜 좋다', None, "1"),
    "kornli": (
        "sentence1\tsentence2\tgold_label\n비가 온다.\t날이 맑다.\tcontradiction\n",
        "비가 온다.",
        "날이 맑다.",
        "contradiction",
    ),
    "xnli-ko": (
        "sentence1\tsentence2\tgold_label\n그는 잔다.\t그는 쉰다.\tneutral\n",
        "그는 잔다.",
        "그는 쉰다.",
        "neutral",
    ),
    "korsts": (
        "genre\tfilename\tyear\tid\tscore\tsentence1\tsentence2\n" + STS.format("4.2", "가", "나"),
        "가",
        "나",
        4.2,
    ),
    "stsb": (STS.format("5.000", 'He said "no.', "b\tsource\tsource"), 'He said "no.', "b", 5.0),
    "klue-ner": (
        "## 주석 : ##\n## id\t<서울:LC> 1\n서\tB-LC\n울\tI-LC\n \tO\n1\tO\n",
        "서울 1",
        None,
        ["B-LC", "I-LC", "O", "O"],
    ),
    "conll2003": ("-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\nsaid VBD B-VP O\n", "EU said", None, ["B-ORG", "O"]),
    "parakqc": ("0\t3\t메일을 지워줘\r\n1\t0\t비가 올까?\r\n", "메일을 지워줘", None, "3"),
    "3i4k": ("6\t글쎄\r\n0\t연두색\r\n", "글쎄", None, "6"),
    "chatbot-ko": ('Q,A,label\r\n안녕?,"네, 안녕하세요",0\r\n슬퍼,힘내요,1 \r\n', "안녕?", None, "0"),
    "hate-speech-ko": ("comments\tcontain_gender_bias\tbias\thate\n좋다\tFalse\tnone\tnone\n", "좋다", None, "none"),
    "cola": ("gj04\t0\t*\tHim left.\n", "Him left.", None, "0"),
    "sst2": ("sentence\tlabel\na charming film \t1\n", "a charming film ", None, "1"),
    "mrpc": (
        '\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\r\n1\t7\t8\tIt fell.\tIt "fell".\r\n',
        "It fell.",
        'It "fell".',
        "1",
    ),
    "qqp": ("id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n0\t1\t2\tWhy?\tWhat?\t0\n", "Why?", "What?", "0"),
    "glue-stsb": (
        "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n"
        "0\ta\tb\tc\t0\tx\ty\tA plane.\tA jet.\t3.5\n",
        "A plane.",
        "A jet.",
        3.5,
    ),
    "mnli": (
        "index\tgenre\tsentence1\tsentence2\tgold_label\n0\tfiction\tHe ran.\tHe moved.\tentailment\n",
        "He ran.",
        "He moved.",
        "entailment",
    ),
    "qnli": (
        "index\tquestion\tsentence\tlabel\n0\tWho?\tHe did.\tnot_entailment\n",
        "Who?",
        "He did.",
        "not_entailment",
    ),
    "rte": (
        "index\tsentence1\tsentence2\tlabel\n0\tIt rained.\tIt was wet.\tentailment\n",
        "It rained.",
        "It was wet.",
        "entailment",
    ),
    "wnli": (
        "index\tsentence1\tsentence2\tlabel\n0\tIt broke.\tThe cup broke.\t1\n",
        "It broke.",
        "The cup broke.",
        "1",
    ),
}
SQUAD = {
    "data": [
        {
            "paragraphs": [
                {
                    "context": "한강은 길다.",
                    "qas": [
                        {"id": "q1", "question": "무엇이?", "answers": [{"text": "한강", "answer_start": 0}]},
                        {"id": "q2", "question": "왜?", "answers": []},
                    ],
                }
            ]
        }
    ]
}


def written(directory, name, text):
    path = directory / name
    path.write_bytes(text.encode())
    return path


def test_a_path_may_be_a_str_and_examples_of_any_form_are_taken(tmp_path):
    path = written(tmp_path, "a.csv", "text,label\na,1\n")
    for given in (str(path), path, read_examples(str(path)), [{"text": "a", "label": 1}]):
        found = as_examples(given)
        assert (found.texts, found.labels) == (["a"], ["1"])


@pytest.mark.parametrize("name", FILES)
def test_a_known_format_is_read(tmp_path, name):
    text, first, second, answer = FILES[name]
    found = read_examples(written(tmp_path, "data", text), format=name)
    assert found.texts[0] == first
    assert (found.pairs or [None])[0] == second
    assert (found.labels or found.scores or found.tags)[0] == answer


def test_every_format_is_tested():
    assert {*FILES, "squad", "korquad"} == set(formats())


def test_nsmc_keeps_rows_that_quoting_would_lose(tmp_path):
    found = read_examples(written(tmp_path, "dev.tsv", NSMC), format="nsmc")
    assert found.texts == ['"""진짜 좋다', "", '그냥 "그럭저럭', '끝"']
    assert (found.ids, found.labels, list(found.lines)) == (list("1234"), list("1001"), [2, 3, 4, 5])
    assert len(found) == 4 > len(list(csv.DictReader(io.StringIO(NSMC), delimiter="\t")))


@pytest.mark.parametrize("name", ["squad", "korquad"])
def test_questions_contexts_and_answers(tmp_path, name):
    found = read_examples(written(tmp_path, "a.json", json.dumps(SQUAD)), format=name)
    assert (found.texts, found.pairs) == (["무엇이?", "왜?"], ["한강은 길다."] * 2)
    assert found.answers == [[Answer(text="한강", start=0)], []]
    assert found.ids == ["q1", "q2"]


def test_tags_come_with_the_places_of_their_tokens(tmp_path):
    found = read_examples(written(tmp_path, "a.conll", "New B-LC\nYork I-LC\n\n부산 B-LC\n"))
    assert found.texts == ["New York", "부산"]
    assert found.spans == [[(0, 3), (4, 8)], [(0, 2)]]
    characters = read_examples(written(tmp_path, "b.tsv", FILES["klue-ner"][0]), format="klue-ner")
    assert [characters.texts[0][a:b] for a, b in characters.spans[0]] == list("서울 1")


def test_columns_are_named_by_the_caller(tmp_path):
    path = written(tmp_path, "a.tsv", "x\ty\tz\nhello\tworld\t1\n")
    found = read_examples(path, text="y", pair="x", label="z")
    assert (found.texts, found.pairs, found.labels) == (["world"], ["hello"], ["1"])
    assert found.scores is found.tags is found.ids is None


def test_a_named_column_goes_before_the_format_s(tmp_path):
    text = "comments\tcontain_gender_bias\tbias\thate\n좋다\tFalse\tgender\tnone\n"
    found = read_examples(written(tmp_path, "a.tsv", text), format="hate-speech-ko", label="bias")
    assert found.labels == ["gender"]  # and the format's labels are no longer asked for


def test_the_kind_may_be_named(tmp_path):
    assert read_examples(written(tmp_path, "a.csv", "text\tscore\na, b\t1\n"), kind="tsv", score="score").scores == [
        1.0
    ]


def test_json_lines_parquet_and_python_agree(tmp_path):
    rows = [
        {"text": "a", "y": 1, "s": 0.5, "answers": {"text": ["a"], "answer_start": [0]}},
        {"text": "b", "y": 0, "s": 2, "answers": {"text": [], "answer_start": []}},
    ]
    roles = {"label": "y", "score": "s", "answers": "answers"}
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    lines = written(tmp_path, "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    taken = take_examples(iter(rows), **roles)
    for found in (read_examples(lines, **roles), read_examples(tmp_path / "a.parquet", **roles), taken):
        assert (found.texts, found.labels, found.scores) == (["a", "b"], ["1", "0"], [0.5, 2.0])
        assert found.answers == [[Answer(text="a", start=0)], []]


def test_tokens_in_python():
    found = take_examples([{"words": ["새", "집"], "ner": ["O", "B-LC"]}], text="words", tags="ner", joiner="")
    assert (found.texts, found.tags, found.spans) == (["새집"], [["O", "B-LC"]], [[(0, 1), (1, 2)]])


@pytest.mark.parametrize(
    ("rows", "roles", "message"),
    [
        ([], {}, "examples were asked of the given rows; it holds no rows; check the file"),
        (
            [{"txt": "a"}],
            {},
            r"a column text was asked of the given rows; it has txt; name one of them with text= \(did you",
        ),
        (
            [{"text": "a"}, {"text": None}],
            {},
            "a text was asked of the column text of .*; 1 of 2 rows have none, line 2",
        ),
        ([{"text": 3}], {}, "a text was asked"),
        (
            [{"text": "a", "y": None}],
            {"label": "y"},
            "a label was asked of the column y of .*; 1 of 1 rows have none, line 1",
        ),
        ([{"text": "a", "y": math.nan}, {"text": "a", "y": " "}], {"label": "y"}, "2 of 2 rows have none"),
        (
            [{"text": "a", "y": "x"}],
            {"score": "y"},
            "a number was asked of the column y .* line 1; mend them, or name another",
        ),
        ([{"text": "a", "y": math.inf}], {"score": "y"}, "a number was asked"),
        ([{"text": "a", "y": None}], {"score": "y"}, "a number was asked"),
        ([{"text": ["a"], "t": ["O", "O"]}], {"tags": "t"}, "as many tokens as tags were asked of the columns text, t"),
        ([{"text": "a", "t": ["O"]}], {"tags": "t"}, "lists of as many tokens as tags"),
        ([{"text": "a", "t": 3}], {"answers": "t"}, "answers with text and answer_start were asked of the column t"),
        ([{"text": "a", "t": [{"text": "a"}]}], {"answers": "t"}, "answers with text and answer_start"),
        (
            [{"text": "?", "c": "abc", "t": [{"text": "b", "answer_start": 0}]}],
            {"answers": "t", "pair": "c"},
            "answers that stand at answer_start in their context were asked of .*; 1 of 1 rows have none, line 1; mend",
        ),
        ([{"text": "a"}], {"lable": "y"}, r"columns were named for lable; .*did you mean label"),
    ],
)
def test_bad_rows_are_refused(rows, roles, message):
    with pytest.raises(DataError, match=message):
        take_examples(rows, **roles)


def test_labels_that_are_not_known_are_refused(tmp_path):
    path = written(tmp_path, "a.tsv", NSMC + "5\t글\t2\n")
    with pytest.raises(
        DataError, match="the labels 0, 1 were asked of the column label of .*; 1 of 5 are others, line 6: '2'"
    ):
        read_examples(path, format="nsmc")
    assert read_examples(path, format="nsmc", labels=("0", "1", "2")).labels[-1] == "2"


def test_spaces_around_a_label_are_no_part_of_it(tmp_path):
    assert read_examples(written(tmp_path, "a.csv", FILES["chatbot-ko"][0]), format="chatbot-ko").labels == ["0", "1"]


SHARES = [
    {"text": "a", "y": {"no": 3, "yes": 1}},
    {"text": "b", "y": "yes"},
    {"text": "c", "y": {"yes": 0.2, "no": None}},
]


def test_labels_may_be_shares_of_several(tmp_path):
    """Counts and probabilities are shares, and a label alone has the whole; Parquet says null where there is none."""
    examples = take_examples(SHARES, label="y")
    assert examples.soft_labels == [{"no": 0.75, "yes": 0.25}, {"yes": 1.0}, {"yes": 1.0}]
    assert examples.labels == ["no", "yes", "yes"]
    pq.write_table(pa.Table.from_pylist([SHARES[0], SHARES[2]]), tmp_path / "a.parquet")
    assert read_examples(tmp_path / "a.parquet", label="y").soft_labels == examples.part([0, 2]).soft_labels
    assert take_examples(SHARES[1:2], label="y").soft_labels is None


@pytest.mark.parametrize(
    "share",
    [
        {"no": -1, "yes": 2},
        {"no": 0},
        {},
        {"no": math.nan},
        {"no": "much"},
        None,
        {"": 1},
        {"no": 10**400},
        {"no": 1, "no ": 1},
    ],
)
def test_shares_that_are_none_are_refused(share):
    with pytest.raises(
        DataError, match="or the share of each label .*, was asked of the column y .* line 2; mend them"
    ):
        take_examples([SHARES[0], {"text": "b", "y": share}], label="y")


def test_shares_of_labels_that_are_not_known_are_refused(tmp_path):
    rows = [{"document": "글", "label": {"0": 0.5, "1": 0.5}}, {"document": "글", "label": {"0": 0.5, "2": 0.5}}]
    path = written(tmp_path, "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(DataError, match="the labels 0, 1 were asked of the column label of .* line 2: '2'"):
        read_examples(path, text="document", label="label", labels=("0", "1"))


def test_a_parquet_without_the_column_is_refused(tmp_path):
    pq.write_table(pa.table({"sentence": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(
        DataError, match=r"a column sentences was asked of .*a.parquet; it has sentence; .*did you mean sentence"
    ):
        read_examples(tmp_path / "a.parquet", text="sentences")


def test_texts_without_labels(tmp_path):
    (tmp_path / "a.tsv").write_text("document\tmore\n좋다\t나쁘다\n\t\n", "utf-8")
    found = read_texts(tmp_path / "a.tsv", format="nsmc", pair="more")
    assert (found.texts, found.pairs, found.labels, found.spans) == (["좋다", ""], ["나쁘다", ""], None, None)
    (tmp_path / "a.jsonl").write_text('{"words": ["a", "man"]}\n{"words": []}\n')
    found = read_texts(tmp_path / "a.jsonl", text="words")
    assert (found.texts, found.spans, found.tags) == (["a man", ""], [[(0, 1), (2, 5)], []], None)
    (tmp_path / "a.json").write_text(
        '{"data": [{"paragraphs": [{"context": "c", "qas": [{"id": "1", "question": "q", "answers": []}]}]}]}'
    )
    found = read_texts(tmp_path / "a.json")
    assert (found.texts, found.pairs, found.answers) == (["q"], ["c"], None)
    with pytest.raises(DataError, match="a column txt was asked of"):
        read_texts(tmp_path / "a.jsonl", text="txt")


def test_columns_are_taken_for_what_their_names_say_where_none_is_named(tmp_path):
    path = tmp_path / "rows.tsv"
    path.write_text("text\tpair\tlabel\tscore\na\tb\tyes\t1.5\n", "utf-8")
    found = read_examples(path)
    assert (found.pairs, found.labels, found.scores) == (["b"], ["yes"], [1.5])
    found = read_examples(path, text="pair", label="label")
    assert (found.texts, found.pairs, found.labels, found.scores) == (["b"], None, ["yes"], None)
    assert take_examples([{"text": "a", "label": "no"}]).labels == ["no"]


# -- labels ---------------------------------------------------------------------------------------------------------


def test_the_order_is_that_of_numbers_or_letters():
    assert LabelMap.of(["b", "10", "9", "b"]).names == ("10", "9", "b")
    assert LabelMap.of(["10", "-1", "9"]).names == ("-1", "9", "10")


def test_a_map_comes_back_as_it_was_saved(tmp_path):
    labels = LabelMap(names=("긍정", "부정"))
    labels.save(tmp_path / "labels.json")
    assert LabelMap.read(tmp_path / "labels.json") == labels
    assert "긍정" in (tmp_path / "labels.json").read_text("utf-8")


def test_a_map_refuses_labels_that_it_does_not_know():
    known = LabelMap(names=("entailment", "neutral"))
    with pytest.raises(
        DataError,
        match=r"the labels entailment, neutral were asked of the labels; 2 of 3 are others, lines 1, 3: "
        r"'entailmnt', 'x' \(did you mean entailment\?\); mend them, or name all labels",
    ):
        known.ids(["entailmnt", "neutral", "x"])
    with pytest.raises(DataError, match="asked of a.tsv; 1 of 1 are others, line 12: 'x'; mend"):
        known.ids(["x"], source="a.tsv", lines=[12])


@pytest.mark.parametrize("names", [(), ("a", "a")])
def test_a_map_without_labels_or_with_one_twice_is_refused(names):
    with pytest.raises(DataError, match="a label map takes labels that differ; found"):
        LabelMap(names=names)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "a label map was asked of .*; it cannot be read"),
        ('{"labels": [0, 1]}', r"a list of labels was asked of .*; found \[0, 1\]; save it anew"),
        ("{}", "found None"),
    ],
)
def test_bad_maps_are_refused(tmp_path, text, message):
    (tmp_path / "labels.json").write_text(text)
    with pytest.raises(DataError, match=message):
        LabelMap.read(tmp_path / "labels.json")


def test_a_missing_map_is_refused(tmp_path):
    with pytest.raises(DataError, match="it cannot be read: .*No such file"):
        LabelMap.read(tmp_path / "none.json")


# -- sets of labels ----------------------------------------------------------------------------------------------------


def test_sets_of_labels_are_lists_or_stand_between_commas(tmp_path):
    (tmp_path / "a.csv").write_text('text,kinds\na,"toxic, insult"\nb,\nc,toxic\n')
    found = read_examples(tmp_path / "a.csv", label_set="kinds")
    assert found.label_sets == [["toxic", "insult"], [], ["toxic"]]
    assert found.labels is None
    rows = [{"text": "a", "labels": [3, 7]}, {"text": "b", "labels": []}]
    assert take_examples(rows).label_sets == [["3", "7"], []]
    assert take_examples(rows).columns["label_set"] == "labels"
    assert take_examples([{"text": "a", "label": ["x", "x"]}], label="label").label_sets == [["x"]]
    assert take_examples([{"text": "a", "label_set": None}, {"text": "b", "label_set": "x"}]).label_sets == [[], ["x"]]
    assert found.part([2]).label_sets == [["toxic"]]


def test_sets_of_labels_that_are_none_are_refused():
    with pytest.raises(
        DataError, match="a list of labels, or labels with commas, was asked of the column y of the given"
    ):
        take_examples([{"text": "a", "y": 7}], label_set="y")
    with pytest.raises(
        DataError, match=r"the labels a, b were asked of the column y .*; 1 of 2 are others, line 2: 'c'"
    ):
        take_examples([{"text": "a", "y": "a"}, {"text": "b", "y": ["c"]}], label_set="y", labels=["a", "b"])
