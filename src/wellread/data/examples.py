"""Examples of a task, from files and from Python: texts, pairs, labels, scores, tags and answers as columns."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, fields, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wellread.data.corpus import text_column
from wellread.data.formats import FilePath, Format
from wellread.data.frames import SOURCE, rows_of
from wellread.data.tables import PART, Row, at, format_of, no_column, read_rows, source_of
from wellread.dataclass import dataclass
from wellread.errors import DataError, nearest
from wellread.schema import parse_object

MISSING = object()  # stands where other rows have a value


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """N rows, held as columns."""

    source: str  # the file, for messages
    columns: dict[str, list[object]]  # each of N values
    lines: Sequence[int]  # where each row begins in the file, from 1; in Parquet and in Python the row, from 1


def table_of(rows: Iterable[Row], source: str) -> Table:
    """Turn rows with the same keys into columns. Raises: DataError for no rows, or rows that lack a key others have."""
    columns: dict[str, list[object]] = {}
    lines: list[int] = []
    for line, row in rows:
        if row.keys() != columns.keys():
            columns |= {key: [MISSING] * len(lines) for key in row if key not in columns}
        for key, values in columns.items():
            values.append(row.get(key, MISSING))
        lines.append(line)
    if not lines:
        raise DataError(f"examples were asked of {source}; it holds no rows; check the file")
    bad = [any(value is MISSING for value in values) for values in zip(*columns.values(), strict=True)]
    if any(bad):
        lacks = [key for key, values in columns.items() if values[bad.index(True)] is MISSING]
        raise DataError(
            f"the keys {', '.join(columns)} were asked of every row of {source}; {sum(bad)} of {len(bad)} rows lack "
            f"one, {at(lines, bad)}; the first lacks {', '.join(lacks)}; write null where there is nothing"
        )
    return Table(source=source, columns=columns, lines=lines)


def column(table: Table, name: str, *, role: str = "text") -> list[object]:
    """Return the column that is the `role` of a table. Raises: DataError that names the nearest one."""
    if name not in table.columns:
        raise no_column(name, table.columns, table.source, role=role)
    return table.columns[name]


def refuse_rows(table: Table, bad: Iterable[bool], request: str, remedy: str) -> None:
    """Raise `DataError` if a row is bad, with the first few line numbers and how many."""
    flags = list(bad)
    if any(flags):
        raise DataError(
            f"{request} of {table.source}; {sum(flags)} of {len(flags)} rows have none, {at(table.lines, flags)}; "
            f"{remedy}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelMap:
    """C labels; the id of a label is its place."""

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.names or len(set(self.names)) < len(self.names):
            raise DataError(f"a label map takes labels that differ; found {list(self.names)}; name each once")

    @classmethod
    def of(cls, labels: Iterable[str]) -> LabelMap:
        """Take the labels that occur: by number if all are whole numbers, by letters otherwise.

        >>> LabelMap.of(["10", "9", "10"]).names
        ('9', '10')
        """
        names = sorted(set(labels))
        numeric = all(name.removeprefix("-").isdecimal() for name in names)
        return cls(names=tuple(sorted(names, key=int) if numeric else names))

    def ids(self, labels: Sequence[str], *, source: str = "the labels", lines: Sequence[int] = ()) -> NDArray[np.int64]:
        """Return the id of every label, (N,). `source` and `lines` say where they stand, for the message.

        Raises: DataError for labels that the map has not, with the first few lines and how many.

        >>> LabelMap(names=("neg", "pos")).ids(["pos", "neg"]).tolist()
        [1, 0]
        """
        ids = {name: id for id, name in enumerate(self.names)}
        bad = [label not in ids for label in labels]
        if any(bad):
            unknown = list(dict.fromkeys(label for label, wrong in zip(labels, bad, strict=True) if wrong))
            raise DataError(
                f"the labels {', '.join(self.names)} were asked of {source}; {sum(bad)} of {len(bad)} are others, "
                f"{at(lines or range(1, len(bad) + 1), bad)}: {', '.join(map(repr, unknown[:5]))}"
                f"{nearest(unknown[0], self.names)}; mend them, or name all labels"
            )
        return np.asarray([ids[label] for label in labels], np.int64)

    def save(self, path: Path) -> None:
        """Write the map as JSON."""
        path.write_text(json.dumps({"labels": self.names}, ensure_ascii=False, indent=2) + "\n", "utf-8")

    @classmethod
    def read(cls, path: Path) -> LabelMap:
        """Read what `save` wrote. Raises: DataError."""
        try:
            names = parse_object(path.read_bytes()).get("labels")
        except (OSError, ValueError) as error:
            raise DataError(f"a label map was asked of {path}; it cannot be read: {error}; save it anew") from error
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise DataError(f"a list of labels was asked of {path}; found {str(names)[:60]}; save it anew")
        return cls(names=tuple(names))


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A right answer: a span of the context."""

    text: str
    start: int  # its first character in the context


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """N examples; what was not asked for is None."""

    source: str  # the file, for messages
    lines: Sequence[int]  # where each example begins in it, from 1
    texts: list[str]  # the text, or the first of two; the question of a span task
    pairs: list[str] | None = None  # the second text; the context of a span task
    labels: list[str] | None = None
    soft_labels: list[dict[str, float]] | None = None  # the share of each label, together 1; `labels` has the largest
    label_sets: list[list[str]] | None = None  # any number of labels each
    scores: list[float] | None = None
    tags: list[list[str]] | None = None  # one for every token
    spans: list[list[tuple[int, int]]] | None = None  # with tags: where a token begins and ends in its text
    answers: list[list[Answer]] | None = None  # all that are right; none if the context holds no answer
    ids: list[str] | None = None
    columns: Mapping[str, str] = field(default_factory=dict, compare=False)  # what the source calls each of them

    def __len__(self) -> int:
        return len(self.texts)

    def part(self, rows: Sequence[int]) -> Examples:
        """Return some of the examples, by their numbers from 0."""
        others = ("source", "columns")
        lists = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in others}
        columns: Any = {
            name: values if values is None else [values[row] for row in rows] for name, values in lists.items()
        }
        return replace(self, **columns)


