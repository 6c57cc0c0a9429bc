"""quantising.matrices: the least error under the rule of pairs, for every shape."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from wellread.formats.int8 import LARGEST, LARGEST_PAIR, largest_pair
from wellread.quantising.matrices import quantise_matrix

RNG = np.random.default_rng(0)


def error(weights, matrix):
    return float(np.square(matrix.product().astype(np.float64) - weights).sum())


@settings(max_examples=60, deadline=None)
@given(
    arrays(
        np.float32,
        array_shapes(min_dims=2, max_dims=2, max_side=9),
        elements=st.floats(-(2.0**20), 2.0**20, width=32, allow_subnormal=False),
    )
)
def test_any_matrix_keeps_the_rule_and_valid_scales(weights):
    matrix = quantise_matrix(weights)
    matrix.check("any", multiplied=True)
    assert largest_pair(matrix.values) <= LARGEST_PAIR
    assert (matrix.scales > 0).all()
    sizes = np.abs(weights)
    # no number is further off than a step of the scale at which all fit, and what a smaller scale cuts costs no more
    steps = np.maximum(sizes.max(1), 1e-30) * 2 / LARGEST_PAIR
    assert error(weights, matrix) <= ((steps * 1.01) ** 2).sum() * weights.shape[1]


def test_a_row_that_fits_is_exact():
    weights = np.array([[127, -1, 64, 64, 3], [0, 0, 0, 0, 0], [-100, 28, 0, 0, 127]], np.float32) * np.float32(0.25)
    np.testing.assert_allclose(quantise_matrix(weights).product(), weights, atol=1e-6)


def test_the_scale_leaves_less_error_than_the_one_that_just_fits():
    weights = RNG.laplace(0, 1, (40, 384)).astype(np.float32)
    pairs = (np.abs(weights[:, 0::2]) + np.abs(weights[:, 1::2])).max(1) / LARGEST_PAIR
    plain = np.rint(weights / pairs[:, None]) * pairs[:, None]
    assert error(weights, quantise_matrix(weights)) < float(np.square(plain - weights).sum())
    assert error(weights, quantise_matrix(weights, multiplied=False)) < error(weights, quantise_matrix(weights))


def gram_of(x):
    return (x.T @ x / len(x)).astype(np.float32)


def output_error(weights, matrix, x):
    return float(np.square(x @ (matrix.product() - weights).T).sum())


def test_inputs_that_are_large_count_for_more():
    weights = RNG.normal(0, 1, (40, 64)).astype(np.float32) ** 3
    x = RNG.normal(0, 1, (500, 64)).astype(np.float32) * np.exp(RNG.normal(0, 1.5, 64)).astype(np.float32)
    weighted = quantise_matrix(weights, gram=np.diag((x**2).mean(0)), feed_back=False)
    assert output_error(weights, weighted, x) < output_error(weights, quantise_matrix(weights), x)


@pytest.mark.parametrize("multiplied", [True, False])
def test_errors_are_made_good_in_the_columns_behind(multiplied):
    weights = RNG.normal(0, 1, (40, 131)).astype(np.float32)  # odd, and more than a block
    mixed = RNG.normal(0, 1, (131, 131)) * np.exp(RNG.normal(0, 1, 131))  # inputs that depend on one another
    seen, unseen = ((RNG.normal(0, 1, (600, 131)) @ mixed).astype(np.float32) for _ in range(2))
    plain = quantise_matrix(weights, gram=gram_of(seen), multiplied=multiplied, feed_back=False)
    fed = quantise_matrix(weights, gram=gram_of(seen), multiplied=multiplied)
    fed.check("w", multiplied=multiplied)
    assert output_error(weights, fed, unseen) < 0.8 * output_error(weights, plain, unseen)
    assert np.abs(fed.values).max() <= LARGEST


def test_inputs_that_are_always_zero_do_no_harm():
    weights = RNG.normal(0, 1, (5, 12)).astype(np.float32)
    for gram in (np.zeros((12, 12), np.float32), np.diag([1.0] * 6 + [0.0] * 6).astype(np.float32)):
        matrix = quantise_matrix(weights, gram=gram)
        matrix.check("w", multiplied=True)
        np.testing.assert_allclose(matrix.product()[:, :6], weights[:, :6], atol=0.05)


def test_input_scales_are_folded_in_by_their_inverse():
    weights = RNG.normal(0, 1, (8, 33)).astype(np.float32)
    scales = np.exp(RNG.normal(0, 0.5, 33)).astype(np.float32)
    matrix = quantise_matrix(weights, input_scales=scales)
    assert matrix.input_scales is scales
    np.testing.assert_allclose(matrix.product(), weights, atol=0.08)
    np.testing.assert_allclose(
        matrix.values * matrix.scales[:, None], weights / scales, atol=0.03 * np.abs(weights / scales).max()
    )


@pytest.mark.parametrize("columns", [1, 2, 5, 8])
def test_the_last_column_of_an_odd_row_stands_alone(columns):
    weights = np.full((2, columns), 1.0, np.float32)
    values = quantise_matrix(weights).values
    if columns % 2:
        assert (values[:, -1] <= LARGEST).all()
    assert largest_pair(values) <= LARGEST_PAIR
