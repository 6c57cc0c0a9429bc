"""The encoder under its masked-language-model head, as a Keras 3 layer over the weights of an Encoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from wellread.encoder.heads import MLM_INPUT, MLM_OUTPUT, run
from wellread.keras.core import Core, shared_config
from wellread.keras.inputs import checked

OUTPUTS = ("pooled_output", "sequence_output", "encoder_outputs", MLM_OUTPUT)


@keras.saving.register_keras_serializable(package="wellread")
class MaskedLM(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """The `.mlm` of an Encoder.

    Takes `masked_lm_positions`, int32 [B, P], beside the encoder's inputs, and returns `mlm_logits` [B, P, V] beside
    its outputs. Its trainable weights are the encoder's and the head's. Positions count from 0, at [CLS]; of padded
    ones the caller weighs the loss with zero.
    """

    def __init__(self, core: Core, **options: Any) -> None:
        """Take the weights where they are."""
        super().__init__(**options)
        self._convert_input_args, self._allow_non_tensor_positional_args = False, True  # `checked` sees to them
        self.core = core
        self.head = list(core.head.tensors.values())  # now they are among this layer's weights
        for variable in self.head if not self.trainable else []:
            variable.trainable = False
        self.built = True

    def __call__(self, inputs: Any, *args: Any, **options: Any) -> Any:
        """Check the inputs and run."""
        return super().__call__(checked(self.core.config, inputs, mlm=True), *args, **options)

    def call(self, inputs: Mapping[str, Any], training: bool | None = None) -> dict[str, Any]:
        """Run encoder and head; `training` switches dropout on."""
        tensors = {name: ops.cast(tensor, "int32") for name, tensor in inputs.items()}
        operations = self.core.operations(training=training)
        return run(operations, self.core.config, self.core.spec.sentence, tensors, outputs=OUTPUTS)

    def compute_output_spec(self, inputs: Mapping[str, Any], training: bool | None = None) -> dict[str, Any]:
        """Return the shapes of the outputs."""
        scores = (*inputs[MLM_INPUT].shape, self.core.config.vocab_size)
        made = self.core.output_spec(inputs, self.compute_dtype)
        return {**made, MLM_OUTPUT: keras.KerasTensor(scores, self.compute_dtype)}

    def get_config(self) -> dict[str, Any]:
        """Return what the layer is made of, but for its weights."""
        return {**super().get_config(), "core": shared_config(self.core)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> MaskedLM:
        """Make the layer that `get_config` described; `keras.models.load_model` then fills it."""
        return cls(**{**config, "core": keras.saving.deserialize_keras_object(config["core"])})

    def save_own_variables(self, store: Any) -> None:
        """Save nothing: the core saves the head with its own weights."""

    def load_own_variables(self, store: Any) -> None:
        """Load nothing: see `save_own_variables`."""
