"""What a student learns from: texts of files or of Python, pairs, labelled examples, changed copies of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wellread.data.augment import augmented
from wellread.data.corpus import read_lines, read_sentences
from wellread.data.examples import Examples, Given, as_examples
from wellread.errors import ConfigError, InputError, TrainingError
from wellread.learn.settings import TextConfig
from wellread.text.texts import as_texts, text_rows

TOKEN_METHODS = ("layers", "relations")  # which read any number of texts from their files


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TransferSet:
    """Texts without labels, and examples with labels of their own."""

    texts: Sequence[str] | Sequence[Path]
    pairs: Sequence[str] | None = None  # the second text of each
    examples: Examples | None = None
    copies: int = 0  # of the texts, which stand last: changed ones of the others, and of the examples

    @property
    def counts(self) -> dict[str, int]:
        """How many there are of each sort."""
        counts = {"texts": len(self.texts) - self.copies, "augmented": self.copies}
        counts["labelled"] = 0 if self.examples is None else len(self.examples)
        return {name: count for name, count in counts.items() if count or name == "texts"}


def transfer_set(
    texts: Any, *, pairs: Any = None, examples: Given | None = None, text: TextConfig | None, method: str
) -> TransferSet:
    """Take what users give, read files as `text` says, and add the copies that it asks for.

    Raises: TrainingError for nothing at all; ConfigError for what a method does not learn from; DataError; InputError.
    """
    texts = given_texts(texts)
    pairs = None if pairs is None else as_texts(pairs)
    if text is not None and any(isinstance(path, Path) for path in texts):
        texts, pairs = read_files(text, method, [Path(path) for path in texts])
    if examples is not None and method != "labels":
        raise ConfigError(f"labelled examples are for the method 'labels'; found {method!r}; leave them out")
    labelled = None if examples is None else as_examples(examples, needed=("texts", "labels"))
    if not texts and labelled is None:
        raise TrainingError("a student was to be distilled; found 0 texts; give it some")
    given = TransferSet(texts=texts, pairs=pairs, examples=labelled)
    return with_copies(given, text, method) if text is not None and text.augment_copies else given


def given_texts(texts: Any) -> Sequence[str] | Sequence[Path]:
    """Take texts, or files as paths, as users give them. Raises: InputError."""
    if isinstance(texts, str):
        raise InputError(
            f"a list of texts, or of paths, was expected; found one str, {texts[:40]!r}; wrap it in a list"
        )
    rows = list(text_rows(texts))
    return rows if rows and all(isinstance(row, Path) for row in rows) else as_texts(rows)


def read_files(
    text: TextConfig, method: str, paths: Sequence[Path]
) -> tuple[Sequence[str] | Sequence[Path], Sequence[str] | None]:
    """Read texts, or return files of them that need not be in memory; and the second text of each of pairs."""
    options: dict[str, Any] = {"limit": text.limit, "seed": text.text_seed}
    options |= {"column": text.text_column, "kind": text.kind}
    if text.split and text.pair_column:
        raise ConfigError(
            f"pairs of the column {text.pair_column!r} were asked for; found that texts are to be cut into "
            "sentences; set split to false"
        )
    if text.split:
        return read_sentences(paths, clauses=text.clauses, **options), None
    if method in TOKEN_METHODS and not (text.limit or text.text_column or text.kind):
        return paths, None
    return read_lines(paths, pair_column=text.pair_column, **options)


def with_copies(given: TransferSet, text: TextConfig, method: str) -> TransferSet:
    """Put changed copies of all texts behind them; those of labelled examples have no label.

    Raises: ConfigError for a method that compares tokens.
    """
    if method in TOKEN_METHODS:
        raise ConfigError(
            f"changed copies of texts (augment_copies) are for labels and vectors; found {method!r}, which compares "
            "tokens; set augment_copies to 0"
        )
    columns = [[str(row) for row in given.texts], *([] if given.pairs is None else [list(given.pairs)])]
    sources = columns
    if given.examples is not None:
        own = [given.examples.texts, *([] if given.examples.pairs is None else [given.examples.pairs])]
        columns = columns if given.texts else [[] for _ in own]
        if len(own) != len(columns):
            return given  # pairs beside texts: what the method wants decides which is wrong
        sources = [[*ours, *theirs] for ours, theirs in zip(columns, own, strict=True)]
    copies = augmented(
        sources,
        copies=text.augment_copies,
        mask=text.augment_mask,
        span=text.augment_span,
        span_words=text.augment_span_words,
        splice=text.augment_splice,
        seed=text.text_seed,
    )
    both = [[*column, *more] for column, more in zip(columns, copies, strict=True)]
    return TransferSet(
        texts=both[0], pairs=both[1] if both[1:] else None, examples=given.examples, copies=len(copies[0])
    )
