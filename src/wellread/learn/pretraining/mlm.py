"""The masked language model as a task of the loop: word scores at the masked positions alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from wellread.backends.torch import TorchEncoder, TorchOps
from wellread.encoder.heads import mlm_logits
from wellread.errors import ConfigError, nearest
from wellread.learn.pretraining.texts import TokenStore
from wellread.learn.task import Inputs, Loss, tensors
from wellread.measure.metrics import perplexity
from wellread.tasks.masking import Masking, mask_tokens, row_rng
from wellread.text.batches import token_budget_batches
from wellread.text.pack import bert_pack_inputs

HELD_OUT = (1 << 32) - 1  # the epoch whose masks held-out texts have, under seed 0, whatever the run's are
TOKENS, ROWS = 8_192, 256  # of a batch that is not trained on


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MlmTask:
    """Guess the masked tokens of the rows of a store; every epoch masks others."""

    model: TorchEncoder
    store: TokenStore
    masking: Masking
    seed: int
    max_seq_length: int

    def lengths(self, epoch: int) -> NDArray[np.int64]:
        """Return the tokens of every row, [CLS] and [SEP] included."""
        return self.store.lengths + 2

    def collate(self, rows: NDArray[np.int64], epoch: int) -> Inputs:
        """Pad rows to their longest and mask them."""
        return masked_inputs(self.store, rows, self.masking, seed=self.seed, epoch=epoch, length=self.max_seq_length)

    def loss(self, inputs: Inputs) -> Loss:
        """Sum the cross-entropies of the masked positions."""
        scores = masked_scores(self.model, inputs)
        total = functional.cross_entropy(scores.float(), inputs["labels"], reduction="sum")
        return Loss(total=total, count=len(inputs["labels"]))

    def identity(self) -> dict[str, Any]:
        """Name the data by its hash, and the model's arithmetic and the masks by their settings."""
        config = {f"config.{name}": value for name, value in asdict(self.model.encoder_config).items()}
        special = {f"special.{name}": value for name, value in asdict(self.masking.special).items()}
        masks = {"masking": self.masking.kind, "mlm_probability": self.masking.rate}
        data = {"task": "masked language model", "data": self.store.facts.digest, "vocab": self.masking.vocab_size}
        return {**data, **masks, **special, **config, "max_seq_length": self.max_seq_length}


def masked_inputs(
    store: TokenStore, rows: NDArray[np.int64], masking: Masking, *, seed: int, epoch: int, length: int
) -> Inputs:
    """Return masked rows as the encoder takes them [B, T], and `positions` in the flat batch and `labels`, both [P]."""
    packed = bert_pack_inputs([store.take(rows)], special=masking.special, seq_length=length, pad_to_longest=True)
    masked = mask_tokens(packed, masking=masking, rng=row_rng(seed, epoch, rows))
    labels = masked.labels.astype(np.int64)
    return tensors({**packed, "input_word_ids": masked.input_word_ids, "positions": masked.positions, "labels": labels})


def masked_scores(model: TorchEncoder, inputs: Inputs) -> Tensor:
    """Score every piece at the masked positions alone: logits [P, V]; nothing is computed at the others."""
    states = model(inputs, ["sequence_output"])["sequence_output"]
    assert isinstance(states, Tensor)
    flat, positions = states.flatten(0, 1)[None], inputs["positions"][None]  # one row of B * T: [1, B * T, D], [1, P]
    return mlm_logits(TorchOps(model), model.encoder_config, flat, positions)[0]


@torch.no_grad()
def held_out(task: MlmTask, store: TokenStore) -> dict[str, float]:
    """Return the perplexity of masked tokens of other texts and the share that is guessed; their masks are fixed."""
    model, device = task.model, next(task.model.parameters()).device
    training = model.training
    model.eval()
    losses, hits = [np.zeros(0)], 0
    for rows in token_budget_batches(store.lengths + 2, max_tokens=TOKENS, max_rows=ROWS):
        made = masked_inputs(store, rows, task.masking, seed=0, epoch=HELD_OUT, length=task.max_seq_length)
        inputs = {name: tensor.to(device) for name, tensor in made.items()}
        scores, labels = masked_scores(model, inputs).float(), inputs["labels"]
        losses.append(functional.cross_entropy(scores, labels, reduction="none").cpu().numpy())
        hits += int((scores.argmax(-1) == labels).sum())
    model.train(training)
    every = np.concatenate(losses)
    return {"masked_perplexity": perplexity(every), "masked_accuracy": hits / len(every)}


def freeze(model: TorchEncoder, frozen: Sequence[str]) -> None:
    """Take the named parameters, or those under the named parts, out of training.

    Raises: ConfigError for a name that no parameter begins with.
    """
    names = [name for name, _ in model.named_parameters()]
    chosen = {part: [name for name in names if f"{name}.".startswith(f"{part}.")] for part in frozen}
    parts = {name.rsplit(".", end)[0] for name in names for end in range(name.count(".") + 1)}
    unknown = [part + nearest(part, parts) for part, found in chosen.items() if not found]
    if unknown:
        raise ConfigError(
            f"{', '.join(frozen)} were to stay as they are; found no {', '.join(unknown)} in the model; name "
            "tensors, or parts of their names that end at a dot"
        )
    for name in {name for found in chosen.values() for name in found}:
        model.get_parameter(name).requires_grad_(False)
