"""State dicts of PyTorch modules under the names of Hugging Face's files, so that each side loads the other's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from wellread.weights.checkpoint import Checkpoint
from wellread.weights.huggingface import FAMILIES
from wellread.weights.mapping import to_theirs

CORE = "core."  # where a module keeps its TorchEncoder


def speak(module: nn.Module, checkpoint: Checkpoint, *, prefix: str = "") -> None:
    """Have `module`, whose `core` holds `checkpoint`, save and load its encoder under the names of its family.

    `prefix` stands before them, as under a task's head. Other parameters keep their names.
    """
    family = FAMILIES[checkpoint.family]
    ours = {name: CORE + name for name in checkpoint.tensors}
    theirs = to_theirs(family, checkpoint.config, ours, mlm=checkpoint.has_mlm)
    module.names = {prefix + name: place for name, place in theirs.items()}
    module.copies = {copy: CORE + name for copy, name in family.copies.items() if name in ours and checkpoint.has_mlm}
    module.register_state_dict_post_hook(_rename_saved)
    module.register_load_state_dict_pre_hook(_rename_given)


def _rename_saved(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Turn the parameters' names into the family's; write what its files hold twice, twice."""
    copied = {prefix + copy: state[prefix + place] for copy, place in module.copies.items()}
    for theirs, place in module.names.items():
        state[prefix + theirs] = state.pop(prefix + place)
    state.update(copied)


def _rename_given(
    module: nn.Module,
    state: dict[str, Any],
    prefix: str,
    _metadata: Mapping[str, Any],
    _strict: bool,
    _missing: list[str],
    _unexpected: list[str],
    errors: list[str],
) -> None:
    """Turn the family's names into the parameters'; a second copy must equal the first."""
    for theirs, place in module.names.items():
        if prefix + theirs in state:
            state[prefix + place] = state.pop(prefix + theirs)
    for copy, place in module.copies.items():
        given, kept = state.pop(prefix + copy, None), state.get(prefix + place)
        if given is not None and kept is not None and not torch.equal(given, kept):
            errors.append(f"{prefix + copy} must be a copy of another tensor; found that it differs; tie the two")
