"""Students of several teachers: the loss, what is kept of them, exact resume, and what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from learn.pupils import METHODS, TEXTS, lively, student_for, teacher_for, watched
from learn.test_soft_labels import other_student
from learn.tiny_task import assert_bit_equal
from tiny import tiny_checkpoint, tiny_config, tiny_tokenizer

import wellread
from wellread.cli.main import group
from wellread.config import DenseConfig, SentenceConfig
from wellread.errors import ConfigError, TrainingError
from wellread.learn.distill.distill import distill
from wellread.learn.distill.student import DistillInputs, Teacher
from wellread.learn.distill.teacher import fingerprint
from wellread.learn.distill.vectors import vectors_student
from wellread.learn.distributed import Process
from wellread.learn.settings import VectorsConfig
from wellread.module import Module

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore::wellread.errors.TruncationWarning")
CONFIG = METHODS["vectors"]


def second_teacher(place) -> Module:
    """A teacher of another vocabulary and width, which reads a prompt before texts."""
    other = other_student(place)
    config = tiny_config(vocab_size=60, hidden_size=20, num_attention_heads=4)
    sentence = SentenceConfig(
        pooling="cls", normalize=True, max_seq_length=32, prompts={"q": "the cat "}, default_prompt_name="q"
    )
    return Module(checkpoint=lively(tiny_checkpoint(config, sentence, seed=8)), tokenizer=other.tokenizer)


@pytest.fixture
def teachers(tmp_path):
    return [teacher_for("vectors", tmp_path / "first"), second_teacher(tmp_path / "second")]


def inputs_for(place, teachers, *, config=CONFIG, student=None) -> DistillInputs:
    return DistillInputs(
        teachers=[Teacher(module=module, sha256=fingerprint(module)) for module in teachers],
        student=student,
        texts=TEXTS,
        pairs=None,
        config=config,
        output_dir=place / "run",
        process=Process(),
    )


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.mark.parametrize("given", [False, True])
def test_the_loss_is_the_weighted_sum_of_squared_distances(tmp_path, teachers, given):
    """Against NumPy: the student's pooled vector, a map for each teacher, and what `encode` of each says."""
    config = replace(CONFIG, vectors=VectorsConfig(weights="1, 0.25"))
    student = student_for("labels", tmp_path / "student") if given else None
    task = vectors_student(inputs_for(tmp_path, teachers, config=config, student=student))
    rows = np.array([3, 0, 41, 7])
    inputs = task.collate(rows, 0)
    texts = [TEXTS[row] for row in rows]
    packed = {name: array for name, array in inputs.items() if name != "theirs"}
    with torch.no_grad():
        states = task.model(packed, ["sequence_output"])["sequence_output"].numpy()
    mask = packed["input_mask"].numpy()[:, :, None]
    pooled = (states * mask).sum(1) / mask.sum(1)
    weights = task.model.arrays()
    expected = 0.0
    for module, name, weight in zip(teachers, ("sentence.0", "teachers.1"), (1, 0.25), strict=True):
        ours = unit(pooled @ weights[f"{name}.weight"].T + weights[f"{name}.bias"])
        assert ours.shape[1] == module.embedding_size
        expected += weight * (2 - 2 * (ours * module.encode(texts)).sum())
        expected += weight * 2 * (len(rows) - 1)  # 2 - 2 cos of each
    loss = task.loss(inputs)
    assert loss.count == 4
    assert loss.total.item() == pytest.approx(expected, rel=0.02)  # the teachers' vectors are in half precision


def test_a_student_without_a_map_gives_its_own_vector_to_all(tmp_path, teachers):
    config = tiny_config(hidden_size=12, num_attention_heads=2)
    plain = Module(checkpoint=tiny_checkpoint(config), tokenizer=tiny_tokenizer(tmp_path / "s"))
    task = vectors_student(inputs_for(tmp_path, teachers, student=plain))
    assert task.checkpoint.sentence.dense == ()
    assert task.model.arrays()["teachers.1.weight"].shape == (20, 12)
    maps = (DenseConfig(in_features=12, out_features=5), DenseConfig(in_features=5, out_features=12))
    mapped = Module(checkpoint=tiny_checkpoint(config, SentenceConfig(dense=maps)), tokenizer=plain.tokenizer)
    task = vectors_student(inputs_for(tmp_path, teachers, student=mapped))
    assert task.model.arrays()["teachers.1.weight"].shape == (20, 5)  # behind the last shared step


def test_the_module_keeps_the_first_space_and_names_all_teachers(tmp_path, teachers):
    loop = replace(CONFIG.loop, num_train_epochs=15, learning_rate=1e-2, save_steps=0)
    made = distill(teachers, TEXTS, output_dir=tmp_path / "run", config=replace(CONFIG, loop=loop))
    assert made.embedding_size == teachers[0].embedding_size == 12
    assert not any(name.startswith("teachers") for name in made.checkpoint.tensors)
    assert (made.encode(TEXTS) * teachers[0].encode(TEXTS)).sum(1).mean() > 0.7
    told = made.provenance
    assert told["teacher"]["sha256"] == fingerprint(teachers[0])
    assert told["further_teachers"]["2"]["sha256"] == fingerprint(teachers[1])
    made.save(tmp_path / "saved")
    assert fingerprint(teachers[1]) in (tmp_path / "saved" / "README.md").read_text("utf-8")
    assert np.allclose(wellread.load(tmp_path / "saved").encode(TEXTS[:3]), made.encode(TEXTS[:3]), atol=1e-3)


