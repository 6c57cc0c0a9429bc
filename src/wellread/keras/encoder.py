"""The encoder as a Keras 3 layer: trains and infers on TensorFlow, JAX and PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from wellread.backends.keras import KerasOps, is_kernel, transposed
from wellread.checkpoints.checkpoint import Checkpoint, in_memory
from wellread.checkpoints.families import FAMILIES
from wellread.checkpoints.names import head_shapes, sentence_shapes, shapes
from wellread.config import EncoderConfig
from wellread.encoder.encoder import INPUTS
from wellread.encoder.heads import LOGITS_OUTPUT, MLM_INPUT, MLM_OUTPUT, head_input, run
from wellread.encoder.inputs import DEFAULT_OUTPUTS, check_shapes
from wellread.errors import InputError, WeightsError, nearest
from wellread.keras.source import from_json, read_encoder
from wellread.module import Module
from wellread.text.tokenizer import Tokenizer

# -- variables and inputs --------------------------------------------------------------------------------------------


def variable_name(name: str) -> str:
    """Name a variable: PyTorch allows no dots in a parameter's name.

    >>> variable_name("pooler.dense.bias")
    'pooler_dense_bias'
    """
    return name.replace(".", "_")


def variable_shape(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of a variable: that of the tensor, but dense maps are [in, out]."""
    return shape[::-1] if is_kernel(name, shape) else shape


def initializer(name: str, config: EncoderConfig) -> Any:
    """Draw fresh weights as BERT's are: normal with deviation `initializer_range`, cut at two; ones and zeros else."""
    if name.endswith("bias"):
        return keras.initializers.Zeros()
    if name.endswith("LayerNorm.weight"):
        return keras.initializers.Ones()
    return keras.initializers.TruncatedNormal(stddev=config.initializer_range)


def set_trainable(layer: Any, value: bool) -> None:
    """Say of a layer, and of those inside it, whether they train.

    Keras on TensorFlow passes over an assignment that changes nothing on the outside, whatever the state within.
    """
    layer.trainable = not value
    layer.trainable = value


def assign(variables: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
    """Fill every variable from the array of its name.

    Raises: WeightsError that lists every name or shape that differs.
    """
    faults = [f"{name} is missing" for name in variables.keys() - arrays.keys()]
    faults += [f"{name} is surplus{nearest(name, variables)}" for name in arrays.keys() - variables.keys()]
    faults += [
        f"{name} has shape {list(arrays[name].shape)} where the layer has {list(variables[name].shape)}"
        for name in variables.keys() & arrays.keys()
        if tuple(variables[name].shape) != tuple(arrays[name].shape)
    ]
    if faults:
        raise WeightsError(
            f"the weights of an encoder layer were to be loaded; found that {'; '.join(sorted(faults))}; "
            "load those that were saved with it"
        )
    for name, variable in variables.items():
        variable.assign(arrays[name])


def _checked(config: EncoderConfig, inputs: Any, *, mlm: bool = False) -> dict[str, Any]:
    """Return the inputs as tensors of whole numbers [B, T], and with `mlm` the positions [B, P].

    A family without type table takes its two inputs and passes over a third. Symbolic inputs are checked too.

    Raises: InputError for what is no dict, for names that are missing or unknown, for anything but whole numbers of two
        dimensions, for more tokens than positions.
    """
    positions = [MLM_INPUT] if mlm else []
    needed = (*(INPUTS if config.reads_types else INPUTS[:2]), *positions)
    if not isinstance(inputs, Mapping):
        raise InputError(
            f"inputs must be a dict of {', '.join(needed)}; found {type(inputs).__name__}; name each of them"
        )
    names = (*INPUTS, *positions)
    faults = [f"add {name}" for name in needed if name not in inputs]
    faults += [f"remove {name}{nearest(name, names)}" for name in inputs if name not in names]
    if faults:
        raise InputError(
            f"inputs must be {', '.join(needed)}; found {', '.join(map(str, inputs))}; {', '.join(faults)}"
        )
    tensors = {name: _tensor(name, inputs[name]) for name in names if name in inputs}
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items() if name != MLM_INPUT}
    check_shapes(config, shapes, advice="ask the preprocessor for less")
    return tensors


def _tensor(name: str, value: Any) -> Any:
    """Make a tensor of what is none yet; refuse what does not hold whole numbers."""
    tensor = value if isinstance(value, keras.KerasTensor) else ops.convert_to_tensor(value)
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    if "int" not in dtype or len(tensor.shape) != 2:
        raise InputError(
            f"{name} must be whole numbers of shape [batch, tokens]; found {dtype} of shape {list(tensor.shape)}; "
            "pass what the preprocessor returns, or inputs of dtype int32"
        )
    return tensor


class Untracked:
    """Holds what Keras shall not count among a layer's own, as it does what lies in attributes, lists and dicts."""

    def __init__(self, value: Any) -> None:
        """Take anything."""
        self.value = value


# -- layers ----------------------------------------------------------------------------------------------------------


