"""Rows of ids to the arrays that an encoder takes: ragged rows, TF Hub's `bert_pack_inputs`, batches by length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wellread.config import TemplateConfig
from wellread.dataclass import dataclass
from wellread.errors import InputError, TextError, nearest
from wellread.schema import whole
from wellread.text.vocabulary import SpecialTokens


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ragged:
    """B rows of token ids: `values` int32 [all tokens], `splits` int64 [B + 1]; row i is values[splits[i]:splits[i+1]].

    >>> rows = Ragged.from_rows([[7, 8], [], [9]])
    >>> len(rows), rows.lengths.tolist(), rows.to_list()
    (3, [2, 0, 1], [[7, 8], [], [9]])
    """

    values: NDArray[np.int32]
    splits: NDArray[np.int64]

    @classmethod
    def from_rows(cls, rows: Iterable[Sequence[int] | NDArray[np.integer]]) -> Ragged:
        """Join rows of ids."""
        rows = list(rows)
        lengths = np.fromiter((len(row) for row in rows), dtype=np.int64, count=len(rows))
        splits = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        values = np.concatenate([np.asarray(row, np.int32) for row in rows]) if rows else np.zeros(0, np.int32)
        return cls(values=values, splits=splits)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens in each row, int64 [B]."""
        return np.diff(self.splits)

    def __len__(self) -> int:
        return len(self.splits) - 1

    def __getitem__(self, row: int) -> NDArray[np.int32]:
        if not -len(self) <= row < len(self):
            raise IndexError(row)
        row %= len(self)
        return self.values[self.splits[row] : self.splits[row + 1]]

    def __iter__(self) -> Iterator[NDArray[np.int32]]:
        return (self.values[a:b] for a, b in zip(self.splits[:-1], self.splits[1:], strict=True))

    def take(self, rows: Sequence[int] | NDArray[np.integer]) -> Ragged:
        """Return the named rows in the named order."""
        return Ragged.from_rows([self[int(row)] for row in rows])

    def first(self, limit: int) -> Ragged:
        """Return the first `limit` ids of each row.

        >>> Ragged.from_rows([[7, 8, 9], [], [5]]).first(2).to_list()
        [[7, 8], [], [5]]
        """
        if self.lengths.max(initial=0) <= limit:
            return self
        return Ragged.from_rows([row[:limit] for row in self])

    def part(self, rows: slice) -> Ragged:
        """Return consecutive rows, as a view."""
        return Ragged(values=self.values, splits=self.splits[rows.start : rows.stop + 1])

    def to_list(self) -> list[list[int]]:
        """Return the rows as Python lists."""
        return [row.tolist() for row in self]


