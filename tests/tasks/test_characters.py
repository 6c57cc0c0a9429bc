"""Pieces stand where their characters are, in every dialect."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny import tiny_tokenizer

from wellread.config import TokenizerConfig
from wellread.tasks.characters import SPACES, locate
from wellread.text.tokenizer import Tokenizer, load_tokenizer

DATA = Path(__file__).parent.parent / "data"
MODEL = "tokenizer_78b3253a26.model"
TEXTS = ["서울은  큰 도시다.", "", "a 😀 man\u3000길", "   ", "a\n길"]


@pytest.fixture(scope="module", params=["spm", "kobert", "hf"])
def tokenizer(request, tmp_path_factory) -> Tokenizer:
    if request.param == "hf":
        return tiny_tokenizer(tmp_path_factory.mktemp("hf"))
    return load_tokenizer(DATA / "kobert", TokenizerConfig(dialect=request.param, model_file=MODEL))


def test_pieces_cover_all_characters_but_blanks(tokenizer):
    found = locate(tokenizer, TEXTS)
    assert found.tokens.to_list() == tokenizer.tokenize(TEXTS).to_list()
    for row, text in enumerate(found.texts):
        parts = [text[a:b] for a, b in zip(found.starts[row], found.limits[row], strict=True)]
        assert all(part == part.strip() for part in parts)
        assert "".join(parts) == "".join(text.split())


def test_lone_surrogates_are_replaced_as_the_tokenizer_reads_them(tokenizer):
    assert locate(tokenizer, ["\ud83d\ude00", "\ud83d"]).texts == ["\U0001f600", "\ufffd"]


def test_all_blanks_are_known():
    assert set(map(chr, SPACES.tolist())) == {chr(code) for code in range(0x110000) if chr(code).isspace()}
