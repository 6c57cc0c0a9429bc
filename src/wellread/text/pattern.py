r"""Regular expressions of a tokenizer.json: those that no text makes explode, told by their form.

The tokenizers library runs them by backtracking (Oniguruma). Where a repetition stands within a repetition, the steps
may double with every character of a text; where three may divide the same characters among them, the steps grow with
the cube. The published patterns have neither.
"""

from __future__ import annotations

import re

from wellread.dataclass import dataclass

LONGEST = 20_000  # characters of a pattern
MOST = 1_000  # times that a pattern may say a part stands
CHOICES = 10  # on one path: of two ways each
LONG = 16  # a part that may stand more often than this counts as one without bound
_COUNT = re.compile(r"\{(\d*)(,?)(\d*)\}")
_ESCAPE = re.compile(r"\\(?:[pP]\{[^}]*\}|x\{[0-9a-fA-F ]*\}|x[0-9a-fA-F]{1,2}|u[0-9a-fA-F]{4}|.)", re.DOTALL)
_GROUP = re.compile(r"\?(?:[imsxa-]*:|[=!>]|<[=!]|<[A-Za-z]\w*>)")
_FLAGS = re.compile(r"\?[imsxa-]+\)")


class _Refused(ValueError):  # noqa: N818
    """A pattern of a form that is not run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """What a part of a pattern may match."""

    empty: bool  # nothing at all
    fixed: bool  # always in one way
    long: int  # repetitions without bound on one path through it
    choices: int = 0  # parts on it that may be left out, or be one of several


def fault_of(pattern: str) -> str | None:
    r"""Say why a pattern is not run; None for one that is.

    >>> fault_of(r"'s|'t| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")
    >>> fault_of("(a+)+b")
    'a repetition of what repeats or chooses, at character 4'
    """
    if len(pattern) > LONGEST:
        return f"{len(pattern)} characters"
    try:
        parser = _Parser(pattern)
        parser.choice(0)
        if parser.position < len(pattern):
            return f"an unexpected parenthesis at character {parser.position}"
    except _Refused as refusal:
        return str(refusal)
    except IndexError:
        return "an end that comes too soon"
    return None


def may_match_nothing(pattern: str) -> bool:
    """Say whether a pattern that is run may match an empty place, of which a text has one before every character."""
    return _Parser(pattern).choice(0).empty


class _Parser:
    """Reads a pattern once, from left to right."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.position = 0

    def choice(self, depth: int) -> _Shape:
        """Read alternatives up to the end or a closing parenthesis."""
        if depth > 20:
            raise _Refused("groups within groups, over 20 deep")
        shapes = [self.sequence(depth)]
        while self.next_is("|"):
            self.position += 1
            shapes.append(self.sequence(depth))
        return _Shape(
            empty=any(shape.empty for shape in shapes),
            fixed=len(shapes) == 1 and shapes[0].fixed,
            long=max(shape.long for shape in shapes),
            choices=max(shape.choices for shape in shapes) + (len(shapes) > 1),
        )

    def sequence(self, depth: int) -> _Shape:
        """Read what stands one behind another."""
        empty, fixed, long, choices = True, True, 0, 0
        while self.position < len(self.pattern) and self.pattern[self.position] not in "|)":
            begin = self.position
            shape = self.repeated(self.atom(depth))
            if long >= 2 and not shape.empty:
                raise _Refused(f"two repetitions without bound before more, at character {begin}")
            long += shape.long
            if long > 2:
                raise _Refused(f"{long} repetitions without bound one behind another, at character {begin}")
            choices += shape.choices
            if choices > CHOICES:
                raise _Refused(f"over {CHOICES} choices one behind another, at character {begin}")
            empty, fixed = empty and shape.empty, fixed and shape.fixed
        return _Shape(empty=empty, fixed=fixed, long=long, choices=choices)

    def atom(self, depth: int) -> _Shape:
        """Read a character, a class of characters, an anchor or a group."""
        character = self.pattern[self.position]
        if character == "(":
            return self.group(depth)
        if character == "[":
            self.brackets()
        elif character == "\\":
            escape = _ESCAPE.match(self.pattern, self.position)
            if escape is None:
                raise _Refused("an end that comes too soon")
            if escape[0][1] in "123456789kgKXR":
                raise _Refused(f"{escape[0]}, which is not run, at character {self.position}")
            self.position = escape.end()
            return _Shape(empty=escape[0][1] in "bBAzZG", fixed=True, long=0)
        elif character in "*+?" or self.count():
            raise _Refused(f"a repetition of nothing, or of a repetition, at character {self.position}")
        else:
            self.position += 1
        return _Shape(empty=character in "^$", fixed=True, long=0)

    def group(self, depth: int) -> _Shape:
        """Read a group; what looks ahead or back takes no character."""
        self.position += 1
        opened = _GROUP.match(self.pattern, self.position)
        if flags := _FLAGS.match(self.pattern, self.position):
            self.position = flags.end()
            return _Shape(empty=True, fixed=True, long=0)
        if self.pattern[self.position] in "?*" and opened is None:
            raise _Refused(f"a group of a kind that is not run, at character {self.position}")
        self.position = opened.end() if opened else self.position
        inner = self.choice(depth + 1)
        if not self.next_is(")"):
            raise _Refused("an end that comes too soon")
        self.position += 1
        if opened and opened[0] in ("?=", "?!", "?<=", "?<!"):
            if not inner.fixed and inner.long:
                raise _Refused(f"a repetition without bound in what looks ahead or back, at character {self.position}")
            # it may refuse what repetitions before it have taken
            return _Shape(empty=False, fixed=True, long=0)
        return inner

    def brackets(self) -> None:
        """Pass over a class of characters, with classes in it."""
        depth = 0
        first = -1
        while True:
            character = self.pattern[self.position]
            if character == "\\":
                escape = _ESCAPE.match(self.pattern, self.position)
                if escape is None:
                    raise _Refused("an end that comes too soon")
                self.position = escape.end()
                continue
            self.position += 1
            if character == "[":
                depth += 1
                self.position += self.next_is("^")
                first = self.position
            elif character == "]" and self.position - 1 != first:
                depth -= 1
                if not depth:
                    return

    def repeated(self, shape: _Shape) -> _Shape:
        """Read how often a part may stand."""
        position = self.position
        if count := self.count():
            least = int(count[1] or 0)
            most = int(count[3]) if count[3] else None if count[2] else least
            self.position = count.end()
        elif self.position < len(self.pattern) and self.pattern[self.position] in "*+?":
            sign = self.pattern[self.position]
            least, most = int(sign == "+"), 1 if sign == "?" else None
            self.position += 1
        else:
            return shape
        if not count and self.position < len(self.pattern) and self.pattern[self.position] in "?+":
            self.position += 1  # lazy, or without a way back
        elif count and self.next_is("?"):
            self.position += 1
        if max(least, most or 0) > MOST:
            raise _Refused(f"a part that stands {max(least, most or 0)} times, at character {position}")
        if (least, most) == (1, 1):
            return shape
        if (least, most) != (0, 1) and (not shape.fixed or shape.long):
            raise _Refused(f"a repetition of what repeats or chooses, at character {position}")
        if shape.empty and most is None:
            raise _Refused(f"a repetition of what may be empty, at character {position}")
        unbounded = most is None or (most > LONG and most != least)
        return _Shape(
            empty=shape.empty or least == 0,
            fixed=shape.fixed and least == most,
            long=shape.long + unbounded,
            choices=shape.choices + (not unbounded and least != most),
        )

    def count(self) -> re.Match[str] | None:
        """Match {2}, {2,} or {2,3}."""
        count = _COUNT.match(self.pattern, self.position)
        return count if count and (count[1] or count[3]) else None

    def next_is(self, character: str) -> bool:
        """Say whether a character comes next."""
        return self.pattern[self.position : self.position + 1] == character
