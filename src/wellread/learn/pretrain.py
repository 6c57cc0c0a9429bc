"""Pre-train a masked language model on plain text, from the beginning or on from any module."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from wellread.backends.torch import TorchEncoder
from wellread.errors import ConfigError
from wellread.hub.atomic import refuse_existing
from wellread.learn.follow import follow
from wellread.learn.loop import train
from wellread.learn.pretraining.beginning import Beginning
from wellread.learn.pretraining.mlm import MlmTask, freeze, held_out
from wellread.learn.pretraining.scratch import with_mlm_head
from wellread.learn.pretraining.texts import Texts, TokenStore, token_store
from wellread.learn.processes import Process, joined
from wellread.learn.settings import PretrainConfig
from wellread.module import Module
from wellread.tasks.masking import masking_of, piece_counts
from wellread.weights.checkpoint import Checkpoint, in_memory


def pretrain(
    module: Module,
    texts: Texts,
    *,
    output_dir: Path,
    config: PretrainConfig | None = None,
    dev: Texts | None = None,
    column: str = "text",
    resume_from_checkpoint: bool | str | Path | None = None,
) -> Module:
    """Train `module` to guess masked tokens of `texts`, and return what it became.

    `texts` are files (.txt with a text a line, or a `column` of .tsv, .csv, .jsonl, .parquet) or any iterable of
    strings. Their tokens go to `output_dir/tokens` once, with checkpoints and what `follow` writes beside; memory does
    not grow with them. Every epoch masks other tokens. A module without the masked-language-model head gets a fresh
    one; pooler and sentence maps stay as they are, a task's head is dropped. `dev` texts are scored every `eval_steps`
    and at the end, always under the same masks. A run that was killed goes on from `resume_from_checkpoint`: a
    checkpoint of `output_dir`, or True for the last. Under torchrun every process returns the module.

    Raises: ConfigError for settings that do not fit the module; DataError; TrainingError as `train`.
    """
    config = config or PretrainConfig()
    checkpoint = with_mlm_head(module.checkpoint, seed=config.loop.seed)
    _check(checkpoint, config)
    scores: dict[str, float] = {}
    with joined(config.loop.ddp_timeout) as process:
        stored = partial(_stored, module=module, cache=output_dir / "tokens", config=config, process=process)
        task = _task(checkpoint, module, stored(texts, column=column), config)
        others = stored(dev, column=column) if dev is not None else None

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
    limit = checkpoint.config.max_position_embeddings
    if config.max_seq_length > limit:
        raise ConfigError(
            f"rows of max_seq_length {config.max_seq_length} were asked for; the position table has {limit}; ask for "
            "less"
        )


def _stored(
    texts: Texts, *, column: str, module: Module, cache: Path, config: PretrainConfig, process: Process
) -> TokenStore:
    length = config.max_seq_length
    return token_store(texts, module.tokenizer, cache=cache, max_seq_length=length, column=column, process=process)


def _task(checkpoint: Checkpoint, module: Module, store: TokenStore, config: PretrainConfig) -> MlmTask:
    counts = piece_counts(store.rows, module.tokenizer.vocab_size) if config.masking == "smoothed" else None
    rules = {"kind": config.masking, "rate": config.mlm_probability, "counts": counts}
    model = TorchEncoder(checkpoint).train()
    freeze(model, config.frozen)
    return MlmTask(
        model=model,
        store=store,
        masking=masking_of(module.tokenizer, **rules),  # type: ignore[arg-type]
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
    column: str = "text",
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
            begun = begun.module(texts, column=column, run_dir=run_dir, config=config, process=process)
        where = {"output_dir": run_dir, "resume_from_checkpoint": resume}
        made = pretrain(begun, texts, config=config, dev=dev, column=column, **where)  # type: ignore[arg-type]
        if process.is_main:
            made.save(output, dtype=dtype)
    return made
