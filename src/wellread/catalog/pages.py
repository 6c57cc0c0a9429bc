"""TF Hub's pages as data: for the handle of an encoder, its preprocessor, shape and arithmetic."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

from wellread.errors import HandleError, nearest

HERE = Path(__file__).parent
TFHUB = "https://tfhub.dev/"
SHAPE = re.compile(r"L-(\d+)_H-(\d+)_A-(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class PreprocessorPage:
    """What the page of a preprocessor says."""

    handle: str
    dialect: str  # a dialect of TokenizerConfig
    vocab_size: int
    do_lower_case: bool | None = None  # None: the page does not say


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What the page of an encoder says."""

    handle: str  # as it is given to tensorflow-hub, or a Hugging Face id
    preprocessor: PreprocessorPage
    family: str  # bert or distilbert
    num_hidden_layers: int
    hidden_size: int
    num_attention_heads: int
    hidden_act: str  # what its module computes, a key of config.ACTIVATIONS
    mlm: bool  # whether its module has .mlm
    note: str = ""

    @property
    def on_tfhub(self) -> bool:
        """Whether tensorflow-hub takes the handle, and not the hub of Hugging Face."""
        return self.handle.startswith(TFHUB)


def find_page(handle: str) -> Page:
    """Return the page of an encoder; its handle with or without https://tfhub.dev/.

    Raises: HandleError for a handle that is refused, with the reason, or unknown, with the nearest known one.

    >>> find_page("https://tfhub.dev/jeongukjae/distilkobert_cased_L-3_H-768_A-12/1").preprocessor.handle
    'https://tfhub.dev/jeongukjae/distilkobert_cased_preprocess/1'
    """
    page = known_page(handle)
    if page is None:
        raise HandleError(
            f"the page of {handle!r} was asked for; wellread's catalog has {len(pages())} encoders, and not this one; "
            f"correct the handle{nearest(_whole(handle), pages())}"
        )
    return page


def known_page(handle: str) -> Page | None:
    """Return the page of an encoder; None for an unknown handle. Raises: HandleError for one that is refused."""
    if handle in pages() or _whole(handle) in pages():
        return pages().get(handle) or pages()[_whole(handle)]
    for row in _data()["refused"]:
        if fnmatchcase(_whole(handle), row["handle"]):
            raise HandleError(
                f"the module {handle} was asked for; found that {row['reason']}; choose another handle"
                f"{nearest(_whole(handle), pages())}"
            )
    return None


def _whole(handle: str) -> str:
    return handle if "://" in handle else TFHUB + handle


@cache
def pages() -> Mapping[str, Page]:
    """Return the page of every known encoder, by its handle."""
    preprocessors = {
        row["handle"]: PreprocessorPage(**row) for table in _data()["preprocessor"] for row in _expanded(table)
    }
    found = [_page(row, preprocessors) for table in _data()["encoder"] for row in _expanded(table)]
    return {page.handle: page for page in found}


@cache
def _data() -> dict[str, Any]:
    return tomllib.loads((HERE / "tfhub.toml").read_text("utf-8"))


def _page(row: dict[str, Any], preprocessors: Mapping[str, PreprocessorPage]) -> Page:
    layers, width, heads = map(int, SHAPE.findall(row["handle"])[0])
    named = {**row, "preprocessor": preprocessors[row["preprocessor"]]}
    return Page(**named, num_hidden_layers=layers, hidden_size=width, num_attention_heads=heads)


def _expanded(table: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Give a table for every combination of its lists, its texts filled with it."""
    axes = {key: values for key, values in table.items() if isinstance(values, list)}
    plain = {key: value for key, value in table.items() if key not in axes}
    for point in product(*axes.values()):
        chosen = dict(zip(axes, point, strict=True))
        yield {key: value.format(**chosen) if isinstance(value, str) else value for key, value in plain.items()}
