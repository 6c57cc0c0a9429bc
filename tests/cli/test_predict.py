"""wellread predict, run as a person runs it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from heads import headed_module
from verbs import run_verb

import wellread

TEXTS = ["a man", "the cat sleeps", "paris"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    made = {}

    def of(task):
        if task not in made:
            place = tmp_path_factory.mktemp(task)
            headed_module(place / "files", task).save(place / "module")
            made[task] = place / "module"
        return made[task]

    return of


def run(model, *arguments, given="", code=0):
    return run_verb("predict", "-m", model, "--backend", "numpy", *arguments, given=given, code=code)


def predict(model, *arguments, **options):
    return wellread.load(model, backend="numpy").predict(*arguments, **options)


def test_arguments_stdin_and_a_file_agree(saved, tmp_path):
    model = saved("classify")
    expected = [f"{found.label}\t{found.score:.4f}" for found in predict(model, TEXTS)]
    (tmp_path / "texts.txt").write_text("".join(f"{text}\n" for text in TEXTS))
    assert run(model, *TEXTS).splitlines() == expected
    assert run(model, given="\n".join(TEXTS)).splitlines() == expected
    assert run(model, tmp_path / "texts.txt").splitlines() == expected


def test_columns_json_and_a_file_of_lines(saved, tmp_path):
    model = saved("pair")
    (tmp_path / "a.csv").write_text("a,b\n" + "".join(f"{text},of\n" for text in TEXTS))
    lines = [
        json.loads(line) for line in run(model, tmp_path / "a.csv", "--text", "a", "--pair", "b", "--json").splitlines()
    ]
    expected = predict(model, TEXTS, ["of"] * 3)
    assert [(line["input"], line["label"]) for line in lines] == [
        (text, found.label) for text, found in zip(TEXTS, expected, strict=True)
    ]
    assert lines[0]["scores"] == pytest.approx(expected[0].scores)
    assert run(model, tmp_path / "a.csv", "--text", "a", "--pair", "b", "-o", tmp_path / "out.jsonl") == ""
    assert [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()] == lines
    assert [json.loads(line) for line in run(model, *TEXTS, "--second", "of", "--json").splitlines()] == lines


def test_a_file_of_a_known_ending_is_read_by_columns_without_more(saved, tmp_path):
    (tmp_path / "a.jsonl").write_text("".join(f'{{"text": "{text}"}}\n' for text in TEXTS))
    assert run(saved("classify"), tmp_path / "a.jsonl") == run(saved("classify"), *TEXTS)


def test_the_columns_that_a_module_was_fine_tuned_on_are_remembered(tmp_path):
    """They are taken where they are there and no others are named."""
    module = headed_module(tmp_path / "files", "pair")
    module.provenance = {"columns": {"text": "a", "pair": "b", "label": "l"}}
    module.save(tmp_path / "module")
    (tmp_path / "a.csv").write_text("c,b,a\n" + "".join(f"x,of,{text}\n" for text in TEXTS))
    said = run(tmp_path / "module", tmp_path / "a.csv")
    assert said == run(tmp_path / "module", tmp_path / "a.csv", "--text", "a", "--pair", "b")
    assert run(tmp_path / "module", tmp_path / "a.csv", "--text", "c", "--pair", "b") != said
    (tmp_path / "b.csv").write_text("text,pair\n" + "".join(f"{text},of\n" for text in TEXTS))
    assert run(tmp_path / "module", tmp_path / "b.csv") == said


def test_scores(saved):
    value = predict(saved("similarity"), "a man", "the cat")
    assert run(saved("similarity"), "a man", "--second", "the cat") == f"{value:.4f}\n"
    line = json.loads(run(saved("similarity"), "a man", "--second", "the cat", "--json"))
    assert line == {"input": "a man", "score": pytest.approx(float(value))}


def test_tags_of_words_and_of_the_tokens_of_a_file(saved, tmp_path):
    found = predict(saved("tag"), "paris france")
    printed = run(saved("tag"), "paris france").rstrip("\n")
    assert printed == "\t".join(f"{one.entity}={one.text}" for one in found.entities)
    (tmp_path / "a.conll").write_text("par\tO\nis\tO\n")
    line = json.loads(run(saved("tag"), tmp_path / "a.conll", "--format", "klue-ner", "--json"))
    assert (line["tokens"], len(line["tags"])) == ([[0, 3], [3, 5]], 2)
    assert run(saved("classify"), tmp_path / "a.conll", "--format", "klue-ner") == run(saved("classify"), "paris")


def test_answers(saved):
    found = predict(saved("answer"), "a ?", "a woman runs", top_k=2)
    printed = run(saved("answer"), "a ?", "--second", "a woman runs", "--top-k", "2")
    assert printed == "".join(f"{one.text}\t{one.score:.4f}\n" for one in (found, *found.others))
    line = json.loads(run(saved("answer"), "a ?", "--second", "a woman runs", "--json"))
    assert (line["question"], line["text"], line["others"]) == ("a ?", found.text, [])
    assert "null_threshold" in run(saved("classify"), "a", "--null-threshold", "0", code=3)


def test_a_module_without_a_head_is_exit_3(tmp_path):
    from tiny import tiny_module

    tiny_module(tmp_path / "files").save(tmp_path / "module")
    assert "this module has no head of a task; fine-tune it" in run(tmp_path / "module", "a", code=3)


def test_several_files_and_standard_input(saved, tmp_path):
    model = saved("pair")
    (tmp_path / "a.csv").write_text("text,pair\na man,of\n")
    (tmp_path / "b.ndjson").write_text('{"pair": "paris", "text": "the cat"}\n')
    expected = run(model, "a man", "--second", "of") + run(model, "the cat", "--second", "paris")
    assert run(model, tmp_path / "a.csv", tmp_path / "b.ndjson") == expected
    assert run(model, "-", "--kind", "csv", given="text,pair\na man,of\nthe cat,paris\n") == expected
    (tmp_path / "c.csv").write_text("n,review\n1,a man\n2,the cat\n")
    assert run(saved("classify"), tmp_path / "c.csv") == run(saved("classify"), "a man", "the cat")
    assert run(saved("classify"), given="") == ""


def test_columns_of_no_file_are_exit_2(saved, tmp_path):
    for arguments in (("a", "b", "--text", "a"), ("a", "--text", "a", "--second", "b")):
        assert "are for files, without --second" in run(saved("classify"), *arguments, code=2)
    (tmp_path / "a.csv").write_text("text,pair\na man,of\n")
    assert "found a column pair" in run(saved("pair"), tmp_path / "a.csv", "--second", "b", code=2)


def test_a_place_that_cannot_be_written_is_exit_3_and_leaves_nothing(saved, tmp_path):
    message = run(saved("classify"), "a", "-o", tmp_path / "missing" / "a.jsonl", code=3)
    assert "missing/a.jsonl; found that there is no directory" in message
    assert list(tmp_path.iterdir()) == []


def test_numbers_and_several_labels(saved, tmp_path):
    model = saved("multilabel")
    found = predict(model, TEXTS, threshold=0.2)
    assert run(model, *TEXTS, "--threshold", 0.2).splitlines() == [str(one) for one in found]
    assert any(len(one.labels) > 1 for one in found)
    line = json.loads(run(model, *TEXTS, "--json").splitlines()[0])
    assert line["scores"] == pytest.approx(found[0].scores)
    assert set(line["labels"]) <= set(found[0].scores)
    scores = predict(saved("score"), TEXTS)
    assert run(saved("score"), *TEXTS).splitlines() == [f"{score:.4f}" for score in scores]
    squashed = [
        json.loads(line)["score"]
        for line in run(saved("score"), *TEXTS, "--activation", "sigmoid", "--json").splitlines()
    ]
    assert squashed == pytest.approx(1 / (1 + np.exp(-scores)), abs=1e-6)
    message = "the activation 'sigmod' was asked for; scores go through one of identity, sigmoid, tanh, relu, softplus"
    assert message in run(saved("score"), "a", "--activation", "sigmod", code=3)
    assert "threshold is a probability, 0 to 1; found 2.0" in run(model, "a", "--threshold", 2, code=3)


def test_a_head_of_several_outputs_gives_a_number_for_each(tmp_path):
    module = headed_module(tmp_path / "files", "rank", labels=("valence", "arousal"))
    module.save(tmp_path / "module")
    expected = predict(tmp_path / "module", TEXTS, ["of"] * 3)
    assert expected.shape == (3, 2)
    lines = run(tmp_path / "module", *TEXTS, "--second", "of").splitlines()
    assert lines == ["\t".join(f"{number:.4f}" for number in row) for row in expected]
    line = json.loads(run(tmp_path / "module", TEXTS[0], "--second", "of", "--json"))
    assert line["scores"] == pytest.approx({"valence": expected[0][0], "arousal": expected[0][1]})
