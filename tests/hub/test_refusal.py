"""refusal: three clauses, nothing secret, and what is near."""

import pytest

from wellread.errors import HandleError
from wellread.hub.parse import LONGEST, refuse, refuse_hostile, without_secrets


def test_a_refusal_has_three_clauses_and_the_nearest():
    with pytest.raises(HandleError) as error:
        refuse("monologg/distilcobert", "an id", "check its spelling")
    assert str(error.value) == (
        "the handle 'monologg/distilcobert' was given; it looks like an id; check its spelling "
        "(did you mean monologg/distilkobert?)"
    )
    with pytest.raises(HandleError, match="check its spelling$"):
        refuse("monologg/distilcobert", "an id", "check its spelling", hint=False)


def test_only_living_handles_are_near():
    with pytest.raises(HandleError) as error:
        refuse("https://tfhub.dev/google/small_bert/bert_uncased_L-4_H-256_A-5/1", "a module", "look")
    assert str(error.value).endswith(
        "(did you mean google/bert_uncased_L-4_H-256_A-4 or google/bert_uncased_L-8_H-256_A-4?)"
    )


@pytest.mark.parametrize(
    ("handle", "looks"),
    [
        ("", "an empty text; name a module"),
        ("\t \n", "an empty text; name a module"),
        ("a\0b", "text with the character U+0000 in it; write it without"),
        ("owner/name\n", "text with the character U+000A in it; write it without"),
        ("owner/na\u202eme", "text with the character U+202E in it; write it without"),
        ("owner/\ud800", "text with the character U+D800 in it; write it without"),
        ("x" * (LONGEST + 1), "4,097 characters, and a handle has at most 4,096; shorten it"),
    ],
)
def test_what_no_handle_is_is_refused_first(handle, looks):
    with pytest.raises(HandleError) as error:
        refuse_hostile(handle)
    assert str(error.value) == f"the handle {without_secrets(handle)} was given; it looks like {looks}"
    str(error.value).encode("utf-8")


@pytest.mark.parametrize(
    ("handle", "text"),
    [
        ("owner/name", "'owner/name'"),
        ("hf://owner/name@v1", "'hf://owner/name@v1'"),
        ("https://me:secret@host/a.zip", "'https://...@host/a.zip'"),
        ("HTTPS://me:sec/ret@host/a.zip", "'HTTPS://...@host/a.zip'"),
        ("https://host/a.zip?key=secret", "'https://host/a.zip?...'"),
        ("x" * 1000, repr("x" * 120 + "...")),
    ],
)
def test_a_message_shows_no_secret_and_no_flood(handle, text):
    assert without_secrets(handle) == text
