"""tokenizer_files: a tokenizer's settings are read from every file that may hold them, or refused by name."""

import json
from dataclasses import replace

import pytest

from wellread.config import TokenizerConfig
from wellread.errors import CheckpointError, ConfigError
from wellread.text.tokenizer import load_tokenizer
from wellread.text.tokenizer_files import read_tokenizer, write_tokenizer
from wellread.text.tokenizer_json import write_fast_tokenizer

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "guitar", "##s"]
FAST = {
    "version": "1.0",
    "truncation": None,
    "padding": {"strategy": {"Fixed": 128}},
    "added_tokens": [{"id": i, "content": piece, "special": True} for i, piece in enumerate(PIECES[:5])],
    "normalizer": {
        "type": "BertNormalizer",
        "clean_text": True,
        "handle_chinese_chars": False,
        "strip_accents": True,
        "lowercase": False,
    },
    "pre_tokenizer": {"type": "BertPreTokenizer"},
    "post_processor": None,
    "decoder": None,
    "model": {
        "type": "WordPiece",
        "unk_token": "[UNK]",
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
        "vocab": {piece: id for id, piece in enumerate(PIECES)},
    },
}


def write(directory, name, data):
    (directory / name).write_text(json.dumps(data))


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(PIECES))
    return tmp_path


def test_a_vocabulary_alone_is_an_uncased_bert(directory):
    files = read_tokenizer(directory)
    assert files.config == TokenizerConfig(dialect="hf", do_lower_case=True)
    assert (files.max_length, files.ignored) == (None, {})


def test_tokenizer_json_gives_the_rules_and_where_it_is_alone_the_vocabulary(directory):
    write(directory, "tokenizer.json", FAST)
    rules = {"do_lower_case": False, "strip_accents": True, "tokenize_chinese_chars": False}
    assert read_tokenizer(directory).config == TokenizerConfig(dialect="hf", vocab_file="vocab.txt", **rules)
    (directory / "vocab.txt").unlink()
    config = read_tokenizer(directory).config
    assert config == TokenizerConfig(dialect="hf", vocab_file="tokenizer.json", **rules)
    assert load_tokenizer(directory, config).tokenize(["guitars Guitar"]).to_list() == [[5, 6, 1]]


def test_tokenizer_config_goes_before_tokenizer_json(directory):
    write(directory, "tokenizer.json", FAST)
    write(directory, "tokenizer_config.json", {"do_lower_case": True, "strip_accents": None})
    config = read_tokenizer(directory).config
    assert (config.do_lower_case, config.strip_accents, config.tokenize_chinese_chars) == (True, None, False)


def test_special_tokens_are_texts_or_objects_in_either_file(directory):
    write(directory, "special_tokens_map.json", {"cls_token": "<s>", "sep_token": "</s>"})
    write(directory, "tokenizer_config.json", {"cls_token": {"content": "<c>", "lstrip": False}, "mask_token": "<m>"})
    config = read_tokenizer(directory).config
    assert (config.cls_token, config.sep_token, config.mask_token, config.pad_token) == ("<c>", "</s>", "<m>", "[PAD]")


@pytest.mark.parametrize(
    ("settings", "truncation", "expected"),
    [
        ({"model_max_length": 17, "max_len": 23}, 29, 17),
        ({"max_len": 23}, 29, 23),
        ({"model_max_length": 10**30}, 29, 29),
        ({"model_max_length": 1e30}, None, None),
        ({"model_max_length": None}, 29, 29),
        ({}, None, None),
    ],
)
def test_the_length_is_the_first_that_is_meant(directory, settings, truncation, expected):
    kept = None if truncation is None else {"max_length": truncation, "direction": "Right", "stride": 0}
    write(directory, "tokenizer.json", {**FAST, "truncation": kept})
    write(directory, "tokenizer_config.json", settings)
    assert read_tokenizer(directory).max_length == expected


def test_a_model_beside_a_vocabulary_is_kobert_and_alone_itself(directory):
    (directory / "tokenizer_78b3253a26.model").touch()
    write(directory, "tokenizer_config.json", {"do_lower_case": True, "strip_accents": True})
    write(directory, "tokenizer.json", {"normalizer": 7})  # not read where there is a model
    files = read_tokenizer(directory)
    assert files.config == TokenizerConfig(
        dialect="kobert", model_file="tokenizer_78b3253a26.model", do_lower_case=True
    )
    assert files.ignored == {
        "strip_accents": "a rule of WordPiece tokenizers",
        "tokenizer.json": "the SentencePiece model beside it is read instead",
    }
    (directory / "vocab.txt").unlink()
    config = read_tokenizer(directory).config
    assert (config.dialect, config.vocab_file) == ("spm", None)


