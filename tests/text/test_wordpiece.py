"""WordPiece in the dialect of Hugging Face agrees with transformers; memory of words changes nothing."""

import string
from pathlib import Path

import pytest
from transformers import BertTokenizer

from wellread.config import TokenizerConfig
from wellread.export.parity import read_lines
from wellread.text import wordpiece
from wellread.text.tokenizer import Tokenizer, load_tokenizer

DATA = Path(__file__).parent.parent / "data"
VOCABULARIES = {"uncased": "bert-base-uncased-vocab.txt", "cased": "bert-base-cased-vocab.txt"}
SPECIAL_LINES = [
    "[CLS] a [MASK]ed word[SEP] [mask] [UNK]",
    "tab\tand\x00NUL\x7f\x1fgone\r\nand \u200bzero\u00adwidth",
    "x" * 100 + " " + "x" * 101 + " " + "é" * 100 + " " + "é" * 101,
    "Çà et là: ½ ﬁ … 「日本語」と한국어",
    "  don't--stop_now!  ",
    *string.printable,
]


def load(dialect: str, case: str) -> Tokenizer:
    config = TokenizerConfig(dialect=dialect, vocab_file=VOCABULARIES[case], do_lower_case=case == "uncased")
    return load_tokenizer(DATA / "vocab", config)


@pytest.mark.parametrize("case", VOCABULARIES)
def test_agrees_with_transformers_on_real_lines(case: str) -> None:
    ours = load("hf", case)
    theirs = BertTokenizer(vocab=str(DATA / "vocab" / VOCABULARIES[case]), do_lower_case=case == "uncased")
    lines = [*read_lines("en"), *read_lines("ko"), *SPECIAL_LINES]
    assert len(lines) > 20_000
    assert ours.tokenize(lines).to_list() == theirs(lines, add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize("case", VOCABULARIES)
def test_ascii_needs_no_other_rules(case: str) -> None:
    ours = load("hf", case)
    engine = ours.engine
    assert isinstance(engine, wordpiece.HfEngine)
    texts = [f"A{chr(code)}B" for code in range(128)] + [f"{chr(code)}{chr(code)} c" for code in range(128)]
    full = [encoding.ids for encoding in engine.full.encode_batch(texts, add_special_tokens=False)]
    assert ours.tokenize(texts).to_list() == full


@pytest.mark.parametrize(
    ("options", "text", "pieces"),
    [
        ({"do_lower_case": True}, "Voilà 中文", ["vo", "##ila", "中", "文"]),
        ({"do_lower_case": True, "strip_accents": False}, "Voilà", ["[UNK]"]),
        ({"do_lower_case": False, "strip_accents": True}, "voilà", ["vo", "##ila"]),
        ({"do_lower_case": True, "tokenize_chinese_chars": False}, "中文", ["中", "##文"]),
    ],
)
def test_options_of_the_hf_dialect(tmp_path: Path, options: dict[str, bool], text: str, pieces: list[str]) -> None:
    known = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "vo", "##ila", "中", "文", "##文"]
    (tmp_path / "vocab.txt").write_text("\n".join(known), encoding="utf-8")
    ours = load_tokenizer(tmp_path, TokenizerConfig(dialect="hf", **options))
    assert ours.pieces(ours.tokenize([text])[0]) == pieces


@pytest.mark.parametrize("dialect", ["hf", "tfhub"])
def test_offsets_are_those_of_the_published_example(tmp_path: Path, dialect: str) -> None:
    known = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "d", "ef", "abc", "xy", "[MASK]"]
    (tmp_path / "vocab.txt").write_text("\n".join(known))
    ours = load_tokenizer(tmp_path, TokenizerConfig(dialect=dialect, do_lower_case=True))
    found = ours.tokenize_with_offsets(["abc d ef"])
    assert found.tokens.to_list() == [[6, 4, 5]]
    assert found.starts.to_list() == [[0, 4, 6]]
    assert found.limits.to_list() == [[3, 5, 8]]


@pytest.mark.parametrize("dialect", ["hf", "tfhub"])
def test_cased_words_split_as_in_the_published_example(tmp_path: Path, dialect: str) -> None:
    known = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "d", "##ef", "abc", "ABC", "[MASK]"]
    (tmp_path / "vocab.txt").write_text("\n".join(known))
    ours = load_tokenizer(tmp_path, TokenizerConfig(dialect=dialect))
    assert ours.tokenize(["abc def", "ABC DEF"]).to_list() == [[6, 4, 5], [7, 1]]


@pytest.mark.parametrize("dialect", ["hf", "tfhub"])
def test_offsets_cut_the_pieces_out_of_real_lines(dialect: str) -> None:
    ours = load(dialect, "cased")
    lines = [*read_lines("en")[:500], "a\u200bb", "한국 a"]
    found = ours.tokenize_with_offsets(lines)
    assert found.tokens.to_list() == ours.tokenize(lines).to_list()
    for line, tokens, starts, limits in zip(lines, found.tokens, found.starts, found.limits, strict=True):
        for piece, start, limit in zip(ours.pieces(tokens), starts, limits, strict=True):
            if piece != "[UNK]":
                assert line.encode()[start:limit].decode() == piece.removeprefix("##")


def test_a_folded_character_gives_its_place_to_all_it_becomes() -> None:
    ours = load("tfhub", "uncased")
    found = ours.tokenize_with_offsets(["é… ½"])
    assert ours.pieces(found.tokens[0]) == ["e", ".", ".", ".", "1", "##⁄", "##2"]
    assert found.starts[0].tolist() == [0, 2, 2, 2, 6, 6, 6]
    assert found.limits[0].tolist() == [2, 5, 5, 5, 8, 8, 8]


def test_an_over_long_word_is_one_unknown_with_its_true_end() -> None:
    ours = load("tfhub", "cased")
    found = ours.tokenize_with_offsets(["a " + "b" * 101 + " " + "é" * 51 + " c"])
    assert ours.pieces(found.tokens[0]) == ["a", "[UNK]", "[UNK]", "c"]
    assert found.starts[0].tolist() == [0, 2, 104, 207]
    assert found.limits[0].tolist() == [1, 103, 206, 208]


@pytest.mark.parametrize("dialect", ["hf", "tfhub"])
def test_memory_of_words_is_bounded_and_changes_nothing(dialect: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [*read_lines("en")[:300], "z" * 101]
    roomy, tight = load(dialect, "uncased"), load(dialect, "uncased")
    for tokenizer in (roomy, tight):
        vars(tokenizer.engine)["native"] = None  # which remembers no words
    expected = roomy.tokenize(lines).to_list()
    monkeypatch.setattr(wordpiece, "MAX_KNOWN", 50)
    assert (
        roomy.tokenize(lines).to_list()
        == tight.tokenize(lines).to_list()
        == tight.tokenize(lines).to_list()
        == expected
    )
    assert 0 < len(tight.engine.pieces.cache) <= 50  # type: ignore[attr-defined]
    assert len(roomy.engine.pieces.cache) > 500  # type: ignore[attr-defined]
    assert "z" * 101 not in roomy.engine.pieces.cache  # type: ignore[attr-defined]


def test_decode_agrees_with_transformers() -> None:
    ours = load("hf", "uncased")
    theirs = BertTokenizer(vocab=str(DATA / "vocab" / VOCABULARIES["uncased"]), do_lower_case=True)
    rows = ours.tokenize(["She didn't play, tokenization did.", *read_lines("en")[:200]]).to_list()
    assert ours.decode(rows[0]) == "she didn ' t play, tokenization did."
    assert [ours.decode(row) for row in rows] == [theirs.decode(row) for row in rows]
