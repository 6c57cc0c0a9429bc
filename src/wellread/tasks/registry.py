"""The tasks that wellread knows: the only list of them."""

from __future__ import annotations

from wellread.errors import InputError, nearest
from wellread.tasks.answer import ANSWER
from wellread.tasks.classify import CLASSIFY, PAIR
from wellread.tasks.multilabel import MULTILABEL
from wellread.tasks.score import RANK, SCORE
from wellread.tasks.similarity import SIMILARITY
from wellread.tasks.tag import TAG
from wellread.tasks.task import Task

TASKS = {task.name: task for task in (CLASSIFY, PAIR, SIMILARITY, TAG, ANSWER, MULTILABEL, SCORE, RANK)}


def task_named(name: str) -> Task:
    """Return a task by its name. Raises: InputError that names the nearest.

    >>> task_named("tag").main_score
    'f1'
    """
    if name not in TASKS:
        raise InputError(
            f"the task {name!r} was asked for; modules are trained and scored for {', '.join(TASKS)}; name one of them"
            f"{nearest(name, TASKS)}"
        )
    return TASKS[name]