def test_a_run_of_several_goes_on_to_the_same_weights(tmp_path, teachers):
    def run(**options):
        made = distill(teachers, TEXTS, output_dir=tmp_path / "run", config=CONFIG, **options)
        return made.checkpoint.arrays()

    whole = run()
    shutil.rmtree(tmp_path / "run" / "checkpoint-12")
    assert_bit_equal(run(resume_from_checkpoint=True), whole)
    shutil.rmtree(tmp_path / "run" / "checkpoint-12")
    shutil.rmtree(tmp_path / "run" / "teacher")
    assert_bit_equal(run(resume_from_checkpoint=True), whole)
    with pytest.raises(TrainingError, match=r"further_teachers is None and was \['[0-9a-f]+'\]"):
        distill(teachers[0], TEXTS, output_dir=tmp_path / "run", config=CONFIG, resume_from_checkpoint=True)


def test_a_run_of_one_teacher_is_known_by_what_it_was_before_there_were_several(tmp_path, teachers):
    """So that one which was begun then goes on."""
    identity = vectors_student(inputs_for(tmp_path, teachers[:1])).identity()
    special = ["cls", "mask", "pad", "sep", "unk"]
    shape = ["hidden_size", "max_seq_length", "num_attention_heads", "num_hidden_layers"]
    loss = ["contrastive_temperature", "contrastive_weight"]
    assert sorted(identity) == sorted(
        ["task", "data", "teacher", "answers", *shape, *special, *loss, "teacher_on_disk"]
    )
    assert identity["teacher_on_disk"] is True


def test_runs_of_one_teacher_have_filled_the_caches_of_all(tmp_path, teachers):
    config = replace(CONFIG, loop=replace(CONFIG.loop, max_steps=1, save_steps=0))
    asked = []
    with watched("compute_shard", asked.append):
        for teacher in teachers:
            distill(teacher, TEXTS, output_dir=tmp_path / "run", config=config)
        assert len(asked) == 2
        distill(teachers, TEXTS, output_dir=tmp_path / "run", config=CONFIG)  # three epochs
    assert len(asked) == 2


def test_the_limit_of_the_disk_is_one_for_all(tmp_path, teachers):
    """What the first teacher says fits; what the second says is asked for every batch, and takes no room."""
    first, second = (len(TEXTS) * 2 * width for width in (12, 20))
    caches = vectors_student(
        inputs_for(tmp_path, teachers, config=replace(CONFIG, teacher_cache_gb=(first + second - 0.5) / 1e9))
    ).caches
    assert [cache.is_on_disk for cache in caches] == [True, False]
    both = vectors_student(
        inputs_for(tmp_path, teachers, config=replace(CONFIG, teacher_cache_gb=(first + second + 0.5) / 1e9))
    ).caches
    other = tmp_path / "run" / "teacher" / "other"
    other.mkdir(parents=True)
    for name in ("values.f16", "marks.u8"):
        (other / name).write_bytes(bytes(first))
    for cache in both:
        cache.prepare(0)
    keys = {cache.outputs[0].key for cache in both}
    assert {path.name for path in other.parent.iterdir()} == keys  # what is of no use gives way, and they do not
    rows = np.arange(9)
    for one, whole in zip(caches, both, strict=True):
        assert np.abs(one.read(rows, 0) - whole.read(rows, 0)).max() < 0.01


def test_the_command_takes_several_models(tmp_path, teachers):
    for number, module in enumerate(teachers):
        module.save(tmp_path / f"t{number}")
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS), "utf-8")
    shape = "--num-hidden-layers 1 --hidden-size 8 --num-attention-heads 2 --max-seq-length 16 --max-steps 2".split()
    models = ["-m", str(tmp_path / "t0"), "-m", str(tmp_path / "t1"), "--weights", "2,1"]
    command = ["distill", str(tmp_path / "texts.txt"), *models, "-o", str(tmp_path / "out"), *shape]
    done = CliRunner().invoke(group, command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "out" / "wellread.json").read_text())["provenance"]
    assert (told["teacher"]["handle"], told["further_teachers"]["2"]["handle"]) == ("t0", "t1")
    assert told["settings"]["vectors"]["weights"] == "2,1"
    refused = CliRunner().invoke(group, [*command, "--overwrite", "--revision", "main"])
    assert refused.exit_code == 2
    assert "--revision: of one --model; found 2; save each by itself first" in refused.output


@pytest.mark.parametrize("weights", ["0, 1", "1,", "one", "-1", "nan", "inf"])
def test_weights_that_are_none_are_refused(weights):
    with pytest.raises(ConfigError, match="weights are numbers above 0 with commas between, as 1, 0.5; found '"):
        VectorsConfig(weights=weights)


def test_weights_of_other_teachers_are_refused(tmp_path, teachers):
    config = replace(CONFIG, vectors=VectorsConfig(weights="1, 1, 1"))
    with pytest.raises(ConfigError, match="weights of 2 teachers were asked for; found 3: 1, 1, 1; give one for each"):
        distill(teachers, TEXTS, output_dir=tmp_path / "run", config=config)


@pytest.mark.parametrize("method", ["layers", "relations"])
def test_methods_of_one_teacher_refuse_several(tmp_path, teachers, method):
    with pytest.raises(ConfigError, match=rf"the method '{method}' learns from a teacher; found 2; give it one; sev"):
        distill(teachers, TEXTS, output_dir=tmp_path / "run", config=METHODS[method])


def test_no_teacher_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="learns from a teacher; found 0; give it one$"):
        distill([], TEXTS, output_dir=tmp_path / "run", config=CONFIG)
