"""WordPiece (Schuster and Nakajima 2012; Devlin et al. 2018) in the dialects of Hugging Face and of TF Hub."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers

from wellread.config import TokenizerConfig
from wellread.text.ragged import Ragged
from wellread.text.tokenizer import Spans, Tokenizer, places
from wellread.text.vocabulary import Vocabulary
from wellread.text.words import TfHubRules, hf_ascii_rules

MAX_WORD = 100  # characters; a longer word is unknown
MAX_KNOWN = 1 << 17  # words remembered: about 30 MB
DECODER = decoders.WordPiece(prefix="##")


def load(directory: Path, config: TokenizerConfig) -> Tokenizer:
    """Load the vocabulary from `directory` and build the rules of `config.dialect` around it."""
    vocabulary = Vocabulary.read(directory / str(config.vocab_file), config)
    model = models.WordPiece(vocab=vocabulary.index, unk_token=config.unk_token, max_input_chars_per_word=MAX_WORD)
    pieces = WordPieces.of(model)
    if config.dialect == "tfhub":
        engine: TfHubEngine | HfEngine = TfHubEngine(pieces=pieces, rules=TfHubRules(lower_case=config.do_lower_case))
    else:
        special = vocabulary.lookup(asdict(vocabulary.special).values())
        engine = HfEngine(
            pieces=pieces,
            ascii_rules=hf_ascii_rules(lower_case=config.do_lower_case),
            special=re.compile("|".join(map(re.escape, special))),
            full=_bert_tokenizer(model, special, config),
        )
    return Tokenizer(config=config, vocabulary=vocabulary, engine=engine)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WordPieces:
    """The pieces of words. Texts share most of their words, so each is split once and then remembered."""

    model: tokenizers.Tokenizer  # takes words with spaces between
    known: dict[str, list[int]]  # word -> ids; only grows, so that threads may share it

    @classmethod
    def of(cls, model: models.WordPiece) -> WordPieces:
        """Begin with no word known."""
        tokenizer = tokenizers.Tokenizer(model)
        tokenizer.pre_tokenizer = pre_tokenizers.CharDelimiterSplit(" ")
        return cls(model=tokenizer, known={})

    def encode(self, texts: Iterable[str]) -> list[list[int]]:
        """Turn texts that are cut into words into rows of ids."""
        rows = [text.split(" ") for text in texts]
        ids = self._look_up(set(chain.from_iterable(rows)))
        return [list(chain.from_iterable(map(ids.__getitem__, row))) for row in rows]

    def _look_up(self, words: set[str]) -> dict[str, list[int]]:
        """Return the ids of each word; remember those that are new, while there is room."""
        ids = {word: self.known[word] for word in words & self.known.keys()}
        fresh = list(words - ids.keys())
        encodings = self.model.encode_batch_fast(fresh, add_special_tokens=False)
        ids.update(zip(fresh, [encoding.ids for encoding in encodings], strict=True))
        room = max(0, MAX_KNOWN - len(self.known))
        self.known.update((word, ids[word]) for word in fresh[:room] if len(word) <= MAX_WORD)
        return ids


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TfHubEngine:
    """The rules of TF Hub's preprocessors: special tokens in the text are mere text."""

    pieces: WordPieces
    rules: TfHubRules

    def encode(self, texts: list[str]) -> Ragged:
        """Turn B texts into B rows of ids."""
        return _ragged(self.pieces.encode(map(self.rules.cut, texts)))

    def spans(self, text: str) -> Spans:
        """Turn one text into ids and tell where they come from."""
        spans = _spans(self.pieces.model.encode(self.rules.cut(text), add_special_tokens=False))
        source = self.rules.sources(text)
        return Spans(ids=spans.ids, starts=source[spans.starts], limits=source[spans.limits - 1] + 1)

    def join(self, pieces: list[str]) -> str:
        """Turn pieces into a text."""
        return str(DECODER.decode(pieces))

    def model_bytes(self) -> bytes:
        """Return nothing: WordPiece needs its vocabulary alone."""
        return b""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HfEngine:
    """The rules of Hugging Face's BertTokenizer: special tokens in the text count as such.

    Its own implementation takes any text. On ASCII without special tokens the rules are few, and known words faster.
    """

    pieces: WordPieces
    ascii_rules: dict[int, str]
    special: re.Pattern[str]
    full: tokenizers.Tokenizer

    def encode(self, texts: list[str]) -> Ragged:
        """Turn B texts into B rows of ids."""
        simple = [text.isascii() and not self.special.search(text) for text in texts]
        chosen = list(zip(texts, simple, strict=True))
        words = iter(self.pieces.encode([text.translate(self.ascii_rules) for text, yes in chosen if yes]))
        others = self.full.encode_batch_fast([text for text, yes in chosen if not yes], add_special_tokens=False)
        rest = iter([encoding.ids for encoding in others])
        return _ragged([next(words if yes else rest) for yes in simple])

    def spans(self, text: str) -> Spans:
        """Turn one text into ids and tell where they come from."""
        return _spans(self.full.encode(text, add_special_tokens=False))

    def join(self, pieces: list[str]) -> str:
        """Turn pieces into a text."""
        return str(DECODER.decode(pieces))

    def model_bytes(self) -> bytes:
        """Return nothing: WordPiece needs its vocabulary alone."""
        return b""


def _bert_tokenizer(model: models.WordPiece, special: list[str], config: TokenizerConfig) -> tokenizers.Tokenizer:
    """Build Hugging Face's own implementation."""
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=config.tokenize_chinese_chars,
        strip_accents=config.strip_accents,
        lowercase=config.do_lower_case,
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens([tokenizers.AddedToken(name, normalized=False, special=True) for name in special])
    return tokenizer


def _spans(encoding: tokenizers.Encoding) -> Spans:
    starts, limits = places(encoding.offsets).T
    return Spans(ids=np.array(encoding.ids, np.int32), starts=starts, limits=limits)


def _ragged(rows: list[list[int]]) -> Ragged:
    """Put rows of Python ints into one array, in one pass."""
    splits = np.zeros(len(rows) + 1, np.int64)
    np.cumsum([len(row) for row in rows], out=splits[1:])
    return Ragged(values=np.fromiter(chain.from_iterable(rows), np.int32, count=int(splits[-1])), splits=splits)
