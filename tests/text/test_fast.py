"""The `fast` dialect: a tokenizer.json at its value gives transformers' ids, offsets and rows."""

from __future__ import annotations

import numpy as np
import pytest
import transformers
from trained import KINDS, library, write_directory

from wellread.export.parity import HOSTILE, read_lines
from wellread.text.fast import of_library
from wellread.text.tokenizer import load_tokenizer
from wellread.text.tokenizer_files import write_tokenizer
from wellread.text.tokenizer_json import text_differences, write_fast_tokenizer
from wellread.text.tokenizer_reader import read_tokenizer

TEXTS = [*read_lines("en")[-300:], *read_lines("ko")[-300:], *HOSTILE, "", " ", "a<mask>b <mask> [MASK] c"]


@pytest.fixture(scope="module", params=KINDS)
def opened(request, tmp_path_factory):
    """A directory, our tokenizer of it and transformers'."""
    directory = write_directory(tmp_path_factory.mktemp("fast"), request.param)
    ours = load_tokenizer(directory, read_tokenizer(directory).config)
    assert ours.config.dialect == "fast"
    return directory, ours, transformers.PreTrainedTokenizerFast.from_pretrained(directory)


def assert_same_rows(ours, theirs):
    """Rows of one text and of two, with type ids, are transformers'."""
    for texts in (["a man is playing", "한국어"], ["the guitar", ""]), (["a <mask>", "b"],):
        rows = [ours.tokenize(list(side)) for side in texts]
        packed = ours.template.pack(rows, pad_to_longest=True)
        expected = theirs(*map(list, texts), padding=True, return_token_type_ids=True)
        assert packed.input_word_ids.tolist() == expected["input_ids"]
        assert packed.input_mask.tolist() == expected["attention_mask"]
        real = packed.input_mask == 1
        assert packed.input_type_ids[real].tolist() == np.array(expected["token_type_ids"])[real].tolist()


def assert_same_text(ours, theirs, texts):
    """Ids and offsets are transformers'."""
    texts = [text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for text in texts]
    expected = theirs(texts, add_special_tokens=False, return_offsets_mapping=True)
    assert ours.tokenize(texts).to_list() == expected["input_ids"]
    for text, ids, offsets in list(zip(texts, expected["input_ids"], expected["offset_mapping"], strict=True))[::7]:
        spans = ours.engine.spans(text)
        assert spans.ids.tolist() == ids
        assert list(zip(spans.starts.tolist(), spans.limits.tolist(), strict=True)) == offsets


def test_ids_offsets_and_rows_are_those_of_transformers(opened):
    _, ours, theirs = opened
    assert_same_text(ours, theirs, TEXTS)
    assert_same_rows(ours, theirs)
    assert ours.vocab_size == len(theirs)


def test_what_is_saved_gives_the_same_ids_to_us_and_to_transformers(opened, tmp_path):
    _, ours, _ = opened
    config = write_tokenizer(tmp_path, ours, max_length=17)
    write_fast_tokenizer(tmp_path, ours)
    assert config == ours.config
    again = load_tokenizer(tmp_path, config)
    assert again.template == ours.template
    assert again.tokenize(TEXTS[::5]).to_list() == ours.tokenize(TEXTS[::5]).to_list()
    assert read_tokenizer(tmp_path).config == config
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path, config=transformers.BertConfig())
    assert theirs.model_max_length == 17
    assert_same_text(again, theirs, TEXTS[::5])
    assert_same_rows(again, theirs)
    assert text_differences(ours) == []


def test_ids_come_back_as_text(opened):
    _, ours, theirs = opened
    ids = ours.tokenize(["a man , the guitar 한국어"])[0].tolist()
    assert ours.decode(ids) == theirs.decode(ids)


@pytest.mark.parametrize("kind", KINDS)
def test_a_tokenizer_is_made_of_one_of_the_library(kind):
    ours = of_library(library(kind), KINDS[kind][1])
    assert ours.tokenize(["a man"])[0].tolist() == library(kind).encode("a man", add_special_tokens=False).ids
    names = {"wordpiece": "bert", "byte-level": "roberta", "byte-level, prefix": "roberta", "unigram": "roberta"}
    assert names.get(kind, ours.config.template) == ours.config.template
