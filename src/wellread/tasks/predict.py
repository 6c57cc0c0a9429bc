"""A fine-tuned module's answers about texts: labels, scores, tags or spans, as its head has it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wellread.config import HeadConfig
from wellread.encode import WINDOW
from wellread.errors import InputError, TruncationWarning, nearest
from wellread.progress import progress
from wellread.tasks.answers import AnswerSettings
from wellread.tasks.judges import JUDGES, Asked, Judge

PAIRED = ("pair", "similarity", "answer")
EITHER = ("classify",)  # Hugging Face's configurations do not say which of the two they are for


def judge_all(own: Judge, asked: Asked, *, show: bool | None = None) -> Any:
    """Answer for N texts, a window of them at a time: a list, or an array of scores; tokens that are cut are counted.

    Raises: TextError for texts that cannot be read; WeightsError for logits that are no numbers.
    """
    answers: list[Any] = []
    cut = np.zeros(len(asked.texts), np.int64)
    with progress(len(asked.texts), show=show) as advance:
        for start in range(0, len(asked.texts), WINDOW):
            window = slice(start, start + WINDOW)
            made = JUDGES[own.head.task](own, asked.part(window), advance)
            answers += made.answers
            cut[window] = made.truncated
    warn_cut(cut, own.checkpoint.sentence.max_seq_length)
    return np.asarray(answers, np.float32) if own.head.task == "similarity" else answers


def check_asked(head: HeadConfig | None, asked: Asked) -> HeadConfig:
    """Return the head that is to answer.

    Raises: InputError for a module without one, or texts that it does not take.
    """
    if head is None:
        raise InputError(
            "a prediction was asked for; this module has no head of a task; fine-tune it (wellread finetune), or load "
            "one that was"
        )
    if (asked.pairs is None) == (head.task in PAIRED) and head.task not in EITHER:
        wants, found = ("two texts a row", "one") if head.task in PAIRED else ("one text a row", "two")
        raise InputError(
            f"this module is for {head.task}, which takes {wants}; found {found}; "
            f"{'pass pairs' if head.task in PAIRED else 'leave pairs out'}"
        )
    if asked.pairs is not None and len(asked.pairs) != len(asked.texts):
        raise InputError(
            f"a second text for each of {len(asked.texts)} was asked; found {len(asked.pairs)}; match them up"
        )
    if asked.tokens is not None and (head.task != "tag" or len(asked.tokens) != len(asked.texts)):
        raise InputError(
            f"tokens are for tags, those of every text; found {len(asked.tokens)} rows of them for {len(asked.texts)} "
            f"texts and a module for {head.task}; leave them out, or match them up"
        )
    return head


def answer_settings(head: HeadConfig | None, options: Mapping[str, Any]) -> AnswerSettings:
    """Read the options of a prediction. Raises: InputError for any but those of answers, or for another task."""
    known = [field.name for field in fields(AnswerSettings)]
    unknown = [name for name in options if name not in known]
    if unknown or (options and (head is None or head.task != "answer")):
        task = "none" if head is None else head.task
        raise InputError(
            f"the options {', '.join(options)} were given; a module for answers takes {', '.join(known)}, and this one "
            f"is for {task}; leave them out{nearest(unknown[0], known) if unknown else ''}"
        )
    return AnswerSettings(**options)


def warn_cut(cut: NDArray[np.int64], limit: int) -> None:
    """Say how many of N texts lost tokens [N] because a module takes `limit` of them."""
    rows = np.count_nonzero(cut)
    if rows:
        warnings.warn(
            f"{rows} of {len(cut)} texts were too long and lost {cut.sum()} tokens; this module takes {limit} of a "
            "text, or of two together; shorten them where that matters",
            TruncationWarning,
            stacklevel=4,
        )
