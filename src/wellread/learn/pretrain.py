"""Pre-train on plain text, as a masked language model or by ELECTRA, from scratch or from any module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from wellread.checkpoints.checkpoint import Checkpoint
from wellread.data.token_store import Texts, TokenStore, token_store
from wellread.errors import ConfigError
from wellread.learn.distributed import Process, joined
from wellread.learn.electra import HEAD, NO_WORD_SCORES, NOT_KEPT, ElectraTask, electra_task
from wellread.learn.init import (
    family_of_file,
    from_scratch,
    refuse_long,
    shape_named,
    shape_of_file,
    with_mlm_head,
    without_heads,
)
from wellread.learn.log import time_of
from wellread.learn.loop import run, trained_module
from wellread.learn.mlm import MlmTask, mlm_task
from wellread.learn.settings import PretrainConfig
from wellread.learn.vocabulary import read_vocabulary, trained_vocabulary
from wellread.module import Module
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


def with_heads_of(config: PretrainConfig, checkpoint: Checkpoint) -> Checkpoint:
    """Return what a module becomes of: with the head for masked words, or for ELECTRA the encoder alone."""
    if config.objective == "mlm":
        return with_mlm_head(checkpoint, seed=config.loop.seed)
    bare = without_heads(checkpoint, NO_WORD_SCORES)
    return replace(bare, ignored={**bare.ignored, HEAD: NOT_KEPT})


def task_of(
    config: PretrainConfig, checkpoint: Checkpoint, tokenizer: Tokenizer, store: TokenStore
) -> MlmTask | ElectraTask:
    """Return the task of the objective that the settings name."""
    return (mlm_task if config.objective == "mlm" else electra_task)(checkpoint, tokenizer, store, config)


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
    """Train `module` to guess masked tokens of `texts`, or to tell replaced ones, and return what it became.

    `texts` are files as paths (a text a line, or a `column` of a table; `kind` says what they are where their endings
    do not) or any iterable of strings. Their tokens go to `output_dir/tokens` once, with checkpoints and what
    `log_events` writes beside; memory does not grow with them. Every epoch masks other tokens. A module without the
    masked-language-model head gets a fresh one; pooler and sentence maps stay as they are, a task's head is dropped.
    With the objective electra (`wellread.learn.electra`) it is the discriminator, and is returned without such a head.
    `dev` texts are scored every `eval_steps` and at the end, always under the same masks. A run that was killed goes on
    from `resume_from_checkpoint`: a checkpoint of `output_dir`, or True for the last; `overwrite` begins anew where
    there are checkpoints of another. Under torchrun every process returns the module.

    Raises: ConfigError for settings that do not fit the module; DataError; TrainingError as `train`.
    """
    config, output_dir = config or PretrainConfig(), Path(output_dir)
    checkpoint = with_heads_of(config, module.checkpoint)
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
        task = task_of(config, checkpoint, module.tokenizer, store)
        scores: dict[str, float] = {}

        def evaluate() -> Mapping[str, float]:
            scores.update(task.held_out(dev_store) if dev_store else {})
            return scores

        resume: dict[str, Any] = {"resume_from_checkpoint": resume_from_checkpoint, "overwrite": overwrite}
        scorer = evaluate if dev_store else None
        steps = run(task, config.loop, output_dir, settings=config, evaluate=scorer, **resume)
        if process.is_main and not scores:  # eval_steps is 0, or no step was left
            evaluate()
    provenance = {
        **{"made_by": "wellread pretrain", "from": dict(module.provenance)},
        **{"texts": store.facts.texts, "rows": store.facts.rows, "tokens": store.facts.tokens, "steps": steps},
        **time_of(output_dir),
        **({"held_out": scores} if scores else {}),
        "settings": asdict(config),
    }
    return trained_module(task.encoder, checkpoint, module.tokenizer, backend=module.backend, provenance=provenance)
