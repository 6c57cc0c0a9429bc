"""A module scored on labelled examples or on plain text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wellread.data.examples import Examples
from wellread.encode import TOKENS_A_BATCH, Packer
from wellread.errors import DataError, InputError, nearest
from wellread.measure.predictions import NEEDS, TASKS, Scoring, TaskScore, needed, score_predictions
from wellread.metrics.metrics import interval, pearson, raised, spearman
from wellread.module import Module
from wellread.progress import progress
from wellread.tasks.predict import warn_cut
from wellread.text.batch import token_budget_batches
from wellread.text.masking import Masked, mask_tokens, masking_of, row_rng


@dataclass(frozen=True, slots=True, kw_only=True)
class SimilarityScore:
    """Correlations of cosines with people's scores; `low` and `high` bound Spearman's at 95 % (bootstrap)."""

    spearman: float
    pearson: float
    low: float
    high: float
    pairs: int


def evaluate_similarity(module: Module, examples: Examples, *, seed: int = 0) -> SimilarityScore:
    """Encode both sides in float32, take cosines, and correlate them with the scores.

    Raises: DataError for examples without pairs or scores.
    """
    if examples.pairs is None or examples.scores is None:
        raise DataError(
            f"pairs and scores were asked of {examples.source}; its format has none; name a file as STS-B's"
        )
    cosines, scores = pair_cosines(module, examples.texts, examples.pairs), np.asarray(examples.scores)
    found = interval(lambda rows: spearman(cosines[rows], scores[rows]), len(scores), seed=seed)
    return SimilarityScore(
        spearman=found.value, pearson=pearson(cosines, scores), low=found.low, high=found.high, pairs=len(scores)
    )


def pair_cosines(module: Module, texts: Sequence[str], pairs: Sequence[str]) -> NDArray[np.float64]:
    """Return the cosine of the vectors of each text and its pair, computed in float32: [N]."""
    first, second = (
        np.asarray(module.encode(side, precision=exact(module), normalize_embeddings=True), np.float64)
        for side in (texts, pairs)
    )
    cosines: NDArray[np.float64] = (first * second).sum(1)
    return cosines


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
    rows = module.tokenize(texts)
    kept = np.minimum(rows.lengths, packer.room)
    told = np.zeros((len(texts), 3))  # of each text: the losses' sum, right guesses, masked pieces
    with progress(len(texts), show=show_progress_bar) as advance:
        for chosen in token_budget_batches(
            kept + packer.template.overhead(), max_tokens=TOKENS_A_BATCH, max_rows=TOKENS_A_BATCH
        ):
            batch = packer.pack([rows.take(chosen)])
            masked = mask_tokens(batch, masking=masking, rng=row_rng(seed, 0, chosen))
            told[chosen] = _guessed(module, dict(batch), masked)
            advance(len(chosen))
    warn_cut(rows.lengths - kept, packer.sentence.max_seq_length)
    return _scored(told)


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
    made = np.zeros((count, 3))
    np.add.at(made, row, values)
    return made


def _scored(told: NDArray[np.float64]) -> TaskScore:
    if not told[:, 2].any():
        raise DataError(
            f"masked words were asked of {len(told)} texts; they hold no piece that can be masked; name another file"
        )

    def share(column: int, rows: NDArray[np.int64]) -> float:
        total = told[rows].sum(0)
        if not total[2]:
            raise DataError("a share of masked words was asked of texts that have none; draw others")
        return float(total[column] / total[2])

    scores = {
        "perplexity": interval(lambda rows: raised(share(0, rows)), len(told)),
        "accuracy": interval(lambda rows: share(1, rows), len(told)),
    }
    return TaskScore(task="mlm", examples=len(told), scores=scores)


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
