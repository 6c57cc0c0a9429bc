"""lay_out: what it warns of and refuses; that it lays out as transformers does is shown in tests/parity."""

import pytest

from wellread.compat.encoding import Layout, lay_out
from wellread.errors import InputError, MissingExtra, TruncationWarning
from wellread.text.vocabulary import SpecialTokens

SPECIAL = SpecialTokens(unk=0, pad=1, cls=2, sep=3, mask=4)
ROWS = [[5, 6, 7], [8], []]


def laid_out(first, second=None, **options):
    return lay_out(first, second, Layout(**options), special=SPECIAL, max_length=9)


def test_rows_stay_ragged_unless_padding_is_asked_for():
    assert laid_out(ROWS)["input_ids"] == [[2, 5, 6, 7, 3], [2, 8, 3], [2, 3]]
    assert laid_out(ROWS, padding=True)["input_ids"] == [[2, 5, 6, 7, 3], [2, 8, 3, 1, 1], [2, 3, 1, 1, 1]]


def test_no_rows_are_laid_out_as_none():
    assert laid_out([], padding=True) == {"input_ids": [], "token_type_ids": [], "attention_mask": []}


def test_what_is_not_asked_for_is_not_there():
    assert list(laid_out(ROWS, return_token_type_ids=False, return_attention_mask=False)) == ["input_ids"]


def test_nothing_is_cut_unless_asked_for():
    assert laid_out([list(range(5, 25))])["input_ids"] == [[2, *range(5, 25), 3]]


def test_a_length_alone_cuts_and_says_so():
    message = r"max_length=4 was given without truncation=; 1 of 3 texts lost 1 tokens; pass truncation=True"
    with pytest.warns(TruncationWarning, match=message):
        assert laid_out(ROWS, max_length=4)["input_ids"] == [[2, 5, 6, 3], [2, 8, 3], [2, 3]]
    assert laid_out(ROWS, max_length=4, truncation=True)["input_ids"][0] == [2, 5, 6, 3]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"padding": "longst"}, r"padding='longst' was asked for; known are longest, .*; choose one \(did you mean"),
        ({"truncation": "first"}, r"truncation='first' was asked for; known are longest_first, .*; choose one"),
        ({"return_tensors": "tf"}, r"return_tensors='tf' was asked for; known are pt, np; choose one"),
        ({"padding": 3}, r"padding=3 was asked for; known are"),
    ],
)
def test_unknown_values_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        Layout(**options)


def test_tensors_need_rows_of_one_length():
    with pytest.raises(
        InputError, match=r"return_tensors='np' needs rows of one length; found 2 to 5 tokens; pass pad"
    ):
        laid_out(ROWS, return_tensors="np")


def test_a_second_text_must_be_there_to_be_cut():
    with pytest.raises(InputError, match=r"'only_second' was asked for; found no second text; pass text_pair"):
        laid_out(ROWS, truncation="only_second", max_length=4)


@pytest.mark.parametrize("which", ["only_first", "only_second"])
def test_the_text_that_stays_must_leave_room(which):
    texts = [[[5] * 7], [[6]]] if which == "only_second" else [[[5]], [[6] * 7]]
    with pytest.raises(InputError, match=r"leaves the other text whole; found one of 7 tokens where .* 6; pass"):
        laid_out(*texts, truncation=which)


def test_a_length_without_room_is_refused():
    with pytest.raises(InputError, match=r"need a seq_length of at least 2; found 1; raise it"):
        laid_out(ROWS, max_length=1, truncation=True)


def test_torch_s_tensors_need_torch(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r'needs torch, .* pip install "wellread\[train\]"'):
        laid_out([[5]], return_tensors="pt")
