"""strict_json: what is JSON, and what only looks like it."""

import pytest

from wellread.schema import parse_object


def test_an_object_is_read():
    assert parse_object(b' {"a": [1, 2.5, null, true], "b": {"a": "\xea\xb0\x80"}} ') == {
        "a": [1, 2.5, None, True],
        "b": {"a": "가"},
    }


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (b"", "Expecting value"),
        (b"[1]", "it holds a list, not an object"),
        (b"null", "it holds a NoneType, not an object"),
        (b'{"a": 1} {"b": 2}', "Extra data"),
        (b'{"a": 1, "a": 1}', "the key 'a' stands twice"),
        (b'{"x": [{"a": 1, "a": 2}]}', "the key 'a' stands twice"),
        (b'{"a": NaN}', "it holds NaN, which is not JSON"),
        (b'{"a": -Infinity}', "it holds -Infinity, which is not JSON"),
        (b'{"a": "\xff"}', "can't decode byte 0xff"),
        (b'\xef\xbb\xbf{"a": 1}', "BOM"),
        ('{"a": 1}'.encode("utf-16"), "can't decode byte 0xff"),
        (b'{"\\ud800": 1}', "surrogates not allowed"),
        (b'{"a": ' + b"[" * 100_000, "it is nested too deep"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "Exceeds the limit"),
    ],
)
def test_everything_else_is_refused(raw, found):
    with pytest.raises(ValueError, match=found):
        parse_object(raw)
