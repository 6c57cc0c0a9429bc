"""Pre-train a masked language model on plain text, from scratch or from any module."""

from __future__ import annotations

from collections import deque
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
from wellread.checkpoints.checkpoint import Checkpoint, in_memory
from wellread.data.token_store import Texts, TokenStore, token_store
from wellread.encoder.heads import mlm_logits
from wellread.errors import ConfigError, nearest
from wellread.files import refuse_existing
from wellread.learn.distributed import Process, joined
from wellread.learn.init import scratch, shape_named, shape_of_file, with_mlm_head
from wellread.learn.log import follow
from wellread.learn.loop import train
from wellread.learn.settings import PretrainConfig
from wellread.learn.step import Inputs, Loss, tensors
from wellread.learn.vocabulary import read_vocabulary, trained_vocabulary
from wellread.metrics.metrics import perplexity
from wellread.module import Module
from wellread.schema import as_dict
from wellread.text.batch import Batch, Template, token_budget_batches
from wellread.text.masking import Masking, Rng, mask_tokens, masking_of, piece_counts, row_rng
from wellread.text.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """Either of `shape` and `config`, and either of `vocab` and `train_vocab`."""

    shape: str | None = None  # of a small BERT, such as L-2_H-128; the word table gets the vocabulary's size
    config: Path | None = None  # a Hugging Face config.json
    vocab: str | None = None  # a vocab.txt, a SentencePiece model, a module's directory or handle
    train_vocab: str | None = None  # of vocabulary.KINDS
    vocab_size: int = 30_522  # pieces of a vocabulary that is trained
    lower_case: bool = False  # the rule of a vocab.txt, or of a vocabulary that is trained

    def __post_init__(self) -> None:
        """Refuse none or two of what must be one."""
        for one, other in (("shape", "config"), ("vocab", "train_vocab")):
            found = [name for name in (one, other) if getattr(self, name)]
            if len(found) != 1:
                raise ConfigError(
                    f"a new module needs {one} or {other}; found {' and '.join(found) or 'neither'}; give one of them"
                )

    def module(
        self,
        texts: Sequence[Path],
        *,
        run_dir: Path,
        config: PretrainConfig,
        column: str | None = None,
        kind: str | None = None,
        process: Process | None = None,
    ) -> Module:
        """Draw the weights from the seed of `config`; a vocabulary is trained from `texts`, once, into `run_dir`.

        Raises: ConfigError, TextError, DataError; InputError for a vocabulary larger than `config` has words.
        """
        shape = shape_of_file(self.config) if self.config else shape_named(str(self.shape))
        tokenizer = self._tokenizer(texts, {"cache": run_dir, "column": column, "file_kind": kind, "process": process})
        if self.shape:
            shape = replace(shape, vocab_size=tokenizer.vocab_size, pad_token_id=tokenizer.special.pad)
        return scratch(shape, tokenizer, seed=config.loop.seed, max_seq_length=config.max_seq_length)

    def _tokenizer(self, texts: Sequence[Path], reading: dict[str, Any]) -> Tokenizer:
        if self.vocab:
            return read_vocabulary(self.vocab, lower_case=self.lower_case)
        kind = str(self.train_vocab)
        return trained_vocabulary(texts, kind=kind, size=self.vocab_size, lower_case=self.lower_case, **reading)


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
        scores = masked_scores(self.model, inputs)
        total = functional.cross_entropy(scores.float(), inputs["labels"], reduction="sum")
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
    for rows in token_budget_batches(store.lengths + task.template.overhead(), max_tokens=TOKENS, max_rows=ROWS):
        packed = task.template.pack([store.take(rows)], seq_length=task.max_seq_length, pad_to_longest=True)
        made = masked_inputs(packed, task.masking, row_rng(0, HELD_OUT, rows))
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
) -> Module:
    """Train `module` to guess masked tokens of `texts`, and return what it became.

    `texts` are files as paths (a text a line, or a `column` of a table; `kind` says what they are where their endings
    do not) or any iterable of strings. Their tokens go to `output_dir/tokens` once, with checkpoints and what `follow`
    writes beside; memory does not grow with them. Every epoch masks other tokens. A module without the
    masked-language-model head gets a fresh one; pooler and sentence maps stay as they are, a task's head is dropped.
    `dev` texts are scored every `eval_steps` and at the end, always under the same masks. A run that was killed goes on
    from `resume_from_checkpoint`: a checkpoint of `output_dir`, or True for the last. Under torchrun every process
    returns the module.

    Raises: ConfigError for settings that do not fit the module; DataError; TrainingError as `train`.
    """
    config, output_dir = config or PretrainConfig(), Path(output_dir)
    checkpoint = with_mlm_head(module.checkpoint, seed=config.loop.seed)
    _check(checkpoint, config)
    scores: dict[str, float] = {}
    with joined(config.loop.ddp_timeout) as process:
        stored = partial(
            token_store,
            tokenizer=module.tokenizer,
            cache=output_dir / "tokens",
            max_seq_length=config.max_seq_length,
            column=column,
            kind=kind,
            run_once=process.run_once,
        )
        task = _task(checkpoint, module, stored(texts), config)
        others = stored(dev) if dev is not None else None

        def evaluate() -> Mapping[str, float]:
            scores.update(held_out(task, others) if others else {})
            return scores

        how = {"resume_from_checkpoint": resume_from_checkpoint, "evaluate": evaluate if others else None}
        events = train(task, config.loop, output_dir, **how)  # type: ignore[arg-type]
        if process.is_main:
            steps = follow(events, config.loop, output_dir, settings=config)
            if not scores:  # eval_steps is 0, or no step was left
                evaluate()
        else:
            steps = deque(events, maxlen=1).pop().step
    return Module(
        checkpoint=replace(checkpoint, tensors=in_memory(task.model.arrays())),
        tokenizer=module.tokenizer,
        backend=module.backend,
        provenance=_provenance(module, task, config, steps=steps, scores=scores),
    )