def read_examples(
    path: FilePath,
    *,
    format: str | None = None,
    kind: str | None = None,
    labels: Sequence[str] = (),
    **columns: str,
) -> Examples:
    """Read a file of labelled data; `-` is standard input.

    `format` is a name that `formats.formats` knows. Without it the file's ending says its `kind`. Other arguments say
    which column is the `text`, `pair`, `label`, `label_set` (a list, or labels with commas), `score`, `tags`, `answers`
    or `id`, and go before what the format says; where neither a format nor any but the text is named, columns that bear
    these names are taken for what they say. `labels` names those that may occur, in the order of their ids; spaces
    around a label are no part of it.

    Raises: DataError for a file that cannot be read, and one that counts all rows that do not fit.
    """
    form = format_of(path, format=format, kind=kind, columns=columns)
    form = replace(form, labels=tuple(labels) or form.labels)
    table = table_of(read_rows(path, form), source_of(path))
    return _examples(table, form if format else _by_name(table, form))


def read_texts(
    path: FilePath,
    *,
    format: str | None = None,
    kind: str | None = None,
    remembered: Mapping[str, str] | None = None,
    **columns: str,
) -> Examples:
    """Read what a module is asked about: texts, their pairs, and their tokens if they are lists; no labels.

    A table with one column of texts needs no name for it. `remembered` are the columns that the module was fine-tuned
    on: those that are not named and are there are taken.

    Raises: as `read_examples`.
    """
    form, source = format_of(path, format=format, kind=kind, columns=columns), source_of(path)
    if form.kind == "txt":
        lines = [str(row["text"]) for _, row in read_rows(path, form)]  # there may be none
        return Examples(source=source, lines=range(1, len(lines) + 1), texts=lines)
    table = table_of(read_rows(path, form), source)
    if not format:
        names = {role: (remembered or {}).get(role) for role in ("text", "pair")}
        trained_on = {role: name for role, name in names.items() if name in table.columns}
        form = _by_name(table, replace(form, columns={**trained_on, **form.columns}))
    if form.roles["text"] not in table.columns and "text" not in form.columns:
        sample = [
            dict(zip(table.columns, row, strict=True))
            for row in islice(zip(*table.columns.values(), strict=True), PART)
        ]
        form = replace(form, columns={**form.columns, "text": text_column(sample, form, table.source)})
    examples = Examples(
        source=table.source,
        lines=table.lines,
        texts=_texts(table, form, "text"),
        pairs=_texts(table, form, "pair") if "pair" in form.roles else None,
    )
    lists = all(isinstance(text, list) for text in column(table, form.roles["text"]))
    return replace(examples, spans=_spans(table, form)) if lists else examples


