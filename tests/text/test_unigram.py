"""unigram: a SentencePiece model alone gives the ids and offsets of transformers' class."""

import json
import unicodedata

import pytest
import sentencepiece
import transformers
from piece_models import FILES, model_of, train
from tokenizers import AddedToken

from wellread.errors import ConfigError, TextError
from wellread.export.parity import HOSTILE, read_lines
from wellread.text.unigram import ID_RULES, class_tokenizer, special_tokens

RULES = ("do_lower_case", "keep_accents", "add_prefix_space")
MASK = {"content": "<mask>", "lstrip": True, "rstrip": False, "normalized": True, "single_word": False}
TEXTS = [
    *HOSTILE,
    "``a'' (b) 1,000, 2,  <mask> café ﬁ",
    "<s>NOTUSED <pad>x</s> <unk> [MASK] [CLS]a",
    "▁a ▁ ＜ｍａｓｋ＞ <MASK>",
]


def peer(place, model, kind, settings):
    """Read a directory as transformers does."""
    (place / FILES[kind]).write_bytes(model)
    (place / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": kind, **settings}))
    tokenizer = transformers.AutoTokenizer.from_pretrained(place)
    assert type(tokenizer).__name__ == kind
    return tokenizer.backend_tokenizer


def read(library, texts):
    return [(one.ids, one.offsets) for one in library.encode_batch(texts, add_special_tokens=False)]


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("XLMRobertaTokenizer", {}),
        ("XLMRobertaTokenizer", {"mask_token": {"__type": "AddedToken", **MASK}, "do_lower_case": True}),
        ("XLMRobertaTokenizer", {"add_prefix_space": False}),
        ("CamembertTokenizer", {}),
        ("AlbertTokenizer", {}),
        ("AlbertTokenizer", {"do_lower_case": False, "keep_accents": True}),
    ],
)
def test_ids_and_offsets_are_those_of_transformers(tmp_path, kind, settings):
    theirs = peer(tmp_path, model_of(kind), kind, settings)
    named = {"mask_token": AddedToken(special=True, **MASK)} if "mask_token" in settings else {}
    rules = {name: settings[name] for name in RULES if name in settings}
    ours = class_tokenizer(model_of(kind), kind, named, **rules)
    count = 10_000 if (kind, settings) == ("XLMRobertaTokenizer", {}) else 1000
    lines = [*read_lines("en")[:count], *read_lines("ko")[:count], *TEXTS]
    lines += [unicodedata.normalize("NFD", line) for line in read_lines("ko")[:200]]
    assert read(ours, lines) == read(theirs, lines)
    assert ours.get_vocab(with_added_tokens=True) == theirs.get_vocab(with_added_tokens=True)


def test_ids_are_offset_as_the_classes_have_it():
    processor = sentencepiece.SentencePieceProcessor(model_proto=model_of("XLMRobertaTokenizer"))
    id = processor.piece_to_id("▁the")
    xlmr, camembert = (
        class_tokenizer(model_of(kind), kind, {}) for kind in ("XLMRobertaTokenizer", "CamembertTokenizer")
    )
    assert (xlmr.token_to_id("▁the"), camembert.token_to_id("▁the")) == (id + 1, id + 4)
    assert [xlmr.id_to_token(id) for id in (0, 1, 2, 3, 1000 + 1)] == ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def test_special_tokens_may_have_other_names():
    named = {"mask_token": AddedToken("[M]", special=True), "pad_token": AddedToken("[P]", special=True)}
    library = class_tokenizer(model_of("XLMRobertaTokenizer"), "XLMRobertaTokenizer", named)
    assert library.encode("[M][P]<mask>", add_special_tokens=False).ids[:2] == [1001, 1]
    assert library.token_to_id("<mask>") is None
    assert special_tokens("XLMRobertaTokenizer", named)["mask_token"].content == "[M]"


@pytest.mark.parametrize("kind", ID_RULES)
def test_what_is_no_unigram_is_refused(kind):
    model = train(model_type="bpe", vocab_size=1200)
    with pytest.raises(ConfigError, match=f"x must be a Unigram, as {kind} takes it; found a form that is no Unigram;"):
        class_tokenizer(model, kind, {}, source="x")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"\x0a\x05", "a field of 5 bytes where 0 are left"),
        (b"\x0a\x05\x0a\x03\xff\xfe\xfd", "codec can't decode"),
        (b"\x1a\x06\x12\x04abcd", "found a map of characters of 4 bytes with a trie of 1684234849; fetch"),
        (b"", r"must hold the unknown token; of its 0 pieces none is '<unk>'"),
    ],
)
def test_a_damaged_model_is_refused(content, found):
    with pytest.raises(TextError, match=found):
        class_tokenizer(content, "AlbertTokenizer", {}, source="x")
