"""Packing follows TF Hub's bert_pack_inputs, token for token."""

import time
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wellread.errors import InputError, TextError
from wellread.text.batch import Batch, Ragged, bert_pack_inputs, chunk, refuse_long
from wellread.text.vocabulary import SpecialTokens

SPECIAL = SpecialTokens(pad=0, unk=1, cls=2, sep=3, mask=4)
ROWS = st.lists(st.lists(st.integers(5, 99), max_size=12), min_size=1, max_size=6)


def kept_one_by_one(lengths: list[int], room: int) -> list[int]:
    """Give out room one token at a time, the first segment first."""
    kept = [0] * len(lengths)
    while sum(kept) < min(room, sum(lengths)):
        for segment, length in enumerate(lengths):
            if kept[segment] < length and sum(kept) < room:
                kept[segment] += 1
    return kept


def packed_one_by_one(segments: list[list[int]], seq_length: int) -> tuple[list[int], list[int], list[int]]:
    """Pack one row in the plainest way."""
    kept = kept_one_by_one([len(segment) for segment in segments], seq_length - len(segments) - 1)
    ids, types = [SPECIAL.cls], [0]
    for number, (segment, count) in enumerate(zip(segments, kept, strict=True)):
        ids += [*segment[:count], SPECIAL.sep]
        types += [number] * (count + 1)
    padding = seq_length - len(ids)
    return ids + [SPECIAL.pad] * padding, [1] * len(ids) + [0] * padding, types + [0] * padding


def as_lists(batch: Batch) -> list[tuple[list[int], list[int], list[int]]]:
    arrays = (batch.input_word_ids, batch.input_mask, batch.input_type_ids)
    return list(zip(*(array.tolist() for array in arrays), strict=True))


@given(rows=ROWS, seq_length=st.integers(2, 16))
def test_one_segment_agrees_with_one_token_at_a_time(rows: list[list[int]], seq_length: int) -> None:
    batch = bert_pack_inputs([rows], special=SPECIAL, seq_length=seq_length)
    assert as_lists(batch) == [packed_one_by_one([row], seq_length) for row in rows]


@given(pairs=st.lists(st.tuples(*[st.lists(st.integers(5, 99), max_size=12)] * 2)), seq_length=st.integers(3, 24))
def test_two_segments_agree_with_one_token_at_a_time(pairs: list[tuple[list[int], list[int]]], seq_length: int) -> None:
    first, second = [list(pair[0]) for pair in pairs], [list(pair[1]) for pair in pairs]
    batch = bert_pack_inputs([first, second], special=SPECIAL, seq_length=seq_length)
    assert as_lists(batch) == [packed_one_by_one(list(pair), seq_length) for pair in pairs]
    room = seq_length - 3
    assert batch.truncated.tolist() == [max(0, len(a) + len(b) - room) for a, b in pairs]


@pytest.mark.parametrize(
    ("first", "second", "room", "kept"),
    [
        (10, 10, 7, (4, 3)),
        (2, 10, 7, (2, 5)),
        (10, 2, 7, (5, 2)),
        (0, 10, 7, (0, 7)),
        (4, 3, 7, (4, 3)),
        (200, 200, 125, (63, 62)),
        (200, 10, 125, (115, 10)),
        (60, 200, 125, (60, 65)),
    ],
)
def test_published_vectors_of_the_round_robin(first: int, second: int, room: int, kept: tuple[int, int]) -> None:
    batch = bert_pack_inputs([[[5] * first], [[6] * second]], special=SPECIAL, seq_length=room + 3)
    ids = batch.input_word_ids[0]
    assert ((ids == 5).sum(), (ids == 6).sum()) == kept
    assert batch.truncated.tolist() == [first + second - sum(kept)]


def test_published_vector_of_a_pair() -> None:
    batch = bert_pack_inputs([[[6, 4, 5]], [[4, 7]]], special=SPECIAL)
    assert batch.input_word_ids.shape == (1, 128)
    assert batch.input_word_ids[0].tolist() == [2, 6, 4, 5, 3, 4, 7, 3] + [0] * 120
    assert batch.input_mask[0].tolist() == [1] * 8 + [0] * 120
    assert batch.input_type_ids[0].tolist() == [0, 0, 0, 0, 0, 1, 1, 1] + [0] * 120


