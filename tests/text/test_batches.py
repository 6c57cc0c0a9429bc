"""Batches hold every row once, keep to their limits and come longest first."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wellread.errors import InputError
from wellread.text.batch import token_budget_batches


@given(
    lengths=st.lists(st.integers(0, 40), max_size=60),
    max_tokens=st.integers(1, 100),
    max_rows=st.integers(1, 9),
)
def test_every_row_once_within_both_limits(lengths: list[int], max_tokens: int, max_rows: int) -> None:
    batches = token_budget_batches(lengths, max_tokens=max_tokens, max_rows=max_rows)
    assert sorted(row for batch in batches for row in batch.tolist()) == list(range(len(lengths)))
    for batch in batches:
        assert 1 <= len(batch) <= max_rows
        assert len(batch) == 1 or len(batch) * max(lengths[row] for row in batch) <= max_tokens
    ordered = [lengths[row] for batch in batches for row in batch.tolist()]
    assert ordered == sorted(lengths, reverse=True)


def test_no_batch_could_take_the_next_row() -> None:
    batches = token_budget_batches([5, 5, 5, 3, 3, 2], max_tokens=10, max_rows=3)
    assert [batch.tolist() for batch in batches] == [[0, 1], [2, 3], [4, 5]]


def test_an_over_long_row_is_a_batch_of_its_own() -> None:
    batches = token_budget_batches([4, 500, 600], max_tokens=16, max_rows=8)
    assert [batch.tolist() for batch in batches] == [[2], [1], [0]]


def test_equal_lengths_keep_their_order_and_indices_are_int64() -> None:
    (batch,) = token_budget_batches(np.full(5, 3, np.uint8), max_tokens=15, max_rows=5)
    assert batch.tolist() == [0, 1, 2, 3, 4]
    assert batch.dtype == np.int64


def test_empty_rows_count_against_the_rows_and_no_rows_give_no_batches() -> None:
    assert [len(batch) for batch in token_budget_batches([0, 0, 0], max_tokens=2, max_rows=9)] == [2, 1]
    assert token_budget_batches([], max_tokens=8, max_rows=8) == []


@pytest.mark.parametrize(
    ("lengths", "found"),
    [
        ([3, -1], r"int64 of shape \(2,\) and minimum -1"),
        ([1.5], r"float64 of shape \(1,\) and minimum 1.5"),
        ([[1, 2]], r"int64 of shape \(1, 2\) and minimum 1"),
        (["a"], r"<U1 of shape \(1,\);"),
        (3, r"int64 of shape \(\) and minimum 3"),
    ],
)
def test_refuses_lengths_that_count_nothing(lengths: object, found: str) -> None:
    with pytest.raises(InputError, match=f"lengths must be whole numbers of at least 0, one a row; found {found}"):
        token_budget_batches(lengths, max_tokens=8, max_rows=8)  # type: ignore[arg-type]


@pytest.mark.parametrize("limit", ["max_tokens", "max_rows"])
def test_refuses_limits_that_nothing_fits(limit: str) -> None:
    with pytest.raises(InputError, match=f"{limit} must be at least 1; found 0; raise it"):
        token_budget_batches([1], **{"max_tokens": 8, "max_rows": 8, limit: 0})
