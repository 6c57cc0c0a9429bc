"""A fine-tuned module's predictions for texts: labels, scores, tags or spans, as its head has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from numbers import Real
from typing import Any, get_args, get_type_hints

import numpy as np

from wellread.checkpoints.checkpoint import Checkpoint
from wellread.checkpoints.task_head import LEFT_OUT
from wellread.config import HeadConfig
from wellread.encode import WINDOW
from wellread.encoder.inputs import warn_truncated
from wellread.errors import InputError, nearest
from wellread.progress import progress
from wellread.schema import whole
from wellread.tasks.registry import TASKS, task_named
from wellread.tasks.task import Inputs, Predictor, Texts, is_pair


def predict_all(predictor: Predictor, inputs: Inputs, *, show: bool | None = None) -> Any:
    """Predict for N texts, a window of them at a time: a list, or an array of scores; tokens that are cut are counted.

    Raises: TextError for texts that cannot be read; WeightsError for logits that are no numbers.
    """
    task = task_named(predictor.head.task)
    values: list[Any] = []
    truncated = np.zeros(len(inputs.texts), np.int64)
    with progress(len(inputs.texts), show=show) as advance:
        for start in range(0, len(inputs.texts), WINDOW):
            window = slice(start, start + WINDOW)
            predictions = task.predict(predictor, inputs.part(window), advance)
            values += predictions.values
            truncated[window] = predictions.truncated
    limit = predictor.checkpoint.sentence.max_seq_length
    warn_truncated(truncated, f"this module takes {limit} of a text, or of two together; shorten them")
    return np.asarray(values, np.float32) if task.in_array else values


def head_of(checkpoint: Checkpoint) -> HeadConfig:
    """Return the head that predictions are made with. Raises: InputError that says why there is none."""
    if checkpoint.head is not None:
        return checkpoint.head
    reason = left_out(checkpoint)
    fault = f"its head was left out ({reason})" if reason else "this module has no head of a task"
    raise InputError(f"a prediction was asked for; {fault}; fine-tune it (wellread finetune), or load one that was")


def left_out(checkpoint: Checkpoint) -> str:
    """Say why the head of a source was left out; nothing where there was none."""
    return next((why for why in checkpoint.ignored.values() if why.endswith(LEFT_OUT)), "")


def inputs_for(head: HeadConfig, texts: Texts, pairs: str | Sequence[str] | None, tokens: Any) -> tuple[Inputs, bool]:
    """Take texts as users give them, and say whether it is one row: one text, or a tuple of two where pairs are meant.

    Raises: InputError for what are no texts, or what the head's task does not take.
    """
    paired = pairs is None and task_named(head.task).takes_pairs == "yes"
    pair = paired and isinstance(texts, tuple) and is_pair(texts)
    inputs = Inputs.of([texts] if pair else texts, pairs, tokens)  # type: ignore[list-item]
    if paired and not inputs.texts:
        inputs = replace(inputs, pairs=[])
    check_inputs(head, inputs)
    return inputs, pair or isinstance(texts, str)


def check_inputs(head: HeadConfig, inputs: Inputs) -> None:
    """Refuse texts that the task of a head does not take. Raises: InputError."""
    task = task_named(head.task)
    if task.takes_pairs not in ("either", "no" if inputs.pairs is None else "yes"):
        expected, actual, advice = ("two texts a row", "one", "pass pairs")
        if task.takes_pairs == "no":
            expected, actual, advice = ("one text a row", "two", "leave pairs out")
        raise InputError(f"this module is for {head.task}, which takes {expected}; found {actual}; {advice}")
    if inputs.pairs is not None and len(inputs.pairs) != len(inputs.texts):
        raise InputError(
            f"a second text for each of {len(inputs.texts)} was asked; found {len(inputs.pairs)}; match them up"
        )
    if inputs.tokens is not None and (not task.takes_tokens or len(inputs.tokens) != len(inputs.texts)):
        raise InputError(
            f"tokens are for tags, those of every text; found {len(inputs.tokens)} rows of them for "
            f"{len(inputs.texts)} texts and a module for {head.task}; leave them out, or match them up"
        )


def read_options(head: HeadConfig, options: Mapping[str, Any]) -> Any:
    """Return a task's options as its own dataclass, None for a task without any.

    Raises: InputError for options that the task does not take.
    """
    kind = task_named(head.task).options
    names = {name: [field.name for field in fields(task.options)] for name, task in TASKS.items() if task.options}
    task_options = names.get(head.task, [])
    unknown = [name for name in options if name not in task_options]
    if unknown:
        others = "; ".join(f"a module for {name} takes {', '.join(row)}" for name, row in names.items())
        raise InputError(
            f"the options {', '.join(options)} were given; {others}, and this one is for {head.task}; leave them out"
            f"{nearest(unknown[0], task_options)}"
        )
    hints = get_type_hints(kind) if kind else {}
    wrong = [f"{name}={value!r}" for name, value in options.items() if not _fits(value, hints[name])]
    if wrong:
        raise InputError(f"options of other types were asked for; found {', '.join(wrong)}; see `Module.predict`")
    return kind(**options) if kind else None


def _fits(value: object, hint: Any) -> bool:
    """Say whether an option is of its type; whole numbers of NumPy are ints, and an int may stand for a float."""
    kinds = get_args(hint) or (hint,)
    return (
        isinstance(value, kinds)
        or (float in kinds and isinstance(value, Real))
        or (int in kinds and whole(value) is not None)
    )
