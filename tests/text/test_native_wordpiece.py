"""WordPiece by the native library: the ids of the tokenizers library (`hf`, `fast`) and of our Python (`tfhub`)."""

from __future__ import annotations

import copy
import pickle
import unicodedata
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import models, normalizers, pre_tokenizers

from wellread.config import TokenizerConfig
from wellread.export.parity import HOSTILE, read_lines
from wellread.native_library import native_library
from wellread.text import native_wordpiece
from wellread.text.batch import Ragged
from wellread.text.fast import of_library
from wellread.text.tokenizer import Tokenizer, load_tokenizer
from wellread.text.vocabulary import Vocabulary
from wellread.text.wordpiece import HfEngine, TfHubEngine

pytestmark = pytest.mark.skipif(native_library().functions is None, reason=native_library().reason or "it is there")

VOCABULARIES = Path(__file__).parent.parent / "data" / "vocab"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CHARACTERS = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
OPTIONS = {
    "uncased": {"do_lower_case": True},
    "cased": {"do_lower_case": False},
    "uncased, accents": {"do_lower_case": True, "strip_accents": False},
    "cased, no accents, ideographs in words": {
        **{"do_lower_case": False, "strip_accents": True, "tokenize_chinese_chars": False}
    },
}
# Case, marks that change places, Hangul whole and in letters, ideographs, what is removed, spaces, what ends words.
ODD = (
    "aAbBéÉe\u0301\u0323\u0345\u302e\u302f\u1b44\ua9c0\U0001d165\U0001d16dİIıſßΣςσǅ한국ㅎ\u1112\u1161\u11ab中々"
    " \t\n\r\0\x7f\u00a0\u3000\u2028\u200b\u200d\u00ad\ufffd\ufeff\ue000\U0010ffff,.[]#'…½ﷺ😀👍🏽"
)


def vocabulary(pieces: Iterable[str], config: TokenizerConfig) -> Vocabulary:
    return Vocabulary.of([*SPECIAL, *pieces], config)


def refuse(texts: list[str]) -> Ragged:
    raise AssertionError(f"{texts} are left out")


def by_native(engine: Any, texts: list[str]) -> list[list[int]]:
    """Ids by the native library alone."""
    native: native_wordpiece.NativeWordPiece = engine.native
    return native.encode(texts, refuse).to_list()


def by_library(library: tokenizers.Tokenizer, texts: list[str]) -> list[list[int]]:
    return [encoding.ids for encoding in library.encode_batch_fast(texts, add_special_tokens=False)]


def words_of(characters: list[str]) -> list[str]:
    """Each character between two letters; a text has 64 such words."""
    return [" ".join(f"a{c}b" for c in characters[i : i + 64]) for i in range(0, len(characters), 64)]


@pytest.fixture(scope="module")
def every_piece() -> list[str]:
    """Every character that has a meaning, as a word and inside one: nothing is hidden by the unknown piece."""
    assigned = [c for c in CHARACTERS if unicodedata.category(c) not in ("Cn", "Co")]
    return [*assigned, *(f"##{c}" for c in assigned)]


PLANES = pytest.mark.parametrize(
    "characters",
    [CHARACTERS[:0x30000], pytest.param(CHARACTERS[0x30000:], marks=pytest.mark.slow)],
    ids=["assigned", "others"],
)


@PLANES
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_every_code_point_is_what_it_is_to_the_tokenizers_library(
    options: dict[str, bool], characters: list[str], every_piece: list[str]
) -> None:
    config = TokenizerConfig(dialect="hf", **options)
    engine = HfEngine(config=config, vocabulary=vocabulary(every_piece, config))
    texts = words_of(characters)
    assert by_native(engine, texts) == by_library(engine.full, texts)


@PLANES
@pytest.mark.parametrize("lower_case", [True, False])
def test_every_code_point_is_what_our_python_makes_of_it(
    lower_case: bool, characters: list[str], every_piece: list[str]
) -> None:
    config = TokenizerConfig(dialect="tfhub", do_lower_case=lower_case)
    engine = TfHubEngine(config=config, vocabulary=vocabulary(every_piece, config))
    texts = words_of(characters)
    assert by_native(engine, texts) == engine._encode(texts).to_list()


