"""Attention relations: what the loss is, what a student learns, and which pairs are refused."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from learn.pupils import METHODS, TEXTS, run, teacher_for
from tiny import PIECES, tiny_checkpoint, tiny_config

from wellread.backends.numpy import NumpyBackend
from wellread.config import TokenizerConfig
from wellread.errors import ConfigError, TrainingError
from wellread.learn.distill.distill import distill
from wellread.learn.distill.relations import relation_loss, relations_student
from wellread.learn.distill.student import DistillInputs, Teacher
from wellread.learn.distributed import Process
from wellread.learn.settings import RelationsConfig
from wellread.module import Module
from wellread.text.tokenizer import load_tokenizer

torch.set_num_threads(1)


def plain_relations(x: torch.Tensor, heads: int) -> torch.Tensor:
    """The paper's formula for one text [T, D], head by head: [heads, T, T]."""
    parts = x.split(x.shape[1] // heads, dim=1)
    return torch.stack([torch.softmax(part @ part.T / math.sqrt(part.shape[1]), -1) for part in parts])


def test_the_loss_is_the_paper_s_formula_over_real_tokens():
    generator = torch.Generator().manual_seed(0)
    ours, theirs = (torch.randn(3, 7, width, generator=generator) for width in (8, 12))
    lengths = (7, 4, 2)
    mask = (torch.arange(7) < torch.tensor(lengths)[:, None]).int()
    expected = 0.0
    for a, b, tokens in zip(ours, theirs, lengths, strict=True):
        student, teacher = plain_relations(a[:tokens], 4), plain_relations(b[:tokens], 4)
        # batchmean divides by the heads, the first axis
        expected += torch.nn.functional.kl_div(student.log(), teacher, reduction="batchmean").item()
    assert relation_loss(ours, theirs, mask, heads=4).item() == pytest.approx(expected, rel=1e-5)


def inputs_for(place, *, config=METHODS["relations"], student=None, teacher=None) -> DistillInputs:
    return DistillInputs(
        teachers=[Teacher(module=teacher or teacher_for("relations", place / "teacher"), sha256="hash")],
        student=student,
        texts=TEXTS,
        pairs=None,
        config=config,
        output_dir=place,
        process=Process(),
    )


@pytest.mark.parametrize("layer", [0, 1, -1])
def test_the_teacher_s_side_is_that_layer_of_the_whole_teacher(tmp_path, layer):
    """Hidden states come from a teacher that is cut short; the maps from the whole one."""
    config = replace(METHODS["relations"], relations=RelationsConfig(relation_layer=layer, relation_heads=4))
    made = inputs_for(tmp_path, config=config)
    task = relations_student(made)
    rows = np.array([5, 2, 11])
    inputs = task.collate(rows, 0)
    checkpoint = made.teacher.checkpoint
    outputs = ["embedding_output", "encoder_outputs"]
    reference = NumpyBackend(checkpoint).run({name: inputs[name].numpy() for name in task.rows.pack(rows)}, outputs)
    states = [reference["embedding_output"], *reference["encoder_outputs"]]
    mask = inputs["input_mask"].numpy() != 0
    assert np.abs(inputs["theirs"].numpy() - states[layer % 3][mask]).max() < 0.1
    padded = torch.zeros(*mask.shape, 12)
    padded[torch.from_numpy(mask)] = inputs["theirs"].float()
    expected = 0.0
    whole = {name: torch.from_numpy(array) for name, array in checkpoint.arrays().items()}
    ours = task.model.eval()
    entering = ours(inputs, ["encoder_outputs"])["encoder_outputs"][0]  # of two layers
    for part in ("query", "key", "value"):
        name = f"encoder.layer.{layer % 3}.attention.self.{part}"
        theirs = padded @ whole[f"{name}.weight"].T + whole[f"{name}.bias"]
        own = f"encoder.layer.1.attention.self.{part}"
        a = entering @ ours.get_parameter(f"{own}.weight").T + ours.get_parameter(f"{own}.bias")
        expected += relation_loss(a, theirs, inputs["input_mask"], heads=4).item()
    loss = task.loss(inputs)
    assert loss.total.item() == pytest.approx(expected, rel=1e-5)
    assert loss.count == inputs["input_mask"].sum()


def test_a_student_of_one_layer_is_compared_at_its_embeddings(tmp_path):
    task = relations_student(inputs_for(tmp_path, config=replace(METHODS["relations"], num_hidden_layers=1)))
    loss = task.loss(task.collate(np.arange(4), 0)).total
    loss.backward()
    assert task.model.get_parameter("encoder.layer.0.attention.self.value.weight").grad.abs().sum() > 0


def test_a_student_learns_relations(tmp_path):
    config = METHODS["relations"]
    config = replace(config, loop=replace(config.loop, num_train_epochs=40, save_steps=0, learning_rate=2e-2))
    run("relations", tmp_path, config=config)
    losses = [line.split('"loss": ')[1].split(",")[0] for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert float(losses[-1]) < 0.5 * float(losses[0])


def test_a_given_student_keeps_its_weights_where_it_does_not_learn(tmp_path):
    student = Module(
        checkpoint=tiny_checkpoint(tiny_config(hidden_size=8, num_attention_heads=2), seed=3),
        tokenizer=teacher_for("relations", tmp_path / "s").tokenizer,
    )
    made = distill(
        teacher_for("relations", tmp_path / "t"),
        TEXTS,
        output_dir=tmp_path / "run",
        config=METHODS["relations"],
        student=student,
    )
    before, after = student.checkpoint.arrays(), made.checkpoint.arrays()
    same = {name for name in before if np.array_equal(before[name], after[name])}
    assert "encoder.layer.2.output.dense.weight" in same  # behind the last queries, keys and values
    assert "encoder.layer.2.attention.self.query.weight" not in same
    assert made.provenance["student"]["sha256"] != made.provenance["teacher"]["sha256"]


def test_another_vocabulary_is_refused(tmp_path):
    (tmp_path / "vocab.txt").write_text("".join(f"{piece}\n" for piece in reversed(PIECES)))
    tokenizer = load_tokenizer(tmp_path, TokenizerConfig(dialect="hf", do_lower_case=True))
    student = Module(checkpoint=tiny_checkpoint(), tokenizer=tokenizer)
    with pytest.raises(ConfigError, match=r"so they need one vocabulary; found 99 pieces \(hf\) and 99 \(hf\) that"):
        relations_student(inputs_for(tmp_path, student=student))


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        (
            {"relations": RelationsConfig(relation_layer=3)},
            "relation_layer 3 was asked for; the teacher has the layers 0",
        ),
        ({"relations": RelationsConfig(relation_layer=-2)}, "relation_layer -2 was asked for"),
        ({"relations": RelationsConfig(relation_heads=3)}, "3 relation_heads were .* 12 and 8; choose a divisor of 4"),
        ({"relations": RelationsConfig(relation_heads=0)}, "0 relation_heads were asked for"),
        ({"max_seq_length": 42}, "max_seq_length 42 were asked for; the position table of the teacher has 41"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(tmp_path, changes, found):
    with pytest.raises(ConfigError, match=found):
        relations_student(inputs_for(tmp_path, config=replace(METHODS["relations"], **changes)))


def test_a_student_with_few_positions_is_refused(tmp_path):
    checkpoint = tiny_checkpoint(tiny_config(max_position_embeddings=9))
    student = Module(checkpoint=checkpoint, tokenizer=teacher_for("relations", tmp_path / "s").tokenizer)
    with pytest.raises(ConfigError, match="max_seq_length 16 were asked for; the position table of the student has 9"):
        relations_student(inputs_for(tmp_path, student=student))


def test_rows_that_are_all_too_short_are_refused(tmp_path):
    with pytest.raises(TrainingError, match="at least min_tokens 99 tokens were asked for; found 60 of at most"):
        relations_student(inputs_for(tmp_path, config=replace(METHODS["relations"], min_tokens=99)))


def test_short_rows_are_left_out_and_long_ones_go_on(tmp_path):
    rows = relations_student(
        inputs_for(tmp_path, config=replace(METHODS["relations"], min_tokens=9, max_seq_length=10))
    ).rows
    assert rows.lengths.min() == 9
    assert rows.lengths.max() == 10
    assert len(rows) < len(rows.segments[0])
