"""The tfhub and spm dialects agree with tensorflow-text, line by line and code point by code point."""

from pathlib import Path

import pytest
import tensorflow as tf
import tensorflow_text

from wellread.config import TokenizerConfig
from wellread.export.parity import read_lines
from wellread.text.tokenizer import Tokenizer, load_tokenizer

DATA = Path(__file__).parent.parent / "data"
CASES = ["uncased", "cased"]
CODES = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]
ODD_LINES = [
    "",
    "é" * 51 + " " + "é" * 50 + " " + "x" * 101 + " " + "x" * 100,
    "한" * 34 + " " + "한" * 33,
    "İstanbul ΟΔΥΣΣΕΥΣ ǅ ﷺ ｱﾞ ㌔",
    "[CLS] a\u200bb\u00adc\u0097d\ufffd\0e\u3000f\u00a0g",
    "👩‍👩‍👧‍👦 e\u0323\u0301 \u0301x",
]


def load(case: str) -> Tokenizer:
    config = TokenizerConfig(dialect="tfhub", vocab_file=f"bert-base-{case}-vocab.txt", do_lower_case=case == "uncased")
    return load_tokenizer(DATA / "vocab", config)


def peer(case: str, texts: list[str]) -> list[list[int]]:
    path = str(DATA / "vocab" / f"bert-base-{case}-vocab.txt")
    tokenizer = tensorflow_text.BertTokenizer(path, lower_case=case == "uncased", token_out_type=tf.int32)
    rows: list[list[int]] = tokenizer.tokenize(texts).merge_dims(1, 2).to_list()
    return rows


@pytest.mark.parametrize("case", CASES)
def test_agrees_on_real_lines(case: str) -> None:
    lines = [*read_lines("en"), *read_lines("ko"), *ODD_LINES]
    assert load(case).tokenize(lines).to_list() == peer(case, lines)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    "codes", [CODES[:0x20000], pytest.param(CODES[0x20000:], marks=pytest.mark.slow)], ids=["assigned", "others"]
)
def test_agrees_on_every_code_point(case: str, codes: list[int]) -> None:
    texts = [f"a{chr(code)}b" for code in codes]
    wrong = [
        hex(code)
        for code, ours, theirs in zip(codes, load(case).tokenize(texts).to_list(), peer(case, texts), strict=True)
        if ours != theirs
    ]
    assert wrong == []


def test_offsets_agree_where_folding_keeps_the_bytes() -> None:
    lines = read_lines("en")[:2000]
    path = str(DATA / "vocab" / "bert-base-cased-vocab.txt")
    theirs = tensorflow_text.BertTokenizer(path).tokenize_with_offsets(lines)
    ours = load("cased").tokenize_with_offsets(lines)
    assert ours.starts.to_list() == theirs[1].merge_dims(1, 2).to_list()
    assert ours.limits.to_list() == theirs[2].merge_dims(1, 2).to_list()


def test_sentencepiece_ids_and_offsets_agree_but_for_ties() -> None:
    """Where two orders of the same pieces score the same, as in "....", builds of SentencePiece choose differently."""
    lines = [*read_lines("ko"), "한국어로는 안돼??ㅋ", "é ½"]
    model = (DATA / "kobert" / "tokenizer_78b3253a26.model").read_bytes()
    theirs = tensorflow_text.SentencepieceTokenizer(model).tokenize_with_offsets(lines)
    ours = load_tokenizer(DATA / "kobert", TokenizerConfig(dialect="spm", model_file="tokenizer_78b3253a26.model"))
    numbers = ours.engine.renumbering  # type: ignore[attr-defined]
    found = ours.tokenize_with_offsets(lines)
    expected = [numbers[row].tolist() for row in theirs[0].to_list()]
    rows = zip(found.tokens.to_list(), expected, strict=True)
    ties = {row for row, (mine, other) in enumerate(rows) if mine != other and sorted(mine) == sorted(other)}
    assert len(ties) < len(lines) / 50
    rest = [row for row in range(len(lines)) if row not in ties]
    assert found.tokens.take(rest).to_list() == [expected[row] for row in rest]
    for offsets, other in zip((found.starts, found.limits), theirs[1:], strict=True):
        assert offsets.take(rest).to_list() == [row for number, row in enumerate(other.to_list()) if number not in ties]
