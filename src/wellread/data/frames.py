"""Rows as people hold them in Python: DataFrames, tables of Arrow, data sets, columns, mappings, tuples."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from wellread.errors import DataError

# what of Examples a task needs -> the role under which rows hold it; spans come with tags
ROLE_OF = {"pairs": "pair", "labels": "label", "label_sets": "label_set", "scores": "score"}
ROLE_OF |= {"tags": "tags", "answers": "answers"}
SOURCE = "the given rows"
KINDS = (
    "a DataFrame of pandas or polars, a table of pyarrow, a data set of Hugging Face, a mapping from columns to lists, "
    "rows as mappings or tuples, or the path of a file"
)


def rows_of(given: Any, *, needed: Sequence[str] = ()) -> Iterator[dict[str, object]]:
    """Yield rows as mappings from a column's name to its value.

    Rows that are tuples hold a text, then what a task has `needed` of `Examples`, in that order; two texts may stand in
    a tuple of their own. Nulls of pandas are None.

    Raises: DataError for what holds no rows, columns of different lengths or of one name, tuples that do not fit.

    >>> list(rows_of({"text": ["good", "bad"], "label": [1, 0]}))
    [{'text': 'good', 'label': 1}, {'text': 'bad', 'label': 0}]
    >>> list(rows_of([("a", "b", 0.5)], needed=("pairs", "scores")))
    [{'text': 'a', 'pair': 'b', 'score': 0.5}]
    """
    columns = columns_of(given)
    if columns is not None:
        return _zipped(columns)
    if isinstance(given, str | bytes | os.PathLike) or not hasattr(type(given), "__iter__"):
        kind = "None" if given is None else f"a {type(given).__name__}"
        raise DataError(f"examples were expected: {KINDS}; found {kind}; pass one of these")
    names = ("text", *(ROLE_OF[name] for name in needed if name in ROLE_OF))
    return (_named(number, row, names) for number, row in enumerate(given, 1))


def columns_of(given: Any) -> list[tuple[str, Sequence[object]]] | None:
    """Return the columns of a table in memory, of Python's values; None for what is no table. Raises: DataError."""
    kind = type(given)
    if hasattr(kind, "collect_schema") and hasattr(kind, "collect"):  # a plan of polars
        given, kind = given.collect(), type(given.collect())
    if isinstance(given, Mapping):
        if any(hasattr(type(part), "column_names") for part in given.values()):  # the splits of Hugging Face
            names = ", ".join(map(str, given))
            raise DataError(f"examples were expected: {KINDS}; found {kind.__name__} of {names}; pass one of its parts")
        return [(str(name), _listed(name, values)) for name, values in given.items()]
    if hasattr(kind, "to_pydict"):  # pyarrow
        return list(zip(given.schema.names, (column.to_pylist() for column in given.columns), strict=True))
    if hasattr(kind, "get_columns"):  # polars
        return [(column.name, column.to_list()) for column in given.get_columns()]
    if hasattr(kind, "iloc") and hasattr(kind, "columns"):  # pandas
        numbers = range(len(given.columns))
        return [(str(given.columns[number]), _of_pandas(given.iloc[:, number])) for number in numbers]
    if hasattr(kind, "iloc"):
        raise DataError(f"examples were expected: {KINDS}; found one column, a {kind.__name__}; pass the whole table")
    if hasattr(kind, "column_names") and hasattr(kind, "to_dict"):  # datasets
        return [(name, _with_names(given.features[name], values)) for name, values in given.to_dict().items()]
    return None


def _with_names(feature: Any, values: list[Any]) -> list[Any]:
    """Put the names of a data set's classes for their numbers, in lists of them too; -1 is no class."""
    if isinstance(feature, list):
        feature = feature[0]
    elif hasattr(feature, "feature") and not isinstance(feature.feature, Mapping):
        feature = feature.feature
    if not (names := getattr(feature, "names", None)):
        return values
    named = dict(enumerate(names))
    return [
        [named.get(number) for number in value] if isinstance(value, list) else named.get(value) for value in values
    ]


def _of_pandas(column: Any) -> list[object]:
    values = column.astype(object)
    return [None if null else plain(value) for value, null in zip(values, column.isna(), strict=True)]


def plain(value: Any) -> object:
    """Turn arrays and numbers of NumPy into Python's, and tuples into lists."""
    if isinstance(value, tuple):
        return [plain(part) for part in value]
    return value.tolist() if hasattr(type(value), "tolist") else value


def _listed(name: object, values: Any) -> list[object]:
    if isinstance(values, str | bytes | Mapping) or not hasattr(type(values), "__iter__"):
        raise DataError(
            f"a list was expected as the column {name}; found a {type(values).__name__}; pass a mapping from columns "
            "to lists, or put one row in a list"
        )
    if hasattr(type(values), "iloc"):
        return _of_pandas(values)
    return [plain(value) for value in (values.to_pylist() if hasattr(type(values), "to_pylist") else values)]


def _zipped(columns: Sequence[tuple[str, Sequence[object]]]) -> Iterator[dict[str, object]]:
    names, lengths = [name for name, _ in columns], [len(values) for _, values in columns]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise DataError(f"columns were asked of {SOURCE}; two are called {twice[0]}; rename or drop one")
    if len(set(lengths)) > 1:
        each = ", ".join(f"{name} {length}" for name, length in zip(names, lengths, strict=True))
        raise DataError(f"columns of one length were asked of {SOURCE}; found {each}; match them up")
    return (dict(zip(names, row, strict=True)) for row in zip(*(values for _, values in columns), strict=True))


def _named(number: int, row: Any, names: Sequence[str]) -> dict[str, object]:
    """Turn a row into a mapping."""
    if hasattr(type(row), "_asdict"):  # a named tuple
        row = row._asdict()
    if isinstance(row, Mapping):
        return {str(name): plain(value) for name, value in row.items()}
    if hasattr(type(row), "tolist") and getattr(row, "ndim", 0) == 1:
        row = row.tolist()
    if isinstance(row, tuple | list):
        values = list(row)
        if "pair" in names and isinstance(values[0] if values else "", tuple | list):
            values[:1] = values[0]
        if len(names) > 1 and 1 < len(values) <= len(names):
            return dict(zip(names, map(plain, values), strict=False))
        fits = f"a task that takes {' and '.join(names)}" if len(names) > 1 else "rows without names"
        raise DataError(
            f"rows of {SOURCE} were to be read; row {number} is a {type(row).__name__} of {len(row)} for {fits}; pass "
            "tuples of these in this order, or rows as mappings from a column's name to its value"
        )
    raise DataError(
        f"rows of {SOURCE} were to be mappings or tuples; row {number} is a {type(row).__name__}; pass {KINDS}"
    )