def take_examples(
    rows: Any, *, labels: Sequence[str] = (), joiner: str = " ", needed: Sequence[str] = (), **columns: str
) -> Examples:
    """Take examples from rows in Python, with the columns that `read_examples` takes from a file.

    Rows are a DataFrame of pandas or polars, a table of pyarrow, a data set of Hugging Face, a mapping from columns to
    lists, or an iterable of mappings or tuples. A tuple holds the text, then what is `needed` of `Examples`.

    >>> take_examples([{"text": "good", "y": 1}, {"text": "bad", "y": 0}], label="y").labels
    ['1', '0']
    >>> take_examples({"text": ["good", "bad"], "label": [1, 0]}).labels
    ['1', '0']
    """
    form = Format(kind="jsonl", columns=columns, labels=tuple(labels), joiner=joiner)
    table = table_of(enumerate(rows_of(rows, needed=needed), 1), SOURCE)
    return _examples(table, _by_name(table, form))


Given = Any  # Examples, the path of a file, or rows as `take_examples` takes them


def as_examples(given: Given, *, needed: Sequence[str] = ()) -> Examples:
    """Take examples as they are, from the file of a path, or from rows in Python. Raises: DataError."""
    if isinstance(given, Examples):
        return given
    if isinstance(given, str | os.PathLike):
        return read_examples(given)
    return take_examples(given, needed=needed)


def _by_name(table: Table, form: Format) -> Format:
    """Take columns for what their names say, where no column but the text was named."""
    if form.columns.keys() - {"text"}:
        return form
    names: dict[str, str] = {
        role: role for role in ("pair", "label", "label_set", "score", "tags", "answers") if role in table.columns
    }
    lists = table.columns.get("labels", [])
    if not names.keys() & {"label", "label_set"} and lists and all(isinstance(value, list) for value in lists):
        names["label_set"] = "labels"  # what Hugging Face's data sets of several labels call them
    return replace(form, columns={**names, **form.columns})


def _examples(table: Table, form: Format) -> Examples:
    """Turn a table's columns into what they stand for."""
    roles = form.roles
    for role, name in roles.items():
        column(table, name, role=role)
    if "text" not in roles:
        raise DataError(f"a text was asked of {table.source}; no column was named for it; name one with --text")
    several = _role_of_sets(table, roles)
    soft = _soft_labels(table, form) if "label" in roles and not several else None
    hard = [max(shares, key=lambda name: shares[name]) for shares in soft] if soft else None
    examples = Examples(
        source=table.source,
        lines=table.lines,
        texts=_texts(table, form, "text"),
        pairs=_texts(table, form, "pair") if "pair" in roles else None,
        labels=hard or (_labels(table, form) if "label" in roles and not several else None),
        soft_labels=soft,
        label_sets=_label_sets(table, form, roles[several]) if several else None,
        scores=_scores(table, form) if "score" in roles else None,
        answers=_answers(table, form) if "answers" in roles else None,
        ids=[str(value) for value in column(table, roles["id"])] if "id" in roles else None,
        columns=roles,
    )
    return replace(examples, tags=_tags(table, form), spans=_spans(table, form)) if "tags" in roles else examples


