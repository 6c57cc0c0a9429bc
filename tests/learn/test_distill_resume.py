"""A distillation that was cut short is the one that never was, whatever became of the teacher's outputs."""

from __future__ import annotations

import os
import shutil
import signal
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from learn.pupils import METHODS, TEXTS, run, small_shards, teacher_for, watched
from learn.tiny_task import assert_bit_equal, finish, start

import wellread
from wellread.errors import TrainingError

torch.set_num_threads(1)
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m")


def cut(place) -> None:
    """Leave what a run that was killed in its second epoch leaves."""
    shutil.rmtree(place / "run" / "checkpoint-12")


@pytest.mark.parametrize("method", METHODS)
def test_resume_gives_the_same_weights_with_and_without_the_teacher_s_files(tmp_path, method):
    with small_shards():
        whole = run(method, tmp_path)
        cut(tmp_path)
        assert_bit_equal(run(method, tmp_path, resume=True), whole)
        cut(tmp_path)
        shutil.rmtree(tmp_path / "run" / "teacher")
        assert_bit_equal(run(method, tmp_path, resume=True), whole)


@pytest.mark.parametrize("method", ["layers", "labels"])
def test_resume_gives_the_same_weights_where_nothing_is_kept(tmp_path, method):
    config = replace(METHODS[method], teacher_cache_gb=0.0)
    whole = run(method, tmp_path, config=config)
    assert not (tmp_path / "run" / "teacher").exists()
    cut(tmp_path)
    assert_bit_equal(run(method, tmp_path, config=config, resume=True), whole)


def test_resume_refuses_another_way_to_the_teacher_s_outputs(tmp_path):
    run("labels", tmp_path)
    cut(tmp_path)
    with pytest.raises(TrainingError, match="found that teacher_on_disk is False and was True"):
        run("labels", tmp_path, config=replace(METHODS["labels"], teacher_cache_gb=0.0), resume=True)


@pytest.mark.parametrize(("method", "sets"), [("layers", 2), ("relations", 1)])
def test_the_teacher_answers_once_for_each_set_of_masks(tmp_path, method, sets):
    """Three epochs: the first needs a set, the second another where there are masks, the third none."""
    asked = []
    with small_shards(), watched("compute_shard", asked.append):
        run(method, tmp_path)
    shards = len(next((tmp_path / "run" / "teacher").glob("*/marks.u8")).read_bytes())
    assert shards > 3
    assert len(asked) == sets * shards
    assert len({question.key for question, _ in asked}) == sets


def test_an_epoch_that_is_not_reached_costs_nothing(tmp_path):
    asked = []
    config = replace(METHODS["layers"], loop=replace(METHODS["layers"].loop, max_steps=4))  # of 4 steps is an epoch
    with watched("compute_shard", asked.append):
        run("layers", tmp_path, config=config)
    assert len({question.key for question, _ in asked}) == 1


# -- processes that are killed, and several at once --------------------------------------------------------------------

FLAGS = "--recipe distilbert --teacher-layers 0,2 --max-seq-length 16 --min-tokens 0 --per-device-train-batch-size 8"
FLAGS += " --gradient-accumulation-steps 1 --bf16 false --logging-steps 1 --mask-sets 2"


@pytest.fixture
def files(tmp_path):
    """A saved teacher without dropout, and texts: what the command is given."""
    teacher = teacher_for("layers", tmp_path / "files")
    config = replace(teacher.checkpoint.config, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    replace(teacher, checkpoint=replace(teacher.checkpoint, config=config)).save(tmp_path / "saved")
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS), "utf-8")
    return [str(tmp_path / "texts.txt"), "-m", str(tmp_path / "saved"), *FLAGS.split()]


def weights(place) -> dict[str, np.ndarray]:
    return wellread.load(place).checkpoint.arrays()


def test_a_run_that_is_killed_goes_on_to_the_same_student(files, tmp_path):
    command = ["wellread.cli.main", "distill", *files, "--num-train-epochs", "6", "--save-steps", "1"]
    finish(start("-m", *command, "-o", str(tmp_path / "whole")))
    killed = start("-m", *command, "-o", str(tmp_path / "killed"))
    log = tmp_path / "killed-run" / "log.jsonl"
    while killed.poll() is None and not (log.exists() and log.read_text().count("\n") > 10):
        time.sleep(0.01)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert not (tmp_path / "killed").exists()
    finish(start("-m", *command, "-o", str(tmp_path / "killed"), "--resume"))
    assert_bit_equal(weights(tmp_path / "killed"), weights(tmp_path / "whole"))


def test_two_processes_make_the_student_of_one(files, tmp_path):
    command = ["wellread.cli.main", "distill", *files, "--max-steps", "12", "--adam-epsilon", "1e-5"]
    done = finish(start(*TORCHRUN, *command, "-o", str(tmp_path / "both")))
    assert done.count("student: ") == 1
    command[command.index("--per-device-train-batch-size") + 1] = "16"
    finish(start("-m", *command, "-o", str(tmp_path / "alone")))
    both, alone = weights(tmp_path / "both"), weights(tmp_path / "alone")
    for name, array in alone.items():
        assert np.abs(array - both[name]).max() < 1e-5, name
