"""KoBertTokenizer on KoBERT's own files: the published pieces and ids, and the calls of the legacy class."""

import json
import multiprocessing
import pickle
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wellread.compat.tokenization_kobert import KoBertTokenizer
from wellread.config import TokenizerConfig
from wellread.errors import InputError, TextError
from wellread.export.parity import read_lines
from wellread.text.tokenizer import load_tokenizer
from wellread.text.tokenizer_reader import read_tokenizer

FILES = Path(__file__).parent.parent / "data" / "kobert"
MODEL, VOCABULARY = FILES / "tokenizer_78b3253a26.model", FILES / "vocab.txt"
SENTENCE = "한국어 모델을 공유합니다."
IDS = [4958, 6855, 2046, 7088, 1050, 7843, 54]
PAIR = ("나 보기가 역겨워", "김소월")
PAIRED = [2, 1370, 2362, 5330, 3322, 5411, 7018, 3, 1316, 6607, 7028, 3]


@pytest.fixture(scope="module")
def tokenizer():
    return KoBertTokenizer.from_pretrained(FILES)


# -- text to pieces and ids, and back --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        (SENTENCE, "▁한국 어 ▁모델 을 ▁공유 합니다 ."),
        (f"[CLS] {SENTENCE} [SEP]", "[CLS] ▁한국 어 ▁모델 을 ▁공유 합니다 . [SEP]"),
        (
            "쌀밥/잡곡밥 오징어찌개 쇠불고기 계란찜 청포묵무침",
            "▁ 쌀 밥 / 잡 곡 밥 ▁오 징 어 찌 개 ▁ 쇠 불 고 기 ▁계 란 찜 ▁청 포 묵 무 침",
        ),
        ("한국어로는 안돼??ㅋ", "▁한국 어 로 는 ▁안 돼 ?? \u110f"),
        (
            "SKTBrain에서 KoBERT 모델을 공개해준 덕분에 BERT-CRF 기반",
            "▁SK T B ra in 에서 ▁K o B ER T ▁모델 을 ▁공개 해 준 ▁덕분에 ▁B ER T - C R F ▁기반",
        ),
        ("셔", "▁ 셔"),
        ("좋아👍", "▁좋아 👍"),  # the vocabulary lacks the second
        ("오", "▁오"),
        ("", ""),
    ],
)
def test_pieces(tokenizer, text, pieces):
    assert tokenizer.tokenize(text) == pieces.split()


def test_ids(tokenizer):
    assert tokenizer.convert_tokens_to_ids(tokenizer.tokenize(SENTENCE)) == IDS
    assert tokenizer.convert_tokens_to_ids("[MASK]") == 4
    assert tokenizer.convert_tokens_to_ids(["👍", "▁오"]) == [0, tokenizer.convert_tokens_to_ids("▁오")]
    assert tokenizer.convert_ids_to_tokens(IDS) == tokenizer.tokenize(SENTENCE)
    assert tokenizer.convert_ids_to_tokens(4958) == "▁한국"
    assert tokenizer.convert_ids_to_tokens([2, 54, 3], skip_special_tokens=True) == ["."]


def test_back_to_text(tokenizer):
    assert tokenizer.convert_tokens_to_string(tokenizer.tokenize(SENTENCE)) == SENTENCE
    assert tokenizer.decode([2, *IDS, 3]) == f"[CLS] {SENTENCE}[SEP]"
    assert tokenizer.decode(np.array([2, *IDS, 3]), skip_special_tokens=True) == SENTENCE
    assert tokenizer.batch_decode(torch.tensor([IDS, IDS]), skip_special_tokens=True) == [SENTENCE, SENTENCE]


def test_the_text_rules(tokenizer):
    assert tokenizer.preprocess_text("  a\tb ``c'' é ") == 'a b "c" e'
    assert tokenizer.preprocess_text("한") == unicodedata.normalize("NFD", "한")
    assert tokenizer.preprocess_text("ガA") == "カA"
    assert KoBertTokenizer(MODEL, VOCABULARY, do_lower_case=True).preprocess_text("É") == "e"


def test_ids_are_those_of_the_dialect_on_real_lines(tokenizer):
    dialect = load_tokenizer(FILES, TokenizerConfig(dialect="kobert", model_file=MODEL.name))
    lines = [*read_lines("ko")[:1000], *read_lines("en")[:200]]
    assert [tokenizer.convert_tokens_to_ids(tokenizer.tokenize(line)) for line in lines] == dialect.tokenize(
        lines
    ).to_list()


@given(text=st.text(alphabet=st.sampled_from("한글 a1,é\u0301[]CLSMAK") | st.characters()))
def test_pieces_have_the_ids_of_their_text(tokenizer, text):
    pieces = tokenizer.tokenize(text)
    assert tokenizer.convert_tokens_to_ids(pieces) == tokenizer.encode(text, add_special_tokens=False)


@given(ids=st.lists(st.integers(0, 8001)))
def test_ids_to_pieces_to_ids(tokenizer, ids):
    assert tokenizer.convert_tokens_to_ids(tokenizer.convert_ids_to_tokens(ids)) == ids


