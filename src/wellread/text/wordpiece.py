"""WordPiece (Wu et al. 2016) under the text rules of Hugging Face's and of TF Hub's BertTokenizer.

The pipeline of TF Hub's preprocessors is NFKC_Casefold, NFD and the removal of nonspacing marks (for uncased texts);
then control and format characters become spaces, and punctuation and ideographs words by themselves. Each step looks at
one code point at a time, so the whole is a function of the code point. (NFD may also reorder marks; the few that would
still show are in no word that a vocabulary knows.) The tables are read off tensorflow-text by tools/unicode_tables.py.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from functools import cache, lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wellread.config import TokenizerConfig
from wellread.dataclass import dataclass
from wellread.text.batch import Ragged
from wellread.text.lazy import Lazy
from wellread.text.native_wordpiece import NativeWordPiece, WordRules
from wellread.text.tokenizer import Spans, Tokenizer, places
from wellread.text.vocabulary import Vocabulary

if TYPE_CHECKING:  # where the native library serves, most programs never need it
    import tokenizers

TABLES = Path(__file__).parent / "unicode"
MAX_BYTES = 100  # a longer word is unknown
# Words that may be over-long: of four bytes a character, 26 are. Over 100 characters, the WordPiece model refuses them.
MAYBE_LONG = re.compile("[^ ]{26,100}")


def hf_ascii_rules(*, lower_case: bool) -> dict[int, str]:
    """Return what Hugging Face's BertTokenizer makes of each ASCII character: most controls vanish.

    >>> "Well-Read".translate(hf_ascii_rules(lower_case=True)).split(" ")
    ['well', '-', 'read']
    """
    rules = {code: chr(code).lower() if lower_case else chr(code) for code in range(0x20, 0x7F)}
    rules |= {code: f" {chr(code)} " for code in rules if not chr(code).isalnum() and chr(code) != " "}
    return dict.fromkeys((*range(0x20), 0x7F), "") | {ord(space): " " for space in "\t\n\r"} | rules


class TfHubRules(dict[int, str]):
    """What TF Hub's preprocessors make of each code point; filled as code points are met.

    >>> TfHubRules(lower_case=True).cut("Voilà, ½!").split(" ")
    ['voila', ',', '', '1⁄2', '!', '']
    """

    def __init__(self, *, lower_case: bool) -> None:
        super().__init__()
        self.lower_case = lower_case

    def __missing__(self, code: int) -> str:
        folded = _folded(code) if self.lower_case else chr(code)
        self[code] = "".join(map(_spaced, folded))
        return self[code]

    def cut(self, text: str) -> str:
        """Return the words of `text` with spaces between; every character of an over-long word is replaced by NUL."""
        words = text.translate(self)
        # NUL is in no word, for it has become a space
        return (
            words
            if words.isascii()
            else MAYBE_LONG.sub(
                lambda word: word[0] if len(word[0].encode()) <= MAX_BYTES else "\0" * len(word[0]), words
            )
        )

    def sources(self, text: str) -> NDArray[np.int64]:
        """Return, for each character of `cut(text)`, the position in `text` of the character that it comes from."""
        return np.repeat(np.arange(len(text)), [len(self[code]) for code in map(ord, text)])


@lru_cache(maxsize=4096)  # what others decompose into is often the same
def _spaced(character: str) -> str:
    """Put spaces around a character that is a word, or in place of one that only ends a word."""
    if character.isascii():  # English reads no table
        kind = "" if character.isalnum() else "alone" if character.isprintable() and character != " " else "space"
    else:
        run = find_run("words", ord(character))
        kind = run.target[0] if run else ""
    return {"": character, "alone": f" {character} ", "space": " "}[kind]


def _folded(code: int) -> str:
    """Return a code point casefolded, decomposed and without marks."""
    if code < 0x80:
        return chr(code).lower()
    if 0xAC00 <= code < 0xD7A4:  # a Hangul syllable decomposes by arithmetic: Unicode Standard, section 3.12
        leading, rest = divmod(code - 0xAC00, 588)
        vowel, trailing = divmod(rest, 28)
        jamo = chr(0x1100 + leading) + chr(0x1161 + vowel)
        return jamo + chr(0x11A7 + trailing) if trailing else jamo
    run = find_run("fold", code)
    return "".join(chr(int(target, 16) + code - run.first) for target in run.target) if run else chr(code)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Neighbouring code points that share a rule."""

    first: int
    last: int
    target: list[str]  # what the table says of them


@cache
def table(name: str) -> list[Run]:
    """Read runs in the order of their code points: lines of `first-last target ...`, or `first target ...` for one."""
    runs = []
    for line in (TABLES / f"{name}.txt").read_text("ascii").splitlines()[1:]:
        span, *target = line.split()
        first, _, last = span.partition("-")
        runs.append(Run(first=int(first, 16), last=int(last or first, 16), target=target))
    return runs


def find_run(name: str, code: int) -> Run | None:
    """Return the run of a table that holds `code`, if any."""
    runs = table(name)
    position = bisect_right(runs, code, key=lambda run: run.first) - 1
    return runs[position] if position >= 0 and code <= runs[position].last else None


