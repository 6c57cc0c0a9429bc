"""The peer of our SavedModel computes what the reference computes, whatever the family."""

import keras
import numpy as np
import pytest
from tiny import tiny_checkpoint, tiny_config, tiny_inputs

from benchmarks.keras_encoder import keras_encoder
from wellread.backends.backend import load_backend
from wellread.config import ACTIVATIONS

OUTPUTS = ["pooled_output", "sequence_output", "encoder_outputs"]
CONFIGS = {
    "no types": tiny_config(type_vocab_size=0, pooler="first_token"),
    **{name: tiny_config(hidden_act=name) for name in ACTIVATIONS},
}


@pytest.mark.parametrize("kind", CONFIGS)
def test_agrees_with_float64(kind: str) -> None:
    checkpoint = tiny_checkpoint(CONFIGS[kind])
    batch = {name: array[:2] for name, array in tiny_inputs().items()}  # the third row has no key to attend to
    model = keras_encoder(checkpoint)
    made = model.predict_on_batch({name: batch[name] for name in model.input})
    reference = load_backend("numpy", checkpoint).run(batch, OUTPUTS)
    for name in OUTPUTS:
        expected = np.asarray(reference[name])
        assert np.abs(np.asarray(made[name]) - expected).max() <= 1e-5 * max(1, np.abs(expected).max())


def test_holds_every_weight_of_the_encoder() -> None:
    checkpoint = tiny_checkpoint(mlm=False)
    model = keras_encoder(checkpoint)
    assert model.count_params() == checkpoint.num_parameters
    assert isinstance(model, keras.Model)
