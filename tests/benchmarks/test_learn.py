"""The bench of training: who is compared, that all end at one loss, and what is said."""

import json
from pathlib import Path

import pytest
import torch

from benchmarks import learn_gpu
from benchmarks.harness import read_texts
from benchmarks.learn import LearnResult, LearnRow, MemoryRow, refuse_unequal, run_learn
from benchmarks.learn_gpu import GpuRow, product_rate, training_rate
from benchmarks.learn_workloads import OURS, PEERS, SCRIPT, WORKLOADS, Workload, loop_config, split_texts
from benchmarks.machine import this_machine
from benchmarks.report import as_json, render
from wellread.config import EncoderConfig
from wellread.errors import BenchError, InputError
from wellread.hub.resolve import resolve

TINY = EncoderConfig(vocab_size=99, hidden_size=12, num_hidden_layers=2, num_attention_heads=4, intermediate_size=37)


def row(system: str, **changes: object) -> LearnRow:
    fields = {"seconds": (2.0, 1.0, 4.0), "steps": 10, "tokens": 500, "loss": 3.25, "peak_bytes": 2**20}
    return LearnRow(workload="mlm L-2_H-128", phase="epoch", system=system, **{**fields, **changes})


def result(**changes: object) -> LearnResult:
    rows = (
        row(OURS),
        row("Trainer", seconds=(7.0,)),
        LearnRow(workload="mlm L-2_H-128", phase="epoch", system="x", lacks="no y"),
    )
    fields = {"texts": 70, "rounds": 3, "machine": this_machine(), "rows": rows, "memory": (), "gpu": None}
    return LearnResult(**{**fields, **changes})


@pytest.mark.parametrize("kind", [pytest.param("mlm", marks=pytest.mark.slow), "classify"])
def test_everyone_trains_from_the_same_weights_to_about_the_same_loss(kind: str) -> None:
    work = Workload(kind=kind, shape="L-2_H-128", systems=(OURS, *PEERS))
    found = run_learn(resolve("default").directory, read_texts()[:48], workloads=[work], times=(), rounds=1)
    assert [one.system for one in found.rows] == [OURS, *PEERS]
    measured = [one for one in found.rows if one.lacks is None]
    assert OURS in {one.system for one in measured}
    assert all("accelerate" in one.lacks for one in found.rows if one.lacks is not None)
    assert len({(one.steps, one.tokens) for one in measured}) == 1
    assert all(one.loss == pytest.approx(measured[0].loss, rel=0.02) for one in measured)
    assert all(len(one.seconds) == 1 and one.peak_bytes > 2**26 for one in measured)


@pytest.mark.slow
def test_a_student_of_ours_and_of_the_script_are_alike_and_memory_is_told() -> None:
    work = Workload(kind="distil", shape="L-10_H-128", systems=(OURS, SCRIPT), phases=("first epoch", "later epoch"))
    found = run_learn(resolve("default").directory, read_texts()[:48], workloads=[work], times=(1, 2), rounds=1)
    assert [(one.phase, one.system) for one in found.rows] == [
        (phase, who) for phase in work.phases for who in (OURS, SCRIPT)
    ]
    assert len({one.tokens for one in found.rows}) == 1
    assert all(one.loss == pytest.approx(found.rows[0].loss, rel=0.02) for one in found.rows)
    assert [one.texts for one in found.memory] == [48, 96]
    assert all(one.peak_bytes > 2**26 for one in found.memory)


def test_unequal_training_is_refused() -> None:
    with pytest.raises(
        BenchError, match=r"train mlm L-3_H-256 equally; found .* 5\.000 by a, 6\.000 by b .*; report it"
    ):
        refuse_unequal(WORKLOADS[0], {"a": 5.0, "b": 6.0})
    refuse_unequal(WORKLOADS[0], {"a": 5.0, "b": 5.1})


@pytest.mark.parametrize(("texts", "rounds", "found"), [(["a"] * 9, 1, "7 and 1"), (["a"] * 64, 0, "56 and 0")])
def test_refuses_to_measure_nothing(tmp_path: Path, texts: list[str], rounds: int, found: str) -> None:
    with pytest.raises(InputError, match=f"at least 32 texts to train on and 1 round; found {found}; give more"):
        run_learn(tmp_path, texts, rounds=rounds)


def test_every_work_has_a_shape() -> None:
    shapes = {work.shape: work.config for work in WORKLOADS}
    assert {name: (c.num_hidden_layers, c.hidden_size) for name, c in shapes.items()} == {
        **{"L-3_H-256": (3, 256), "L-6_H-384": (6, 384), "L-12_H-256": (12, 256)}
    }
    assert {c.vocab_size for c in shapes.values()} == {30_522}


def test_settings_are_the_trainers_own() -> None:
    transformers = pytest.importorskip("transformers")
    theirs, ours = transformers.TrainingArguments.__dataclass_fields__, loop_config()
    for name in ("learning_rate", "weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon", "max_grad_norm"):
        assert getattr(ours, name) == theirs[name].default, name
    assert ours.lr_scheduler_type == theirs["lr_scheduler_type"].default == "linear"


def test_texts_are_held_out_evenly() -> None:
    train, dev = split_texts([str(i) for i in range(24)])
    assert dev == ["0", "8", "16"]
    assert sorted(train + dev) == sorted(str(i) for i in range(24))


def test_a_table_tells_ratios_and_who_was_absent() -> None:
    said = render(result(memory=(MemoryRow(texts=40, peak_bytes=3 * 2**20),)))
    lines = said.splitlines()
    assert lines[0] == "an epoch over 70 texts, median of 3 rounds in turn (lowest to highest)"
    (ours,) = (line for line in lines if line.startswith("| mlm") and OURS in line)
    assert [cell.strip() for cell in ours.split("|")[3:-1]] == [
        *("5.00", "250", "2.00", "1.00 to 4.00", "1.00", "3.250", "1 MiB")
    ]
    assert "3.50" in next(line for line in lines if "Trainer |" in line)
    assert "no y" in said
    assert "3 MiB" in said


def test_a_gpu_has_a_line() -> None:
    gpu = GpuRow(device="G", tokens_a_second=1_234_567.0, peak_flops=7.9e14, share=0.42)
    said = render(result(gpu=gpu))
    assert "G: 1,234,567 tokens/s of masked words at 12x768 in bf16, 42% of 790 TFLOP/s, its measured peak" in said


def test_json_has_what_the_table_derives() -> None:
    made = json.loads(as_json(result()))
    assert [one["ratio"] for one in made["rows"]] == [1.0, 3.5, None]
    assert [one["median"] for one in made["rows"]] == [2.0, 7.0, None]
    assert made["rows"][2]["loss"] is None


def test_rates_are_measured_on_any_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learn_gpu, "LENGTH", 7)
    assert product_rate("cpu", 16) > 0
    assert training_rate(TINY, "cpu", rows=3, steps=1) > 0


def test_no_gpu_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert learn_gpu.measure_gpu(TINY) is None
