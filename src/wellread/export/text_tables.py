"""A tokenizer's rules as tables of whole numbers, which the nodes of a graph look up: what `text_graph` is built from.

Texts are rows of characters. Each character has a *class*; characters of one class are treated alike. A class becomes
*symbols*: letters that pieces are made of, spaces, ends. What a class becomes is read off the tokenizer itself, a
character at a time, so its tables are those of whoever made it, in the release that is installed.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wellread.errors import ExportError
from wellread.formats.sentencepiece_model import NORMAL, UNUSED, read_charsmap, read_sentencepiece
from wellread.text.fast import FastEngine
from wellread.text.kobert import UNMARKED, KoBertEngine
from wellread.text.native_wordpiece import WordRules
from wellread.text.sentencepiece import SPACE as META
from wellread.text.sentencepiece import SentencePieceEngine
from wellread.text.tokenizer import Tokenizer
from wellread.text.vocabulary import WHITE_SPACE
from wellread.text.wordpiece import WordPieceEngine

END, BLANK, MARK = 0, 1, 2  # symbols: the end of a text, a space, the "▁" of SentencePiece
LETTER, SPACE, BOUNDARY = 0, 1, 2  # kinds of symbols
UNKNOWN_PENALTY = 10.0  # how far an unknown character scores below the least piece, in both libraries
TAGS = range(0xE0000, 0xE0200)  # tags, and selectors of variants
# Code points that are asked one by one. Behind them lie ideographs, private use and nothing: three of a block, and
# characters of pieces, stand for all.
CODES = [code for code in (*range(0x20000), *TAGS) if not 0xD800 <= code < 0xE000]
FAR = [range(first, first + 256) for first in range(0x20000, 0x40000, 256)]
FAR += [range(first, first + 4096) for first in range(0x40000, 0x110000, 4096) if first != TAGS.start]
FAR += [range(TAGS.stop, TAGS.start + 4096)]
PRIVATE = 0xF0000  # from here on all is private use, which would take a megabyte
QUOTES = ("``", "''")  # what KoBertTokenizer makes straight quotes of
CLUSTER = 6  # bytes: of a shorter cluster of characters, the tokenizers library normalises all together
MARKS = "marks and joiners behind a character, all of less than 6 bytes, unless normalisation joins just two"
MOVED = "marks that normalisation may put in another order"
BEYOND = "private use in planes 15 and 16"
SIGMAS = ("Σ",)
SIGMA = "a capital sigma, whose small letter depends on its place in the word"
INSTEAD = "export without the tokenizer: the graph takes ids then, and tokenizer.json stands beside it"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trie:
    """Strings of whole numbers, each with a value; `roots` of them, numbered from 0."""

    width: int  # every number is below
    edges: Mapping[int, int]  # node * width + number -> node
    values: NDArray[np.int64]  # [nodes + 1], of the string that ends there, else -1; the last stands for no node
    longest: int

    @classmethod
    def of(cls, *groups: Iterable[tuple[Sequence[int], int]], width: int) -> Trie:
        """Build one from strings and values, a root for each group; of a string that stands twice the last holds.

        >>> trie = Trie.of([((1, 2), 7)], [((2,), 8)], width=3)
        >>> trie.edges, trie.values.tolist(), trie.longest
        ({1: 2, 8: 3, 5: 4}, [-1, -1, -1, 7, 8, -1], 2)
        """
        edges: dict[int, int] = {}
        values = [-1] * len(groups)
        longest = 0
        for root, group in enumerate(groups):
            for string, value in group:
                node = root
                for number in string:
                    node = edges.setdefault(node * width + number, len(values))
                    if node == len(values):
                        values.append(-1)
                if string:
                    values[node] = value
                longest = max(longest, len(string))
        return cls(width=width, edges=edges, values=np.array([*values, -1], np.int64), longest=longest)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Expansion:
    """What each of some numbers becomes: none, one or several others."""

    lengths: NDArray[np.int64]
    values: NDArray[np.int64]  # one behind the other

    @classmethod
    def of(cls, rows: Iterable[Sequence[int]]) -> Expansion:
        """Join rows.

        >>> Expansion.of([(3,), (), (4, 5)]).lengths.tolist()
        [1, 0, 2]
        """
        rows = list(rows)
        lengths = np.array([len(row) for row in rows], np.int64)
        return cls(lengths=lengths, values=np.array([number for row in rows for number in row], np.int64))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WordTables:
    """WordPiece: how words are cut."""

    pieces: Trie  # root 0: of a word's beginning; root 1: of its inside
    sizes: NDArray[np.int64]  # of each symbol: what it counts towards `longest`
    longest: int  # a longer word is unknown


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScoreTables:
    """Unigram: the scores of pieces, and what stands between characters and pieces."""

    pieces: Trie
    scores: NDArray[np.floating]  # [pieces + 2], in the libraries' own precision; of an unknown character, of none
    ids: NDArray[np.int64]  # [pieces + 2]
    sequences: Trie | None  # of symbols that are replaced together, the longest first
    replacements: Expansion  # what they become, and behind them what each symbol does by itself
    words: bool  # each word is cut by itself, a "▁" before it; else the whole text is
    dummy_prefix: bool  # a "▁" stands before a text
    split: Expansion | None  # pieces that become several ids; behind them what each id becomes, itself


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TextTables:
    """All that a graph needs to make ids of texts."""

    characters: Mapping[str, int]  # character -> class, where it is not `default`
    default: int  # the class of all other characters
    tokens: Trie | None  # over classes: strings found whole in a text, and the class that stands for each
    classes: Expansion  # class -> symbols
    kinds: NDArray[np.int64]  # of each symbol
    special: NDArray[np.int64]  # of each symbol: the id of a special token, or -1
    unknown: int
    model: WordTables | ScoreTables
    refused: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # why -> characters whose ids may differ


class Alphabet:
    """Symbols of characters, numbered as they are asked for; letters of no piece share one for each size in UTF-8."""

    def __init__(self, pieces: Iterable[str], special: Sequence[str]) -> None:
        """Give a symbol to each character of a piece, and to each special token."""
        self.special = {token: MARK + 1 + i for i, token in enumerate(special)}
        self.strangers = MARK + len(special)  # + 1 to 4, the size
        letters = sorted(set("".join(pieces)) - {META})
        first = self.strangers + 5
        self.letters = {letter: first + i for i, letter in enumerate(letters)} | {META: MARK}
        self.apart: dict[str, int] = {}  # characters that other rules look at first

    def letter(self, character: str) -> int:
        """Return the symbol of a letter."""
        return self.letters.get(character) or self.strangers + len(character.encode("utf-8"))

    def set_apart(self, characters: Iterable[str]) -> None:
        """Give characters symbols of their own, beside those of letters."""
        first = self.strangers + 4 + len(self.letters)
        self.apart = {character: first + i for i, character in enumerate(sorted(characters))}

    def __len__(self) -> int:
        return self.strangers + 4 + len(self.letters) + len(self.apart)

    def kinds(self) -> NDArray[np.int64]:
        """Return the kind of each symbol."""
        kinds = np.full(len(self), LETTER, np.int64)
        kinds[[END, *self.special.values()]] = BOUNDARY
        kinds[BLANK] = SPACE
        return kinds

    def ids(self, ids: Mapping[str, int]) -> NDArray[np.int64]:
        """Return the ids of the symbols that are special tokens."""
        special = np.full(len(self), -1, np.int64)
        for token, symbol in self.special.items():
            special[symbol] = ids[token]
        return special

    def sizes(self, *, in_bytes: bool) -> NDArray[np.int64]:
        """Return what each symbol counts: characters, or bytes of UTF-8."""
        sizes = np.ones(len(self), np.int64)
        if in_bytes:
            sizes[self.strangers + 1 : self.strangers + 5] = range(1, 5)
            for letter, symbol in self.letters.items():
                sizes[symbol] = len(letter.encode("utf-8"))
        return sizes


def text_tables(tokenizer: Tokenizer) -> TextTables:
    """Read the tables of a tokenizer. Raises: ExportError for rules that no graph of ours computes."""
    engine = tokenizer.engine
    if isinstance(engine, WordPieceEngine | FastEngine) and (rules := engine.word_rules) is not None:
        return _of_words(tokenizer, rules)
    if isinstance(engine, FastEngine):
        return _of_library(tokenizer, engine)
    if isinstance(engine, SentencePieceEngine | KoBertEngine):
        return _of_sentencepiece(tokenizer, engine)
    raise _refusal(type(engine).__name__)


def _refusal(found: str) -> ExportError:
    return ExportError(
        f"the tokenizer was to go into the graph; found {found}, which no graph of wellread's computes; {INSTEAD}"
    )


# -- characters and whole tokens -------------------------------------------------------------------------------------


class Classes:
    """Classes of characters, numbered as they are met; class 0 is the end of a text."""

    def __init__(
        self, found: Sequence[str], letters: Iterable[str], becomes: Callable[[str], list[tuple[int, ...]]]
    ) -> None:
        """Class all characters by the symbols that `becomes` names; `letters` are those of pieces.

        `found` are strings that are found whole: their characters have classes of their own.
        """
        self.rows: list[tuple[int, ...]] = [(END,)]
        own = set("".join(found))
        numbers: dict[tuple[tuple[int, ...], str], int] = {((END,), ""): 0}
        members: list[tuple[int, Sequence[int]]] = []  # class and code points
        for codes, row in _rows_of(becomes, own | set(letters)):
            key = (row, character if len(codes) == 1 and (character := chr(codes[0])) in own else "")
            if (number := numbers.setdefault(key, len(self.rows))) == len(self.rows):
                self.rows.append(row)
            members.append((number, codes))
        sizes: Counter[int] = Counter()
        for number, codes in members:
            sizes[number] += len(codes)
        self.default = sizes.most_common(1)[0][0]
        different = [(number, codes) for number, codes in members if number != self.default]
        self.characters = {chr(code): number for number, codes in different if codes[0] < PRIVATE for code in codes}
        self.private = tuple(chr(code) for _, codes in different if codes[0] >= PRIVATE for code in codes)

    def add(self, row: tuple[int, ...]) -> int:
        """Add a class of no character."""
        self.rows.append(row)
        return len(self.rows) - 1

    def string(self, text: str) -> list[int]:
        """Return the classes of a text's characters."""
        return [self.characters.get(character, self.default) for character in text]

    def tokens(self, found: Mapping[str, tuple[int, ...]]) -> Trie | None:
        """Return the strings that are found whole, and add a class for what each becomes."""
        if not found:
            return None
        strings = [(self.string(text), self.add(row)) for text, row in found.items()]
        return Trie.of(strings, width=len(self.rows))


