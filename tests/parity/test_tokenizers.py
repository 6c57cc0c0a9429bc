"""Modules whose tokenizer is no plain BertTokenizer give sentence-transformers' vectors, loaded and saved."""

from __future__ import annotations

import json

import numpy as np
import pytest
import sentence_transformers
import torch
import transformers
from trained import BERT, content

import wellread
from wellread.errors import ConfigError, ExportError, InputError
from wellread.text.masking import masking_of, word_begins

TEXTS = [
    "a man is playing the guitar",
    "[NEW]and  한국어 모델을 [MASK]",
    "The",
    "12,000 words of a  longer text, cut",
    "x",
]
SIZES = {"hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 37}
AT_VALUE = {"tokenizer_class": "PreTrainedTokenizerFast", **BERT, "model_max_length": 24}
NEW = {"id": 1500, "content": "[NEW]", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False}


def vocab_txt(*, without=()):
    pieces = json.loads(content("bert"))["model"]["vocab"]
    return "".join(f"{piece}\n" for piece in pieces if piece not in without)


def changed(kind, **parts):
    data = json.loads(content(kind))
    return json.dumps({**data, **parts})


def with_new():
    tokens = json.loads(content("bert"))["added_tokens"]
    return changed("bert", added_tokens=[*tokens, {**NEW, "special": False}])


# name -> class of the body, tokenizer_config.json, other files
CASES = {
    "no special tokens": ("Bert", AT_VALUE, {"tokenizer.json": changed("bert", post_processor=None)}),
    "a token more": ("Bert", {}, {"tokenizer.json": with_new()}),
    "two pieces of one name": ("Bert", {}, {"vocab.txt": vocab_txt() + "the\n"}),
    "no mask": ("Bert", {}, {"vocab.txt": vocab_txt(without=["[MASK]"])}),
    "XLM-R's tokenizer": (
        "Bert",
        {"tokenizer_class": "XLMRobertaTokenizer", "model_max_length": 24},
        {"tokenizer.json": content("unigram")},
    ),
    "BERT's tokenizer": (
        "Roberta",
        {"tokenizer_class": "BertTokenizer", "do_lower_case": False},
        {"vocab.txt": vocab_txt()},
    ),
    "bytes": ("Roberta", {"tokenizer_class": "RobertaTokenizer"}, {"tokenizer.json": content("byte-level")}),
}


def written(directory, name):
    body, settings, files = CASES[name]
    torch.manual_seed(3)
    pad = {"pad_token_id": 1} if body == "Roberta" else {}
    config = getattr(transformers, f"{body}Config")(
        **SIZES, vocab_size=1510, max_position_embeddings=32, type_vocab_size=1, **pad
    )
    model = getattr(transformers, f"{body}Model")(config).eval()
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    model.save_pretrained(directory)
    for file, text in files.items():
        (directory / file).write_text(text, "utf-8")
    (directory / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 24, **settings}))
    return directory


@pytest.fixture(scope="module", params=CASES)
def pair(request, tmp_path_factory):
    directory = written(tmp_path_factory.mktemp("module"), request.param)
    theirs = sentence_transformers.SentenceTransformer(str(directory), device="cpu")
    return wellread.load(directory, backend="numpy"), theirs, request.param


def test_the_vectors_are_those_of_sentence_transformers(pair, tmp_path):
    ours, theirs, name = pair
    texts = [text.replace("[MASK]", "") for text in TEXTS] if name == "no mask" else TEXTS
    expected = theirs.encode(texts, convert_to_numpy=True)
    np.testing.assert_allclose(ours.encode(texts), expected, atol=2e-5 * max(1, np.abs(expected).max()))
    ours.save(tmp_path / "saved")
    saved = wellread.load(tmp_path / "saved", backend="numpy")
    assert saved.tokenizer.template == ours.tokenizer.template
    assert saved.tokenizer.config.dialect == ours.tokenizer.config.dialect
    np.testing.assert_array_equal(saved.encode(texts), ours.encode(texts))
    again = sentence_transformers.SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    np.testing.assert_allclose(again.encode(texts), expected, atol=2e-5 * max(1, np.abs(expected).max()))


def test_info_says_which_rules_were_taken(pair):
    ours, _, name = pair
    info = ours.info()
    said = {
        "no special tokens": ("hf", None),
        "a token more": (
            "fast",
            "those of BertTokenizer, as transformers 5 makes them: no file names a class, and that",
        ),
        "two pieces of one name": ("hf", None),
        "no mask": ("hf", None),
        "XLM-R's tokenizer": (
            "fast",
            "those of XLMRobertaTokenizer, as transformers 5 makes them: tokenizer_config.json",
        ),
        "BERT's tokenizer": ("hf", None),
        "bytes": ("fast", "those of RobertaTokenizer"),
    }[name]
    assert info["tokenizer"]["dialect"] == said[0]
    assert str(info["inferred"].get("tokenizer.rules")).startswith(str(said[1]))
    if name == "bytes":
        assert info["tokenizer"]["model"] == "BPE"
    notes = {"two pieces of one name": {"vocab.txt, 1 pieces": "stand twice; the last id holds: 'the'"}}
    assert info["tokenizer"].get("notes") == notes.get(name)
    absent = {"no mask": "no file has an id for [MASK]; in a text it is text"}
    assert info["ignored"].get("mask_token") == absent.get(name)
    assert "mask_id" in info["tokenizer"] or name == "no mask"


def test_a_text_of_no_tokens_at_all_has_a_vector(pair):
    ours, _, _ = pair
    assert np.isfinite(ours.encode(["", " ", "a"])).all()


def test_packing_and_cutting_go_by_the_rows_of_the_tokenizer(pair):
    ours, _, name = pair
    special = 0 if name == "no special tokens" else 2
    rows = ours.tokenize(["a man is playing the guitar"])
    packed = ours.bert_pack_inputs([rows, rows], seq_length=9)
    assert packed.input_mask.sum() == 9
    assert not packed.input_type_ids.any()  # a type table of one row
    assert ours.tokenizer.template.overhead() == special
    long = ours.tokenize(["a " * 50])
    assert len(ours.tokenizer.template.pack([long], seq_length=9, on_long="chunk").rows) == -(
        -len(long[0]) // (9 - special)
    )


def test_what_needs_a_mask_says_so(pair):
    ours, _, name = pair
    if name != "no mask":
        assert word_begins(ours.tokenizer).any()
        return
    assert "mask_id" not in ours.get_special_tokens_dict()
    with pytest.raises(ConfigError, match="tokens were to be masked; found a vocabulary without a mask token"):
        masking_of(ours.tokenizer)
    with pytest.raises(InputError, match="no masked-language-model head"):
        ours.fill_mask("a [MASK]")


def test_tf_hub_has_no_preprocessor_of_it(pair):
    from wellread.export.dialect import tfhub_tokenizer

    ours, _, name = pair
    if ours.tokenizer.config.dialect == "fast":
        with pytest.raises(ExportError, match=r"found the fast dialect, whose tokenizer\.json TensorFlow does not run"):
            tfhub_tokenizer(ours.tokenizer)
    elif name == "no special tokens":
        with pytest.raises(ExportError, match="found the special tokens of a template of its own"):
            tfhub_tokenizer(ours.tokenizer)
    else:
        hub = tfhub_tokenizer(ours.tokenizer)
        assert hub.tokenize(["the guitar"]).to_list() == ours.tokenize(["the guitar"]).to_list()
