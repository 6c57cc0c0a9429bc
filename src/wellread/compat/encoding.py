"""Rows of ids laid out as Hugging Face's tokenizers return them: special tokens, truncation, padding, tensors."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wellread.errors import InputError, TruncationWarning, nearest, require_extra
from wellread.text.batch import Batch, Template
from wellread.text.tokenizer_files import SPECIAL
from wellread.text.tokenizer_keys import KOBERT_RULES
from wellread.text.vocabulary import SpecialTokens

Ids = Sequence[int]

STRATEGIES = ("longest_first", "only_first", "only_second", "do_not_truncate")
PADDINGS = ("longest", "max_length", "do_not_pad")
TENSORS = ("pt", "np")
PADDED_WITH = {"token_type_ids": 0, "attention_mask": 0, "special_tokens_mask": 1}
LENGTHS = ("model_max_length", "max_len")  # the second is the older name


class BatchEncoding(dict[str, Any]):
    """What a tokenizer returns, by key and by attribute: lists, or arrays [B, T]."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"{name} is not among {', '.join(self)}{nearest(name, self)}") from None

    def to(self, device: Any) -> BatchEncoding:
        """Move PyTorch's tensors to a device."""
        return BatchEncoding({name: tensor.to(device) for name, tensor in self.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How rows become inputs, under Hugging Face's names."""

    add_special_tokens: bool = True  # [CLS] A [SEP] (B [SEP])
    padding: bool | str = False  # of PADDINGS; True is "longest", False "do_not_pad"
    truncation: bool | str | None = None  # of STRATEGIES; True is the first; None: the first where max_length asks
    max_length: int | None = None  # tokens, special ones included; None: the tokenizer's
    return_tensors: str | None = None  # of TENSORS; None: lists
    return_token_type_ids: bool = True
    return_attention_mask: bool = True
    return_special_tokens_mask: bool = False

    def __post_init__(self) -> None:
        """Refuse what is unknown."""
        for name, values in (("padding", PADDINGS), ("truncation", STRATEGIES), ("return_tensors", TENSORS)):
            value = getattr(self, name)
            if value not in values and not isinstance(value, bool | None):
                raise InputError(
                    f"{name}={value!r} was asked for; known are {', '.join(values)}; "
                    f"choose one{nearest(str(value), values)}"
                )

    @property
    def strategy(self) -> str:
        """Which tokens go where there are too many, of STRATEGIES."""
        if isinstance(self.truncation, str):
            return self.truncation
        implied = self.truncation is None and self.max_length is not None and not self.padding
        return STRATEGIES[0] if self.truncation or implied else STRATEGIES[-1]


def lay_out(
    first: Sequence[Ids], second: Sequence[Ids] | None, layout: Layout, *, special: SpecialTokens, max_length: int
) -> BatchEncoding:
    """Lay out B rows, or B pairs of rows; `max_length` holds where the layout names none.

    Raises: InputError for a length without room, and for tensors of rows that differ in length.
    """
    limit = max_length if layout.max_length is None else layout.max_length
    batch = _pack(first, second, layout, special=special, limit=limit)
    rows = [_row(batch, i, paired=second is not None, layout=layout) for i in range(len(first))]
    width = 0
    if layout.padding == "max_length":
        width = limit
    elif layout.padding in (True, "longest"):
        width = max((len(row["input_ids"]) for row in rows), default=0)
    columns = {}
    for name, fill in {"input_ids": special.pad, **PADDED_WITH}.items():
        if name == "input_ids" or getattr(layout, f"return_{name}"):
            padded = [row[name] + [fill] * (width - len(row[name])) for row in rows]
            columns[name] = _as_tensors(padded, layout.return_tensors)
    return BatchEncoding(columns)


def _pack(
    first: Sequence[Ids], second: Sequence[Ids] | None, layout: Layout, *, special: SpecialTokens, limit: int
) -> Batch:
    """Cut as the layout's strategy says, and put the special tokens in."""
    segments = [first] if second is None else [first, second]
    template = Template.of("bert", special)
    around = template.overhead(len(segments))
    lengths = [sum(map(len, rows)) for rows in zip(*segments, strict=True)]
    room = max(lengths, default=0)
    if layout.strategy != "do_not_truncate":
        room = limit - around * layout.add_special_tokens
    if layout.strategy in ("only_first", "only_second"):
        segments = _truncate_one(segments, layout.strategy, room)
    batch = template.pack(segments, seq_length=room + around, pad_to_longest=True)
    if layout.truncation is None and batch.truncated.any():
        warnings.warn(
            f"max_length={limit} was given without truncation=; {np.count_nonzero(batch.truncated)} of {len(first)} "
            f"texts lost {batch.truncated.sum()} tokens; pass truncation=True if they may",
            TruncationWarning,
            stacklevel=4,
        )
    return batch


def _truncate_one(segments: Sequence[Sequence[Ids]], strategy: str, room: int) -> list[Sequence[Ids]]:
    """Shorten one segment of each row to what the other leaves of `room`."""
    which = STRATEGIES.index(strategy) - 1
    if which >= len(segments):
        raise InputError("truncation='only_second' was asked for; found no second text; pass text_pair")
    others = [0] * len(segments[0]) if len(segments) == 1 else [len(row) for row in segments[1 - which]]
    if max(others, default=0) > room:
        raise InputError(
            f"truncation={strategy!r} leaves the other text whole; found one of {max(others)} tokens where there is "
            f"room for {room}; pass truncation='longest_first' or a larger max_length"
        )
    cut = [row[: room - other] for row, other in zip(segments[which], others, strict=True)]
    return [cut if i == which else segment for i, segment in enumerate(segments)]


def _row(batch: Batch, i: int, *, paired: bool, layout: Layout) -> dict[str, list[int]]:
    """Take a row out of the batch, without the special tokens where the layout wants none."""
    length = int(batch.input_mask[i].sum())
    behind = int(batch.input_type_ids[i].sum())  # the second segment and its [SEP]
    special = {0, length - 1} | ({length - 1 - behind} if paired else set())
    positions = [position for position in range(length) if layout.add_special_tokens or position not in special]
    return {
        "input_ids": batch.input_word_ids[i, positions].tolist(),
        "token_type_ids": batch.input_type_ids[i, positions].tolist(),
        "attention_mask": [1] * len(positions),
        "special_tokens_mask": [int(position in special) for position in positions],
    }


def _as_tensors(rows: list[list[int]], kind: str | None) -> Any:
    if kind is None:
        return rows
    lengths = {len(row) for row in rows}
    if len(lengths) > 1:
        raise InputError(
            f"return_tensors={kind!r} needs rows of one length; found {min(lengths)} to {max(lengths)} tokens; "
            "pass padding=True"
        )
    if kind == "np":
        return np.array(rows, np.int64)
    require_extra("torch", extra="train")
    from wellread.compat.torch_models import long_tensor

    return long_tensor(rows)


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse options of the constructor that are unknown, or would make other ids than KoBERT was trained with."""
    names = (*SPECIAL, *LENGTHS, *KOBERT_RULES)
    unknown = [f"{name}{nearest(name, names)}" for name in options if name not in names]
    unknown += [
        f"{name}={options[name]!r}" for name, value in KOBERT_RULES.items() if options.get(name, value) != value
    ]
    if unknown:
        raise InputError(
            f"KoBertTokenizer was asked for {', '.join(unknown)}; it has {', '.join(names)}, with "
            f"{', '.join(f'{name}={value}' for name, value in KOBERT_RULES.items())}; leave the others out"
        )


def layout_of(options: Mapping[str, Any]) -> Layout:
    """Read the options of a call. Raises: InputError for one that is unknown.

    >>> layout_of({"max_length": 8, "pad_to_max_length": True}).padding
    'max_length'
    """
    fields = dict(options)
    if fields.pop("pad_to_max_length", False):
        fields["padding"] = "max_length"
    if "truncation_strategy" in fields:
        fields["truncation"] = fields.pop("truncation_strategy")
    names = tuple(Layout.__dataclass_fields__)
    unknown = [f"{name}{nearest(name, names)}" for name in fields if name not in names]
    if unknown:
        raise InputError(
            f"a tokenizer was asked for {', '.join(unknown)}; it knows {', '.join(names)}; leave the others out"
        )
    return Layout(**fields)
