"""text.trim: a smaller vocabulary finds the kept pieces where the whole one does."""

import numpy as np
import pytest
import tokenizers
from piece_models import train
from tokenizers import models, pre_tokenizers
from trims import KINDS, corpus, fast, of_kind

from wellread.config import TokenizerConfig
from wellread.export.parity import HOSTILE, read_lines
from wellread.text.fast import of_library
from wellread.text.tokenizer import load_tokenizer
from wellread.text.trim import needed, subset


@pytest.fixture(scope="module", params=KINDS)
def whole(request, tmp_path_factory):
    return of_kind(tmp_path_factory.mktemp("whole"), request.param).tokenizer


def renumbered(kept, size):
    numbers = np.full(size, -1)
    numbers[kept] = np.arange(len(kept))
    return numbers


def seen(tokenizer, lines):
    return set(tokenizer.tokenize(lines).values.tolist())


def assert_finds(whole, smaller, kept, lines):
    """Every text whose pieces are kept has them; says how many have."""
    numbers = renumbered(kept, whole.vocab_size)
    before, after = whole.tokenize_with_offsets(lines), smaller.tokenize_with_offsets(lines)
    rows = [i for i, row in enumerate(before.tokens) if (numbers[row] >= 0).all()]
    for i in rows:
        assert numbers[before.tokens[i]].tolist() == after.tokens[i].tolist()
        assert before.starts[i].tolist() == after.starts[i].tolist()
        assert before.limits[i].tolist() == after.limits[i].tolist()
    assert smaller.tokenize(lines).to_list() == after.tokens.to_list()
    return len(rows)


def test_texts_whose_pieces_are_kept_have_them(whole):
    counted, others = [*corpus()[:400], *HOSTILE], corpus()[400:]
    kept = needed(whole, seen(whole, counted))
    smaller = subset(whole, kept)
    assert len(kept) < whole.vocab_size
    assert smaller.vocabulary.pieces == tuple(whole.vocabulary.pieces[id] for id in kept)
    assert assert_finds(whole, smaller, kept, counted) == len(counted)
    assert assert_finds(whole, smaller, kept, others) > 10


def test_special_tokens_stay_and_rows_are_made_of_them(whole):
    kept = needed(whole, [])
    smaller = subset(whole, kept)
    before, after = whole.special, smaller.special
    for name in ("unk", "pad", "cls", "sep", "mask"):
        old, new = getattr(before, name), getattr(after, name)
        assert whole.pieces([old]) == smaller.pieces([new])
    assert [row and smaller.pieces([row]) for row, _ in smaller.template.pair if row is not None] == [
        row and whole.pieces([row]) for row, _ in whole.template.pair if row is not None
    ]
    marked = f"{whole.config.mask_token}{whole.config.sep_token}"
    assert smaller.pieces(smaller.tokenize([marked])[0]) == whole.pieces(whole.tokenize([marked])[0]) or (
        whole.config.dialect in ("tfhub", "spm")  # mere text there
    )


def test_the_order_of_ids_stays_and_none_is_twice(whole):
    kept = needed(whole, [7, 3, 7, 200])
    assert kept.tolist() == sorted(set(kept.tolist()))
    assert {3, 7, 200} <= set(kept.tolist())


def test_the_alphabet_of_bytes_stays():
    tokenizer = fast("fast, bytes")
    smaller = subset(tokenizer, needed(tokenizer, []))
    assert set(pre_tokenizers.ByteLevel.alphabet()) <= set(smaller.vocabulary.pieces)
    text = "한국어 漢字 👍"
    assert smaller.decode(smaller.tokenize([text])[0]) == text


def test_what_a_piece_is_joined_of_stays():
    tokenizer = fast("fast, bytes")
    id = max(range(tokenizer.vocab_size), key=lambda id: len(tokenizer.vocabulary.pieces[id]))
    piece = tokenizer.vocabulary.pieces[id]
    smaller = subset(tokenizer, needed(tokenizer, [id]))
    word = tokenizer.decode([id])
    assert tokenizer.pieces(tokenizer.tokenize([word])[0]) == smaller.pieces(smaller.tokenize([word])[0]) == [piece]


def test_single_characters_of_kept_and_spelled_pieces_stay(whole):
    text = "guitars" if whole.config.dialect != "spm" else "오징어"
    ids = whole.tokenize([text])[0].tolist()
    kept = needed(whole, [], spelled=ids)
    smaller = subset(whole, kept)
    assert "".join(smaller.engine.join(smaller.pieces(smaller.tokenize([text])[0])).split()) == text


def test_the_score_of_what_is_unknown_stays(tmp_path):
    """It is derived from the lowest score, so a piece of that stays, whatever it is."""
    (tmp_path / "m.model").write_bytes(
        train(unk_piece="[UNK]", user_defined_symbols=["[PAD]", "[CLS]", "[SEP]", "[MASK]"])
    )
    tokenizer = load_tokenizer(tmp_path, TokenizerConfig(dialect="spm", vocab_file=None, model_file="m.model"))
    processor = tokenizer.engine.processor
    lowest = min(range(10, 1000), key=processor.get_score)
    kept = needed(tokenizer, [])
    assert processor.get_score(lowest) in [processor.get_score(id) for id in kept.tolist()]


def test_a_sentencepiece_bpe_keeps_what_its_pieces_are_joined_of(tmp_path):
    special = {"unk_piece": "[UNK]", "user_defined_symbols": ["[PAD]", "[CLS]", "[SEP]", "[MASK]"]}
    (tmp_path / "m.model").write_bytes(train(model_type="bpe", vocab_size=1200, **special))
    tokenizer = load_tokenizer(tmp_path, TokenizerConfig(dialect="spm", vocab_file=None, model_file="m.model"))
    kept = needed(tokenizer, seen(tokenizer, read_lines("en")[:100]))
    smaller = subset(tokenizer, kept)
    assert len(kept) < 1150
    assert assert_finds(tokenizer, smaller, kept, read_lines("en")[:100]) == 100


def test_added_tokens_that_the_model_lacks_follow_the_others():
    """The library gives them the ids behind the model's pieces, wherever they stood."""
    library = tokenizers.Tokenizer(models.WordLevel({"<unk>": 0, "a": 1, "b": 5}, unk_token="<unk>"))
    library.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    library.add_tokens(["c"])
    tokenizer = of_library(library, {"unk_token": "<unk>"})
    assert tokenizer.vocabulary.pieces == ("<unk>", "a", "", "c", "", "b")
    kept = needed(tokenizer, range(tokenizer.vocab_size))
    assert kept.tolist() == [0, 1, 5, 3]
    smaller = subset(tokenizer, kept)
    assert smaller.vocabulary.pieces == ("<unk>", "a", "b", "c")
    assert smaller.tokenize(["c b a x"]).to_list() == [[3, 2, 1, 0]]
