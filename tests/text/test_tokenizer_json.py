"""fast_tokenizer: the tokenizers library, with the tokenizer.json that we write, gives our ids."""

import io
import json
import re
import subprocess
import sys
import unicodedata

import pytest
import sentencepiece
import tokenizers
from neighbours import DATA, TOKENIZERS

from wellread.config import TokenizerConfig
from wellread.export.parity import HOSTILE, read_lines
from wellread.text.tokenizer import load_tokenizer
from wellread.text.tokenizer_json import NAME, fast_tokenizer, normalizer, text_differences, write_fast_tokenizer
from wellread.text.wordpiece import TfHubRules

SAME_SCORE = 1e-3  # log-probabilities of whole texts, in float32
LIMIT = 0.005  # share of Korean lines that may be ties
KOBERT = {"model_file": "tokenizer_78b3253a26.model"}
ODD = [
    "▁a ▁ b",
    "Ｃ［CLS］ x",
    "\u2049\ufe0f\u203c\ufe0f",
    "  한\x1c국 \u3000",
    "é" * 51,
    "한" * 34,
    "😀" * 26 + " " + "😀" * 25,
]
ODD += ["``a'' 1,000원, 2,", "ΟΔΥΣΣΕΥΣ ᾈ ẞ", "가" * 33 + "ab", "\u1f88\u0345"]
MARKED = [text for text in HOSTILE if "[CLS]" in text]
STRANGE = [text for text in HOSTILE if "[CLS]" not in text] + ODD


@pytest.fixture(scope="module", params=TOKENIZERS)
def pair(request, tmp_path_factory):
    """A tokenizer of ours, and the same of its file."""
    place = tmp_path_factory.mktemp("tokenizer")
    ours = TOKENIZERS[request.param](place)
    write_fast_tokenizer(place, ours)
    return ours, tokenizers.Tokenizer.from_file(str(place / NAME))


def different(ours, fast, lines):
    """Return our ids and the library's where they are not the same."""
    theirs = [encoding.ids for encoding in fast.encode_batch_fast(lines, add_special_tokens=False)]
    return [(a, b) for a, b in zip(ours.tokenize(lines).to_list(), theirs, strict=True) if a != b]


def score(ours, ids):
    engine = getattr(ours.engine, "inner", ours.engine)
    return sum(engine.processor.get_score(engine.processor.piece_to_id(piece)) for piece in ours.pieces(ids))


def is_tie(ours, a, b):
    """Say whether two segmentations, neither with an unknown piece more, are of one text at one score."""
    unknown = ours.special.unk
    return (
        "".join(ours.pieces(a)) == "".join(ours.pieces(b))
        and a.count(unknown) == b.count(unknown)
        and abs(score(ours, a) - score(ours, b)) <= SAME_SCORE
    )


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_korean_lines_get_our_ids_but_for_ties(pair, form):
    ours, fast = pair
    lines = [unicodedata.normalize(form, line) for line in read_lines("ko")]
    assert len(lines) >= 10_000
    found = different(ours, fast, lines)
    assert all(is_tie(ours, a, b) for a, b in found) if ours.config.model_file else not found
    assert len(found) <= LIMIT * len(lines)
    promised = re.search(r"in ([\d.]+) % of 10,000 Korean", " ".join(text_differences(ours)))
    assert len(found) <= (float(promised[1]) / 100 * len(lines) if promised else 0)


def test_english_lines_get_our_ids(pair):
    assert not different(*pair, read_lines("en"))


def test_strange_texts_get_our_ids(pair):
    assert not different(*pair, STRANGE)


@pytest.mark.parametrize(("letter", "most"), [("é", 50), ("한", 33), ("😀", 25)])
def test_words_of_over_100_bytes_are_hidden_in_the_tfhub_dialect(letter, most):
    fast = normalizer(lower_case=False)
    assert fast.normalize_str(f"a {letter * most}.") == f"a {letter * most}."
    assert fast.normalize_str(f"a {letter * (most + 1)}.") == "a \0."


