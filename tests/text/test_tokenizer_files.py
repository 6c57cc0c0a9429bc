"""tokenizer_files: a tokenizer's settings are read from every file that may hold them, or refused by name."""

import json
from dataclasses import replace

import pytest

from wellread.config import TokenizerConfig
from wellread.errors import CheckpointError, ConfigError, TextError
from wellread.text.tokenizer import load_tokenizer
from wellread.text.tokenizer_files import write_tokenizer
from wellread.text.tokenizer_json import write_fast_tokenizer
from wellread.text.tokenizer_reader import open_tokenizer, read_tokenizer

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "guitar", "##s"]


def token(content, **flags):
    plain = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"content": content, **plain, "special": True, **flags}


FAST = {
    "version": "1.0",
    "truncation": None,
    "padding": {"strategy": {"Fixed": 128}},
    "added_tokens": [{"id": i, **token(piece)} for i, piece in enumerate(PIECES[:5])],
    "normalizer": {
        "type": "BertNormalizer",
        "clean_text": True,
        "handle_chinese_chars": False,
        "strip_accents": True,
        "lowercase": False,
    },
    "pre_tokenizer": {"type": "BertPreTokenizer"},
    "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
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


@pytest.mark.parametrize("settings", [{}, {"do_lower_case": True, "strip_accents": None}, {"do_lower_case": False}])
def test_a_class_that_makes_its_own_rules_goes_by_tokenizer_config_alone(directory, settings):
    write(directory, "tokenizer.json", FAST)
    write(directory, "tokenizer_config.json", {"tokenizer_class": "BertTokenizerFast", **settings})
    files = read_tokenizer(directory)
    lower = settings.get("do_lower_case", True)
    assert files.config == TokenizerConfig(dialect="hf", do_lower_case=lower)
    why = "as in BertTokenizer of transformers 5, over the {} of tokenizer.json: tokenizer_config.json names Bert"
    assert files.inferred["tokenize_chinese_chars"].startswith("True, " + why.format(False))
    assert ("do_lower_case" in files.inferred) == lower
    assert files.ignored["normalizer"] == "BertTokenizer makes its own"


@pytest.mark.parametrize("name", ["PreTrainedTokenizerFast", "TokenizersBackend", "MadeUpTokenizer"])
def test_a_class_that_has_no_rules_takes_tokenizer_json_alone(directory, name):
    write(directory, "tokenizer.json", FAST)
    tokens = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
    write(directory, "tokenizer_config.json", {"tokenizer_class": name, "do_lower_case": True, **tokens})
    files = read_tokenizer(directory)
    rules = {"do_lower_case": False, "strip_accents": True, "tokenize_chinese_chars": False}
    assert files.config == TokenizerConfig(dialect="hf", **rules)
    assert files.ignored["do_lower_case"] == "PreTrainedTokenizerFast does not go by it"


def test_the_class_of_a_models_type_holds_where_no_file_names_one(directory):
    write(directory, "tokenizer.json", FAST)
    assert read_tokenizer(directory).config.do_lower_case is False
    write(directory, "config.json", {"model_type": "electra"})
    assert read_tokenizer(directory).config.do_lower_case is True
    write(directory, "config.json", {"model_type": "electra", "tokenizer_class": "PreTrainedTokenizerFast"})
    assert read_tokenizer(directory).config.do_lower_case is False


@pytest.mark.parametrize("model_type", ["albert", "roberta", "xlm-roberta"])
def test_a_vocabulary_of_wordpiece_under_another_body_is_berts(directory, model_type):
    write(directory, "config.json", {"model_type": model_type})
    write(directory, "tokenizer_config.json", {"do_lower_case": False})
    files = read_tokenizer(directory)
    assert files.config == TokenizerConfig(dialect="hf")
    assert files.inferred["rules"].endswith(
        "vocab.txt is the only vocabulary, which "
        + {"albert": "AlbertTokenizer", "roberta": "RobertaTokenizer", "xlm-roberta": "XLMRobertaTokenizer"}[model_type]
        + " does not read"
    )
    assert open_tokenizer(directory, files, template="roberta").config.template == "bert"
    (directory / "vocab.txt").unlink()
    with pytest.raises(
        TextError, match=r"vocab\.json was asked for; found none|neither tokenizer\.json nor a SentencePiece"
    ):
        read_tokenizer(directory)


def test_special_tokens_are_texts_or_objects_in_either_file(directory):
    (directory / "vocab.txt").write_text("\n".join([*PIECES, "<s>", "</s>", "<c>", "<m>"]))
    write(directory, "special_tokens_map.json", {"cls_token": "<s>", "sep_token": {"content": "</s>", "lstrip": False}})
    write(directory, "tokenizer_config.json", {"cls_token": {"content": "<c>", "lstrip": False}, "mask_token": "<m>"})
    config = read_tokenizer(directory).config
    assert (config.cls_token, config.sep_token, config.mask_token, config.pad_token) == ("<s>", "</s>", "<m>", "[PAD]")
    write(directory, "tokenizer_config.json", {"cls_token": "<c>", "added_tokens_decoder": {}})
    files = read_tokenizer(directory)  # which makes the other file one of an older form
    assert (files.config.cls_token, files.config.sep_token) == ("<c>", "[SEP]")
    assert files.ignored["special_tokens_map.json"] == "added_tokens_decoder of tokenizer_config.json holds"


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
        "strip_accents": "KoBertTokenizer does not go by it",
        "tokenizer.json": "the SentencePiece model beside it is read instead",
    }
    (directory / "vocab.txt").unlink()
    (directory / "tokenizer.json").unlink()
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


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"do_lowercase": True}, r"do_lowercase is unknown \(did you mean do_lower_case\?\)"),
        ({"never_split": ["a"]}, r"never_split is \['a'\], and wellread computes only None, \[\]"),
        ({"do_basic_tokenize": False}, "do_basic_tokenize is False"),
        ({"split_special_tokens": True}, "split_special_tokens is True"),
        ({"add_special_tokens": False}, "add_special_tokens is False"),
        ({"truncation_side": "left"}, "truncation_side is 'left'"),
        ({"padding_side": "left"}, "padding_side is 'left', and wellread computes only 'right'"),
        (
            {"tokenizer_class": "T5Tokenizer"},
            "tokenizer_class of .* is 'T5Tokenizer'; wellread knows the rules of Bert",
        ),
        ({"tokenizer_class": "BertJapaneseTokenizer"}, "is 'BertJapaneseTokenizer', whose rules are code: MeCab's or"),
        ({"tokenizer_class": 7}, "tokenizer_class of .* must be a name; found 7; correct it"),
        (
            {"additional_special_tokens": "[A]"},
            r"additional_special_tokens of .* must be a list of tokens; found '\[A\]'",
        ),
        (
            {"do_lower_case": "false"},
            "every key of .* must be accounted for; found that do_lower_case is 'false', not bool",
        ),
        ({"cls_token": 7}, "cls_token of .* must be a token; found 7; correct the file"),
        (
            {"cls_token": {"lstrip": True}},
            "an added token of .* must be an object of content, .* found {'lstrip': True}",
        ),
        ({"cls_token": {"content": "[CLS]", "lstripp": True}}, "must be an object of content, single_word, lstrip"),
        (
            {"model_max_length": "512"},
            "model_max_length of .* must be a number of tokens; found '512'; correct the file",
        ),
        ({"model_max_length": True}, "must be a number of tokens; found True"),
        ({"model_max_length": 0}, "must be a number of tokens; found 0"),
        ({"max_len": 12.5}, "max_len of .* must be a number of tokens; found 12.5"),
        ({"added_tokens_decoder": [1]}, r"added_tokens_decoder of .* must be an object; found \[1\]; fetch"),
        ({"added_tokens_decoder": {"7": "[A]"}}, r"an added token of .* must be an object; found '\[A\]'"),
        ({"added_tokens_decoder": {"-7": token("[A]")}}, "must have an id, a row of the word table; found '-7'"),
        (
            {"added_tokens_decoder": {"9": token("[A]")}},
            r"found 1 with another, such as '\[A\]' as 9 where .* makes it 7",
        ),
    ],
)
def test_settings_that_are_not_computed_are_refused(directory, settings, found):
    write(directory, "tokenizer_config.json", settings)
    with pytest.raises(ConfigError, match=found):
        read_tokenizer(directory)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (
            {"truncation": {"max_length": 7, "direction": "Left"}},
            "direction is 'Right', and wellread computes only that",
        ),
        ({"padding": {"direction": "Left"}}, "padding of .* must be an object whose direction is 'Right'"),
        ({"added_tokens": {"content": "a"}}, "added_tokens of .* must be a list; found .*; fetch it again"),
        ({"tokens": []}, r"must have the parts .*; found \['tokens'\]"),
        ({"normalizer": {"type": "BertNormaliser"}}, r"found 'BertNormaliser' \(did you mean BertNormalizer\?\)"),
    ],
)
def test_what_a_tokenizer_json_cannot_have_is_refused(directory, change, found):
    write(directory, "tokenizer.json", {**FAST, **change})
    with pytest.raises(ConfigError, match=found):
        read_tokenizer(directory)


