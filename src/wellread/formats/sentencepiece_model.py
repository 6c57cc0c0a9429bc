"""What a SentencePiece model's file holds: its pieces and the rules before them, read as data.

The messages and their fields: sentencepiece_model.proto of google/sentencepiece.
"""

from __future__ import annotations

import struct
from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from wellread.dataclass import dataclass
from wellread.formats.protobuf import fields, varint

UNIGRAM = 1  # of the kinds of model; a file that states none is one
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = (
    1,
    2,
    3,
    4,
    5,
    6,
)  # of the kinds of piece; the default is the first
NO_UNIGRAM = "a form that is no Unigram"
PIECE, TRAINING, NORMALIZATION, SELF_TEST = 1, 2, 3, 4  # fields of the whole
TEXT, SCORE, KIND = 1, 2, 3  # fields of a piece
MODEL, SUFFIX, BYTES = 3, 24, 35  # fields of the training
NAME, CHARSMAP, DUMMY_PREFIX, EXTRA_SPACES, ESCAPED = 1, 2, 3, 4, 5  # fields of the normalization


class Piece(NamedTuple):
    """A piece of a model; a model may hold a quarter of a million, so it is no dataclass."""

    text: str
    score: float  # log-probability
    kind: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SentencePieceModel:
    """A Unigram model and what it does to a text beforehand."""

    pieces: tuple[Piece, ...]  # in the order of their ids
    form: int  # the kind of model
    charsmap: bytes  # what becomes of characters, in a form of SentencePiece's own; empty: they stay
    nfkc: bool  # whether that map is over NFKC
    dummy_prefix: bool  # a space is put before the text
    collapses_spaces: bool  # spaces are taken from the ends, and repeated ones from within
    faults: tuple[str, ...]  # what no Unigram of the tokenizers library computes

    @property
    def normal(self) -> dict[str, float]:
        """The pieces that are found by their score -> log-probability."""
        return {piece.text: piece.score for piece in self.pieces if piece.kind == NORMAL}

    @property
    def symbols(self) -> tuple[str, ...]:
        """The pieces that are found wherever they stand."""
        return tuple(piece.text for piece in self.pieces if piece.kind == USER_DEFINED)


def read_sentencepiece(model: bytes) -> SentencePieceModel:
    """Read the content of a model's file, which SentencePiece itself has loaded before.

    Raises: ValueError: it is no such content.
    """
    whole = list(fields(model))
    pieces = [_piece(_values(*field)) for field in whole if field[0] == PIECE]
    training = _merged(whole, TRAINING)
    normalization = _merged(whole, NORMALIZATION)
    # settings that a Unigram of the tokenizers library has no counterpart of
    faults = {
        NO_UNIGRAM: training.get(MODEL, UNIGRAM) != UNIGRAM,
        "spaces behind words": bool(training.get(SUFFIX, 0)),
        "bytes for unknown characters": bool(training.get(BYTES, 0)),
        "spaces left as they are": not normalization.get(ESCAPED, 1),
    }
    return SentencePieceModel(
        pieces=tuple(pieces),
        form=_number(training, MODEL, UNIGRAM),
        charsmap=_bytes(normalization, CHARSMAP),
        nfkc=b"nfkc" in _bytes(normalization, NAME),
        dummy_prefix=bool(normalization.get(DUMMY_PREFIX, 1)),
        collapses_spaces=bool(normalization.get(EXTRA_SPACES, 1)),
        faults=tuple(fault for fault, present in faults.items() if present),
    )


def keep_pieces(model: bytes, kept: Collection[int]) -> bytes:
    """Return the content of a model's file with the pieces of the ids `kept` alone, which get 0, 1, 2 ...

    Tests that a model carries of itself are left out: they are of the whole one. Raises: ValueError: it is no model.
    """
    parts, id = [], -1
    for number, value in fields(model):
        id += number == PIECE
        if number == SELF_TEST or (number == PIECE and id not in kept):
            continue
        if isinstance(value, int):
            raise ValueError(f"field {number} holds a number where a message stands")
        parts += [varint(number << 3 | 2), varint(len(value)), value]
    return b"".join(parts)


