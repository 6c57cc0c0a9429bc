"""Documents in the order in which they answer a query, as sentence-transformers' `CrossEncoder.rank` gives them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wellread.checkpoints.checkpoint import Checkpoint
from wellread.config import REGRESSION
from wellread.errors import InputError
from wellread.schema import whole
from wellread.tasks.predict import left_out


def ranks_by_head(checkpoint: Checkpoint) -> bool:
    """Say whether a module's head scores query and document together; if not, their vectors are compared.

    Raises: InputError for a head of several outputs, and one that was left out, which may have been such a head.
    """
    if reason := left_out(checkpoint):
        raise InputError(
            f"a ranking was asked for; the head of this module was left out ({reason}); compare vectors of its encoder "
            "by encode and similarity, or load another"
        )
    head = checkpoint.head
    if head is None or head.row.problem_type != REGRESSION:
        return False
    if head.outputs > 1:
        raise InputError(
            f"a head with one output was asked for, to rank by; found {head.outputs}: {', '.join(head.labels[:8])}; "
            "take its scores of pairs with predict"
        )
    return True


def ranked(
    scores: Sequence[float], documents: Sequence[str], *, top_k: int | None = None, return_documents: bool = False
) -> list[dict[str, Any]]:
    """Put N scores in order, the largest first, those that are alike by their numbers.

    >>> ranked([0.25, 0.75], ["a", "b"], top_k=1, return_documents=True)
    [{'corpus_id': 1, 'score': 0.75, 'text': 'b'}]
    """
    order = sorted(range(len(scores)), key=lambda number: -scores[number])[:top_k]
    return [
        {"corpus_id": number, "score": scores[number], **({"text": documents[number]} if return_documents else {})}
        for number in order
    ]


def check_rank(query: object, documents: object, top_k: object) -> None:
    """Refuse what is no query, no list of documents or no count of them. Raises: InputError."""
    if not isinstance(query, str):
        raise InputError(f"a query was expected, one str; found a {type(query).__name__}; rank for one query at a time")
    if isinstance(documents, str):
        raise InputError(
            f"documents were expected, an iterable of str; found one str, {documents[:40]!r}; wrap it in a list"
        )
    if top_k is not None and (whole(top_k) or 0) < 1:
        raise InputError(f"top_k must be a whole number of at least 1; found {top_k!r}; leave it out for all documents")
