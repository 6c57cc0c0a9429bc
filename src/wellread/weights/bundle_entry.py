"""One entry of a TensorFlow tensor bundle: where a tensor lies, and how its bytes are read and checked."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from wellread.errors import CheckpointError
from wellread.weights.dtypes import decode, read_words
from wellread.weights.protobuf import read_varint
from wellread.weights.table_file import mask

Array = NDArray[np.generic]

STRING = "string"  # the dtype of a tensor of strings
CHECKSUM = 4  # bytes between the lengths of strings and what they hold
_MAX_STRINGS = 4_000_000  # bytes of one entry: the object graph of a large model takes less than one million


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A tensor of numbers or of strings, by the place of its bytes. Every reading is held against the CRC-32C."""

    key: str
    dtype: str
    shape: tuple[int, ...]
    path: Path  # of the shard
    offset: int
    size: int  # bytes
    crc: int  # masked

    def read(self) -> Array:
        """Read a tensor of numbers as `StoredTensor.read` has it. Raises: CheckpointError: its bytes are damaged."""
        words = read_words(self.path, self.dtype, math.prod(self.shape), offset=self.offset)
        self._check(google_crc32c.value(words.view(np.uint8)))
        return decode(words.reshape(self.shape), self.dtype, what=f"{self.key!r} of {self.path}")

    def read_strings(self) -> list[bytes]:
        """Read a tensor of strings, in C order. Raises: CheckpointError: its bytes are damaged, or more than 4 MB.

        There lie the lengths as varints, a checksum of the lengths, then the strings end to end.
        """
        if self.size > _MAX_STRINGS:
            raise self._damaged(f"{self.size} bytes of text (at most {_MAX_STRINGS} are read)")
        raw = read_words(self.path, "uint8", self.size, offset=self.offset).tobytes()
        try:
            lengths, start = _lengths(raw, math.prod(self.shape))
        except ValueError as error:
            raise self._damaged(str(error)) from None
        content = start + CHECKSUM
        if content + sum(lengths) != self.size:
            raise self._damaged(f"strings of {content + sum(lengths)} bytes in the place of {self.size}")
        # both checksums are over the lengths as words of 32 bits, whatever bytes they take in the file
        crc = google_crc32c.value(np.array(lengths, "<u4").tobytes())
        self._check(google_crc32c.extend(crc, raw[start:]))
        if mask(crc) != (stored := int.from_bytes(raw[start:content], "little")):
            raise self._damaged(f"lengths with the checksum {mask(crc):08x} in place of {stored:08x}")
        ends = np.cumsum([content, *lengths]).tolist()
        return [raw[begin:end] for begin, end in pairwise(ends)]

    def _check(self, crc: int) -> None:
        if mask(crc) != self.crc:
            raise self._damaged(f"bytes with the checksum {mask(crc):08x} in place of {self.crc:08x}")

    def _damaged(self, found: str) -> CheckpointError:
        return CheckpointError(f"{self.key!r} was to be read from {self.path}; found {found}; fetch the file again")


def _lengths(raw: bytes, count: int) -> tuple[list[int], int]:
    """Return the lengths of `count` strings, and where their description ends."""
    lengths, position = [], 0
    for _ in range(count):
        length, position = read_varint(raw, position)
        lengths.append(length)
    return lengths, position
