"""A module scored on labelled examples or on plain text."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wellread.data.examples import Examples, Given, as_examples
from wellread.encode import TOKENS_A_BATCH, Packer, warn_unreadable
from wellread.encoder.inputs import warn_truncated
from wellread.errors import DataError, InputError, VocabularyWarning, nearest
from wellread.measure.predictions import TaskScore, intervals, scores_of
from wellread.metrics.metrics import interval, raised
from wellread.module import Module
from wellread.progress import progress
from wellread.tasks.registry import task_named
from wellread.tasks.task import Scores, Scoring, Task, needed
from wellread.text.batch import token_budget_batches
from wellread.text.masking import Masked, mask_tokens, masking_of, row_rng


def evaluate(
    module: Module,
    examples: Given,
    *,
    task: str | None = None,
    positive: str | None = None,
    rules: str = "squad",
    seed: int = 0,
    precision: str | None = None,
) -> TaskScore:
    """Score a module in float32 on N examples, with intervals at 95 % over the examples.

    Examples are those of `read_examples`, a file's path, or rows in Python as `take_examples` takes them.
    `task` is that of the module's head if none is given. `similarity` takes any module: without a head for it, it
    scores cosines. `positive` names a label whose F1 is wanted too; `rules` say how answers are compared. Questions
    without answers among the examples (SQuAD 2.0) let the module give none. `seed` draws the intervals. `precision` is
    one that the module computes in, instead of float32: "int8" is what `predict` takes where the native kernel runs a
    module of int8 matrices.

    Raises: InputError for a module that is not fine-tuned for the task; DataError for examples that do not fit it.
    """
    row = task_of(module, task)
    examples = as_examples(examples, needed=row.columns)
    scores = module_scores(module, examples, row, positive=positive, rules=rules, precision=precision, stacklevel=4)
    return TaskScore(task=row.name, examples=len(examples), scores=intervals(scores, len(examples), seed=seed))


def module_scores(
    module: Module,
    examples: Examples,
    task: Task,
    *,
    positive: str | None,
    rules: str,
    precision: str | None = None,
    stacklevel: int = 3,
) -> Scores:
    """Let a module predict N examples in float32 or `precision`, and return its scores as functions of their numbers.

    Raises: as `evaluate`.
    """
    needed(examples, task.target)
    warn_unreadable(module.tokenizer, examples.texts, stacklevel=stacklevel)
    classes = module.checkpoint.head.labels if module.checkpoint.head else ()
    labels, _ = task.labels(examples)
    unseen = [label for label in dict.fromkeys(labels) if label not in classes]
    if unseen:
        raise DataError(
            f"the module tells {', '.join(classes)} apart; {examples.source} has other labels: {', '.join(unseen[:5])} "
            f"({sum(label in unseen for label in labels)} of {len(labels)}){nearest(unseen[0], classes)}; score it on "
            "the labels that it was fine-tuned for"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VocabularyWarning)  # it was given
        given = {"precision": precision or exact(module), **task.scoring_options(examples)}
        predicted = predictions_for(module, task, examples, **given)
    scoring = Scoring(labels=classes, positive=positive, rules=rules)
    return scores_of(task.name, examples, [task.scored(value) for value in predicted], scoring=scoring)


def task_of(module: Module, task: str | None = None) -> Task:
    """Return the task that a module is scored on.

    Raises: InputError for one that does not exist, or that the module is not fine-tuned for.
    """
    head = module.checkpoint.head
    row = task_named(task) if task is not None else task_named(head.task) if head is not None else None
    if row is not None and (not row.needs_head or _predicts(module, row)):
        return row
    raise InputError(
        f"a score for {task or 'its task'} was asked for; this module is fine-tuned for "
        f"{head.task if head else 'none'}; fine-tune it for that task (wellread finetune), or load one that was"
    )


def _predicts(module: Module, task: Task) -> bool:
    """Say whether a module's head is for a task, or for one that is predicted alike, as a text and a pair are."""
    head = module.checkpoint.head
    return head is not None and task_named(head.task).predict is task.predict


