"""SentencePiece behind the text rules of KoBertTokenizer, with which DistilKoBERT was made.

The ids are a vocabulary's, as in monologg/kobert, or the model's own, as in skt/kobert-base-v1. Source: the tokenizer
classes KoBertTokenizer, beside the first's weights, and KoBERTTokenizer, in kobert_hf of SKTBrain/KoBERT; the rules of
both go back to XLNet's.
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import numpy as np
import sentencepiece
from numpy.typing import NDArray

from wellread.config import TokenizerConfig
from wellread.dataclass import dataclass
from wellread.text.batch import Ragged
from wellread.text.sentencepiece import SPACE, SentencePieceEngine, load_parts
from wellread.text.tokenizer import Spans, Tokenizer, places
from wellread.text.vocabulary import Vocabulary

UNIT = re.compile(r"\s+|``|''|.", re.DOTALL)  # what the text rules look at, one at a time


def load(directory: Path, config: TokenizerConfig) -> Tokenizer:
    """Load the model, and the vocabulary if `config` names one, from `directory`.

    Raises: TextError for a file that is missing or damaged, or lacks a special token.
    """
    vocabulary, inner = load_parts(directory, config)
    special = vocabulary.lookup(vocabulary.special.ids)
    engine = KoBertEngine(
        inner=inner,
        lower_case=config.do_lower_case,
        special={token: np.array([vocabulary.index[token]], np.int32) for token in special},
        pattern=re.compile("(" + "|".join(map(re.escape, sorted(special, key=len, reverse=True))) + ")"),
        numbers=_numbers(inner.processor, vocabulary),
    )
    return Tokenizer(config=config, vocabulary=vocabulary, engine=engine)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KoBertEngine:
    """Simplified text between special tokens, each stretch of it through SentencePiece by itself."""

    inner: SentencePieceEngine
    lower_case: bool
    special: dict[str, NDArray[np.int32]]  # special token -> its id, [1]
    pattern: re.Pattern[str]  # finds the special tokens
    numbers: dict[int, NDArray[np.int32]]  # the model's id of a piece like "1," -> our ids of its parts

    def encode(self, texts: list[str], limit: int | None = None) -> Ragged:
        """Turn B texts into B rows of ids."""
        rows = [self.pattern.split(text) for text in texts]  # every other part is a special token
        stretches = [self.simplified(part) for row in rows for part in row[::2]]
        encoded = map(self._renumbered, self.inner.processor.encode(stretches, return_type="numpy"))
        return Ragged.from_rows(
            [
                np.concatenate([self.special[part] if i % 2 else next(encoded) for i, part in enumerate(row)])
                for row in rows
            ]
        )

    def spans(self, text: str) -> Spans:
        """Turn one text into ids and tell where they come from."""
        tokens = []
        begin = 0
        for i, part in enumerate(self.pattern.split(text)):
            if i % 2:
                tokens.append((self.special[part], np.array([begin]), np.array([begin + len(part)])))
            else:
                spans = self._spans(part)
                tokens.append((spans.ids, spans.starts + begin, spans.limits + begin))
            begin += len(part)
        ids, starts, limits = map(np.concatenate, zip(*tokens, strict=True))
        return Spans(ids=ids, starts=starts, limits=limits)

    def join(self, pieces: list[str]) -> str:
        """Turn pieces into a text."""
        return self.inner.join(pieces)

    def model_bytes(self) -> bytes:
        """Return the SentencePiece model as its file holds it."""
        return self.inner.model_bytes()

    def simplified(self, text: str) -> str:
        """Collapse white space, straighten quotes, decompose (NFKD), drop combining marks, perhaps lower the case."""
        text = " ".join(text.split()).replace("``", '"').replace("''", '"')
        text = text if text.isascii() else text.translate(UNMARKED)
        return text.lower() if self.lower_case else text

    def _renumbered(self, ids: NDArray[np.int32]) -> NDArray[np.int32]:
        """Turn the model's ids into ours; the comma behind a number becomes a token by itself."""
        ours = self.inner.renumbering[ids]
        if self.numbers.keys().isdisjoint(ids.tolist()):
            return ours
        return np.concatenate([self.numbers.get(id, ours[i : i + 1]) for i, id in enumerate(ids.tolist())])

    def _spans(self, stretch: str) -> Spans:
        """Tell where the tokens of a stretch come from; the parts of a split number share its place."""
        encoding = self.inner.processor.encode(self.simplified(stretch), return_type="offset_mapping")
        parts = [len(self.numbers.get(id, (id,))) for id in encoding["ids"]]
        first, behind = np.repeat(places(encoding["offsets"]), parts, axis=0).T
        starts, limits = _sources(stretch)
        begins = starts[first]
        return Spans(
            ids=self._renumbered(np.array(encoding["ids"], np.int32)),
            starts=begins,
            limits=np.where(behind > first, limits[behind - 1], begins),  # a "▁" that stands for no space is empty
        )


class _Unmarked(dict[int, str]):
    """The decomposition of each code point without combining marks; filled as code points are met."""

    def __missing__(self, code: int) -> str:
        marked = unicodedata.normalize("NFKD", chr(code))
        self[code] = "".join(character for character in marked if not unicodedata.combining(character))
        return self[code]


UNMARKED = _Unmarked()


def _sources(text: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Tell which characters starts:limits of `text` each character of its simplified form comes from; its end last."""
    starts, limits = [], []
    for unit in UNIT.finditer(text, len(text) - len(text.lstrip()), len(text.rstrip())):
        collapsed = len(unit[0]) > 1 or unit[0].isspace()
        width = 1 if collapsed else len(UNMARKED[ord(unit[0])])
        starts += [unit.start()] * width
        limits += [unit.end()] * width
    return np.array([*starts, len(text)]), np.array([*limits, len(text)])


def _numbers(processor: sentencepiece.SentencePieceProcessor, vocabulary: Vocabulary) -> dict[int, NDArray[np.int32]]:
    """Find the pieces that end in a digit and a comma, and the ids of their parts: the number encoded anew, the comma.

    A model holds few such pieces or none, so they are all split beforehand.
    """
    numbers = {}
    for id in range(processor.get_piece_size()):
        piece = processor.id_to_piece(id)
        if piece[-1] == "," and piece[-2:-1].isdigit():
            parts = processor.encode(piece[:-1].replace(SPACE, ""), return_type=str)
            if not piece.startswith(SPACE):
                parts[0] = parts[0].removeprefix(SPACE)
            numbers[id] = np.array(vocabulary.ids([*filter(None, parts), ","]), np.int32)
    return numbers
