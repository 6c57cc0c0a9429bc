"""What the catalog says of a module, as frozen data: shape, vocabulary, scores, and where it was published."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from wellread.config import EncoderConfig

WORLDS = ("tfhub", "kaggle", "huggingface", "archive")
FORMATS = ("saved_model", "hub_module", "checkpoint", "transformers")
# What each architecture has beside its layers; `pooler` is one of config.POOLERS.
ARCHITECTURES = {
    "bert": {"type_vocab_size": 2, "pooler": "dense_tanh"},
    "distilbert": {"type_vocab_size": 0, "pooler": "first_token"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """The pieces that a module knows."""

    name: str
    pieces: int
    kind: str  # wordpiece or sentencepiece
    do_lower_case: bool | None = None  # None: its page does not say
    pad_token_id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessor:
    """A published preprocessor: texts in, ids out."""

    handle: str
    world: str  # of WORLDS
    dialect: str  # of config.DIALECTS
    vocabulary: Vocabulary
    version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """One place where a module was published, and what its files there compute."""

    handle: str  # in full, as its world writes it
    world: str  # of WORLDS
    form: str  # a form of worlds.toml: who wrote the files
    format: str  # of FORMATS
    dialect: str  # of config.DIALECTS
    hidden_act: str  # a key of config.ACTIVATIONS
    mlm: bool | None = None  # whether the masked-language-model head is there; None: not known
    version: int | None = None
    alias: str | None = None  # an older way to write the handle
    preprocessor: str | None = None  # the handle that its page names
    interface: str = "dict"  # or a key of [interface] in worlds.toml
    alive: bool = True
    note: str = ""

    @property
    def handles(self) -> tuple[str, ...]:
        """Every way to write the handle."""
        return (self.handle, self.alias) if self.alias else (self.handle,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A published measurement."""

    task: str
    metric: str  # in percent, as its source prints it
    value: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleEntry:
    """A module: the same weights, wherever they were published."""

    name: str
    family: str  # a file of families/
    architecture: str  # of ARCHITECTURES
    languages: tuple[str, ...]  # BCP 47 tags
    num_hidden_layers: int
    hidden_size: int
    num_attention_heads: int
    vocabulary: Vocabulary
    parameters: int  # of the encoder, its pooler included
    publications: tuple[Publication, ...]  # the first living one is what the name stands for
    mlm_parameters: int = 0  # of the masked-language-model head beside them; 0: none was published
    licence: str | None = None  # an SPDX identifier; None: not known
    scores: tuple[Score, ...] = ()
    note: str = ""

    @property
    def pooler(self) -> str:
        """What `pooled_output` is, of config.POOLERS."""
        return self.config().pooler

    def config(self, hidden_act: str = "gelu") -> EncoderConfig:
        """Return the shape in full, with the activation of a publication."""
        return EncoderConfig(
            vocab_size=self.vocabulary.pieces,
            hidden_size=self.hidden_size,
            num_hidden_layers=self.num_hidden_layers,
            num_attention_heads=self.num_attention_heads,
            intermediate_size=4 * self.hidden_size,
            hidden_act=hidden_act,
            pad_token_id=self.vocabulary.pad_token_id,
            **ARCHITECTURES[self.architecture],  # type: ignore[arg-type]
        )

    def living(self, world: str | None = None) -> Iterator[Publication]:
        """Give the living publications, of one world or of all, in the order of preference."""
        return (one for one in self.publications if one.alive and world in (None, one.world))

    def speaks(self, language: str) -> bool:
        """Say whether a language, or a kind of it, is among those of the module.

        >>> from wellread.catalog.modules import entry_named
        >>> entry_named("bert_multi_cased_L-12_H-768_A-12").speaks("zh")
        True
        """
        return any(tag == language or tag.startswith(f"{language}-") for tag in self.languages)
