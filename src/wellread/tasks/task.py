"""What a task is: one row that holds all of it, from the columns of its examples to its score and its card."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from wellread.backends.backend import Backend
from wellread.checkpoints.checkpoint import Checkpoint
from wellread.config import HEADS, HeadConfig
from wellread.data.examples import Examples
from wellread.dataclass import dataclass
from wellread.encode import TOKENS_A_BATCH, Packer
from wellread.errors import DataError
from wellread.text.batch import Ragged
from wellread.text.texts import as_texts, text_rows
from wellread.text.tokenizer import Tokenizer

Spans: TypeAlias = Sequence[tuple[int, int]]  # of characters, a token each
Advance: TypeAlias = Callable[[int], None]  # is told how many texts are done
# What a row is to be answered: one number or two a row, one a piece of the text, or nothing beside a contrastive loss.
Targets: TypeAlias = NDArray[np.int64] | NDArray[np.float32] | Ragged | None
# The scores of a task by name, each of the rows it is given: what a bootstrap calls.
Scores: TypeAlias = dict[str, Callable[[NDArray[np.int64]], float]]


Texts: TypeAlias = str | Sequence[str] | Sequence[Sequence[str]]  # one, many, or many pairs


def is_pair(value: object) -> bool:
    """Say whether a value is a pair of texts: a tuple, a list or a row of an array, of two.

    >>> is_pair(("a query", "a document")), is_pair("ab")
    (True, False)
    """
    return isinstance(value, tuple | list | np.ndarray) and len(value) == 2 and all(isinstance(v, str) for v in value)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inputs:
    """N texts that predictions are made for."""

    texts: list[str]
    pairs: list[str] | None = None  # the second texts; contexts, if the texts are questions
    tokens: list[Spans] | None = None  # of every text, where its tokens stand

    @classmethod
    def of(cls, texts: Texts, pairs: str | Sequence[str] | None, tokens: Sequence[Spans] | None) -> Inputs:
        """Take texts as users give them: many, or one; or pairs of texts, without others beside them.

        Raises: InputError for what are no texts.
        """
        rows: list[Any] = [texts] if isinstance(texts, str) else list(text_rows(texts))
        if pairs is None and rows and all(map(is_pair, rows)):
            rows, pairs = [first for first, _ in rows], [second for _, second in rows]
        return cls(
            texts=as_texts(rows),
            pairs=pairs if pairs is None else as_texts(pairs),
            tokens=tokens if tokens is None else list(tokens),
        )

    def part(self, window: slice) -> Inputs:
        """Return some of them."""
        return Inputs(
            texts=self.texts[window],
            pairs=None if self.pairs is None else self.pairs[window],
            tokens=None if self.tokens is None else self.tokens[window],
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predictions:
    """The predictions for N texts, and how many tokens of each found no room [N]."""

    values: list[Any]
    truncated: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predictor:
    """What predictions are made with: a checkpoint and its head, a tokenizer, a backend that runs them."""

    checkpoint: Checkpoint
    head: HeadConfig
    tokenizer: Tokenizer
    backend: Backend
    max_rows: int = TOKENS_A_BATCH
    options: Any = None  # an instance of the task's `options`, if it has some
    truncation: str = "round_robin"  # the task's

    @property
    def packer(self) -> Packer:
        """How rows are packed."""
        return Packer(
            template=self.tokenizer.template.for_types(self.checkpoint.config.type_vocab_size),
            sentence=self.checkpoint.sentence,
            max_rows=self.max_rows,
            truncation=self.truncation,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring:
    """What the scores of a task depend on beside the examples."""

    labels: tuple[str, ...] = ()  # what may be predicted beside the labels that occur
    positive: str | None = None  # a label whose F1 is asked for too
    rules: str = "squad"  # by which answers are compared: squad or korquad


class MakeTargets(Protocol):
    """Turn examples into rows of one or two segments of ids [N], and their targets."""

    def __call__(
        self, tokenizer: Tokenizer, examples: Examples, head: HeadConfig, *, max_seq_length: int, stride: int
    ) -> tuple[list[Ragged], Targets]:
        """Tokenize, and put beside each row what is to be learnt."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Task:
    """All that wellread knows of a task."""

    name: str
    head: str  # a row of config.HEADS: what its head computes
    takes_pairs: str  # no, yes or either: whether it is about two texts
    columns: tuple[str, ...]  # of Examples that training needs
    target: str  # that of them which is learnt and scored
    targets: MakeTargets
    loss: str  # a key of learn.objectives.LOSSES
    predict: Callable[[Predictor, Inputs, Advance], Predictions]
    scored: Callable[[Any], object]  # what of a prediction is scored
    score: Callable[[Examples, Sequence[object], Scoring], Scores]
    main_score: str  # the one that the best weights are chosen by, and that a report draws
    summary: str  # what it gives, in words; {low} and {high} are the head's
    pipeline: str  # what the Hugging Face hub files it under
    usage: str  # Python code of texts, and of their pairs, to try a module on
    outputs: tuple[str, ...] = ()  # what the logits are called that examples name no labels for
    truncation: str = "round_robin"  # of text.batch.TRUNCATIONS: how a pair that is too long is cut
    cross_encoder: bool = False  # whether sentence-transformers' CrossEncoder computes it
    logits: str = "scores.logits"  # Python code that reads them from transformers' outputs `scores`
    options: type[Any] | None = None  # a dataclass of what `predict` takes beside the texts
    scoring_options: Callable[[Examples], dict[str, Any]] = lambda examples: {}  # those that examples are scored with
    check: Callable[[Examples], None] = lambda examples: None  # refuse examples that are wrong
    check_dev: Callable[[Examples], None] = lambda examples: None  # and those that cannot be scored
    takes_tokens: bool = False  # whether the tokens of a text may be given
    needs_head: bool = True  # False: sentence vectors do, so any module can be scored
    in_array: bool = False  # predictions are numbers, in a float32 array
    input_name: str = "input"  # what a text is called beside its prediction in JSON

    @property
    def labelled(self) -> bool:
        """Whether the head tells labels apart."""
        return HEADS[self.head].logits is None and not self.outputs

    def labels(self, examples: Examples) -> tuple[list[str], list[int]]:
        """Return every label of the examples, those of tokens one after the other, and the line that each stands in.

        Of soft labels it is each label that has a share.
        """
        column = getattr(examples, self.target) if self.labelled else None
        if self.labelled and self.target == "labels" and examples.soft_labels is not None:
            column = [list(shares) for shares in examples.soft_labels]
        rows = [value if isinstance(value, list) else [value] for value in column or []]
        lines = [line for line, row in zip(examples.lines, rows, strict=False) for _ in row]
        return [label for row in rows for label in row], lines


def needed(examples: Examples, column: str) -> list[Any]:
    """Return a column of the examples. Raises: DataError where there is none."""
    values: list[Any] | None = getattr(examples, column)
    if values is None:
        raise DataError(
            f"{column} were asked of {examples.source}; no column was named for them; name it, or its format"
        )
    return values
