"""What the tests of the Keras layers do often."""

from __future__ import annotations

import keras
import numpy as np
import pytest

# Keras' own: its variables do not know NumPy 2's `copy`.
KERAS_WARNS = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def numpy_of(tensor):
    return keras.ops.convert_to_numpy(tensor)


def assert_near(ours, reference):
    """Compare outputs by name, to 1e-5 of the largest number."""
    for name in ours:
        made, wanted = (
            [numpy_of(x) for x in v] if isinstance(v, list) else numpy_of(v) for v in (ours[name], reference[name])
        )
        assert np.shape(made) == np.shape(wanted), name
        assert np.abs(np.subtract(made, wanted)).max() <= 1e-5 * max(1, np.abs(wanted).max()), name


def symbols(arrays):
    """Symbolic inputs for arrays, their lengths static."""
    return {name: keras.Input(array.shape[1:], dtype="int32", name=name) for name, array in arrays.items()}


def spread(layer, inputs, **options):
    """How much `pooled_output` varies over repeated calls."""
    drawn = [numpy_of(layer(inputs, **options)["pooled_output"]) for _ in range(20)]
    return np.std(drawn, axis=0).max()


def reloaded(model, directory):
    """Save a model, forget it, and load it."""
    model.save(directory / "model.keras")
    return keras.models.load_model(directory / "model.keras")