some_text = st.text(st.sampled_from(ODD) | st.characters(exclude_categories=["Cs"]), max_size=30)
some_pieces = st.lists(st.text(st.sampled_from(ODD), min_size=1, max_size=3)).map(
    lambda pieces: [*pieces, *(f"##{piece}" for piece in pieces), *(f"##{c}" for c in ODD[:20]), *ODD[:20]]
)
# words about as long as may be known, of one to four bytes a character
long_word = st.tuples(
    st.sampled_from("aé한\U0001d165"), st.sampled_from([24, 25, 26, 33, 34, 50, 51, 99, 100, 101, 400])
)
parts = st.lists(some_text | st.sampled_from(SPECIAL) | long_word.map(lambda word: word[0] * word[1]), max_size=6)
some_texts = st.lists(parts.map("".join), max_size=5)


@given(some_texts, some_pieces, st.sampled_from(list(OPTIONS.values())), st.none() | st.integers(0, 9))
def test_any_text_has_the_ids_of_the_tokenizers_library(
    texts: list[str], pieces: list[str], options: dict[str, bool], limit: int | None
) -> None:
    config = TokenizerConfig(dialect="hf", **options)
    engine = HfEngine(config=config, vocabulary=vocabulary(pieces, config))
    tokenizer = Tokenizer(config=config, vocabulary=engine.vocabulary, engine=engine)
    expected = [ids[:limit] for ids in by_library(engine.full, texts)]
    assert tokenizer.tokenize(texts, limit=limit).to_list() == expected


@example(["\U00010000" * 26], ["##\0", "\0"], False, None)  # over-long, and NUL stands for that
@given(some_texts, some_pieces, st.booleans(), st.none() | st.integers(0, 9))
def test_any_text_has_the_ids_of_our_python(
    texts: list[str], pieces: list[str], lower_case: bool, limit: int | None
) -> None:
    config = TokenizerConfig(dialect="tfhub", do_lower_case=lower_case)
    engine = TfHubEngine(config=config, vocabulary=vocabulary(pieces, config))
    tokenizer = Tokenizer(config=config, vocabulary=engine.vocabulary, engine=engine)
    expected = [ids[:limit] for ids in engine._encode(texts).to_list()]
    assert tokenizer.tokenize(texts, limit=limit).to_list() == expected


@pytest.mark.parametrize("dialect", ["hf", "tfhub"])
@pytest.mark.parametrize("case", ["uncased", "cased"])
def test_real_lines_are_the_same_without_the_library(dialect: str, case: str) -> None:
    lines = [*read_lines("en"), *read_lines("ko"), *HOSTILE]
    ours = open_dialect(dialect, case)
    engine: Any = ours.engine
    assert engine.native is not None
    assert ours.tokenize(lines).to_list() == engine._encode(lines).to_list()


def open_dialect(dialect: str, case: str = "uncased") -> Tokenizer:
    name = f"bert-base-{case}-vocab.txt"
    return load_tokenizer(
        VOCABULARIES, TokenizerConfig(dialect=dialect, vocab_file=name, do_lower_case=case == "uncased")
    )


def bert_library(pieces: list[str], **options: Any) -> tokenizers.Tokenizer:
    """A tokenizer.json of BERT's parts."""
    ids = {piece: id for id, piece in enumerate([*SPECIAL, *pieces])}
    library = tokenizers.Tokenizer(models.WordPiece(ids, unk_token="[UNK]", max_input_chars_per_word=7))
    library.normalizer = normalizers.BertNormalizer(**options)
    library.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    library.add_special_tokens(SPECIAL)
    return library


NAMES = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}


@given(some_texts, some_pieces, st.booleans(), st.booleans())
def test_a_tokenizer_json_of_berts_parts_is_read_as_bert(
    texts: list[str], pieces: list[str], clean_text: bool, lowercase: bool
) -> None:
    library = bert_library(list(dict.fromkeys(pieces)), clean_text=clean_text, lowercase=lowercase)
    library.add_special_tokens([tokenizers.AddedToken("ab", single_word=True, normalized=False)])
    ours = of_library(library, NAMES)
    assert ours.engine.native is not None  # type: ignore[attr-defined]
    assert ours.tokenize(texts).to_list() == by_library(library, texts)


def test_other_tokenizers_are_left_to_their_library() -> None:
    prefix, first, cut, added, unknown = (bert_library(["a", "##b"]) for _ in range(5))
    prefix.model = models.WordPiece({"[UNK]": 0}, unk_token="[UNK]", continuing_subword_prefix="@@")
    first.normalizer = normalizers.Sequence([normalizers.Lowercase(), first.normalizer])
    cut.pre_tokenizer = pre_tokenizers.Whitespace()
    added.add_tokens(["ab"])  # which is found in normalised text
    unknown.model = models.WordPiece({"[PAD]": 0, "[CLS]": 1}, unk_token="[UNK]")
    for library in (prefix, first, cut, added, unknown):
        ours = of_library(library, {name: token for name, token in NAMES.items() if name == "pad_token"})
        assert ours.engine.native is None  # type: ignore[attr-defined]


