"""Rows of ids as batches."""

from __future__ import annotations

import numpy as np
import pytest

from wellread.learn.rows import Rows
from wellread.text.batch import Ragged, Template
from wellread.text.vocabulary import SpecialTokens

SPECIAL = SpecialTokens(pad=0, unk=1, cls=2, sep=3, mask=4)


@pytest.mark.parametrize(("type_rows", "types"), [(2, [0, 0, 0, 1, 1, 1]), (1, [0] * 6)])
def test_both_texts_of_a_pair_are_of_type_0_where_there_is_no_other(type_rows, types):
    segments = [Ragged.from_rows([[7]]), Ragged.from_rows([[8, 9]])]
    template = Template.of("bert", SPECIAL).for_types(type_rows)
    rows = Rows(segments=segments, template=template, max_seq_length=16)
    assert rows.pack(np.array([0]))["input_type_ids"].tolist() == [types]
