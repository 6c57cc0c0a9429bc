"""The weights that an Encoder and its `.mlm` share, as a Keras 3 layer that neither of them owns alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import keras
from keras import ops

from wellread.backends.keras import KerasOps, transposed
from wellread.config import EncoderConfig
from wellread.errors import InputError
from wellread.keras.spec import EncoderSpec, origin
from wellread.keras.tokenizer_json import from_json
from wellread.keras.weights import assign, initializer, laid_out, place
from wellread.module import Module
from wellread.text.tokenizer import Tokenizer
from wellread.weights.checkpoint import Checkpoint, in_memory
from wellread.weights.names import head_shapes, sentence_shapes, shapes


@dataclass(slots=True, eq=False)
class Head:
    """The variables of the masked-language-model head, out of Keras' sight: they are not among the encoder's."""

    tensors: dict[str, Any] = field(default_factory=dict)


@keras.saving.register_keras_serializable(package="wellread")
class Core(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Variables by the names of their tensors; saved and loaded whole, whichever face of them a model uses."""

    def __init__(self, source: Any, **options: Any) -> None:
        """Make every variable, and fill it from `source`: see `spec.origin`."""
        super().__init__(**options)
        found = origin(source)
        self.spec: EncoderSpec = found.spec
        self.seeds = keras.random.SeedGenerator()
        bare = shapes(self.config) | head_shapes(self.config, self.spec.head)
        whole = shapes(self.config, mlm=self.spec.mlm)
        self.tensors = {name: self._weight(name, shape) for name, shape in bare.items()}
        maps = sentence_shapes(self.spec.sentence)
        self.maps = {name: self._weight(name, shape, trainable=False) for name, shape in maps.items()}
        self.head = Head({name: self._free(name, shape) for name, shape in whole.items() if name not in bare})
        self.built = True
        if found.checkpoint is not None:
            arrays = found.checkpoint.arrays()
            assign(self.all_tensors(), {name: transposed(name, array) for name, array in arrays.items()})

    def _weight(self, name: str, shape: tuple[int, ...], *, trainable: bool = True) -> Any:
        """Make a variable that is among this layer's."""
        drawn = initializer(name, self.config)
        return self.add_weight(name=place(name), shape=laid_out(name, shape), initializer=drawn, trainable=trainable)

    def _free(self, name: str, shape: tuple[int, ...]) -> Any:
        """Make a variable that is not."""
        drawn = initializer(name, self.config)
        return keras.Variable(drawn, laid_out(name, shape), self.variable_dtype, name=place(name))

    @property
    def config(self) -> EncoderConfig:
        """The shape and arithmetic."""
        return self.spec.config

    def all_tensors(self) -> dict[str, Any]:
        """Return the variables of encoder, sentence vector and heads."""
        return {**self.tensors, **self.maps, **self.head.tensors}

    def operations(self, *, training: bool | None) -> KerasOps:
        """Return the primitives over all of them; `training` switches dropout on."""
        return KerasOps(self.all_tensors(), seeds=self.seeds if training else None)

    def output_spec(self, inputs: Mapping[str, Any], dtype: str) -> dict[str, Any]:
        """Return the shapes of what every face returns; a length that is known stays known."""
        batch, tokens = inputs["input_word_ids"].shape
        width = self.config.hidden_size
        layers = [keras.KerasTensor((batch, tokens, width), dtype) for _ in range(self.config.num_hidden_layers)]
        return {
            "pooled_output": keras.KerasTensor((batch, width), dtype),
            "sequence_output": keras.KerasTensor((batch, tokens, width), dtype),
            "encoder_outputs": layers,
        }

    def to_module(self, tokenizer: Tokenizer | None) -> Module:
        """Return the weights as they are now as a Module; see `Encoder.to_module`."""
        if tokenizer is None and not self.spec.tokenizer:
            raise InputError(
                "a Module needs a tokenizer; this encoder was made without one; pass to_module(preprocessor.tokenizer)"
            )
        arrays = {name: transposed(name, ops.convert_to_numpy(v)) for name, v in self.all_tensors().items()}
        tokenizer = tokenizer or from_json(self.spec.tokenizer)
        checkpoint = Checkpoint(
            family=self.spec.family,
            config=replace(self.config, pad_token_id=tokenizer.special.pad),
            sentence=self.spec.sentence,
            head=self.spec.head,
            tensors=in_memory(arrays),
        )
        return Module(checkpoint=checkpoint, tokenizer=tokenizer, provenance=self.spec.provenance)

    def get_config(self) -> dict[str, Any]:
        """Return what the layer is made of, but for its weights."""
        return {**super().get_config(), "source": self.spec.to_json()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Core:
        """Make the layer that `get_config` described; errors keep their kind, which Keras' own would not do."""
        return cls(**config)

    def save_own_variables(self, store: Any) -> None:
        """Save the variables by the names of their tensors."""
        for name, variable in self.all_tensors().items():
            store[name] = variable

    def load_own_variables(self, store: Any) -> None:
        """Load what `save_own_variables` saved. Raises: WeightsError where it does not fit."""
        names = list(store.keys())  # a file of Keras' can do no more
        assign(self.all_tensors(), {name: store[name] for name in names})


def shared_config(core: Core) -> dict[str, Any]:
    """Describe a core so that all who are loaded from one file with it get the same one.

    Keras marks what it meets twice, but loses the mark of the first where the object is nested in another's config.
    """
    return {**keras.saving.serialize_keras_object(core), "shared_object_id": id(core)}
