"""The stages that a candidate goes through, by task: a table."""

from __future__ import annotations

from collections.abc import Mapping

from wellread.dataclass import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One training of a candidate in each rung."""

    name: str  # a key of training.TRAININGS
    share: float  # of the steps of a rung, beside those of the other stages that take place
    plain_texts: bool | None = None  # takes place with plain texts alone (True), without them alone (False), always
    taken_layers: bool | None = None  # with layers of the teacher's alone (True), with drawn ones alone (False), always


# Pre-training, soft labels, gold labels: Turc et al. 2019 (arXiv:1908.08962). Attention relations where there is no
# plain text to pre-train on: Wang et al. 2021 (arXiv:2012.15828). Vectors: LEAF (arXiv:2509.12539). Layers that are
# the teacher's are not pre-trained again, which would undo them (DistilBERT, arXiv:1910.01108). Shares are ours.
_LABELS = (
    Stage(name="pretrain", share=0.4, plain_texts=True, taken_layers=False),
    Stage(name="labels", share=0.4),
    Stage(name="finetune", share=0.2),
)
_TOKENS = (
    Stage(name="pretrain", share=0.6, plain_texts=True, taken_layers=False),
    Stage(name="relations", share=0.6, plain_texts=True, taken_layers=True),
    Stage(name="relations", share=0.6, plain_texts=False),
    Stage(name="finetune", share=0.4),
)
STAGES: Mapping[str, tuple[Stage, ...]] = {
    "vectors": (Stage(name="vectors", share=1.0),),
    "classify": _LABELS,
    "pair": _LABELS,
    "tag": _TOKENS,
}


def stages_of(task: str, *, plain_texts: bool, taken_layers: bool) -> list[Stage]:
    """Return the stages that take place.

    >>> [stage.name for stage in stages_of("tag", plain_texts=False, taken_layers=False)]
    ['relations', 'finetune']
    >>> [stage.name for stage in stages_of("classify", plain_texts=True, taken_layers=True)]
    ['labels', 'finetune']
    """
    return [
        stage
        for stage in STAGES[task]
        if stage.plain_texts in (None, plain_texts) and stage.taken_layers in (None, taken_layers)
    ]


def divided(steps: int, stages: list[Stage]) -> list[int]:
    """Divide the steps of a rung among stages by their shares; each has one at least.

    >>> divided(1000, stages_of("classify", plain_texts=True, taken_layers=False))
    [400, 400, 200]
    >>> divided(9, stages_of("classify", plain_texts=False, taken_layers=False))
    [6, 3]
    """
    whole = sum(stage.share for stage in stages)
    return [max(1, round(steps * stage.share / whole)) for stage in stages]
