"""skt/kobert-base-v1: KoBERTTokenizer's rules on the ids of the SentencePiece model itself."""

import json

import numpy as np
import pytest
import sentencepiece
from kobert_rules import TEXTS, plain_pieces
from own_ids import SPECIAL, own_tokenizer
from tiny import tiny_checkpoint, tiny_config

import wellread
from wellread.compat.tokenization_kobert import KoBertTokenizer
from wellread.config import TokenizerConfig
from wellread.errors import ConfigError, TextError
from wellread.export.parity import HOSTILE, read_lines
from wellread.module import Module
from wellread.text.tokenizer import load_tokenizer
from wellread.text.tokenizer_json import fast_tokenizer
from wellread.text.tokenizer_reader import read_tokenizer

# The files of skt/kobert-base-v1, key by key.
MASK = {"content": "[MASK]", "single_word": False, "lstrip": True, "rstrip": False, "normalized": True}
TOKENS = {"bos_token": "[CLS]", "eos_token": "[SEP]", "unk_token": "[UNK]", "sep_token": "[SEP]"}
TOKENS |= {"pad_token": "[PAD]", "cls_token": "[CLS]", "mask_token": MASK}
CONFIG = {"do_lower_case": False, "remove_space": True, "keep_accents": False, **TOKENS}
CONFIG |= {"mask_token": {**MASK, "__type": "AddedToken"}, "additional_special_tokens": None, "sp_model_kwargs": {}}
CONFIG |= {"special_tokens_map_file": None, "name_or_path": "skt/kobert-base-v1", "tokenizer_class": "XLNetTokenizer"}


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """A directory laid out as skt/kobert-base-v1, with a smaller model of the same kind."""
    place = tmp_path_factory.mktemp("kobert-base-v1")
    own = own_tokenizer(place)
    own_model = place / "own.model"
    own_model.rename(place / "spiece.model")
    (place / "tokenizer_config.json").write_text(json.dumps(CONFIG))
    (place / "special_tokens_map.json").write_text(json.dumps(TOKENS))
    config = tiny_config(vocab_size=own.vocab_size, pad_token_id=1)
    Module(checkpoint=tiny_checkpoint(config), tokenizer=own).save(place / "module")
    for name in ("config.json", "model.safetensors"):
        (place / "module" / name).rename(place / name)
    for path in (place / "module").iterdir():
        path.unlink() if path.is_file() else [each.unlink() for each in path.iterdir()]
    return place


@pytest.fixture(scope="module")
def module(directory):
    return wellread.load(directory)


def oracle(directory, texts):
    """KoBERTTokenizer in the plainest way: its preprocessing between special tokens, SentencePiece, the model's ids."""
    processor = sentencepiece.SentencePieceProcessor(model_file=str(directory / "spiece.model"))
    return [[processor.piece_to_id(piece) for piece in plain_pieces(processor, text)] for text in texts]


def test_the_files_say_kobert(directory):
    files = read_tokenizer(directory)
    assert files.config == TokenizerConfig(dialect="kobert", vocab_file=None, model_file="spiece.model")


def test_ids_are_those_of_its_class(directory, module):
    texts = [*read_lines("ko"), *read_lines("en"), *HOSTILE, *TEXTS]
    assert module.tokenize(texts).to_list() == oracle(directory, texts)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("câbé", "▁ c a b e"),
        ("[MASK] 감사[SEP]", "[MASK] ▁ 감 사 [SEP]"),
    ],
)
def test_pieces(module, text, pieces):
    assert module.tokenizer.pieces(module.tokenize([text])[0]) == pieces.split()


def test_a_row_is_berts(module):
    first, second = module.tokenize(["나 보기가 역겨워"]), module.tokenize(["김소월"])
    packed = module.bert_pack_inputs([first, second], seq_length=len(first[0]) + len(second[0]) + 3)
    assert packed["input_word_ids"].tolist() == [[2, *first[0], 3, *second[0], 3]]
    assert packed["input_type_ids"].tolist() == [[0] * (len(first[0]) + 2) + [1] * (len(second[0]) + 1)]


def test_it_is_saved_and_comes_back(tmp_path, module):
    module.save(tmp_path / "saved")
    again = wellread.load(tmp_path / "saved")
    texts = [*read_lines("ko")[:200], *HOSTILE, *TEXTS]
    assert again.tokenizer.config == module.tokenizer.config
    assert again.tokenize(texts).to_list() == module.tokenize(texts).to_list()
    np.testing.assert_array_equal(again.encode(["감사합니다. [MASK]"]), module.encode(["감사합니다. [MASK]"]))


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"cls_token": "<cls>"}, "is XLNet's by its class; found the cls_token '<cls>' where KoBERT's is '\\[CLS\\]'"),
        ({"cls_token": None}, "found the cls_token None"),
        ({"sp_model_kwargs": {"alpha": 0.1}}, "sp_model_kwargs is {'alpha': 0.1}, and wellread computes only {}, None"),
        ({"keep_accents": True}, "keep_accents is True"),
    ],
)
def test_what_is_not_kobert_is_refused(tmp_path, directory, files, found):
    (tmp_path / "spiece.model").write_bytes((directory / "spiece.model").read_bytes())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({**CONFIG, **files}))
    with pytest.raises(ConfigError, match=found):
        read_tokenizer(tmp_path)


def test_without_its_model_it_is_refused(tmp_path):
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(CONFIG))
    with pytest.raises(ConfigError, match=r"is KoBERT's by its class; found no SentencePiece model; put it \(spiece"):
        read_tokenizer(tmp_path)


def test_the_legacy_class_needs_a_vocabulary(directory):
    with pytest.raises(
        TextError, match=r"found one of the kobert dialect, not a SentencePiece model beside vocab\.txt"
    ):
        KoBertTokenizer.from_pretrained(directory)


def test_a_model_may_hold_the_special_tokens_as_control_symbols(tmp_path):
    """Such are never found by the model itself; the class finds them before."""
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(read_lines("ko")[:800]),
        model_prefix=str(tmp_path / "spiece"),
        vocab_size=800,
        character_coverage=0.98,
        unk_id=0,
        unk_piece="[UNK]",
        pad_id=1,
        pad_piece="[PAD]",
        bos_id=2,
        bos_piece="[CLS]",
        eos_id=3,
        eos_piece="[SEP]",
        control_symbols=SPECIAL[4:],
        minloglevel=2,
    )
    config = TokenizerConfig(dialect="kobert", vocab_file=None, model_file="spiece.model")
    tokenizer = load_tokenizer(tmp_path, config)
    texts = [*HOSTILE, *read_lines("ko")[:200]]
    assert tokenizer.tokenize(texts).to_list() == oracle(tmp_path, texts)
    assert tokenizer.tokenize(["[MASK][CLS]"]).to_list() == [[4, 2]]


def test_other_libraries_get_its_ids(module):
    fast = fast_tokenizer(module.tokenizer)
    texts = [*read_lines("en")[:200], *read_lines("ko")[:200], *TEXTS]
    theirs = [encoding.ids for encoding in fast.encode_batch(texts, add_special_tokens=False)]
    assert module.tokenize(texts).to_list() == theirs
