"""What goes into an encoder and what comes out of it, checked: TF Hub's contract."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wellread.config import EncoderConfig
from wellread.encoder.encoder import INPUTS
from wellread.encoder.heads import MLM_INPUT, SENTENCE_OUTPUT
from wellread.errors import InputError, TruncationWarning, WeightsError, nearest
from wellread.schema import whole
from wellread.text.texts import as_texts
from wellread.text.tokenizer import Tokenizer

DEFAULT_OUTPUTS = ("pooled_output", "sequence_output", "encoder_outputs")
OUTPUTS = (*DEFAULT_OUTPUTS, "embedding_output", "cls_output", SENTENCE_OUTPUT)


class EncoderOutput(dict[str, Any]):
    """The outputs of one call, by key and by attribute."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"{name} is not among the outputs {', '.join(self)}{nearest(name, self)}") from None


def checked_inputs(config: EncoderConfig, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs as int32 [B, T]; a type table of one row, or none, needs no type ids.

    Raises: InputError for what does not fit.
    """
    needed = INPUTS if config.reads_types else INPUTS[:2]
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
    if config.type_vocab_size and "input_type_ids" in arrays:
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
        if tokens is not None and not 1 <= tokens <= config.max_length:
            raise InputError(
                f"a sequence must have 1 to {config.max_length} tokens, the rows of the position table; "
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


def checked_mlm_inputs(config: EncoderConfig, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs as int32 [B, T], and the positions of the masked-language-model head as int32 [B, P].

    Raises: InputError for what does not fit, and for positions outside the sequence.
    """
    if MLM_INPUT not in inputs:
        raise InputError(f"mlm takes {', '.join((*INPUTS, MLM_INPUT))}; found {', '.join(inputs)}; add {MLM_INPUT}")
    packed = checked_inputs(config, {name: inputs[name] for name in inputs if name != MLM_INPUT})
    rows, tokens = packed["input_word_ids"].shape
    positions = as_int32(MLM_INPUT, inputs[MLM_INPUT])
    if len(positions) != rows:
        raise InputError(f"{MLM_INPUT} must have a row for each of {rows} texts; found {len(positions)}; match them")
    in_range(MLM_INPUT, positions, tokens, "positions of the sequence")
    return {**packed, MLM_INPUT: positions}


def packed_inputs(
    config: EncoderConfig,
    tokenizer: Tokenizer,
    texts_or_inputs: str | Sequence[str] | Mapping[str, Any],
    seq_length: int | None,
    default_length: int,
) -> dict[str, Any]:
    """Return the inputs of texts, cut at `seq_length` or else `default_length` tokens; packed inputs are checked.

    Raises: InputError for what does not fit, TextError for texts that cannot be read.
    """
    if isinstance(texts_or_inputs, Mapping):
        if seq_length is not None:
            raise InputError(f"seq_length={seq_length} is for texts; found packed inputs; leave it out")
        return checked_inputs(config, texts_or_inputs)
    rows = tokenizer.tokenize(as_texts(texts_or_inputs))
    length = default_length if seq_length is None else whole(seq_length)
    if length is None:
        raise InputError(f"seq_length= must be a whole number; found {seq_length!r}; pass such as {default_length}")
    if length > config.max_length:
        raise InputError(
            f"a sequence of {length} tokens was asked for; the position table has {config.max_length}; ask for less"
        )
    batch = tokenizer.template.pack([rows], seq_length=length, pad_to_longest=True)
    warn_truncated(batch.truncated, "pass a larger seq_length=")
    return dict(batch)


def in_range(name: str, array: NDArray[Any], limit: int, what: str) -> NDArray[Any]:
    """Refuse numbers outside 0 <= number < limit."""
    if array.size and (array.min() < 0 or array.max() >= limit):
        wrong = np.argwhere((array < 0) | (array >= limit))
        raise InputError(
            f"{name} must lie in 0 to {limit - 1}, the {what}; found {array[tuple(wrong[0])]} at {wrong[0].tolist()} "
            f"and {len(wrong) - 1} more outside; check where they come from"
        )
    return array


def checked_output_names(names: Sequence[str]) -> list[str]:
    """Return the names of outputs. Raises: InputError for unknown ones."""
    if isinstance(names, str) or not isinstance(names, Collection):
        raise InputError(f"outputs= takes a list of names; found {names!r}; pass such as outputs=[{OUTPUTS[0]!r}]")
    unknown = [name for name in names if name not in OUTPUTS]
    if unknown:
        raise InputError(
            f"outputs {', '.join(map(str, unknown))} were asked for; wellread makes {', '.join(OUTPUTS)}; name some of "
            "these"
        )
    return list(names)


def refuse_nan(outputs: Mapping[str, Any]) -> None:
    """Refuse outputs that are not numbers: damaged weights, not a vector to be stored."""
    for name, value in outputs.items():
        if not all(np.isfinite(array).all() for array in (value if isinstance(value, list) else [value])):
            raise WeightsError(
                f"{name} must be finite; found NaN or infinity; the weights of this module are damaged: fetch it again"
            )


def warn_truncated(
    truncated: NDArray[np.int64], advice: str, *, what: str = "texts", counted: int | None = None
) -> None:
    """Say how many of N texts lost tokens at their ends, `truncated` [N], and what to do.

    A text that lost `counted` was read no further: it may have lost more.
    """
    rows = np.count_nonzero(truncated)
    if rows:
        least = "at least " if counted is not None and truncated.max() >= counted else ""
        warnings.warn(
            f"{rows} of {len(truncated)} {what} were too long and lost {least}{truncated.sum()} tokens; {advice} where "
            "that matters",
            TruncationWarning,
            stacklevel=4,
        )


def checked_batch_size(batch_size: int | None, default: int) -> int:
    """Return the most texts of a batch. Raises: InputError for anything but a whole number of at least 1."""
    if batch_size is None:
        return default
    number = whole(batch_size)
    if number is None:
        raise InputError(f"batch_size= must be a whole number; found {batch_size!r}; pass such as 32, or leave it out")
    if number < 1:
        raise InputError(f"batch_size= must be at least 1; found {number}; raise it, or leave it out")
    return number
