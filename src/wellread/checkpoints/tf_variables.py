"""TensorFlow's variables to our tensors, by a table of names: none missing, none surplus, each of its shape."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np

from wellread.checkpoints import names
from wellread.checkpoints.families.tensorflow import Naming, from_layout, layout_shape
from wellread.config import EncoderConfig, HeadConfig
from wellread.errors import ConfigError, WeightsError
from wellread.formats.arrays import Array, StoredTensor
from wellread.formats.tensor_bundle import Bundle, StoredStrings

_SHOWN = 20  # faults that a message lists
_MAX_SIZE = 2**31  # of one dimension: a product of two stays below what NumPy can address
_SLOT = "what an optimizer kept of each tensor"
# What training leaves in a checkpoint beside the model: a variable's name (a trailing * matches) -> what it is.
TRAINING = {
    "global_step": "how long it was trained",
    "save_counter": "how often it was saved",
    **dict.fromkeys(("*/adam_m", "*/adam_v", "*/Adam", "*/Adam_1", "*/lamb_m", "*/lamb_v"), _SLOT),
    **dict.fromkeys(("*/AdamWeightDecayOptimizer", "*/AdamWeightDecayOptimizer_1"), _SLOT),
    **dict.fromkeys(("beta1_power", "beta2_power"), "where an optimizer stood"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The variables that belong to the model, and what is said of the others: their patterns -> how many, and why."""

    variables: Mapping[str, StoredTensor]
    ignored: Mapping[str, str]


def states(bundle: Bundle) -> dict[str, StoredTensor]:
    """Return everything that a bundle holds, strings as tensors of a type that no model takes."""
    return {**bundle.tensors, **{key: _as_tensor(strings) for key, strings in bundle.strings.items()}}


def leave_out(found: Iterable[tuple[str, StoredTensor]], reasons: Mapping[str, str], *, source: object) -> Kept:
    """Take out of names and tensors those that match a pattern of `reasons`, and count them; `source` names the file.

    Raises: WeightsError: two of the others bear one name.

    >>> from wellread.checkpoints.checkpoint import in_memory
    >>> import numpy as np
    >>> slots = in_memory({"bias/adam_m": np.zeros(2), "bias/adam_v": np.zeros(2)})
    >>> leave_out(slots.items(), TRAINING, source="model.ckpt").ignored
    {'*/adam_m, */adam_v': '2 variables: what an optimizer kept of each tensor'}
    """
    kept: dict[str, StoredTensor] = {}
    counts: dict[str, dict[str, int]] = {}
    for name, tensor in found:
        pattern = next((pattern for pattern in reasons if fnmatchcase(name, pattern)), None)
        if pattern is None and name in kept:
            raise WeightsError(
                f"the variables of {source} must bear distinct names; found {name[:100]} twice; export the model again"
            )
        if pattern is None:
            kept[name] = tensor
        else:
            of_reason = counts.setdefault(reasons[pattern], {})
            of_reason[pattern] = of_reason.get(pattern, 0) + 1
    ignored = {
        ", ".join(sorted(counted)): f"{sum(counted.values())} variables: {why}" for why, counted in counts.items()
    }
    return Kept(variables=kept, ignored=ignored)


def to_ours(
    naming: Naming,
    config: EncoderConfig,
    found: Mapping[str, StoredTensor],
    *,
    mlm: bool,
    source: object,
    head: HeadConfig | None = None,
) -> dict[str, StoredTensor]:
    """Name and lay out every variable as wellread does; `source` names the checkpoint, `head` is a task's in it.

    Raises: ConfigError for sizes that no tensor has; WeightsError that lists the variables that are missing, surplus or
        of a wrong shape.
    """
    _check_sizes(config, found, source)
    heads = config.num_attention_heads
    table = naming.table(config, mlm=mlm, head=head)
    shapes = names.shapes(config, mlm=mlm) | names.head_shapes(config, head)
    expected = {row.theirs: layout_shape(row.layout, shapes[name], heads) for name, row in table.items()}
    surplus = sorted(found.keys() - expected.keys())
    compared = {name: found[name] for name in (*(found.keys() & expected.keys()), *surplus[:_SHOWN])}
    faults = names.mismatches(expected, compared)
    if faults:
        more = max(len(faults) - _SHOWN, 0) + max(len(surplus) - _SHOWN, 0)
        shown = [fault[:200] for fault in faults[:_SHOWN]] + ([f"there are {more} more faults"] if more else [])
        raise WeightsError(
            f"the variables of {source} must be those of {config.num_hidden_layers} layers of {naming.name}'s BERT; "
            f"found that {', '.join(shown)}; fetch it again, or one of the BERT family"
        )
    return {name: _laid_out(found[row.theirs], row.layout, heads, shapes[name]) for name, row in table.items()}


def some(names: Collection[str], limit: int = 5) -> str:
    """List the first few names, each cut at 100 characters, and count the others.

    >>> some(["a", "b", "c"], limit=2)
    'a, b and 1 more'
    """
    shown = ", ".join(name[:100] for name in list(names)[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"


def _check_sizes(config: EncoderConfig, found: Mapping[str, StoredTensor], source: object) -> None:
    """Refuse sizes that cannot be meant, before a name is made for each layer or a shape for each tensor."""
    if config.num_hidden_layers > len(found):
        raise WeightsError(
            f"{config.num_hidden_layers} layers were asked of {source}; found {len(found)} variables in all; "
            "correct the configuration or fetch the checkpoint again"
        )
    sizes = ("vocab_size", "hidden_size", "intermediate_size", "max_position_embeddings", "type_vocab_size")
    large = [f"{name} {getattr(config, name)}" for name in sizes if getattr(config, name) >= _MAX_SIZE]
    if large:
        raise ConfigError(
            f"the sizes of {source} must be below {_MAX_SIZE}; found {', '.join(large)}; correct the configuration"
        )


def _as_tensor(strings: StoredStrings) -> StoredTensor:
    return StoredTensor(shape=strings.shape, dtype="string", read=lambda: np.array(strings.read()))


def _laid_out(stored: StoredTensor, layout: str, heads: int, shape: tuple[int, ...]) -> StoredTensor:
    def read() -> Array:
        return from_layout(layout, stored.read(), heads)

    return StoredTensor(shape=shape, dtype=stored.dtype, read=read)
