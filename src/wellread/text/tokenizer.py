"""What a user holds to turn text into ids and back, whatever the dialect."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from threading import Event
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wellread.config import TokenizerConfig
from wellread.dataclass import dataclass
from wellread.errors import InputError
from wellread.text.batch import Ragged, Template
from wellread.text.texts import as_texts
from wellread.text.vocabulary import SpecialTokens, Vocabulary

# dialect -> the file of this package that implements it
IMPLEMENTATIONS = {"hf": "wordpiece", "tfhub": "wordpiece", "spm": "sentencepiece", "kobert": "kobert", "fast": "fast"}


# The threads of the tokenizers library stay behind in a fork. The library then works without them, and says so on
# standard error in every child unless this variable is set before the fork: it is set for its length, and in the child.
PARALLELISM = "TOKENIZERS_PARALLELISM"
_texts_were_read, _set_for_a_fork = Event(), Event()


def _before_a_fork() -> None:
    if _texts_were_read.is_set() and PARALLELISM not in os.environ:
        os.environ[PARALLELISM] = "false"
        _set_for_a_fork.set()


def _after_a_fork() -> None:
    if _set_for_a_fork.is_set():
        os.environ.pop(PARALLELISM, None)
        _set_for_a_fork.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_a_fork, after_in_parent=_after_a_fork, after_in_child=_set_for_a_fork.clear)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Spans:
    """The T tokens of one text and the characters starts:limits that each comes from."""

    ids: NDArray[np.int32]  # [T]
    starts: NDArray[np.int64]  # [T]
    limits: NDArray[np.int64]  # [T]


def places(offsets: Iterable[tuple[int, int]]) -> NDArray[np.int64]:
    """Return pairs of start and limit as an array [T, 2]; `np.array` takes three times as long."""
    return np.fromiter(chain.from_iterable(offsets), np.int64).reshape(-1, 2)


class Engine(Protocol):
    """What a dialect must be able to do."""

    def encode(self, texts: list[str], limit: int | None = None) -> Ragged:
        """Turn B texts into B rows of ids, of which those behind the first `limit` may be left out."""

    def spans(self, text: str) -> Spans:
        """Turn one text into ids and tell where they come from."""

    def join(self, pieces: list[str]) -> str:
        """Turn pieces into a text."""

    def model_bytes(self) -> bytes:
        """Return the content of the model file that the dialect needs beside the vocabulary; empty if none."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RaggedOffsets:
    """The tokens of B texts and where each stands: the bytes starts:limits of its text in UTF-8.

    In every dialect the offsets point into the text *as it was given*; a token covers the characters it comes from.
    tensorflow-text points into its normalised text and gives an over-long word the limit 5; the two agree on words
    that normalisation leaves in place. The three are of the same splits.
    """

    tokens: Ragged
    starts: Ragged
    limits: Ragged


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tokenizer:
    """Text to ids and back. Lone surrogates, which no UTF-8 can hold, are read as U+FFFD."""

    config: TokenizerConfig
    vocabulary: Vocabulary
    engine: Engine

    def __deepcopy__(self, memo: dict[int, object]) -> Tokenizer:
        """Return itself: nothing of it changes but caches that all may share."""
        return self

    @property
    def vocab_size(self) -> int:
        """The number of ids, V."""
        return len(self.vocabulary)

    @property
    def special(self) -> SpecialTokens:
        """The ids of the special tokens."""
        return self.vocabulary.special

    @property
    def template(self) -> Template:
        """Where the special tokens stand in a row of one text or two."""
        template = self.config.template
        return Template.of(template, self.special, None if isinstance(template, str) else self.vocabulary.index)

    def tokenize(self, texts: Sequence[str], *, limit: int | None = None) -> Ragged:
        """Turn B texts into B rows of ids, without adding special tokens.

        Rows keep their first `limit` ids, all if it is None. Where the native library reads the texts, it reads them
        no further.

        Raises: InputError for a bare string and for rows that are not str.
        """
        _texts_were_read.set()
        rows = self.engine.encode(_checked(texts), limit)
        return rows if limit is None else rows.first(limit)

    def tokenize_with_offsets(self, texts: Sequence[str]) -> RaggedOffsets:
        """Do as `tokenize`, and tell which bytes of its text each token comes from."""
        texts = _checked(texts)
        spans = [self.engine.spans(text) for text in texts]
        bytes_at = [_byte_positions(text) for text in texts]
        return RaggedOffsets(
            tokens=Ragged.from_rows([span.ids for span in spans]),
            starts=Ragged.from_rows([at[span.starts] for at, span in zip(bytes_at, spans, strict=True)]),
            limits=Ragged.from_rows([at[span.limits] for at, span in zip(bytes_at, spans, strict=True)]),
        )

    def pieces(self, ids: Iterable[int]) -> list[str]:
        """Return the piece of each id. Raises: InputError for an id outside the vocabulary."""
        return self.vocabulary.lookup(ids)

    def ids(self, pieces: Iterable[str]) -> list[int]:
        """Return the id of each piece; an unknown one gets the unknown token's."""
        return self.vocabulary.ids(pieces)

    def decode(self, ids: Iterable[int], skip_special_tokens: bool = True) -> str:
        """Join the pieces of `ids` into a text; what normalisation took away does not come back."""
        ids = self.vocabulary.without_special(ids) if skip_special_tokens else ids
        return self.engine.join(self.pieces(ids))

    def model_bytes(self) -> bytes:
        """Return the content of the SentencePiece model or of tokenizer.json; empty for WordPiece, which needs none."""
        return self.engine.model_bytes()

    def get_special_tokens_dict(self) -> dict[str, int]:
        """Return what TF Hub's preprocessors call the special tokens, and the size of the vocabulary.

        A token that the vocabulary does without is left out, as there.
        """
        ids = {
            "vocab_size": self.vocab_size,
            "padding_id": self.special.pad,
            "start_of_sequence_id": self.special.cls,
            "end_of_segment_id": self.special.sep,
            "mask_id": self.special.mask,
        }
        return {name: id for name, id in ids.items() if id is not None}


def load_tokenizer(directory: Path, config: TokenizerConfig) -> Tokenizer:
    """Load the tokenizer that `config` describes from its files in `directory`.

    Raises: TextError for a file that is missing, damaged or lacks a special token.
    """
    implementation = importlib.import_module(f"wellread.text.{IMPLEMENTATIONS[config.dialect]}")
    tokenizer: Tokenizer = implementation.load(Path(directory), config)
    return tokenizer


def _checked(texts: Sequence[str]) -> list[str]:
    if isinstance(texts, str | bytes):
        raise InputError(f"a list of texts was asked for; found one {type(texts).__name__}; wrap it in a list")
    return [text if text.isascii() else whole(text) for text in as_texts(texts)]


def whole(text: str) -> str:
    """Replace lone surrogates; UTF-16 joins those that are pairs."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _byte_positions(text: str) -> NDArray[np.int64]:
    """Return where each character begins in UTF-8, and where the last one ends: int64 [characters + 1]."""
    if text.isascii():
        return np.arange(len(text) + 1)
    codes = np.frombuffer(text.encode("utf-32-le"), "<u4")
    widths = 1 + (codes > 0x7F).astype(np.int64) + (codes > 0x7FF) + (codes > 0xFFFF)
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(widths)])
