"""Sentence vectors: the two parts of the loss, students that are given, prompts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from learn.pupils import METHODS, TEXTS, teacher_for
from learn.test_soft_labels import other_student
from tiny import tiny_checkpoint, tiny_config

from wellread.config import DenseConfig, SentenceConfig
from wellread.errors import ConfigError
from wellread.learn.distill.distill import distill
from wellread.learn.distill.student import DistillInputs, Teacher
from wellread.learn.distill.vectors import contrastive_loss, vectors_student
from wellread.learn.distributed import Process
from wellread.learn.init import with_unit_vectors
from wellread.learn.settings import VectorsConfig
from wellread.module import Module

torch.set_num_threads(1)
CONFIG = METHODS["vectors"]


def inputs_for(place, *, config=CONFIG, student=None, teacher=None) -> DistillInputs:
    return DistillInputs(
        teachers=[Teacher(module=teacher or teacher_for("vectors", place / "teacher"), sha256="hash")],
        student=student,
        texts=TEXTS,
        pairs=None,
        config=config,
        output_dir=place,
        process=Process(),
    )


def units(seed: int) -> torch.Tensor:
    drawn = torch.randn(5, 12, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(drawn, dim=-1)


def test_telling_apart_is_infonce():
    ours, theirs = units(0), units(1)
    scores = (ours @ theirs.T / 0.1).exp()
    expected = -(scores.diagonal() / scores.sum(1)).log().sum()
    assert contrastive_loss(ours, theirs, temperature=0.1).item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_the_loss_is_squared_distance_and_the_contrastive_part(tmp_path, weight):
    config = replace(CONFIG, vectors=VectorsConfig(contrastive_weight=weight, contrastive_temperature=0.1))
    task = vectors_student(inputs_for(tmp_path, config=config))
    inputs = task.collate(np.arange(6), 0)
    theirs = torch.nn.functional.normalize(inputs["theirs"].float(), dim=-1)
    ours = task.model(inputs, ["sentence_embedding"])["sentence_embedding"]
    expected = (ours - theirs).pow(2).sum() + weight * contrastive_loss(ours, theirs, temperature=0.1)
    loss = task.loss(inputs)
    assert loss.count == 6
    assert loss.total.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.filterwarnings("ignore::wellread.errors.TruncationWarning")
def test_a_given_student_of_another_vocabulary_learns_the_teacher_s_space(tmp_path):
    teacher = teacher_for("vectors", tmp_path / "t")
    loop = replace(CONFIG.loop, num_train_epochs=30, save_steps=0)
    student = other_student(tmp_path / "o")
    made = distill(teacher, TEXTS, student=student, output_dir=tmp_path / "run", config=replace(CONFIG, loop=loop))
    assert made.embedding_size == teacher.embedding_size == 12
    assert made.checkpoint.config == student.checkpoint.config
    assert not made.checkpoint.has_mlm
    cosines = (made.encode(TEXTS) * teacher.encode(TEXTS)).sum(1)
    assert cosines.mean() > 0.7
    made.save(tmp_path / "saved")


@pytest.mark.parametrize(("pooling", "pooler"), [("mean", "first_token"), ("pooled_output", "dense_tanh")])
def test_a_pooler_that_vectors_are_not_made_of_goes(pooling, pooler):
    given = tiny_checkpoint(tiny_config(pooler="dense_tanh"))
    given = replace(given, sentence=replace(given.sentence, pooling=pooling))
    made = with_unit_vectors(given, given.embedding_size, CONFIG)
    assert made.config.pooler == pooler
    assert ("pooler.dense.weight" in made.tensors) == ("pooler" not in made.ignored) == (pooler == "dense_tanh")


def test_a_student_that_has_the_width_keeps_its_maps():
    maps = (DenseConfig(in_features=8, out_features=12),)
    config = tiny_config(hidden_size=8, num_attention_heads=2)
    student = tiny_checkpoint(config, SentenceConfig(dense=maps))
    made = with_unit_vectors(student, 12, CONFIG)
    assert made.sentence.dense == maps
    assert made.sentence.normalize
    assert np.array_equal(made.arrays()["sentence.0.weight"], student.arrays()["sentence.0.weight"])
    wider = with_unit_vectors(student, 20, CONFIG)
    assert [dense.out_features for dense in wider.sentence.dense] == [12, 20]
    assert wider.arrays()["sentence.1.weight"].shape == (20, 12)


def test_the_teacher_s_default_prompt_is_put_before(tmp_path):
    sentence = SentenceConfig(normalize=True, prompts={"q": "the cat "}, default_prompt_name="q", max_seq_length=32)
    plain = teacher_for("vectors", tmp_path / "t")
    teacher = Module(checkpoint=replace(plain.checkpoint, sentence=sentence), tokenizer=plain.tokenizer)
    made = vectors_student(inputs_for(tmp_path, teacher=teacher)).caches[0].read(np.arange(5), 0)
    assert np.abs(made - teacher.encode(TEXTS[:5])).max() < 0.02
    assert np.abs(made - plain.encode(TEXTS[:5])).max() > 0.05


def test_a_prompt_that_is_given_goes_before_the_teacher_s_own(tmp_path):
    teacher = teacher_for("vectors", tmp_path / "t")
    config = replace(CONFIG, vectors=VectorsConfig(prompts="the cat "))
    made = vectors_student(inputs_for(tmp_path, config=config, teacher=teacher)).caches[0].read(np.arange(5), 0)
    assert np.abs(made - teacher.encode(TEXTS[:5], prompt="the cat ")).max() < 0.02
    with pytest.raises(ConfigError, match=r"prompts of 1 teachers were asked for; found 2: ',the cat '"):
        vectors_student(inputs_for(tmp_path, config=replace(CONFIG, vectors=VectorsConfig(prompts=",the cat "))))


def test_a_teacher_s_whole_vectors_are_taught_whatever_it_keeps_of_them(tmp_path):
    plain = teacher_for("vectors", tmp_path / "t")
    sentence = replace(plain.checkpoint.sentence, truncate_dim=5)
    teacher = Module(checkpoint=replace(plain.checkpoint, sentence=sentence), tokenizer=plain.tokenizer)
    assert teacher.embedding_size == 5
    student = vectors_student(inputs_for(tmp_path, teacher=teacher))
    assert student.checkpoint.embedding_size == student.caches[0].read(np.arange(5), 0).shape[1] == 12
    cut = tiny_checkpoint(sentence=SentenceConfig(truncate_dim=5))
    assert with_unit_vectors(cut, 12, CONFIG).sentence.truncate_dim is None


def test_prompts_that_a_student_had_are_not_asked_for_any_more():
    asked = SentenceConfig(prompts={"query": "query: "}, default_prompt_name="query", max_seq_length=32)
    sentence = with_unit_vectors(tiny_checkpoint(sentence=asked), 12, CONFIG).sentence
    assert (sentence.prompts, sentence.default_prompt_name) == ({}, None)


def test_a_prompt_that_is_not_pooled_is_refused(tmp_path):
    prompts = {"prompts": {"q": "the cat "}, "default_prompt_name": "q", "include_prompt": False}
    plain = teacher_for("vectors", tmp_path / "t")
    sentence = SentenceConfig(normalize=True, max_seq_length=32, **prompts)
    teacher = Module(checkpoint=replace(plain.checkpoint, sentence=sentence), tokenizer=plain.tokenizer)
    with pytest.raises(ConfigError, match="found one that puts the prompt 'q' before texts and does not pool it"):
        vectors_student(inputs_for(tmp_path, teacher=teacher))


def test_a_given_student_with_few_positions_is_refused(tmp_path):
    student = Module(
        checkpoint=tiny_checkpoint(tiny_config(max_position_embeddings=9)),
        tokenizer=teacher_for("vectors", tmp_path / "s").tokenizer,
    )
    with pytest.raises(ConfigError, match="max_seq_length 16 were asked for; the position table of the student has 9"):
        vectors_student(inputs_for(tmp_path, student=student))
