"""What a SentencePiece model's file holds: its pieces and the rules before them, read as data.

The messages and their fields: sentencepiece_model.proto of google/sentencepiece.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from wellread.formats.protobuf import fields

UNIGRAM = 1  # of the kinds of model; a file that states none is one
NORMAL, USER_DEFINED = 1, 4  # of the kinds of piece; one that states none is normal
PIECE, TRAINING, NORMALIZATION = 1, 2, 3  # fields of the whole
TEXT, SCORE, KIND = 1, 2, 3  # fields of a piece
MODEL, SUFFIX, BYTES = 3, 24, 35  # fields of the training
NAME, CHARSMAP, DUMMY_PREFIX, EXTRA_SPACES, ESCAPED = 1, 2, 3, 4, 5  # fields of the normalization


@dataclass(frozen=True, slots=True, kw_only=True)
class SentencePieceModel:
    """A Unigram model and what it does to a text beforehand."""

    normal: dict[str, float]  # piece -> log-probability
    symbols: tuple[str, ...]  # pieces that are found wherever they stand
    charsmap: bytes  # what becomes of characters, in a form of SentencePiece's own; empty: they stay
    nfkc: bool  # whether that map is over NFKC
    dummy_prefix: bool  # a space is put before the text
    collapses_spaces: bool  # spaces are taken from the ends, and repeated ones from within
    faults: tuple[str, ...]  # what no Unigram of the tokenizers library computes


def read_sentencepiece(model: bytes) -> SentencePieceModel:
    """Read the content of a model's file, which SentencePiece itself has loaded before.

    Raises: ValueError: it is no such content.
    """
    whole = list(fields(model))
    pieces = [_values(*field) for field in whole if field[0] == PIECE]
    training = _merged(whole, TRAINING)
    normalization = _merged(whole, NORMALIZATION)
    # settings that a Unigram of the tokenizers library has no counterpart of
    faults = {
        "a form that is no Unigram": training.get(MODEL, UNIGRAM) != UNIGRAM,
        "spaces behind words": bool(training.get(SUFFIX, 0)),
        "bytes for unknown characters": bool(training.get(BYTES, 0)),
        "spaces left as they are": not normalization.get(ESCAPED, 1),
    }
    return SentencePieceModel(
        normal={_text(piece): _score(piece) for piece in pieces if piece.get(KIND, NORMAL) == NORMAL},
        symbols=tuple(_text(piece) for piece in pieces if piece.get(KIND) == USER_DEFINED),
        charsmap=_bytes(normalization, CHARSMAP),
        nfkc=b"nfkc" in _bytes(normalization, NAME),
        dummy_prefix=bool(normalization.get(DUMMY_PREFIX, 1)),
        collapses_spaces=bool(normalization.get(EXTRA_SPACES, 1)),
        faults=tuple(fault for fault, present in faults.items() if present),
    )


def _values(number: int, message: int | bytes) -> dict[int, int | bytes]:
    """Return the fields of a message within, by number; the last of a number counts, as the format has it."""
    if isinstance(message, int):
        raise ValueError(f"field {number} holds a number where a message stands")
    return dict(fields(message))


def _merged(whole: list[tuple[int, int | bytes]], number: int) -> dict[int, int | bytes]:
    """Return the fields of a message that may stand once, several times or not at all."""
    return {key: value for field in whole if field[0] == number for key, value in _values(*field).items()}


def _text(piece: dict[int, int | bytes]) -> str:
    return _bytes(piece, TEXT).decode("utf-8")


def _bytes(values: dict[int, int | bytes], number: int) -> bytes:
    value = values.get(number, b"")
    if isinstance(value, int):
        raise ValueError(f"field {number} holds a number where bytes stand")
    return value


def _score(piece: dict[int, int | bytes]) -> float:
    """Read a float, which the reader of messages hands on as the number of its four bytes."""
    word = piece.get(SCORE, 0)
    if not isinstance(word, int):
        raise ValueError(f"field {SCORE} holds bytes where a number stands")
    score: float = struct.unpack("<f", struct.pack("<I", word))[0]
    return score
