"""What a family is: tables that map its files to ours and back, no tensor missing, none surplus, each of its shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from wellread.checkpoints import names
from wellread.config import HEADS, EncoderConfig, HeadConfig
from wellread.errors import WeightsError
from wellread.formats.arrays import StoredTensor
from wellread.schema import KeyTable


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadClass:
    """One of Hugging Face's classes of an encoder under a task's head."""

    task: str  # of config.HEADS; `classify` stands for a pair too
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
    template: str = "bert"  # of config.TEMPLATES: where special tokens stand in a row
    tfhub_act: str | None = None  # the activation of its modules on TF Hub, which state none; None: there are none
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
        return next(kind for kind in self.heads if HEADS[kind.task] == head.row)

    def head_architecture(self, kind: HeadClass) -> str:
        """Return the name of Hugging Face's class of the encoder under a head."""
        return f"{self.architecture.removesuffix('Model')}{HEADS[kind.task].huggingface}"

    def needs_pooler(self, head: HeadConfig | None) -> bool:
        """Say whether the class of a head has a pooler that its logits come from."""
        kind = self.head_class(head)
        return kind is not None and kind.needs_pooler


# The names of before transformers 1.0, when LayerNorm called its parameters as TensorFlow does.
OLD_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped:
    """Tensors under our names, the config they fit, and why the file's other tensors are not used."""

    config: EncoderConfig
    tensors: Mapping[str, StoredTensor]
    ignored: Mapping[str, str]


def to_ours(
    family: Family,
    config: EncoderConfig,
    stored: Mapping[str, StoredTensor],
    *,
    source: object,
    head: HeadConfig | None = None,
) -> Mapped:
    """Name every tensor of a file as wellread does; `source` names the file, `head` is a task's that it must hold.

    A file without pooler makes `pooled_output` the vector of position 0, where `head` can do without; one without the
    masked-language-model head makes a checkpoint without it.

    Raises: WeightsError that lists every tensor that is missing, surplus, of a wrong shape or an unequal copy.
    """
    plain = _plain_names(family, stored, source)
    if config.stored_layers > len(plain):  # before a name is made for each tensor of each
        raise WeightsError(
            f"{config.stored_layers} layers were asked of {source}; found {len(plain)} tensors in all; "
            "correct config.json or fetch the weights again"
        )
    if not family.needs_pooler(head) and not any(name.startswith("pooler.") for name in plain):
        config = replace(config, pooler="first_token")
    mlm_names = set(family.theirs(config, mlm=True).values()) - set(family.theirs(config, mlm=False).values())
    theirs = family.theirs(config, mlm=not mlm_names.isdisjoint(plain), head=head)
    shapes = names.shapes(config, mlm=True) | names.head_shapes(config, head)
    ignored = {name: why for name in sorted(plain) if (why := _reason(family, name, theirs)) is not None}
    used = {name: tensor for name, tensor in plain.items() if name not in ignored}
    # an output table that is no copy of the word table is not BERT's
    faults = names.mismatches({name: shapes[ours] for ours, name in theirs.items()}, used) or [
        f"{name} differs from {theirs[ours]}, of which it must be a copy"
        for name, ours in family.copies.items()
        if name in plain and ours in theirs and not np.array_equal(plain[name].read(), plain[theirs[ours]].read())
    ]
    if faults:
        raise WeightsError(
            f"the tensors of {source} must be those of its {family.name} configuration; found that "
            f"{'; '.join(faults)}; correct config.json or fetch the weights again"
        )
    return Mapped(config=config, tensors={ours: plain[name] for ours, name in theirs.items()}, ignored=ignored)


def to_theirs(
    family: Family, config: EncoderConfig, arrays: Mapping[str, Any], *, mlm: bool, head: HeadConfig | None = None
) -> dict[str, Any]:
    """Name every tensor as the family's files do; the encoder's with the prefix where a head stands beside them."""
    encoder = names.shapes(config)
    theirs = family.theirs(config, mlm=mlm, head=head)
    prefix = family.prefix if theirs.keys() - encoder.keys() else ""
    return {prefix + name if ours in encoder else name: arrays[ours] for ours, name in theirs.items()}


def _plain_names(family: Family, stored: Mapping[str, StoredTensor], source: object) -> dict[str, StoredTensor]:
    """Take the prefix off and the old names away."""
    tensors: dict[str, StoredTensor] = {}
    for name, tensor in stored.items():
        plain = name.removeprefix(family.prefix)
        for old, new in OLD_NAMES.items():
            plain = plain.removesuffix(old) + new if plain.endswith(old) else plain
        if plain in tensors:
            raise WeightsError(
                f"the tensors of {source} must bear distinct names; found {plain} twice, once as {name}; remove one"
            )
        tensors[plain] = tensor
    return tensors


def _reason(family: Family, name: str, theirs: Mapping[str, str]) -> str | None:
    """Say why a tensor is not used, or nothing; a copy of what is not there is no copy."""
    if name in theirs.values():
        return None
    if family.copies.get(name) in theirs:
        return f"a copy of {family.copies[name]}"
    return next((why for pattern, why in family.ignored_tensors.items() if fnmatchcase(name, pattern)), None)
