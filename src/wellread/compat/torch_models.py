"""The legacy packages' models: they take LongTensors, return tuples, and have Hugging Face's state dicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from wellread.backends.torch import TorchEncoder, place
from wellread.checkpoints.checkpoint import Checkpoint
from wellread.checkpoints.families import FAMILIES
from wellread.checkpoints.family import to_theirs
from wellread.encoder.encoder import INPUTS
from wellread.encoder.heads import MLM_INPUT, MLM_OUTPUT
from wellread.errors import InputError

CORE = "core."  # where a module keeps its TorchEncoder


def rename_state_dict(module: nn.Module, checkpoint: Checkpoint, *, prefix: str = "") -> None:
    """Have `module`, whose `core` holds `checkpoint`, save and load its encoder under the names of its family.

    `prefix` stands before them, as under a task's head. Other parameters keep their names. What the family's files
    hold twice is written twice, and must be equal where it is read.
    """
    family = FAMILIES[checkpoint.family]
    parameters = {name: CORE + name for name in checkpoint.tensors}
    names = to_theirs(family, checkpoint.config, parameters, mlm=checkpoint.has_mlm)
    module.names = {prefix + name: parameter for name, parameter in names.items()}
    ties = family.copies if checkpoint.has_mlm else {}
    module.copies = {copy: parameters[name] for copy, name in ties.items() if name in parameters}
    module.register_state_dict_post_hook(_rename_saved)
    module.register_load_state_dict_pre_hook(_rename_loaded)


def _rename_saved(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    copies = {prefix + copy: state[prefix + parameter] for copy, parameter in module.copies.items()}
    for name, parameter in module.names.items():
        state[prefix + name] = state.pop(prefix + parameter)
    state.update(copies)


def _rename_loaded(module: nn.Module, state: dict[str, Any], prefix: str, *arguments: Any) -> None:
    *_, errors = arguments
    for name, parameter in module.names.items():
        if prefix + name in state:
            state[prefix + parameter] = state.pop(prefix + name)
    for copy, parameter in module.copies.items():
        duplicate, original = state.pop(prefix + copy, None), state.get(prefix + parameter)
        if duplicate is not None and original is not None and not torch.equal(duplicate, original):
            errors.append(f"{prefix + copy} must be a copy of another tensor; found that it differs; tie the two")


STATES = ("sequence_output", "embedding_output", "encoder_outputs")


class DistilBertOutput(NamedTuple):
    """What DistilBERT returns."""

    last_hidden_state: Tensor  # [B, T, D]
    hidden_states: tuple[Tensor, ...]  # L + 1 of [B, T, D]: the embedding output, then every layer


class BertOutput(NamedTuple):
    """What BERT returns."""

    last_hidden_state: Tensor  # [B, T, D]
    pooler_output: Tensor  # [B, D]


class HeadOutput(NamedTuple):
    """What a model with a head returns."""

    logits: Tensor  # [B, T, V] of words, [B, C] of classes
    hidden_states: tuple[Tensor, ...]  # as in DistilBertOutput


class LossOutput(NamedTuple):
    """What a classifier returns where labels are given."""

    loss: Tensor  # the mean cross-entropy
    logits: Tensor  # [B, C]
    hidden_states: tuple[Tensor, ...]  # as in DistilBertOutput


class DistilBert(nn.Module):  # type: ignore[misc]  # torch's types are not read
    """A DistilBERT; its state dict bears the names of Hugging Face's."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Copy the encoder's tensors."""
        super().__init__()
        self.core = TorchEncoder(checkpoint)
        rename_state_dict(self, checkpoint)

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> DistilBertOutput:
        """Encode ids [B, T]; the mask is 1 for a token, 0 for padding, and all ones where none is given."""
        outputs = _run(self.core, STATES, ids=input_ids, mask=attention_mask)
        return DistilBertOutput(outputs["sequence_output"], _states(outputs))


class Bert(nn.Module):  # type: ignore[misc]
    """A BERT with its pooler; its state dict bears the names of Hugging Face's."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Copy the encoder's tensors."""
        super().__init__()
        self.core = TorchEncoder(checkpoint)
        rename_state_dict(self, checkpoint)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, token_type_ids: Tensor | None = None
    ) -> BertOutput:
        """Encode ids [B, T]; type ids are 0 where none are given."""
        names = ("sequence_output", "pooled_output")
        outputs = _run(self.core, names, ids=input_ids, mask=attention_mask, types=token_type_ids)
        return BertOutput(outputs["sequence_output"], outputs["pooled_output"])


class MaskedLM(nn.Module):  # type: ignore[misc]
    """A BERT or DistilBERT under its masked-language-model head; its state dict bears the names of Hugging Face's."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Copy the tensors of encoder and head."""
        super().__init__()
        self.core = TorchEncoder(checkpoint)
        rename_state_dict(self, checkpoint)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, token_type_ids: Tensor | None = None
    ) -> HeadOutput:
        """Score every piece at every position of ids [B, T]."""
        everywhere = {MLM_INPUT: torch.arange(input_ids.shape[-1], device=input_ids.device).expand(input_ids.shape)}
        names = (*STATES, MLM_OUTPUT)
        outputs = _run(self.core, names, ids=input_ids, mask=attention_mask, types=token_type_ids, **everywhere)
        return HeadOutput(outputs[MLM_OUTPUT], _states(outputs))


