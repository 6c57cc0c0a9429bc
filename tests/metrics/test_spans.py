"""Answers by the rules of SQuAD and KorQuAD, by hand."""

from __future__ import annotations

import pytest

from wellread.errors import DataError
from wellread.metrics.spans import RULES, normalize, score_spans, span_f1


@pytest.mark.parametrize(
    ("text", "squad", "korquad"),
    [
        ("An apple, a day", "apple day", "an apple a day"),
        ("Theatre", "theatre", "theatre"),
        ("the-end", "theend", "theend"),  # punctuation goes before articles do
        ("(1)", "1", "1"),
        ("a(b)c", "abc", "a b c"),  # KorQuAD's brackets become spaces
        ("〈춘향전〉의 '이몽룡'", "〈춘향전〉의 이몽룡", "춘향전 의 이몽룡"),
        ("  두\t칸  ", "두 칸", "두 칸"),
        ("‘꿈’ “꿈”", "‘꿈’ “꿈”", "꿈 “꿈”"),
    ],
)
def test_normalize(text, squad, korquad):
    assert normalize(text, RULES["squad"]) == squad
    assert normalize(text, RULES["korquad"]) == korquad


@pytest.mark.parametrize(
    ("predicted", "true", "squad", "korquad"),
    [
        ("서울 특별시", "서울특별시", 0.0, 1.0),  # words differ, characters do not
        ("서울시에서", "서울시", 0.0, 2 * 3 / (5 + 3)),
        ("the cat sat", "a cat", 2 / 3, 2 * 4 / (9 + 4)),  # a, c, a, t: a stands twice on both sides
        ("cat cat", "cat", 2 / 3, 2 * 3 / (6 + 3)),
        ("", "cat", 0.0, 0.0),
        ("the", "", 1.0, 0.0),
        ("", "", 1.0, 0.0),
    ],
)
def test_f1(predicted, true, squad, korquad):
    assert span_f1(predicted, true, RULES["squad"]) == pytest.approx(squad)
    assert span_f1(predicted, true, RULES["korquad"]) == pytest.approx(korquad)


def test_the_best_answer_counts():
    exact, f1 = score_spans(["in 1999", "The Rhine"], [["1999", "in the 1999"], ["Danube", "Rhine river"]])
    assert exact.tolist() == [1.0, 0.0]
    assert f1.tolist() == [1.0, pytest.approx(2 / 3)]


def test_a_question_without_answers_is_answered_by_nothing():
    exact, f1 = score_spans(["", "x"], [[], ["the"]])
    assert exact.tolist() == [1.0, 0.0]
    assert f1.tolist() == [1.0, 0.0]


def test_korquad_is_chosen_by_name():
    _, f1 = score_spans(["한강은"], [["한강"]], rules="korquad")
    assert f1.tolist() == [pytest.approx(0.8)]


def test_wrong_rules_and_counts_are_refused():
    with pytest.raises(DataError, match=r"'korqad' .* there are squad, korquad; name one \(did you mean korquad\?\)"):
        score_spans(["a"], [["a"]], rules="korqad")
    with pytest.raises(DataError, match="an answer for every question; found 1 for 2; match them"):
        score_spans(["a"], [["a"], ["b"]])
    with pytest.raises(DataError, match="found 0 for 0"):
        score_spans([], [])