def _check(checkpoint: Checkpoint, config: PretrainConfig) -> None:
    limit = checkpoint.config.max_length
    if config.max_seq_length > limit:
        raise ConfigError(
            f"rows of max_seq_length {config.max_seq_length} were asked for; the position table has {limit}; ask for "
            "less"
        )


def _task(checkpoint: Checkpoint, module: Module, store: TokenStore, config: PretrainConfig) -> MlmTask:
    counts = piece_counts(store.rows, module.tokenizer.vocab_size) if config.masking == "smoothed" else None
    rules = {"kind": config.masking, "rate": config.mlm_probability, "counts": counts}
    model = TorchEncoder(checkpoint).train()
    freeze(model, config.frozen)
    return MlmTask(
        model=model,
        store=store,
        masking=masking_of(module.tokenizer, **rules),  # type: ignore[arg-type]
        template=module.tokenizer.template,
        seed=config.loop.seed,
        max_seq_length=config.max_seq_length,
    )


def _provenance(
    module: Module, task: MlmTask, config: PretrainConfig, *, steps: int, scores: Mapping[str, float]
) -> dict[str, Any]:
    facts = task.store.facts
    data = {"texts": facts.texts, "rows": facts.rows, "tokens": facts.tokens, "steps": steps}
    made = {"made_by": "wellread pretrain", "from": dict(module.provenance), **data}
    return {**made, **({"held_out": dict(scores)} if scores else {}), "settings": asdict(config)}


def run_pretraining(
    begun: Module | Beginning,
    texts: Sequence[Path],
    *,
    output: Path,
    run_dir: Path,
    config: PretrainConfig,
    dev: Sequence[Path] | None = None,
    column: str | None = None,
    kind: str | None = None,
    dtype: str = "float32",
    resume: bool = False,
) -> Module:
    """Pre-train a module, or one that is made by a `Beginning`, on files; save it under `output`, and return it.

    Of several processes the first alone saves.

    Raises: CheckpointError where `output` exists, before any work; as `pretrain`.
    """
    refuse_existing(output)
    with joined(config.loop.ddp_timeout) as process:
        if isinstance(begun, Beginning):
            begun = begun.module(texts, column=column, kind=kind, run_dir=run_dir, config=config, process=process)
        where = {"output_dir": run_dir, "resume_from_checkpoint": resume}
        made = pretrain(begun, texts, config=config, dev=dev, column=column, kind=kind, **where)  # type: ignore[arg-type]
        if process.is_main:
            made.save(output, dtype=dtype)
    return made
