"""Candidates: sizes that are predicted, bounds, the choice among those within them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from learn.made_lessons import made_examples
from shrinking.searches import TEXTS, base, config
from tiny import tiny_config

from wellread.config import EncoderConfig
from wellread.errors import ConfigError
from wellread.learn.settings import FinetuneConfig
from wellread.learn.training_examples import head_for
from wellread.measure.size import shipped_bytes
from wellread.shrinking.material import take_material
from wellread.shrinking.scoring import store
from wellread.shrinking.settings import Bounds
from wellread.shrinking.shapes import Candidate, Grid, chosen, multiply_adds, stored_bytes, within
from wellread.shrinking.students import Layout, Shape, fresh_student, untrained, vocabularies

SHAPE = Shape(num_hidden_layers=2, hidden_size=16, max_seq_length=32)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    return base(tmp_path_factory.mktemp("files"), layers=3)


@pytest.mark.parametrize("task", ["classify", "tag", "vectors"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_a_size_is_that_of_what_is_saved(task, dtype, teacher, tmp_path):
    head = None
    if task != "vectors":
        head = head_for(task, made_examples(task, 40), teacher.checkpoint, FinetuneConfig(), ())
    material = take_material(teacher, "vectors", config(), texts=TEXTS)

    def saved(shape):
        directory = tmp_path / f"{shape.num_hidden_layers}"
        module = store(untrained(shape, teacher, head), dtype, directory, material)
        return shipped_bytes(module, directory), stored_bytes(Layout.of(shape, teacher.checkpoint, head), dtype, "bert")

    size, tensors = saved(replace(SHAPE, num_hidden_layers=1))
    beside = size - tensors
    size, tensors = saved(SHAPE)
    assert tensors + beside == pytest.approx(size, rel=0.02)


def test_multiply_adds_are_those_of_the_products():
    tokens, width, inner = 7, 12, 37
    layer = 4 * tokens * width * width + 2 * tokens * tokens * width + 2 * tokens * width * inner
    shape = EncoderConfig(
        vocab_size=9, hidden_size=12, num_hidden_layers=3, num_attention_heads=4, intermediate_size=37
    )
    assert multiply_adds(shape, tokens) == 3 * layer


def test_a_student_of_the_teachers_width_begins_with_some_of_its_layers(teacher):
    student = fresh_student(
        Shape(num_hidden_layers=2, hidden_size=24, max_seq_length=16), teacher, vectors=False, seed=0
    )
    ours, theirs = student.checkpoint.arrays(), teacher.checkpoint.arrays()
    for layer, of in ((0, 0), (1, 2)):
        name = "encoder.layer.{}.intermediate.dense.weight"
        assert np.array_equal(ours[name.format(layer)], theirs[name.format(of)])
    assert np.array_equal(
        ours["embeddings.position_embeddings.weight"], theirs["embeddings.position_embeddings.weight"][:16]
    )
    assert student.checkpoint.config.num_attention_heads == teacher.checkpoint.config.num_attention_heads
    student.encode(["a man is playing"], show_progress_bar=False)


def test_vocabularies_are_the_teachers_those_in_use_and_the_commonest(teacher):
    options = vocabularies(teacher, ["teacher", "trimmed", "11", "10"], TEXTS)
    sizes = {name: module.tokenizer.vocab_size for name, module in options.items()}
    assert list(sizes) == ["teacher", "trimmed", "11"]  # 10 pieces are hardly fewer than 11
    assert sizes["teacher"] == 99 > sizes["trimmed"] > 12 >= sizes["11"]  # what spells the others among them
    same = [options[name].encode("cat", show_progress_bar=False) for name in ("teacher", "trimmed")]
    np.testing.assert_allclose(*same, atol=1e-6)


def grid(teacher, **changes):
    given = config(layers="1, 2, 3, 4", widths="8, 16, 24, 32", dtypes="float16, int8", **changes)
    return Grid(sources={"teacher": teacher}, head=None, config=given, tokens=8.0, speed=(1e-4, 1e-9))


def test_no_shape_is_larger_than_the_teacher(teacher):
    candidates = grid(teacher).all()
    assert {each.num_hidden_layers for each in candidates} == {1, 2, 3}
    assert {each.hidden_size for each in candidates} == {8, 16, 24}
    assert [each.size_bytes for each in candidates] == sorted((each.size_bytes for each in candidates), reverse=True)
    with pytest.raises(ConfigError, match="the teacher has 3 layers of 24; name such as are no larger"):
        replace(grid(teacher), config=config(layers="6")).all()


def test_each_shape_is_tried_as_the_most_exact_type_that_fits(teacher):
    candidates = grid(teacher).all()
    largest = candidates[0]
    assert largest.dtype == "float16"
    assert within(candidates, Bounds())[0] == largest
    bound = Bounds(max_size=largest.size_bytes - 1)
    assert next(each for each in within(candidates, bound) if each.hidden_size == 24).dtype == "int8"


def test_bounds_that_no_shape_keeps_name_the_smallest_and_the_fastest(teacher):
    candidates = grid(teacher).all()
    with pytest.raises(
        ConfigError, match=r"at most 0\.001 MB was asked for; of 18 shapes none is: the smallest, L-1_H-8"
    ):
        within(candidates, Bounds(max_size=1_000))
    with pytest.raises(
        ConfigError, match=r"at least 1,000,000 texts/s .* the fastest, L-1_H-8.*, about [\d,]+ texts/s"
    ):
        within(candidates, Bounds(min_speed=1e6))


def made(layers, width, pieces=100, dtype="float16"):
    return Candidate(
        name=f"{layers}-{width}-{pieces}-{dtype}",
        num_hidden_layers=layers,
        hidden_size=width,
        vocabulary="teacher",
        pieces=pieces,
        dtype=dtype,
        parameters=0,
        size_bytes=layers * width * pieces,
        multiply_adds=layers * width**2,
    )


def of_width(width):
    return tiny_config(hidden_size=width)


def test_the_shapes_that_no_other_surpasses_are_tried_first():
    shapes = [made(1, 8), made(2, 8), made(1, 16), made(2, 16, 50), made(4, 8, dtype="int8")]
    assert [each.name for each in chosen(shapes, 4, teacher=of_width(32), all_sizes=False)] == [
        *("4-8-100-int8", "1-16-100-float16", "2-16-50-float16", "2-8-100-float16")
    ]
    assert "2-8-100-float16" not in [each.name for each in chosen(shapes, 3, teacher=of_width(32), all_sizes=False)]
    assert len(chosen(shapes, 9, teacher=of_width(32), all_sizes=False)) == 5


def test_shapes_that_begin_with_the_teachers_layers_are_tried_before_all_but_one_of_other_widths():
    shapes = [made(1, 16), made(2, 16, 50), made(3, 8), made(4, 8), made(1, 12)]
    assert [each.name for each in chosen(shapes, 3, teacher=of_width(16), all_sizes=False)] == [
        *("4-8-100-float16", "1-16-100-float16", "2-16-50-float16")
    ]
    assert [each.name for each in chosen(shapes, 1, teacher=of_width(16), all_sizes=False)] == ["2-16-50-float16"]


def test_all_sizes_are_tried_where_the_smallest_that_is_good_enough_is_looked_for():
    shapes = [made(layers, 8) for layers in range(1, 10)]
    assert [each.num_hidden_layers for each in chosen(shapes, 3, teacher=of_width(8), all_sizes=True)] == [9, 5, 1]
