"""The encoder as a Keras 3 layer: trains and infers on TensorFlow, JAX and PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import keras
from keras import ops

from wellread.backends.keras import KerasOps, transposed
from wellread.checkpoints.checkpoint import Checkpoint, in_memory
from wellread.checkpoints.names import head_shapes, sentence_shapes, shapes
from wellread.config import EncoderConfig
from wellread.encoder.heads import LOGITS_OUTPUT, MLM_INPUT, MLM_OUTPUT, head_input, run
from wellread.errors import InputError
from wellread.keras.source import EncoderSpec, from_json, origin
from wellread.keras.weights import assign, checked, initializer, laid_out, place, set_trainable
from wellread.module import DEFAULT_OUTPUTS, Module
from wellread.text.tokenizer import Tokenizer


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
            judged = made["sequence_output" if head_input(head) == "sequence_output" else "pooled_output"]
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