def test_a_comma_behind_a_number_is_a_piece_by_itself(tmp_path):
    """KoBERT's model has no such piece as "1,"; this one has."""
    import sentencepiece

    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a 1, b 20, c1,d 20,20 1 20 0 2 a,b , a"] * 50),
        model_prefix=str(tmp_path / "x"),
        vocab_size=19,
        user_defined_symbols=["1,"],
        hard_vocab_limit=False,
        minloglevel=2,
    )
    pieces = ["[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]", "1", ",", "▁", "a", "b", "▁a", "▁b", "▁1"]
    (tmp_path / "vocab.txt").write_text("".join(f"{piece}\n" for piece in pieces), "utf-8")
    tokenizer = KoBertTokenizer(tmp_path / "x.model", tmp_path / "vocab.txt")
    assert tokenizer.tokenize("a1,b")[1:3] == ["1", ","]
    assert tokenizer.convert_tokens_to_ids(tokenizer.tokenize("a1,b")) == tokenizer.encode("a1,b")[1:-1]


# -- what it is ------------------------------------------------------------------------------------------------------


def test_sizes(tokenizer):
    assert tokenizer.vocab_size == len(tokenizer) == len(tokenizer.get_vocab()) == 8002
    assert tokenizer.get_vocab()["▁한국"] == 4958
    assert tokenizer.max_len == tokenizer.model_max_length == 512
    assert (tokenizer.max_len_single_sentence, tokenizer.max_len_sentences_pair) == (510, 509)
    assert tokenizer.padding_side == "right"
    assert repr(tokenizer) == "KoBertTokenizer(vocab_size=8002, model_max_length=512)"


def test_special_tokens(tokenizer):
    names = ["unk", "pad", "cls", "sep", "mask"]
    assert [getattr(tokenizer, f"{name}_token_id") for name in names] == tokenizer.all_special_ids == [0, 1, 2, 3, 4]
    assert [getattr(tokenizer, f"{name}_token") for name in names] == tokenizer.all_special_tokens
    assert tokenizer.special_tokens_map["mask_token"] == "[MASK]"


# -- a model's inputs ------------------------------------------------------------------------------------------------


def test_one_text(tokenizer):
    made = tokenizer(SENTENCE)
    assert made == tokenizer.encode_plus(SENTENCE)
    assert made.input_ids == tokenizer.encode(SENTENCE) == [2, *IDS, 3]
    assert made.token_type_ids == [0] * 9
    assert made.attention_mask == [1] * 9
    with pytest.raises(AttributeError, match=r"input_id is not among input_ids, .*did you mean input_ids"):
        made.input_id  # noqa: B018


def test_a_pair(tokenizer):
    made = tokenizer(*PAIR, return_special_tokens_mask=True)
    assert made["input_ids"] == tokenizer.encode(*PAIR) == PAIRED
    assert made["token_type_ids"] == [0] * 8 + [1] * 4
    assert made["special_tokens_mask"] == [1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1]
    first, second = (tokenizer.encode(text, add_special_tokens=False) for text in PAIR)
    assert tokenizer.build_inputs_with_special_tokens(first, second) == PAIRED
    assert tokenizer.create_token_type_ids_from_sequences(first, second) == made["token_type_ids"]
    assert tokenizer.get_special_tokens_mask(first, second) == made["special_tokens_mask"]
    assert tokenizer.get_special_tokens_mask(PAIRED, already_has_special_tokens=True) == made["special_tokens_mask"]


def test_one_segment_has_its_special_tokens_at_either_end(tokenizer):
    assert tokenizer.build_inputs_with_special_tokens(IDS) == [2, *IDS, 3]
    assert tokenizer.create_token_type_ids_from_sequences(IDS) == [0] * 9
    assert tokenizer.get_special_tokens_mask(IDS) == [1, *[0] * 7, 1]


def test_texts_pieces_and_ids_are_taken(tokenizer):
    assert tokenizer.encode(IDS) == tokenizer.encode(tokenizer.tokenize(SENTENCE)) == tokenizer.encode(SENTENCE)
    assert tokenizer.encode(PAIR[0], tokenizer.tokenize(PAIR[1])) == PAIRED


def test_a_batch(tokenizer):
    made = tokenizer([SENTENCE, PAIR[1]], padding=True)
    assert made["input_ids"] == [[2, *IDS, 3], [2, 1316, 6607, 7028, 3, 1, 1, 1, 1]]
    assert made["attention_mask"][1] == [1] * 5 + [0] * 4
    pairs = [PAIR, PAIR[::-1]]
    assert tokenizer.batch_encode_plus(pairs) == tokenizer([a for a, _ in pairs], [b for _, b in pairs])
    assert tokenizer.batch_encode_plus(pairs)["input_ids"][0] == PAIRED


@pytest.mark.parametrize(("kind", "type_"), [("pt", torch.LongTensor), ("np", np.ndarray)])
def test_tensors(tokenizer, kind, type_):
    made = tokenizer([SENTENCE, PAIR[1]], padding="max_length", max_length=12, truncation=True, return_tensors=kind)
    assert all(isinstance(value, type_) and value.shape == (2, 12) for value in made.values())
    assert tokenizer.encode(SENTENCE, return_tensors=kind).shape == (1, 9)
    if kind == "pt":
        assert made.to("meta")["input_ids"].device.type == "meta"