def check_charsmap(charsmap: bytes) -> None:
    """Refuse a map of characters that points out of itself, at which the tokenizers library would panic.

    It is the size of a double-array trie in bytes (little-endian, 4 bytes), the trie's units (4 bytes each), and the
    replacements, each in UTF-8 with a NUL behind it. A leaf (the highest bit) holds the place of a replacement, another
    unit the distance to its children. Source: the classes of darts-clone and sentencepiece's normalizer.cc.

    Raises: ValueError.
    """
    size = int.from_bytes(charsmap[:4], "little")
    if not size or size % 4 or size > len(charsmap) - 4:
        raise ValueError(f"a map of characters of {len(charsmap)} bytes with a trie of {size}")
    units = np.frombuffer(charsmap[4 : 4 + size], "<u4").astype(np.int64)
    replacements = np.frombuffer(charsmap[4 + size :], np.uint8)
    leaf = units >> 31 == 1
    places = units[leaf] & 0x7FFFFFFF
    children = np.arange(len(units)) ^ (units >> 10 << ((units >> 9 & 1) * 8))
    outside = np.count_nonzero(children[~leaf] | 0xFF >= len(units)) + np.count_nonzero(places >= len(replacements))
    inside = np.count_nonzero(
        replacements[places[places < len(replacements)]] >> 6 == 2
    )  # not where a character begins
    if outside or inside:
        raise ValueError(f"a map of characters of which {outside + inside} of {len(units)} places do not exist")


def read_charsmap(charsmap: bytes) -> dict[str, str]:
    """Return the strings that a map of characters replaces, and what by; `check_charsmap` tells its form.

    Raises: ValueError.
    """
    check_charsmap(charsmap)
    size = int.from_bytes(charsmap[:4], "little")
    units = np.frombuffer(charsmap[4 : 4 + size], "<u4").astype(np.int64)
    children = np.arange(len(units)) ^ (units >> 10 << ((units >> 9 & 1) * 8))  # where a unit's children begin
    labels, ends = units & 0x800000FF, (units >> 8 & 1).tolist()
    begins, starts = children.tolist(), ((units & 0x7FFFFFFF) + 4 + size).tolist()
    replaced: dict[str, str] = {}
    level = [(b"", begins[0])]
    while level:  # the strings of so many bytes, and where what may follow each begins
        places = np.array([begin for _, begin in level])[:, None] ^ np.arange(1, 256)
        rows, columns = np.nonzero(labels[places] == np.arange(1, 256))
        longer = []
        for row, byte, place in zip(rows.tolist(), (columns + 1).tolist(), places[rows, columns].tolist(), strict=True):
            string = level[row][0] + bytes((byte,))
            if ends[place]:
                start = starts[begins[place]]
                replaced[string.decode("utf-8")] = charsmap[start : charsmap.index(0, start)].decode("utf-8")
            longer.append((string, begins[place]))
        level = longer
    return replaced


def _values(number: int, message: int | bytes) -> dict[int, int | bytes]:
    """Return the fields of a message within, by number; the last of a number counts, as the format has it."""
    if isinstance(message, int):
        raise ValueError(f"field {number} holds a number where a message stands")
    return dict(fields(message))


def _merged(whole: list[tuple[int, int | bytes]], number: int) -> dict[int, int | bytes]:
    """Return the fields of a message that may stand once, several times or not at all."""
    return {key: value for field in whole if field[0] == number for key, value in _values(*field).items()}


def _piece(values: dict[int, int | bytes]) -> Piece:
    return Piece(_bytes(values, TEXT).decode("utf-8"), _score(values), _number(values, KIND, NORMAL))


def _number(values: dict[int, int | bytes], number: int, absent: int) -> int:
    value = values.get(number, absent)
    if not isinstance(value, int):
        raise ValueError(f"field {number} holds bytes where a number stands")
    return value


def _bytes(values: dict[int, int | bytes], number: int) -> bytes:
    value = values.get(number, b"")
    if isinstance(value, int):
        raise ValueError(f"field {number} holds a number where bytes stand")
    return value


def _score(piece: dict[int, int | bytes]) -> float:
    """Read a float, which the reader of messages hands on as the number of its four bytes."""
    score: float = struct.unpack("<f", struct.pack("<I", _number(piece, SCORE, 0)))[0]
    return score
