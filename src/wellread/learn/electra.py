"""ELECTRA (Clark et al. 2020, arXiv:2003.10555): a generator replaces tokens, the discriminator tells which.

Both are encoders of one family and share the embeddings: words, positions, types and their LayerNorm, of the
discriminator's width; a linear map takes them to the generator's, and its scores of words come from the same table, as
in google-research/electra. The discriminator is kept, the generator and the discriminator's head are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from wellread.backends.torch import TorchEncoder, TorchOps, place
from wellread.checkpoints.checkpoint import Checkpoint, in_memory
from wellread.checkpoints.names import shapes
from wellread.config import EncoderConfig, SentenceConfig
from wellread.data.token_store import TokenStore
from wellread.learn.init import POSITIONS, TYPES, WORDS, random_tensors
from wellread.learn.mlm import HELD_OUT, ROWS, TOKENS, freeze, masked_logits, masking_for
from wellread.learn.settings import ElectraConfig, PretrainConfig
from wellread.learn.step import Inputs, Loss, RowNumbers, tensors
from wellread.metrics.metrics import perplexity
from wellread.schema import as_dict
from wellread.text.batch import Template, token_budget_batches
from wellread.text.masking import Masking, Rng, mask_tokens, row_rng
from wellread.text.tokenizer import Tokenizer

MASK_SHARE = 0.85  # of the chosen tokens; the others stay as they are (google-research/electra, pretrain_helpers.py)
DRAWS = 4  # of every token that `mask_tokens` makes; the one behind them decides what replaces it
EMBEDDINGS = (*(name.removesuffix(".weight") for name in (WORDS, POSITIONS, TYPES)), "embeddings.LayerNorm")
HEAD = "discriminator_predictions"
NOT_KEPT = "the discriminator's head, which tells replaced tokens; no output needs it"
NO_WORD_SCORES = "ELECTRA trains the encoder without it: the generator has one of its own"


def generator_config(config: EncoderConfig, electra: ElectraConfig) -> EncoderConfig:
    """Return the shape of the generator of a discriminator's.

    It has `generator_size` of the width, of the inner width and of the heads, or the next lower number of them that
    divides its width.

    >>> from wellread.learn.init import shape_named
    >>> generator = generator_config(shape_named("L-4_H-256"), ElectraConfig())
    >>> generator.hidden_size, generator.embedding_size, generator.num_attention_heads, generator.intermediate_size
    (64, 256, 1, 256)
    """
    width = max(1, round(config.hidden_size * electra.generator_size))
    heads = max(1, min(width, round(config.num_attention_heads * electra.generator_size)))
    return replace(
        config,
        hidden_size=width,
        embedding_size=config.embedding_width,
        num_hidden_layers=electra.generator_layers or config.num_hidden_layers,
        num_attention_heads=next(count for count in range(heads, 0, -1) if width % count == 0),
        intermediate_size=max(1, round(config.intermediate_size * electra.generator_size)),
        pooler="first_token",
    )


class Electra(nn.Module):
    """A discriminator and a generator that shares its embeddings."""

    def __init__(self, checkpoint: Checkpoint, electra: ElectraConfig, *, seed: int) -> None:
        """Begin with the encoder of `checkpoint` as discriminator, and the rest drawn from `seed`."""
        super().__init__()
        self.discriminator = TorchEncoder(checkpoint)
        config, width = generator_config(checkpoint.config, electra), checkpoint.config.hidden_size
        head = {"dense.weight": (width, width), "dense.bias": (width,)}
        head |= {"dense_prediction.weight": (1, width), "dense_prediction.bias": (1,)}
        wanted = shapes(config, mlm=True)
        shared = {name: checkpoint.tensors[name] for name in wanted if name.startswith(EMBEDDINGS)}
        fresh = {name: shape for name, shape in wanted.items() if name not in shared}
        fresh |= {f"{HEAD}.{name}": shape for name, shape in head.items()}
        arrays = random_tensors(fresh, config.initializer_range, np.random.default_rng([seed, 1]))
        for name in head:
            place(self, f"{HEAD}.{name}", arrays.pop(f"{HEAD}.{name}"))
        generator = replace(
            checkpoint, config=config, sentence=SentenceConfig(), tensors={**shared, **in_memory(arrays)}
        )
        self.generator = TorchEncoder(generator)
        for name in EMBEDDINGS:
            if f"{name}.weight" in shared:
                self.generator.set_submodule(name, self.discriminator.get_submodule(name))

    def replaced_logits(self, inputs: Inputs) -> Tensor:
        """Return the discriminator's logits [B, T] that a token was replaced: a dense map, activation, one number."""
        states = self.discriminator(inputs, ["sequence_output"])["sequence_output"]
        assert isinstance(states, Tensor)
        ops = TorchOps(self)
        x = ops.activation(ops.linear(states, f"{HEAD}.dense"), self.discriminator.encoder_config.activation)
        return ops.linear(x, f"{HEAD}.dense_prediction").squeeze(-1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ElectraTask:
    """Replace tokens of the rows of a store by what the generator would write, and tell which they are.

    The loss is the mean of the generator's cross-entropies over the masked tokens of a step, and
    `discriminator_weight` times the mean of the discriminator's binary ones over its real tokens, special ones too.
    """

    model: Electra
    store: TokenStore
    masking: Masking
    template: Template
    seed: int
    max_seq_length: int
    electra: ElectraConfig
    parts: tuple[str, ...] = ("generator_loss", "discriminator_loss")

    @property
    def encoder(self) -> TorchEncoder:
        """What is kept of the model."""
        return self.model.discriminator

    def lengths(self, epoch: int) -> NDArray[np.int64]:
        """Return the tokens of every row, special ones included."""
        return self.store.lengths + self.template.overhead()

    def collate(self, rows: NDArray[np.int64], epoch: int) -> Inputs:
        """Pad rows to their longest and mask them."""
        return self.masked(self.store, rows, row_rng(self.seed, epoch, rows))

    def masked(self, store: TokenStore, rows: NDArray[np.int64], rng: Rng) -> Inputs:
        """Return masked rows [B, T], and of what is masked `positions`, `labels` and `draws` in [0, 1), all [P]."""
        packed = self.template.pack([store.take(rows)], seq_length=self.max_seq_length, pad_to_longest=True)
        masked = mask_tokens(packed, masking=self.masking, rng=rng)
        draws = rng.random((DRAWS + 1, *masked.input_word_ids.shape))[DRAWS].ravel()[masked.positions]
        chosen = {"positions": masked.positions, "labels": masked.labels.astype(np.int64)}
        chosen["draws"] = draws.astype(np.float32)
        return tensors({**packed, "input_word_ids": masked.input_word_ids, **chosen})

    def step_inputs(self, batches: Sequence[RowNumbers], epoch: int) -> Inputs:
        """Return what a masked token of a step counts in real ones, for batches that share a step."""
        if len(batches) == 1:  # its own numbers do
            return {}
        lengths = self.lengths(epoch)
        tokens = sum(int(lengths[rows].sum()) for rows in batches)
        masked = sum(len(self.collate(rows, epoch)["positions"]) for rows in batches)
        return {"tokens_per_masked": torch.tensor(tokens / max(1, masked))}

    def loss(self, inputs: Inputs) -> Loss:
        """Sum both losses over the real tokens: a masked one counts as many of them as there are for each."""
        tokens, masked = inputs["input_mask"].sum(), max(1, len(inputs["labels"]))
        log_probs = word_log_probs(self.model, inputs)
        words = functional.nll_loss(log_probs, inputs["labels"], reduction="sum")
        generator = words * inputs.get("tokens_per_masked", tokens / masked)
        ids, replaced = replace_tokens(inputs, log_probs.detach(), self.electra.sampling_temperature)
        logits = self.model.replaced_logits({**inputs, "input_word_ids": ids}).float()
        discriminator = functional.binary_cross_entropy_with_logits(
            logits, replaced.float(), weight=inputs["input_mask"], reduction="sum"
        )
        total = generator + self.electra.discriminator_weight * discriminator
        parts = {"generator_loss": generator, "discriminator_loss": discriminator}
        return Loss(total=total, count=tokens, parts=parts)

    @torch.no_grad()
    def held_out(self, store: TokenStore) -> dict[str, float]:
        """Score other texts, whose masks and draws are fixed.

        Returns the perplexity of masked tokens to the generator, and of the discriminator's answers at 0.5 on real
        tokens the accuracy, and precision and recall of the replaced; 0 where there are none.
        """
        device, training = next(self.model.parameters()).device, self.model.training
        self.model.eval()
        losses, counts = [np.zeros(0)], np.zeros((2, 2), np.int64)  # whether replaced, whether so told
        for rows in token_budget_batches(store.lengths + self.template.overhead(), max_tokens=TOKENS, max_rows=ROWS):
            batch = self.masked(store, rows, row_rng(0, HELD_OUT, rows))
            inputs = {name: tensor.to(device) for name, tensor in batch.items()}
            log_probs = word_log_probs(self.model, inputs)
            losses.append(functional.nll_loss(log_probs, inputs["labels"], reduction="none").cpu().numpy())
            ids, replaced = replace_tokens(inputs, log_probs, self.electra.sampling_temperature)
            told = self.model.replaced_logits({**inputs, "input_word_ids": ids}) > 0
            pairs = (2 * replaced + told.long())[inputs["input_mask"] != 0]
            counts += np.bincount(pairs.cpu().numpy(), minlength=4).reshape(2, 2)
        self.model.train(training)
        return {
            "masked_perplexity": perplexity(np.concatenate(losses)),
            "discriminator_accuracy": float(np.trace(counts) / counts.sum()),
            "discriminator_precision": float(counts[1, 1] / max(1, counts[:, 1].sum())),
            "discriminator_recall": float(counts[1, 1] / max(1, counts[1].sum())),
        }

    def identity(self) -> dict[str, Any]:
        """Name the data by its hash, and the models' arithmetic, the masks and the losses by their settings."""
        parts = {"config": as_dict(self.encoder.encoder_config), "special": asdict(self.masking.special)}
        parts["electra"] = asdict(self.electra)
        flat = {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()}
        masks = {"masking": self.masking.kind, "mlm_probability": self.masking.rate}
        data = {"task": "electra", "data": self.store.facts.digest, "vocab": self.masking.vocab_size}
        return {**data, **masks, **flat, "max_seq_length": self.max_seq_length}


def word_log_probs(model: Electra, inputs: Inputs) -> Tensor:
    """Return the generator's log-probabilities of the words at the masked positions: float32 [P, V]."""
    return masked_logits(model.generator, inputs).float().log_softmax(-1)


def replace_tokens(inputs: Inputs, log_probs: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Put a word that the generator draws at every masked position; return ids [B, T] and which are others [B, T].

    A word that happens to be the one that stood there is the original. Of each distribution [V] the word is the one
    where the sum passes the position's draw, so it depends on the row and not on its batch.
    """
    probs = log_probs.exp() if temperature == 1 else (log_probs / temperature).softmax(-1)
    sums = probs.cumsum(-1)
    words = torch.searchsorted(sums, inputs["draws"][:, None] * sums[:, -1:], right=True)[:, 0]
    words = words.clamp_(max=sums.shape[1] - 1)
    ids, positions = inputs["input_word_ids"], inputs["positions"]
    replaced = torch.zeros(ids.numel(), dtype=torch.int64, device=ids.device)
    replaced[positions] = (words != inputs["labels"]).long()
    ids = ids.flatten().scatter(0, positions, words.to(ids.dtype))
    return ids.view(inputs["input_word_ids"].shape), replaced.view(inputs["input_word_ids"].shape)


def electra_task(
    checkpoint: Checkpoint, tokenizer: Tokenizer, store: TokenStore, config: PretrainConfig
) -> ElectraTask:
    """Return the task of telling replaced tokens of a store."""
    model = Electra(checkpoint, config.electra, seed=config.loop.seed).train()
    freeze(model.discriminator, config.frozen)
    masking = masking_for(tokenizer, store, config)
    return ElectraTask(
        model=model,
        store=store,
        masking=replace(masking, mask_share=MASK_SHARE, random_share=0.0),
        template=tokenizer.template,
        seed=config.loop.seed,
        max_seq_length=config.max_seq_length,
        electra=config.electra,
    )
