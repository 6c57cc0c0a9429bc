"""SentencePiece behind the text rules of KoBertTokenizer, with which DistilKoBERT was made.

Source: the tokenizer class beside the weights of monologg/kobert, whose rules go back to XLNet's.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import sentencepiece
from numpy.typing import NDArray

from wellread.config import TokenizerConfig
from wellread.text import sentencepiece as plain
from wellread.text.ragged import Ragged
from wellread.text.sentencepiece import SPACE, SentencePieceEngine
from wellread.text.tokenizer import Spans, Tokenizer
from wellread.text.vocabulary import Vocabulary

QUOTES = ("``", "''")  # TeX's, both read as "
UNIT = re.compile(r"\s+|``|''|.", re.DOTALL)  # what the text rules look at, one at a time


def load(directory: Path, config: TokenizerConfig) -> Tokenizer:
    """Load the model and the vocabulary from `directory`.

    Raises: TextError for a file that is missing or damaged, or lacks a special token.
    """
    tokenizer = plain.load(directory, config)
    inner, vocabulary = tokenizer.engine, tokenizer.vocabulary
    assert isinstance(inner, SentencePieceEngine)
    special = vocabulary.lookup(asdict(vocabulary.special).values())
    engine = KoBertEngine(
        inner=inner,
        lower_case=config.do_lower_case,
        special={token: np.array([vocabulary.index[token]], np.int32) for token in special},
        pattern=re.compile("(" + "|".join(map(re.escape, sorted(special, key=len, reverse=True))) + ")"),
        numbers=_numbers(inner.processor, vocabulary),
    )
    return replace(tokenizer, engine=engine)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KoBertEngine:
    """Simplified text between special tokens, each stretch of it through SentencePiece by itself."""

    inner: SentencePieceEngine
    lower_case: bool
    special: dict[str, NDArray[np.int32]]  # special token -> its id, [1]
    pattern: re.Pattern[str]  # finds the special tokens
    numbers: dict[int, Spans]  # the model's id of a number with a comma -> its parts, with places counted from its end

    def encode(self, texts: list[str]) -> Ragged:
        """Turn B texts into B rows of ids."""
        rows = [self.pattern.split(text) for text in texts]  # every other part is a special token
        stretches = [self._simplified(part) for row in rows for part in row[::2]]
        encoded = map(self._renumbered, self.inner.processor.encode(stretches, return_type="numpy"))
        return Ragged.from_rows(
            [
                np.concatenate([self.special[part] if number % 2 else next(encoded) for number, part in enumerate(row)])
                for row in rows
            ]
        )

    def spans(self, text: str) -> Spans:
        """Turn one text into ids and tell where they come from."""
        found = []
        begin = 0
        for number, part in enumerate(self.pattern.split(text)):
            found.append(self._special_span(part) if number % 2 else self._spans(part))
            found[-1] = replace(found[-1], starts=found[-1].starts + begin, limits=found[-1].limits + begin)
            begin += len(part)
        return _concatenated(found)

    def join(self, pieces: list[str]) -> str:
        """Turn pieces into a text."""
        return self.inner.join(pieces)

    def _simplified(self, text: str) -> str:
        """Collapse white space, straighten quotes, decompose (NFKD) and drop combining marks, perhaps lower the case."""
        text = " ".join(text.split())
        for quote in QUOTES:
            text = text.replace(quote, '"')
        text = text if text.isascii() else text.translate(UNMARKED)
        return text.lower() if self.lower_case else text

    def _renumbered(self, ids: NDArray[np.int32]) -> NDArray[np.int32]:
        """Turn the model's ids into ours, the comma behind a number into a piece by itself."""
        ours = self.inner.renumbering[ids]
        if self.numbers.keys().isdisjoint(ids.tolist()):
            return ours
        return np.concatenate(
            [self.numbers[id].ids if id in self.numbers else ours[i : i + 1] for i, id in enumerate(ids.tolist())]
        )

    def _special_span(self, token: str) -> Spans:
        return Spans(ids=self.special[token], starts=np.zeros(1, np.int64), limits=np.array([len(token)]))

    def _spans(self, stretch: str) -> Spans:
        """Tell where the tokens of a text without special tokens come from."""
        simple = self.inner.processor.encode(self._simplified(stretch), return_type="offset_mapping")
        spans = []
        for id, (start, limit) in zip(simple["ids"], simple["offsets"], strict=True):
            if id in self.numbers:
                number = self.numbers[id]
                begins = np.maximum(number.starts + limit, start)
                spans.append(Spans(ids=number.ids, starts=begins, limits=number.limits + limit))
            else:
                ours = self.inner.renumbering[id : id + 1]
                spans.append(Spans(ids=ours, starts=np.array([start]), limits=np.array([limit])))
        found = _concatenated(spans)
        source = _sources(stretch)
        starts = source.starts[found.starts]
        limits = np.where(found.limits > found.starts, source.limits[found.limits - 1], starts)
        return Spans(ids=found.ids, starts=starts, limits=limits)