def test_text_behind_the_limit_is_not_read() -> None:
    native: native_wordpiece.NativeWordPiece = open_dialect("hf").engine.native  # type: ignore[attr-defined]
    text = "a man is playing the guitar [MASK]"  # one that is read to its end is left out
    assert native.encode([text], refuse, 4).lengths.tolist() == [4]
    with pytest.raises(AssertionError, match="are left out"):
        native.encode([text], refuse)


def test_marks_that_change_places_are_left_to_the_tokenizers_library() -> None:
    native: native_wordpiece.NativeWordPiece = open_dialect("hf").engine.native  # type: ignore[attr-defined]
    for text in ("\u302e\ua9c0", "a\u302e\u0301\u200b\ua9c0", "\ua9c0\ua9c0"):
        with pytest.raises(AssertionError, match="are left out"):
            native.encode([text], refuse)
    native.encode(["\u302ea\ua9c0", "\u302e \ua9c0", "\u302e中\ua9c0", "\u302e"], refuse)


def test_threads_share_the_texts_and_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = open_dialect("hf")
    lines = [*read_lines("en"), "[MASK] the man", "", *read_lines("ko"), "x" * 2_000_000]
    monkeypatch.setattr(native_wordpiece, "cpu_count", lambda: 1)
    expected = tokenizer.tokenize(lines).to_list()
    monkeypatch.setattr(native_wordpiece, "cpu_count", lambda: 5)
    assert tokenizer.tokenize(lines).to_list() == expected
    fresh = open_dialect("hf")
    with ThreadPoolExecutor(8) as pool:  # all of them meet every page for the first time
        results = pool.map(lambda part: fresh.tokenize(part).to_list(), [lines[i::8] for i in range(8)])
        assert list(results) == [expected[i::8] for i in range(8)]


@pytest.mark.parametrize("dialect", ["hf", "tfhub"])
def test_a_copy_is_made_anew(dialect: str) -> None:
    tokenizer = open_dialect(dialect)
    texts = ["A man", "한국어 [MASK]"]
    expected = tokenizer.tokenize(texts).to_list()
    engine: Any = pickle.loads(pickle.dumps(tokenizer.engine))
    assert engine.native is not tokenizer.engine.native  # type: ignore[attr-defined]
    assert engine.encode(texts).to_list() == copy.copy(tokenizer).tokenize(texts).to_list() == expected


def test_more_ids_than_bytes_find_room() -> None:
    config = TokenizerConfig(dialect="tfhub", do_lower_case=True)
    every = [*"abcdefghijklmnopqrstuvwxyz0123456789", *"صلىاللهعليهوسلم"]
    engine = TfHubEngine(config=config, vocabulary=vocabulary([*every, *(f"##{c}" for c in every)], config))
    text = "ﷺ" * 20  # one word of three bytes becomes 18 characters; over 100 bytes it is unknown
    assert by_native(engine, [text, "ﷺ ﷺ ﷺ", "ﷺ"]) == engine._encode([text, "ﷺ ﷺ ﷺ", "ﷺ"]).to_list()
    assert len(by_native(engine, ["ﷺ ﷺ ﷺ"])[0]) > len("ﷺ ﷺ ﷺ".encode())


def test_a_vocabulary_may_hold_anything() -> None:
    config = TokenizerConfig(dialect="hf")
    pieces = ["", "a\nb", "a", "##", "##a", "a", "", "##a", "# #", "한"]
    engine = HfEngine(config=config, vocabulary=vocabulary(pieces, config))
    texts = ["a aa aaa b ## # 한a a\nb", ""]
    assert (
        by_native(engine, texts)
        == by_library(engine.full, texts)
        == [[10, 10, 12, 10, 12, 12, 1, 1, 1, 1, 14, 12, 10, 1], []]
    )


def test_without_the_library_python_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = native_library().__class__(functions=None, built="", reason="it is not there")
    expected = open_dialect("hf").tokenize(["A man [MASK] é"], limit=4).to_list()
    monkeypatch.setattr(native_wordpiece, "native_library", lambda: absent)
    tokenizer = open_dialect("hf")
    assert tokenizer.engine.native is None  # type: ignore[attr-defined]
    assert tokenizer.tokenize(["A man [MASK] é"], limit=4).to_list() == expected
