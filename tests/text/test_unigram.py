"""unigram: a SentencePiece model alone gives the ids and offsets of transformers' class."""

import json
import unicodedata

import pytest
import sentencepiece
import transformers
from piece_models import FILES, model_of, train

from wellread.errors import ConfigError, TextError
from wellread.export.parity import HOSTILE, read_lines
from wellread.text.tokenizer_class import CLASSES
from wellread.text.tokenizer_reader import open_tokenizer, read_tokenizer
from wellread.text.unigram import ID_RULES, class_pieces

MASK = {"content": "<mask>", "lstrip": True, "rstrip": False, "normalized": True, "single_word": False}
TEXTS = [
    *HOSTILE,
    "``a'' (b) 1,000, 2,  <mask> café ﬁ",
    "<s>NOTUSED <pad>x</s> <unk> [MASK] [CLS]a",
    "▁a ▁ ＜ｍａｓｋ＞ <MASK>",
]


def libraries(place, model, kind, settings):
    """Read a directory as wellread does, and as transformers does."""
    (place / FILES[kind]).write_bytes(model)
    (place / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": kind, **settings}))
    tokenizer = transformers.AutoTokenizer.from_pretrained(place)
    assert type(tokenizer).__name__ == kind
    return open_tokenizer(place, read_tokenizer(place)).engine.library, tokenizer.backend_tokenizer


def read(library, texts):
    return [(one.ids, one.offsets) for one in library.encode_batch(texts, add_special_tokens=False)]


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("XLMRobertaTokenizer", {}),
        ("XLMRobertaTokenizer", {"mask_token": {"__type": "AddedToken", **MASK}, "do_lower_case": True}),
        ("XLMRobertaTokenizer", {"add_prefix_space": False}),
        ("XLMRobertaTokenizer", {"mask_token": "[M]", "pad_token": "<PAD>", "additional_special_tokens": ["▁the"]}),
        ("CamembertTokenizer", {}),
        ("AlbertTokenizer", {}),
        ("AlbertTokenizer", {"do_lower_case": False, "keep_accents": True}),
    ],
)
def test_ids_and_offsets_are_those_of_transformers(tmp_path, kind, settings):
    ours, theirs = libraries(tmp_path, model_of(kind), kind, settings)
    count = 10_000 if (kind, settings) == ("XLMRobertaTokenizer", {}) else 1000
    lines = [*read_lines("en")[:count], *read_lines("ko")[:count], *TEXTS]
    lines += [unicodedata.normalize("NFD", line) for line in read_lines("ko")[:200]]
    assert read(ours, lines) == read(theirs, lines)
    assert ours.get_vocab(with_added_tokens=True) == theirs.get_vocab(with_added_tokens=True)


def pieces_of(model, kind):
    special = next(each.special for each in CLASSES if each.name == kind)
    return class_pieces(model, kind, {key: str(token) for key, token in special.items()}, source="x")


def test_ids_are_offset_as_the_classes_have_it():
    processor = sentencepiece.SentencePieceProcessor(model_proto=model_of("XLMRobertaTokenizer"))
    id = processor.piece_to_id("▁the")
    for kind, offset in (("XLMRobertaTokenizer", 1), ("CamembertTokenizer", 4), ("AlbertTokenizer", 0)):
        assert pieces_of(model_of("XLMRobertaTokenizer"), kind).scores[id + offset][0] == "▁the"
    pieces = [piece for piece, _ in pieces_of(model_of("XLMRobertaTokenizer"), "XLMRobertaTokenizer").scores]
    assert [pieces[id] for id in (0, 1, 2, 3, -1)] == ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


@pytest.mark.parametrize("kind", ID_RULES)
def test_what_is_no_unigram_is_refused(kind):
    model = train(model_type="bpe", vocab_size=1200)
    with pytest.raises(ConfigError, match=f"x must be a Unigram, as {kind} takes it; found a form that is no Unigram;"):
        pieces_of(model, kind)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"\x0a\x05", "a field of 5 bytes where 0 are left"),
        (b"\x0a\x05\x0a\x03\xff\xfe\xfd", "codec can't decode"),
        (b"\x1a\x06\x12\x04abcd", "found a map of characters of 4 bytes with a trie of 1684234849; fetch"),
        (b"", "x was read as a SentencePiece model; its 0 bytes hold 0 pieces; fetch the file again"),
    ],
)
def test_a_damaged_model_is_refused(content, found):
    with pytest.raises(TextError, match=found):
        pieces_of(content, "AlbertTokenizer")
