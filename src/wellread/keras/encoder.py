"""The encoder as a Keras 3 layer: trains and infers on TensorFlow, JAX and PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from wellread.encoder.heads import LOGITS_OUTPUT, judged_from, run
from wellread.errors import InputError
from wellread.keras.core import Core, shared_config
from wellread.keras.inputs import checked
from wellread.keras.masked_lm import MaskedLM
from wellread.keras.weights import set_trainable
from wellread.module import DEFAULT_OUTPUTS, Module
from wellread.text.tokenizer import Tokenizer


@dataclass(slots=True, eq=False)
class Untracked:
    """Holds a layer that Keras shall not count among its owner's: the head's weights are not the encoder's."""

    layer: MaskedLM | None


@keras.saving.register_keras_serializable(package="wellread")
class Encoder(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """A text encoder under TF Hub's contract.

    Called on a dict of `input_word_ids`, `input_mask`, `input_type_ids`, int32 [B, T] (DistilBERT takes the first two
    and passes over the third), it returns `pooled_output` [B, D], `sequence_output` [B, T, D], `encoder_outputs` (L of
    [B, T, D]) and, in the family of BERT, `default`, the same as `pooled_output`; of a fine-tuned module also its
    `logits`, [B, C] or [B, T, C]. Dropout is on where `training` is.

    `source` is a handle, a Module or a Checkpoint. A saved model holds weights, shape and vocabulary; loading it needs
    no `source`. Layers made of one encoder share its weights, and with them what `trainable` was last set to.

    Raises: as `wellread.load`; InputError for inputs that do not fit.
    """

    def __init__(self, source: Any = "default", *, trainable: bool = True, **options: Any) -> None:
        """Read the weights, those of the masked-language-model head included."""
        super().__init__(**options)
        self._convert_input_args, self._allow_non_tensor_positional_args = False, True  # `checked` sees to them
        core = source if isinstance(source, Core) else Core(source, name=f"{self.name}_core", dtype=self.dtype_policy)
        self.core = core
        self.built = True
        mlm = MaskedLM(core, name=f"{self.name}_mlm", dtype=self.dtype_policy) if core.spec.mlm else None
        self._mlm = Untracked(mlm)
        set_trainable(self, trainable)

    @property
    def mlm(self) -> MaskedLM:
        """The same weights under the masked-language-model head. Raises: InputError where there is none."""
        if self._mlm.layer is None:
            raise InputError(
                "the masked-language-model head was asked for; this encoder has none; load one that was saved with it"
            )
        return self._mlm.layer

    def __call__(self, inputs: Any, *args: Any, **options: Any) -> Any:
        """Check the inputs and run."""
        return super().__call__(checked(self.core.config, inputs), *args, **options)

    def call(self, inputs: Mapping[str, Any], training: bool | None = None) -> dict[str, Any]:
        """Run the encoder; `training` switches dropout on."""
        tensors = {name: ops.cast(tensor, "int32") for name, tensor in inputs.items()}
        spec, operations = self.core.spec, self.core.operations(training=training)
        wanted = (*DEFAULT_OUTPUTS, LOGITS_OUTPUT) if self._judges else DEFAULT_OUTPUTS
        made = run(operations, spec.config, spec.sentence, tensors, outputs=wanted, head=spec.head)
        return {**made, **({"default": made["pooled_output"]} if self._has_default else {})}

    def compute_output_spec(self, inputs: Mapping[str, Any], training: bool | None = None) -> dict[str, Any]:
        """Return the shapes of the outputs."""
        made = self.core.output_spec(inputs, self.compute_dtype)
        pooled, head = made["pooled_output"], self.core.spec.head
        if head is not None and head.outputs:
            judged = made["sequence_output" if judged_from(head) == "sequence_output" else "pooled_output"]
            made[LOGITS_OUTPUT] = keras.KerasTensor((*judged.shape[:-1], head.outputs), pooled.dtype)
        return {**made, **({"default": keras.KerasTensor(pooled.shape, pooled.dtype)} if self._has_default else {})}

    @property
    def _has_default(self) -> bool:
        return self.core.spec.family == "bert"

    @property
    def _judges(self) -> bool:
        head = self.core.spec.head
        return head is not None and head.outputs > 0

    def to_module(self, tokenizer: Tokenizer | None = None) -> Module:
        """Return the weights as they are now as a Module, to be run elsewhere, saved or exported.

        Raises: InputError where no tokenizer is given and `source` came without one.
        """
        return self.core.to_module(tokenizer)

    def get_config(self) -> dict[str, Any]:
        """Return what the layer is made of, but for its weights."""
        return {**super().get_config(), "source": shared_config(self.core)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Encoder:
        """Make the layer that `get_config` described; `keras.models.load_model` then fills it."""
        return cls(**{**config, "source": keras.saving.deserialize_keras_object(config["source"])})
