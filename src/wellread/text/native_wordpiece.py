"""WordPiece by the native library: a dialect's rules go in, a page of code points at a time; texts become ids."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable, Sequence
from ctypes import POINTER, byref, c_char_p, c_int32, c_int64, c_uint8, c_void_p
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from wellread.cores import cpu_count
from wellread.dataclass import dataclass
from wellread.native_library import native_library
from wellread.text.batch import Ragged

PAGE = 128  # code points whose rules are asked for together; those of the first page are ASCII
PAGES = 0x110000 // PAGE
LONGEST = 10_000  # that a word may be known to be
FEW_BYTES = 1 << 20  # of texts, for which one thread will do


@dataclass(frozen=True, slots=True, kw_only=True)
class WordRules:
    """What a dialect makes of texts."""

    cut: Callable[[str], list[str]]  # what each character becomes: parts of words, and spaces, which end words
    moves: Callable[[str], bool]  # whether normalisation may reorder two characters that become such parts of words
    special: Sequence[str]  # tokens that are found in texts; those that hold one are read by other rules
    longest: int  # a longer word is unknown
    in_bytes: bool  # `longest` counts the bytes of a word in UTF-8, not its characters


class _Vocabulary(ctypes.Structure):
    """`wellread_wordpiece` of native/wellread.h."""

    _fields_ = (
        *(("pieces", c_char_p), ("pieces_size", c_int64), ("special", c_char_p), ("special_size", c_int64)),
        *(("unknown", c_int32), ("longest", c_int32), ("longest_in_bytes", c_int32)),
    )


class _Texts(ctypes.Structure):
    """`wellread_texts` of native/wellread.h."""

    _fields_ = (("utf8", c_char_p), ("offsets", c_void_p), ("texts", c_int64), ("limit", c_int64))


class NativeWordPiece:
    """A vocabulary and the rules of a dialect in the native library. Threads may share it."""

    def __init__(self, functions: ctypes.CDLL, vocabulary: _Vocabulary, rules: WordRules) -> None:
        """Give the vocabulary to the library."""
        self._functions = _declared(functions)
        self._rules = rules
        error = c_int32()
        handle = functions.wellread_wordpiece_load(byref(vocabulary), byref(error))
        if not handle:
            raise MemoryError(f"a vocabulary of {vocabulary.pieces_size} bytes")
        self._handle = c_void_p(handle)
        weakref.finalize(self, functions.wellread_wordpiece_free, self._handle)

    @classmethod
    def of(cls, pieces: Sequence[str], rules: WordRules, *, unknown: int | None) -> NativeWordPiece | None:
        """Take pieces in the order of their ids; return None where there is no library, or it does not know such rules.

        A word that the pieces do not make up has the id `unknown`.
        """
        functions = native_library().functions
        if functions is None or unknown is None or not 1 <= rules.longest <= LONGEST:
            return None
        if not all(rules.special) or any("\n" in token for token in rules.special):
            return None
        piece_lines, special_lines = _lines(pieces), _lines(rules.special)
        given = _Vocabulary(
            pieces=piece_lines,
            pieces_size=len(piece_lines),
            special=special_lines,
            special_size=len(special_lines),
            unknown=unknown,
            longest=rules.longest,
            longest_in_bytes=rules.in_bytes,
        )
        return cls(functions, given, rules)

    def encode(self, texts: list[str], others: Callable[[list[str]], Ragged], limit: int | None = None) -> Ragged:
        """Turn B texts into B rows of ids, of at most `limit` ids; texts are read no further than that.

        `others` does it for texts that the library leaves out: those with special tokens, and a few in which marks
        may change places.
        """
        parts = [text.encode("utf-8") for text in texts]
        utf8 = b"".join(parts)
        offsets = np.fromiter(accumulate(map(len, parts), initial=0), np.int64, len(parts) + 1)
        self._bring_pages(utf8)
        given = _Texts(utf8=utf8, offsets=offsets.ctypes.data, texts=len(parts), limit=-1 if limit is None else limit)
        lengths = np.zeros(len(parts), np.int64)
        ids = self._ids(given, room=len(utf8), lengths=lengths)
        left_out = np.flatnonzero(lengths < 0)
        splits = np.append(0, np.cumsum(np.maximum(lengths, 0)))
        rows = Ragged(values=ids, splits=splits)
        if not left_out.size:
            return rows
        every = list(rows)
        for number, row in zip(left_out, others([texts[number] for number in left_out]), strict=True):
            every[number] = row[:limit]
        return Ragged.from_rows(every)

    def _ids(self, texts: _Texts, *, room: int, lengths: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return the ids of all texts; `room` is how many there may be, at a guess."""
        threads = 1 if room < FEW_BYTES else cpu_count()
        while True:
            ids = np.empty(room, np.int32)
            total = self._functions.wellread_wordpiece_encode(
                self._handle, byref(texts), threads, ids.ctypes.data, room, lengths.ctypes.data
            )
            if total < 0:
                raise MemoryError(f"the ids of {texts.texts} texts")
            if total <= room:
                return ids[:total].copy()
            room = total

    def _bring_pages(self, utf8: bytes) -> None:
        """Give the library the rules of code points that it meets for the first time."""
        missing = np.empty(PAGES, np.uint8)
        functions = self._functions
        if not functions.wellread_wordpiece_missing(self._handle, utf8, len(utf8), missing.ctypes.data):
            return
        for page in map(int, np.flatnonzero(missing)):
            rules = self._rules.cut("".join(map(chr, range(page * PAGE, page * PAGE + PAGE))))
            parts = [rule.encode("utf-8") for rule in rules]
            offsets = (c_int32 * (PAGE + 1))(*accumulate(map(len, parts), initial=0))
            moves = (c_uint8 * PAGE)(*map(self._rules.moves, rules))
            if functions.wellread_wordpiece_page(self._handle, page, b"".join(parts), offsets, moves):
                raise MemoryError("the rules of a page of code points")


def _lines(pieces: Sequence[str]) -> bytes:
    text = "\n".join([*pieces, ""])
    if text.count("\n") > len(pieces):  # a piece with the end of a line in it is in no word
        text = "\n".join(["" if "\n" in piece else piece for piece in pieces] + [""])
    return text.encode("utf-8")


def _declared(functions: ctypes.CDLL) -> ctypes.CDLL:
    """Tell ctypes what the functions take and return."""
    functions.wellread_wordpiece_load.argtypes = (POINTER(_Vocabulary), POINTER(c_int32))
    functions.wellread_wordpiece_load.restype = c_void_p
    functions.wellread_wordpiece_free.argtypes = (c_void_p,)
    functions.wellread_wordpiece_free.restype = None
    functions.wellread_wordpiece_page.argtypes = (c_void_p, c_int32, c_char_p, POINTER(c_int32), POINTER(c_uint8))
    functions.wellread_wordpiece_missing.argtypes = (c_void_p, c_char_p, c_int64, c_void_p)
    functions.wellread_wordpiece_encode.argtypes = (c_void_p, POINTER(_Texts), c_int32, c_void_p, c_int64, c_void_p)
    functions.wellread_wordpiece_encode.restype = c_int64
    return functions
