"""Changed copies of texts: what each change does, and that the seed decides all."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from wellread.data.augment import MASK, augmented, masked, random_span, spliced

TEXTS = [" ".join(f"w{text}x{word}" for word in range(2 + text % 7)) for text in range(200)]


def test_words_are_masked_at_their_rate():
    words = [str(number) for number in range(20_000)]
    made = masked(words, 0.1, Random(3))
    changed = [ours != word for ours, word in zip(made, words, strict=True)]
    assert {ours for ours, is_changed in zip(made, changed, strict=True) if is_changed} == {MASK}
    assert np.mean(changed) == pytest.approx(0.1, abs=0.01)


def test_a_span_is_one_of_the_text_and_no_longer_than_asked():
    words = list("abcdefgh")
    rng, lengths, begins = Random(0), set(), set()
    for _ in range(300):
        span = random_span(words, 3, rng)
        begin = words.index(span[0])
        assert span == words[begin : begin + len(span)]
        lengths.add(len(span))
        begins.add(begin)
    assert (lengths, begins) == ({1, 2, 3}, set(range(8)))
    assert random_span(["a"], 5, rng) == ["a"]
    assert random_span([], 5, rng) == []


def test_a_splice_has_a_word_of_each_text():
    rng, seen = Random(0), set()
    for _ in range(200):
        made = "".join(spliced(list("abc"), list("xyz"), rng))
        kept = made.rstrip("xyz")
        assert "abc".startswith(kept)
        assert kept
        assert "xyz".endswith(made[len(kept) :])
        assert made != kept
        seen.add(made)
    assert len(seen) == 9
    assert spliced([], ["a"], rng) == []
    assert spliced(["a"], [], rng) == ["a"]


def test_copies_are_changed_and_decided_by_the_seed_alone():
    options = {"copies": 3, "mask": 0.1, "span": 0.25, "splice": 0.25}
    (made,) = augmented([TEXTS], seed=1, **options)
    assert made == augmented([TEXTS], seed=1, **options)[0]
    assert made != augmented([TEXTS], seed=2, **options)[0]
    assert len(TEXTS) < len(made) < 3 * len(TEXTS)  # some come out as they were
    assert not set(made) & {text for text in TEXTS if len(text.split()) > 5}
    assert not any(set(text.split()) == {MASK} for text in made)


def test_both_texts_of_a_pair_stay_together():
    seconds = [text.replace("w", "v") for text in TEXTS]
    first, second = augmented([TEXTS, seconds], copies=1, mask=0.3)
    assert len(first) == len(second) > 100
    for one, two in zip(first, second, strict=True):
        numbers = {part.partition("x")[0][1:] for part in [*one.split(), *two.split()] if part != MASK}
        assert len(numbers) == 1


def test_no_changes_make_no_copies():
    assert augmented([TEXTS], copies=2) == [[]]
    assert augmented([[]], copies=2, mask=0.5) == [[]]
