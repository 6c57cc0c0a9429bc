"""SQuAD's JSON, which KorQuAD shares: questions, each of a context, with the answers that are right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wellread.errors import DataError
from wellread.measure.tables import Table, read_bytes
from wellread.weights.strict_json import parse_object


def read_squad(path: Path) -> Table:
    """Read the columns `id`, `question`, `context` and `answers`, a question a row; `lines` counts questions from 1.

    Raises: DataError for a file that is not JSON in UTF-8 or of another form, or that has no question.
    """
    try:
        rows = list(_questions(parse_object(read_bytes(path).removeprefix(b"\xef\xbb\xbf"))))
    except ValueError as error:
        raise DataError(f"SQuAD's JSON was asked of {path}; it cannot be read: {error}; check the file") from None
    except (KeyError, TypeError) as error:
        raise DataError(
            "data, of paragraphs, of a context and qas, each with id, question and answers, was asked of "
            f"{path}; found another form: {type(error).__name__} {error}; convert the file to SQuAD's form"
        ) from None
    if not rows:
        raise DataError(f"questions were asked of {path}; it holds none; check the file")
    columns = {key: [row[key] for row in rows] for key in rows[0]}
    return Table(source=str(path), columns=columns, lines=range(1, len(rows) + 1))


def _questions(found: dict[str, Any]) -> Iterator[dict[str, object]]:
    for article in found["data"]:
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                yield {
                    "id": str(question["id"]),
                    "question": question["question"],
                    "context": paragraph["context"],
                    "answers": list(question["answers"]),
                }
