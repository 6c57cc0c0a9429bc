"""The kobert dialect follows KoBertTokenizer's text rules, here written once more in the plainest way."""

import io
from pathlib import Path

import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st
from kobert_rules import SPECIAL, TEXTS, plain_pieces

from wellread.config import TokenizerConfig
from wellread.export.parity import read_lines
from wellread.text.tokenizer import Tokenizer, load_tokenizer

DATA = Path(__file__).parent.parent / "data"
MODEL = "tokenizer_78b3253a26.model"


@pytest.fixture(scope="module")
def kobert() -> Tokenizer:
    return load_tokenizer(DATA / "kobert", TokenizerConfig(dialect="kobert", model_file=MODEL))


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """A model with pieces such as "1," and "▁20,", which KoBERT's happens not to have."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a 1, b 20, c1,d 20,20 1 20 0 2 a,b , a"] * 50),
        model_writer=model,
        vocab_size=19,
        user_defined_symbols=["1,", "▁20,"],
        hard_vocab_limit=False,
        minloglevel=2,
    )
    directory = tmp_path_factory.mktemp("numbers")
    (directory / "x.model").write_bytes(model.getvalue())
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    pieces = [processor.id_to_piece(id) for id in range(processor.get_piece_size())]
    (directory / "vocab.txt").write_text("\n".join([*SPECIAL, *pieces[::-1]]), encoding="utf-8")
    return load_tokenizer(directory, TokenizerConfig(dialect="kobert", model_file="x.model"))


def agrees(ours: Tokenizer, texts: list[str], lower_case: bool = False) -> bool:
    processor = ours.engine.inner.processor  # type: ignore[attr-defined]
    return ours.tokenize(texts).to_list() == [ours.ids(plain_pieces(processor, text, lower_case)) for text in texts]


def test_agrees_with_the_plain_rules_on_real_lines(kobert: Tokenizer) -> None:
    assert agrees(kobert, [*read_lines("ko"), *read_lines("en"), *TEXTS])


def test_agrees_with_the_plain_rules_in_lower_case() -> None:
    config = TokenizerConfig(dialect="kobert", model_file=MODEL, do_lower_case=True)
    ours = load_tokenizer(DATA / "kobert", config)
    assert agrees(ours, [*read_lines("en")[:1000], *TEXTS, "ΟΔΥΣΣΕΥΣ İ"], lower_case=True)
    assert ours.pieces(ours.tokenize(["[CLS] KoBERT"])[0])[0] == "[CLS]"


@given(
    text=st.text(alphabet=st.sampled_from("a한ㅋé\u0301\u3000 \n`'[]CLS1,½İ⑴👍\ufb01") | st.characters(codec="utf-8"))
)
def test_agrees_on_odd_texts_and_offsets_stay_within(kobert: Tokenizer, text: str) -> None:
    assert agrees(kobert, [text])
    found = kobert.tokenize_with_offsets([text])
    assert found.tokens.to_list() == kobert.tokenize([text]).to_list()
    starts, limits = found.starts[0].tolist(), found.limits[0].tolist()
    assert starts == sorted(starts)
    assert all(0 <= start <= limit <= len(text.encode()) for start, limit in zip(starts, limits, strict=True))


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("[CLS] 감사합니다. [SEP]", "[CLS] ▁감사 합니다 . [SEP]"),
        ("[CLS]감사합니다.[SEP]", "[CLS] ▁감사 합니다 . [SEP]"),
        ("é ``a''", '▁ e ▁" a "'),
        ("한국어 모델을 공유합니다.", "▁한국 어 ▁모델 을 ▁공유 합니다 ."),
    ],
)
def test_pieces(kobert: Tokenizer, text: str, pieces: str) -> None:
    assert kobert.pieces(kobert.tokenize([text])[0]) == pieces.split()


def test_a_comma_behind_a_number_is_a_piece_by_itself(numbers: Tokenizer) -> None:
    assert len(numbers.engine.numbers) == 2  # type: ignore[attr-defined]
    texts = ["a 1, b", "1,1,", "20, 20,", "b 20,1", "a,"]
    assert agrees(numbers, texts)
    assert [numbers.pieces(row)[-2:] for row in numbers.tokenize(texts)][1] == ["1", ","]
    assert all(not piece.endswith("1,") for row in numbers.tokenize(texts) for piece in numbers.pieces(row))


def test_parts_of_a_split_number_share_its_place(numbers: Tokenizer) -> None:
    found = numbers.tokenize_with_offsets(["[SEP] 1,"])
    places = dict(zip(numbers.pieces(found.tokens[0]), found.starts[0].tolist(), strict=True))
    assert found.tokens.to_list() == numbers.tokenize(["[SEP] 1,"]).to_list()
    assert places["[SEP]"] == 0
    assert places["1"] == places[","] == 6


def test_offsets_cover_the_text_before_the_rules(kobert: Tokenizer) -> None:
    text = "  é ``a'' [SEP]  한국ㅋ "
    found = kobert.tokenize_with_offsets([text])
    covered = [text.encode()[a:b].decode() for a, b in zip(found.starts[0], found.limits[0], strict=True)]
    assert covered == ["", "é", " ``", "a", "''", "[SEP]", "한국", "ㅋ"]