MAX_WORD = 100  # characters; a longer word is unknown
MAX_KNOWN = 1 << 17  # words remembered: about 30 MB


def load(directory: Path, config: TokenizerConfig) -> Tokenizer:
    """Load the vocabulary from `directory` and build the rules of `config.dialect` around it."""
    vocabulary = Vocabulary.read(directory / str(config.vocab_file), config)
    engine = (TfHubEngine if config.dialect == "tfhub" else HfEngine)(config=config, vocabulary=vocabulary)
    return Tokenizer(config=config, vocabulary=vocabulary, engine=engine)


@cache
def decoder() -> Any:
    """Return what joins pieces into a text."""
    from tokenizers import decoders

    return decoders.WordPiece(prefix="##")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WordPieces:
    """The pieces of words. Texts share most of their words, so each is split once and then remembered."""

    model: tokenizers.Tokenizer  # takes words with spaces between
    cache: dict[str, list[int]]  # word -> ids; only grows, so that threads may share it

    @classmethod
    def of(cls, model: Any) -> WordPieces:
        """Begin with an empty cache; `model` is a WordPiece of the tokenizers library."""
        from tokenizers import Tokenizer as Library
        from tokenizers import pre_tokenizers

        tokenizer = Library(model)
        tokenizer.pre_tokenizer = pre_tokenizers.CharDelimiterSplit(" ")
        return cls(model=tokenizer, cache={})

    def encode(self, texts: Iterable[str]) -> list[list[int]]:
        """Turn texts that are cut into words into rows of ids."""
        rows = [text.split(" ") for text in texts]
        words = set(chain.from_iterable(rows))
        ids = {word: self.cache[word] for word in words & self.cache.keys()}
        fresh = list(words - ids.keys())
        encodings = self.model.encode_batch_fast(fresh, add_special_tokens=False)
        ids.update(zip(fresh, [encoding.ids for encoding in encodings], strict=True))
        room = max(0, MAX_KNOWN - len(self.cache))
        self.cache.update((word, ids[word]) for word in fresh[:room] if len(word) <= MAX_WORD)
        return [list(chain.from_iterable(map(ids.__getitem__, row))) for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WordPieceEngine:
    """What both dialects share. Theirs, and all that has no slot here, is made when it is first needed."""

    config: TokenizerConfig
    vocabulary: Vocabulary

    @Lazy
    def library_model(self) -> Any:
        """WordPiece over the vocabulary, in the tokenizers library.

        NUL, which both dialects drop from texts, stands in a word for "over-long": no piece may hold it.
        """
        from tokenizers import models

        vocab = {piece: id for piece, id in self.vocabulary.index.items() if "\0" not in piece}
        return models.WordPiece(vocab=vocab, unk_token=self.config.unk_token, max_input_chars_per_word=MAX_WORD)

    @Lazy
    def pieces(self) -> WordPieces:
        """The pieces of words, where the native library does not serve."""
        return WordPieces.of(self.library_model)

    def join(self, pieces: list[str]) -> str:
        """Turn pieces into a text."""
        return str(decoder().decode(pieces))

    def model_bytes(self) -> bytes:
        """Return nothing: WordPiece needs its vocabulary alone."""
        return b""


class TfHubEngine(WordPieceEngine):
    """The rules of TF Hub's preprocessors: special tokens in the text are mere text."""

    @Lazy
    def rules(self) -> TfHubRules:
        """What becomes of each code point."""
        return TfHubRules(lower_case=self.config.do_lower_case)

    @property
    def word_rules(self) -> WordRules:
        """The rules as data."""
        table = self.rules
        return WordRules(
            cut=lambda characters: [table[ord(character)] for character in characters],
            moves=lambda rule: False,
            special=(),
            longest=MAX_BYTES,
            in_bytes=True,
        )

    @Lazy
    def native(self) -> NativeWordPiece | None:
        """The native library with these rules, where it is there."""
        return NativeWordPiece.of(self.vocabulary.pieces, self.word_rules, unknown=self.vocabulary.special.unk)

    def encode(self, texts: list[str], limit: int | None = None) -> Ragged:
        """Turn B texts into B rows of ids."""
        native = self.native
        return self._encode(texts) if native is None else native.encode(texts, self._encode, limit)

    def _encode(self, texts: list[str]) -> Ragged:
        return ragged_of(self.pieces.encode(map(self.rules.cut, texts)))

    def spans(self, text: str) -> Spans:
        """Turn one text into ids and tell where they come from."""
        spans = _spans(self.pieces.model.encode(self.rules.cut(text), add_special_tokens=False))
        source = self.rules.sources(text)
        return Spans(ids=spans.ids, starts=source[spans.starts], limits=source[spans.limits - 1] + 1)


class HfEngine(WordPieceEngine):
    """The rules of Hugging Face's BertTokenizer: special tokens in the text count as such.

    Its own implementation takes any text, and says what the native library makes of each code point. Without that,
    ASCII without special tokens has few rules, and words that were met before are remembered.
    """

    @Lazy
    def special(self) -> list[str]:
        """The special tokens."""
        return self.vocabulary.lookup(self.vocabulary.special.ids)

    @Lazy
    def ascii_rules(self) -> dict[int, str]:
        """What becomes of each ASCII character."""
        return hf_ascii_rules(lower_case=self.config.do_lower_case)

    @Lazy
    def full(self) -> tokenizers.Tokenizer:
        """Hugging Face's own implementation."""
        from tokenizers import AddedToken, pre_tokenizers
        from tokenizers import Tokenizer as Library

        full = Library(self.library_model)
        full.normalizer, full.pre_tokenizer = bert_normalizer(self.config), pre_tokenizers.BertPreTokenizer()
        full.add_special_tokens([AddedToken(name, normalized=False, special=True) for name in self.special])
        return full

    @property
    def word_rules(self) -> WordRules:
        """The rules as data."""
        strips = self.config.strip_accents
        return WordRules(
            cut=partial(_cut_as_bert, self.config),
            moves=moves if (self.config.do_lower_case if strips is None else strips) else lambda rule: False,
            special=self.special,
            longest=MAX_WORD,
            in_bytes=False,
        )

    @Lazy
    def native(self) -> NativeWordPiece | None:
        """The native library with these rules, where it is there."""
        return NativeWordPiece.of(self.vocabulary.pieces, self.word_rules, unknown=self.vocabulary.special.unk)

    def encode(self, texts: list[str], limit: int | None = None) -> Ragged:
        """Turn B texts into B rows of ids."""
        native = self.native
        return self._encode(texts) if native is None else native.encode(texts, self._encode, limit)

    def _encode(self, texts: list[str]) -> Ragged:
        special = re.compile("|".join(map(re.escape, self.special)))
        simple = [text.isascii() and not special.search(text) for text in texts]
        pairs = list(zip(texts, simple, strict=True))
        words = iter(self.pieces.encode([text.translate(self.ascii_rules) for text, yes in pairs if yes]))
        others = self.full.encode_batch_fast([text for text, yes in pairs if not yes], add_special_tokens=False)
        rest = iter([encoding.ids for encoding in others])
        return ragged_of([next(words if yes else rest) for yes in simple])

    def spans(self, text: str) -> Spans:
        """Turn one text into ids and tell where they come from."""
        return _spans(self.full.encode(text, add_special_tokens=False))


def bert_normalizer(config: TokenizerConfig) -> Any:
    """Return what Hugging Face's own implementation does to characters."""
    from tokenizers import normalizers

    return normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=config.tokenize_chinese_chars,
        strip_accents=config.strip_accents,
        lowercase=config.do_lower_case,
    )


