"""The texts of a measurement: a file's, or the English sample that ships with wellread."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from wellread.data.corpus import read_texts as read_file
from wellread.errors import DataError

SAMPLE = Path(__file__).with_name("texts.en.txt.gz")


def read_texts(path: Path | None = None) -> list[str]:
    """Read the texts of a file, one a line, or of the packaged sample of 4,000 English ones (3 to 563 word pieces).

    Raises: DataError for a file that cannot be read or holds no text.

    >>> len(read_texts())
    4000
    """
    texts = list(read_file(path or SAMPLE))
    if not texts:
        raise DataError(f"texts were asked of {path}; found 0 lines with a text; give another file")
    return texts


def evenly(count: int, of: int) -> list[int]:
    """Choose at most `count` places of `of`, evenly spread.

    >>> evenly(3, 9), evenly(4, 2)
    ([0, 4, 8], [0, 1])
    """
    return [int(place) for place in np.linspace(0, of - 1, min(count, of)).round()]
