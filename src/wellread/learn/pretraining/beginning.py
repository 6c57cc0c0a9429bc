"""What an untrained module is made of: a shape, and a vocabulary that is taken or trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from wellread.errors import ConfigError
from wellread.learn.pretraining.scratch import scratch, shape_named, shape_of_file
from wellread.learn.pretraining.vocabulary import read_vocabulary, trained_vocabulary
from wellread.learn.processes import Process
from wellread.learn.settings import PretrainConfig
from wellread.module import Module
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
        column: str = "text",
        process: Process | None = None,
    ) -> Module:
        """Draw the weights from the seed of `config`; a vocabulary is trained from `texts`, once, into `run_dir`.

        Raises: ConfigError, TextError, DataError; InputError for a vocabulary larger than `config` has words.
        """
        shape = shape_of_file(self.config) if self.config else shape_named(str(self.shape))
        tokenizer = self._tokenizer(texts, run_dir, column, process)
        if self.shape:
            shape = replace(shape, vocab_size=tokenizer.vocab_size, pad_token_id=tokenizer.special.pad)
        return scratch(shape, tokenizer, seed=config.loop.seed, max_seq_length=config.max_seq_length)

    def _tokenizer(self, texts: Sequence[Path], run_dir: Path, column: str, process: Process | None) -> Tokenizer:
        if self.vocab:
            return read_vocabulary(self.vocab, lower_case=self.lower_case)
        kind, where = str(self.train_vocab), {"cache": run_dir, "column": column, "process": process}
        return trained_vocabulary(texts, kind=kind, size=self.vocab_size, lower_case=self.lower_case, **where)  # type: ignore[arg-type]