def _rows_of(
    becomes: Callable[[str], list[tuple[int, ...]]], known: Iterable[str]
) -> Iterator[tuple[Sequence[int], tuple[int, ...]]]:
    """Give code points and what they become: one by one, and far blocks whose ends and middle agree whole."""
    far = {ord(character) for character in known} - {*CODES}
    asked = [*CODES, *sorted(far)]
    yield from zip(((code,) for code in asked), becomes("".join(map(chr, asked))), strict=True)
    for block in FAR:
        codes = [code for code in block if code not in far] if far and far.intersection(block) else block
        some = becomes("".join(map(chr, (block[0], block[len(block) // 2], block[-1]))))
        if len(set(some)) == 1:
            yield codes, some[0]
        else:
            yield from zip(((code,) for code in codes), becomes("".join(map(chr, codes))), strict=True)


# -- WordPiece -------------------------------------------------------------------------------------------------------


def _of_words(tokenizer: Tokenizer, rules: WordRules) -> TextTables:
    """Return the tables of WordPiece behind the rules of a dialect."""
    engine = tokenizer.engine
    if isinstance(engine, FastEngine):
        pieces = dict(engine.library.get_vocab(with_added_tokens=False))
        unknown = pieces.get(engine.library.model.unk_token)
        every = engine.library.get_vocab(with_added_tokens=True)
        ids = {token: every[token] for token in rules.special}
    else:
        pieces, unknown = dict(tokenizer.vocabulary.index), tokenizer.special.unk
        ids = {token: pieces[token] for token in rules.special}
    if unknown is None:
        raise _refusal("WordPiece without a token for unknown words")
    pieces.pop("", None)
    alphabet = Alphabet(pieces, rules.special)

    def becomes(characters: str) -> list[tuple[int, ...]]:
        memory: dict[str, tuple[int, ...]] = {}
        for rule in set(rows := rules.cut(characters)):
            memory[rule] = tuple(BLANK if letter == " " else alphabet.letter(letter) for letter in rule)
        odd = ((c, rule) for c, rule in zip(characters, rows, strict=True) if not rule.strip().isalnum())
        moved.extend(c for c, rule in odd if rules.moves(rule))  # letters and digits never move
        return [memory[rule] for rule in rows]

    moved: list[str] = []
    classes = Classes(rules.special, alphabet.letters, becomes)
    tokens = classes.tokens({token: (BLANK, symbol, BLANK) for token, symbol in alphabet.special.items()})
    whole = [((symbol,), ids[token]) for token, symbol in alphabet.special.items()]
    letters = [([alphabet.letters[letter] for letter in piece], id) for piece, id in pieces.items()]
    inside = [(string[2:], id) for (string, id), piece in zip(letters, pieces, strict=True) if piece.startswith("##")]
    model = WordTables(
        pieces=Trie.of([*letters, *whole], inside, width=len(alphabet)),
        sizes=alphabet.sizes(in_bytes=rules.in_bytes),
        longest=rules.longest,
    )
    return TextTables(
        characters=classes.characters,
        default=classes.default,
        tokens=tokens,
        classes=Expansion.of(classes.rows),
        kinds=np.where(alphabet.kinds() == SPACE, SPACE, np.where(np.arange(len(alphabet)) == END, BOUNDARY, LETTER)),
        special=np.full(len(alphabet), -1, np.int64),
        unknown=unknown,
        model=model,
        refused=_some({MOVED: tuple(moved), BEYOND: classes.private}),
    )


# -- Unigram ---------------------------------------------------------------------------------------------------------


def _of_library(tokenizer: Tokenizer, engine: FastEngine) -> TextTables:
    """Return the tables of a Unigram of the tokenizers library that cuts texts at white space."""
    state = json.loads(engine.library.to_str())
    model, added = state["model"], state["added_tokens"]
    normalizing = _steps(state["normalizer"], "normalizers")
    steps = [step["type"] for step in normalizing]
    cuts = [(s["type"], s.get("prepend_scheme")) for s in _steps(state["pre_tokenizer"], "pretokenizers")]
    faults = [
        *([f"a model of the kind {engine.model}"] if engine.model != "Unigram" else []),
        *(["byte fallback"] if model.get("byte_fallback") else []),
        *(["no token for unknown characters"] if model.get("unk_id") is None else []),
        *([f"the normaliser {step}" for step in steps if step not in ("Precompiled", "Lowercase")]),
        *([f"the pre-tokenizer {cuts}"] if cuts != [("WhitespaceSplit", None), ("Metaspace", "always")] else []),
        *(["added tokens that are found within normalised text"] if any(t["normalized"] for t in added) else []),
        *(["added tokens that must be words"] if any(t["single_word"] for t in added) else []),
    ]
    if faults:
        raise _refusal(", ".join(faults))
    pieces = {piece: (id, score) for id, (piece, score) in enumerate(model["vocab"])}
    special = {token["content"]: token["id"] for token in added}
    alphabet = Alphabet(pieces, list(special))
    rules = engine.library.normalizer

    def becomes_together(text: str) -> tuple[int, ...]:
        normal = rules.normalize_str(text) if rules else text
        return tuple(BLANK if letter in WHITE_SPACE else alphabet.letter(letter) for letter in normal)

    maps = [base64.b64decode(step["precompiled_charsmap"]) for step in normalizing if step["type"] == "Precompiled"]
    replaced = [key for charsmap in maps for key in read_charsmap(charsmap)]
    clusters = [key for key in replaced if len(key) > 1 and len(key.encode("utf-8")) < CLUSTER]
    found = dict(zip(clusters, map(becomes_together, clusters), strict=True))
    classes = Classes([*special, *found], alphabet.letters, lambda characters: list(map(becomes_together, characters)))
    whole = {token: (symbol,) for token, symbol in alphabet.special.items()}
    scores = [score for _, score in pieces.values()]
    return _of_scores(
        alphabet,
        classes,
        classes.tokens({**found, **whole}),
        special,
        unknown=model["unk_id"],
        model=ScoreTables(
            pieces=_letters(alphabet, pieces),
            scores=np.array([*scores, min(scores) - UNKNOWN_PENALTY, -np.inf], np.float64),
            ids=np.array([*(id for id, _ in pieces.values()), model["unk_id"], -1], np.int64),
            sequences=None,
            replacements=Expansion.of([]),
            words=True,
            dummy_prefix=True,
            split=None,
        ),
        refused=_some({MARKS: _joining(rules, replaced), BEYOND: classes.private}),
    )


def _steps(state: dict[str, Any] | None, key: str) -> list[dict[str, Any]]:
    """Return the steps of a part of a tokenizer.json: those of a sequence, or the only one."""
    return [] if state is None else state.get(key, [state])


def _of_sentencepiece(tokenizer: Tokenizer, engine: SentencePieceEngine | KoBertEngine) -> TextTables:
    """Return the tables of a SentencePiece model, as it is or behind the rules of KoBertTokenizer."""
    kobert = engine if isinstance(engine, KoBertEngine) else None
    inner = engine.inner if isinstance(engine, KoBertEngine) else engine
    model = read_sentencepiece(inner.model_bytes())
    faults = [
        *model.faults,
        *(["symbols that a user defined"] if model.symbols else []),
        *(["repeated spaces left as they are"] if not model.collapses_spaces else []),
        *(["no token for unknown characters"] if tokenizer.special.unk is None else []),
    ]
    unknown = tokenizer.special.unk
    if faults or unknown is None:
        raise _refusal(f"a SentencePiece model with {', '.join(faults)}")
    unused = {piece.text for piece in model.pieces if piece.kind == UNUSED}
    places = {piece.text: id for id, piece in enumerate(model.pieces) if piece.kind == NORMAL}
    special = {} if kobert is None else {token: int(id[0]) for token, id in kobert.special.items()}
    alphabet = Alphabet([*places, *unused], list(special))
    charsmap = read_charsmap(model.charsmap) if model.charsmap else {}
    together = {key: value for key, value in charsmap.items() if len(key) > 1}
    alphabet.set_apart({character for key in together for character in key})

    def letters(text: str) -> tuple[int, ...]:
        return tuple(BLANK if letter == " " else alphabet.letter(letter) for letter in text)

    def becomes(character: str) -> tuple[int, ...]:
        text = character if kobert is None else simplified(character, lower_case=kobert.lower_case)
        symbols: list[int] = []
        for letter in text:
            if letter in alphabet.apart:
                symbols.append(alphabet.apart[letter])
            else:
                symbols += letters(charsmap.get(letter, letter))
        return tuple(symbols)

    found = {} if kobert is None else dict.fromkeys(QUOTES, becomes('"'))
    classes = Classes([*special, *found], alphabet.letters, lambda characters: list(map(becomes, characters)))
    whole = {token: (symbol,) for token, symbol in alphabet.special.items()}
    met = {symbol for row in classes.rows for symbol in row}
    apart = {character for character, symbol in alphabet.apart.items() if symbol in met}
    alone = {character: charsmap.get(character, character) for character in apart}
    sequences = {**alone, **{key: value for key, value in together.items() if apart.issuperset(key)}}
    strings = (([alphabet.apart[c] for c in key], place) for place, key in enumerate(sequences))
    numbers = {} if kobert is None else kobert.numbers
    normal = [model.pieces[id].score for id in places.values()]
    ids = inner.renumbering[list(places.values())].tolist()
    several = [
        numbers[place].tolist() if place in numbers else [id] for place, id in zip(places.values(), ids, strict=True)
    ]
    several += [[unknown], []]
    return _of_scores(
        alphabet,
        classes,
        classes.tokens({**found, **whole}),
        special,
        unknown=unknown,
        model=ScoreTables(
            pieces=_letters(alphabet, places),
            scores=np.array([*normal, np.float32(min(normal)) - np.float32(UNKNOWN_PENALTY), -np.inf], np.float32),
            ids=np.array([*ids, unknown, -1], np.int64),
            sequences=Trie.of(strings, width=len(alphabet)) if sequences else None,
            replacements=Expansion.of([*map(letters, sequences.values()), *((n,) for n in range(len(alphabet)))]),
            words=False,
            dummy_prefix=model.dummy_prefix,
            split=Expansion.of([*several, *((id,) for id in range(tokenizer.vocab_size))]) if numbers else None,
        ),
        refused=_some({SIGMA: SIGMAS if kobert and kobert.lower_case else (), BEYOND: classes.private}),
    )


def simplified(character: str, *, lower_case: bool) -> str:
    """Do to a character by itself what KoBertTokenizer's rules do to it in a text: white space becomes a space.

    >>> simplified("É", lower_case=True), simplified("\u3000", lower_case=False)
    ('e', ' ')
    """
    if character.isspace():
        return " "
    unmarked = UNMARKED[ord(character)]
    return unmarked.lower() if lower_case else unmarked


def _some(refused: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Leave out reasons that are no character's."""
    return {why: characters for why, characters in refused.items() if characters}


def _joining(rules: Any, replaced: Iterable[str]) -> tuple[str, ...]:
    """Return the characters that a normaliser loses behind one of `replaced`: the two are a cluster to it."""
    first = next((key for key in replaced if key.isalnum() and len(key) == 1 and len(key.encode("utf-8")) == 2), None)
    if first is None:
        return ()
    alone = rules.normalize_str(first)
    characters = (character for character in map(chr, CODES) if len(character.encode("utf-8")) < CLUSTER - 2)
    return tuple(c for c in characters if rules.normalize_str(first + c) != alone + rules.normalize_str(c))


def _of_scores(
    alphabet: Alphabet,
    classes: Classes,
    tokens: Trie | None,
    special: Mapping[str, int],
    *,
    unknown: int,
    model: ScoreTables,
    refused: Mapping[str, tuple[str, ...]],
) -> TextTables:
    return TextTables(
        characters=classes.characters,
        default=classes.default,
        tokens=tokens,
        classes=Expansion.of(classes.rows),
        kinds=alphabet.kinds(),
        special=alphabet.ids(special),
        unknown=unknown,
        model=model,
        refused=refused,
    )


def _letters(alphabet: Alphabet, pieces: Iterable[str]) -> Trie:
    """Return pieces as strings of symbols; their values are their places."""
    strings = (([alphabet.letters[c] for c in piece], place) for place, piece in enumerate(pieces))
    return Trie.of(strings, width=len(alphabet))
