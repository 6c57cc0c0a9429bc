"""TF Hub's pages, out of the catalog: for the handle of an encoder, its preprocessor, shape and arithmetic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from wellread.catalog.modules import ModuleEntry, Publication, entries, handles, preprocessors, table
from wellread.errors import HandleError, nearest

TFHUB = "https://tfhub.dev/"
PREPROCESSOR = "it is a preprocessor, which comes with its encoder; name the encoder"


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
    page = pages().get(handle) or pages().get(_whole(handle))
    reason = "" if page else _refused(_whole(handle))
    if reason:
        raise HandleError(
            f"the module {handle} was asked for; found that {reason}; choose another handle"
            f"{nearest(_whole(handle), pages())}"
        )
    return page


def _refused(handle: str) -> str:
    """Say why a handle of the catalog has no page; an empty string where it has one, or is unknown."""
    if handle in preprocessors():
        return PREPROCESSOR
    known = handles().get(handle)
    reasons: dict[str, str] = table("worlds")["interface"]
    return reasons.get(known[1].interface, "") if known else ""


def _whole(handle: str) -> str:
    return handle if "://" in handle else TFHUB + handle


@cache
def pages() -> Mapping[str, Page]:
    """Return the page of every encoder that tensorflow-hub loads from its cache or a folder, by its handle."""
    return {page.handle: page for entry in entries() for page in _pages(entry)}


def _pages(entry: ModuleEntry) -> Iterator[Page]:
    for one in entry.publications:
        if one.format == "saved_model" and one.interface == "dict" and one.world in ("tfhub", "huggingface"):
            yield _page(entry, one)


def _page(entry: ModuleEntry, publication: Publication) -> Page:
    text = preprocessors()[publication.preprocessor or ""]
    return Page(
        handle=publication.handle,
        preprocessor=PreprocessorPage(
            handle=text.handle,
            dialect=text.dialect,
            vocab_size=text.vocabulary.pieces,
            do_lower_case=text.vocabulary.do_lower_case,
        ),
        family=entry.architecture,
        num_hidden_layers=entry.num_hidden_layers,
        hidden_size=entry.hidden_size,
        num_attention_heads=entry.num_attention_heads,
        hidden_act=publication.hidden_act,
        mlm=bool(publication.mlm),
        note=publication.note,
    )
