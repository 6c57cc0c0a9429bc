"""The catalog of published modules, read from its tables: entries, their handles, TF Hub's pages, dead addresses."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

from wellread.catalog.packaged import packaged_modules
from wellread.config import EncoderConfig
from wellread.dataclass import dataclass
from wellread.errors import HandleError, nearest

HERE = Path(__file__).parent
TFHUB = "https://tfhub.dev/"
# Where files come from: three hubs, and addresses of archives.
HUBS = ("tfhub", "kaggle", "huggingface", "archive")
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
    hub: str  # of HUBS
    dialect: str  # of config.DIALECTS
    vocabulary: Vocabulary
    version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """One place where a module was published, and what its files there compute."""

    handle: str  # in full, as its hub writes it
    hub: str  # of HUBS
    form: str  # a form of hubs.toml: who wrote the files
    format: str  # of FORMATS
    dialect: str  # of config.DIALECTS
    hidden_act: str  # a key of config.ACTIVATIONS
    mlm: bool | None = None  # whether the masked-language-model head is there; None: not known
    version: int | None = None
    alias: str | None = None  # an older way to write the handle
    preprocessor: str | None = None  # the handle that its page names
    interface: str = "dict"  # or a key of [interface] in hubs.toml
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

    def living(self, hub: str | None = None) -> Iterator[Publication]:
        """Give the living publications, of one hub or of all, in the order of preference."""
        return (each for each in self.publications if each.alive and hub in (None, each.hub))

    def alternatives(self, hub: str | None = None) -> tuple[str, ...]:
        """Return the newest living handle of every hub but one, in the order of preference."""
        others = dict.fromkeys(each.hub for each in self.living() if each.hub != hub)
        return tuple(max(self.living(other), key=lambda each: each.version or 0).handle for other in others)

    def supports_language(self, language: str) -> bool:
        """Say whether a language, or a kind of it, is among those of the module.

        >>> from wellread.catalog.modules import entry_named
        >>> entry_named("bert_multi_cased_L-12_H-768_A-12").supports_language("zh")
        True
        """
        return any(tag == language or tag.startswith(f"{language}-") for tag in self.languages)


# -- entries, by name and by handle --------------------------------------------------------------------------------


@cache
def entries() -> tuple[ModuleEntry, ...]:
    """Return every module, smallest first within its family."""
    every = [entry for family in families() for entry in _family(family)]
    return tuple(sorted(every, key=lambda entry: (entry.family, entry.parameters, entry.name)))


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
    rows = [filled for row in table("vocabularies")["preprocessor"] for filled in expanded(row)]
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


def living_handles(handle: str) -> tuple[str, ...]:
    """Return the handles where the weights of a handle or name, dead or alive, are to be had; none for an unknown one.

    >>> living_handles("https://tfhub.dev/google/bert_uncased_L-12_H-768_A-12/1")[-1]
    'https://www.kaggle.com/models/tensorflow/bert/TensorFlow2/en-uncased-l-12-h-768-a-12/4'
    """
    if handle in names():
        return names()[handle].alternatives()
    entry, publication = handles().get(handle) or handles().get(TFHUB + handle) or (None, None)
    return entry.alternatives(publication.hub) if entry and publication else ()


def near_handles(handle: str, count: int = 2) -> list[str]:
    """Return the living handles or names that are nearest to a wrong one.

    They have the same last word; or one that holds it, or is nearly it; or one that shares words with it.

    >>> near_handles("minilm"), near_handles("monologg/distilcobert")
    (['all-MiniLM-L6-v2'], ['monologg/distilkobert'])
    """
    word, living = last_word(handle[:240]), _living_by_last_word()
    if word in living:
        return [living[word]]
    near = [other for other in living if len(word) > 3 and (word in other or other in word)]
    if not near:
        near = difflib.get_close_matches(word, living, n=count, cutoff=0.7)
    if not near:
        shared = {other: len({*_long_words(word)} & {*_long_words(other)}) for other in living}
        most = max(shared.values())
        near = [other for other in shared if most and shared[other] == most]
    near.sort(key=lambda other: -difflib.SequenceMatcher(None, word, other).ratio())
    return list(dict.fromkeys(living[other] for other in near))[:count]


def last_word(handle: str) -> str:
    """Return the telling part of a handle: its last part that is no version, in small letters.

    >>> last_word("https://tfhub.dev/tensorflow/bert_zh_L-12_H-768_A-12/4")
    'bert_zh_l-12_h-768_a-12'
    """
    parts = [part for part in re.split(r"[/\\@?]", handle.lower()) if part and not part.isdecimal()]
    return parts[-1] if parts else ""


def _long_words(text: str) -> list[str]:
    return [word for word in re.findall("[a-z]{5,}", text) if word not in ("model", "uncased", "cased", "large")]


@cache
def _living_by_last_word() -> dict[str, str]:
    """Return every living handle by its last word; where two have the same, the catalog's name."""
    living = [handle for entry in entries() for each in entry.living() for handle in reversed(each.handles)]
    named = [*(entry.name for entry in entries()), *packaged_modules()]
    return {last_word(handle): handle for handle in [*preprocessors(), *living, *named]}


