"""Several processes on one machine: the same weights as one, and no waiting for the dead."""

from __future__ import annotations

import json
import os
import signal
import socket
from dataclasses import replace

import numpy as np
import pytest
import torch
from learn.tiny_task import TinyTask, encoder, finish, start, trained, weights
from tiny import tiny_module

import wellread
from wellread.config import SentenceConfig
from wellread.learn.distill.distill import distill
from wellread.learn.distributed import Process, joined, sum_up, wait
from wellread.learn.settings import read_recipe

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m")
HALF = {"per_device_train_batch_size": 4, "save_steps": 10}


def free_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


def workers(directories, settings):
    """Start processes that meet as those of torchrun do, without it: it would end all as soon as one ends."""
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port(), "WORLD_SIZE": "2"}
    for rank, (directory, given) in enumerate(zip(directories, settings, strict=True)):
        yield start("-m", "learn.tiny_task", str(directory), json.dumps(given), **meeting, RANK=str(rank))


def test_two_processes_are_one_with_the_same_rows(tmp_path):
    finish(start(*TORCHRUN, "learn.tiny_task", str(tmp_path), json.dumps(HALF)))
    whole = trained(tmp_path / "alone", task=TinyTask(model=encoder(dropout=0.0)), per_device_train_batch_size=8)
    both = weights(tmp_path / "final.safetensors")
    assert both.keys() == whole.keys()
    for name, array in whole.items():
        assert np.abs(array - both[name]).max() < 1e-5, name
    assert json.loads((tmp_path / "checkpoint-20" / "state.json").read_text())["identity"]["processes"] == 2


def test_the_command_under_torchrun_makes_the_same_student(tmp_path):
    tiny_module(tmp_path / "files", sentence=SentenceConfig(normalize=True, max_seq_length=32)).save(tmp_path / "saved")
    (tmp_path / "texts.txt").write_text("".join(f"The cat runs to man number {i} of france.\n" for i in range(64)))
    flags = [str(tmp_path / "texts.txt"), "-m", str(tmp_path / "saved"), "-o", str(tmp_path / "both")]
    flags += "--num-hidden-layers 1 --hidden-size 8 --num-attention-heads 2 --max-steps 20 --adam-epsilon 1e-5".split()
    flags += "--per-device-train-batch-size 8 --bf16 false".split()
    assert finish(start(*TORCHRUN, "wellread.cli.main", "distill", *flags)).count("student: ") == 1
    recipe = read_recipe("default")
    loop = replace(recipe.distill.loop, max_steps=20, adam_epsilon=1e-5, per_device_train_batch_size=16, bf16="false")
    shape = replace(recipe.distill, num_hidden_layers=1, hidden_size=8, num_attention_heads=2, loop=loop)
    teacher, where = wellread.load(tmp_path / "saved"), tmp_path / "run"
    student = distill(teacher, [tmp_path / "texts.txt"], output_dir=where, recipe="default", config=shape)
    both, alone = wellread.load(tmp_path / "both").checkpoint.arrays(), student.checkpoint.arrays()
    for name, array in alone.items():
        assert np.abs(array - both[name]).max() < 1e-5, name


@pytest.mark.parametrize(("end", "timeout"), [(signal.SIGKILL, 60), (signal.SIGSTOP, 8)], ids=["killed", "hung"])
def test_a_worker_that_is_gone_ends_the_other(tmp_path, end, timeout):
    """The timeout holds for the meeting too, so it leaves a slow machine some time to start both."""
    first, second = workers([tmp_path, tmp_path], [{**HALF, "max_steps": 10**6, "ddp_timeout": timeout}] * 2)
    for line in second.stdout:
        if line == "Step 5\n":
            break
    os.kill(second.pid, end)
    _, errors = first.communicate(timeout=60)
    second.kill()
    second.communicate()
    assert first.returncode == 1
    message = errors.strip().splitlines()[-1]
    assert "TrainingError: the gradients of step" in message
    assert "were to be summed; found that a process ended or did not answer" in message
    assert "then start all again and resume from the last checkpoint; " in message


def test_processes_that_do_not_do_the_same_are_refused(tmp_path):
    for process in list(workers([tmp_path] * 2, [{**HALF, "seed": 1}, {**HALF, "seed": 2}])):
        _, errors = process.communicate(timeout=60)
        assert "TrainingError: 2 processes were to train one model; found that their data, models or" in errors


def test_one_that_never_comes_is_told(tmp_path):
    process = next(workers([tmp_path, tmp_path], [{**HALF, "ddp_timeout": 1}] * 2))
    _, errors = process.communicate(timeout=60)
    assert "TrainingError: all processes were to meet; found that a process ended or did not answer" in errors


def test_a_single_process_waits_for_nobody():
    with joined(1) as process:
        assert (process.count, process.is_main) == (1, True)
        wait(process, "nothing")
        numbers = torch.ones(2, dtype=torch.float64)
        assert sum_up([], numbers, process, what="nothing") is numbers
    assert not Process(rank=1, count=2).is_main
    assert not torch.distributed.is_initialized()