@keras.saving.register_keras_serializable(package="wellread")
class Core(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Variables by the names of their tensors; saved and loaded whole, whichever face of them a model uses."""

    def __init__(self, source: Any, **options: Any) -> None:
        """Make every variable, and fill it from `source`: see `read_encoder`."""
        super().__init__(**options)
        self.spec, checkpoint = read_encoder(source)
        self.seeds = keras.random.SeedGenerator()
        bare = shapes(self.config) | head_shapes(self.config, self.spec.head)
        whole = shapes(self.config, mlm=self.spec.mlm)
        self.tensors = {name: self._weight(name, shape) for name, shape in bare.items()}
        maps = sentence_shapes(self.spec.sentence)
        self.maps = {name: self._weight(name, shape, trainable=False) for name, shape in maps.items()}
        # the masked-language-model head is not among the encoder's variables
        self.head = Untracked(
            {
                name: keras.Variable(
                    initializer(name, self.config),
                    variable_shape(name, shape),
                    self.variable_dtype,
                    name=variable_name(name),
                )
                for name, shape in whole.items()
                if name not in bare
            }
        )
        self.built = True
        if checkpoint is not None:
            arrays = checkpoint.arrays()
            assign(self.all_tensors(), {name: transposed(name, array) for name, array in arrays.items()})

    def _weight(self, name: str, shape: tuple[int, ...], *, trainable: bool = True) -> Any:
        options = {"shape": variable_shape(name, shape), "initializer": initializer(name, self.config)}
        return self.add_weight(name=variable_name(name), trainable=trainable, **options)

    @property
    def config(self) -> EncoderConfig:
        """The shape and arithmetic."""
        return self.spec.config

    def all_tensors(self) -> dict[str, Any]:
        """Return the variables of encoder, sentence vector and heads."""
        return {**self.tensors, **self.maps, **self.head.value}

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
            config=FAMILIES[self.spec.family].with_padding(self.config, tokenizer.special.pad),
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
        self._convert_input_args, self._allow_non_tensor_positional_args = False, True  # `_checked` sees to them
        self.core = core
        self.head = list(core.head.value.values())  # now they are among this layer's weights
        for variable in self.head if not self.trainable else []:
            variable.trainable = False
        self.built = True

    def __call__(self, inputs: Any, *args: Any, **options: Any) -> Any:
        """Check the inputs and run."""
        return super().__call__(_checked(self.core.config, inputs, mlm=True), *args, **options)

    def call(self, inputs: Mapping[str, Any], training: bool | None = None) -> dict[str, Any]:
        """Run encoder and head; `training` switches dropout on."""
        tensors = {name: ops.cast(tensor, "int32") for name, tensor in inputs.items()}
        operations = self.core.operations(training=training)
        return run(
            operations, self.core.config, self.core.spec.sentence, tensors, outputs=(*DEFAULT_OUTPUTS, MLM_OUTPUT)
        )

    def compute_output_spec(self, inputs: Mapping[str, Any], training: bool | None = None) -> dict[str, Any]:
        """Return the shapes of the outputs."""
        scores = (*inputs[MLM_INPUT].shape, self.core.config.vocab_size)
        outputs = self.core.output_spec(inputs, self.compute_dtype)
        return {**outputs, MLM_OUTPUT: keras.KerasTensor(scores, self.compute_dtype)}

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
        self._convert_input_args, self._allow_non_tensor_positional_args = False, True  # `_checked` sees to them
        core = source if isinstance(source, Core) else Core(source, name=f"{self.name}_core", dtype=self.dtype_policy)
        self.core = core
        self.built = True
        mlm = MaskedLM(core, name=f"{self.name}_mlm", dtype=self.dtype_policy) if core.spec.mlm else None
        self._mlm = Untracked(mlm)
        set_trainable(self, trainable)

    @property
    def mlm(self) -> MaskedLM:
        """The same weights under the masked-language-model head. Raises: InputError where there is none."""
        if self._mlm.value is None:
            raise InputError(
                "the masked-language-model head was asked for; this encoder has none; load one that was saved with it"
            )
        return self._mlm.value

    def __call__(self, inputs: Any, *args: Any, **options: Any) -> Any:
        """Check the inputs and run."""
        return super().__call__(_checked(self.core.config, inputs), *args, **options)

    def call(self, inputs: Mapping[str, Any], training: bool | None = None) -> dict[str, Any]:
        """Run the encoder; `training` switches dropout on."""
        tensors = {name: ops.cast(tensor, "int32") for name, tensor in inputs.items()}
        spec, operations = self.core.spec, self.core.operations(training=training)
        names = (*DEFAULT_OUTPUTS, LOGITS_OUTPUT) if spec.head is not None and spec.head.outputs else DEFAULT_OUTPUTS
        outputs = run(operations, spec.config, spec.sentence, tensors, outputs=names, head=spec.head)
        return {**outputs, **({"default": outputs["pooled_output"]} if spec.family == "bert" else {})}

    def compute_output_spec(self, inputs: Mapping[str, Any], training: bool | None = None) -> dict[str, Any]:
        """Return the shapes of the outputs."""
        outputs, head = self.core.output_spec(inputs, self.compute_dtype), self.core.spec.head
        pooled = outputs["pooled_output"]
        if head is not None and head.outputs:
            source = outputs["sequence_output" if head_input(head) == "sequence_output" else "pooled_output"]
            outputs[LOGITS_OUTPUT] = keras.KerasTensor((*source.shape[:-1], head.outputs), pooled.dtype)
        if self.core.spec.family == "bert":
            outputs["default"] = keras.KerasTensor(pooled.shape, pooled.dtype)
        return outputs

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
