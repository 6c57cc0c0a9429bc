"""What a family is: tables that map its files to ours and back, no tensor missing, none surplus, each of its shape."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import field, fields, replace
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from wellread.checkpoints import names
from wellread.config import ADDED_LATER, HEADS, EncoderConfig, HeadConfig
from wellread.dataclass import dataclass
from wellread.errors import ConfigError, WeightsError
from wellread.formats.arrays import StoredTensor
from wellread.schema import ASKED, KeyTable, is_named, record


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadClass:
    """One of Hugging Face's classes of an encoder under a task's head."""

    task: str  # of config.HEADS; `classify` stands for whatever judges a text or a pair
    dropout_key: str | None = None  # config.json's key of the dropout before the last map
    dropout: float | None = None  # where there is no such key, or null stands there; None: hidden_dropout_prob
    pre_classifier: bool = False  # as in HeadConfig
    pre_activation: str = "relu"
    pre_dropout: bool = False
    needs_pooler: bool = False  # whether it computes `pooled_output` with a dense map
    tensors: str = ""  # rows `ours theirs` of the head

    @property
    def rows(self) -> dict[str, str]:
        """The rows of `tensors`: our name, and theirs."""
        return dict(line.split() for line in self.tensors.strip().splitlines())

    @property
    def first_map(self) -> dict[str, Any]:
        """The fields of HeadConfig that say what stands before the last map."""
        return {name: getattr(self, name) for name in ("pre_classifier", "pre_activation", "pre_dropout")}


# The head of RoBERTa for whole texts, which others took over.
OUT_PROJ = """
    pre_classifier.weight  classifier.dense.weight
    pre_classifier.bias    classifier.dense.bias
    classifier.weight      classifier.out_proj.weight
    classifier.bias        classifier.out_proj.bias
"""


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
    defaults: Mapping[str, Any] = field(default_factory=dict)  # our fields where config.json has no key, if not ours
    positions_follow_padding: bool = False  # whether the first token's position is pad_token_id + 1
    template: str = "bert"  # of config.TEMPLATES: where special tokens stand in a row
    layers_student: str | None = None  # the family that a student of its layers is of; None: its own
    tfhub_act: str | None = None  # the activation of its modules on TF Hub, which state none; None: there are none
    tensors: str = ""  # rows `ours theirs`; a name without a row is the same in both
    ignored_tensors: Mapping[str, str] = field(default_factory=dict)  # their name (a trailing * matches) -> why
    copies: Mapping[str, str] = field(default_factory=dict)  # their name of a second copy -> our tensor it must equal

    @property
    def rows(self) -> dict[str, str]:
        """The rows of `tensors`: our name, and theirs."""
        return dict(line.split() for line in self.tensors.strip().splitlines())

    def encoder_config(self, used: Mapping[str, Any], *, source: object) -> EncoderConfig:
        """Make a config of what a config.json states, under our names. Raises: ConfigError that names `source`."""
        config = record(EncoderConfig, {**self.defaults, **self.constants, **used}, source=source)
        try:
            return self.with_padding(config, config.pad_token_id)
        except ConfigError as error:
            raise ConfigError(f"{source}: {error}") from None

    def with_padding(self, config: EncoderConfig, pad_token_id: int) -> EncoderConfig:
        """Return a config whose padding has an id, and whose positions begin where the family lets them."""
        offset = pad_token_id + 1 if self.positions_follow_padding else config.position_offset
        return replace(config, pad_token_id=pad_token_id, position_offset=offset)

    def misfits(self, config: EncoderConfig) -> list[str]:
        """List the fields of a config that the family's files cannot express, with the values that they stand for."""
        stated = set(self.keys.used.values())
        later = {row.name: row.default for row in fields(EncoderConfig) if row.metadata == ADDED_LATER}
        fixed = {name: default for name, default in later.items() if name not in stated} | {**self.constants}
        if self.positions_follow_padding:
            fixed["position_offset"] = config.pad_token_id + 1
        return [
            f"{name} is {getattr(config, name)!r} instead of {value!r}"
            for name, value in fixed.items()
            if getattr(config, name) != value
        ]

    def theirs(self, config: EncoderConfig, *, mlm: bool, head: HeadConfig | None = None) -> dict[str, str]:
        """Return, for every tensor of ours that a checkpoint may hold, its name in the family's files."""
        table = self.rows
        encoder = {
            row.name.format(i=row.layer): table.get(row.name, row.name).format(i=row.layer)
            for row in names.rows(config, mlm=mlm)
        }
        kind = self.head_class(head)
        of_head = kind.rows if kind is not None else {}
        return encoder | {name: of_head.get(name, name) for name in names.head_shapes(config, head)}

    def head_class(self, head: HeadConfig | None) -> HeadClass | None:
        """Return the class that computes a head; None where there is none, or one without tensors."""
        if head is None or not head.outputs:
            return None
        return next(kind for kind in self.heads if HEADS[kind.task].huggingface == head.row.huggingface)

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
    inferred: Mapping[str, str] = field(default_factory=dict)


