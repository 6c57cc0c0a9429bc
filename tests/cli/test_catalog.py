"""wellread catalog: the table, its filters, one module whole, and JSON."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from wellread.catalog.modules import entries, entry_named
from wellread.catalog.packaged import packaged_modules
from wellread.cli.catalog import command
from wellread.errors import HandleError

KOREAN = ["distilkobert_cased_L-3_H-768_A-12", "distilkobert_sentence_encoder"]
SHIPPED = f"; beside these, wellread ships {', '.join(packaged_modules())}\n"


def run(*arguments, code=0):
    done = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert done.exit_code == code, done.output
    return done


def listed(*arguments):
    return [json.loads(line)["name"] for line in run("--json", *arguments).stdout.splitlines()]


def test_the_table_has_a_row_for_every_module():
    done = run()
    rows = done.stdout.splitlines()
    assert rows[0].split() == "name family layers x width parameters languages vocabulary where".split()
    assert [row.split()[0] for row in rows[1:]] == [entry.name for entry in entries()]
    assert done.stderr == f"41 of 41 modules{SHIPPED}"


def test_a_row_says_shape_size_languages_and_where():
    rows = {row.split()[0]: " ".join(row.split()[1:]) for row in run().stdout.splitlines()}
    assert rows[KOREAN[0]] == "kobert 3 x 768 27,803,904 ko 8,002 sentencepiece huggingface tfhub archive"
    assert "104 languages" in rows["bert_multi_cased_L-12_H-768_A-12"]


def test_korean_modules_of_at_most_30_million_parameters():
    assert listed("--language", "ko", "--max-parameters", "30M") == KOREAN
    assert run("--language", "ko", "--max-parameters", "30M").stderr == f"2 of 41 modules{SHIPPED}"


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (["--family", "minilm"], 1),
        (["--family", "small_bert"], 24),
        (["--hub", "kaggle"], 24 + 4 + 1),
        (["--world", "kaggle"], 24 + 4 + 1),  # as it was called before
        (["--language", "Korean"], 4 + 3),
        (["--language", "chinese"], 1 + 3),
        (["--min-parameters", "330m"], 4),
        (["--min-parameters", "4_385_920", "--max-parameters", "4.4M"], 1),
        (["--max-parameters", "4385919"], 0),
        (["--max-parameters", "4386k"], 1),
        (["L-12_H-512"], 1),
        (["MINILM"], 1),
        (["jeongukjae"], 3 + 2),
        (["distil", "--language", "en"], 3),
    ],
)
def test_filters(arguments, count):
    assert len(listed(*arguments)) == count


@pytest.mark.parametrize("number", ["30Q", "", "M", "-1", "1e6", "1.5.2", "٣"])
def test_a_bad_number_is_a_usage_error(number):
    done = run("--max-parameters", number, code=2)
    assert f"{number!r} is no number such as 30M, 4.4M, 110k or 1_000_000" in done.stderr


def test_other_choices_are_usage_errors():
    assert "'nobody' is not one of" in run("--family", "nobody", code=2).stderr
    assert "'moon' is not one of" in run("--hub", "moon", code=2).stderr


def test_one_module_is_shown_whole():
    shown = run("https://tfhub.dev/tensorflow/bert_en_uncased_L-12_H-768_A-12/4").stdout
    entry = entry_named("bert_en_uncased_L-12_H-768_A-12")
    assert shown.splitlines()[0] == entry.name
    for one in entry.publications:
        assert f"  {one.handle}" in shown
    for text in (
        entry.note,
        "(or bert-base-uncased)",
        "; dead",
        "takes: list",
        "109,482,240",
        "622,650 more",
        "Apache-2.0",
    ):
        assert text in shown
    assert "preprocessor https://tfhub.dev/tensorflow/bert_en_uncased_preprocess/3" in shown


def test_scores_are_shown_with_their_source():
    shown = run("distilkobert_sentence_encoder").stdout
    assert "  KorSTS test, Spearman: 83.12  (its page on TF Hub)" in shown
    assert "masked-language-model head: none published" in shown
    assert "licence         not known" in shown
    assert "scores: none that wellread knows" in run("bert_en_uncased_L-12_H-512_A-8").stdout


def test_json_holds_the_whole_entry():
    (line,) = run("--json", "monologg/distilkobert").stdout.splitlines()
    facts = json.loads(line)
    assert (facts["name"], facts["parameters"], facts["pooler"]) == (KOREAN[0], 27_803_904, "first_token")
    assert facts["vocabulary"]["pieces"] == 8002
    assert facts["publications"][0]["handle"] == "monologg/distilkobert"
    assert facts["scores"][0] == {
        "task": "NSMC",
        "metric": "accuracy",
        "value": 88.41,
        "source": "monologg/DistilKoBERT, README",
    }


def test_an_unknown_word_is_told_the_nearest():
    with pytest.raises(HandleError, match=r"of its 41 modules none has it; .*\(did you mean kobert\?\)"):
        run("koberd")


def test_filters_that_leave_nothing_are_no_error():
    done = run("kobert", "--json")
    assert len(done.stdout.splitlines()) == 1
    done = run("distil", "--max-parameters", "1")
    assert len(done.stdout.splitlines()) == 1
    small = "the smallest module has 4,385,920 parameters, over 1: write 30M for 30 millions\n"
    assert done.stderr == f"0 of 41 modules{SHIPPED}{small}"
    assert run("distil", "--max-parameters", "1", "--json").stdout == ""


@pytest.mark.parametrize(
    ("language", "near"), [("Koraen", " (did you mean Korean?)"), ("Klingon", ""), ("xx", ""), ("KR", "")]
)
def test_an_unknown_language_is_told_how_languages_are_named(language, near):
    done = run("--language", language)
    hint = f"no module is of the language {language}: name one in English, or by its tag, such as Korean or ko"
    assert done.stderr == f"0 of 41 modules{SHIPPED}{hint}{near}\n"
