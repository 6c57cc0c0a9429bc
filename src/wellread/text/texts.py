"""Texts as users give them: the one guard before every entry that takes texts."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

from wellread.errors import InputError


def as_texts(given: Any, *, first_row: int = 0) -> list[str]:
    """Return texts as a list of str: one str, or any iterable of them; columns of pandas, polars and pyarrow are some.

    Raises: InputError for rows that are no str, by their numbers from `first_row`, and for what has no rows of texts.

    >>> as_texts(("a", "b")), as_texts("a text")
    (['a', 'b'], ['a text'])
    """
    if isinstance(given, str):
        return [given]
    rows, shape = text_rows(given), getattr(given, "shape", ())
    if len(shape) > 1:
        raise InputError(
            f"texts were expected: an array of one dimension; found one of shape {list(shape)}; pass one of its "
            "columns: given[:, 0]"
        )
    texts = [row.as_py() if hasattr(row, "as_py") else row for row in rows]  # pyarrow's scalars
    refuse_other_rows(texts, first_row=first_row)
    return texts


def text_rows(given: Any) -> Iterable[Any]:
    """Return the rows of an iterable.

    Raises: InputError for a table, a mapping, a set, bytes, a path and whatever has no rows in an order.
    """
    kind, advice = type(given), "pass a str or a list of str"
    if isinstance(given, bytes | bytearray | memoryview):
        advice = 'decode them: given.decode("utf-8")'
    elif isinstance(given, os.PathLike):
        advice = 'read the file and pass its lines: path.read_text("utf-8").splitlines()'
    elif isinstance(given, Set) and not hasattr(kind, "mapping"):  # the keys of a mapping have an order
        advice = "its rows have no order by which to tell results apart: pass sorted(given)"
    elif names := table_columns(given):
        advice = f"pass one of its columns, {', '.join(names[:8])}: given[{names[0]!r}]"
    elif hasattr(kind, "to_pylist"):  # pyarrow's arrays
        return given.to_pylist()
    elif hasattr(kind, "__iter__") and getattr(given, "ndim", None) != 0:
        return given
    type_name = "None" if given is None else f"a {kind.__name__}"
    raise InputError(f"texts were expected: a str, or an iterable of str; found {type_name}; {advice}")


def one_text(given: Any, *, what: str) -> str:
    """Return one text. Raises: InputError for anything but a str."""
    if not isinstance(given, str):
        type_name = "None" if given is None else f"a {type(given).__name__}"
        raise InputError(f"{what} was expected: one str; found {type_name}; pass texts one by one")
    return given


def table_columns(given: Any) -> list[str]:
    """Name the columns of a table: a mapping, a DataFrame of pandas or polars, a Table of pyarrow, a Dataset."""
    kind = type(given)
    if isinstance(given, Mapping):
        return [str(name) for name in given] or ["text"]
    if names := getattr(getattr(given, "dtype", None), "names", None):  # NumPy's structured arrays
        return list(names)
    if hasattr(kind, "collect_schema"):  # polars' plans
        return list(given.collect_schema().names())
    names = next((getattr(given, name) for name in ("column_names", "columns") if hasattr(kind, name)), [])
    return [] if names is None else [str(name) for name in names]


def refuse_other_rows(texts: Sequence[object], *, first_row: int = 0) -> None:
    """Refuse rows that are no str; they are numbered from `first_row`. Raises: InputError that names them."""
    wrong = [(row, text) for row, text in enumerate(texts, first_row) if not isinstance(text, str)]
    if wrong:
        examples = ", ".join(
            f"{'NaN' if isinstance(text, float) and text != text else type(text).__name__} in row {row}"
            for row, text in wrong[:5]
        )
        raise InputError(
            f"each of {len(texts)} texts must be a str; {len(wrong)} are not: {examples}; convert or drop them"
        )
