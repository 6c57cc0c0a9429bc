"""sentencepiece_model: what the file says is what SentencePiece itself says."""

import io

import numpy as np
import pytest
import sentencepiece
from neighbours import DATA

from wellread.formats.sentencepiece_model import check_charsmap, keep_pieces, read_sentencepiece

BYTES = (DATA / "kobert" / "tokenizer_78b3253a26.model").read_bytes()


def train(**settings):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a b c d e", "ab cd"] * 9),
        model_writer=model,
        hard_vocab_limit=False,
        minloglevel=2,
        **{"vocab_size": 12, **settings},
    )
    return read_sentencepiece(model.getvalue())


def test_pieces_and_scores_are_those_of_sentencepiece():
    model = read_sentencepiece(BYTES)
    processor = sentencepiece.SentencePieceProcessor(model_proto=BYTES)
    ids = [id for id in range(8000) if not processor.is_control(id) and not processor.is_unknown(id)]
    assert model.normal == {processor.id_to_piece(id): processor.get_score(id) for id in ids}
    assert (model.nfkc, model.dummy_prefix, model.collapses_spaces, model.faults) == (True, True, True, ())
    assert len(model.charsmap) == 237_538
    assert model.symbols == ()


def test_settings_are_read():
    model = train(
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        user_defined_symbols=["[A]"],
    )
    assert (model.nfkc, model.dummy_prefix, model.collapses_spaces, model.charsmap) == (False, False, False, b"")
    assert model.symbols == ("[A]",)
    assert "[A]" not in model.normal


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"model_type": "bpe"}, "a form that is no Unigram"),
        ({"treat_whitespace_as_suffix": True}, "spaces behind words"),
        ({"byte_fallback": True, "vocab_size": 280}, "bytes for unknown characters"),
    ],
)
def test_what_a_unigram_cannot_do_is_named(settings, fault):
    assert train(**settings).faults == (fault,)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"\x08\x01", "field 1 holds a number where a message stands"),
        (b"\x0a\x02\x08\x01", "field 1 holds a number where bytes stand"),
        (b"\x0a\x02\x12\x00", "field 2 holds bytes where a number stands"),
        (b"\x0a\x05", "a field of 5 bytes where 0 are left"),
    ],
)
def test_a_damaged_model_is_refused(content, found):
    with pytest.raises(ValueError, match=found):
        read_sentencepiece(content)


def test_a_model_with_fewer_pieces_is_one():
    model = read_sentencepiece(BYTES)
    kept = [id for id in range(8000) if id < 300 or id % 3 == 0]
    smaller = keep_pieces(BYTES + b"\x22\x04\x0a\x02\x0a\x00", kept)  # with tests that a model may carry of itself
    assert read_sentencepiece(smaller).pieces == tuple(model.pieces[id] for id in kept)
    assert read_sentencepiece(smaller).charsmap == model.charsmap
    processor = sentencepiece.SentencePieceProcessor(model_proto=smaller)
    assert processor.get_piece_size() == len(kept)
    assert keep_pieces(BYTES, range(8000)) == BYTES
    with pytest.raises(ValueError, match="field 1 holds a number where a message stands"):
        keep_pieces(b"\x08\x01", {0})


CHARSMAP = read_sentencepiece(BYTES).charsmap
SIZE = int.from_bytes(CHARSMAP[:4], "little")


def units(change):
    """Change the trie of KoBERT's map of characters."""
    trie = np.frombuffer(CHARSMAP[4 : 4 + SIZE], "<u4").copy()
    change(trie, trie >> 31 == 1)
    return CHARSMAP[:4] + trie.tobytes() + CHARSMAP[4 + SIZE :]


def test_a_map_of_characters_that_points_into_itself_is_taken():
    check_charsmap(CHARSMAP)
    check_charsmap(units(lambda trie, leaf: None))


@pytest.mark.parametrize(
    ("charsmap", "found"),
    [
        (b"", "of 0 bytes with a trie of 0"),
        (b"\x08\0\0\0ab", "of 6 bytes with a trie of 8"),
        (b"\x03\0\0\0abcd", "of 8 bytes with a trie of 3"),
        (units(lambda trie, leaf: np.putmask(trie, leaf, 0x80000000 | 10**8)), "of which 14809 of 44288 places"),
        (units(lambda trie, leaf: np.putmask(trie, ~leaf, 0x7FFFFFFF)), "places do not exist"),
        (units(lambda trie, leaf: np.putmask(trie, leaf, 0x80000000 | (len(CHARSMAP) - SIZE - 6))), "of which 14809"),
    ],
)
def test_a_map_of_characters_that_points_elsewhere_is_refused(charsmap, found):
    with pytest.raises(ValueError, match=found):
        check_charsmap(charsmap)