def test_two_models_are_one_too_many(directory):
    (directory / "a.model").touch()
    (directory / "b.spiece").touch()
    with pytest.raises(
        ConfigError, match=r"must hold one SentencePiece model; found a\.model, b\.spiece; remove the others"
    ):
        read_tokenizer(directory)


def test_reasons_are_kept(directory):
    write(directory, "tokenizer_config.json", {"name_or_path": "x", "auto_map": {}})
    write(directory, "tokenizer.json", FAST)
    ignored = read_tokenizer(directory).ignored
    assert ignored["name_or_path"] == "a note"
    assert ignored["auto_map"] == "names code in the repository, which is never run"
    assert ignored["padding"] == "padding is to the longest text"
    assert ignored["model.vocab"] == "read as a vocabulary where there is no vocab.txt"


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"do_lowercase": True}, r"do_lowercase is unknown \(did you mean do_lower_case\?\)"),
        ({"never_split": ["a"]}, r"never_split is \['a'\], and wellread computes only None, \[\]"),
        ({"do_basic_tokenize": False}, "do_basic_tokenize is False"),
        ({"keep_accents": True}, "keep_accents is True"),
        ({"remove_space": False}, "remove_space is False"),
        ({"padding_side": "left"}, "padding_side is 'left', and wellread computes only 'right'"),
        ({"tokenizer_class": "T5Tokenizer"}, "tokenizer_class is 'T5Tokenizer'"),
        ({"additional_special_tokens": ["[A]"]}, r"additional_special_tokens is \['\[A\]'\]"),
        (
            {"do_lower_case": "false"},
            "the tokenizer of .* TokenizerConfig; found that do_lower_case is 'false', not bool",
        ),
        ({"cls_token": 7}, "cls_token is 7, not str"),
        ({"cls_token": {"lstrip": True}}, "cls_token is {'lstrip': True}, not str"),
        (
            {"model_max_length": "512"},
            "model_max_length of .* must be a number of tokens; found '512'; correct the file",
        ),
        ({"model_max_length": True}, "must be a number of tokens; found True"),
        ({"model_max_length": 0}, "must be a number of tokens; found 0"),
        ({"max_len": 12.5}, "max_len of .* must be a number of tokens; found 12.5"),
        ({"added_tokens_decoder": [1]}, r"added_tokens_decoder of .* must be an object; found \[1\]; fetch"),
        ({"added_tokens_decoder": {"7": "[A]"}}, r"an added token of .* must be an object; found '\[A\]'"),
    ],
)
def test_settings_that_are_not_computed_are_refused(directory, settings, found):
    write(directory, "tokenizer_config.json", settings)
    with pytest.raises(ConfigError, match=found):
        read_tokenizer(directory)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"normalizer": {**FAST["normalizer"], "clean_text": False}}, "clean_text is False"),
        ({"model": {**FAST["model"], "continuing_subword_prefix": "@@"}}, "continuing_subword_prefix is '@@'"),
        ({"model": {**FAST["model"], "max_input_chars_per_word": 200}}, "max_input_chars_per_word is 200"),
        (
            {"truncation": {"max_length": 7, "direction": "Left"}},
            "direction is 'Left', and wellread computes only 'Right'",
        ),
        ({"added_tokens": {"content": "a"}}, "added_tokens of .* must be a list; found .*; fetch it again"),
        ({"tokens": []}, "tokens is unknown"),
    ],
)
def test_a_tokenizer_json_that_is_not_berts_is_refused(directory, change, found):
    write(directory, "tokenizer.json", {**FAST, **change})
    with pytest.raises(ConfigError, match=found):
        read_tokenizer(directory)


@pytest.mark.parametrize("file", ["tokenizer_config.json", "tokenizer.json", "added_tokens.json"])
def test_tokens_beyond_the_five_are_refused_unless_the_caller_says_otherwise(directory, file):
    entry = {"content": "[NEW]"}
    data = {
        "tokenizer_config.json": {"added_tokens_decoder": {"7": entry, "2": {"content": "[CLS]"}}},
        "tokenizer.json": {**FAST, "added_tokens": [*FAST["added_tokens"], entry]},
        "added_tokens.json": {"[NEW]": 7},
    }
    write(directory, file, data[file])
    with pytest.raises(
        ConfigError, match=r"must have five special tokens; found 1 added to them: \['\[NEW\]'\]; where your"
    ):
        read_tokenizer(directory)
    assert read_tokenizer(directory, ignore=["added_tokens"]).config.dialect == "hf"


