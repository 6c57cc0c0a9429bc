"""Our side of `learn`: each workload as a user's call does it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch.nn import functional

from benchmarks import learn_workloads as common
from benchmarks.learn_workloads import Epoch, Runner, StartingPoint, label_of, loop_config
from wellread.backends.torch import TorchEncoder
from wellread.config import EncoderConfig, HeadConfig
from wellread.data.examples import Examples
from wellread.learn.distill.distill import distill
from wellread.learn.init import from_scratch, from_teacher_layers, shape_named, with_head
from wellread.learn.loop import train
from wellread.learn.mlm import MlmTask, masked_logits
from wellread.learn.objectives import Objective, build_task
from wellread.learn.pretrain import pretrain
from wellread.learn.settings import DistillConfig, FinetuneConfig, PretrainConfig
from wellread.learn.step import Step, Task
from wellread.module import Module
from wellread.text.masking import masking_of
from wellread.text.tokenizer import Tokenizer

SMALL, STEPS = "L-2_H-128", 4  # for the growth of memory


def prepare(kind: str, config: EncoderConfig, tokenizer: Tokenizer, directory: Path) -> None:
    """Write the weights that all begin with."""
    module = from_scratch(config, tokenizer, seed=common.SEED, max_seq_length=common.LENGTH)
    checkpoint = module.checkpoint
    if kind == "classify":
        head = HeadConfig(task="classify", labels=common.LABELS)
        module.checkpoint = with_head(checkpoint, head, max_seq_length=common.LENGTH, seed=common.SEED)
    module.save(directory / common.MODEL)
    if kind == "distil":
        student = from_teacher_layers(checkpoint, common.WEIGHTS, seed=common.SEED, max_seq_length=common.LENGTH)
        Module(checkpoint=student, tokenizer=tokenizer).save(directory / common.STUDENT)


def pretrain_copies(tokenizer: Tokenizer, texts: Sequence[str], times: int, directory: Path) -> None:
    """Pre-train a small model for a few steps on a file of the texts, so many times over."""
    corpus = directory / "corpus.txt"
    with corpus.open("w", encoding="utf-8") as file:
        for copy in range(times):
            file.writelines(f"{text} {copy}\n" for text in texts)
    config = PretrainConfig(max_seq_length=common.LENGTH, loop=loop_config(max_steps=STEPS))
    pretrain(from_scratch(shape_named(SMALL), tokenizer), [corpus], output_dir=directory / "run", config=config)


def timed_training(task: Task) -> tuple[float, list[Step]]:
    """Train for an epoch; return the seconds and the steps."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as directory:
        steps = [event for event in train(task, loop_config(), Path(directory)) if isinstance(event, Step)]
    return time.perf_counter() - started, steps


@torch.no_grad()  # type: ignore[untyped-decorator]
def masked_loss(model: TorchEncoder, start: StartingPoint) -> float:
    """Return the mean cross-entropy of the masked tokens that are held out."""
    model.eval()
    total, count = 0.0, 0
    for inputs in start.held_out():
        total += float(functional.cross_entropy(masked_logits(model, inputs), inputs["labels"], reduction="sum"))
        count += len(inputs["labels"])
    return total / count


class Mlm:
    """Masked words."""

    def __init__(self, start: StartingPoint) -> None:
        """Tokenise."""
        self.start, self.store = start, start.store()

    def epoch(self, phase: str) -> Epoch:
        """Train an epoch of the loop."""
        tokenizer = self.start.module.tokenizer
        task = MlmTask(
            model=TorchEncoder(self.start.module.checkpoint).train(),
            store=self.store,
            masking=masking_of(tokenizer),
            template=tokenizer.template,
            seed=common.SEED,
            max_seq_length=common.LENGTH,
        )
        seconds, steps = timed_training(task)
        loss = masked_loss(task.model, self.start)
        return Epoch(seconds=seconds, steps=len(steps), tokens=sum(step.tokens for step in steps), loss=loss)


class Classify:
    """A text and its class."""

    def __init__(self, start: StartingPoint) -> None:
        """Keep what is start."""
        self.start = start

    def _task(self, model: TorchEncoder, texts: list[str]) -> Objective:
        config = FinetuneConfig(max_seq_length=common.LENGTH)
        examples = Examples(
            source="bench", lines=range(len(texts)), texts=texts, labels=[label_of(text) for text in texts]
        )
        return build_task("classify", model, self.start.module.tokenizer, examples, config)

    def epoch(self, phase: str) -> Epoch:
        """Train an epoch of the loop."""
        model = TorchEncoder(self.start.module.checkpoint).train()
        seconds, steps = timed_training(self._task(model, self.start.train))
        loss = self._loss(model)
        return Epoch(seconds=seconds, steps=len(steps), tokens=sum(step.tokens for step in steps), loss=loss)

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def _loss(self, model: TorchEncoder) -> float:
        task = self._task(model.eval(), self.start.dev)
        everything = torch.arange(len(self.start.dev)).numpy()
        loss = task.loss(task.collate(everything, 0))
        return float(loss.total) / int(loss.count)


class Distil:
    """DistilBERT's way; the later epoch finds the teacher's outputs on disk."""

    def __init__(self, start: StartingPoint) -> None:
        """Keep what is start."""
        self.start, self.run = start, tempfile.TemporaryDirectory()

    def epoch(self, phase: str) -> Epoch:
        """Distil for an epoch."""
        if phase == "first epoch":
            self.run = tempfile.TemporaryDirectory()
        loop = replace(loop_config(), logging_steps=0)
        config = DistillConfig(
            method="layers",
            max_seq_length=common.LENGTH,
            temperature=common.TEMPERATURE,
            layers=common.WEIGHTS,
            loop=loop,
        )
        started = time.perf_counter()
        student = distill(self.start.module, self.start.train, output_dir=Path(self.run.name), config=config)
        seconds = time.perf_counter() - started
        loss = masked_loss(TorchEncoder(student.checkpoint), self.start)
        tokens = int((self.start.store().lengths + 2).sum())
        return Epoch(seconds=seconds, steps=student.provenance["steps"], tokens=tokens, loss=loss)


MAKERS: Mapping[str, Callable[[StartingPoint], Runner]] = {"mlm": Mlm, "classify": Classify, "distil": Distil}