def token_budget_batches(lengths: ArrayLike, *, max_tokens: int, max_rows: int) -> list[NDArray[np.int64]]:
    """Group N rows by length, longest first, so that little is padded and every batch costs about the same.

    `lengths` is int [N], in tokens. Each batch holds the int64 indices of at most `max_rows` rows, and its rows times
    its longest length is at most `max_tokens`; a row that is longer by itself is a batch of its own. Equal lengths keep
    their order. The longest come first, so that a lack of memory shows at once.

    Raises: InputError for lengths that are not whole numbers of at least 0 in one dimension, or a limit below 1.

    >>> [batch.tolist() for batch in token_budget_batches([2, 9, 3, 3], max_tokens=6, max_rows=8)]
    [[1], [2, 3], [0]]
    """
    sizes = np.asarray(lengths)
    if sizes.ndim != 1 or (sizes.size and (sizes.dtype.kind not in "iu" or sizes.min() < 0)):
        least = f" and minimum {sizes.min()}" if sizes.size and sizes.dtype.kind in "iuf" else ""
        raise InputError(
            "lengths must be whole numbers of at least 0, one a row; "
            f"found {sizes.dtype} of shape {sizes.shape}{least}; pass the number of tokens of each row"
        )
    for name, limit in (("max_tokens", max_tokens), ("max_rows", max_rows)):
        if limit < 1:
            raise InputError(f"{name} must be at least 1; found {limit}; raise it")
    order = np.argsort(-sizes.astype(np.int64), kind="stable")
    batches = []
    begin = 0
    while begin < len(order):
        longest = max(1, int(sizes[order[begin]]))
        rows = max(1, min(max_rows, max_tokens // longest))
        batches.append(order[begin : begin + rows])
        begin += rows
    return batches


INPUTS = ("input_word_ids", "input_mask", "input_type_ids")
ON_LONG = ("truncate", "error", "chunk")
INT32 = np.iinfo(np.int32)

Rows = Ragged | Sequence[Sequence[int]]
Length = TypeVar("Length", int, NDArray[np.int64])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch(Mapping[str, NDArray[np.int32]]):
    """What an encoder takes: B rows of S positions; a mapping of its three inputs, as TF Hub's encoders want them."""

    input_word_ids: NDArray[np.int32]  # [B, S]
    input_mask: NDArray[np.int32]  # [B, S], 1 for a token, 0 for padding
    input_type_ids: NDArray[np.int32]  # [B, S], 1 for the second segment and its [SEP], else 0
    truncated: NDArray[np.int64]  # [B], tokens of the text that found no room
    rows: NDArray[np.int64]  # [B], the row of the segments that this row comes from

    def __getitem__(self, name: str) -> NDArray[np.int32]:
        if name not in INPUTS:
            raise KeyError(name)
        array: NDArray[np.int32] = getattr(self, name)
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(INPUTS)

    def __len__(self) -> int:
        return len(INPUTS)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Joined:
    """B rows of tokens back to back, special tokens among them, without padding: N tokens in all."""

    ids: NDArray[np.int32]  # [N]
    splits: NDArray[np.int64]  # [B + 1], where each row begins, and N
    types: NDArray[np.int32] | None = None  # [N]; None: 0
    mask: NDArray[np.bool_] | None = None  # [N], whether the others attend to a token; None: to all
    pooled: NDArray[np.bool_] | None = None  # [N], whether a token is pooled; None: as `mask`

    def __len__(self) -> int:
        return len(self.splits) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens in each row, int64 [B]."""
        return np.diff(self.splits)

    @property
    def columns(self) -> NDArray[np.int64]:
        """Where in its row each token stands, from 0 on, int64 [N]."""
        return np.arange(len(self.ids)) - np.repeat(self.splits[:-1], self.lengths)


# The templates by name: special tokens before the first segment, between two and after the last; the segments' types.
TEMPLATES = {
    "bert": (("cls",), ("sep",), ("sep",), (0, 1)),  # [CLS] A [SEP] B [SEP]
    "roberta": (("cls",), ("sep", "sep"), ("sep",), (0, 0)),  # <s> A </s></s> B </s>
}
# A special token's id, or None where a segment's tokens stand; and the type id of either.
Part = tuple[int | None, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """Where special tokens stand in a row of one or two segments, as ids.

    >>> template = Template.of("bert", SpecialTokens(pad=0, unk=1, cls=2, sep=3, mask=4))
    >>> template.overhead(2), template.room(128), template.first_column, template.second_column(7)
    (3, 126, 1, 9)
    """

    special: SpecialTokens
    single: tuple[Part, ...]  # a row of one segment
    pair: tuple[Part, ...]  # of two

    @classmethod
    def of(
        cls, template: str | TemplateConfig, special: SpecialTokens, index: Mapping[str, int] | None = None
    ) -> Template:
        """Fill in a template, a name of TEMPLATES or one written out, with the ids of a vocabulary: its `index`.

        Raises: TextError for special tokens that the vocabulary lacks.
        """
        if isinstance(template, str):
            *tokens, (first, second) = TEMPLATES[template]
            before, between, after = (tuple(getattr(special, token) for token in part) for part in tokens)
            single: tuple[Part, ...] = ((None, first), *((id, first) for id in after))
            pair: tuple[Part, ...] = (
                *((None, first), *((id, first) for id in between)),
                *((None, second), *((id, second) for id in after)),
            )
            begin = tuple((id, first) for id in before)
            lacking = [
                name
                for name in ("cls", "sep")
                if getattr(special, name) is None and any(name in part for part in tokens)
            ]
            row_pair = cls(special=special, single=begin + single, pair=begin + pair)
        else:
            index = index or {}
            lacking = sorted({token for token in template.single + template.pair if token is not None} - index.keys())
            row_pair = cls(
                special=special,
                single=_parts(template.single, template.single_types, index),
                pair=_parts(template.pair, template.pair_types, index),
            )
        if lacking:
            raise TextError(
                f"a row takes the special tokens {', '.join(lacking)}; the vocabulary has none of that name; name the "
                "right ones in the tokenizer's configuration"
            )
        return row_pair

    def row(self, segments: int) -> tuple[Part, ...]:
        """Return the row of one or two segments."""
        return self.single if segments == 1 else self.pair

    def for_types(self, type_vocab_size: int) -> Template:
        """Return the template for a type table of that size: with one row, everything has type 0."""
        if type_vocab_size != 1:
            return self
        single, pair = (tuple((id, 0) for id, _ in row) for row in (self.single, self.pair))
        return replace(self, single=single, pair=pair)

    def overhead(self, segments: int = 1) -> int:
        """Count the special tokens of a row."""
        return len(self.row(segments)) - segments

    def room(self, max_seq_length: int, segments: int = 1) -> int:
        """Count the tokens of text that fit in a row."""
        return max_seq_length - self.overhead(segments)

    @property
    def first_column(self) -> int:
        """The column of the first token of a row's only segment."""
        return [id for id, _ in self.single].index(None)

    def second_column(self, first_length: Length) -> Length:
        """Return the column of the second segment's first token behind a first segment of that length."""
        behind = [id for id, _ in self.pair[::-1]].index(None)
        return first_length + len(self.pair) - behind - 2

    def pack(
        self,
        segments: Sequence[Rows],
        *,
        seq_length: int = 128,
        on_long: str = "truncate",
        pad_to_longest: bool = False,
        truncation: str = "round_robin",
    ) -> Batch:
        """Pack one or two segments of B rows, padded to `seq_length` or to the longest row.

        Rows that are too long are cut as TF Hub's preprocessors do: room is given out one token at a time, the first
        segment first, to whoever still has tokens ("round_robin"). `truncation="longest_first"` cuts them as Hugging
        Face's tokenizers library does, which gives an odd token to the longer of the two. `on_long="error"` refuses
        them instead; `"chunk"`, for one segment, goes on in further rows, and the batch's `rows` tell which belong
        together.

        Raises: InputError for anything but one or two segments of equally many rows of int32 ids, or a `seq_length`
        without room for the special tokens; TextError for long rows under `on_long="error"`.
        """
        ragged = [_ragged(segment) for segment in segments]
        _check_pack(ragged, self.overhead(len(ragged)), seq_length, on_long)
        room = self.room(seq_length, len(ragged))
        rows = np.arange(len(ragged[0]), dtype=np.int64)
        if on_long == "chunk":
            ragged[0], rows = chunk(ragged[0], room)
        lengths = np.stack([segment.lengths for segment in ragged])
        if on_long == "error":
            refuse_long(lengths.sum(axis=0), room, seq_length)
        kept_lengths = TRUNCATIONS[truncation](lengths, room)
        longest = int(kept_lengths.sum(axis=0).max(initial=0)) + self.overhead(len(ragged))
        arrays = self._arrays(ragged, kept_lengths, longest if pad_to_longest else seq_length)
        return Batch(**arrays, truncated=(lengths - kept_lengths).sum(axis=0), rows=rows)

    def join(self, segments: Sequence[Ragged], *, seq_length: int, truncation: str = "round_robin") -> Joined:
        """Do as `pack` without padding: one or two segments of B rows, cut to `seq_length`, back to back.

        >>> template = Template.of("bert", SpecialTokens(pad=0, unk=1, cls=2, sep=3, mask=4))
        >>> rows = template.join([Ragged.from_rows([[6], [], [7, 8, 9]])], seq_length=4)
        >>> rows.ids.tolist(), rows.splits.tolist()
        ([2, 6, 3, 2, 3, 2, 7, 8, 3], [0, 3, 5, 9])
        """
        lengths = TRUNCATIONS[truncation](
            np.stack([segment.lengths for segment in segments]), self.room(seq_length, len(segments))
        )
        sizes = lengths.sum(axis=0) + self.overhead(len(segments))
        splits = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
        ids = np.empty(splits[-1], np.int32)
        types = np.zeros(len(ids), np.int32)
        begin = splits[:-1]  # of what comes next, in each row
        remaining = zip(segments, lengths, strict=True)
        for token, type_id in self.row(len(segments)):
            if token is not None:
                ids[begin], end = token, begin + 1
                types[begin] = type_id
            else:
                segment, count = next(remaining)
                inside = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
                places = np.repeat(begin, count) + inside
                ids[places] = segment.values[np.repeat(segment.splits[:-1], count) + inside]
                types[places], end = type_id, begin + count
            begin = end
        return Joined(ids=ids, splits=splits, types=types if types.any() else None)

    def _arrays(
        self, segments: Sequence[Ragged], lengths: NDArray[np.int64], width: int
    ) -> dict[str, NDArray[np.int32]]:
        """Write the first `lengths` [segments, B] tokens of each segment into rows: INPUTS, each [B, width]."""
        ids = np.full((lengths.shape[1], width), self.special.pad, np.int32)
        types = np.zeros_like(ids)
        columns, every = np.arange(width), np.arange(len(ids))
        begin = np.zeros(len(ids), np.int64)
        remaining = zip(segments, lengths, strict=True)
        for token, type_id in self.row(len(segments)):
            if token is not None:
                ids[every, begin] = token
                end = begin + 1
            else:
                segment, count = next(remaining)
                end = begin + count
                preceding = np.cumsum(count) - count  # tokens in the rows before
                source = np.repeat(segment.splits[:-1] - preceding, count) + np.arange(count.sum())
                ids[(columns >= begin[:, None]) & (columns < end[:, None])] = segment.values[source]
            if type_id:
                types[(columns >= begin[:, None]) & (columns < end[:, None])] = type_id
            begin = end
        mask = (columns < begin[:, None]).astype(np.int32)
        return dict(zip(INPUTS, (ids, mask, types), strict=True))


def _parts(row: Sequence[str | None], types: Sequence[int], index: Mapping[str, int]) -> tuple[Part, ...]:
    ids = (None if token is None else index.get(token, 0) for token in row)
    return tuple(zip(ids, types, strict=True))


def bert_pack_inputs(
    segments: Sequence[Rows],
    *,
    special: SpecialTokens,
    seq_length: int = 128,
    on_long: str = "truncate",
    pad_to_longest: bool = False,
) -> Batch:
    """Pack one or two segments of B rows as [CLS] A [SEP] (B [SEP]), as TF Hub's preprocessors: see `Template.pack`.

    >>> special = SpecialTokens(pad=0, unk=1, cls=2, sep=3, mask=4)
    >>> batch = bert_pack_inputs([[[6, 4, 5]], [[4, 7]]], special=special, seq_length=10)
    >>> batch["input_word_ids"].tolist(), batch["input_type_ids"].tolist()
    ([[2, 6, 4, 5, 3, 4, 7, 3, 0, 0]], [[0, 0, 0, 0, 0, 1, 1, 1, 0, 0]])
    """
    template = Template.of("bert", special)
    return template.pack(segments, seq_length=seq_length, on_long=on_long, pad_to_longest=pad_to_longest)


def _ragged(rows: Rows) -> Ragged:
    """Join lists of ids, or check that a Ragged holds int32."""
    values = [rows.values] if isinstance(rows, Ragged) else [np.asarray(row) for row in rows]
    for row in values:
        if row.ndim != 1 or (row.size and row.dtype.kind not in "iu"):
            raise InputError(
                f"a segment must be rows of whole-numbered ids; found {row.dtype} of shape {row.shape} in a row; "
                "pass what tokenize returns, or lists of int"
            )
        if row.size and (row.min() < INT32.min or row.max() > INT32.max):
            raise InputError(
                f"ids must fit in int32, {INT32.min} to {INT32.max}; found {row.min()} to {row.max()}; "
                "check where these ids come from"
            )
    return rows if isinstance(rows, Ragged) else Ragged.from_rows(values)


def _check_pack(ragged: Sequence[Ragged], overhead: int, seq_length: int, on_long: str) -> None:
    """Refuse arguments that cannot be packed; `overhead` is what the special tokens of a row take."""
    if len(ragged) not in (1, 2):
        raise InputError(f"one or two segments can be packed; found {len(ragged)}; pass [first] or [first, second]")
    counts = [len(segment) for segment in ragged]
    if len(set(counts)) != 1:
        raise InputError(f"both segments must have equally many rows; found {counts[0]} and {counts[1]}; match them up")
    check_on_long(on_long)
    if on_long == "chunk" and len(ragged) == 2:
        raise InputError('on_long="chunk" is for one segment; found 2; use "truncate" or "error" for pairs')
    needed = overhead + (on_long == "chunk")  # a chunk must make headway
    if whole(seq_length) is None:
        raise InputError(f"seq_length= must be a whole number; found {seq_length!r}; pass such as 128")
    if seq_length < needed:
        raise InputError(
            f"{len(ragged)} segment(s) under on_long={on_long!r} need a seq_length of at least {needed}; "
            f"found {seq_length}; raise it"
        )


def check_on_long(on_long: str) -> None:
    """Refuse what is none of ON_LONG. Raises: InputError."""
    if on_long not in ON_LONG:
        raise InputError(
            f"on_long={on_long!r} is unknown; it is one of {', '.join(ON_LONG)}{nearest(on_long, ON_LONG)}"
        )


def chunk(segment: Ragged, room: int) -> tuple[Ragged, NDArray[np.int64]]:
    """Split each row in pieces of at most `room` tokens; also return the row that each piece comes from."""
    pieces = np.maximum(1, -(-segment.lengths // room))  # rounded up; an empty row stays a row
    rows = np.repeat(np.arange(len(segment), dtype=np.int64), pieces)
    before = np.arange(len(rows)) - np.repeat(np.cumsum(pieces) - pieces, pieces)  # pieces of the same row
    starts = segment.splits[rows] + room * before
    return Ragged(values=segment.values, splits=np.append(starts, segment.splits[-1])), rows


def refuse_long(lengths: NDArray[np.int64], room: int, seq_length: int, *, first_row: int = 0) -> None:
    """Refuse rows of more than `room` tokens; they are numbered from `first_row`. Raises: TextError that names them."""
    long = np.flatnonzero(lengths > room)
    if long.size:
        examples = ", ".join(f"row {first_row + row} of {lengths[row]}" for row in long[:5])
        raise TextError(
            f"a sequence length of {seq_length} leaves room for {room} tokens a row; {long.size} of {len(lengths)} "
            f'rows are longer: {examples}; shorten them, or pass on_long="truncate" or on_long="chunk"'
        )


def _round_robin(lengths: NDArray[np.int64], room: int) -> NDArray[np.int64]:
    """Return how many tokens each segment keeps [segments, B] of its `lengths` [segments, B].

    Each of two has a fair share, the first the odd token, and takes what the other leaves of its own.
    """
    if len(lengths) == 1:
        return np.minimum(lengths, room)
    first, second = lengths
    half = room // 2
    return np.stack(
        [
            np.minimum(first, room - half + np.maximum(half - second, 0)),
            np.minimum(second, half + np.maximum(room - half - first, 0)),
        ]
    )


def _longest_first(lengths: NDArray[np.int64], room: int) -> NDArray[np.int64]:
    """Do as `_round_robin`, but give the odd token to the longer segment, to the second of two that are alike."""
    if len(lengths) == 1:
        return np.minimum(lengths, room)
    swapped = lengths[0] > lengths[1]
    short, long = np.sort(lengths, axis=0)
    half = room // 2
    kept_short = np.minimum(short, half)
    kept_long = np.minimum(long, room - kept_short)
    return np.where(swapped, [kept_long, kept_short], [kept_short, kept_long])


TRUNCATIONS = {"round_robin": _round_robin, "longest_first": _longest_first}
