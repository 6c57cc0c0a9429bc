"""dtypes: every number type becomes what `StoredTensor.read` promises."""

import subprocess
import sys

import numpy as np
import pytest

from wellread.errors import CheckpointError
from wellread.formats.arrays import LAYOUTS, decode, map_words, num_bytes, read_words

INTEGERS = [name for name in LAYOUTS if "int" in name]


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_stay_as_they_are(dtype):
    ends = [np.iinfo(dtype).min, 0, np.iinfo(dtype).max]
    array = decode(np.array(ends, LAYOUTS[dtype]), dtype, what="t")
    assert array.dtype == np.dtype(dtype)
    assert array.tolist() == ends


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_floats_become_float32(dtype):
    array = decode(np.array([[1.5, -0.0], [np.inf, np.nan]], LAYOUTS[dtype]).T, dtype, what="t")
    assert array.dtype == np.float32
    assert array.flags.c_contiguous
    np.testing.assert_array_equal(array, np.array([[1.5, np.inf], [-0.0, np.nan]], np.float32))


def test_bfloat16_of_any_strides_becomes_contiguous_float32():
    words = np.array([[0x3F80, 0xC000, 0x7F80], [0x0001, 0xFF80, 0x8000]], np.uint16)
    array = decode(words.T, "bfloat16", what="t")
    assert array.flags.c_contiguous
    np.testing.assert_array_equal(array, [[1, 2.0**-133], [-2, -np.inf], [np.inf, -0.0]])


@pytest.mark.parametrize("dtype", LAYOUTS)
def test_a_scalar_stays_an_array(dtype):
    array = decode(np.zeros((), LAYOUTS[dtype]), dtype, what="t")
    assert isinstance(array, np.ndarray)
    assert array.shape == ()


def test_any_byte_but_0_is_true():
    array = decode(np.array([0, 1, 7], np.uint8), "bool", what="t")
    assert array.view(np.uint8).tolist() == [0, 1, 1]


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_a_signalling_nan_stays_a_nan(dtype):
    layout = LAYOUTS[dtype]
    bits = 0x7C01 if dtype == "float16" else 0x7FF0_0000_0000_0001
    words = np.array([bits], f"<u{layout.itemsize}").view(layout)
    assert np.isnan(decode(words, dtype, what="t")).all()


def test_a_number_too_small_becomes_0_and_one_too_large_is_refused():
    assert decode(np.array([1e-300]), "float64", what="t").tolist() == [0]
    with pytest.raises(CheckpointError, match=r"t was to be read as float32; found a float64 beyond 3\.4e\+38; scale"):
        decode(np.array([1e300]), "float64", what="t")


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((), 2), ((3, 7), 42), ((0, 7), 0), ((1,) * 64, 2), ((1,) * 65, None), ((2**62,), None), ((0, 2**62, 2), None)],
)
def test_num_bytes_knows_what_numpy_can_hold(shape, expected):
    assert num_bytes(shape, "float16") == expected
    if expected is not None:
        assert np.empty(shape, np.float16).nbytes == expected


def test_words_that_are_not_there_are_named(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(bytes(10))
    assert len(read_words(path, "int16", 3, offset=4)) == 3
    with pytest.raises(CheckpointError, match="was to hold 8 bytes from byte 4; found 6, so it was cut"):
        read_words(path, "int16", 4, offset=4)


@pytest.mark.parametrize("offset", [0, 8, 4096 + 8, 2, 3])
@pytest.mark.parametrize("count", [3, 40_000])
def test_mapped_words_are_those_that_are_read(tmp_path, offset, count):
    path = tmp_path / "f"
    path.write_bytes(np.random.default_rng(0).bytes(offset + 4 * count + 5))
    mapped, read = (take(path, "float32", count, offset=offset) for take in (map_words, read_words))
    assert mapped.tobytes() == read.tobytes()
    assert mapped.flags.aligned
    assert not mapped.flags.writeable


def test_a_large_tensor_takes_no_memory_until_it_is_used(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(bytes(64 << 20))
    code = (
        "import sys; from pathlib import Path; from resource import *; from wellread.formats.arrays import map_words\n"
        "def resident(): return int(Path('/proc/self/statm').read_text().split()[1]) * getpagesize()\n"
        "before = resident(); words = map_words(Path(sys.argv[1]), 'float32', 16 << 20, offset=0); print(words[-1])\n"
        "print(resident() - before < 8 << 20); total = words.sum(); print(resident() - before > 60 << 20)"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0.0", "True", "True"]


def test_a_file_that_is_replaced_or_removed_stays_under_its_views(tmp_path):
    path, other = tmp_path / "f", tmp_path / "g"
    path.write_bytes(bytes(100_000))
    words = map_words(path, "uint8", 100_000, offset=0)
    other.write_bytes(b"\1" * 100_000)
    other.replace(path)
    assert not words.any()
    path.unlink()
    assert not words.any()


def test_mapped_words_that_are_not_there_are_named(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(bytes(100_000))
    with pytest.raises(CheckpointError, match="was to hold 100000 bytes from byte 1; found 99999, so it was cut"):
        map_words(path, "uint8", 100_000, offset=1)
    with pytest.raises(CheckpointError, match="was to hold 70000 bytes from byte 200000; found 0, so it was cut"):
        map_words(path, "uint8", 70_000, offset=200_000)