def test_the_options_of_2019(tokenizer):
    made = tokenizer.encode_plus(SENTENCE, max_length=12, pad_to_max_length=True)
    assert made == tokenizer(SENTENCE, padding="max_length", max_length=12)
    cut = tokenizer.encode(*PAIR, max_length=8, truncation_strategy="only_first")
    assert cut == tokenizer.encode(*PAIR, max_length=8, truncation="only_first") == [*PAIRED[:3], *PAIRED[-5:]]


# -- files -----------------------------------------------------------------------------------------------------------


def test_the_vocabulary_is_saved_in_two_files(tokenizer, tmp_path):
    paths = tokenizer.save_vocabulary(tmp_path / "new")
    assert [Path(path).name for path in paths] == ["tokenizer_78b3253a26.model", "vocab.txt"]
    assert [Path(path).read_bytes() for path in paths] == [MODEL.read_bytes(), VOCABULARY.read_bytes()]
    assert KoBertTokenizer(*paths).encode(SENTENCE) == [2, *IDS, 3]


def test_what_is_saved_is_read_again(tmp_path):
    KoBertTokenizer(MODEL, VOCABULARY, True, model_max_length=99).save_pretrained(tmp_path / "new")
    again = KoBertTokenizer.from_pretrained(str(tmp_path / "new"))
    assert (again.do_lower_case, again.model_max_length) == (True, 99)
    assert again.encode(SENTENCE) == [2, *IDS, 3]
    assert read_tokenizer(tmp_path / "new").config.dialect == "kobert"
    assert KoBertTokenizer.from_pretrained(tmp_path / "new", max_len=64, do_lower_case=False).max_len == 64


def test_what_the_files_say_holds(tmp_path):
    shutil.copytree(FILES, tmp_path / "kobert")
    said = {"do_lower_case": True, "max_len": 64, "mask_token": "!", "tokenizer_class": "KoBertTokenizer"}
    (tmp_path / "kobert" / "tokenizer_config.json").write_text(json.dumps(said))
    tokenizer = KoBertTokenizer.from_pretrained(tmp_path / "kobert")
    assert (tokenizer.do_lower_case, tokenizer.max_len, tokenizer.mask_token_id) == (True, 64, 5)


def test_a_pickle_needs_no_files(tmp_path):
    shutil.copytree(FILES, tmp_path / "kobert")
    tokenizer = KoBertTokenizer.from_pretrained(tmp_path / "kobert", do_lower_case=True, max_len=64)
    held = pickle.dumps(tokenizer)
    assert str(tmp_path).encode() not in held
    shutil.rmtree(tmp_path / "kobert")
    again = pickle.loads(held)
    assert (again.encode(SENTENCE), again.do_lower_case, again.max_len) == ([2, *IDS, 3], True, 64)
    assert pickle.dumps(again) == held


def test_a_spawned_process_gets_the_tokenizer(tokenizer):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(tokenizer.encode, (SENTENCE,)) == [2, *IDS, 3]


# -- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep_accents": True}, r"asked for keep_accents=True; it has .*keep_accents=False; leave"),
        ({"remove_space": False}, r"asked for remove_space=False; it has .*remove_space=True, .*; leave"),
        ({"mask_tokn": "x"}, r"asked for mask_tokn \(did you mean mask_token\?\); it has unk_token, .*; leave"),
    ],
)
def test_options_that_would_change_the_ids_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        KoBertTokenizer(MODEL, VOCABULARY, **options)


def test_options_of_kobert_s_own_are_taken():
    assert (
        KoBertTokenizer(MODEL, VOCABULARY, False, remove_space=True, keep_accents=False).encode(SENTENCE)[1:-1] == IDS
    )


def test_a_tokenizer_of_another_kind_is_refused(tmp_path):
    shutil.copy(MODEL, tmp_path)
    with pytest.raises(TextError, match=r"KoBERT tokenizer was asked of .*; found one of the spm dialect, .*; pass"):
        KoBertTokenizer.from_pretrained(tmp_path)


@pytest.mark.parametrize("call", ["__call__", "encode", "encode_plus"])
def test_an_unknown_option_of_a_call_is_refused(tokenizer, call):
    with pytest.raises(InputError, match=r"asked for max_lenght \(did you mean max_length\?\); it knows .*; leave"):
        getattr(tokenizer, call)(SENTENCE, max_lenght=3)


def test_single_texts_and_pairs_do_not_mix(tokenizer):
    with pytest.raises(InputError, match=r"all single or all pairs; found both; encode the two kinds apart"):
        tokenizer([SENTENCE, PAIR])


def test_two_rows_that_have_special_tokens_are_refused(tokenizer):
    with pytest.raises(InputError, match=r"takes one row that holds both texts; found two; join them"):
        tokenizer.get_special_tokens_mask(IDS, IDS, already_has_special_tokens=True)
