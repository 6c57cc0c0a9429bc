"""TF Hub's rules cut texts as the differences from Hugging Face's demand."""

import sys
import unicodedata
from itertools import pairwise
from pathlib import Path
from subprocess import run

import pytest

from wellread.text import wordpiece as words
from wellread.text.wordpiece import TfHubRules, hf_ascii_rules


@pytest.mark.parametrize(
    ("text", "uncased", "cased"),
    [
        ("a\u0097b", ["a", "b"], ["a", "b"]),  # a control character splits
        ("a\u200bb\u00adc", ["abc"], ["a", "b", "c"]),  # format characters are folded away, or split
        ("…", [".", ".", "."], ["…"]),
        ("™½²ﬁＡ", ["tm1⁄22fia"], ["™½²ﬁＡ"]),
        ("Maß ὀδύσσευς", ["mass", "οδυσσευσ"], ["Maß", "ὀδύσσευς"]),
        ("a\u00a0b\u3000c", ["a", "b", "c"], ["a\u00a0b\u3000c"]),  # \s of RE2 is ASCII
        ("a[MASK]", ["a", "[", "mask", "]"], ["a", "[", "MASK", "]"]),
        ("a\ufffd\0b", ["a\ufffd", "b"], ["a\ufffd", "b"]),
        ("中文かな한국", ["中", "文", "かな한국"], ["中", "文", "かな한국"]),
        ("e\u0301\u0323É", ["ee"], ["e\u0301\u0323É"]),
        ("a$b+c«d»", ["a", "$", "b", "+", "c", "«", "d", "»"], ["a", "$", "b", "+", "c", "«", "d", "»"]),
    ],
)
def test_words_of_both_cases(text: str, uncased: list[str], cased: list[str]) -> None:
    hangul_apart = [unicodedata.normalize("NFD", word) for word in uncased]
    assert [word for word in TfHubRules(lower_case=True).cut(text).split(" ") if word] == hangul_apart
    assert [word for word in TfHubRules(lower_case=False).cut(text).split(" ") if word] == cased


def test_hangul_decomposes_as_unicode_says() -> None:
    rules = TfHubRules(lower_case=True)
    wrong = [code for code in range(0xAC00, 0xD7A4) if rules[code] != unicodedata.normalize("NFD", chr(code))]
    assert wrong == []


@pytest.mark.parametrize(
    ("word", "hidden"),
    [("é" * 50, False), ("é" * 51, True), ("𝕏" * 25, False), ("𝕏" * 26, True), ("a" * 98 + "é", False)],
)
def test_words_of_over_100_bytes_are_hidden(word: str, hidden: bool) -> None:
    expected = "\0" * len(word) if hidden else word
    assert TfHubRules(lower_case=False).cut(f"a {word} b") == f"a {expected} b"


def test_sources_lead_back_to_the_text() -> None:
    rules = TfHubRules(lower_case=True)
    text = "É, ½\u0301한"
    sources = rules.sources(text)
    assert rules.cut(text) == "e ,  1⁄2\u1112\u1161\u11ab"
    assert sources.tolist() == [0, 1, 1, 1, 2, 3, 3, 3, 5, 5, 5]


def test_ascii_rules_of_hugging_face() -> None:
    lower, kept = hf_ascii_rules(lower_case=True), hf_ascii_rules(lower_case=False)
    assert "A\tb\x0bC\x7f.".translate(lower) == "a bc . "
    assert "A\tb\x0bC\x7f.".translate(kept) == "A bC . "
    assert len(lower) == len(kept) == 128


def test_english_reads_no_table() -> None:
    code = (
        "from wellread.text import wordpiece as words\n"
        "rules = words.TfHubRules(lower_case=True)\n"
        "rules.cut(''.join(map(chr, range(128))))\n"
        "assert words.table.cache_info().currsize == 0\n"
        "rules.cut('é')\n"
        "assert words.table.cache_info().currsize == 1, words._table.cache_info()"
    )
    run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(Path(words.__file__).parents[2])})


@pytest.mark.parametrize("name", ["fold", "words"])
def test_tables_are_in_order_and_without_overlap(name: str) -> None:
    runs = words.table(name)
    assert all(run.first <= run.last for run in runs)
    assert all(before.last < after.first for before, after in pairwise(runs))
