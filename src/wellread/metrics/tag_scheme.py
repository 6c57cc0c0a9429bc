"""Schemes of tags: how the tags of tokens say where entities begin and end, recognised by the tags themselves.

IOB2 and IOB1 (Ramshaw and Marcus 1995; Tjong Kim Sang and Veenstra 1999), BIOES and BILOU (Ratinov and Roth 2009) and
BMES, their marks before the type (B-PER, B_PER) or behind it (PER-B, as in the Naver NLP Challenge); bare types.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from wellread.dataclass import dataclass
from wellread.errors import DataError, some

# The letters of marks, and what each says of a token: it begins an entity, lies inside, ends it, or is all of it.
MARKS = {"B": "B", "I": "I", "M": "I", "E": "E", "L": "E", "S": "S", "U": "S", "W": "S"}
INSIDE = ("I", "M")
# What stands on tokens of no entity, and labels of old scripts for padding, special tokens and the rest of a word.
OUTSIDE = ("O", "o", "-", "_", "OUT", "OUTSIDE")
NO_TAG = ("X", "PAD", "UNK", "[PAD]", "[UNK]", "<PAD>", "<UNK>", "[CLS]", "[SEP]", "<pad>", "<unk>")
SEPARATORS = ("-", "_", ".", ":", "/")


@dataclass(frozen=True, slots=True, kw_only=True)
class TagScheme:
    """How a tag is made of a mark and a type."""

    outside: str = "O"  # the tag of a token of no entity
    marked: bool = True  # False: tags are types; neighbours of one type are one entity, if there is an outside
    separator: str = "-"  # between mark and type; empty: tags are marks alone
    suffix: bool = False  # whether the mark stands behind the type
    inside: str = "I"  # the letter of a token inside
    joined: bool = True  # whether neighbours without marks are one entity

    def split(self, tag: str) -> tuple[str, str]:
        """Return what a tag says of its token, B, I, E, S or O, and the type. Raises: DataError for another tag.

        >>> TagScheme(suffix=True).split("PER-B"), TagScheme().split("O")
        (('B', 'PER'), ('O', ''))
        """
        if tag in OUTSIDE or tag in NO_TAG:
            return "O", ""
        if not self.marked:
            return ("I" if self.joined else "S"), tag
        mark, kind = _parts(tag, self.separator, self.suffix)
        if mark.upper() not in MARKS or bool(kind) != bool(self.separator):
            raise _unknown((tag,), self)
        return MARKS[mark.upper()], kind

    def inner(self, tag: str) -> str:
        """Return the tag of what goes on with an entity: I-X for B-X.

        >>> TagScheme().inner("B-LC"), TagScheme(suffix=True).inner("LC-B"), TagScheme().inner("O")
        ('I-LC', 'LC-I', 'O')
        """
        return tag if self.split(tag)[0] == "O" else self._marked(self.inside, tag)

    def opened(self, tag: str) -> str:
        """Return the tag of a token whose entity goes on: B-X for S-X, I-X for E-X.

        >>> TagScheme().opened("S-LC"), TagScheme().opened("E-LC"), TagScheme().opened("B-LC")
        ('B-LC', 'I-LC', 'B-LC')
        """
        mark, _ = self.split(tag)
        letter = {"S": "b" if self.inside.islower() else "B", "E": self.inside}.get(mark)
        return tag if letter is None else self._marked(letter, tag)

    def _marked(self, letter: str, tag: str) -> str:
        _, kind = self.split(tag)
        if not self.marked or not self.separator:
            return letter if self.marked else tag
        return self.separator.join((kind, letter) if self.suffix else (letter, kind))

    def goes_on(self, before: str, tag: str) -> bool:
        """Say whether a token goes on with the entity of the one before it.

        >>> scheme = TagScheme()
        >>> scheme.goes_on("B-LC", "I-LC"), scheme.goes_on("I-LC", "B-LC"), scheme.goes_on("S-LC", "E-LC")
        (True, False, False)
        """
        (last, last_kind), (mark, kind) = self.split(before), self.split(tag)
        return mark in ("I", "E") and kind == last_kind and last in ("B", "I")


def scheme_of(tags: Iterable[str], *, source: object = "the tags") -> TagScheme:
    """Recognise the scheme of a set of tags; `source` says where they stand, for the message.

    Where none has a mark, tags are types: neighbours of one type are an entity if there is a tag of no entity among
    them; if not, as in parts of speech, every token stands for itself.

    Raises: DataError for tags of which some have a mark and others have none, or that are of several schemes.

    >>> scheme_of(["PER-B", "PER-I", "-"])
    TagScheme(outside='-', marked=True, separator='-', suffix=True, inside='I', joined=True)
    """
    return _scheme(tuple(dict.fromkeys(tags)), str(source))


@lru_cache(maxsize=64)
def _scheme(tags: tuple[str, ...], source: str) -> TagScheme:
    outside = next((tag for tag in OUTSIDE if tag in tags), None)
    named = [tag for tag in tags if tag not in OUTSIDE and tag not in NO_TAG]
    small = outside == "o" or {"b-", "i-"} <= {tag[:2] for tag in named}
    letters = {*MARKS, *(mark.lower() for mark in MARKS if small)}
    common = outside if outside is not None else "O"
    marked: list[str] = []
    for separator, suffix in [("", False), *((one, end) for one in SEPARATORS for end in (False, True))]:
        parts = {tag: _parts(tag, separator, suffix) for tag in named}
        fitting = [tag for tag, (mark, kind) in parts.items() if mark in letters and bool(kind) == bool(separator)]
        if named and len(fitting) == len(named):
            inside = next((mark for mark, _ in parts.values() if mark.upper() in INSIDE), "i" if small else "I")
            return TagScheme(outside=common, separator=separator, suffix=suffix, inside=inside)
        marked = max(marked, fitting, key=len)
    broken = [tag for tag in named if tag.startswith("O-") or tag.strip("-_") in letters]
    if marked or broken:
        odd = [tag for tag in named if tag not in marked]
        raise DataError(
            f"tags of one scheme were asked of {source}, as O, B-TYPE and I-TYPE; found {some(odd or broken)} beside "
            f"{some([*marked, *([outside] if outside else [])])}; convert the tags"
        )
    return TagScheme(outside=common, marked=not named, joined=outside is not None)


def _parts(tag: str, separator: str, suffix: bool) -> tuple[str, str]:
    """Cut a tag into mark and type; an empty mark where there is no separator."""
    if not separator:
        return tag, ""
    head, found, tail = tag.rpartition(separator) if suffix else tag.partition(separator)
    if not found:
        return "", ""
    return (tail, head) if suffix else (head, tail)


def _unknown(tags: tuple[str, ...], scheme: TagScheme) -> DataError:
    example = scheme.separator.join(("TYPE", "B") if scheme.suffix else ("B", "TYPE")) if scheme.separator else "B"
    return DataError(f"a tag is {scheme.outside} or as {example}; found {some([*map(repr, tags)])}; convert the tags")
