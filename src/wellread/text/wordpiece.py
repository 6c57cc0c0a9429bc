"""WordPiece (Schuster and Nakajima 2012; Devlin et al. 2018) in the dialects of Hugging Face and of TF Hub."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers

from wellread.config import TokenizerConfig
from wellread.text.ragged import Ragged
from wellread.text.tokenizer import Spans, Tokenizer
from wellread.text.vocabulary import Vocabulary
from wellread.text.words import WordRules

MAX_WORD = 100  # characters; a longer word is unknown
MAX_KNOWN = 1 << 17  # words remembered: about 30 MB
DECODER = decoders.WordPiece(prefix="##")


def load(directory: Path, config: TokenizerConfig) -> Tokenizer:
    """Load the vocabulary from `directory` and build the rules of `config.dialect` around it."""
    vocabulary = Vocabulary.read(directory / str(config.vocab_file), config)
    model = tokenizers.Tokenizer(
        models.WordPiece(vocab=vocabulary.index, unk_token=config.unk_token, max_input_chars_per_word=MAX_WORD)
    )
    engine = (TfHubEngine if config.dialect == "tfhub" else HfEngine).of(model, vocabulary, config)
    return Tokenizer(config=config, vocabulary=vocabulary, engine=engine)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HfEngine:
    """The rules of Hugging Face's BertTokenizer: special tokens in the text count as such."""

    model: tokenizers.Tokenizer

    @classmethod
    def of(cls, model: tokenizers.Tokenizer, vocabulary: Vocabulary, config: TokenizerConfig) -> HfEngine:
        """Put normalisation, words and special tokens before the `model`."""
        model.normalizer = normalizers.BertNormalizer(
            clean_text=True,
            handle_chinese_chars=config.tokenize_chinese_chars,
            strip_accents=config.strip_accents,
            lowercase=config.do_lower_case,
        )
        model.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        special = vocabulary.lookup(asdict(vocabulary.special).values())
        model.add_special_tokens([tokenizers.AddedToken(name, normalized=False, special=True) for name in special])
        return cls(model=model)

    def encode(self, texts: list[str]) -> Ragged:
        """Turn B texts into B rows of ids."""
        return _join([encoding.ids for encoding in self.model.encode_batch_fast(texts, add_special_tokens=False)])

    def spans(self, text: str) -> Spans:
        """Turn one text into ids and tell where they come from."""
        return _spans(self.model.encode(text, add_special_tokens=False))

    def join(self, pieces: list[str]) -> str:
        """Turn pieces into a text."""
        return str(DECODER.decode(pieces))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TfHubEngine:
    """The rules of TF Hub's preprocessors: `WordRules` cut the text, and special tokens in it are mere text.

    Texts share most of their words, so each word goes through the model once and is then remembered.
    """

    model: tokenizers.Tokenizer
    rules: WordRules
    known: dict[str, list[int]]  # word -> ids; only grows, so that threads may share it

    @classmethod
    def of(cls, model: tokenizers.Tokenizer, vocabulary: Vocabulary, config: TokenizerConfig) -> TfHubEngine:
        """Put the rules before the `model`."""
        model.pre_tokenizer = pre_tokenizers.CharDelimiterSplit(" ")
        return cls(model=model, rules=WordRules(lower_case=config.do_lower_case), known={})

    def encode(self, texts: list[str]) -> Ragged:
        """Turn B texts into B rows of ids."""
        rows = [self.rules.cut(text).split(" ") for text in texts]
        ids = self._look_up(set(chain.from_iterable(rows)))
        return _join([list(chain.from_iterable(map(ids.__getitem__, row))) for row in rows])

    def _look_up(self, words: set[str]) -> dict[str, list[int]]:
        """Return the ids of each word; remember those that are new, while there is room."""
        ids = {word: self.known[word] for word in words & self.known.keys()}
        fresh = list(words - ids.keys())
        encodings = self.model.encode_batch_fast(fresh, add_special_tokens=False)
        ids.update(zip(fresh, [encoding.ids for encoding in encodings], strict=True))
        if len(self.known) + len(fresh) <= MAX_KNOWN:
            self.known.update((word, ids[word]) for word in fresh if len(word) <= MAX_WORD)
        return ids

    def spans(self, text: str) -> Spans:
        """Turn one text into ids and tell where they come from."""
        spans = _spans(self.model.encode(self.rules.cut(text), add_special_tokens=False))
        source = self.rules.sources(text)
        return Spans(ids=spans.ids, starts=source[spans.starts], limits=source[spans.limits - 1] + 1)

    def join(self, pieces: list[str]) -> str:
        """Turn pieces into a text."""
        return str(DECODER.decode(pieces))


def _spans(encoding: tokenizers.Encoding) -> Spans:
    places = np.array(encoding.offsets, np.int64).reshape(-1, 2)
    return Spans(ids=np.array(encoding.ids, np.int32), starts=places[:, 0], limits=places[:, 1])


def _join(rows: list[list[int]]) -> Ragged:
    """Put rows of Python ints into one array, in one pass."""
    splits = np.zeros(len(rows) + 1, np.int64)
    np.cumsum([len(row) for row in rows], out=splits[1:])
    return Ragged(values=np.fromiter(chain.from_iterable(rows), np.int32, count=int(splits[-1])), splits=splits)
