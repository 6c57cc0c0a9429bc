"""What a family is: tables that map its files to ours, read forwards to load and backwards to save."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wellread.config import EncoderConfig
from wellread.weights import names
from wellread.weights.keys import KeyTable


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One family of checkpoints in Hugging Face's format."""

    name: str  # config.json's model_type
    prefix: str  # what its tensor names may begin with
    architecture: str  # Hugging Face's class of the bare encoder
    mlm_architecture: str  # and of the encoder under its masked-language-model head
    keys: KeyTable  # config.json
    constants: Mapping[str, Any] = field(default_factory=dict)  # our fields that the family fixes
    tensors: str = ""  # rows `ours theirs`; a name without a row is the same in both
    ignored_tensors: Mapping[str, str] = field(default_factory=dict)  # their name (a trailing * matches) -> why
    copies: Mapping[str, str] = field(default_factory=dict)  # their name of a second copy -> our tensor it must equal

    def theirs(self, config: EncoderConfig, *, mlm: bool) -> dict[str, str]:
        """Return, for every tensor of ours that a checkpoint may hold, its name in the family's files."""
        table = dict(line.split() for line in self.tensors.strip().splitlines())
        return {
            row.name.format(i=row.layer): table.get(row.name, row.name).format(i=row.layer)
            for row in names.rows(config, mlm=mlm)
        }