def predictions_for(module: Module, task: Task, examples: Examples, **options: Any) -> Sequence[Any]:
    """Return the predictions of a module for N examples; cosines, if the task needs no head and the module has none.

    `options` are those of `Module.predict`, `precision` among them.

    Raises: DataError for examples without pairs where cosines are asked for.
    """
    if not task.needs_head:
        pairs = [str(pair) for pair in needed(examples, "pairs")]
        if not _predicts(module, task):
            first, second = (
                np.asarray(module.encode(side, normalize_embeddings=True, **options), np.float64)
                for side in (examples.texts, pairs)
            )
            return list((first * second).sum(1).tolist())
    tokens = examples.spans if task.takes_tokens else None
    predictions: Sequence[Any] = module.predict(examples.texts, examples.pairs, tokens=tokens, **options)
    return predictions


def exact(module: Module) -> str:
    """Name the precision that scores are computed in."""
    return "f64" if module.backend == "numpy" else "f32"


def evaluate_masked(
    module: Module, texts: Sequence[str], *, seed: int = 0, show_progress_bar: bool | None = None
) -> TaskScore:
    """Mask 15 % of the pieces of N texts, let the module guess them in float32, and score its guesses.

    Perplexity and accuracy are over all masked pieces, with intervals at 95 % over the texts. Masks are drawn from the
    seed and a text's number: any module with the same tokenizer has to guess the same. Of the chosen pieces 80 %
    become [MASK], 10 % another piece, 10 % stay (Devlin et al. 2018, section 3.1).

    Raises: InputError for a module without the head; DataError for texts without pieces.
    """
    packer = Packer(template=module.tokenizer.template, sentence=module.checkpoint.sentence)
    masking = masking_of(module.tokenizer)
    warn_unreadable(module.tokenizer, texts, stacklevel=3)
    rows = module.tokenize(texts)
    lengths = np.minimum(rows.lengths, packer.room)
    totals = np.zeros((len(texts), 3))  # of each text: the losses' sum, right guesses, masked pieces
    with progress(len(texts), show=show_progress_bar) as advance:
        for batch_rows in token_budget_batches(
            lengths + packer.template.overhead(), max_tokens=TOKENS_A_BATCH, max_rows=TOKENS_A_BATCH
        ):
            batch = packer.pack([rows.take(batch_rows)])
            masked = mask_tokens(batch, masking=masking, rng=row_rng(seed, 0, batch_rows))
            totals[batch_rows] = _guessed(module, dict(batch), masked)
            advance(len(batch_rows))
    advice = f"this module takes {packer.sentence.max_seq_length} of a text; shorten them"
    warn_truncated(rows.lengths - lengths, advice)
    if not totals[:, 2].any():
        raise DataError(
            f"masked words were asked of {len(texts)} texts; they hold no piece that can be masked; name another file"
        )

    def share(column: int, numbers: NDArray[np.int64]) -> float:
        total = totals[numbers].sum(0)
        if not total[2]:
            raise DataError("a share of masked words was asked of texts that have none; draw others")
        return float(total[column] / total[2])

    scores = {
        "perplexity": interval(lambda numbers: raised(share(0, numbers)), len(texts)),
        "accuracy": interval(lambda numbers: share(1, numbers), len(texts)),
    }
    return TaskScore(task="mlm", examples=len(texts), scores=scores)


def _guessed(module: Module, batch: dict[str, NDArray[np.int32]], masked: Masked) -> NDArray[np.float64]:
    """Let the module guess; return of each of B rows the losses' sum, right guesses and masked pieces: [B, 3]."""
    count, tokens = masked.input_word_ids.shape
    row, column = np.divmod(masked.positions, tokens)
    number = np.arange(len(row)) - np.searchsorted(row, row)  # of a position among those of its row
    positions = np.zeros((count, int(number.max(initial=0)) + 1), np.int32)
    positions[row, number] = column
    inputs = {**batch, "input_word_ids": masked.input_word_ids, "masked_lm_positions": positions}
    logits = module.mlm(inputs, outputs=["mlm_logits"])["mlm_logits"][row, number].astype(np.float64)  # [P, V]
    best = logits.max(-1)
    right = logits[np.arange(len(row)), masked.labels]
    losses = np.log(np.exp(logits - best[:, None]).sum(-1)) + best - right
    hits = logits.argmax(-1) == masked.labels
    values = np.stack([losses, hits, np.ones(len(row))], axis=1)
    totals = np.zeros((count, 3))
    np.add.at(totals, row, values)
    return totals