def _texts(table: Table, form: Format, role: str) -> list[str]:
    """Return texts; those that are lists of tokens are joined."""
    name = form.roles[role]
    values = [form.joiner.join(map(str, v)) if isinstance(v, list) else v for v in column(table, name)]
    refuse_rows(table, (not isinstance(v, str) for v in values), f"a text was asked of the column {name}", "mend them")
    return [str(value) for value in values]


def _labels(table: Table, form: Format) -> list[str]:
    name = form.roles["label"]
    labels = ["" if value is None or value != value else str(value).strip() for value in column(table, name)]  # NaN too
    refuse_rows(table, (not label for label in labels), f"a label was asked of the column {name}", "mend them")
    if form.labels:
        LabelMap(names=form.labels).ids(labels, source=f"the column {name} of {table.source}", lines=table.lines)
    return labels


def _soft_labels(table: Table, form: Format) -> list[dict[str, float]] | None:
    """Read labels that are shares, a mapping in each row; None where no row has one. A label alone has the whole."""
    name = form.roles["label"]
    values = column(table, name)
    if not any(isinstance(value, Mapping) for value in values):
        return None
    rows = [label_shares(value) for value in values]
    request = (
        f"a label, or the share of each label (numbers of 0 or more, not all 0; each label once), was asked of the "
        f"column {name}"
    )
    refuse_rows(table, (row is None for row in rows), request, "mend them")
    soft = [row or {} for row in rows]
    if form.labels:
        names = [label for row in soft for label in row]
        lines = [line for line, row in zip(table.lines, soft, strict=True) for _ in row]
        LabelMap(names=form.labels).ids(names, source=f"the column {name} of {table.source}", lines=lines)
    return soft


def label_shares(value: object) -> dict[str, float] | None:
    """Return the share of each label of a row, together 1; None for what says no labels.

    Probabilities, or how many people chose each label, are shares; null is 0, as Parquet has it. What nobody chose is
    left out.

    >>> label_shares({"good": 3, "bad": 1}), label_shares("good"), label_shares({"good": -1})
    ({'good': 0.75, 'bad': 0.25}, {'good': 1.0}, None)
    """
    if not isinstance(value, Mapping):
        label = "" if value is None or value != value else str(value).strip()
        return {label: 1.0} if label else None
    try:
        shares = {str(label).strip(): float(share or 0) for label, share in value.items()}
    except (TypeError, ValueError, OverflowError):
        return None
    total = sum(shares.values())
    if "" in shares or len(shares) < len(value) or not 0 < total < math.inf or min(shares.values()) < 0:
        return None
    return {label: share / total for label, share in shares.items() if share}


def _role_of_sets(table: Table, roles: Mapping[str, str]) -> str:
    """Name the role of the column that holds sets of labels: the one named for it, or labels that are lists."""
    if "label_set" in roles:
        return "label_set"
    listed = "label" in roles and all(isinstance(value, list) for value in table.columns[roles["label"]])
    return "label" if listed else ""


def _label_sets(table: Table, form: Format, name: str) -> list[list[str]]:
    sets = [split_labels(value) for value in column(table, name)]
    bad = (labels is None for labels in sets)
    refuse_rows(table, bad, f"a list of labels, or labels with commas, was asked of the column {name}", "mend them")
    if _is_multi_hot(table.columns[name]):
        raise DataError(
            f"the labels of each row, by their names, were asked of the column {name} of {table.source}; found rows of "
            "zeros and ones, a place for each label; write the names of those that are 1"
        )
    labels = [label for row in sets for label in row or []]
    lines = [line for line, row in zip(table.lines, sets, strict=True) for _ in row or []]
    if form.labels and labels:
        LabelMap(names=form.labels).ids(labels, source=f"the column {name} of {table.source}", lines=lines)
    return [row or [] for row in sets]


