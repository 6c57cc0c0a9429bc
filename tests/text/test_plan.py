"""Planned batches hold every row once, keep to their limits, and have few shapes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wellread.errors import InputError
from wellread.text.batch import token_budget_batches
from wellread.text.plan import Batching, plan_batches


@given(
    lengths=st.lists(st.integers(0, 40), max_size=60),
    tokens=st.integers(1, 100),
    multiple=st.integers(1, 20),
    max_rows=st.integers(1, 9),
)
def test_every_row_once_in_a_batch_that_holds_it(lengths, tokens, multiple, max_rows):
    batches = plan_batches(lengths, Batching(tokens=tokens, multiple=multiple), max_rows=max_rows, longest=40)
    assert sorted(row for batch in batches for row in batch.rows.tolist()) == list(range(len(lengths)))
    for batch in batches:
        assert 1 <= len(batch.rows) <= max_rows
        assert len(batch.rows) == 1 or len(batch.rows) * batch.length <= tokens
        needed = max(lengths[row] for row in batch.rows)
        assert needed <= batch.length < needed + multiple
        assert batch.length == 40 or batch.length % multiple == 0
    assert [batch.length for batch in batches] == sorted((batch.length for batch in batches), reverse=True)


@given(lengths=st.lists(st.integers(1, 40), max_size=60), tokens=st.integers(1, 100), max_rows=st.integers(1, 9))
def test_without_rounding_it_is_the_plain_plan(lengths, tokens, max_rows):
    batches = plan_batches(lengths, Batching(tokens=tokens), max_rows=max_rows, longest=40)
    plain = token_budget_batches(lengths, max_tokens=tokens, max_rows=max_rows)
    assert [batch.rows.tolist() for batch in batches] == [rows.tolist() for rows in plain]
    assert [batch.length for batch in batches] == [max(lengths[row] for row in rows) for rows in plain]


def test_rounded_lengths_have_a_tenth_of_the_shapes():
    lengths = np.random.default_rng(0).integers(3, 129, 4000)

    def shapes(multiple: int) -> int:
        batching = Batching(tokens=1024, multiple=multiple)
        return len({(len(b.rows), b.length) for b in plan_batches(lengths, batching, max_rows=1024, longest=128)})

    assert shapes(1) > 90
    assert shapes(16) <= 9  # a length each, and the rest of the shortest


@pytest.mark.parametrize(
    "wrong", [{"tokens": 0}, {"multiple": 0}, {"multiple": 1.0}, {"tokens": True}, {"streams": -1}]
)
def test_a_batching_that_makes_no_batches_is_refused(wrong):
    with pytest.raises(
        InputError, match="tokens and multiple must be whole numbers of at least 1, streams of at least 0"
    ):
        Batching(**wrong)
