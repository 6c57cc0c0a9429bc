"""`KerasLayer`, `load`, `pull_from_hub` and `push_to_hub` under Keras 3, with the signatures of tensorflow-hub's."""

from __future__ import annotations

import importlib.util
import inspect
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from wellread.errors import InputError, nearest
from wellread.export.tfhub import PACKAGES, export_tfhub
from wellread.hub.push import Upload
from wellread.keras.encoder import Encoder, set_trainable
from wellread.keras.preprocessor import Preprocessor
from wellread.keras.source import Text, read_source
from wellread.module import Module


def load(handle: str | os.PathLike[str], **options: Any) -> Encoder | Preprocessor:
    """Load what a handle names as a layer: an Encoder, or a Preprocessor; options as for `wellread.load`.

    Handles are those of `wellread.load`: those of tfhub.dev too, where `wellread revive` has installed them.
    Weights and vocabularies are read as data; no graph that comes with them is run.

    Raises: as `wellread.load`.
    """
    source = read_source(handle, **options)
    if isinstance(source, Text):
        return Preprocessor(source.tokenizer, type_ids=source.type_ids)
    return Encoder(source)


def _part(name: str, holder: type, about: str) -> property:
    """Make a property of a KerasLayer: a layer of the one inside. Raises: InputError where that has none."""

    def part(self: KerasLayer) -> Any:
        if not isinstance(self.inner, holder):
            raise InputError(
                f".{name} was asked for; this KerasLayer holds a {type(self.inner).__name__}, which has none; "
                f"use wellread.keras.{holder.__name__}"
            )
        return getattr(self.inner, name)

    return property(part, doc=about)


