"""Our side of `bench learn`: each work as a user's call does it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch.nn import functional

from wellread.backends.torch import TorchEncoder
from wellread.bench.learn_works import (
    LABELS,
    LENGTH,
    MODEL,
    SEED,
    STUDENT,
    TEMPERATURE,
    WEIGHTS,
    Given,
    Lap,
    Runner,
    label_of,
    loop_config,
)
from wellread.config import EncoderConfig, HeadConfig
from wellread.data.examples import Examples
from wellread.learn.distill.distill import distill
from wellread.learn.init import layers_student, scratch, shape_named, with_head
from wellread.learn.loop import train
from wellread.learn.objectives import Exercise, exercise
from wellread.learn.pretrain import MlmTask, masked_scores, pretrain
from wellread.learn.settings import DistillConfig, FinetuneConfig, PretrainConfig
from wellread.learn.step import Step, Task
from wellread.module import Module
from wellread.text.masking import masking_of
from wellread.text.tokenizer import Tokenizer

SMALL, STEPS = "L-2_H-128", 4  # for the growth of memory


def prepare(kind: str, config: EncoderConfig, tokenizer: Tokenizer, place: Path) -> None:
    """Write the weights that all begin with."""
    module = scratch(config, tokenizer, seed=SEED, max_seq_length=LENGTH)
    checkpoint = module.checkpoint
    if kind == "classify":
        head = HeadConfig(task="classify", labels=LABELS)
        module.checkpoint = with_head(checkpoint, head, max_seq_length=LENGTH, seed=SEED)
    module.save(place / MODEL)
    if kind == "distil":
        student = layers_student(checkpoint, WEIGHTS, seed=SEED, max_seq_length=LENGTH)
        Module(checkpoint=student, tokenizer=tokenizer).save(place / STUDENT)


def pretrain_copies(tokenizer: Tokenizer, texts: Sequence[str], times: int, place: Path) -> None:
    """Pre-train a small model for a few steps on a file of the texts, so many times over."""
    corpus = place / "corpus.txt"
    with corpus.open("w", encoding="utf-8") as file:
        for copy in range(times):
            file.writelines(f"{text} {copy}\n" for text in texts)
    config = PretrainConfig(max_seq_length=LENGTH, loop=loop_config(max_steps=STEPS))
    pretrain(scratch(shape_named(SMALL), tokenizer), [corpus], output_dir=place / "run", config=config)


def timed_training(task: Task) -> tuple[float, list[Step]]:
    """Train for an epoch; return the seconds and the steps."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as place:
        steps = [event for event in train(task, loop_config(), Path(place)) if isinstance(event, Step)]
    return time.perf_counter() - started, steps


@torch.no_grad()  # type: ignore[untyped-decorator]
def masked_loss(model: TorchEncoder, given: Given) -> float:
    """Return the mean cross-entropy of the masked tokens that are held out."""
    model.eval()
    total, count = 0.0, 0
    for inputs in given.held_out():
        total += float(functional.cross_entropy(masked_scores(model, inputs), inputs["labels"], reduction="sum"))
        count += len(inputs["labels"])
    return total / count


class Mlm:
    """Masked words."""

    def __init__(self, given: Given) -> None:
        """Tokenise."""
        self.given, self.store = given, given.store()

    def lap(self, name: str) -> Lap:
        """Train an epoch of the loop."""
        tokenizer = self.given.module.tokenizer
        task = MlmTask(
            model=TorchEncoder(self.given.module.checkpoint).train(),
            store=self.store,
            masking=masking_of(tokenizer),
            template=tokenizer.template,
            seed=SEED,
            max_seq_length=LENGTH,
        )
        seconds, steps = timed_training(task)
        loss = masked_loss(task.model, self.given)
        return Lap(seconds=seconds, steps=len(steps), tokens=sum(step.tokens for step in steps), loss=loss)


class Classify:
    """A text and its class."""

    def __init__(self, given: Given) -> None:
        """Keep what is given."""
        self.given = given

    def _task(self, model: TorchEncoder, texts: list[str]) -> Exercise:
        config = FinetuneConfig(max_seq_length=LENGTH)
        examples = Examples(
            source="bench", lines=range(len(texts)), texts=texts, labels=[label_of(text) for text in texts]
        )
        return exercise("classify", model, self.given.module.tokenizer, examples, config)

    def lap(self, name: str) -> Lap:
        """Train an epoch of the loop."""
        model = TorchEncoder(self.given.module.checkpoint).train()
        seconds, steps = timed_training(self._task(model, self.given.train))
        loss = self._loss(model)
        return Lap(seconds=seconds, steps=len(steps), tokens=sum(step.tokens for step in steps), loss=loss)

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def _loss(self, model: TorchEncoder) -> float:
        task = self._task(model.eval(), self.given.dev)
        everything = torch.arange(len(self.given.dev)).numpy()
        found = task.loss(task.collate(everything, 0))
        return float(found.total) / int(found.count)


class Distil:
    """DistilBERT's way; the second lap finds the teacher's answers on disk."""

    def __init__(self, given: Given) -> None:
        """Keep what is given."""
        self.given, self.run = given, tempfile.TemporaryDirectory()

    def lap(self, name: str) -> Lap:
        """Distil for an epoch."""
        if name == "first epoch":
            self.run = tempfile.TemporaryDirectory()
        loop = replace(loop_config(), logging_steps=0)
        config = DistillConfig(
            method="layers", max_seq_length=LENGTH, temperature=TEMPERATURE, layers=WEIGHTS, loop=loop
        )
        started = time.perf_counter()
        student = distill(self.given.module, self.given.train, output_dir=Path(self.run.name), config=config)
        seconds = time.perf_counter() - started
        loss = masked_loss(TorchEncoder(student.checkpoint), self.given)
        tokens = int((self.given.store().lengths + 2).sum())
        return Lap(seconds=seconds, steps=student.provenance["steps"], tokens=tokens, loss=loss)


MAKERS: Mapping[str, Callable[[Given], Runner]] = {"mlm": Mlm, "classify": Classify, "distil": Distil}
