"""More texts made of those that there are: words masked, spans cut out, two texts spliced.

Tang et al. 2019 (arXiv:1903.12136), section 3.2: a transfer set for a student grows by masked words and by n-grams of
its texts, for the teacher says what they mean. TinyBERT (Jiao et al. 2020, arXiv:1909.10351), section 3.2, grows it by
masked words that a language model fills; here the mask token stays. Splices are our own.

A word is what stands between spaces. The functions take and return lists of words; `rng` decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

MASK = "\ufdd0"  # stands for the mask token of whoever reads the text; Unicode keeps it free of any meaning


def augmented(
    columns: Sequence[Sequence[str]],
    *,
    copies: int,
    mask: float = 0.0,
    span: float = 0.0,
    span_words: int = 5,
    splice: float = 0.0,
    seed: int = 0,
) -> list[list[str]]:
    """Return changed copies of texts, or of both texts of pairs: columns of one length, the originals not among them.

    Every text has `copies`; each is spliced with another at a rate of `splice`, then cut to a span at a rate of `span`,
    then each of its words is masked at a rate of `mask`. Copies that come out as they were, or as masks alone, are
    left out. The result depends on the texts and `seed` alone.

    >>> made = augmented([["the cat sleeps", "a man runs"]], copies=2, mask=0.4)
    >>> [text.replace(MASK, "[MASK]") for text in made[0]]
    ['the [MASK] sleeps', '[MASK] man runs', '[MASK] cat sleeps']
    """
    rng = Random(seed)
    made: list[list[str]] = [[] for _ in columns]
    for _ in range(copies):
        for row in range(len(columns[0])):
            before = [column[row].split() for column in columns]
            after = []
            for words, column in zip(before, columns, strict=True):
                if rng.random() < splice:
                    words = spliced(words, column[rng.randrange(len(column))].split(), rng)
                if rng.random() < span:
                    words = random_span(words, span_words, rng)
                after.append(masked(words, mask, rng))
            if after != before and all(set(words) - {MASK} for words in after):
                for column, words in zip(made, after, strict=True):
                    column.append(" ".join(words))
    return made


def masked(words: Sequence[str], rate: float, rng: Random) -> list[str]:
    """Put the mask in the place of each word at a rate.

    >>> masked(["a", "b", "c", "d"], 0.5, Random(1)).count(MASK)
    2
    """
    return [MASK if rng.random() < rate else word for word in words]


def random_span(words: Sequence[str], longest: int, rng: Random) -> list[str]:
    """Cut out some words that stand together: 1 to `longest`, from any place.

    >>> random_span(["a", "b", "c", "d"], 2, Random(0))
    ['b', 'c']
    """
    count = min(rng.randint(1, longest), len(words))
    begin = rng.randint(0, len(words) - count)
    return list(words[begin : begin + count])


def spliced(words: Sequence[str], others: Sequence[str], rng: Random) -> list[str]:
    """Join the first part of a text with the last part of another, a word of each at least.

    >>> spliced(["a", "b", "c"], ["d", "e", "f"], Random(0))
    ['a', 'b', 'e', 'f']
    """
    if not words or not others:
        return list(words)
    return [*words[: rng.randint(1, len(words))], *others[rng.randint(0, len(others) - 1) :]]