def test_empty_texts_become_special_tokens_alone() -> None:
    assert bert_pack_inputs([[[]]], special=SPECIAL, seq_length=4).input_word_ids.tolist() == [[2, 3, 0, 0]]
    assert bert_pack_inputs([[[]], [[]]], special=SPECIAL, seq_length=4).input_word_ids.tolist() == [[2, 3, 3, 0]]
    assert bert_pack_inputs([[[]]], special=SPECIAL, seq_length=4).input_mask.tolist() == [[1, 1, 0, 0]]


def test_the_mask_counts_tokens_and_not_ids() -> None:
    batch = bert_pack_inputs([[[0, 7]]], special=SPECIAL, seq_length=6)
    assert batch.input_mask.tolist() == [[1, 1, 1, 1, 0, 0]]


def test_padding_takes_the_pad_id() -> None:
    kobert = SpecialTokens(unk=0, pad=1, cls=2, sep=3, mask=4)
    assert bert_pack_inputs([[[9]]], special=kobert, seq_length=5).input_word_ids.tolist() == [[2, 9, 3, 1, 1]]


def test_arrays_are_int32_and_counts_int64() -> None:
    batch = bert_pack_inputs([[[5], [6, 7]]], special=SPECIAL)
    assert [array.dtype for array in batch.values()] == [np.int32] * 3
    assert batch.truncated.dtype == batch.rows.dtype == np.int64


def test_a_batch_is_a_mapping_of_the_three_inputs() -> None:
    batch = bert_pack_inputs([[[5]]], special=SPECIAL)
    assert isinstance(batch, Mapping)
    assert list({**batch}) == ["input_word_ids", "input_mask", "input_type_ids"]
    assert batch["input_mask"] is batch.input_mask
    assert len(batch) == 3
    with pytest.raises(KeyError, match="truncated"):
        batch["truncated"]


def test_ragged_rows_pack_as_lists_do_even_where_they_are_a_part_of_a_larger_array() -> None:
    part = Ragged(values=np.arange(5, 15, dtype=np.int32), splits=np.array([2, 5, 5, 9]))
    ragged = bert_pack_inputs([part], special=SPECIAL, seq_length=5)
    assert as_lists(ragged) == as_lists(bert_pack_inputs([part.to_list()], special=SPECIAL, seq_length=5))
    chunked = bert_pack_inputs([part], special=SPECIAL, seq_length=4, on_long="chunk")
    assert chunked.input_word_ids[:, 1:3].tolist() == [[7, 8], [9, 3], [3, 0], [10, 11], [12, 13]]


def test_pad_to_longest_pads_to_the_longest_packed_row() -> None:
    batch = bert_pack_inputs([[[5], [6, 7, 8]]], special=SPECIAL, seq_length=16, pad_to_longest=True)
    assert batch.input_word_ids.tolist() == [[2, 5, 3, 0, 0], [2, 6, 7, 8, 3]]
    cut = bert_pack_inputs([[[5] * 99]], special=SPECIAL, seq_length=16, pad_to_longest=True)
    assert cut.input_word_ids.shape == (1, 16)


def test_no_rows_give_a_batch_of_no_rows() -> None:
    assert bert_pack_inputs([[]], special=SPECIAL, seq_length=8).input_word_ids.shape == (0, 8)
    assert bert_pack_inputs([[], []], special=SPECIAL, pad_to_longest=True).input_mask.shape == (0, 3)
    assert bert_pack_inputs([[]], special=SPECIAL, on_long="chunk").rows.tolist() == []


