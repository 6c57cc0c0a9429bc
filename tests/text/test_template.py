"""A template packs RoBERTa's rows as transformers' RobertaTokenizer, and says where a segment begins."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tiny import tiny_tokenizer
from tokenizers import processors

from wellread.config import TokenizerConfig
from wellread.errors import ConfigError, ExportError
from wellread.export.dialect import tfhub_tokenizer
from wellread.text.batch import TEMPLATES, Ragged, Template
from wellread.text.tokenizer import Tokenizer
from wellread.text.tokenizer_json import fast_tokenizer
from wellread.text.vocabulary import SpecialTokens

SPECIAL = SpecialTokens(cls=0, pad=1, sep=2, unk=3, mask=4)  # RoBERTa's ids; its mask is the last of its vocabulary
ROBERTA = Template.of("roberta", SPECIAL)
BERT = Template.of("bert", SPECIAL)
LETTERS = "abcdefgh"
RNG = np.random.default_rng(7)


@pytest.fixture(scope="module")
def peer(tmp_path_factory):
    """Transformers' RobertaTokenizer of eight letters, ids 5 to 12."""
    transformers = pytest.importorskip("transformers")
    directory = tmp_path_factory.mktemp("roberta")
    tokens = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *LETTERS]
    (directory / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    (directory / "merges.txt").write_text("#version: 0.2\n")
    return transformers.RobertaTokenizer.from_pretrained(directory)


def letters(length: int) -> str:
    return "".join(RNG.choice(list(LETTERS), length))


def ids(text: str) -> list[int]:
    return [5 + LETTERS.index(letter) for letter in text]


@pytest.mark.parametrize("seq_length", [3, 7, 12])
def test_one_segment_is_packed_as_transformers_packs_it(peer, seq_length):
    texts = [letters(length) for length in (0, 1, 5, 10, 23)]
    theirs = peer(texts, max_length=seq_length, truncation=True, padding="max_length")
    ours = ROBERTA.pack([[ids(text) for text in texts]], seq_length=seq_length)
    assert ours.input_word_ids.tolist() == theirs["input_ids"]
    assert ours.input_mask.tolist() == theirs["attention_mask"]
    assert not ours.input_type_ids.any()
    assert ours.truncated.tolist() == [max(0, len(text) - ROBERTA.room(seq_length)) for text in texts]


@pytest.mark.parametrize("seq_length", [6, 8, 12, 40])  # of an odd room, TF Hub gives the first segment the odd token
def test_two_segments_are_packed_as_transformers_packs_them(peer, seq_length):
    lengths = [(3, 4), (1, 19), (19, 1), (5, 5), (6, 5), (5, 6), (12, 13)]
    pairs = [(letters(first), letters(second)) for first, second in lengths]
    first, second = ([pair[side] for pair in pairs] for side in (0, 1))
    theirs = peer(first, second, max_length=seq_length, truncation="longest_first", padding="max_length")
    ours = ROBERTA.pack([[ids(text) for text in side] for side in (first, second)], seq_length=seq_length)
    assert ours.input_word_ids.tolist() == theirs["input_ids"]
    assert ours.input_mask.tolist() == theirs["attention_mask"]
    assert not ours.input_type_ids.any()


def test_the_odd_token_of_a_room_is_the_first_segments():
    rows = ROBERTA.pack([[[5, 6], [5]], [[7, 8], [7, 8]]], seq_length=7)
    assert rows.input_word_ids.tolist() == [[0, 5, 6, 2, 2, 7, 2], [0, 5, 2, 2, 7, 8, 2]]


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_columns_are_those_where_the_segments_begin(name):
    template = Template.of(name, SPECIAL)
    first, second = Ragged.from_rows([[5], [5, 6, 7], []]), Ragged.from_rows([[8, 9], [8], [9]])
    batch = template.pack([first, second], pad_to_longest=True)
    columns = template.second_column(first.lengths)
    assert batch.input_word_ids[:2, template.first_column].tolist() == [5, 5]
    assert batch.input_word_ids[np.arange(3), columns].tolist() == [8, 8, 9]
    assert batch.input_word_ids.shape[1] == 4 + template.overhead(2)
    assert template.room(16, 2) == 16 - template.overhead(2)


def test_tokens_between_are_of_the_first_segment_and_those_after_of_the_last():
    assert BERT.pack([[[5, 6]], [[7]]], seq_length=8).input_type_ids.tolist() == [[0, 0, 0, 0, 1, 1, 0, 0]]
    assert BERT.for_types(1).pack([[[5, 6]], [[7]]], seq_length=8).input_type_ids.tolist() == [[0] * 8]
    assert BERT.for_types(0) == BERT.for_types(2) == BERT


@pytest.mark.parametrize("name", TEMPLATES)
def test_tokenizer_json_writes_the_same_rows(name, tmp_path):
    tokenizer = of_template(tiny_tokenizer(tmp_path), name)
    texts = ["a man is playing", "a guitar"]
    fast = fast_tokenizer(tokenizer)
    assert fast is not None
    assert isinstance(fast.post_processor, processors.TemplateProcessing)
    for count in (1, 2):
        rows = [tokenizer.tokenize([text]) for text in texts[:count]]
        ours = tokenizer.template.pack(rows, pad_to_longest=True)
        theirs = fast.encode(*texts[:count])
        assert ours.input_word_ids[0].tolist() == theirs.ids
        assert ours.input_type_ids[0].tolist() == theirs.type_ids


def of_template(tokenizer: Tokenizer, name: str) -> Tokenizer:
    config = TokenizerConfig(dialect="tfhub", template=name)
    if tokenizer.config.dialect == "hf":
        config = TokenizerConfig(dialect="hf", do_lower_case=tokenizer.config.do_lower_case, template=name)
    return Tokenizer(config=config, vocabulary=tokenizer.vocabulary, engine=tokenizer.engine)


def test_tf_hub_has_no_preprocessor_of_another_template(tmp_path):
    with pytest.raises(ExportError, match=r"found the special tokens of roberta, .* export the encoder alone"):
        tfhub_tokenizer(of_template(tiny_tokenizer(tmp_path), "roberta"))


def test_an_unknown_template_is_refused():
    with pytest.raises(ConfigError, match=r"template was given as 'robertta'.*did you mean roberta"):
        TokenizerConfig(dialect="hf", template="robertta")