# -- TF Hub's pages ------------------------------------------------------------------------------------------------


def find_page(handle: str) -> tuple[ModuleEntry, Publication]:
    """Return what the page of an encoder says; its handle with or without https://tfhub.dev/.

    Raises: HandleError for a handle that is refused, with the reason, or unknown, with the nearest known one.

    >>> find_page("https://tfhub.dev/jeongukjae/distilkobert_cased_L-3_H-768_A-12/1")[1].preprocessor
    'https://tfhub.dev/jeongukjae/distilkobert_cased_preprocess/1'
    """
    page = known_page(handle)
    if page is None:
        raise HandleError(
            f"the page of {handle!r} was asked for; wellread's catalog has {len(pages())} encoders, and not this one; "
            f"correct the handle{nearest(_in_full(handle), pages())}"
        )
    return page


def known_page(handle: str) -> tuple[ModuleEntry, Publication] | None:
    """Return what the page of an encoder says; None for an unknown handle.

    Raises: HandleError for a preprocessor, and for modules that TensorFlow 2 does not call with dicts.
    """
    full = _in_full(handle)
    page = pages().get(handle) or pages().get(full)
    if page is not None:
        return page
    if full in preprocessors():
        reason = "it is a preprocessor, which comes with its encoder; name the encoder"
    elif full in handles():
        reason = table("hubs")["interface"].get(handles()[full][1].interface, "")
    else:
        reason = ""
    if reason:
        raise HandleError(
            f"the module {handle} was asked for; found that {reason}; choose another handle{nearest(full, pages())}"
        )
    return None


@cache
def pages() -> Mapping[str, tuple[ModuleEntry, Publication]]:
    """Return every encoder that tensorflow-hub loads from its cache or a folder, by its handle."""
    return {
        each.handle: (entry, each)
        for entry in entries()
        for each in entry.publications
        if each.format == "saved_model" and each.interface == "dict" and each.hub in ("tfhub", "huggingface")
    }


def _in_full(handle: str) -> str:
    return handle if "://" in handle else TFHUB + handle


# -- dead addresses, buckets, mirrors ------------------------------------------------------------------------------


def dead(handle: str) -> tuple[str, str] | None:
    """Return why a handle is dead, and the handle of the same weights or their kin that lives; None for others.

    >>> dead("https://kobert.blob.core.windows.net/models/kobert/x.zip")[1]
    'skt/kobert-base-v1'
    """
    for row in table("hubs")["dead"]:
        if match := re.fullmatch(row["pattern"], handle):
            return row["reason"], row["living"].format(**match.groupdict())
    return None


def buckets() -> list[str]:
    """Name the public buckets of Google Cloud, which https://storage.googleapis.com/<name>/ serves too."""
    return sorted(row["name"] for row in table("hubs")["bucket"])


def archive_in_bucket(bucket: str, folder: str) -> str | None:
    """Return the archive that a folder of a bucket stands for; None for what is no such folder.

    >>> archive_in_bucket("tfhub-modules", "google/elmo/3")
    'google/elmo/3.tar.gz'
    """
    for row in table("hubs")["bucket"]:
        if row["name"] == bucket and (match := re.fullmatch(row["folder"], folder)):
            archive: str = row["archive"].format(**match.groupdict())
            return archive
    return None


