"""A hostile tokenizer.json is a named error, bounded in time and memory."""

import base64
import json
import time
import tracemalloc

import pytest
from trained import BERT, content

from wellread.errors import CheckpointError, ConfigError, TextError
from wellread.text.fast import FastEngine, parse_library
from wellread.text.tokenizer_check import PARTS
from wellread.text.tokenizer_reader import open_tokenizer, read_tokenizer

AT_VALUE = {"tokenizer_class": "PreTrainedTokenizerFast", **BERT}
REGEX = {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": False}


def changed(kind="wordpiece", model=None, **parts):
    data = json.loads(content(kind))
    data["model"] |= model or {}
    return {**data, **parts}


def opened(directory, data, settings=AT_VALUE):
    text = data if isinstance(data, str) else json.dumps(data)
    (directory / "tokenizer.json").write_text(text, "utf-8")
    (directory / "tokenizer_config.json").write_text(json.dumps(settings))
    return open_tokenizer(directory, read_tokenizer(directory))


def sequence(part, depth):
    key = PARTS[part][0]
    return {"type": "Sequence", key: [sequence(part, depth - 1)] if depth else []}


def replaced(pattern, by, times=1):
    step = {"type": "Replace", "pattern": pattern, "content": by}
    return {"type": "Sequence", "normalizers": [step] * times}


VOCAB = {"[UNK]": 0, "[PAD]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4, "a": 5}
UNIGRAM = {"type": "Unigram", "unk_id": 0, "vocab": [["a", -1.0], ["b", -2.0]], "byte_fallback": False}
BPE = {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": [["a", "b"]]}
HOSTILE = {
    "deep": ('{"model": ' + "[" * 200_000, CheckpointError, "it is nested too deep"),
    "deep normalizers": (changed(normalizer=sequence("normalizer", 50)), ConfigError, "at most 8 deep"),
    "many steps": (changed(normalizer=replaced({"String": "a"}, "b", 65)), ConfigError, "may have 64 steps; found 65"),
    "an explosion": (changed(pre_tokenizer=REGEX), ConfigError, "a regular expression that a text could make run"),
    "an explosion of a decoder": (
        changed(decoder={"type": "Replace", "pattern": {"Regex": "(a|a)*b"}, "content": ""}),
        ConfigError,
        "the decoder of .* has a regular expression",
    ),
    "a doubling": (changed(normalizer=replaced({"String": "a"}, "aa", 40)), ConfigError, "up to 64 times; found 1.1e"),
    "a flood": (changed(normalizer=replaced({"Regex": "."}, "x" * 9999)), ConfigError, "up to 64 times; found"),
    "an empty match": (
        changed(normalizer=replaced({"Regex": "a*"}, "x" * 60)),
        ConfigError,
        "up to 64 times; found 120",
    ),
    "no model": ({"model": None}, ConfigError, "the model of .* must be an object; found None"),
    "a model of others": (changed(model={"type": "Bpe"}), ConfigError, "must be one of WordPiece, BPE, .* found 'Bpe'"),
    "no pieces": (changed(model={"vocab": {}}), TextError, "must have a vocab of pieces and ids; found {}"),
    "an id below 0": (changed(model={"vocab": {**VOCAB, "b": -1}}), TextError, "'b' have others; fetch"),
    "an id twice": (changed(model={"vocab": {**VOCAB, "b": 5}}), TextError, "found 6 ids up to 5; fetch"),
    "ids far apart": (
        changed(model={"vocab": {**VOCAB, "b": 4_000_000_000}}),
        TextError,
        "found 7 ids up to 4000000000",
    ),
    "an id that is no number": (changed(model={"vocab": {**VOCAB, "b": "6"}}), TextError, "'b' have others"),
    "no unknown token": (changed(model={"vocab": {"a": 0}}), TextError, r"its 1 pieces; none is '\[UNK\]'"),
    "a long word": (
        changed(model={"max_input_chars_per_word": 10**9}),
        ConfigError,
        "must be 1 to 1000; found 1000000000",
    ),
    "a merge of strangers": ({**changed(), "model": {**BPE, "merges": [["a", "c"]]}}, TextError, "library found: .*c"),
    "a merge of three": ({**changed(), "model": {**BPE, "merges": [["a", "b", "c"]]}}, TextError, "library found"),
    "merges that are none": (
        {**changed(), "model": {**BPE, "merges": [7]}},
        TextError,
        r"must be pairs of pieces; found \[7\]",
    ),
    "a lottery": (
        {**changed(), "model": {**BPE, "dropout": 0.1}},
        ConfigError,
        "would be drawn by lot; found 0.1; set",
    ),
    "a Unigram without unknown": (
        {**changed(), "model": {**UNIGRAM, "unk_id": None}},
        TextError,
        "unk_id of .* found None",
    ),
    "an unknown outside": ({**changed(), "model": {**UNIGRAM, "unk_id": 2}}, TextError, "one of the 2 pieces; found 2"),
    "scores that are none": (
        {**changed(), "model": {**UNIGRAM, "vocab": [["a", "b"]]}},
        TextError,
        "pieces and scores",
    ),
    "a piece twice": ({**changed(), "model": {**UNIGRAM, "vocab": [["a", 0], ["a", 0]]}}, TextError, "stand once"),
    "a part of others": (
        changed(pre_tokenizer={"type": "Jieba"}),
        ConfigError,
        "the pre_tokenizer of .* found 'Jieba'",
    ),
    "a part that is none": (changed(decoder=[1]), ConfigError, r"the decoder of .* must be of a type among"),
    "a damaged map": (
        changed(
            normalizer={
                "type": "Precompiled",
                "precompiled_charsmap": base64.b64encode(b"\x08\0\0\0" + b"\xff" * 9).decode(),
            }
        ),
        TextError,
        "the precompiled_charsmap of .* must be a map of characters; found",
    ),
    "a map that is none": (
        changed(normalizer={"type": "Precompiled", "precompiled_charsmap": "?"}),
        TextError,
        "the precompiled_charsmap of",
    ),
    "fields of others": (changed(normalizer={"type": "BertNormalizer", "lowercase": 7}), TextError, "library found"),
    "a token without content": (
        changed(added_tokens=[{"id": 7}]),
        ConfigError,
        "must be an object with a content and an id",
    ),
    "another id": (
        changed(
            added_tokens=[
                {
                    "id": 10**9,
                    "content": "xyz",
                    **dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False),
                }
            ]
        ),
        ConfigError,
        "must have the ids that its files say; found 1 with another, such as 'xyz' as 1000000000",
    ),
    "rows of strangers": (
        changed(post_processor={"type": "BertProcessing", "sep": ["[SEP]", 99], "cls": ["[CLS]", 2]}),
        ConfigError,
        r"found '\[SEP\]' as 99, and 3 in the vocabulary",
    ),
    "rows without a text": (
        changed(post_processor={"type": "TemplateProcessing", "single": [], "pair": [], "special_tokens": {}}),
        ConfigError,
        r"the single of the post_processor of .* must hold \$A; found \[\]",
    ),
    "rows twice": (
        changed(
            post_processor={
                "type": "Sequence",
                "processors": [
                    {
                        "type": "RobertaProcessing",
                        "sep": ["[SEP]", 3],
                        "cls": ["[CLS]", 2],
                        "trim_offsets": True,
                        "add_prefix_space": False,
                    }
                ]
                * 2,
            }
        ),
        ConfigError,
        "must put special tokens once; found 2 steps that do",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_it_is_refused_by_name(tmp_path, name):
    data, error, found = HOSTILE[name]
    begin = time.perf_counter()
    with pytest.raises(error, match=found):
        opened(tmp_path, data)
    assert time.perf_counter() - begin < 20


def test_gigabytes_are_refused_unread(tmp_path):
    opened(tmp_path, changed())
    with (tmp_path / "tokenizer.json").open("r+b") as file:
        file.truncate(5_000_000_000)
    tracemalloc.start()
    with pytest.raises(TextError, match="must have at most 100,000,000 bytes; found 5,000,000,000"):
        read_tokenizer(tmp_path)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_what_the_library_panics_at_is_a_named_error():
    """A panic of Rust is no Exception; the check of the map is passed by here."""
    data = changed()
    charsmap = b"\x08\0\0\0" + b"\0\xff\xff\x01" + b"\xff" * 8
    data["normalizer"] = {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(charsmap).decode()}
    try:
        library = parse_library(json.dumps(data).encode(), source="here")
    except TextError:
        return
    with pytest.raises(TextError, match="1 texts were to be tokenised; the tokenizers library found"):
        FastEngine(library=library).encode(["é"])


def test_long_texts_take_no_square_of_their_length(tmp_path):
    ours = opened(tmp_path, changed())
    begin = time.perf_counter()
    ours.tokenize(["a" * 100_000, " " * 100_000, "12" * 50_000])
    assert time.perf_counter() - begin < 20