def test_a_damaged_file_is_named(directory):
    (directory / "tokenizer_config.json").write_text("[]")
    with pytest.raises(CheckpointError, match=r"tokenizer_config\.json was to be read as a JSON object"):
        read_tokenizer(directory)


@pytest.mark.parametrize(
    ("dialect", "rules"),
    [("hf", {"strip_accents": False, "tokenize_chinese_chars": False}), ("hf", {}), ("tfhub", {})],
)
@pytest.mark.parametrize("do_lower_case", [False, True])
def test_what_is_written_is_read_back(directory, tmp_path_factory, dialect, rules, do_lower_case):
    config = TokenizerConfig(dialect=dialect, do_lower_case=do_lower_case, cls_token="guitar", **rules)
    target = tmp_path_factory.mktemp("written")
    assert write_tokenizer(target, load_tokenizer(directory, config), max_length=17) == config
    assert (target / "vocab.txt").read_text() == "\n".join(PIECES) + "\n"
    files = read_tokenizer(target)
    assert files.max_length == 17
    assert files.config == replace(config, dialect="hf")  # a dialect has no name in Hugging Face's files


def test_a_vocabulary_of_tokenizer_json_is_written_as_vocab_txt(directory, tmp_path_factory):
    write(directory, "tokenizer.json", FAST)
    (directory / "vocab.txt").unlink()
    target = tmp_path_factory.mktemp("written")
    config = read_tokenizer(directory).config
    written = write_tokenizer(target, load_tokenizer(directory, config), max_length=17)
    assert (config.vocab_file, written.vocab_file) == ("tokenizer.json", "vocab.txt")
    assert load_tokenizer(target, written).vocabulary.pieces == tuple(PIECES)


@pytest.mark.parametrize("dialect", ["kobert", "spm"])
def test_a_sentencepiece_model_is_written_with_its_bytes(pytestconfig, tmp_path, dialect):
    kobert = pytestconfig.rootpath / "tests" / "data" / "kobert"
    config = TokenizerConfig(dialect=dialect, model_file="tokenizer_78b3253a26.model")
    tokenizer = load_tokenizer(kobert, config)
    assert write_tokenizer(tmp_path, tokenizer, max_length=17) == config
    assert (tmp_path / config.model_file).read_bytes() == (kobert / config.model_file).read_bytes()
    again = load_tokenizer(tmp_path, config)
    texts = ["한국어 모델을 공유합니다.", "12,345 guitars"]
    assert again.tokenize(texts).to_list() == tokenizer.tokenize(texts).to_list()
    assert read_tokenizer(tmp_path).config.dialect == "kobert"  # what the files alone say; the manifest knows better


def test_the_rules_of_tf_hub_are_known_by_their_tokenizer_json(directory):
    """What transformers saves of our directory has neither vocab.txt nor wellread.json."""
    for lower_case in (True, False):
        config = TokenizerConfig(dialect="tfhub", do_lower_case=lower_case)
        write_fast_tokenizer(directory, load_tokenizer(directory, config))
        write(directory, "tokenizer_config.json", {"do_lower_case": not lower_case})  # nothing depends on it there
        assert read_tokenizer(directory).config == config
    (directory / "vocab.txt").unlink()
    config = read_tokenizer(directory).config
    assert config == TokenizerConfig(dialect="tfhub", vocab_file="tokenizer.json")
    assert load_tokenizer(directory, config).vocabulary.pieces == tuple(PIECES)


@pytest.mark.parametrize("segments", [True, False])
@pytest.mark.parametrize(("dialect", "kind"), [("hf", "BertTokenizer"), ("tfhub", "PreTrainedTokenizerFast")])
def test_the_class_and_the_inputs_are_named(directory, tmp_path_factory, dialect, kind, segments):
    target = tmp_path_factory.mktemp("written")
    tokenizer = load_tokenizer(directory, TokenizerConfig(dialect=dialect))
    write_tokenizer(target, tokenizer, max_length=17, segments=segments)
    settings = json.loads((target / "tokenizer_config.json").read_text())
    assert settings["tokenizer_class"] == kind  # BertTokenizer would put its own rules in place of the file's
    assert ("token_type_ids" in settings["model_input_names"]) == segments
