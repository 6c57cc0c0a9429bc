"""formats.int8: what integers stand for, and which of them no CPU may get."""

import pickle

import numpy as np
import pytest

from wellread.errors import WeightsError
from wellread.formats.arrays import int8_tensor
from wellread.formats.int8 import Int8Matrix, largest_pair


def matrix(values, scales=(0.5, 2.0), input_scales=None):
    return Int8Matrix(
        values=np.array(values, np.int8),
        scales=np.array(scales, np.float32),
        input_scales=None if input_scales is None else np.array(input_scales, np.float32),
    )


def test_the_product_is_that_of_the_integers_and_both_scales():
    assert matrix([[1, -2, 3], [4, 0, -6]]).product().tolist() == [[0.5, -1, 1.5], [8, 0, -12]]
    scaled = matrix([[1, -2, 3], [4, 0, -6]], input_scales=[1, 0.5, 2])
    assert scaled.product().tolist() == [[0.5, -0.5, 3], [8, 0, -24]]
    assert scaled.product().dtype == np.float32


def test_rows_are_taken_with_their_scales():
    taken = matrix([[1, -2, 3], [4, 0, -6]], input_scales=[1, 0.5, 2]).take(np.array([1, 1, 0]))
    assert taken.product().tolist() == [[8, 0, -24], [8, 0, -24], [0.5, -0.5, 3]]


@pytest.mark.parametrize(
    ("values", "largest"),
    [([[127, 1]], 128), ([[-128, 0, 5]], 128), ([[1, 2, -128]], 128), ([[127, 127]], 254), ([[-128, -128]], 256)],
)
def test_neighbours_are_counted_in_pairs_from_the_first_column(values, largest):
    assert largest_pair(np.array(values, np.int8)) == largest


def test_the_most_that_a_pair_may_be_fits_16_bits_with_unsigned_inputs():
    matrix([[1, 64, 64, 64, 1, 127], [-64, 64, 0, -128, -127, 1]]).check("w", multiplied=True)
    assert 255 * 128 <= np.iinfo(np.int16).max < 255 * 129


@pytest.mark.parametrize(
    ("faulty", "message"),
    [
        (matrix([[65, 64], [1, 1]]), r"neighbours .* of the int8 matrix w may come to 128 .*; found 129; quantise"),
        (matrix([[1, 1], [1, 1]], scales=(1, 0)), r"row scales .* finite and above 0; found 1 of 2 .* first 0\.0; qu"),
        (matrix([[1, 1], [1, 1]], scales=(-1, np.nan)), r"row scales .*; found 2 of 2 that are not, the first -1\.0"),
        (matrix([[1, 1], [1, 1]], input_scales=(np.inf, 1)), r"input scales .*; found 1 of 2 .* the first inf"),
    ],
)
def test_what_no_product_can_take_is_refused(faulty, message):
    with pytest.raises(WeightsError, match=message):
        faulty.check("w", multiplied=True)


def test_a_table_may_have_large_neighbours():
    matrix([[127, 127], [-127, 127]]).check("words", multiplied=False)


def test_a_pickled_matrix_stays_int8():
    tensor = int8_tensor(matrix([[1, -2], [4, 0]], input_scales=[1, 0.5]))
    back = pickle.loads(pickle.dumps(tensor))
    assert (back.shape, back.dtype, back.nbytes) == ((2, 2), "int8", 4 + 8)
    np.testing.assert_array_equal(back.read(), tensor.read())
    np.testing.assert_array_equal(back.int8().values, [[1, -2], [4, 0]])
