"""The masked language model's task: rows with masked tokens, and the loss of guessing them."""

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
from wellread.checkpoints.checkpoint import Checkpoint
from wellread.data.token_store import TokenStore
from wellread.encoder.heads import mlm_logits
from wellread.errors import ConfigError, nearest
from wellread.learn.settings import PretrainConfig
from wellread.learn.step import Inputs, Loss, tensors
from wellread.metrics.metrics import perplexity
from wellread.schema import as_dict
from wellread.text.batch import Batch, Template, token_budget_batches
from wellread.text.masking import Masking, Rng, mask_tokens, masking_of, piece_counts, row_rng
from wellread.text.tokenizer import Tokenizer

HELD_OUT = (1 << 32) - 1  # the epoch whose masks held-out texts have, under seed 0, whatever the run's are
TOKENS, ROWS = 8_192, 256  # of a batch that is not trained on


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MlmTask:
    """Guess the masked tokens of the rows of a store; every epoch masks others."""

    model: TorchEncoder
    store: TokenStore
    masking: Masking
    template: Template
    seed: int
    max_seq_length: int

    @property
    def encoder(self) -> TorchEncoder:
        """What is kept of the model: all of it."""
        return self.model

    def lengths(self, epoch: int) -> NDArray[np.int64]:
        """Return the tokens of every row, special ones included."""
        return self.store.lengths + self.template.overhead()

    def collate(self, rows: NDArray[np.int64], epoch: int) -> Inputs:
        """Pad rows to their longest and mask them."""
        packed = self.template.pack([self.store.take(rows)], seq_length=self.max_seq_length, pad_to_longest=True)
        return masked_inputs(packed, self.masking, row_rng(self.seed, epoch, rows))

    def loss(self, inputs: Inputs) -> Loss:
        """Sum the cross-entropies of the masked positions."""
        logits = masked_logits(self.model, inputs)
        total = functional.cross_entropy(logits.float(), inputs["labels"], reduction="sum")
        return Loss(total=total, count=len(inputs["labels"]))

    @torch.no_grad()
    def held_out(self, store: TokenStore) -> dict[str, float]:
        """Return the perplexity of masked tokens of other texts, and the share that is guessed; masks are fixed."""
        model, device = self.model, next(self.model.parameters()).device
        training = model.training
        model.eval()
        losses, hits = [np.zeros(0)], 0
        for rows in token_budget_batches(store.lengths + self.template.overhead(), max_tokens=TOKENS, max_rows=ROWS):
            packed = self.template.pack([store.take(rows)], seq_length=self.max_seq_length, pad_to_longest=True)
            batch = masked_inputs(packed, self.masking, row_rng(0, HELD_OUT, rows))
            inputs = {name: tensor.to(device) for name, tensor in batch.items()}
            logits, labels = masked_logits(model, inputs).float(), inputs["labels"]
            losses.append(functional.cross_entropy(logits, labels, reduction="none").cpu().numpy())
            hits += int((logits.argmax(-1) == labels).sum())
        model.train(training)
        token_losses = np.concatenate(losses)
        return {"masked_perplexity": perplexity(token_losses), "masked_accuracy": hits / len(token_losses)}

    def identity(self) -> dict[str, Any]:
        """Name the data by its hash, and the model's arithmetic and the masks by their settings."""
        config = {f"config.{name}": value for name, value in as_dict(self.model.encoder_config).items()}
        special = {f"special.{name}": value for name, value in asdict(self.masking.special).items()}
        masks = {"masking": self.masking.kind, "mlm_probability": self.masking.rate}
        data = {"task": "masked language model", "data": self.store.facts.digest, "vocab": self.masking.vocab_size}
        return {**data, **masks, **special, **config, "max_seq_length": self.max_seq_length}


def masked_inputs(packed: Batch, masking: Masking, rng: Rng) -> Inputs:
    """Return masked rows as the encoder takes them [B, T], and `positions` in the flat batch and `labels`, both [P]."""
    masked = mask_tokens(packed, masking=masking, rng=rng)
    labels = masked.labels.astype(np.int64)
    return tensors({**packed, "input_word_ids": masked.input_word_ids, "positions": masked.positions, "labels": labels})


def masked_logits(model: TorchEncoder, inputs: Inputs) -> Tensor:
    """Return the MLM logits [P, V] of the masked positions alone; nothing is computed at the others."""
    states = model(inputs, ["sequence_output"])["sequence_output"]
    assert isinstance(states, Tensor)
    flat, positions = states.flatten(0, 1)[None], inputs["positions"][None]  # one row of B * T: [1, B * T, D], [1, P]
    return mlm_logits(TorchOps(model), model.encoder_config, flat, positions)[0]


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


def masking_for(tokenizer: Tokenizer, store: TokenStore, config: PretrainConfig) -> Masking:
    """Return the masking that the settings ask for."""
    counts = piece_counts(store.rows, tokenizer.vocab_size) if config.masking == "smoothed" else None
    return masking_of(tokenizer, kind=config.masking, rate=config.mlm_probability, counts=counts)


def mlm_task(checkpoint: Checkpoint, tokenizer: Tokenizer, store: TokenStore, config: PretrainConfig) -> MlmTask:
    """Return the task of guessing the masked tokens of a store."""
    model = TorchEncoder(checkpoint).train()
    freeze(model, config.frozen)
    return MlmTask(
        model=model,
        store=store,
        masking=masking_for(tokenizer, store, config),
        template=tokenizer.template,
        seed=config.loop.seed,
        max_seq_length=config.max_seq_length,
    )
