"""`map` of datasets adds vectors, in processes of its own, and computes anew for another module."""

import numpy as np
import pytest
from datasets import Dataset

from wellread.errors import InputError
from wellread.integrations.datasets import WellreadMapper

TEXTS = ["the man runs", "a cat sleeps", "the flute of france", "a woman"]


@pytest.fixture
def rows(tmp_path):
    """Rows that lie on disk, so that there is a cache."""
    Dataset.from_dict({"line": TEXTS}).save_to_disk(tmp_path / "rows")
    return Dataset.load_from_disk(tmp_path / "rows")


def test_map_adds_a_column_of_vectors(module, rows):
    mapper = WellreadMapper(module, column="line", output_column="vector", precision="f32", prompt_name="query")
    found = rows.map(mapper, batched=True, batch_size=3)
    assert found.column_names == ["line", "vector"]
    expected = module.encode(TEXTS, prompt_name="query", precision="f32")
    np.testing.assert_allclose(np.array(found["vector"], np.float32), expected, rtol=0, atol=1e-5)


def test_processes_load_the_module_themselves(directory, module, rows):
    found = rows.map(WellreadMapper(directory, column="line"), batched=True, num_proc=2)
    np.testing.assert_allclose(np.array(found["embedding"], np.float32), module.encode(TEXTS), rtol=0, atol=1e-2)


def test_the_cache_knows_the_module_by_its_fingerprint(directory, another, rows):
    first = rows.map(WellreadMapper(directory, column="line"), batched=True)
    again = rows.map(WellreadMapper(directory, column="line"), batched=True)
    assert again.cache_files == first.cache_files
    another.save(directory, overwrite=True)
    anew = rows.map(WellreadMapper(directory, column="line"), batched=True)
    assert anew.cache_files != first.cache_files
    np.testing.assert_allclose(np.array(anew["embedding"], np.float32), another.encode(TEXTS), rtol=0, atol=1e-2)


def test_one_row_and_a_missing_column_are_refused(module, rows):
    with pytest.raises(InputError, match="a batch of rows was expected; found one row; pass batched=True to map"):
        rows.map(WellreadMapper(module, column="line"))
    with pytest.raises(InputError, match="the column text was expected; found line; pass the column of the texts"):
        rows.map(WellreadMapper(module), batched=True)