def _cut_as_bert(config: TokenizerConfig, characters: str) -> list[str]:
    if characters.isascii():  # English needs no tokenizers library
        rules = hf_ascii_rules(lower_case=config.do_lower_case)
        return [rules[ord(character)] for character in characters]
    return cut_characters(characters, bert_normalizer(config))


def cut_characters(characters: str, normalizer: Any) -> list[str]:
    """Return what a normalizer of the tokenizers library, and its BertPreTokenizer, make of each character by itself.

    >>> from tokenizers.normalizers import BertNormalizer
    >>> cut_characters("É,\u4e00\u00a0\u0301\u200b", BertNormalizer())
    ['e', ' , ', ' 一 ', ' ', '', '']
    """
    return [
        # surrogates are in no text, and the library does not take them
        "" if "\ud800" <= character < "\ue000" else "".join(map(_cut_normalized, normalizer.normalize_str(character)))
        for character in characters
    ]


@lru_cache(maxsize=4096)  # what others decompose into is often the same
def _cut_normalized(character: str) -> str:
    from tokenizers import pre_tokenizers

    words = pre_tokenizers.BertPreTokenizer().pre_tokenize_str(f"a{character}a")
    return " ".join(word for word, _ in words)[1:-1]


def moves(rule: str) -> bool:
    """Say whether a part of a word holds characters that canonical decomposition moves behind others.

    >>> moves("e\u302e"), moves("e한")
    (True, False)
    """
    return not rule.isascii() and any(map(_moves, rule))


@lru_cache(maxsize=4096)
def _moves(character: str) -> bool:
    from tokenizers import normalizers

    marked = f"\u0345{character}"  # a mark that goes behind all that move
    return bool(normalizers.NFD().normalize_str(marked)[0] != marked[0])


def _spans(encoding: tokenizers.Encoding) -> Spans:
    starts, limits = places(encoding.offsets).T
    return Spans(ids=np.array(encoding.ids, np.int32), starts=starts, limits=limits)


def ragged_of(rows: list[list[int]]) -> Ragged:
    """Put rows of Python ints into one array, in one pass."""
    splits = np.zeros(len(rows) + 1, np.int64)
    np.cumsum([len(row) for row in rows], out=splits[1:])
    return Ragged(values=np.fromiter(chain.from_iterable(rows), np.int32, count=int(splits[-1])), splits=splits)
