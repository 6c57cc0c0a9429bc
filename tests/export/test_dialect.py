"""TF Hub's text rules around a vocabulary that came with others."""

from dataclasses import replace

import pytest
from exports import KOBERT, KOBERT_CONFIG
from tiny import tiny_tokenizer

from wellread.errors import ExportError
from wellread.export.dialect import tfhub_tokenizer
from wellread.text.tokenizer import Tokenizer, load_tokenizer


def test_hf_becomes_tfhub(tmp_path) -> None:
    given = tiny_tokenizer(tmp_path)
    made = tfhub_tokenizer(given)
    assert made.config.dialect == "tfhub"
    assert made.vocabulary.pieces == given.vocabulary.pieces
    text = ["The man [MASK] plays."]
    assert given.tokenize(text)[0].tolist() != made.tokenize(text)[0].tolist()
    assert tfhub_tokenizer(made) is made


def test_kobert_becomes_spm_with_its_vocabulary() -> None:
    made = tfhub_tokenizer(load_tokenizer(KOBERT, KOBERT_CONFIG))
    assert made.config.dialect == "spm"
    assert made.tokenize(["한국어 모델을 공유합니다."])[0].tolist() == [4958, 6855, 2046, 7088, 1050, 7843, 54]


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"strip_accents": False}, "do_lower_case=True with strip_accents=False"),
        ({"tokenize_chinese_chars": False}, "tokenize_chinese_chars=False"),
    ],
)
def test_rules_without_a_counterpart_are_refused(tmp_path, changes, found) -> None:
    given = tiny_tokenizer(tmp_path)
    other = Tokenizer(config=replace(given.config, **changes), vocabulary=given.vocabulary, engine=given.engine)
    with pytest.raises(ExportError, match=f"preprocessor for TF Hub was asked for; found {found}, .*; export"):
        tfhub_tokenizer(other)