@keras.saving.register_keras_serializable(package="wellread")
class KerasLayer(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """What tensorflow-hub's KerasLayer is, for Keras 3.

    `handle` is one of `load`, or a layer such as `encoder.mlm` or `preprocessor.tokenize`. Unless `trainable`, there is
    no dropout even inside `fit`, and no trainable weight. `arguments` are passed on at every call; `output_key` picks
    one of the outputs. The parts of the layer inside are reachable on this one: `.mlm`, `.tokenize`,
    `.tokenize_with_offsets`, `.bert_pack_inputs`.

    Layers over one object share its weights, and with them what `trainable` was last set to.

    Raises: as `load`; InputError for arguments of TF1 and of signatures, and for an unknown `output_key`.
    """

    def __init__(
        self,
        handle: Any,
        trainable: bool = False,
        arguments: Mapping[str, Any] | None = None,
        *,
        tags: Any = None,
        signature: Any = None,
        signature_outputs_as_dict: Any = None,
        output_key: str | None = None,
        output_shape: Any = None,
        load_options: Any = None,
        **options: Any,
    ) -> None:
        """Resolve the handle."""
        super().__init__(**options)
        self._convert_input_args, self._allow_non_tensor_positional_args = False, True  # the layer inside sees to them
        refused = {"tags": tags, "signature": signature, "signature_outputs_as_dict": signature_outputs_as_dict}
        refused |= {"output_shape": output_shape, "load_options": load_options}
        graph_arguments = [f"{name}={value!r}" for name, value in refused.items() if value is not None]
        if graph_arguments:
            raise InputError(
                f"a KerasLayer that reads weights was asked for; found {', '.join(graph_arguments)}, which are for "
                "running the graph of a SavedModel; leave them out"
            )
        self.inner = _layer(handle)
        self.arguments = dict(arguments or {})
        self.output_key = output_key
        self.built = True
        set_trainable(self, trainable)

    @property
    def resolved_object(self) -> Any:
        """The layer inside."""
        return self.inner

    mlm = _part("mlm", Encoder, "The masked-language-model layer of an encoder.")
    tokenize = _part("tokenize", Preprocessor, "The tokenizing layer of a preprocessor.")
    tokenize_with_offsets = _part("tokenize_with_offsets", Preprocessor, "The one that says where tokens stand.")
    bert_pack_inputs = _part("bert_pack_inputs", Preprocessor, "The packing layer of a preprocessor.")

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Run the layer inside."""
        takes_training = "training" in inspect.signature(self.inner.call).parameters
        phase = {"training": bool(training) and self.trainable} if takes_training else {}
        return self._pick(self.inner(inputs, **self.arguments, **phase))

    def compute_output_spec(self, inputs: Any, training: bool | None = None) -> Any:
        """Return the shapes of what the layer inside makes of these inputs; its own checks come first."""
        return self._pick(self.inner(inputs, **self.arguments))

    def _pick(self, outputs: Any) -> Any:
        if self.output_key is None:
            return outputs
        if not isinstance(outputs, Mapping) or self.output_key not in outputs:
            names = list(outputs) if isinstance(outputs, Mapping) else []
            raise InputError(
                f"the output {self.output_key!r} was asked for; the layer makes {', '.join(names) or 'one, unnamed'}; "
                f"choose one of these, or none{nearest(self.output_key, names)}"
            )
        return outputs[self.output_key]

    def get_config(self) -> dict[str, Any]:
        """Return the layer inside and how it is called."""
        inner = keras.saving.serialize_keras_object(self.inner)
        config = {"handle": inner, "arguments": dict(self.arguments), "output_key": self.output_key}
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> KerasLayer:
        """Make the layer that `get_config` described; `keras.models.load_model` then fills it."""
        return cls(**{**config, "handle": keras.saving.deserialize_keras_object(config["handle"])})


def _layer(handle: Any) -> Any:
    """Take a layer as it is, one that is wrapped already out of its wrapping, and load anything else."""
    if isinstance(handle, KerasLayer):
        return handle.inner
    if isinstance(handle, keras.layers.Layer):
        return handle
    if isinstance(handle, str | os.PathLike):
        return load(handle)
    raise InputError(
        f"a KerasLayer is made of a handle or a layer; found {type(handle).__name__}; pass one of these, such as "
        "wellread.keras.Encoder(module)"
    )


def pull_from_hub(repo_id: str, local_files_only: bool = False, trainable: bool = False, **options: Any) -> KerasLayer:
    """Load a repository of the Hugging Face hub as a KerasLayer: a module in any format, or a preprocessor.

    Options are `revision`, `token` and `cache_dir`, as for `wellread.load`. Raises: as `wellread.load`.
    """
    return KerasLayer(load(repo_id, local_files_only=local_files_only, **options), trainable=trainable)


def push_to_hub(
    model: Any,
    repo_id: str,
    folder_path: str | os.PathLike[str],
    path_in_repo: str = "./",
    token: str | None = None,
) -> None:
    """Write an encoder to `folder_path`, as TF Hub's SavedModel, and put it on the Hugging Face hub.

    `model` is a Module, an Encoder or a KerasLayer over one. Where TensorFlow is not installed, a native directory is
    written: that too is a format that `pull_from_hub` reads. It goes there in one commit, and what the hub then holds
    is compared with it. `token` is the stored login's if not given.

    Raises: InputError for any other model and without a login; as `export_tfhub`; HandleError, ExportError for a
        repository that cannot be made or filled, or holds something else. `folder_path` stays whole.
    """
    inner = model.resolved_object if isinstance(model, KerasLayer) else model
    module = inner.to_module() if isinstance(inner, Encoder) else inner
    if not isinstance(module, Module):
        raise InputError(
            f"a Module or an Encoder can be put on the hub; found {type(inner).__name__}; pass the encoder inside, "
            "and save the rest with model.save"
        )
    upload = Upload(repo_id, path=path_in_repo, token=token)  # refuses before anything is written
    if all(importlib.util.find_spec(package) for package in PACKAGES):
        export_tfhub(module, folder_path)
        upload.send(Path(folder_path))
    else:
        module.save(folder_path)
        upload.send(Path(folder_path), card=module.model_card)