@pytest.mark.parametrize(
    "change",
    [
        {"normalizer": None},
        {"normalizer": {"type": "Lowercase"}},
        {"normalizer": {**FAST["normalizer"], "clean_text": False}},
        {"pre_tokenizer": {"type": "Whitespace"}},
        {"model": {**FAST["model"], "continuing_subword_prefix": "@@"}},
        {"model": {**FAST["model"], "max_input_chars_per_word": 200}},
        {"added_tokens": [{"id": 4, **token("[MASK]", normalized=True)}]},
    ],
    ids=str,
)
def test_rules_that_are_not_quite_berts_are_taken_at_their_value(directory, change):
    write(directory, "tokenizer.json", {**FAST, **change})
    files = read_tokenizer(directory)
    assert files.config.dialect == "fast"
    assert files.inferred == {"rules": "those of tokenizer.json, taken at their value: no file names a class"}


@pytest.mark.parametrize("file", ["tokenizer_config.json", "tokenizer.json", "added_tokens.json"])
def test_tokens_beyond_the_five_are_found_whole_unless_the_caller_says_otherwise(directory, file):
    entry = token("[NEW]")
    data = {
        "tokenizer_config.json": {"added_tokens_decoder": {"7": entry, "2": token("[CLS]")}},
        "tokenizer.json": {**FAST, "added_tokens": [*FAST["added_tokens"], {"id": 7, **entry}]},
        "added_tokens.json": {"[NEW]": 7},
    }
    write(directory, file, data[file])
    files = read_tokenizer(directory)
    tokenizer = open_tokenizer(directory, files)
    assert tokenizer.tokenize(["guitars[NEW]guitar"]).to_list() == [[5, 6, 7, 5]]
    assert (tokenizer.vocab_size, tokenizer.template.overhead()) == (8, 2)
    files = read_tokenizer(directory, ignore=["added_tokens"])
    assert files.config.dialect == "hf"
    assert open_tokenizer(directory, files).tokenize(["guitar[NEW]"]).to_list() == [[5, 1, 1, 1]]


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
