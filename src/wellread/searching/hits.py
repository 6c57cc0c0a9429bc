"""Hits of a search, as sentence-transformers' `semantic_search` gives them, with what a file holds of their rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wellread.errors import InputError
from wellread.metrics.similarity import as_vectors
from wellread.schema import whole
from wellread.searching.forms import FloatArray
from wellread.searching.search import check_top_k, rescored, search
from wellread.searching.vectors_file import VectorsFile
from wellread.text.texts import as_texts

Hit = dict[str, Any]
OWN = ("corpus_id", "score")
MULTIPLIER = 4  # candidates for each hit that is asked for, where these are compared once more


def find_hits(
    queries: FloatArray,
    vectors: VectorsFile,
    *,
    top_k: int = 10,
    similarity: str = "cosine",
    columns: Sequence[str] | None = None,
    rescore: VectorsFile | None = None,
    rescore_multiplier: int = MULTIPLIER,
) -> list[list[Hit]]:
    """Find the `top_k` vectors that are most alike each of Q queries [Q, E]: Q lists of hits.

    With `rescore`, other vectors of the same rows, `top_k` x `rescore_multiplier` candidates are compared once more. A
    hit has `corpus_id`, the number of its row, its `score`, and what `columns` (none named: all) of a file hold of the
    row, but for columns that bear these two names.

    Raises: as `search.search`; InputError for `rescore` of other rows; DataError for columns that are not there.

    >>> from wellread.searching.vectors_file import open_vectors
    >>> find_hits(np.array([[3.0, 4.0]]), open_vectors([[1.0, 0.0], [0.0, 2.0]]), top_k=1, similarity="dot")
    [[{'corpus_id': 1, 'score': 8.0}]]
    """
    check_top_k(top_k)
    queries = np.ascontiguousarray(queries, np.float32)
    if rescore is None:
        rows, scores = search(queries, vectors, top_k=top_k, similarity=similarity)
    else:
        _check_rescore(vectors, rescore, rescore_multiplier)
        candidates, _ = search(queries, vectors, top_k=top_k * rescore_multiplier, similarity=similarity)
        rows, scores = rescored(queries, candidates, rescore, top_k=top_k, similarity=similarity)
    columns = [name for name in (vectors.columns if columns is None else columns) if name not in OWN]
    records = iter(vectors.records(rows.reshape(-1), columns))
    return [
        [{"corpus_id": row, "score": score, **next(records)} for row, score in zip(*hits, strict=True)]
        for hits in zip(rows.tolist(), scores.tolist(), strict=True)
    ]


def _check_rescore(vectors: VectorsFile, rescore: VectorsFile, multiplier: int) -> None:
    if (whole(multiplier) or 0) < 1:
        raise InputError(f"rescore_multiplier must be a whole number of at least 1; found {multiplier!r}; 4 is usual")
    if rescore.rows != vectors.rows:
        raise InputError(
            f"rescore= must hold a vector for each of {vectors.rows} rows of {vectors.name}; found {rescore.rows} in "
            f"{rescore.name}; make both of the same texts"
        )


def as_queries(given: Any, encode: Callable[[list[str]], FloatArray]) -> tuple[FloatArray, bool]:
    """Return a query or many, texts or vectors, as vectors [Q, E], and whether there was one; `encode` is for texts.

    Raises: InputError for what is neither.

    >>> as_queries([0.5, 1.0], list)
    (array([[0.5, 1. ]], dtype=float32), True)
    """
    if _are_vectors(given):
        vectors = as_vectors(given)
        return np.atleast_2d(vectors), vectors.ndim == 1
    return encode(as_texts(given)), isinstance(given, str)


def _are_vectors(given: Any) -> bool:
    if isinstance(given, list | tuple):
        return bool(given) and not isinstance(given[0], str)
    kind = getattr(getattr(given, "dtype", None), "kind", "")  # of torch's types there is none
    return kind in ("f", "i", "u") or type(given).__module__.partition(".")[0] == "torch"