@given(rows=ROWS, seq_length=st.integers(3, 8))
def test_chunks_hold_every_token_in_order(rows: list[list[int]], seq_length: int) -> None:
    batch = bert_pack_inputs([rows], special=SPECIAL, seq_length=seq_length, on_long="chunk")
    joined: list[list[int]] = [[] for _ in rows]
    for row, ids, mask in zip(batch.rows, batch.input_word_ids, batch.input_mask, strict=True):
        joined[row] += ids[1 : mask.sum() - 1].tolist()
    assert joined == rows
    assert batch.truncated.tolist() == [0] * len(batch.rows)
    room = seq_length - 2
    assert len(batch.rows) == sum(max(1, -(-len(row) // room)) for row in rows)


def test_error_on_long_names_the_rows() -> None:
    rows = [[5] * 3, [5] * 9, [5], [5] * 7]
    message = (
        "sequence length of 8 leaves room for 6 tokens a row; 2 of 4 rows are longer: row 1 of 9, row 3 of 7; shorten"
    )
    with pytest.raises(TextError, match=message):
        bert_pack_inputs([rows], special=SPECIAL, seq_length=8, on_long="error")
    fits = bert_pack_inputs([rows], special=SPECIAL, seq_length=11, on_long="error")
    assert as_lists(fits) == as_lists(bert_pack_inputs([rows], special=SPECIAL, seq_length=11))


def test_a_part_of_the_rows_is_named_by_its_place_in_the_whole() -> None:
    with pytest.raises(TextError, match="1 of 2 rows are longer: row 101 of 9; shorten"):
        refuse_long(np.array([2, 9]), 6, 8, first_row=100)
    refuse_long(np.array([2, 6]), 6, 8, first_row=100)


def test_chunks_share_the_values_of_their_rows() -> None:
    segment = Ragged.from_rows([[5, 6, 7], [], [8, 9]])
    pieces, rows = chunk(segment, 2)
    assert pieces.to_list() == [[5, 6], [7], [], [8, 9]]
    assert rows.tolist() == [0, 0, 1, 2]
    assert pieces.values is segment.values


def test_error_on_long_counts_both_segments() -> None:
    with pytest.raises(TextError, match="room for 5 tokens a row; 1 of 1 rows are longer: row 0 of 6"):
        bert_pack_inputs([[[5] * 3], [[5] * 3]], special=SPECIAL, seq_length=8, on_long="error")


@pytest.mark.parametrize("count", [0, 3])
def test_refuses_other_than_one_or_two_segments(count: int) -> None:
    with pytest.raises(InputError, match=f"one or two segments can be packed; found {count}; pass"):
        bert_pack_inputs([[[5]]] * count, special=SPECIAL)


def test_refuses_segments_of_different_rows() -> None:
    with pytest.raises(InputError, match="equally many rows; found 2 and 1; match them up"):
        bert_pack_inputs([[[5], [6]], [[7]]], special=SPECIAL)


@pytest.mark.parametrize(("segments", "on_long", "needed"), [(1, "truncate", 2), (2, "error", 3), (1, "chunk", 3)])
def test_refuses_a_length_without_room_for_special_tokens(segments: int, on_long: str, needed: int) -> None:
    with pytest.raises(InputError, match=f"need a seq_length of at least {needed}; found {needed - 1}; raise it"):
        bert_pack_inputs([[[]]] * segments, special=SPECIAL, seq_length=needed - 1, on_long=on_long)
    batch = bert_pack_inputs([[[]]] * segments, special=SPECIAL, seq_length=needed, on_long=on_long)
    assert batch.input_word_ids.shape == (1, needed)


def test_refuses_an_unknown_treatment_of_long_rows() -> None:
    with pytest.raises(InputError, match=r"on_long='trunkate' is unknown.*did you mean truncate\?"):
        bert_pack_inputs([[[5]]], special=SPECIAL, on_long="trunkate")


def test_refuses_to_chunk_pairs() -> None:
    with pytest.raises(InputError, match='on_long="chunk" is for one segment; found 2; use "truncate"'):
        bert_pack_inputs([[[5]], [[6]]], special=SPECIAL, on_long="chunk")


@pytest.mark.parametrize("id", [2**31, -(2**31) - 1])
def test_refuses_ids_outside_int32(id: int) -> None:
    message = f"ids must fit in int32, -2147483648 to 2147483647; found {min(id, 5)} to {max(id, 5)}; check"
    with pytest.raises(InputError, match=message):
        bert_pack_inputs([[[5], [5, id]]], special=SPECIAL)
    wide = Ragged(values=np.array([5, id]), splits=np.array([0, 2]))  # type: ignore[arg-type]
    with pytest.raises(InputError, match=message):
        bert_pack_inputs([wide], special=SPECIAL)


@pytest.mark.parametrize(
    ("row", "found"), [([1.5], r"float64 of shape \(1,\)"), ([[1], [2]], r"int64 of shape \(2, 1\)"), (["a"], "<U1")]
)
def test_refuses_rows_that_are_not_ids(row: list[int], found: str) -> None:
    with pytest.raises(InputError, match=f"a segment must be rows of whole-numbered ids; found {found}"):
        bert_pack_inputs([[row]], special=SPECIAL)


def test_many_rows_pack_in_well_under_a_second() -> None:
    lengths = np.arange(100_000) % 200
    rows = Ragged(values=np.full(lengths.sum(), 5, np.int32), splits=np.append(0, np.cumsum(lengths)))
    before = time.process_time()
    bert_pack_inputs([rows, rows], special=SPECIAL)
    assert time.process_time() - before < 2  # about 0.4 where it was written; a loop over rows takes longer