def test_special_tokens_in_a_text_are_as_the_differences_say(pair):
    ours, fast = pair
    said = any("Special tokens written in a text" in sentence for sentence in text_differences(ours))
    assert bool(different(ours, fast, MARKED)) == said == (ours.config.dialect in ("tfhub", "spm"))
    fast = tokenizers.Tokenizer.from_str(fast.to_str())
    fast.encode_special_tokens = True  # what split_special_tokens=True makes of it
    marked = [line.replace("[UNK]", "") for line in MARKED]
    assert not different(ours, fast, marked) or not said


def test_special_tokens_stand_where_the_encoder_wants_them(pair):
    ours, fast = pair
    special = ours.special
    both = fast.encode("[MASK]", "[PAD]")
    assert both.ids == [special.cls, special.mask, special.sep, special.pad, special.sep]
    assert both.type_ids == [0, 0, 0, 1, 1]
    assert both.special_tokens_mask[0] == 1
    assert fast.get_vocab_size() == ours.vocab_size
    assert fast.truncation is None
    assert fast.padding is None


def test_ids_come_back_as_text(pair):
    ours, fast = pair
    ids = ours.tokenize(["a man , a guitar 한국어 모델"])[0].tolist()
    assert fast.decode(ids) == ours.decode(ids)


@pytest.mark.parametrize("name", ["hf, cased", "tfhub, uncased", "kobert"])
def test_another_process_writes_the_same_bytes(tmp_path, name):
    write_fast_tokenizer(tmp_path, TOKENIZERS[name](tmp_path))
    code = "import sys; from pathlib import Path; from neighbours import *; from wellread.text import tokenizer_json\n"
    code += "place = Path(sys.argv[1]); tokenizer_json.write_fast_tokenizer(place, TOKENIZERS[sys.argv[2]](place))"
    (tmp_path / "again").mkdir()
    path = [str(DATA.parent), *sys.path]
    command = [sys.executable, "-c", f"import sys; sys.path[:0] = {path!r}\n{code}", str(tmp_path / "again"), name]
    subprocess.run(command, check=True)
    assert (tmp_path / NAME).read_bytes() == (tmp_path / "again" / NAME).read_bytes()


def test_kobert_in_lower_case_gets_our_ids():
    ours = load_tokenizer(DATA / "kobert", TokenizerConfig(dialect="kobert", do_lower_case=True, **KOBERT))
    fast = fast_tokenizer(ours)
    assert all(is_tie(ours, a, b) for a, b in different(ours, fast, [*read_lines("en")[:1000], *STRANGE]))


def test_special_tokens_have_the_lowest_score_there_is():
    """Zero would be found in texts, and a lower one would change the score of unknown characters."""
    ours = load_tokenizer(DATA / "kobert", TokenizerConfig(dialect="kobert", **KOBERT))
    low = min(s for s in map(ours.engine.inner.processor.get_score, range(8000)) if s)
    vocabulary = dict(json.loads(fast_tokenizer(ours).to_str())["model"]["vocab"])
    assert {vocabulary[piece] for piece in ("[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]")} == {low}


def trained(directory, **settings):
    model = io.BytesIO()
    lines = [*read_lines("ko")[:300], "a 1, b 20, c1,d 20,20 1 20 0 2 a,b , a 1,000 12,"]
    settings = {"vocab_size": 700, "character_coverage": 0.98, "hard_vocab_limit": False, **settings}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, minloglevel=2, **settings
    )
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    pieces = [processor.id_to_piece(id) for id in range(processor.get_piece_size())]
    special = ["[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]"]
    (directory / "x.model").write_bytes(model.getvalue())
    (directory / "vocab.txt").write_text("\n".join([*special, *pieces[::-1]]), "utf-8")
    return directory


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"normalization_rule_name": "identity"},
        {"normalization_rule_name": "nfkc_cf"},
        {"add_dummy_prefix": False},
        {"remove_extra_whitespaces": False},
        {"split_by_whitespace": False},
        {"user_defined_symbols": ["모델을", "음", "다."]},
    ],
    ids=str,
)
def test_the_settings_of_a_model_are_heeded(tmp_path, settings):
    ours = load_tokenizer(trained(tmp_path, **settings), TokenizerConfig(dialect="spm", model_file="x.model"))
    lines = [*read_lines("ko")[:2000], "  한국어  모델을 ", "한국어 모델을 AÅ", "ＡＢＣ ㅋㅋ"]
    found = different(ours, fast_tokenizer(ours), lines)
    assert all(is_tie(ours, a, b) for a, b in found)
    assert len(found) <= 0.01 * len(lines)  # so small a model has more ties


