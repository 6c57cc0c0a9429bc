"""The catalog of published modules, read from its tables: every entry, and every handle that leads to one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from wellread.catalog.entry import ModuleEntry, Preprocessor, Publication, Score, Vocabulary
from wellread.catalog.tables import expanded, families, table
from wellread.errors import HandleError, nearest


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