# What changes the outputs of an encoder wherever its tensors lie in the file: a pattern of their names -> what it is.
ALTERING = {
    "*lora_*": "an adapter",
    "*adapter*": "an adapter",
    "*prefix_encoder*": "tuned prefixes",
    "*prompt_encoder*": "tuned prompts",
    "*prompt_embeddings*": "tuned prompts",
}
WORDS = "embeddings.word_embeddings.weight"


def to_ours(
    family: Family,
    config: EncoderConfig,
    stored: Mapping[str, StoredTensor],
    *,
    source: object,
    head: HeadConfig | None = None,
    ignore: Collection[str] = (),
) -> Mapped:
    """Name every tensor of a file as wellread does; `source` names the file, `head` is a task's that it must hold.

    The encoder's tensors stand behind one prefix, whatever it is. Tensors beside it that are no head of the family are
    left out with an UnusedTensorsWarning; `ignore` names tensors, or patterns of them, to leave out without one. A
    file without pooler makes `pooled_output` the vector of position 0, where `head` can do without; one without the
    masked-language-model head makes a checkpoint without it.

    Raises: WeightsError that lists every tensor that is missing, surplus, of a wrong shape or an unequal copy.
    """
    prefix = _prefix(family, stored, source, ignore)
    raw = _plain_names(family, stored, prefix, source)
    plain = {name: stored[theirs] for name, theirs in raw.items()}
    if config.stored_layers > len(plain):  # before a name is made for each tensor of each
        raise WeightsError(
            f"{config.stored_layers} layers were asked of {source}; found {len(plain)} tensors in all; "
            "correct config.json or fetch the weights again"
        )
    if not family.needs_pooler(head) and not any(name.startswith("pooler.") for name in plain):
        config = replace(config, pooler="first_token")
    mlm_names = set(family.theirs(config, mlm=True).values()) - set(family.theirs(config, mlm=False).values())
    asked = {name for name in plain if is_named(name, ignore) or is_named(raw[name], ignore)}
    mlm_head = {*mlm_names, *family.copies}
    if asked >= mlm_names & plain.keys():  # the masked-language-model head goes as a whole or stays
        plain = {name: tensor for name, tensor in plain.items() if name not in mlm_head & asked}
    theirs = family.theirs(config, mlm=not mlm_names.isdisjoint(plain), head=head)
    shapes = names.shapes(config, mlm=True) | names.head_shapes(config, head)
    ignored = {name: why for name in sorted(plain) if (why := _reason(family, name, theirs)) is not None}
    surplus = sorted(plain.keys() - {*ignored, *theirs.values()})
    ignored |= dict.fromkeys([name for name in raw if name in asked and (name in surplus or name not in plain)], ASKED)
    altering = {name: what for name in surplus if name not in ignored and (what := _first_match(name, ALTERING))}
    inside = _inside(family, raw, prefix)
    beside = [name for name in surplus if name not in {*ignored, *altering, *inside}]
    apart = {*ignored, *altering, *beside}
    used = {name: tensor for name, tensor in plain.items() if name not in apart}
    faults = [f"{name} is of {what}, which changes what the encoder computes" for name, what in altering.items()]
    faults += names.mismatches({name: shapes[ours] for ours, name in theirs.items()}, used)
    # an output table that is no copy of the word table is not BERT's
    faults = faults or [
        f"{name} differs from {theirs[ours]}, of which it must be a copy"
        for name, ours in family.copies.items()
        if name in plain and ours in theirs and not np.array_equal(plain[name].read(), plain[theirs[ours]].read())
    ]
    if faults:
        raise _misfit(family, faults, mlm_head, source)
    names.warn_unused(beside, source)
    return Mapped(
        config=config,
        tensors={ours: plain[name] for ours, name in theirs.items()},
        ignored=ignored | dict.fromkeys(beside, names.ANOTHERS),
        inferred={} if prefix in ("", family.prefix) else {"tensors": f"the encoder's begin with {prefix}"},
    )


