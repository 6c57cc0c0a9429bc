"""What is computed together: a file of lanes, each one kind of output of one module, from a batch of items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from wellread.backends.backend import INVARIANT, FloatArray
from wellread.dataclass import dataclass
from wellread.encode import TOKENS_A_BATCH, Packer, encode_rows, hidden_states
from wellread.encoder.heads import MLM_OUTPUT
from wellread.encoder.inputs import refuse_nan
from wellread.module import Module
from wellread.text.batch import Ragged

if TYPE_CHECKING:  # heads are of few modules, and their tasks take long to import
    from wellread.tasks.task import Inputs, Predictor

Row = bytes  # ids of a text without special tokens, int32
Pair = tuple[str, str | None]  # a text, and its second one where the task takes pairs


@lru_cache(maxsize=64)
def packer_of(module: Module) -> Packer:
    """Return how rows of a module are packed."""
    alone = module.running().precision == INVARIANT
    return Packer(
        template=module.tokenizer.template,
        sentence=module.checkpoint.sentence,
        max_rows=1 if alone else TOKENS_A_BATCH,
    )


def predictor_of(module: Module) -> Predictor:
    """Return what a module predicts with. Raises: InputError for one without a head."""
    from wellread.tasks.predict import head_of, read_options
    from wellread.tasks.registry import task_named
    from wellread.tasks.task import Predictor

    head = head_of(module.checkpoint)
    return Predictor(
        checkpoint=module.checkpoint,
        head=head,
        tokenizer=module.tokenizer,
        options=read_options(head, {}),
        backend=module.running(),
        truncation=task_named(head.task).truncation,
    )


def _rows(items: Sequence[Row]) -> Ragged:
    return Ragged.from_rows([np.frombuffer(item, np.int32) for item in items])


def _ignore(count: int) -> None:
    """Take how many texts are done."""


def _inputs(items: Sequence[Pair]) -> Inputs:
    from wellread.tasks.task import Inputs

    pairs = [second for _, second in items if second is not None]
    return Inputs(texts=[first for first, _ in items], pairs=pairs or None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vectors:
    """Sentence vectors [E], as `encode` gives them before it cuts or scales them, of rows behind a prompt."""

    name: str
    prompt: str
    module: Module = field(compare=False)

    def compute(self, items: Sequence[Row]) -> Sequence[FloatArray]:
        """Return the vector of each row."""
        module = self.module
        packer = packer_of(module).without_prompt(module.tokenizer, self.prompt)
        vectors, _ = encode_rows(module.running(), _rows(items), packer, advance=_ignore)
        return list(vectors)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenVectors:
    """Last hidden states of rows [T, D], special tokens included."""

    name: str
    module: Module = field(compare=False)

    def compute(self, items: Sequence[Row]) -> Sequence[FloatArray]:
        """Return the states of each row."""
        packer, rows = packer_of(self.module), _rows(items)
        sizes = np.minimum(rows.lengths, packer.room) + packer.template.overhead()
        states: list[FloatArray] = [np.empty(0)] * len(rows)
        for numbers, values in hidden_states(self.module.running(), rows, sizes, packer):
            for number, value in zip(numbers, values, strict=True):
                refuse_nan({"token_embeddings": value})
                states[number] = np.array(value, np.float32)
        return states


@dataclass(frozen=True, slots=True, kw_only=True)
class Logits:
    """Logits [C] of a head over whole texts, or pairs of them."""

    name: str
    module: Module = field(compare=False)

    def compute(self, items: Sequence[Pair]) -> Sequence[FloatArray]:
        """Return the logits of each text or pair."""
        from wellread.tasks.classify import text_logits

        return list(text_logits(predictor_of(self.module), _inputs(items), _ignore)[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """What `predict` gives: labels with scores, numbers, tags or spans."""

    name: str
    module: Module = field(compare=False)

    def compute(self, items: Sequence[Pair]) -> Sequence[Any]:
        """Return the prediction for each text or pair."""
        from wellread.tasks.registry import task_named

        predictor = predictor_of(self.module)
        return task_named(predictor.head.task).predict(predictor, _inputs(items), _ignore).values


@dataclass(frozen=True, slots=True, kw_only=True)
class Masks:
    """Guesses for the masks of texts, `top_k` for each."""

    name: str
    top_k: int
    module: Module = field(compare=False)

    def compute(self, items: Sequence[str]) -> Sequence[Any]:
        """Return the guesses for each text."""
        return [self.module.fill_mask(item, top_k=self.top_k) for item in items]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """Named outputs of the encoder and its MLM head, in float32, of packed inputs of one length."""

    name: str
    inputs: tuple[str, ...]  # the names of the arrays of an item
    outputs: tuple[str, ...]
    length: int  # of the rows, T
    positions: int  # of the rows of masked_lm_positions, P
    module: Module = field(compare=False)

    def compute(self, items: Sequence[tuple[Row, ...]]) -> Sequence[dict[str, Any]]:
        """Return the outputs of each row, without the axis of the batch."""
        arrays = [np.stack([np.frombuffer(row, np.int32) for row in column]) for column in zip(*items, strict=True)]
        given = dict(zip(self.inputs, arrays, strict=True))
        call = self.module.mlm if MLM_OUTPUT in self.outputs else self.module
        values = call(given, outputs=self.outputs)
        return [
            {
                name: [layer[number] for layer in value] if isinstance(value, list) else value[number]
                for name, value in values.items()
            }
            for number in range(len(items))
        ]
