"""Pre-train a masked language model on plain text, from scratch or from any module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from wellread.backends.torch import TorchEncoder, TorchOps
from wellread.checkpoints.checkpoint import Checkpoint
from wellread.data.token_store import Texts, TokenStore, token_store
from wellread.encoder.heads import mlm_logits
from wellread.errors import ConfigError, nearest
from wellread.learn.distributed import Process, joined
from wellread.learn.init import family_of_file, from_scratch, refuse_long, shape_named, shape_of_file, with_mlm_head
from wellread.learn.loop import run, trained_module
from wellread.learn.settings import PretrainConfig
from wellread.learn.step import Inputs, Loss, tensors
from wellread.learn.vocabulary import read_vocabulary, trained_vocabulary
from wellread.metrics.metrics import perplexity
from wellread.module import Module
from wellread.schema import as_dict
from wellread.text.batch import Batch, Template, token_budget_batches
from wellread.text.masking import Masking, Rng, mask_tokens, masking_of, piece_counts, row_rng
from wellread.text.tokenizer import Tokenizer


def new_module(
    texts: Sequence[Path],
    *,
    cache: Path,
    shape: str | None = None,
    config: Path | None = None,
    vocab: str | None = None,
    train_vocab: str | None = None,
    vocab_size: int = 30_522,
    lower_case: bool = False,
    settings: PretrainConfig,
    column: str | None = None,
    kind: str | None = None,
    process: Process | None = None,
) -> Module:
    """Make an untrained module: of either a `shape` or a `config`, and either a `vocab` or one that is trained.

    `shape` is that of a small BERT, such as L-2_H-128, with the vocabulary's size; `config` is a Hugging Face
    config.json. `vocab` is a vocab.txt, a SentencePiece model, or a module; `train_vocab` is wordpiece or
    sentencepiece, of `vocab_size` pieces, trained from `texts` once, into `cache`. `lower_case` is the rule of a
    vocab.txt, or of a vocabulary that is trained.

    Raises: ConfigError, TextError, DataError; InputError for a vocabulary larger than `config` has words.
    """
    for choices in ({"shape": shape, "config": config}, {"vocab": vocab, "train_vocab": train_vocab}):
        chosen = [name for name, value in choices.items() if value]
        if len(chosen) != 1:
            raise ConfigError(
                f"a new module needs {' or '.join(choices)}; found {' and '.join(chosen) or 'neither'}; give one of "
                "them"
            )
    encoder = shape_of_file(config) if config else shape_named(str(shape))
    if vocab:
        tokenizer = read_vocabulary(vocab, lower_case=lower_case)
    else:
        tokenizer = trained_vocabulary(
            texts,
            kind=str(train_vocab),
            size=vocab_size,
            cache=cache,
            lower_case=lower_case,
            column=column,
            file_kind=kind,
            process=process,
        )
    if shape:
        encoder = replace(encoder, vocab_size=tokenizer.vocab_size, pad_token_id=tokenizer.special.pad)
    family = family_of_file(config).name if config else None
    options: dict[str, Any] = {"seed": settings.loop.seed, "max_seq_length": settings.max_seq_length}
    return from_scratch(encoder, tokenizer, family=family, **options)


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


@torch.no_grad()
def held_out(task: MlmTask, store: TokenStore) -> dict[str, float]:
    """Return the perplexity of masked tokens of other texts and the share that is guessed; their masks are fixed."""
    model, device = task.model, next(task.model.parameters()).device
    training = model.training
    model.eval()
    losses, hits = [np.zeros(0)], 0
    for rows in token_budget_batches(store.lengths + task.template.overhead(), max_tokens=TOKENS, max_rows=ROWS):
        packed = task.template.pack([store.take(rows)], seq_length=task.max_seq_length, pad_to_longest=True)
        batch = masked_inputs(packed, task.masking, row_rng(0, HELD_OUT, rows))
        inputs = {name: tensor.to(device) for name, tensor in batch.items()}
        logits, labels = masked_logits(model, inputs).float(), inputs["labels"]
        losses.append(functional.cross_entropy(logits, labels, reduction="none").cpu().numpy())
        hits += int((logits.argmax(-1) == labels).sum())
    model.train(training)
    token_losses = np.concatenate(losses)
    return {"masked_perplexity": perplexity(token_losses), "masked_accuracy": hits / len(token_losses)}


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


def mlm_task(checkpoint: Checkpoint, tokenizer: Tokenizer, store: TokenStore, config: PretrainConfig) -> MlmTask:
    """Return the task of guessing the masked tokens of a store."""
    counts = piece_counts(store.rows, tokenizer.vocab_size) if config.masking == "smoothed" else None
    model = TorchEncoder(checkpoint).train()
    freeze(model, config.frozen)
    return MlmTask(
        model=model,
        store=store,
        masking=masking_of(tokenizer, kind=config.masking, rate=config.mlm_probability, counts=counts),
        template=tokenizer.template,
        seed=config.loop.seed,
        max_seq_length=config.max_seq_length,
    )


def pretrain(
    module: Module,
    texts: Texts,
    *,
    output_dir: str | Path,
    config: PretrainConfig | None = None,
    dev: Texts | None = None,
    column: str | None = None,
    kind: str | None = None,
    resume_from_checkpoint: bool | str | Path | None = None,
    overwrite: bool = False,
) -> Module:
    """Train `module` to guess masked tokens of `texts`, and return what it became.

    `texts` are files as paths (a text a line, or a `column` of a table; `kind` says what they are where their endings
    do not) or any iterable of strings. Their tokens go to `output_dir/tokens` once, with checkpoints and what
    `log_events` writes beside; memory does not grow with them. Every epoch masks other tokens. A module without the
    masked-language-model head gets a fresh one; pooler and sentence maps stay as they are, a task's head is dropped.
    `dev` texts are scored every `eval_steps` and at the end, always under the same masks. A run that was killed goes on
    from `resume_from_checkpoint`: a checkpoint of `output_dir`, or True for the last; `overwrite` begins anew where
    there are checkpoints of another. Under torchrun every process returns the module.

    Raises: ConfigError for settings that do not fit the module; DataError; TrainingError as `train`.
    """
    config, output_dir = config or PretrainConfig(), Path(output_dir)
    checkpoint = with_mlm_head(module.checkpoint, seed=config.loop.seed)
    refuse_long(checkpoint, config.max_seq_length)
    with joined(config.loop.ddp_timeout) as process:
        read = partial(
            token_store,
            tokenizer=module.tokenizer,
            cache=output_dir / "tokens",
            max_seq_length=config.max_seq_length,
            column=column,
            kind=kind,
            run_once=process.run_once,
        )
        store, dev_store = read(texts), read(dev) if dev is not None else None
        task = mlm_task(checkpoint, module.tokenizer, store, config)
        scores: dict[str, float] = {}

        def evaluate() -> Mapping[str, float]:
            scores.update(held_out(task, dev_store) if dev_store else {})
            return scores

        resume: dict[str, Any] = {"resume_from_checkpoint": resume_from_checkpoint, "overwrite": overwrite}
        scorer = evaluate if dev_store else None
        steps = run(task, config.loop, output_dir, settings=config, evaluate=scorer, **resume)
        if process.is_main and not scores:  # eval_steps is 0, or no step was left
            evaluate()
    provenance = {
        **{"made_by": "wellread pretrain", "from": dict(module.provenance)},
        **{"texts": store.facts.texts, "rows": store.facts.rows, "tokens": store.facts.tokens, "steps": steps},
        **({"held_out": scores} if scores else {}),
        "settings": asdict(config),
    }
    return trained_module(task.model, checkpoint, module.tokenizer, backend=module.backend, provenance=provenance)
