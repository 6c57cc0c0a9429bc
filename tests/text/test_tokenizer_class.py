"""A directory's tokenizer has the ids, offsets and rows that transformers gives it, whatever class and files it has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import transformers
from trained import BERT, ROBERTA, content

from wellread.export.parity import HOSTILE, read_lines
from wellread.text.tokenizer_files import write_tokenizer
from wellread.text.tokenizer_json import write_fast_tokenizer
from wellread.text.tokenizer_reader import open_tokenizer, read_tokenizer

TEXTS = [
    *read_lines("en")[-120:],
    *read_lines("ko")[-120:],
    *HOSTILE,
    "",
    " ",
    "  Two  spaces ",
    "É İ ß ﬁ ``a'' 12,000",
]
TEXTS += [
    "a [MASK] b",
    "a [mask].",
    "x<mask>y <MASK> z",
    "<s>NOTUSED </s>",
    "[NEW1]abc [new1] [NEW2]x  [NEW2] y",
    "[E1]",
]
TEXTS = [text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for text in TEXTS]
NEW1 = {"content": "[NEW1]", "single_word": False, "lstrip": False, "rstrip": False, "normalized": True}
NEW2 = {**NEW1, "content": "[NEW2]", "lstrip": True, "rstrip": True, "normalized": False}


def flags(token, **changes):
    return {"content": token, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, **changes}


def vocabulary(kind):
    return json.loads(content(kind))["model"]["vocab"]


def lines_of(kind, *, more=()):
    return "".join(f"{piece}\n" for piece in (*vocabulary(kind), *more))


def added(kind, *tokens, **changes):
    """Change a tokenizer.json: tokens of its own, other parts."""
    data = json.loads(content(kind))
    first = max((token["id"] for token in data["added_tokens"]), default=0) + 1
    first = max(first, len(data["model"]["vocab"]))
    for token in tokens:
        id = data["model"]["vocab"].get(token["content"], first)
        first += id == first
        data["added_tokens"].append({"id": id, "special": False, **token})
    return json.dumps({**data, **changes})


def bpe_files(kind="byte-level"):
    model = json.loads(content(kind))["model"]
    merges = "".join(f"{' '.join(merge)}\n" for merge in model["merges"])
    return {
        "vocab.json": json.dumps({**model["vocab"], "<mask>": len(model["vocab"])}),
        "merges.txt": f"#version: 0.2\n{merges}",
    }


def cls_alone():
    token = {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]}
    one, two = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    begin = {"SpecialToken": {"id": "[CLS]", "type_id": 0}}
    return {
        "type": "TemplateProcessing",
        "single": [begin, one],
        "pair": [begin, one, two],
        "special_tokens": {"[CLS]": token},
    }


AT_VALUE = {"tokenizer_class": "PreTrainedTokenizerFast", **BERT}
FAST = "tokenizer.json"
# name -> model_type, tokenizer_config.json (None: there is none), the other files
CASES = {
    "bert, vocab.txt": ("bert", None, {"vocab.txt": lines_of("bert")}),
    "bert, cased": ("bert", {"do_lower_case": False}, {"vocab.txt": lines_of("bert, cased")}),
    "bert, its default over tokenizer.json": ("bert", None, {FAST: content("bert, cased")}),
    "bert, its class over tokenizer.json": (
        "bert",
        {"tokenizer_class": "BertTokenizer"},
        {FAST: content("bert, cased")},
    ),
    "bert, a null post-processor": ("bert", None, {FAST: added("bert", post_processor=None)}),
    "bert, rules": (
        "electra",
        {"do_lower_case": True, "strip_accents": False, "tokenize_chinese_chars": False},
        {FAST: content("bert")},
    ),
    "bert, tokens of tokenizer.json": ("bert", None, {FAST: added("bert", NEW1, NEW2)}),
    "bert, tokens of the decoder": (
        "bert",
        {
            "added_tokens_decoder": {
                "1500": {**NEW1, "special": False},
                "1501": {**NEW2, "special": True},
                "4": {**flags("[MASK]", lstrip=True), "special": True},
            }
        },
        {"vocab.txt": lines_of("bert")},
    ),
    "bert, tokens of an older form": (
        "bert",
        {"additional_special_tokens": ["[E1]"]},
        {
            "vocab.txt": lines_of("bert"),
            "added_tokens.json": json.dumps({"[NEW1]": 1500, "[NEW2]": 1501, "[E1]": 1502}),
        },
    ),
    "bert, a token under a name of the model's own": (
        "bert",
        {"model_specific_special_tokens": {"entity_token": "e"}},
        {"vocab.txt": lines_of("bert")},
    ),
    "bert, a mask that is normalised": (
        "bert",
        {},
        {
            "vocab.txt": lines_of("bert"),
            "special_tokens_map.json": json.dumps(
                {"mask_token": flags("[MASK]", normalized=True), "sep_token": "[SEP]"}
            ),
        },
    ),
    "bert, single words": (
        "bert",
        {},
        {FAST: added("bert", {**NEW1, "single_word": True}, {**NEW2, "content": "is", "single_word": True})},
    ),
    "bert, a piece that stands twice": ("bert", None, {"vocab.txt": lines_of("bert", more=["the", "##s", "한"])}),
    "bert, white space and a blank line": (
        "bert",
        None,
        {"vocab.txt": lines_of("bert").replace("\nthe\n", "\nthe \t\n").replace("\n##s\n", "\n##s\u3000\n") + "\n"},
    ),
    "bert, vocab.txt of others beside": ("bert", None, {"vocab.txt": lines_of("bert, cased"), FAST: content("bert")}),
    "roberta, a WordPiece under BERT's class": (
        "roberta",
        {"tokenizer_class": "BertTokenizer", "do_lower_case": False},
        {"vocab.txt": lines_of("bert, cased")},
    ),
    "mpnet": ("mpnet", None, {"vocab.txt": lines_of("mpnet")}),
    "mpnet, tokenizer.json": ("mpnet", {"do_lower_case": True}, {FAST: content("mpnet")}),
    "roberta": ("roberta", None, {FAST: content("byte-level")}),
    "roberta, prefix": ("roberta", {"add_prefix_space": True}, {FAST: content("byte-level")}),
    "roberta, vocab.json": ("roberta", None, bpe_files()),
    "roberta, vocab.json and a prefix": (
        "roberta",
        {
            "tokenizer_class": "RobertaTokenizer",
            "add_prefix_space": True,
            "mask_token": {"__type": "AddedToken", **flags("<mask>", lstrip=True)},
        },
        bpe_files(),
    ),
    "roberta, offsets that are not trimmed": ("roberta", {"trim_offsets": False}, {FAST: content("byte-level")}),
    "xlm-roberta": ("xlm-roberta", None, {FAST: content("unigram")}),
    "bert with XLM-R's tokenizer": ("bert", {"tokenizer_class": "XLMRobertaTokenizer"}, {FAST: content("unigram")}),
    "camembert": ("camembert", None, {FAST: content("camembert")}),
    "albert": ("albert", None, {FAST: content("albert")}),
    "albert, cased": ("albert", {"do_lower_case": False, "keep_accents": True}, {FAST: content("albert")}),
    "no special tokens at all": ("bert", AT_VALUE, {FAST: added("bert", post_processor=None)}),
    "[CLS] alone": ("bert", AT_VALUE, {FAST: added("bert", post_processor=cls_alone())}),
    "case: tokenizer.json alone": ("bert", {**AT_VALUE, "do_lower_case": True}, {FAST: content("bert, cased")}),
    "a class that no one knows": ("bert", {"tokenizer_class": "OurTokenizer", **BERT}, {FAST: content("metaspace")}),
    "the decoder over tokenizer.json": (
        "bert",
        {**AT_VALUE, "added_tokens_decoder": {"4": {**flags("[MASK]", lstrip=True), "special": True}}},
        {FAST: added("bert", NEW1)},
    ),
    "a token of a name of its own": ("bert", {**AT_VALUE, "entity_token": "the"}, {FAST: content("bert")}),
}
MODEL = (Path(__file__).parents[1] / "data" / "kobert" / "tokenizer_78b3253a26.model").read_bytes()
CASES |= {
    "xlm-roberta, a model": ("xlm-roberta", None, {"sentencepiece.bpe.model": MODEL}),
    "bert with XLM-R's class, a model": (
        "bert",
        {"tokenizer_class": "XLMRobertaTokenizer"},
        {"sentencepiece.bpe.model": MODEL},
    ),
    "bert of no class, a Unigram and a model": (
        "bert",
        {"tokenizer_class": "PreTrainedTokenizerFast", **ROBERTA},
        {"sentencepiece.bpe.model": MODEL, FAST: content("unigram")},
    ),
    "camembert, a model": ("camembert", None, {"sentencepiece.bpe.model": MODEL}),
}


def write(directory, name):
    model_type, settings, files = CASES[name]
    for file, text in files.items():
        (directory / file).write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    (directory / "config.json").write_text(json.dumps({"model_type": model_type}))
    if settings is not None:
        (directory / "tokenizer_config.json").write_text(json.dumps(settings))
    return directory


def assert_same(ours, theirs, texts=TEXTS):
    expected = theirs(texts, add_special_tokens=False, return_offsets_mapping=True)
    assert ours.tokenize(texts).to_list() == expected["input_ids"]
    for text, ids, offsets in list(zip(texts, expected["input_ids"], expected["offset_mapping"], strict=True))[::5]:
        spans = ours.engine.spans(text)
        assert spans.ids.tolist() == ids
        assert list(zip(spans.starts.tolist(), spans.limits.tolist(), strict=True)) == offsets
    rows = [ours.tokenize([text]) for text in ("a man is playing", "한국어 b")]
    for count in (1, 2):
        packed = ours.template.pack(rows[:count], pad_to_longest=True)
        whole = theirs(*("a man is playing", "한국어 b")[:count], return_token_type_ids=True)
        assert packed.input_word_ids[0].tolist() == whole["input_ids"]
        assert packed.input_type_ids[0].tolist() == whole["token_type_ids"]
    special = {name: getattr(theirs, f"{name}_token_id") for name in ("pad", "cls", "sep", "mask", "unk")}
    for name, id in special.items():
        found = getattr(ours.special, name)
        assert found == id or (name == "pad" and id is None) or (found is None and id >= ours.vocab_size - 3)


@pytest.mark.parametrize("name", CASES)
def test_ids_offsets_and_rows_are_those_of_transformers(name, tmp_path, tmp_path_factory):
    directory = write(tmp_path, name)
    theirs = transformers.AutoTokenizer.from_pretrained(directory)
    ours = open_tokenizer(directory, read_tokenizer(directory))
    assert_same(ours, theirs)
    saved = tmp_path_factory.mktemp("saved")
    write_tokenizer(saved, ours, max_length=64)
    write_fast_tokenizer(saved, ours)
    (saved / "config.json").write_text(json.dumps({"model_type": CASES[name][0]}))
    assert_same(open_tokenizer(saved, read_tokenizer(saved)), theirs, TEXTS[::3])
    assert_same(ours, transformers.AutoTokenizer.from_pretrained(saved), TEXTS[::3])


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["bert, vocab.txt", "bert, cased", "roberta", "xlm-roberta", "camembert, a model", "mpnet", "albert"]
)
def test_20_000_lines_have_the_ids_of_transformers(name, tmp_path):
    directory = write(tmp_path, name)
    theirs = transformers.AutoTokenizer.from_pretrained(directory)
    ours = open_tokenizer(directory, read_tokenizer(directory))
    texts = [*read_lines("en"), *read_lines("ko")]
    assert len(texts) >= 20_000
    assert ours.tokenize(texts).to_list() == theirs(texts, add_special_tokens=False)["input_ids"]
