"""A module scored on labelled examples: predict, check that both speak of the same labels, score."""

from __future__ import annotations

from collections.abc import Callable

from wellread.errors import DataError, InputError, nearest
from wellread.measure.examples import Examples
from wellread.measure.predictions import NEEDS, TASKS, Scoring, TaskScore, needed, score_predictions
from wellread.measure.similarity import exact, pair_cosines
from wellread.module import Module


def evaluate(
    module: Module,
    examples: Examples,
    *,
    task: str | None = None,
    positive: str | None = None,
    rules: str = "squad",
) -> TaskScore:
    """Score a module in float32 on N examples, with intervals at 95 % over the examples.

    `task` is that of the module's head if none is given. `similarity` takes any module: without a head for it, it
    scores cosines. `positive` names a label whose F1 is wanted too; `rules` say how answers are compared. Questions
    without answers among the examples (SQuAD 2.0) let the module give none.

    Raises: InputError for a module that is not fine-tuned for the task; DataError for examples that do not fit it.
    """
    task = task_of(module, task)
    needed(examples, NEEDS[task])
    said = PREDICT[task](module, examples)
    scoring = Scoring(labels=_labels(module), positive=positive, rules=rules)
    return score_predictions(task, examples, said, scoring=scoring)


def task_of(module: Module, task: str | None = None) -> str:
    """Return the task that a module is scored on.

    Raises: DataError for one that does not exist, InputError for one that the module is not fine-tuned for.
    """
    own = module.checkpoint.head.task if module.checkpoint.head else None
    if task is not None and task not in TASKS:
        raise DataError(
            f"the task {task!r} was asked for; modules are scored for {', '.join(TASKS)}; name one of them"
            f"{nearest(task, TASKS)}"
        )
    if task == "similarity" or (own is not None and (task in (None, own) or {task, own} == {"classify", "pair"})):
        return task or str(own)
    raise InputError(
        f"a score for {task or 'its task'} was asked for; this module is fine-tuned for {own or 'none'}; fine-tune it "
        "for that task (wellread finetune), or load one that was"
    )


def _labels(module: Module) -> tuple[str, ...]:
    return module.checkpoint.head.labels if module.checkpoint.head else ()


def _classes(module: Module, examples: Examples) -> list[object]:
    _check_labels(module, examples, examples.labels or [])
    said = module.predict(examples.texts, examples.pairs, precision=exact(module))
    return [prediction.label for prediction in said]


def _numbers(module: Module, examples: Examples) -> list[object]:
    pairs = [str(pair) for pair in needed(examples, "pairs")]
    head = module.checkpoint.head
    if head is not None and head.task == "similarity":
        return list(module.predict(examples.texts, pairs, precision=exact(module)).tolist())
    return list(pair_cosines(module, examples.texts, pairs).tolist())


def _tags(module: Module, examples: Examples) -> list[object]:
    _check_labels(module, examples, [tag for row in examples.tags or [] for tag in row])
    said = module.predict(examples.texts, tokens=examples.spans, precision=exact(module))
    return [row.tags for row in said]


def _answers(module: Module, examples: Examples) -> list[object]:
    silent = not all(examples.answers or [])
    said = module.predict(
        examples.texts, examples.pairs, precision=exact(module), null_threshold=0.0 if silent else None
    )
    return [answer.text for answer in said]


def _check_labels(module: Module, examples: Examples, labels: list[str]) -> None:
    """Refuse labels that the module was not trained on and can never give."""
    known = _labels(module)
    unseen = [label for label in dict.fromkeys(labels) if label not in known]
    if unseen:
        raise DataError(
            f"the module tells {', '.join(known)} apart; {examples.source} has other labels: {', '.join(unseen[:5])} "
            f"({sum(label in unseen for label in labels)} of {len(labels)}){nearest(unseen[0], known)}; score it on "
            "the labels that it was fine-tuned for"
        )


PREDICT: dict[str, Callable[[Module, Examples], list[object]]] = {
    "classify": _classes,
    "pair": _classes,
    "similarity": _numbers,
    "tag": _tags,
    "answer": _answers,
}
