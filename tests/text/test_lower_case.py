"""Whether texts are lower-cased is inferred from names and pieces."""

from pathlib import Path

import pytest

from wellread.config import TokenizerConfig
from wellread.errors import TextError
from wellread.text.tokenizer_files import infer_case, read_wordpiece

VOCABULARIES = Path(__file__).parent.parent / "data" / "vocab"


@pytest.mark.parametrize(
    ("name", "pieces", "lower", "why"),
    [
        ("uncased_L-12_H-768_A-12", ["A"], True, "the directory is named uncased"),
        ("BERT_multi_cased_L-12", ["a"], False, "the directory is named cased"),
        ("showcased", ["[CLS]", "a"], True, "the vocabulary holds no upper-case letter"),
        ("bert", ["[CLS]", "<MASK>", "##É"], False, "the vocabulary holds '##É'"),
        ("bert", [], True, "the vocabulary holds no upper-case letter"),
    ],
)
def test_the_name_goes_before_the_vocabulary(name, pieces, lower, why):
    assert infer_case(name, pieces) == (lower, why)


@pytest.mark.parametrize(("kind", "lower"), [("uncased", True), ("cased", False)])
def test_googles_vocabularies(kind, lower):
    pieces = (VOCABULARIES / f"bert-base-{kind}-vocab.txt").read_text("utf-8").split("\n")
    assert infer_case("model", pieces)[0] is lower


def test_what_a_file_says_is_taken_and_not_called_inferred():
    config = TokenizerConfig(dialect="tfhub", vocab_file="bert-base-cased-vocab.txt")
    said = read_wordpiece(VOCABULARIES, config, do_lower_case=True)
    assert (said.tokenizer.config.do_lower_case, said.inferred) == (True, {})
    found = read_wordpiece(VOCABULARIES, config, do_lower_case=None)
    assert found.inferred == {"do_lower_case": "False: the vocabulary holds 'A'"}
    assert found.tokenizer.pieces(found.tokenizer.tokenize(["Paris"])[0]) == ["Paris"]


def test_a_missing_vocabulary_is_named(tmp_path):
    for said in (None, True):
        with pytest.raises(TextError, match=r"the vocabulary .*vocab\.txt was asked for; found none"):
            read_wordpiece(tmp_path, TokenizerConfig(dialect="hf"), do_lower_case=said)
