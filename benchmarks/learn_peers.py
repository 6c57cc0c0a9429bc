"""The other side of `learn`: transformers' Trainer, and a distillation script in plain PyTorch."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor
from torch.nn import functional

from benchmarks import learn_workloads as common
from benchmarks.learn_workloads import Epoch, Runner, StartingPoint, label_of

Row = dict[str, Any]


class Trained:
    """A model under the Trainer, with its defaults but for the batch, and no files."""

    def __init__(self, start: StartingPoint, kind: str, *, grouped: bool) -> None:
        """Make the rows."""
        self.start, self.kind, self.grouped = start, kind, grouped
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(start.directory / common.MODEL)
        texts = start.train if kind == "classify" else None
        self.rows: list[Row] = [{"input_ids": ids} for ids in start.rows(texts)]
        if kind == "classify":
            for row, text in zip(self.rows, start.train, strict=True):
                row["labels"] = common.LABELS.index(label_of(text))

    def epoch(self, phase: str) -> Epoch:
        """Train for an epoch."""
        classes = {"mlm": transformers.BertForMaskedLM, "classify": transformers.BertForSequenceClassification}
        model = classes[self.kind].from_pretrained(self.start.directory / common.MODEL)
        with tempfile.TemporaryDirectory() as directory:
            trainer = transformers.Trainer(
                model=model, args=self._arguments(directory), train_dataset=self.rows, data_collator=self._collator()
            )
            started = time.perf_counter()
            result = trainer.train()
            seconds = time.perf_counter() - started
        tokens = sum(len(row["input_ids"]) for row in self.rows)
        return Epoch(seconds=seconds, steps=result.global_step, tokens=tokens, loss=self._loss(model.eval()))

    def _arguments(self, directory: str) -> Any:
        # transformers 5 has a strategy where 4 had a flag
        renamed = "train_sampling_strategy" in transformers.TrainingArguments.__dataclass_fields__
        grouping: dict[str, Any] = (
            {"train_sampling_strategy": "group_by_length"} if renamed else {"group_by_length": True}
        )
        return transformers.TrainingArguments(
            output_dir=directory,
            per_device_train_batch_size=common.BATCH,
            num_train_epochs=1,
            seed=common.SEED,
            use_cpu=True,
            report_to="none",
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            **(grouping if self.grouped else {}),
        )

    def _collator(self) -> Any:
        if self.kind == "mlm":
            return transformers.DataCollatorForLanguageModeling(self.tokenizer)
        return transformers.DataCollatorWithPadding(self.tokenizer)

    def _loss(self, model: Any) -> float:
        return masked_loss(model, self.start) if self.kind == "mlm" else self._class_loss(model)

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def _class_loss(self, model: Any) -> float:
        rows = [{"input_ids": ids} for ids in self.start.rows(self.start.dev)]
        labels = torch.tensor([common.LABELS.index(label_of(text)) for text in self.start.dev])
        return float(functional.cross_entropy(model(**self.tokenizer.pad(rows, return_tensors="pt")).logits, labels))


class Script:
    """Distillation as it is written down: teacher and student side by side, in float32, batch by batch."""

    def __init__(self, start: StartingPoint) -> None:
        """Load the teacher and make the rows."""
        self.start, self.rows = start, start.rows()
        self.teacher = transformers.BertForMaskedLM.from_pretrained(start.directory / common.MODEL).eval()
        tokenizer = transformers.AutoTokenizer.from_pretrained(start.directory / common.MODEL)
        self.collator = transformers.DataCollatorForLanguageModeling(tokenizer)

    def epoch(self, phase: str) -> Epoch:
        """Train for an epoch; a later one is as the first."""
        torch.manual_seed(common.SEED)
        student = transformers.DistilBertForMaskedLM.from_pretrained(self.start.directory / common.STUDENT).train()
        optimizer = torch.optim.AdamW(student.parameters(), lr=common.RATE, weight_decay=0.0)
        order = np.random.default_rng(common.SEED).permutation(len(self.rows))
        batches = [order[begin : begin + common.BATCH] for begin in range(0, len(order), common.BATCH)]
        started = time.perf_counter()
        for step, batch in enumerate(batches):
            optimizer.param_groups[0]["lr"] = common.RATE * (1 - step / len(batches))
            self._step(student, optimizer, self.collator([{"input_ids": self.rows[row]} for row in batch]))
        seconds = time.perf_counter() - started
        loss = masked_loss(student.eval(), self.start)
        return Epoch(seconds=seconds, steps=len(batches), tokens=sum(map(len, self.rows)), loss=loss)

    def _step(self, student: Any, optimizer: Any, batch: Any) -> None:
        ids, mask = batch["input_ids"], batch["attention_mask"]
        with torch.no_grad():
            theirs = self.teacher(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        ours = student(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        optimizer.zero_grad()
        _losses(ours, theirs, mask.bool(), batch["labels"]).backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()


def _losses(ours: Any, theirs: Any, real: Tensor, labels: Tensor) -> Tensor:
    """Weigh DistilBERT's three losses."""
    student, teacher = (functional.log_softmax(one.logits[real] / common.TEMPERATURE, -1) for one in (ours, theirs))
    divergence = functional.kl_div(student, teacher, reduction="batchmean", log_target=True) * common.TEMPERATURE**2
    words = functional.cross_entropy(ours.logits.flatten(0, 1), labels.flatten())
    states = [one.hidden_states[-1][real] for one in (ours, theirs)]
    apart = 1 - functional.cosine_similarity(*states).mean()
    return (
        common.WEIGHTS.kl_weight * divergence + common.WEIGHTS.mlm_weight * words + common.WEIGHTS.cosine_weight * apart
    )


@torch.no_grad()  # type: ignore[untyped-decorator]
def masked_loss(model: Any, start: StartingPoint) -> float:
    """Return the mean cross-entropy of the masked tokens that are held out."""
    total, count = 0.0, 0
    for inputs in start.held_out():
        logits = model(input_ids=inputs["input_word_ids"].long(), attention_mask=inputs["input_mask"].long()).logits
        scores = logits.flatten(0, 1)[inputs["positions"]]
        total += float(functional.cross_entropy(scores, inputs["labels"], reduction="sum"))
        count += len(inputs["labels"])
    return total / count


def runner(name: str) -> Callable[[StartingPoint, str], Runner]:
    """Return what makes the system of a name."""
    if name in common.PEERS:
        return lambda start, kind: Trained(start, kind, grouped=common.PEERS[name])
    return lambda start, kind: Script(start)