def _is_multi_hot(values: Sequence[object]) -> bool:
    """Say whether rows are zeros and ones, as many in each as there are labels, which numbers of labels never are."""
    rows = [row for row in values if isinstance(row, list)]
    one_length = len(rows) == len(values) and len({len(row) for row in rows}) == 1
    return one_length and all(cell in (0, 1) for row in rows for cell in row) and any(len(r) > len({*r}) for r in rows)


def split_labels(value: object) -> list[str] | None:
    """Return the labels of a row, each once: a list's, or those of a text with commas; None for anything else.

    >>> split_labels("toxic, insult"), split_labels(""), split_labels([3, 1, 3])
    (['toxic', 'insult'], [], ['3', '1'])
    """
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        return [] if parts is None or parts != parts else None  # NaN too
    labels = [str(part).strip() for part in parts]
    return list(dict.fromkeys(label for label in labels if label))


def _scores(table: Table, form: Format) -> list[float]:
    name = form.roles["score"]

    def number(value: object) -> float:
        try:
            return float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            return math.nan

    scores = [number(value) for value in column(table, name)]
    bad = (not math.isfinite(score) for score in scores)
    refuse_rows(table, bad, f"a number was asked of the column {name}", "mend them, or name another column")
    return scores


def _tags(table: Table, form: Format) -> list[list[str]]:
    texts, tags = column(table, form.roles["text"]), column(table, form.roles["tags"])
    bad = (
        not (isinstance(a, list) and isinstance(b, list) and len(a) == len(b)) for a, b in zip(texts, tags, strict=True)
    )
    request = f"lists of as many tokens as tags were asked of the columns {form.roles['text']}, {form.roles['tags']}"
    refuse_rows(table, bad, request, "mend them")
    without = (any(tag is None or tag != tag or tag == "" for tag in row) for row in tags if isinstance(row, list))
    refuse_rows(table, without, f"a tag for each token was asked of the column {form.roles['tags']}", "mend them")
    return [list(map(str, row)) for row in tags if isinstance(row, list)]


def _spans(table: Table, form: Format) -> list[list[tuple[int, int]]]:
    return [offsets(tokens, form.joiner) for tokens in column(table, form.roles["text"]) if isinstance(tokens, list)]


def offsets(tokens: Sequence[str], joiner: str) -> list[tuple[int, int]]:
    """Return where each token begins and ends in the text that joins them.

    >>> offsets(["서울", "로"], " ")
    [(0, 2), (3, 4)]
    """
    spans, start = [], 0
    for token in tokens:
        spans.append((start, start + len(token)))
        start += len(token) + len(joiner)
    return spans


def _answers(table: Table, form: Format) -> list[list[Answer]]:
    """Read answers as lists of objects, as SQuAD's JSON has them, or as objects of two lists, as its Parquet does."""
    name = form.roles["answers"]

    def answer_list(value: object) -> list[Answer] | None:
        try:
            if isinstance(value, Mapping):
                value = [dict(zip(value, row, strict=True)) for row in zip(*value.values(), strict=True)]
            return [Answer(text=str(row["text"]), start=int(row["answer_start"])) for row in value]  # type: ignore[attr-defined]
        except (KeyError, TypeError, ValueError):
            return None

    rows = [answer_list(value) for value in column(table, name)]
    request = f"answers with text and answer_start were asked of the column {name}"
    refuse_rows(table, (row is None for row in rows), request, "mend them")
    answers = [row for row in rows if row is not None]
    if "pair" in form.roles:
        contexts = [str(context) for context in column(table, form.roles["pair"])]
        bad = (
            not all(context.startswith(a.text, a.start) for a in row)
            for context, row in zip(contexts, answers, strict=True)
        )
        refuse_rows(table, bad, "answers that stand at answer_start in their context were asked", "mend answer_start")
    return answers
