"""The catalog of published modules, read from its tables: entries, their handles, dead addresses, mirrors."""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

from wellread.config import EncoderConfig
from wellread.errors import HandleError, nearest

HERE = Path(__file__).parent


@cache
def table(name: str) -> dict[str, Any]:
    """Read a file of this folder; its rows are shared, so nobody changes them."""
    return tomllib.loads((HERE / f"{name}.toml").read_text("utf-8"))


def families() -> list[str]:
    """Name the families: one file each."""
    return sorted(path.stem for path in (HERE / "families").glob("*.toml"))


def expanded(row: Mapping[str, Any], **facts: object) -> Iterator[dict[str, Any]]:
    """Give a row for every combination of its lists, its texts filled with the choice and with `facts`.

    >>> [made["handle"] for made in expanded({"handle": "{name}/{version}", "version": [3, 4]}, name="bert")]
    ['bert/3', 'bert/4']
    """
    axes = {key: values for key, values in row.items() if isinstance(values, list)}
    for point in product(*axes.values()):
        chosen = dict(zip(axes, point, strict=True))
        yield {key: _filled(value, {**facts, **chosen}) for key, value in {**row, **chosen}.items()}


def _filled(value: object, facts: Mapping[str, object]) -> object:
    return value.format(**facts) if isinstance(value, str) else value


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


@cache
def entries() -> tuple[ModuleEntry, ...]:
    """Return every module, smallest first within its family."""
    made = [entry for family in families() for entry in _family(family)]
    return tuple(sorted(made, key=lambda entry: (entry.family, entry.parameters, entry.name)))


@cache
def names() -> Mapping[str, ModuleEntry]:
    """Return every entry by its name."""
    return {entry.name: entry for entry in entries()}


@cache
def handles() -> Mapping[str, tuple[ModuleEntry, Publication]]:
    """Return the entry and the publication of every handle, dead ones and older spellings included."""
    return {
        handle: (entry, publication)
        for entry in entries()
        for publication in entry.publications
        for handle in publication.handles
    }


@cache
def preprocessors() -> Mapping[str, Preprocessor]:
    """Return every known preprocessor by its handle."""
    rows = [made for row in table("vocabularies")["preprocessor"] for made in expanded(row)]
    return {row["handle"]: Preprocessor(**{**row, "vocabulary": _vocabulary(row["vocabulary"])}) for row in rows}


def entry_named(name: str) -> ModuleEntry:
    """Return the entry of a name or of a handle. Raises: HandleError for an unknown one, with the nearest known.

    >>> entry_named("monologg/distilkobert").parameters
    27803904
    """
    if name in names():
        return names()[name]
    if name in handles():
        return handles()[name][0]
    raise HandleError(
        f"the catalog's entry of {name[:200]!r} was asked for; of its {len(names())} modules none has it; correct "
        f"it, or list them with wellread catalog{nearest(name[:200], [*names(), *handles()])}"
    )


def _family(family: str) -> Iterator[ModuleEntry]:
    data = table(f"families/{family}")
    scores: dict[str, list[Score]] = defaultdict(list)
    for row in data.get("scores", []):
        scores[row["module"]] += _scores(row)
    for row in data["module"]:
        for member in row.get("members", [{}]):
            facts = {**row, **member, "publications": row["publications"] + member.get("publications", [])}
            yield _entry(facts, family, scores)


def _entry(facts: Mapping[str, Any], family: str, scores: Mapping[str, list[Score]]) -> ModuleEntry:
    name = facts["name"].format(**facts)
    vocabulary = facts["vocabulary"].format(**facts)
    given = {key: facts[key] for key in ("mlm_parameters", "licence", "note") if key in facts}
    return ModuleEntry(
        name=name,
        family=family,
        architecture=facts["architecture"],
        languages=_languages(facts["languages"]),
        num_hidden_layers=facts["L"],
        hidden_size=facts["H"],
        num_attention_heads=facts["A"],
        vocabulary=_vocabulary(vocabulary),
        parameters=facts["parameters"],
        publications=tuple(_publications(facts, vocabulary)),
        scores=tuple(scores.get(name, ())),
        **given,
    )


def _publications(facts: Mapping[str, Any], vocabulary: str) -> Iterator[Publication]:
    words = {**{key: value for key, value in facts.items() if isinstance(value, str | int)}, "vocabulary": vocabulary}
    forms = table("worlds")["form"]
    for row in facts["publications"]:
        for made in expanded({**forms[row["form"]], **row}, **words):
            yield Publication(**made)


def _scores(row: Mapping[str, Any]) -> Iterator[Score]:
    """Read `{"MRPC F1" = 81.1}`: the last word is the metric."""
    for key, value in row["values"].items():
        *words, metric = key.split()
        yield Score(task=" ".join([row["task"], *words]).strip(), metric=metric, value=value, source=row["source"])


def _languages(tags: list[str]) -> tuple[str, ...]:
    groups = table("languages")
    return tuple(tag for named in tags for tag in groups.get(named, [named]))


@cache
def _vocabulary(name: str) -> Vocabulary:
    return Vocabulary(name=name, **table("vocabularies")["vocabulary"][name])


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A public bucket of Google Cloud, which https://storage.googleapis.com/<name>/ serves too."""

    name: str
    folder: str  # a regular expression for what stands for an archive though it does not end like one
    archive: str  # the archive of such a folder

    def archive_of(self, path: str) -> str | None:
        """Return the archive that holds a folder; None for what is no such folder."""
        found = re.fullmatch(self.folder, path)
        return self.archive.format(**found.groupdict()) if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dead:
    """A handle that leads nowhere any more."""

    reason: str
    living: str  # a handle of the same weights, or of their kin


@cache
def buckets() -> dict[str, Bucket]:
    """Return every known bucket by its name."""
    return {row["name"]: Bucket(**row) for row in table("worlds")["bucket"]}


def mirrors() -> tuple[str, ...]:
    """Name the hosts that show Hugging Face's pages."""
    return tuple(table("worlds")["mirrors"]["hosts"])


def dead(handle: str) -> Dead | None:
    """Say why a handle is dead, and what lives instead; None where nothing is known against it.

    >>> dead("https://kobert.blob.core.windows.net/models/kobert/x.zip").living
    'skt/kobert-base-v1'
    """
    for row in table("worlds")["dead"]:
        if found := re.fullmatch(row["pattern"], handle):
            return Dead(reason=row["reason"], living=row["living"].format(**found.groupdict()))
    return None
