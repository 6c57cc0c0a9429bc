"""Distil a small sentence encoder from a large one: its vectors, in the teacher's own space.

LEAF (Vujanic and Rueckstiess 2025, arXiv:2509.12539): the student's normalised vector, through a linear map to the
teacher's width, is drawn to the teacher's by their squared distance. The map stays in the module, so vectors of
student and teacher can be compared with each other.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wellread.backends.torch import TorchEncoder
from wellread.encoder.heads import SENTENCE_OUTPUT
from wellread.errors import TrainingError
from wellread.learn.loop import Step, optimise
from wellread.learn.settings import DistillConfig
from wellread.learn.student import sentence_student
from wellread.learn.teacher import fingerprint, teacher_vectors
from wellread.module import Module
from wellread.progress import progress
from wellread.text.pack import Batch, bert_pack_inputs
from wellread.text.ragged import Ragged
from wellread.weights.checkpoint import in_memory


def distill(teacher: Module, texts: Sequence[str], *, output_dir: Path, config: DistillConfig) -> Module:
    """Train a student on the teacher's vectors of `texts`, and return it.

    `output_dir` gets the teacher's vectors (kept for the next run) and `log.jsonl`, a line every `logging_steps`.
    The student keeps the teacher's tokenizer; its largest sequence is `max_seq_length`.

    Raises: TrainingError for no texts, or a loss that is no number.
    """
    if not texts:
        raise TrainingError("a student was to be distilled; found 0 texts; give it some")
    torch.manual_seed(config.seed)
    targets = teacher_vectors(teacher, texts, cache=output_dir / "teacher")
    checkpoint = sentence_student(
        teacher.checkpoint,
        layers=config.num_hidden_layers,
        width=config.hidden_size,
        heads=config.num_attention_heads,
        max_seq_length=config.max_seq_length,
        seed=config.seed,
    )
    encoder = TorchEncoder(checkpoint).eval()  # dropout off: targets are given, there is little to overfit
    rows = teacher.tokenize(texts)
    plan = list(_plan(rows, config))
    batches = (_batch(teacher, rows, targets, chosen, config) for chosen in plan)
    started = time.monotonic()
    with (output_dir / "log.jsonl").open("w") as log, progress(len(plan), label="steps", show=None) as advance:
        for event in optimise(
            encoder, batches, lambda batch: _loss(encoder, batch), total=len(plan), config=config.loop
        ):
            advance(1)
            if event.step % config.logging_steps == 0 or event.step == len(plan):
                _log(log, event, started)
    return Module(
        checkpoint=replace(checkpoint, tensors=in_memory(encoder.arrays())),
        tokenizer=teacher.tokenizer,
        provenance={
            "made_by": "wellread distill",
            "teacher": {**teacher.provenance, "sha256": fingerprint(teacher)},
            "texts": len(texts),
            "steps": len(plan),
            "settings": asdict(config),
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Example:
    inputs: dict[str, Tensor]
    targets: Tensor


def _plan(rows: Ragged, config: DistillConfig) -> Iterator[NDArray[np.int64]]:
    """Yield the rows of every batch of every epoch: shuffled, but of about equal length within a batch."""
    rng = np.random.default_rng(config.seed)
    size = config.per_device_train_batch_size
    for _ in range(config.num_train_epochs):
        order = rng.permutation(len(rows))
        pools = [
            pool[np.argsort(rows.lengths[pool], kind="stable")]
            for pool in np.split(order, _cuts(len(order), 64 * size))
        ]
        batches = [batch for pool in pools for batch in np.split(pool, _cuts(len(pool), size))]
        for i in rng.permutation(len(batches)):
            yield batches[i]


def _cuts(total: int, size: int) -> NDArray[np.int64]:
    return np.arange(size, total, size)


def _batch(
    teacher: Module, rows: Ragged, targets: NDArray[np.float16], chosen: NDArray[np.int64], config: DistillConfig
) -> _Example:
    packed: Batch = bert_pack_inputs(
        [rows.take(chosen)],
        special=teacher.tokenizer.special,
        seq_length=config.max_seq_length,
        pad_to_longest=True,
    )
    inputs = {name: torch.from_numpy(array) for name, array in packed.items()}
    return _Example(inputs=inputs, targets=torch.from_numpy(targets[chosen].astype(np.float32)))


def _loss(encoder: TorchEncoder, batch: _Example) -> Tensor:
    """Mean squared Euclidean distance of unit vectors: 2 - 2 cos, 0 to 4."""
    vectors = encoder(batch.inputs, [SENTENCE_OUTPUT])[SENTENCE_OUTPUT]
    assert isinstance(vectors, Tensor)
    targets = torch.nn.functional.normalize(batch.targets, dim=-1)
    return (vectors - targets).square().sum(-1).mean()


def _log(log: object, event: Step, started: float) -> None:
    line = {**asdict(event), "seconds": round(time.monotonic() - started, 1)}
    print(json.dumps(line), file=log, flush=True)  # type: ignore[call-overload]