def mirrors() -> tuple[str, ...]:
    """Name the hosts that show Hugging Face's pages."""
    return tuple(table("hubs")["mirrors"]["hosts"])


# -- languages -----------------------------------------------------------------------------------------------------


def language_tag(language: str) -> str:
    """Return the BCP 47 tag of a language by its English name or its tag, in whatever case; others as they are.

    >>> language_tag("Korean"), language_tag("KO"), language_tag("Klingon")
    ('ko', 'ko', 'Klingon')
    """
    tags = {name.lower(): tag for tag, name in language_names().items()}
    tags |= {tag.lower(): tag for entry in entries() for tag in entry.languages}
    return tags.get(language.lower(), language)


def language_names() -> Mapping[str, str]:
    """Return the English names of the catalog's languages by their tags."""
    names: dict[str, str] = table("languages")["names"]
    return names


# -- reading the tables --------------------------------------------------------------------------------------------


@cache
def table(name: str) -> dict[str, Any]:
    """Read a file of this folder; its rows are shared, so nobody changes them."""
    return tomllib.loads((HERE / f"{name}.toml").read_text("utf-8"))


def families() -> list[str]:
    """Name the families: one file each."""
    return sorted(path.stem for path in (HERE / "families").glob("*.toml"))


def expanded(row: Mapping[str, Any], **facts: object) -> Iterator[dict[str, Any]]:
    """Give a row for every combination of its lists, its texts filled with the choice and with `facts`.

    >>> [filled["handle"] for filled in expanded({"handle": "{name}/{version}", "version": [3, 4]}, name="bert")]
    ['bert/3', 'bert/4']
    """
    axes = {key: values for key, values in row.items() if isinstance(values, list)}
    for point in product(*axes.values()):
        choice = dict(zip(axes, point, strict=True))
        words = {**facts, **choice}
        yield {
            key: value.format(**words) if isinstance(value, str) else value for key, value in {**row, **choice}.items()
        }


def _family(family: str) -> Iterator[ModuleEntry]:
    data = table(f"families/{family}")
    scores: dict[str, list[Score]] = defaultdict(list)
    for row in data.get("scores", []):
        for key, value in row["values"].items():  # such as {"MRPC F1" = 81.1}: the last word is the metric
            *words, metric = key.split()
            task = " ".join([row["task"], *words]).strip()
            scores[row["module"]].append(Score(task=task, metric=metric, value=value, source=row["source"]))
    for row in data["module"]:
        for member in row.get("members", [{}]):
            facts = {**row, **member, "publications": row["publications"] + member.get("publications", [])}
            yield _entry(facts, family, scores)


def _entry(facts: Mapping[str, Any], family: str, scores: Mapping[str, list[Score]]) -> ModuleEntry:
    name = facts["name"].format(**facts)
    vocabulary = facts["vocabulary"].format(**facts)
    words = {**{key: value for key, value in facts.items() if isinstance(value, str | int)}, "vocabulary": vocabulary}
    forms, groups = table("hubs")["form"], table("languages")
    return ModuleEntry(
        name=name,
        family=family,
        architecture=facts["architecture"],
        languages=tuple(tag for tag_or_group in facts["languages"] for tag in groups.get(tag_or_group, [tag_or_group])),
        num_hidden_layers=facts["L"],
        hidden_size=facts["H"],
        num_attention_heads=facts["A"],
        vocabulary=_vocabulary(vocabulary),
        parameters=facts["parameters"],
        publications=tuple(
            Publication(**filled)
            for row in facts["publications"]
            for filled in expanded({**forms[row["form"]], **row}, **words)
        ),
        scores=tuple(scores.get(name, ())),
        **{key: facts[key] for key in ("mlm_parameters", "licence", "note") if key in facts},
    )


@cache
def _vocabulary(name: str) -> Vocabulary:
    return Vocabulary(name=name, **table("vocabularies")["vocabulary"][name])
