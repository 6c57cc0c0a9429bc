"""Settings of a search: quantities with units, and what is refused."""

from __future__ import annotations

import pytest

from wellread.errors import ConfigError
from wellread.shrinking.settings import SIZES, TIMES, Bounds, ShrinkConfig, heads_of, quantity


@pytest.mark.parametrize(("text", "number"), [("10MB", 1e7), ("12 MiB", 12 * 2**20), (".5kB", 500), ("7B", 7)])
def test_sizes_are_read(text, number):
    assert quantity(text, SIZES, "max_size") == number


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"max_size": "10mb"}, r"max_size is a number above 0 with a unit of B, kB, MB.*; found the unit 'mb'"),
        ({"max_size": "10"}, "max_size is .*; found '10'; write 10B"),
        ({"max_size": "-3MB"}, "max_size is .*; found '-3MB'"),
        ({"min_speed": "0/s"}, "min_speed is .*; found '0/s'"),
        ({"min_speed": "500 per second"}, "min_speed is a number above 0 with a unit of /s, /min, /h"),
        ({"budget": "2hours"}, "budget is .* of s, min, m, h, d; found the unit 'hours'"),
        ({"budget": ""}, "budget is "),
        ({"eta": 1, "candidates": 0}, "found candidates of 0; eta of 1;"),
        ({"keep": -0.5}, "found keep of -0.5"),
        ({"held_out": 1.0}, "found held_out of 1.0"),
        ({"layers": "2, two"}, "layers are whole numbers above 0 .* found '2, two'"),
        ({"widths": "128, 100"}, "widths are multiples of 32, for heads of 32 or 64; found 100"),
        ({"dtypes": "float8"}, r"dtypes are of float32, float16, int8; found 'float8' \(did you mean float"),
        ({"vocabularies": "trimed, 8000"}, r"vocabularies are of .* found 'trimed' \(did you mean trimmed\?\)"),
        ({"vocabularies": " "}, "vocabularies are "),
        ({"bf16": "yes"}, "bf16 is one of auto, true, false; found 'yes'"),
    ],
)
def test_what_no_search_can_be_made_of_is_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        ShrinkConfig(**given)


def test_lists_are_sorted_and_named_once():
    config = ShrinkConfig(
        layers="4, 2,2", widths="256,128", dtypes="int8, float32", vocabularies="8000, trimmed, 16_000"
    )
    assert (config.layer_counts, config.hidden_sizes, config.stored_as) == ([2, 4], [128, 256], ["float32", "int8"])
    assert config.vocabulary_names == ["trimmed", "8000", "16000"]
    assert quantity(config.budget, TIMES, "budget") == config.budget_seconds == 3600


def test_heads_are_of_width_32_or_64():
    assert {width // heads_of(width) for width in range(32, 1025, 32)} == {32, 64}


def test_bounds_say_what_breaks_them():
    bounds = Bounds(max_size=10**7, min_speed=500.0, keep=0.98)
    assert bounds.broken(size_bytes=10**7, speed=500.0, share=0.98) == []
    assert bounds.broken(size_bytes=2 * 10**7, speed=99.6, share=0.5) == [
        "20.0 MB, over 10.0 MB",
        "100 texts/s, under 500",
        "50.00% of the teacher's score, under 98.00%",
    ]
