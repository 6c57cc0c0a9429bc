"""protobuf's wire format: the numbered fields of a message, with no schema and no library.

https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TypeVar

from wellread.dataclass import dataclass

Buffer = TypeVar("Buffer", bytes, memoryview)
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types; 3 and 4 are groups, long out of use
_FIXED = {_FIXED64: 8, _FIXED32: 4}
_MAX_NUMBER = 2**29 - 1  # the largest number a field may have
_MAX_VARINT = 10  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """The fields of a message by number; one that was left out is 0 or empty, as the format has it."""

    values: Mapping[int, list[int | bytes]]

    def number(self, field: int) -> int:
        """Return a field as a signed number of 64 bits. Raises: ValueError: it is no number, or stands twice."""
        value = self._one(field, 0)
        if not isinstance(value, int):
            raise ValueError(f"field {field} holds bytes where a number stands")
        return value - 2**64 if value >> 63 else value

    def content(self, field: int) -> bytes:
        """Return the bytes of a field. Raises: ValueError: it is a number, or stands twice."""
        return _content(field, self._one(field, b""))

    def text(self, field: int) -> str:
        """Return a field as text. Raises: ValueError: it is a number, stands twice, or is no UTF-8."""
        return self.content(field).decode("utf-8")

    def contents(self, field: int) -> list[bytes]:
        """Return the bytes of a repeated field. Raises: ValueError: one of them is a number."""
        return [_content(field, value) for value in self.values.get(field, [])]

    def _one(self, field: int, absent: int | bytes) -> int | bytes:
        values = self.values.get(field, [absent])
        if len(values) > 1:
            raise ValueError(f"field {field} stands {len(values)} times where it may stand once")
        return values[0]


def parse(message: bytes, *, known: Collection[int]) -> Message:
    """Sort the fields of a message by number.

    Raises:
        ValueError: the message is malformed, or holds a field that is not among `known`.

    >>> parse(b"\\x08\\x96\\x01", known={1}).number(1)
    150
    """
    values: dict[int, list[int | bytes]] = {}
    for number, value in fields(message):
        values.setdefault(number, []).append(value)
    if unknown := sorted(values.keys() - set(known)):
        raise ValueError(f"the unknown fields {', '.join(map(str, unknown))}")
    return Message(values=values)


def fields(message: Buffer) -> Iterator[tuple[int, int | Buffer]]:
    """Yield number and value of each field of a message in their order; in time and memory of the message's length.

    Varints and fixed words come as unsigned numbers, anything with a length as its bytes; of a memoryview, a view.

    Raises:
        ValueError: a field is cut short, or of a wire type that is out of use or unknown.

    >>> list(fields(b"\\x12\\x02hi"))
    [(2, b'hi')]
    """
    position = 0
    while position < len(message):
        tag, position = read_varint(message, position)
        number, kind = tag >> 3, tag & 7
        if not 0 < number <= _MAX_NUMBER:
            raise ValueError(f"the field number {number}")
        value: int | Buffer
        if kind == _VARINT:
            value, position = read_varint(message, position)
        elif kind == _BYTES:
            length, position = read_varint(message, position)
            value, position = _take(message, position, length), position + length
        elif kind in _FIXED:
            value = int.from_bytes(_take(message, position, _FIXED[kind]), "little")
            position += _FIXED[kind]
        else:
            raise ValueError(f"field {number} of the wire type {kind}, which is not read")
        yield number, value


def read_varint(data: bytes | memoryview, start: int) -> tuple[int, int]:
    """Return the number that is written from `start` on, seven bits to a byte, and where it ends.

    A number has one form only: zeros at its end, which add nothing to it, are a fault.

    Raises:
        ValueError: it is cut short, longer than 64 bits, or written in more bytes than it takes.

    >>> read_varint(b"\\xac\\x02", 0)
    (300, 2)
    """
    raw = data[start : start + _MAX_VARINT]
    if raw and raw[0] < 0x80:  # nearly all are so short
        return raw[0], start + 1
    value = 0
    for i, byte in enumerate(raw):
        value |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            if value >> 64 or not byte:
                break
            return value, start + i + 1
    raise ValueError(f"a number at byte {start} that is cut short, or longer than 64 bits or than it has to be")


def varint(value: int) -> bytes:
    """Write a number as `read_varint` reads it.

    >>> varint(300)
    b'\\xac\\x02'
    """
    parts = []
    while value > 0x7F:
        parts.append(0x80 | value & 0x7F)
        value >>= 7
    return bytes([*parts, value])


def _take(message: Buffer, start: int, length: int) -> Buffer:
    if length > len(message) - start:
        raise ValueError(f"a field of {length} bytes where {len(message) - start} are left")
    return message[start : start + length]


def _content(field: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError(f"field {field} holds a number where bytes stand")
    return value
