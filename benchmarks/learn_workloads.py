"""The workloads of `learn`: what is trained, on what, and what everyone starts from alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from wellread.config import EncoderConfig
from wellread.data.token_store import TokenStore, token_store
from wellread.learn.mlm import HELD_OUT, ROWS, TOKENS, masked_inputs
from wellread.learn.settings import LayersConfig, LoopConfig
from wellread.learn.step import Inputs
from wellread.module import Module, load
from wellread.text.batch import token_budget_batches
from wellread.text.masking import masking_of, row_rng

OURS = "wellread"
PEERS = {"Trainer": False, "Trainer, group_by_length": True}  # name -> whether it sorts rows by length
SCRIPT = "plain script"
VOCABULARY = 30_522
LENGTH = 128  # tokens of a row, at most
BATCH = 32  # rows
RATE = 5e-5  # the Trainer's own, falling to 0 along a line; it decays no weights
SEED = 0
DEV_SHARE = 8  # one text of so many is held out
MODEL, STUDENT = "model", "student"  # directories of the weights that all begin with
LABELS = ("0", "1")
COMMON = "he"  # a text is of class 1 where it has this word
TEMPERATURE = 2.0
WEIGHTS = LayersConfig(teacher_layers="0, 4, 8", masking="pieces", mask_sets=1)  # DistilKoBERT's layers


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One kind of training of one shape."""

    kind: str  # mlm, classify or distil
    shape: str  # as L-3_H-256; of distil the teacher's
    systems: tuple[str, ...]
    phases: tuple[str, ...] = ("epoch",)  # what is timed in a round, one after the other

    @property
    def config(self) -> EncoderConfig:
        """The shape, with heads of width 64, as the small BERTs have them.

        >>> Workload(kind="mlm", shape="L-3_H-256", systems=()).config.num_attention_heads
        4
        """
        layers, width = (int(part.partition("-")[2]) for part in self.shape.split("_"))
        return EncoderConfig(
            vocab_size=VOCABULARY,
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=width // 64,
            intermediate_size=4 * width,
        )

    @property
    def name(self) -> str:
        """What a table calls it."""
        return f"{self.kind} {self.shape}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """One epoch over all rows, from the weights that all begin with."""

    seconds: float
    steps: int
    tokens: int  # that are no padding
    loss: float  # afterwards, a row or masked token of texts that were held out


class Runner(Protocol):
    """A system at a workload."""

    def epoch(self, phase: str) -> Epoch:
        """Train for an epoch."""


WORKLOADS = (
    *(Workload(kind="mlm", shape=shape, systems=(OURS, *PEERS)) for shape in ("L-3_H-256", "L-6_H-384")),
    *(Workload(kind="classify", shape=shape, systems=(OURS, *PEERS)) for shape in ("L-3_H-256", "L-6_H-384")),
    Workload(kind="distil", shape="L-12_H-256", systems=(OURS, SCRIPT), phases=("first epoch", "later epoch")),
)


def loop_config(**changes: Any) -> LoopConfig:
    """Return the Trainer's defaults as our settings: one epoch, no checkpoints."""
    settings: dict[str, Any] = {
        **{"num_train_epochs": 1, "per_device_train_batch_size": BATCH, "learning_rate": RATE, "seed": SEED},
        **{"lr_scheduler_type": "linear", "weight_decay": 0.0, "save_steps": 0, "bf16": "auto"},
    }
    return LoopConfig(**{**settings, **changes})


def split_texts(texts: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the texts to train on, and those that are held out.

    >>> split_texts(list("abcdefghij"))
    (['b', 'c', 'd', 'e', 'f', 'g', 'h', 'j'], ['a', 'i'])
    """
    return [t for i, t in enumerate(texts) if i % DEV_SHARE], list(texts[::DEV_SHARE])


def label_of(text: str) -> str:
    """Say of which class a text is.

    >>> label_of("Then he went."), label_of("The end.")
    ('1', '0')
    """
    return LABELS[COMMON in text.lower().split()]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StartingPoint:
    """What every system starts from: the weights, and the texts."""

    directory: Path  # of this workload
    module: Module
    train: list[str]
    dev: list[str]

    def store(self, *, dev: bool = False) -> TokenStore:
        """Return the rows of ids; long texts go on in further rows."""
        name, texts = ("dev", self.dev) if dev else ("train", self.train)
        return token_store(texts, self.module.tokenizer, cache=self.directory / name, max_seq_length=LENGTH)

    def held_out(self) -> Iterator[Inputs]:
        """Yield masked batches of the texts that are held out, the same for all."""
        store = self.store(dev=True)
        masking = masking_of(self.module.tokenizer)
        template = self.module.tokenizer.template
        for rows in token_budget_batches(store.lengths + template.overhead(), max_tokens=TOKENS, max_rows=ROWS):
            packed = template.pack([store.take(rows)], seq_length=LENGTH, pad_to_longest=True)
            yield masked_inputs(packed, masking, row_rng(0, HELD_OUT, rows))

    def rows(self, texts: Sequence[str] | None = None) -> list[list[int]]:
        """Return ids with [CLS] and [SEP]: of the store, or of `texts`, cut at the length."""
        ids = self.store().rows if texts is None else self.module.tokenizer.tokenize(texts)
        packed = self.module.tokenizer.template.pack([ids], seq_length=LENGTH, pad_to_longest=True)
        lengths = packed.input_mask.sum(1)
        return [row[:length].tolist() for row, length in zip(packed.input_word_ids, lengths, strict=True)]


def starting_point(directory: Path, texts: Sequence[str]) -> StartingPoint:
    """Open what was prepared."""
    train, dev = split_texts(texts)
    return StartingPoint(directory=directory, module=load(directory / MODEL), train=train, dev=dev)
