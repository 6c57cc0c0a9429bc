"""The tables of TensorFlow's variable names: each a bijection, in TF Hub's order, undone by the way back."""

import numpy as np
import pytest
from tiny import tiny_config

from wellread.checkpoints import names
from wellread.checkpoints.tf_variables import LAYOUTS, TF1, TFHUB, Naming, from_layout, layout_shape, to_layout

BERT = tiny_config()
DISTILBERT = tiny_config(type_vocab_size=0, pooler="first_token")


@pytest.mark.parametrize("naming", [TF1, TFHUB], ids=lambda naming: naming.name)
@pytest.mark.parametrize("config", [BERT, DISTILBERT], ids=["bert", "distilbert"])
@pytest.mark.parametrize("mlm", [True, False])
def test_every_tensor_has_one_variable(naming: Naming, config, mlm) -> None:
    table = naming.table(config, mlm=mlm)
    assert table.keys() == names.shapes(config, mlm=mlm).keys()
    assert len({row.theirs for row in table.values()}) == len(table)
    assert {row.layout for row in table.values()} <= LAYOUTS.keys()


def test_variables_stand_in_the_order_of_tf_hub() -> None:
    order = [row.theirs for row in TFHUB.table(BERT, mlm=True).values()]
    assert order[:3] == ["word_embeddings/embeddings", "position_embedding/embeddings", "type_embeddings/embeddings"]
    assert order[5] == "transformer/layer_0/self_attention/query/kernel"
    assert order[16 * 3 + 5 :][:2] == ["pooler_transform/kernel", "pooler_transform/bias"]
    assert len(order) == 16 * 3 + 12
    assert len(TFHUB.table(DISTILBERT, mlm=False)) == 16 * 3 + 4


@pytest.mark.parametrize(("layout", "shape"), [("to_heads", (12, 12)), ("by_head", (12,)), ("from_heads", (12, 12))])
def test_heads_are_split_and_joined(layout, shape) -> None:
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    there = to_layout(layout, array, 4)
    assert there.shape == layout_shape(layout, shape, 4)
    assert there.flags.c_contiguous
    assert np.array_equal(from_layout(layout, there, 4), array)


def test_to_heads_puts_the_input_first() -> None:
    """A row of from_layout makes one output feature; feature 3 h + k belongs to head h of width 3."""
    array = np.zeros((12, 12), np.float32)
    array[3 * 2 + 1, 5] = 1
    assert to_layout("to_heads", array, 4)[5, 2, 1] == 1
    array = np.zeros((12, 12), np.float32)
    array[5, 3 * 2 + 1] = 1
    assert to_layout("from_heads", array, 4)[2, 1, 5] == 1


def test_transposed() -> None:
    array = np.arange(6.0).reshape(2, 3)
    assert np.array_equal(to_layout("transposed", array, 1), array.T)
    assert np.array_equal(from_layout("transposed", array.T, 1), array)
