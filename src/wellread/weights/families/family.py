"""What a family is: tables that map its files to ours, read forwards to load and backwards to save."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wellread.config import EncoderConfig, HeadConfig
from wellread.weights import names
from wellread.weights.keys import KeyTable


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadClass:
    """One of Hugging Face's classes of an encoder under a task's head."""

    architecture: str
    task: str  # of config.HEAD_TASKS; `classify` stands for a pair too
    dropout_key: str | None = None  # config.json's key of the dropout before the last map
    dropout: float | None = None  # where there is no such key, or null stands there; None: hidden_dropout_prob
    pre_classifier: bool = False  # as in HeadConfig
    needs_pooler: bool = False  # whether it computes `pooled_output` with a dense map


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One family of checkpoints in Hugging Face's format."""

    name: str  # config.json's model_type
    prefix: str  # what its tensor names may begin with
    architecture: str  # Hugging Face's class of the bare encoder
    mlm_architecture: str  # and of the encoder under its masked-language-model head
    heads: tuple[HeadClass, ...]  # and of the encoder under the head of a task
    keys: KeyTable  # config.json
    constants: Mapping[str, Any] = field(default_factory=dict)  # our fields that the family fixes
    tensors: str = ""  # rows `ours theirs`; a name without a row is the same in both
    ignored_tensors: Mapping[str, str] = field(default_factory=dict)  # their name (a trailing * matches) -> why
    copies: Mapping[str, str] = field(default_factory=dict)  # their name of a second copy -> our tensor it must equal

    def theirs(self, config: EncoderConfig, *, mlm: bool, head: HeadConfig | None = None) -> dict[str, str]:
        """Return, for every tensor of ours that a checkpoint may hold, its name in the family's files."""
        table = dict(line.split() for line in self.tensors.strip().splitlines())
        encoder = {
            row.name.format(i=row.layer): table.get(row.name, row.name).format(i=row.layer)
            for row in names.rows(config, mlm=mlm)
        }
        return encoder | {name: table.get(name, name) for name in names.head_shapes(config, head)}

    def head_class(self, head: HeadConfig | None) -> HeadClass | None:
        """Return the class that computes a head; None where there is none, or one without tensors."""
        if head is None or not head.outputs:
            return None
        task = "classify" if head.task == "pair" else head.task
        return next(kind for kind in self.heads if kind.task == task)

    def needs_pooler(self, head: HeadConfig | None) -> bool:
        """Say whether the class of a head has a pooler that its logits come from."""
        kind = self.head_class(head)
        return kind is not None and kind.needs_pooler