class Classifier(nn.Module):  # type: ignore[misc]
    """A DistilBERT under a classifier of position 0."""

    def __init__(self, checkpoint: Checkpoint, head: Mapping[str, NDArray[np.generic]], dropout: float) -> None:
        """Copy the encoder's tensors and the head's: one linear map, or `pre_classifier` and another."""
        super().__init__()
        self.core = TorchEncoder(checkpoint)
        for name, array in head.items():
            place(self, name, array)
        self.dropout = dropout
        self.maps = sorted({name.rpartition(".")[0] for name in head}, key=lambda name: name != "pre_classifier")
        rename_state_dict(self, checkpoint, prefix=f"{checkpoint.family}.")

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, labels: Tensor | None = None
    ) -> HeadOutput | LossOutput:
        """Score the classes of ids [B, T]; with labels [B] the mean cross-entropy comes first."""
        outputs = _run(self.core, STATES, ids=input_ids, mask=attention_mask)
        x = outputs["sequence_output"][:, 0]
        for name in self.maps[:-1]:
            x = functional.relu(self._linear(x, name))
        logits = self._linear(functional.dropout(x, self.dropout, self.training), self.maps[-1])
        if labels is None:
            return HeadOutput(logits, _states(outputs))
        return LossOutput(functional.cross_entropy(logits, labels), logits, _states(outputs))

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return functional.linear(x, self.get_parameter(f"{name}.weight"), self.get_parameter(f"{name}.bias"))


def long_tensor(rows: Sequence[Sequence[int]]) -> Tensor:
    """Return rows of equal length as a LongTensor."""
    return torch.tensor(rows, dtype=torch.long)


def to_best_device(module: nn.Module, *, no_cuda: bool) -> Any:
    """Put a module into eval mode, and on the GPU where there is one and it may be used."""
    return module.eval().to("cuda" if torch.cuda.is_available() and not no_cuda else "cpu")


def _run(
    core: TorchEncoder,
    outputs: Sequence[str],
    *,
    ids: Tensor,
    mask: Tensor | None,
    types: Tensor | None = None,
    **more: Tensor,
) -> Any:
    """Run the encoder on checked inputs."""
    inputs = (
        ids,
        torch.ones_like(ids) if mask is None else mask,
        torch.zeros_like(ids) if types is None else types,
    )
    _check(core, inputs, typed=types is not None)
    return core({**dict(zip(INPUTS, inputs, strict=True)), **more}, outputs)


def _check(core: TorchEncoder, inputs: Sequence[Tensor], *, typed: bool) -> None:
    """Refuse shapes that do not fit; values are left to the look-up, for reading them would stop a GPU."""
    shapes = [list(tensor.shape) for tensor in inputs]
    if any(len(shape) != 2 or shape != shapes[0] for shape in shapes):
        raise InputError(
            "ids, mask and types must have one shape [batch, tokens]; found "
            f"{', '.join(map(str, shapes))}; pad the texts to one length"
        )
    limit = core.encoder_config.max_length
    tokens = shapes[0][1]
    if not 1 <= tokens <= limit:
        raise InputError(
            f"a sequence must have 1 to {limit} tokens, the rows of the position table; found {tokens}; cut the texts"
        )
    if typed and not core.encoder_config.type_vocab_size:
        raise InputError("token_type_ids were given; DistilBERT has no table of types; leave them out")


def _states(outputs: Mapping[str, Any]) -> tuple[Tensor, ...]:
    return (outputs["embedding_output"], *outputs["encoder_outputs"])
