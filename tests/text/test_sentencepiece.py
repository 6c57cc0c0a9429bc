"""The spm dialect gives what sentencepiece gives, under the right ids."""

from pathlib import Path

import pytest
import sentencepiece
from own_ids import SPECIAL, own_tokenizer

from wellread.config import TokenizerConfig
from wellread.errors import TextError
from wellread.export.parity import read_lines
from wellread.text.sentencepiece import load_model
from wellread.text.tokenizer import Tokenizer, load_tokenizer

DATA = Path(__file__).parent.parent / "data"
MODEL = "tokenizer_78b3253a26.model"


@pytest.fixture(scope="module")
def kobert() -> Tokenizer:
    return load_tokenizer(DATA / "kobert", TokenizerConfig(dialect="spm", model_file=MODEL))


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return own_tokenizer(tmp_path_factory.mktemp("own"))


def test_agrees_with_sentencepiece_on_real_lines(kobert: Tokenizer) -> None:
    lines = [*read_lines("ko"), *read_lines("en")]
    processor = sentencepiece.SentencePieceProcessor(model_file=str(DATA / "kobert" / MODEL))
    numbers = {piece: id for id, piece in enumerate((DATA / "kobert" / "vocab.txt").read_text("utf-8").split("\n"))}
    expected = [[numbers.get(piece, 0) for piece in row] for row in processor.encode(lines, return_type=str)]
    assert len(lines) == 20_000
    assert kobert.tokenize(lines).to_list() == expected


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("한국어 모델을 공유합니다.", "▁한국 어 ▁모델 을 ▁공유 합니다 ."),
        (
            "쌀밥/잡곡밥 오징어찌개 쇠불고기 계란찜 청포묵무침",
            "▁ 쌀 밥 / 잡 곡 밥 ▁오 징 어 찌 개 ▁ 쇠 불 고 기 ▁계 란 찜 ▁청 포 묵 무 침",
        ),
        ("한국어로는 안돼??ㅋ", "▁한국 어 로 는 ▁안 돼 ?? ᄏ"),
        (
            "SKTBrain에서 KoBERT 모델을 공개해준 덕분에 BERT-CRF 기반",
            "▁SK T B ra in 에서 ▁K o B ER T ▁모델 을 ▁공개 해 준 ▁덕분에 ▁B ER T - C R F ▁기반",
        ),
        ("셔", "▁ 셔"),
        ("오", "▁오"),
        ("[CLS] 감사", "▁[ C LS ] ▁감사"),  # this model knows no special tokens
    ],
)
def test_published_pieces(kobert: Tokenizer, text: str, pieces: str) -> None:
    assert kobert.pieces(kobert.tokenize([text])[0]) == pieces.split()


def test_published_ids(kobert: Tokenizer) -> None:
    rows = kobert.tokenize(["한국어 모델을 공유합니다.", "나 보기가 역겨워", "김소월"]).to_list()
    assert rows[0] == [4958, 6855, 2046, 7088, 1050, 7843, 54]
    assert rows[1:] == [[1370, 2362, 5330, 3322, 5411, 7018], [1316, 6607, 7028]]


def test_ids_of_the_model_are_used_as_they_are(own: Tokenizer) -> None:
    assert own.vocab_size == 1500
    assert own.pieces(range(5)) == SPECIAL
    lines = read_lines("ko")[:1000]
    processor = own.engine.processor  # type: ignore[attr-defined]
    assert own.tokenize(lines).to_list() == processor.encode(lines, return_type=int)


def test_special_tokens_that_a_model_holds_are_found_in_the_text(own: Tokenizer) -> None:
    pieces = own.pieces(own.tokenize(["[CLS] 감사 [SEP]"])[0])
    assert pieces[:2] == ["▁", "[CLS]"]
    assert pieces[-1] == "[SEP]"


def test_unknown_characters_are_the_unknown_token(own: Tokenizer, kobert: Tokenizer) -> None:
    assert own.pieces(own.tokenize(["😀"])[0]) == kobert.pieces(kobert.tokenize(["😀"])[0]) == ["▁", "[UNK]"]


def test_offsets_cover_the_text_in_bytes(kobert: Tokenizer) -> None:
    text = "한국어 모델을ㅋ 😀."
    found = kobert.tokenize_with_offsets([text])
    covered = [text.encode()[a:b].decode() for a, b in zip(found.starts[0], found.limits[0], strict=True)]
    assert covered == ["한국", "어", " 모델", "을", "ㅋ", " ", "😀", "."]


def test_decode_turns_marks_into_spaces(kobert: Tokenizer) -> None:
    ids = kobert.tokenize(["한국어 모델을 공유합니다."]).to_list()[0]
    assert kobert.decode([2, *ids, 3, 1, 1]) == "한국어 모델을 공유합니다."
    assert kobert.decode([2, *ids, 3], skip_special_tokens=False) == "[CLS] 한국어 모델을 공유합니다.[SEP]"


def test_refuses_a_model_without_special_tokens() -> None:
    config = TokenizerConfig(dialect="spm", vocab_file=None, model_file=MODEL)
    message = r"78b3253a26.model must hold the special tokens that its rows need; of its 8000 pieces none is \[UNK\], "
    with pytest.raises(TextError, match=message) as refused:
        load_tokenizer(DATA / "kobert", config)
    assert "tokenizer_class in tokenizer_config.json, such as XLMRobertaTokenizer" in str(refused.value)


@pytest.mark.parametrize(
    ("content", "found"), [(b"no model at all", "its 15 bytes are none"), (b"", "its 0 bytes hold 0 pieces")]
)
def test_refuses_a_damaged_model(tmp_path: Path, content: bytes, found: str) -> None:
    (tmp_path / "x.model").write_bytes(content)
    message = f"x.model was read as a SentencePiece model; {found}; fetch the file again"
    with pytest.raises(TextError, match=message):
        load_tokenizer(tmp_path, TokenizerConfig(dialect="spm", model_file="x.model"))


def test_a_model_without_a_file_is_the_same(own: Tokenizer) -> None:
    lines = read_lines("ko")[:200]
    assert (
        load_model(own.model_bytes(), own.config, source="x").tokenize(lines).to_list() == own.tokenize(lines).to_list()
    )
    with pytest.raises(TextError, match="x was read as a SentencePiece model; its 1 bytes are none; fetch"):
        load_model(b"n", own.config, source="x")