def test_a_comma_behind_a_number_is_a_piece_by_itself(tmp_path):
    place = trained(tmp_path, user_defined_symbols=["1,", "▁20,"])
    ours = load_tokenizer(place, TokenizerConfig(dialect="kobert", model_file="x.model"))
    assert len(ours.engine.numbers) == 2
    fast = fast_tokenizer(ours)
    lines = ["a 1, b", "1,1,", "20, 20,", "b 20,1", "a,", "1,000원", *read_lines("ko")[:2000]]
    for line in lines:
        found = different(ours, fast, [line])
        assert not found or is_tie(ours, *found[0]) or "1," in line or "20," in line
    assert not [piece for encoding in fast.encode_batch(lines) for piece in encoding.tokens if re.search(r"\d,", piece)]
    assert "pieces such as" in " ".join(text_differences(ours))


def test_the_rules_of_kobert_take_spaces_from_the_ends_whatever_the_model_does(tmp_path):
    place = trained(tmp_path, remove_extra_whitespaces=False)
    ours = load_tokenizer(place, TokenizerConfig(dialect="kobert", model_file="x.model"))
    assert not different(ours, fast_tokenizer(ours), [" 음악  방송\t", "\u3000\u3000배우 "])


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"model_type": "bpe"}, "a form that is no Unigram"),
        ({"byte_fallback": True, "vocab_size": 900}, "bytes for unknown characters"),
    ],
    ids=str,
)
def test_a_model_that_is_no_plain_unigram_has_no_such_file_and_the_card_says_so(tmp_path, settings, fault):
    ours = load_tokenizer(trained(tmp_path, **settings), TokenizerConfig(dialect="spm", model_file="x.model"))
    assert fast_tokenizer(ours) is None
    write_fast_tokenizer(tmp_path, ours)
    assert not (tmp_path / NAME).exists()
    [said] = text_differences(ours)
    assert said.startswith("There is no tokenizer.json")
    assert fault in said


def test_few_and_rare_characters_are_folded_otherwise():
    """The number in the sentence on the tfhub dialect: every code point, alone."""
    fast, rules = normalizer(lower_case=True), TfHubRules(lower_case=True)
    codes = [*range(0xAC00), *range(0xD7A4, 0xD800), *range(0xF900, 0x20000), *range(0xE0000, 0xE1000)]
    points = list(map(chr, codes))  # the others are Hangul, ideographs, of private use or not assigned
    wrong = [c for c in points if fast.normalize_str(c).replace(" ", "") != rules[ord(c)].replace(" ", "")]
    assert len(wrong) <= 410
    assert not [c for c in wrong if ord(c) < 0x1000]


@pytest.mark.parametrize("name", TOKENIZERS)
def test_what_differs_is_said_of_every_dialect(name, tmp_path):
    ours = TOKENIZERS[name](tmp_path)
    begins = {
        "hf": [],
        "tfhub": ["Special tokens written in a text", "Words of over 100 bytes"],
        "spm": ["Special tokens written in a text", "Where two segmentations of a text"],
        "kobert": ["Where two segmentations of a text", "Where a SentencePiece model has pieces"],
    }[ours.config.dialect]
    said = text_differences(ours)
    assert len(said) == len(begins)
    assert all(sentence.startswith(begin) for sentence, begin in zip(said, begins, strict=True))
