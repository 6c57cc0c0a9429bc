"""Of a tokenizer_config.json, keys that no id depends on are ignored by name; those that ids depend on are held."""

import json

import pytest
from trained import BERT, content

from wellread.errors import ConfigError
from wellread.text.tokenizer_class import AT_VALUE, MPNET, ROBERTA
from wellread.text.tokenizer_class import BERT as BERT_CLASS
from wellread.text.tokenizer_keys import account_for_settings
from wellread.text.tokenizer_reader import open_tokenizer, read_tokenizer

HARMLESS = {
    "clean_text": False,
    "use_fast": True,
    "padding": True,
    "truncation": True,
    "vocab_file": "/home/x/vocab.txt",
    "merges_file": "merges.txt",
    "tokenizer_file": "/root/.cache/tokenizer.json",
    "model_type": "bert",
    "add_special_tokens": True,
    "add_bos_token": True,
    "add_eos_token": False,
    "add_prefix_space": True,
    "trim_offsets": False,
    "chat_template": None,
    "max_length": 128,
    "stride": 0,
    "pad_to_multiple_of": None,
    "pad_token_type_id": 0,
    "errors": "replace",
    "remove_space": False,
    "keep_accents": True,
    "do_basic_tokenize": True,
    "never_split": None,
    "split_special_tokens": False,
    "spaces_between_special_tokens": True,
    "clean_up_tokenization_spaces": True,
    "model_input_names": ["input_ids"],
    "lowercase_all": True,
    "normalization": False,
    "cls_token_box": [0, 0, 0, 0],
    "only_label_first_subword": True,
    "src_lang": None,
    "sp_model_kwargs": {},
    "add_dummy_prefix": True,
    "device_map": "auto",
    "commit_hash": "1234",
    "wordpieces_prefix": "##",
    "bos_token": None,
    "unk_token_id": 100,
    "auto_map": {"AutoTokenizer": [None, None]},
    "extra_special_tokens": {},
    "additional_special_tokens": None,
}
TEXTS = ["A man, 12,000 [MASK] 한국어 Élan", "[CLS]  x"]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return tokens_of(tmp_path_factory.mktemp("plain"), {})


def tokens_of(directory, settings):
    (directory / "tokenizer.json").write_text(content("bert"), "utf-8")
    (directory / "config.json").write_text('{"model_type": "bert"}')
    (directory / "tokenizer_config.json").write_text(json.dumps({**BERT, **settings}))
    files = read_tokenizer(directory)
    return open_tokenizer(directory, files).tokenize(TEXTS).to_list(), files


@pytest.mark.parametrize("key", HARMLESS)
@pytest.mark.parametrize("name", ["BertTokenizer", "PreTrainedTokenizerFast"])
def test_a_key_that_touches_no_id_changes_none(plain, tmp_path, key, name):
    ids, files = tokens_of(tmp_path, {key: HARMLESS[key], "tokenizer_class": name})
    assert ids == plain[0]
    silent = (
        *("add_special_tokens", "do_basic_tokenize", "never_split", "split_special_tokens", "sp_model_kwargs"),
        *("bos_token", "extra_special_tokens", "additional_special_tokens"),
    )
    assert key in files.ignored or key in silent  # at the value that is computed


def test_all_of_them_together_are_named(plain, tmp_path):
    ids, files = tokens_of(tmp_path, HARMLESS)
    assert ids == plain[0]
    assert files.ignored["clean_text"] == "BertTokenizer cleans a text whatever it says"
    assert files.ignored["add_prefix_space"] == "BertTokenizer does not go by it"
    assert files.ignored["commit_hash"] == "not among the settings that ids depend on"
    assert files.ignored["add_bos_token"] == "tokenizer.json or the class says where special tokens stand"


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("do_lowercase", "do_lower_case"),
        ("doLowerCase", "do_lower_case"),
        ("strip_accent", "strip_accents"),
        ("mask_tokens", "mask_token"),
        ("paddingside", "padding_side"),
        ("tokenise_chinese_chars", "tokenize_chinese_chars"),
    ],
)
def test_a_key_that_is_very_much_like_one_is_taken_for_it_and_refused(key, meant):
    with pytest.raises(ConfigError, match=rf"found that {key} is unknown \(did you mean {meant}\?\); correct the file"):
        account_for_settings({key: True}, BERT_CLASS, source="here")
    assert key in account_for_settings({key: True}, BERT_CLASS, source="here", ignore=[key]).ignored


def test_rules_are_those_of_the_class():
    settings = {"do_lower_case": False, "add_prefix_space": True, "never_split": ["a"]}
    with pytest.raises(ConfigError, match=r"never_split is \['a'\], and wellread computes only None, \[\]"):
        account_for_settings(settings, MPNET, source="here")
    keys = account_for_settings(settings, ROBERTA, source="here")
    assert keys.used == {"add_prefix_space": True}
    assert keys.ignored["do_lower_case"] == "RobertaTokenizer does not go by it"
    assert not account_for_settings(settings, AT_VALUE, source="here").used


def test_all_faults_are_told_at_once():
    with pytest.raises(ConfigError) as error:
        account_for_settings({"do_lower_case": None, "padding_side": "left"}, BERT_CLASS, source="here")
    assert str(error.value) == (
        "every key of here must be accounted for; found that do_lower_case is None, not bool; padding_side is 'left', "
        "and wellread computes only 'right'; correct the file, or name keys that may be passed over with ignore="
    )
