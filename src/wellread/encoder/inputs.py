"""What goes into an encoder and what comes out of it, checked: TF Hub's contract."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wellread.config import EncoderConfig
from wellread.encoder.encoder import INPUTS
from wellread.errors import InputError, TruncationWarning, WeightsError


def checked_inputs(config: EncoderConfig, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs as int32 [B, T]; a family without type table needs no type ids.

    Raises: InputError for what does not fit.
    """
    needed = INPUTS if config.type_vocab_size else INPUTS[:2]
    missing = [name for name in needed if name not in given]
    unknown = [name for name in given if name not in INPUTS]
    if missing or unknown:
        raise InputError(
            f"the encoder takes {', '.join(needed)}; found {', '.join(given)}; "
            f"{'add ' + ', '.join(missing) if missing else 'remove ' + ', '.join(unknown)}"
        )
    arrays = {name: as_int32(name, given[name]) for name in given}
    check_shapes(config, {name: array.shape for name, array in arrays.items()}, advice="cut the texts")
    in_range("input_word_ids", arrays["input_word_ids"], config.vocab_size, "rows of the word table")
    in_range("input_mask", arrays["input_mask"], 2, "values of a mask")
    if config.type_vocab_size:
        in_range("input_type_ids", arrays["input_type_ids"], config.type_vocab_size, "rows of the type table")
    return arrays


def check_shapes(config: EncoderConfig, shapes: Mapping[str, tuple[int | None, ...]], *, advice: str) -> None:
    """Refuse inputs [B, T] of different shapes, and more tokens than positions; a size that is None is not known yet.

    Raises: InputError.
    """
    for axis in (0, 1):
        if len({shape[axis] for shape in shapes.values()} - {None}) > 1:
            each = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
            raise InputError(f"the inputs must have one shape; found {each}; pack them together")
    for _, tokens in shapes.values():
        if tokens is not None and not 1 <= tokens <= config.max_position_embeddings:
            raise InputError(
                f"a sequence must have 1 to {config.max_position_embeddings} tokens, the rows of the position table; "
                f"found {tokens}; {advice}"
            )


def as_int32(name: str, given: Any) -> NDArray[np.int32]:
    """Take whole numbers [B, T] that fit in int32. Raises: InputError."""
    array = np.asarray(given)
    if array.ndim != 2 or array.dtype.kind not in "iu":
        raise InputError(
            f"{name} must be whole numbers of shape [batch, tokens]; found {array.dtype} of shape {list(array.shape)}; "
            "pass what bert_pack_inputs returns"
        )
    return array.astype(np.int32) if array.size == 0 else in_range(name, array, 2**31, "int32").astype(np.int32)


def in_range(name: str, array: NDArray[Any], limit: int, what: str) -> NDArray[Any]:
    """Refuse numbers outside 0 <= number < limit."""
    if array.size and (array.min() < 0 or array.max() >= limit):
        wrong = np.argwhere((array < 0) | (array >= limit))
        raise InputError(
            f"{name} must lie in 0 to {limit - 1}, the {what}; found {array[tuple(wrong[0])]} at {wrong[0].tolist()} "
            f"and {len(wrong) - 1} more outside; check where they come from"
        )
    return array


def refuse_nan(outputs: Mapping[str, Any]) -> None:
    """Refuse outputs that are not numbers: damaged weights, not a vector to be stored."""
    for name, value in outputs.items():
        if not all(np.isfinite(array).all() for array in (value if isinstance(value, list) else [value])):
            raise WeightsError(
                f"{name} must be finite; found NaN or infinity; the weights of this module are damaged: fetch it again"
            )


def warn_truncated(truncated: NDArray[np.int64], advice: str, *, what: str = "texts") -> None:
    """Say how many of N texts lost tokens at their ends, `truncated` [N], and what to do."""
    rows = np.count_nonzero(truncated)
    if rows:
        warnings.warn(
            f"{rows} of {len(truncated)} {what} were too long and lost {truncated.sum()} tokens; {advice} where that "
            "matters",
            TruncationWarning,
            stacklevel=4,
        )
