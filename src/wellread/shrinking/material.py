"""What a search is made of: the teacher, or the base that becomes one, labelled rows, plain texts, rows to score on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from wellread.config import HeadConfig
from wellread.data.corpus import read_lines, read_sentences
from wellread.data.examples import Examples, Given
from wellread.errors import DataError, InputError, nearest
from wellread.learn.distill.teacher import fingerprint
from wellread.learn.distill.transfer_set import given_texts
from wellread.learn.settings import FinetuneConfig
from wellread.learn.training_examples import dev_examples, head_for, training_examples
from wellread.measure.speed import spread
from wellread.module import Module
from wellread.shrinking.settings import ShrinkConfig
from wellread.shrinking.stages import STAGES

VECTORS = "vectors"  # the task of a module without labels: sentence vectors
MOST_HELD_OUT = 5_000  # rows or texts that are held out, at most
FEWEST = 10  # of which some can be held out


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Material:
    """What students are made of and scored on; nothing of `dev` and `held_out` is ever trained on."""

    task: str  # a key of STAGES
    given: Module  # the teacher, or the base of it
    head: HeadConfig | None  # that the teacher has, or will have; None: its vectors are learnt
    train: Examples | None  # labelled rows
    dev: Examples | None  # labelled rows to score on
    texts: list[str]  # plain ones
    held_out: list[str]  # plain texts on which vectors are compared, where there are no pairs
    notes: tuple[str, ...] = ()  # what was decided about them, in words
    limit: int = 0  # texts that the teacher answers, at most, evenly chosen; 0: all

    @property
    def is_base(self) -> bool:
        """Whether the module that was given is to be fine-tuned first, to be the teacher."""
        return self.head is not None and self.given.checkpoint.head is None

    @property
    def transfer(self) -> tuple[list[str], list[str] | None]:
        """Texts whose soft labels, vectors or relations are learnt, and their second texts where the task has pairs."""
        texts, pairs = [*self.texts, *(self.train.texts if self.train else [])], None
        if self.train is not None and self.train.pairs is not None:
            texts, pairs = self.train.texts, self.train.pairs
        rows = spread(range(len(texts)), self.limit or len(texts))
        return [texts[row] for row in rows], None if pairs is None else [pairs[row] for row in rows]

    @property
    def all_texts(self) -> list[str]:
        """Every text that may be learnt from, whatever is said of it."""
        rows = self.train
        return [*self.texts, *(rows.texts if rows else []), *((rows.pairs or []) if rows else [])]

    @property
    def sample(self) -> list[str]:
        """Texts like those that the module will be given."""
        if self.dev is None:
            return self.held_out
        return [*self.dev.texts, *(self.dev.pairs or [])] if self.task == VECTORS else self.dev.texts

    def identity(self) -> dict[str, Any]:
        """Name all of it by hashes, as JSON has it."""
        return {
            "task": self.task,
            "module": fingerprint(self.given),
            **{name: _digest(rows) for name, rows in (("train", self.train), ("dev", self.dev))},
            "texts": _digest([self.texts, self.held_out]),
        }


def _digest(rows: Examples | list[list[str]] | None) -> str | None:
    """Return the SHA-256 of texts and what is said of them, wherever they are from; None for none."""
    if rows is None:
        return None
    facts = (
        {k: v for k, v in asdict(rows).items() if k not in ("source", "lines", "columns")}
        if isinstance(rows, Examples)
        else rows
    )
    return hashlib.sha256(json.dumps(facts, ensure_ascii=True).encode()).hexdigest()


def take_material(
    module: Module,
    task: str,
    config: ShrinkConfig,
    *,
    train: Given | None = None,
    dev: Given | None = None,
    texts: Sequence[str] | Sequence[Path] = (),
) -> Material:
    """Check what was given, and hold out what is to be scored on where no `dev` rows are.

    Raises: InputError for a task that there is no way to, or a teacher of another; DataError for rows.
    """
    if task not in STAGES:
        raise InputError(
            f"a small module for {task!r} was asked for; wellread shrinks {', '.join(STAGES)}; name one of them"
            f"{nearest(task, STAGES)}"
        )
    plain = _plain_texts(texts, split=config.split)
    if task == VECTORS:
        return _of_vectors(module, config, train=train, dev=dev, texts=plain)
    head = module.checkpoint.head
    if (
        head is not None and head.task == "similarity"
    ):  # it has learned its vectors alone, and is a base for other tasks
        module, head = replace(module, checkpoint=replace(module.checkpoint, head=None)), None
    if head is not None and head.task != task:
        raise InputError(
            f"a teacher for {task} was expected; found one that is fine-tuned for {head.task}; name that task, or "
            "another module: fine-tuned for it, or without a head"
        )
    if train is None:
        raise DataError(f"labelled rows were asked for {task}; found none; give some as train=")
    settings = FinetuneConfig(max_seq_length=config.max_seq_length)
    rows = training_examples(task, train, settings)
    wanted = head_for(task, rows, module.checkpoint, settings, head.labels if head else ())
    notes: tuple[str, ...] = ()
    if dev is None:
        kept, held = _held_out(len(rows), config, what=f"rows of {rows.source}")
        notes = (f"no dev rows were given: {len(held):,} of {len(rows):,} were held out from train, and are scored on",)
        rows, dev = rows.part(kept), rows.part(held)
    return Material(
        task=task,
        given=module,
        head=head or wanted,
        train=rows,
        dev=dev_examples(task, dev, wanted),
        texts=plain,
        held_out=[],
        notes=notes,
    )


def _of_vectors(
    module: Module, config: ShrinkConfig, *, train: Given | None, dev: Given | None, texts: list[str]
) -> Material:
    """Take what a student learns sentence vectors of."""
    if train is not None:
        raise InputError(
            "sentence vectors are learnt of plain texts; found labelled rows as train=; give texts= instead"
        )
    if not texts:
        raise DataError("sentence vectors are learnt of plain texts; found none; give some as texts=")
    pairs = None if dev is None else dev_examples("similarity", dev, HeadConfig(task="similarity"))
    held: list[str] = []
    notes: tuple[str, ...] = ()
    if pairs is None:
        unique = list(dict.fromkeys(texts))
        kept, out = _held_out(len(unique), config, what="different texts")
        texts, held = [unique[row] for row in kept], [unique[row] for row in out]
        counts = f"{len(held):,} of {len(unique):,} texts were held out"
        notes = (f"no dev pairs were given: {counts}; the score is the mean cosine to the teacher's vectors of these",)
    return Material(
        task=VECTORS, given=module, head=None, train=None, dev=pairs, texts=texts, held_out=held, notes=notes
    )


def _plain_texts(texts: Sequence[str] | Sequence[Path], *, split: bool) -> list[str]:
    """Read texts of files, or take them as they are; repetitions stay."""
    given = given_texts(texts) if len(texts) else []
    paths = [text for text in given if isinstance(text, Path)]
    if not paths:
        return [text for text in given if isinstance(text, str) and text.strip()]
    return read_sentences(paths) if split else read_lines(paths)[0]


def _held_out(count: int, config: ShrinkConfig, *, what: str) -> tuple[list[int], list[int]]:
    """Divide rows, by their numbers, into those that are kept and those that are held out."""
    if count < FEWEST:
        raise DataError(
            f"some of {count} {what} were to be held out, to score on; that takes at least {FEWEST}; give more, or dev="
        )
    number = min(max(1, round(count * config.held_out)), MOST_HELD_OUT)
    held = set(np.random.default_rng(config.seed).permutation(count)[:number].tolist())
    return [row for row in range(count) if row not in held], sorted(held)
