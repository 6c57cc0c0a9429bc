"""Sets of code points as the tokenizers library's regular expressions write them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from itertools import pairwise


def code_points(chosen: Callable[[str], bool]) -> str:
    r"""Write the characters that are chosen as the inside of a regular expression's brackets.

    >>> code_points(lambda character: character in "abcx")
    '\\x{61}-\\x{63}\\x{78}-\\x{78}'
    """
    codes = [code for code in range(sys.maxunicode + 1) if chosen(chr(code))]
    breaks = [0, *(i for i in range(1, len(codes)) if codes[i] != codes[i - 1] + 1), len(codes)]
    return spans((codes[first], codes[behind - 1]) for first, behind in pairwise(breaks))


def spans(runs: Iterable[tuple[int, int]]) -> str:
    r"""Write runs of code points, each from its first to its last, as the inside of brackets.

    >>> spans([(0x41, 0x5A)])
    '\\x{41}-\\x{5a}'
    """
    return "".join(f"\\x{{{first:x}}}-\\x{{{last:x}}}" for first, last in runs)
