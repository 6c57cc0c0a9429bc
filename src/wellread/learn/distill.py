"""Distil a small sentence encoder from a large one: its vectors, in the teacher's own space.

LEAF (Vujanic and Rueckstiess 2025, arXiv:2509.12539): the student's normalised vector, through a linear map to the
teacher's width, is drawn to the teacher's by their squared distance. The map stays in the module, so vectors of
student and teacher can be compared with each other.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wellread.backends.torch import TorchEncoder
from wellread.encoder.heads import SENTENCE_OUTPUT
from wellread.errors import TrainingError
from wellread.learn.follow import follow
from wellread.learn.loop import train
from wellread.learn.processes import joined
from wellread.learn.settings import DistillConfig
from wellread.learn.student import sentence_student
from wellread.learn.task import Inputs, Loss
from wellread.learn.teacher import fingerprint, teacher_vectors
from wellread.module import Module
from wellread.text.pack import bert_pack_inputs
from wellread.text.ragged import Ragged
from wellread.text.vocabulary import SpecialTokens
from wellread.weights.checkpoint import Checkpoint, in_memory

SHAPE = ("num_hidden_layers", "hidden_size", "num_attention_heads")


def distill(
    teacher: Module,
    texts: Sequence[str],
    *,
    output_dir: Path,
    config: DistillConfig,
    resume_from_checkpoint: bool | str | Path | None = None,
) -> Module:
    """Train a student on the teacher's vectors of `texts`, and return it.

    `output_dir` gets the teacher's vectors (kept for the next run), checkpoints, and what `follow` writes. A run that
    was killed goes on from `resume_from_checkpoint`: one of those, or True for the last. The student keeps the
    teacher's tokenizer; its largest sequence is `max_seq_length`. Under torchrun every process returns the student.

    Raises: TrainingError for no texts, or as `train` does.
    """
    if not texts:
        raise TrainingError("a student was to be distilled; found 0 texts; give it some")
    with joined(config.loop.ddp_timeout) as process:
        identity = fingerprint(teacher)
        targets = teacher_vectors(teacher, texts, cache=output_dir / "teacher", process=process)
        checkpoint = student_of(teacher, config)
        task = SentenceTask(
            model=TorchEncoder(checkpoint).eval(),  # dropout off: targets are given, there is little to overfit
            rows=teacher.tokenize(texts),
            targets=targets,
            special=teacher.tokenizer.special,
            max_seq_length=config.max_seq_length,
            teacher=identity,
        )
        events = train(task, config.loop, output_dir, resume_from_checkpoint=resume_from_checkpoint)
        if process.is_main:
            steps = follow(events, config.loop, output_dir, settings=config)
        else:
            steps = deque(events, maxlen=1).pop().step
    return Module(
        checkpoint=replace(checkpoint, tensors=in_memory(task.model.arrays())),
        tokenizer=teacher.tokenizer,
        provenance={
            "made_by": "wellread distill",
            "teacher": {**teacher.provenance, "sha256": identity},
            "texts": len(texts),
            "steps": steps,
            "settings": asdict(config),
        },
    )


def student_of(teacher: Module, config: DistillConfig) -> Checkpoint:
    """Make the student that `config` describes, before any training."""
    return sentence_student(
        teacher.checkpoint,
        layers=config.num_hidden_layers,
        width=config.hidden_size,
        heads=config.num_attention_heads,
        max_seq_length=config.max_seq_length,
        seed=config.loop.seed,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SentenceTask:
    """Draw the sentence vectors of rows of ids to `targets`, float16 [N, E]."""

    model: TorchEncoder
    rows: Ragged
    targets: NDArray[np.float16]
    special: SpecialTokens
    max_seq_length: int
    teacher: str  # its SHA-256

    def lengths(self, epoch: int) -> NDArray[np.int64]:
        """Return the tokens of every row, [CLS] and [SEP] included."""
        return np.minimum(self.rows.lengths + 2, self.max_seq_length)

    def collate(self, rows: NDArray[np.int64], epoch: int) -> Inputs:
        """Pad rows to their longest, and put their targets beside them."""
        packed = bert_pack_inputs(
            [self.rows.take(rows)], special=self.special, seq_length=self.max_seq_length, pad_to_longest=True
        )
        inputs = {name: torch.from_numpy(array) for name, array in packed.items()}
        return {**inputs, "targets": torch.from_numpy(self.targets[rows].astype(np.float32))}

    def loss(self, inputs: Inputs) -> Loss:
        """Sum the squared Euclidean distances of unit vectors: 2 - 2 cos, 0 to 4 each."""
        targets = torch.nn.functional.normalize(inputs["targets"], dim=-1)
        vectors = self.model(inputs, [SENTENCE_OUTPUT])[SENTENCE_OUTPUT]
        assert isinstance(vectors, Tensor)
        return Loss(total=(vectors - targets).square().sum(), count=len(targets))

    def identity(self) -> dict[str, Any]:
        """Name the teacher and the data by their hashes, and the student's shape."""
        digest = hashlib.sha256()
        for array in (self.rows.values, self.rows.splits, self.targets):
            digest.update(np.ascontiguousarray(array).tobytes())
        data = {"task": "sentence vectors", "data": digest.hexdigest(), "teacher": self.teacher}
        shape = {name: getattr(self.model.encoder_config, name) for name in SHAPE}
        return {**data, **shape, "max_seq_length": self.max_seq_length, **asdict(self.special)}
