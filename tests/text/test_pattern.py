"""Regular expressions that a text could make explode are told by their form; the published ones are run."""

import time

import pytest
from tokenizers import Regex, normalizers

from wellread.text.pattern import fault_of, may_match_nothing

PUBLISHED = [
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{M}]*[\p{Ll}\p{Lm}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}|\s+",
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+",
    *(" {2,}", r"\s{2,}|[\n\r\t]", r"^\s+|\s+$", r"(?<=\d),", r"\w+|[^\w\s]+", "[[a-z]&&[^aeiou]]+", "[]a]+", r"\b"),
    *("[一-龥]", r"(https?://\S+)", r"a{3}(?:bc){2,5}", r"\p{P}", r"(?i)a", r"a+?", r"a++"),
]
REFUSED = {
    "(a+)+$": "a repetition of what repeats or chooses, at character 4",
    "(a|aa)*b": "a repetition of what repeats or chooses",
    r"(\w+\s?)*$": "a repetition of what repeats or chooses",
    "(?:a{1,100}){1,100}b": "a repetition of what repeats or chooses",
    "(?=(a+)+b)": "a repetition of what repeats or chooses",
    "^(([a-z])+.)+[A-Z]([a-z])+$": "a repetition of what repeats or chooses",
    "a*a*a*b": "3 repetitions without bound one behind another",
    ".*.*=.*": "two repetitions without bound before more",
    "a{1,30}{1,30}": "a repetition of nothing, or of a repetition",
    "a?" * 30 + "a" * 30: "over 10 choices one behind another",
    "(a|a)" * 30: "over 10 choices",
    "(?:)*": "a repetition of what may be empty",
    r"(a)\1": r"\\1, which is not run",
    r"(?<n>a)\k<n>": "which is not run",
    r"(?<x>a\g<x>?)": "which is not run",
    "(?~a)": "a group of a kind that is not run",
    "(?(1)a|b)": "a group of a kind that is not run",
    "(?{x})": "a group of a kind that is not run",
    "a{100000}": "a part that stands 100000 times",
    "(" * 50: "groups within groups, over 20 deep",
    "(": "an end that comes too soon",
    "[": "an end that comes too soon",
    "a\\": "an end that comes too soon",
    ")": "an unexpected parenthesis at character 0",
    "x" * 20_001: "20001 characters",
}


@pytest.mark.parametrize("pattern", PUBLISHED)
def test_published_patterns_are_run(pattern):
    assert fault_of(pattern) is None
    rule = normalizers.Replace(Regex(pattern), "_")  # Oniguruma reads it too
    begin = time.perf_counter()
    for text in ("a" * 2000, " " * 2000 + "x", "\n " * 1000, "aB" * 1000, "가" * 2000 + "!"):
        rule.normalize_str(text)
    assert time.perf_counter() - begin < 20  # an exploding one takes longer than the age of the world


@pytest.mark.parametrize(("pattern", "fault"), REFUSED.items())
def test_what_could_explode_is_refused(pattern, fault):
    assert fault.replace("\\\\", "\\") in str(fault_of(pattern))


def test_an_empty_match_is_foreseen():
    assert may_match_nothing("a*")
    assert may_match_nothing("|a")
    assert not may_match_nothing("a+|b")