def _misfit(family: Family, faults: Collection[str], mlm_head: Collection[str], source: object) -> WeightsError:
    """Return the error that lists all faults, each with a tensor's name first; a head may be left out."""
    patterns = sorted({f"{name.partition('.')[0]}.*" for name in mlm_head})
    in_head = {fault.partition(" ")[0] for fault in faults} <= set(mlm_head)
    return WeightsError(
        f"the tensors of {source} must be those of its {family.name} configuration; found that "
        f"{'; '.join(faults)}; correct config.json or fetch the weights again"
        f"{f', or read the encoder without this head: ignore={patterns}' if in_head else ''}"
    )


UNTIED = "of a head with an output table of its own (tie_word_embeddings is false); the encoder is read without it"


def without_mlm_head(
    family: Family, stored: Mapping[str, StoredTensor]
) -> tuple[dict[str, StoredTensor], dict[str, str]]:
    """Take the masked-language-model head out of a file's tensors; return the others, and the names with the reason."""
    rows = family.rows
    tails = tuple(f".{name}" for name in (*(rows.get(name, name) for name in names.plain_rows("mlm")), *family.copies))
    ignored = {name: UNTIED for name in stored if f".{name}".endswith(tails)}
    return {name: tensor for name, tensor in stored.items() if name not in ignored}, ignored


def to_theirs(
    family: Family, config: EncoderConfig, arrays: Mapping[str, Any], *, mlm: bool, head: HeadConfig | None = None
) -> dict[str, Any]:
    """Name every tensor as the family's files do; the encoder's with the prefix where a head stands beside them."""
    encoder = names.shapes(config)
    theirs = family.theirs(config, mlm=mlm, head=head)
    prefix = family.prefix if theirs.keys() - encoder.keys() else ""
    return {prefix + name if ours in encoder else name: arrays[ours] for ours, name in theirs.items()}


def _prefix(family: Family, stored: Iterable[str], source: object, ignore: Collection[str]) -> str:
    """Return what stands before the names of the encoder's tensors: nothing, the family's prefix, or a wrapper's too.

    The word table shows it. Raises: WeightsError where there are two word tables.
    """
    words = family.rows.get(WORDS, WORDS)
    tables = [name for name in stored if f".{name}".endswith(f".{words}") and not is_named(name, ignore)]
    if len(tables) > 1:
        raise WeightsError(
            f"the tensors of {source} must bear distinct names; found {words} twice, once as {max(tables, key=len)}; "
            "remove one, or pass over the tensors of the other with ignore="
        )
    return tables[0].removesuffix(words) if tables else family.prefix


def _plain_names(family: Family, stored: Iterable[str], prefix: str, source: object) -> dict[str, str]:
    """Return the name in the file by the name without prefix, wrapper and the old endings."""
    wrapper = prefix.removesuffix(family.prefix)
    raw: dict[str, str] = {}
    for name in stored:
        plain = name.removeprefix(prefix if name.startswith(prefix) else wrapper)
        for old, new in OLD_NAMES.items():
            plain = plain.removesuffix(old) + new if plain.endswith(old) else plain
        if plain in raw:
            raise WeightsError(
                f"the tensors of {source} must bear distinct names; found {plain} twice, once as {name}; remove one"
            )
        raw[plain] = name
    return raw


def _inside(family: Family, raw: Mapping[str, str], prefix: str) -> set[str]:
    """Return the names that lie where the encoder's tensors do, or its masked-language-model head's.

    What is surplus there may belong to the arithmetic: more layers, tables of positions, norms.
    """
    table = family.rows
    encoder = [ours for group in names.TABLES if group != "mlm" for ours in names.plain_rows(group)]
    tops = {name.split(".")[0] for ours in encoder for name in (ours, table.get(ours, ours))}
    heads = {table.get(ours, ours).rpartition(".")[0] + "." for ours in names.plain_rows("mlm")}
    return {
        name
        for name, theirs in raw.items()
        if (theirs.startswith(prefix) if prefix else name.split(".")[0] in tops) or name.startswith(tuple(heads))
    }


def _first_match(name: str, reasons: Mapping[str, str]) -> str | None:
    """Return what is said of the first pattern that a name matches."""
    return next((why for pattern, why in reasons.items() if fnmatchcase(name, pattern)), None)


def _reason(family: Family, name: str, theirs: Mapping[str, str]) -> str | None:
    """Say why a tensor is not used, or nothing; a copy of what is not there is no copy."""
    if name in theirs.values():
        return None
    if family.copies.get(name) in theirs:
        return f"a copy of {family.copies[name]}"
    return _first_match(name, family.ignored_tensors)
