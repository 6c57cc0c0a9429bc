"""What a module's head says of a request's texts, in the words of TEI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from functools import partial
from typing import Any

from wellread.config import HEADS, HeadConfig
from wellread.serving.batcher import Lane
from wellread.serving.call import Call
from wellread.serving.faults import Fault
from wellread.serving.lanes import Logits, Pair, Predictions
from wellread.serving.memory import NUMBER
from wellread.serving.served import Served


async def predictions(
    call: Call, served: Served, firsts: Sequence[str], seconds: Sequence[str] | None, *, raw: bool, whole: bool
) -> list[Any]:
    """Return the predictions of a head for texts or pairs, or its logits [C] where `raw`.

    Raises: InputError for a module without a head, and for texts that its task does not take; Fault.
    """
    from wellread.tasks.predict import check_inputs, head_of  # where they are needed: they take long to import
    from wellread.tasks.task import Inputs

    head = head_of(served.module.checkpoint)
    check_inputs(head, Inputs(texts=list(firsts), pairs=None if seconds is None else list(seconds)))
    if raw and not HEADS[head.kind or head.task].on_text:
        raise Fault(f"raw scores were asked for; a module for {head.task} gives none; leave raw_scores out")
    chars = sum(map(len, firsts)) + sum(map(len, seconds or ()))
    read = await call.read(partial(served.read_pairs, firsts, seconds, whole=whole), chars)
    call.share.take(10 * NUMBER * (sum(read.sizes) + len(firsts) * max(1, head.outputs)))  # an object for each at most
    items: list[Pair] = [(first, None) for first in firsts]
    if seconds is not None:
        items = list(zip(firsts, seconds, strict=True))
    kind = Logits if raw else Predictions
    lane: Lane = kind(name=served.name, module=served.module)
    return await call.compute(lane, items, read.sizes)


async def answers(
    call: Call, served: Served, firsts: Sequence[str], seconds: Sequence[str] | None, *, raw: bool, whole: bool
) -> list[Any]:
    """Do as `predictions`, and return of each text its labels with their scores, the best first, or its entities."""
    from wellread.tasks.predict import head_of

    head = head_of(served.module.checkpoint)
    values = await predictions(call, served, firsts, seconds, raw=raw, whole=whole)
    return [labelled(head, value.tolist() if raw else value) for value in values]


def labelled(head: HeadConfig, value: Any) -> list[dict[str, Any]]:
    """Return a prediction as labels with scores, the best first; entities and spans as they are.

    >>> labelled(HeadConfig(task="classify", labels=("bad", "good")), [0.25, 0.75])[0]
    {'score': 0.75, 'label': 'good'}
    """
    scores: Mapping[str, float] | None = getattr(value, "scores", None)
    if isinstance(value, list):
        scores = dict(zip(head.labels or ("score",), value, strict=True))
    elif isinstance(value, float | int):
        scores = {head.labels[0] if head.labels else "score": float(value)}
    if isinstance(scores, Mapping):
        rows = [{"score": score, "label": label} for label, score in scores.items()]
        return sorted(rows, key=lambda row: -float(row["score"]))
    found = getattr(value, "entities", None)
    if found is not None:
        return [
            {**asdict(entity), "word": entity.text, "entity_group": entity.entity} for entity in found
        ]  # as pipelines
    return [asdict(value) if is_dataclass(value) and not isinstance(value, type) else value]
