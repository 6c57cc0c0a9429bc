"""Exact search: the vectors that are most alike a query's, over blocks of any number of them.

Every vector is compared in float32, a tile of rows that a core's cache holds at a time. Rows whose score may be among
the `top_k` best, for all that float32 leaves open, are compared once more in float64: what is found therefore depends
on neither blocks nor threads, and of equal scores the lower row comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wellread.cores import cpu_count
from wellread.dataclass import dataclass
from wellread.errors import DataError, InputError
from wellread.metrics.similarity import EVERY, unit
from wellread.schema import whole
from wellread.searching.forms import LARGEST_HALF, FloatArray, Form, floats_of, words_of

Rows = NDArray[np.int64]
Block = tuple[Rows, NDArray[Any]]  # n numbers of rows, in order, and the vectors of these rows as stored: [n, W]
Part = Callable[[], Iterator[Block]]

TILE = 1024  # rows that are compared at once
QUERIES = 1024  # that are compared in one pass over the vectors
GROUP, ROWS = 16, 32  # queries and rows of a product of matrices
LARGEST_SQUARE = np.float32(2.0**120)  # of a length: sums of a few of these are still numbers in float32
SMALLEST_NORM = 1e-12  # as in metrics.similarity: a row of zeros is like nothing


class Vectors(Protocol):
    """Vectors in memory or in a file, which are read in parts."""

    @property
    def name(self) -> str:
        """What messages call them."""

    @property
    def form(self) -> Form:
        """How their numbers are stored."""

    @property
    def rows(self) -> int:
        """How many rows there are, those without a vector included."""

    def parts(self) -> Sequence[Part]:
        """Return what reads them, in the order of the rows: parts may be read at the same time."""

    def take(self, rows: Rows) -> NDArray[Any]:
        """Return the vectors of some rows, which have one, as stored: [n, W]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How vectors are compared in float32, and then exactly; a `key` grows with the score that it stands for."""

    # vectors [n, E], the squares of their lengths [n], queries [Q, E], of length 1 for cosines: keys [Q, n]
    keys: Callable[[FloatArray, FloatArray, FloatArray], FloatArray]
    key_of: Callable[[FloatArray, FloatArray], FloatArray]  # scores [Q] and lengths of queries [Q]: keys [Q]
    # lengths of queries [Q], the longest vector, E: how large the numbers are that a key is the sum of, [Q]
    reach: Callable[[FloatArray, float, int], FloatArray]
    scores: Callable[[FloatArray, FloatArray], FloatArray]  # vectors [n, E] and a query [E] in float64: [n]


def _products(vectors: FloatArray, queries: FloatArray) -> FloatArray:
    """Multiply vectors [n, E] and queries [Q, E] with each other: [Q, n].

    In products of matrices that are so small that BLAS computes them on the thread that asks. Larger ones would wait
    for one another, as all threads here would have them computed by the threads of BLAS.
    """
    n, width = vectors.shape
    if len(queries) < GROUP or n < ROWS:
        return np.vecdot(vectors[:, None], queries).T
    if rest := n % ROWS:
        return np.hstack([_products(vectors[:-rest], queries), _products(vectors[-rest:], queries)])
    padded = np.zeros((-(-len(queries) // GROUP) * GROUP, width), queries.dtype)
    padded[: len(queries)] = queries
    groups = padded.reshape(-1, GROUP, width).swapaxes(1, 2)
    products = np.matmul(vectors.reshape(-1, 1, ROWS, width), groups)  # [n / ROWS, Q / GROUP, ROWS, GROUP]
    return products.transpose(1, 3, 0, 2).reshape(-1, n)[: len(queries)]


def _cosine_scores(vectors: FloatArray, query: FloatArray) -> FloatArray:
    lengths = np.maximum(np.sqrt((vectors**2).sum(1)), SMALLEST_NORM) * max(np.sqrt((query**2).sum()), SMALLEST_NORM)
    return (vectors * query).sum(1) / lengths


COMPARISONS = {
    "cosine": Comparison(
        keys=lambda vectors, squares, queries: (
            _products(vectors, queries) / np.maximum(np.sqrt(squares), np.float32(SMALLEST_NORM))
        ),
        key_of=lambda scores, lengths: scores,
        reach=lambda lengths, longest, width: np.ones_like(lengths),
        scores=_cosine_scores,
    ),
    "dot": Comparison(
        keys=lambda vectors, squares, queries: _products(vectors, queries),
        key_of=lambda scores, lengths: scores,
        reach=lambda lengths, longest, width: lengths * longest,
        scores=lambda vectors, query: (vectors * query).sum(1),
    ),
    "euclidean": Comparison(  # |q - x|^2 = |q|^2 - key
        keys=lambda vectors, squares, queries: 2 * _products(vectors, queries) - squares,
        key_of=lambda scores, lengths: lengths**2 - scores**2,
        reach=lambda lengths, longest, width: (lengths + longest) ** 2,
        scores=lambda vectors, query: -np.sqrt(((vectors - query) ** 2).sum(1)),
    ),
    "manhattan": Comparison(
        keys=lambda vectors, squares, queries: np.stack([-np.abs(vectors - query).sum(1) for query in queries]),
        key_of=lambda scores, lengths: scores,
        reach=lambda lengths, longest, width: np.sqrt(width) * (lengths + longest),
        scores=lambda vectors, query: -np.abs(vectors - query).sum(1),
    ),
}


class Scorer(Protocol):
    """The queries of one pass, ready to be compared with vectors of one form."""

    def keys(self, rows: Rows, stored: NDArray[Any]) -> tuple[FloatArray, FloatArray]:
        """Compare a tile [n, W] with every query: keys [Q, n], and by how much those of a query may be wrong, [Q]."""

    def check(self, rows: Rows, stored: NDArray[Any]) -> None:
        """Refuse a tile [n, W] of numbers that cannot be compared. Raises: DataError."""

    def key_of(self, scores: FloatArray) -> FloatArray:
        """Return the keys that scores [Q] stand for."""

    def scores(self, stored: NDArray[Any], query: int) -> NDArray[np.float32]:
        """Compare vectors [n, W] with one query exactly: [n]."""


class _Floats:
    """Queries [Q, E] beside vectors of float32, float16 or int8."""

    def __init__(self, queries: FloatArray, vectors: Vectors, similarity: str) -> None:
        self.form, self.name, self.comparison = vectors.form, vectors.name, COMPARISONS[similarity]
        self.queries = unit(queries) if similarity == "cosine" else queries
        self.exact = queries.astype(np.float64)
        self.lengths = np.sqrt((self.exact**2).sum(1))

    def keys(self, rows: Rows, stored: NDArray[Any]) -> tuple[FloatArray, FloatArray]:
        tile, squares = self._floats(rows, stored)
        keys = self.comparison.keys(tile, squares, self.queries)
        width = tile.shape[1]
        reach = self.comparison.reach(self.lengths, float(np.sqrt(squares.max())), width)
        # A sum of E products is wrong by at most E x 2^-24 of the sum of their sizes. Source: N. Higham, Accuracy and
        # Stability of Numerical Algorithms, 2nd edition, equation 3.5. A key takes up to three, and a few roundings.
        return keys, 4 * (width + 4) * 2.0**-24 * reach

    def check(self, rows: Rows, stored: NDArray[Any]) -> None:
        self._floats(rows, stored)

    def _floats(self, rows: Rows, stored: NDArray[Any]) -> tuple[FloatArray, FloatArray]:
        """Return a tile in float32 [n, E] and the squares of its lengths [n]."""
        with np.errstate(over="ignore", invalid="ignore"):
            tile = floats_of(stored, self.form)
            squares = np.vecdot(tile, tile)
        limit = LARGEST_HALF**2 if stored.dtype == np.float16 else LARGEST_SQUARE
        for index in np.flatnonzero(~(squares < limit)):
            if not np.isfinite(stored[index]).all() or not squares[index] < LARGEST_SQUARE:
                raise DataError(
                    f"vectors of finite numbers below 1e18 were expected of {self.name}; found others in row "
                    f"{rows[index]}; embed that row again, or drop it"
                )
        return tile, squares

    def key_of(self, scores: FloatArray) -> FloatArray:
        return self.comparison.key_of(scores.astype(np.float64), self.lengths)

    def scores(self, stored: NDArray[Any], query: int) -> NDArray[np.float32]:
        vectors = floats_of(stored, self.form).astype(np.float64)
        return self.comparison.scores(vectors, self.exact[query]).astype(np.float32)


# Of vectors of 1 and -1 that differ in so many of E places: the score, and the negative number of places from a score.
DIFFERING: dict[str, tuple[Callable[[FloatArray, int], FloatArray], Callable[[FloatArray, int], FloatArray]]] = {
    "cosine": (lambda places, width: 1 - 2 * places / width, lambda scores, width: (scores - 1) * width / 2),
    "dot": (lambda places, width: width - 2 * places, lambda scores, width: (scores - width) / 2),
    "euclidean": (lambda places, width: -2 * np.sqrt(places), lambda scores, width: -(scores**2) / 4),
    "manhattan": (lambda places, width: -2 * places, lambda scores, width: scores / 2),
}


class _Bits:
    """The signs of queries [Q, E] beside packed bits: both are vectors of 1 and -1, compared by their differences."""

    def __init__(self, queries: FloatArray, vectors: Vectors, similarity: str) -> None:
        self.width = queries.shape[1]
        self.score_of, self.negative_of = DIFFERING[similarity]
        self.queries = words_of(np.packbits(queries > 0, axis=1))  # as sentence-transformers packs them

    def keys(self, rows: Rows, stored: NDArray[Any]) -> tuple[FloatArray, FloatArray]:
        # whole numbers, so that half of what lies between two is more than what a score is rounded by
        return -_differing(words_of(stored), self.queries), np.full(len(self.queries), 0.5)

    def check(self, rows: Rows, stored: NDArray[Any]) -> None:
        pass  # bits are numbers

    def key_of(self, scores: FloatArray) -> FloatArray:
        return self.negative_of(scores.astype(np.float64), self.width)

    def scores(self, stored: NDArray[Any], query: int) -> NDArray[np.float32]:
        (places,) = _differing(words_of(stored), self.queries[query : query + 1]).astype(np.float64)
        return self.score_of(places, self.width).astype(np.float32)


def _differing(words: NDArray[np.uint64], queries: NDArray[np.uint64]) -> NDArray[np.float32]:
    """Count the bits in which rows [n, W] and queries [Q, W] differ, a word at a time: [Q, n]."""
    counts = np.zeros((len(queries), len(words)), np.float32)
    differing = np.empty(counts.shape, np.uint64)
    for word, query in zip(np.ascontiguousarray(words.T), queries.T, strict=True):
        counts += np.bitwise_count(np.bitwise_xor(word, query[:, None], out=differing))
    return counts


class _Best:
    """The best hits of Q queries so far: larger scores first, and lower rows of equal ones."""

    def __init__(self, queries: int, top_k: int) -> None:
        self.rows: Rows = np.full((queries, top_k), np.iinfo(np.int64).max)
        self.scores = np.full((queries, top_k), -np.inf, np.float32)
        self._lock = Lock()

    def add(self, query: int, rows: Rows, scores: NDArray[np.float32]) -> None:
        """Take in n scored rows of one query; any number of threads may."""
        with self._lock:
            rows, scores = np.concatenate([self.rows[query], rows]), np.concatenate([self.scores[query], scores])
            order = np.lexsort((rows, -scores))[: self.rows.shape[1]]
            self.rows[query], self.scores[query] = rows[order], scores[order]


def _compare(part: Part, scorer: Scorer, best: _Best) -> int:
    """Compare the vectors of a part with every query; return how many there are."""
    count = 0
    for rows, stored in part():
        for first in range(0, len(rows), TILE):
            _compare_tile(rows[first : first + TILE], stored[first : first + TILE], scorer, best)
        count += len(rows)
    return count


def _compare_tile(rows: Rows, stored: NDArray[Any], scorer: Scorer, best: _Best) -> None:
    """Score the rows of a tile exactly that may be among the best."""
    keys, margins = scorer.keys(rows, stored)
    top_k = best.rows.shape[1]
    floors = scorer.key_of(best.scores[:, -1]) - margins
    chosen = keys >= floors[:, None]
    if len(rows) > top_k and np.count_nonzero(chosen) > 4 * top_k * len(keys):  # as in the first tile
        kth = np.partition(keys, len(rows) - top_k, axis=1)[:, len(rows) - top_k]
        chosen = keys >= np.maximum(floors, kth - 2 * margins)[:, None]
    for query in np.flatnonzero(chosen.any(1)):
        columns = np.flatnonzero(chosen[query])
        best.add(int(query), rows[columns], scorer.scores(stored[columns], int(query)))


def search(
    queries: FloatArray, vectors: Vectors, *, top_k: int = 10, similarity: str = "cosine"
) -> tuple[Rows, NDArray[np.float32]]:
    """Find the `top_k` vectors that are most alike each of Q queries, by one of `metrics.similarity`'s functions.

    Returns the numbers of their rows and their scores, both [Q, K], the best first; K is `top_k`, or the number of
    vectors where these are fewer. Of equal scores the lower row comes first. Binary vectors are compared with the signs
    of a query. Memory holds a few blocks, whatever the number of vectors.

    Raises: InputError for queries of another width, or a wrong `top_k` or similarity; DataError for no vectors at all,
        or numbers that are not finite.

    >>> from wellread.searching.vectors_file import open_vectors
    >>> vectors = open_vectors(np.array([[1.0, 0.0], [3.0, 4.0], [0.0, 2.0]], np.float32))
    >>> rows, scores = search(np.array([[0.0, 1.0]], np.float32), vectors, top_k=2)
    >>> rows, scores
    (array([[2, 1]]), array([[1. , 0.8]], dtype=float32))
    """
    check_top_k(top_k)
    _check(queries, vectors, similarity)
    kind = _Bits if vectors.form.precision == "binary" else _Floats
    top_k = max(1, min(top_k, vectors.rows))
    parts, found = vectors.parts(), []
    with ThreadPoolExecutor(cpu_count()) as pool:
        for first in range(0, len(queries), QUERIES):
            some = queries[first : first + QUERIES]
            best = _Best(len(some), top_k)
            scorer: Scorer = kind(some, vectors, similarity)
            compared = [pool.submit(_compare, part, scorer, best) for part in parts]
            try:
                count = sum(
                    each.result() for each in compared
                )  # in their order: the first fault is the one of all runs
            finally:
                for each in compared:
                    each.cancel()
            found.append((best.rows[:, : min(top_k, count)], best.scores[:, : min(top_k, count)]))
            if not count:
                raise DataError(f"vectors were asked of {vectors.name}; it holds none; embed some texts first")
    if not found:
        return np.zeros((0, top_k), np.int64), np.zeros((0, top_k), np.float32)
    return np.concatenate([rows for rows, _ in found]), np.concatenate([scores for _, scores in found])


def rescored(
    queries: FloatArray, candidates: Rows, vectors: Vectors, *, top_k: int = 10, similarity: str = "cosine"
) -> tuple[Rows, NDArray[np.float32]]:
    """Compare each of Q queries once more, with vectors of a higher precision of its `candidates` [Q, C] alone.

    Returns what `search` does.

    Raises: as `search`.
    """
    check_top_k(top_k)
    _check(queries, vectors, similarity)
    if not len(queries):
        return candidates[:, :top_k], np.zeros((0, min(top_k, candidates.shape[1])), np.float32)
    kind = _Bits if vectors.form.precision == "binary" else _Floats
    scorer: Scorer = kind(queries, vectors, similarity)
    best = _Best(len(queries), min(top_k, candidates.shape[1]))
    rows, places = np.unique(candidates, return_inverse=True)
    stored = vectors.take(rows)
    for first in range(0, len(rows), TILE):
        scorer.check(rows[first : first + TILE], stored[first : first + TILE])
    for query, chosen in enumerate(places.reshape(candidates.shape)):
        best.add(query, rows[chosen], scorer.scores(stored[chosen], query))
    return best.rows, best.scores


def check_top_k(top_k: object) -> None:
    """Refuse what is no number of hits. Raises: InputError."""
    if (whole(top_k) or 0) < 1:
        raise InputError(f"top_k must be a whole number of at least 1; found {top_k!r}; ask for 1 hit or more")


def _check(queries: FloatArray, vectors: Vectors, similarity: str) -> None:
    if similarity not in EVERY:
        raise InputError(f"similarities are {', '.join(EVERY)}; found {similarity!r}; name one of them")
    width, form = queries.shape[1], vectors.form
    if not form.fits(width):
        stored = f"{form.width} numbers" if form.precision != "binary" else f"{form.dimensions or 8 * form.width} bits"
        raise InputError(
            f"vectors as wide as the query's were expected of {vectors.name}; found {width} numbers in the query and "
            f"{stored} in a row; take the module that made them, with the truncate_dim= that it had"
        )
    wrong = np.flatnonzero(~((queries.astype(np.float64) ** 2).sum(1) < LARGEST_SQUARE))
    if len(wrong):
        raise InputError(f"queries of finite numbers below 1e18 were expected; found others in query {wrong[0]}")
