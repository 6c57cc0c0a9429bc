"""The three maskings: how much they choose, what they put there, and what they depend on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tiny import PIECES, tiny_tokenizer

from wellread.errors import ConfigError
from wellread.text.batch import Ragged, bert_pack_inputs
from wellread.text.masking import KINDS, Masking, mask_tokens, masking_of, piece_counts, row_rng, word_begins
from wellread.text.vocabulary import SpecialTokens

V = 99
SPECIAL = SpecialTokens(pad=0, unk=1, cls=2, sep=3, mask=4)
BEGINS = np.arange(V) % 3 != 0
WEIGHTS = np.where(np.arange(V) < 40, 1.0, 0.25)
ROWS = np.arange(400)


def masking(kind: str, **changes: object) -> Masking:
    return Masking(special=SPECIAL, vocab_size=V, kind=kind, begins=BEGINS, weights=WEIGHTS, **changes)


def batch(shortest: int = 20, longest: int = 41, rows: int = len(ROWS), seed: int = 0):
    rng = np.random.default_rng(seed)
    ids = [rng.integers(5, V, rng.integers(shortest, longest)) for _ in range(rows)]
    return bert_pack_inputs([Ragged.from_rows(ids)], special=SPECIAL, seq_length=longest + 2)


def masked(kind: str, packed, *, seed: int = 0, epoch: int = 0, rows=ROWS, **changes: object):
    return mask_tokens(packed, masking=masking(kind, **changes), rng=row_rng(seed, epoch, rows))


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_rate_is_met_on_the_average_and_in_every_row(kind):
    packed = batch()
    special = 2 * len(ROWS) if kind == "smoothed" else 0
    total = packed.input_mask.sum() - 2 * len(ROWS) + special
    epochs = [masked(kind, packed, epoch=epoch) for epoch in range(20)]
    counts = np.array([np.bincount(m.positions // packed.input_word_ids.shape[1], minlength=400) for m in epochs])
    assert abs(counts.sum() / total / 20 - 0.15) < 0.002
    spread = 1 if kind != "words" else 7  # a word is taken whole
    targets = 0.15 * (packed.input_mask.sum(1) - (0 if kind == "smoothed" else 2))
    assert (np.abs(counts - targets) < spread + 1e-9).all()
    assert counts.min() >= 1


def test_eight_tenths_are_masks_one_tenth_is_anything_one_tenth_stays(kind):
    packed = batch()
    seen, labels = [], []
    for epoch in range(40):
        made = masked(kind, packed, epoch=epoch)
        seen.append(made.input_word_ids.ravel()[made.positions])
        labels.append(made.labels)
    seen, labels = np.concatenate(seen), np.concatenate(labels)
    assert abs((seen == SPECIAL.mask).mean() - (0.8 + 0.1 / V)) < 0.006
    assert abs((seen == labels).mean() - (0.1 + 0.1 / V)) < 0.005
    other = seen[(seen != SPECIAL.mask) & (seen != labels)]
    assert set(other) == set(range(V)) - {SPECIAL.mask}  # special tokens too
    assert np.bincount(other).max() < 2 * len(other) / V


def test_shares_are_those_that_were_asked_for(kind):
    made = masked(kind, packed := batch(), mask_share=0.0, random_share=0.0)
    assert np.array_equal(made.input_word_ids, packed.input_word_ids)
    made = masked(kind, packed, mask_share=1.0, random_share=0.0, rate=0.5)
    assert (made.input_word_ids.ravel()[made.positions] == SPECIAL.mask).all()
    assert abs(len(made.positions) / packed.input_mask.sum() - 0.5) < 0.04


def test_special_tokens_and_padding_are_never_chosen_and_the_rest_of_the_batch_stays(kind):
    packed = batch(1, 9)
    ids = packed.input_word_ids.copy()
    ids[::3, 1] = SPECIAL.unk
    before = ids.copy()
    made = masked(kind, {"input_word_ids": ids, "input_mask": packed.input_mask})
    assert (np.diff(made.positions) > 0).all()
    assert np.array_equal(made.labels, ids.ravel()[made.positions])
    assert not set(made.labels.tolist()) & set(range(5))
    assert packed.input_mask.ravel()[made.positions].all()
    untouched = np.delete(np.arange(ids.size), made.positions)
    assert np.array_equal(made.input_word_ids.ravel()[untouched], ids.ravel()[untouched])
    assert np.array_equal(ids, before)  # the caller's own


def test_every_row_that_can_has_a_mask_and_one_that_cannot_has_none(kind):
    packed = bert_pack_inputs([[[7], [], [1, 1], [8, 9]]], special=SPECIAL, seq_length=9)
    for epoch in range(30):
        made = masked(kind, packed, epoch=epoch, rows=np.arange(4))
        assert {*(made.positions // 9).tolist()} == {0, 3}


def test_masks_repeat_with_the_seed_and_change_with_seed_epoch_and_row(kind):
    packed = batch()
    first = masked(kind, packed, seed=1, epoch=2)
    again = masked(kind, packed, seed=1, epoch=2)
    assert np.array_equal(first.input_word_ids, again.input_word_ids)
    for other in ({"seed": 2, "epoch": 2}, {"seed": 1, "epoch": 3}, {"seed": 1, "epoch": 2, "rows": ROWS + 400}):
        shared = np.intersect1d(first.positions, masked(kind, packed, **other).positions)
        assert 0.05 < len(shared) / len(first.positions) < 0.3


def test_masks_do_not_depend_on_the_batch(kind):
    packed = batch(rows=9)
    whole = masked(kind, packed, rows=np.arange(9))
    for row in range(9):
        width = int(packed.input_mask[row].sum())  # without padding
        alone = {name: packed[name][row : row + 1, :width] for name in ("input_word_ids", "input_mask")}
        made = masked(kind, alone, rows=np.array([row]))
        assert np.array_equal(made.input_word_ids[0], whole.input_word_ids[row, :width])


def test_a_generator_of_numpy_serves_too(kind):
    made = mask_tokens(batch(), masking=masking(kind), rng=np.random.default_rng(3))
    assert 0.13 < len(made.positions) / batch().input_mask.sum() < 0.17


def test_words_are_chosen_whole():
    packed = batch()
    made = masked("words", packed)
    ids, width = packed.input_word_ids, packed.input_word_ids.shape[1]
    chosen = np.zeros(ids.shape, bool)
    chosen.ravel()[made.positions] = True
    parted = 0
    for row in range(len(ids)):
        for column in range(2, int(packed.input_mask[row].sum()) - 1):
            if not BEGINS[ids[row, column]]:
                parted += chosen[row, column] != chosen[row, column - 1]
    assert not parted
    assert width == 43


def test_pieces_of_a_word_are_chosen_apart():
    packed = batch()
    chosen = np.zeros(packed.input_word_ids.size, bool)
    chosen[masked("pieces", packed).positions] = True
    both = chosen & np.roll(chosen, 1)
    assert both.sum() / chosen.sum() < 0.25


def test_smoothed_prefers_what_weighs_more():
    packed = batch()
    labels = np.concatenate([masked("smoothed", packed, epoch=epoch).labels for epoch in range(20)])
    real = packed.input_word_ids[packed.input_word_ids >= 5]
    light, heavy = ((labels >= 40).sum() / (real >= 40).sum(), (labels < 40).sum() / (real < 40).sum())
    assert 3 < heavy / light < 4.2  # 4 in the first draw of a row, less in later ones


def test_weights_are_counts_to_the_power_of_minus_seven_tenths(tmp_path):
    counts = np.array([0, 1, 8, *[100] * 96])
    made = masking_of(tiny_tokenizer(tmp_path), kind="smoothed", counts=counts)
    assert np.allclose(made.weights[:4], [1, 1, 8**-0.7, 100**-0.7])


def test_what_begins_a_word(tmp_path):
    tokenizer = tiny_tokenizer(tmp_path)
    begins = word_begins(tokenizer)
    assert {piece for piece, yes in zip(PIECES, begins, strict=True) if not yes} == {"##s", "##ing"}
    pieces = replace(tokenizer.vocabulary, pieces=("▁ein", "er"))
    spm = replace(tokenizer, config=replace(tokenizer.config, dialect="spm", model_file="m"), vocabulary=pieces)
    assert word_begins(spm).tolist() == [True, False]
    assert masking_of(tokenizer, kind="words").begins is not None


def test_counts_of_pieces_are_those_of_all_parts():
    rows = Ragged.from_rows([np.arange(V)] * 12_000)
    assert (piece_counts(rows, V + 1) == [12_000] * V + [0]).all()


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"kind": "word"}, r"found kind 'word' \(did you mean words\?\); kind is one of pieces, words, smoothed"),
        ({"kind": "pieces", "rate": 0.0}, "found rate 0.0; "),
        ({"kind": "pieces", "rate": 1.0}, "found rate 1.0; "),
        ({"kind": "pieces", "mask_share": 0.95}, "found mask_share 0.95 and random_share 0.1; "),
        ({"kind": "pieces", "random_share": -0.1}, "found mask_share 0.8 and random_share -0.1; "),
        ({"kind": "words", "begins": None}, "found begins for 0 of 99 pieces; "),
        ({"kind": "smoothed", "weights": np.ones(98)}, "found weights for 98 of 99 pieces; "),
        ({"kind": "x", "rate": 2.0}, "found kind 'x'; rate 2.0; "),
    ],
)
def test_what_cannot_mask_is_refused(changes, found):
    given = {"begins": BEGINS, "weights": WEIGHTS, **changes}
    with pytest.raises(ConfigError, match=f"^tokens were to be masked; {found}"):
        Masking(special=SPECIAL, vocab_size=V, **given)
