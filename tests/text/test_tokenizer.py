"""What holds for a tokenizer of every dialect."""

import pickle
import time
from pathlib import Path

import pytest

from wellread.config import TokenizerConfig
from wellread.errors import InputError, TextError
from wellread.text.tokenizer import Tokenizer, load_tokenizer

DATA = Path(__file__).parent.parent / "data"
CONFIGS = {
    "hf": TokenizerConfig(dialect="hf", vocab_file="bert-base-uncased-vocab.txt", do_lower_case=True),
    "tfhub": TokenizerConfig(dialect="tfhub", vocab_file="bert-base-uncased-vocab.txt", do_lower_case=True),
    "spm": TokenizerConfig(dialect="spm", model_file="tokenizer_78b3253a26.model"),
    "kobert": TokenizerConfig(dialect="kobert", model_file="tokenizer_78b3253a26.model"),
}
HOSTILE = {
    "nothing": "",
    "white space": " \t\r\n\u3000\u00a0 ",
    "NUL": "a\0b\0",
    "controls": "".join(map(chr, range(0xA0))),
    "emoji": "👩‍👩‍👧‍👦 🇰🇷 👍🏽",
    "NFD Hangul": "한국어",
    "right-to-left": "\u202bשָׁלוֹם عليكم\u202c",
    "marks without end": "a" + "\u0301" * 5000,
    "not characters": "\ufffe\uffff\U0010ffff\ufeff",
    "every plane": "".join(map(chr, range(0, 0x110000, 997))).encode("utf-8", "ignore").decode(),
}


@pytest.fixture(params=CONFIGS, scope="module")
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    config = CONFIGS[request.param]
    return load_tokenizer(DATA / ("kobert" if config.model_file else "vocab"), config)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_gives_ids_and_offsets_within_it(tokenizer: Tokenizer, text: str) -> None:
    (row,) = tokenizer.tokenize([text])
    found = tokenizer.tokenize_with_offsets([text])
    assert found.tokens.to_list() == [row.tolist()]
    assert all(0 <= id < tokenizer.vocab_size for id in row)
    for start, limit in zip(found.starts[0], found.limits[0], strict=True):
        assert 0 <= start <= limit <= len(text.encode())
    assert isinstance(tokenizer.decode(row), str)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a" * 10_000_000, id="no space"),
        pytest.param("A man is playing a guitar. " * 370_000, id="spaces"),
        pytest.param("한" * 3_400_000, id="no space in Korean", marks=pytest.mark.slow),
    ],
)
def test_ten_megabytes_take_seconds(tokenizer: Tokenizer, text: str) -> None:
    before = time.process_time()
    (row,) = tokenizer.tokenize([text])
    assert time.process_time() - before < 60
    assert len(row) >= 1


def test_lone_surrogates_are_read_as_replacement_characters(tokenizer: Tokenizer) -> None:
    broken = tokenizer.tokenize_with_offsets(["a \ud800 b", "\udc00", "\ud83d\ude00"])
    whole = tokenizer.tokenize_with_offsets(["a \ufffd b", "\ufffd", "\U0001f600"])  # the last was a pair
    assert broken.tokens.to_list() == whole.tokens.to_list()
    assert broken.limits.to_list() == whole.limits.to_list()


def test_rows_do_not_depend_on_their_neighbours(tokenizer: Tokenizer) -> None:
    texts = ["A man", "", "한국어 모델", "[MASK] é", "…" * 40]
    assert tokenizer.tokenize(texts).to_list() == [tokenizer.tokenize([text]).to_list()[0] for text in texts]
    assert tokenizer.tokenize([]).to_list() == []
    assert len(tokenizer.tokenize_with_offsets([]).starts) == 0


def test_offsets_are_in_bytes_of_the_text_as_given(tokenizer: Tokenizer) -> None:
    text = "é 한국 a"
    found = tokenizer.tokenize_with_offsets([text])
    assert found.limits[0][-1] == len(text.encode())
    assert text.encode()[found.starts[0][-1] : found.limits[0][-1]].decode().strip() == "a"
    assert found.starts.splits.tolist() == found.limits.splits.tolist() == found.tokens.splits.tolist()


def test_a_pickled_tokenizer_is_the_same(tokenizer: Tokenizer) -> None:
    copy = pickle.loads(pickle.dumps(tokenizer))
    assert copy.tokenize(["한국어 a ½"]).to_list() == tokenizer.tokenize(["한국어 a ½"]).to_list()


def test_special_tokens_go_by_the_names_of_tf_hub(tokenizer: Tokenizer) -> None:
    kobert = {
        "vocab_size": 8002,
        "padding_id": 1,
        "start_of_sequence_id": 2,
        "end_of_segment_id": 3,
        "mask_id": 4,
    }
    bert = {
        "vocab_size": 30522,
        "padding_id": 0,
        "start_of_sequence_id": 101,
        "end_of_segment_id": 102,
        "mask_id": 103,
    }
    assert tokenizer.get_special_tokens_dict() == (kobert if tokenizer.config.model_file else bert)
    assert tokenizer.pieces([tokenizer.special.unk]) == ["[UNK]"]
    assert tokenizer.ids(["[MASK]", "no such piece"]) == [tokenizer.special.mask, tokenizer.special.unk]


def test_decode_drops_special_tokens_unless_told_not_to(tokenizer: Tokenizer) -> None:
    ids = [tokenizer.special.cls, *tokenizer.tokenize(["a"])[0], tokenizer.special.sep, tokenizer.special.pad]
    assert tokenizer.decode(ids) == "a"
    assert {"[CLS]", "[SEP]", "[PAD]"} <= set(
        tokenizer.decode(ids, skip_special_tokens=False).replace("]", "] ").replace("[", " [").split()
    )


@pytest.mark.parametrize("texts", ["one text", b"one text"])
def test_refuses_a_bare_string(tokenizer: Tokenizer, texts: str) -> None:
    kind = type(texts).__name__
    with pytest.raises(InputError, match=f"a list of texts was asked for; found one {kind}; wrap it in a list"):
        tokenizer.tokenize(texts)


def test_refuses_rows_that_are_not_text(tokenizer: Tokenizer) -> None:
    texts = ["a", None, 3.5, *[b""] * 5]
    message = (
        "each of 8 texts must be a str; 7 are not: NoneType in row 1, float in row 2, bytes in row 3, bytes in row 4, "
        "bytes in row 5; convert or drop them"
    )
    with pytest.raises(InputError, match=message):
        tokenizer.tokenize(texts)  # type: ignore[list-item]
    with pytest.raises(InputError, match=message):
        tokenizer.tokenize_with_offsets(texts)  # type: ignore[list-item]


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_refuses_a_directory_without_its_files(tmp_path: Path, config: TokenizerConfig) -> None:
    with pytest.raises(TextError, match=f"{config.model_file or config.vocab_file} was asked for; found none"):
        load_tokenizer(tmp_path, config)
