"""Our side of TF Hub's work against TensorFlow's on a tiny module: every row is there, and disagreement is told."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny import tiny_config, tiny_module

from benchmarks import tfhub
from benchmarks.machine import Machine
from benchmarks.report import as_json, render
from benchmarks.startup import Program
from benchmarks.tfhub import READ, READERS, TfhubResult, TfhubRow, compare, read_once, run_tfhub
from benchmarks.tfhub_worker import FIRST_PASS, LATER_PASSES, lengths
from wellread.errors import BenchError, ExportError, InputError, MissingExtra

TEXTS = ["A man is playing the guitar.", "", "A cat sleeps!", *(f"the cat of word{i}" for i in range(60))]
ROUNDS = 1
NAMES = {
    FIRST_PASS: ["wellread tokenizer", "tensorflow-text"],
    LATER_PASSES: ["wellread tokenizer", "tensorflow-text"],
    "encode, 41 tokens": ["wellread SavedModel", "Keras tf.function", "Keras predict_on_batch"],
    "encode, 32 tokens": ["wellread SavedModel", "Keras tf.function", "Keras predict_on_batch"],
    READ: ["wellread reader", "tf.train.load_checkpoint"],
}


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("tfhub")
    tiny_module(place / "files").save(place / "tiny")
    return place / "tiny"


@pytest.fixture(scope="module")
def result(model_dir: Path) -> TfhubResult:
    return run_tfhub(model_dir, TEXTS, rounds=ROUNDS, read=tiny_config())


@pytest.mark.slow
def test_every_work_has_its_systems(result: TfhubResult) -> None:
    found: dict[str, list[str]] = {}
    for row in result.rows:
        found.setdefault(row.workload, []).append(row.system)
    assert found == NAMES
    assert all(len(row.seconds) == ROUNDS and min(row.seconds) > 0 for row in result.rows)
    assert {row.workload: row.texts for row in result.rows} == {work: None if work == READ else 63 for work in NAMES}


@pytest.mark.slow
def test_every_peer_says_how_it_agrees(result: TfhubResult) -> None:
    notes = {(row.workload, row.system): row.note for row in result.rows}
    for work in (FIRST_PASS, LATER_PASSES):
        assert notes[work, "tensorflow-text"] == "0 of 63 texts differ"
    for work in ("encode, 41 tokens", "encode, 32 tokens"):
        for peer in NAMES[work][1:]:
            assert float(notes[work, peer].removeprefix("largest difference ")) < 1e-5
    # 60 variables, the object graph and the counter that every tf.train.Checkpoint has
    assert notes[READ, "wellread reader"] == notes[READ, "tf.train.load_checkpoint"]
    assert notes[READ, "wellread reader"].startswith(f"{5 + 3 * 16 + 2 + 2} tensors, ")


@pytest.mark.slow
def test_table_and_json_hold_every_row(result: TfhubResult) -> None:
    lines = render(result).splitlines()
    for work, systems in NAMES.items():
        for name in systems:
            assert any(work in line and f" {name} |" in line for line in lines)
    rows = json.loads(as_json(result))["rows"]
    assert [(row["work"], row["contender"]) for row in rows] == [(w, name) for w in NAMES for name in NAMES[w]]
    for work in NAMES:
        best = min(row["median"] for row in rows if row["work"] == work and not row["contender"].startswith("wellread"))
        for row in rows:
            if row["work"] == work:
                assert row["ratio"] == pytest.approx(best / row["median"])
    assert "tensorflow-hub" in result.machine.versions


def test_a_table_to_the_letter() -> None:
    def row(work: str, name: str, *seconds: float, texts: int | None, note: str = "") -> TfhubRow:
        return TfhubRow(workload=work, system=name, seconds=seconds, texts=texts, note=note)

    made = TfhubResult(
        model="tiny",
        rounds=3,
        machine=Machine(cpu="Some CPU", cores=2, precisions=("f32",), python="3.11.7", versions={}),
        rows=(
            row("encode", "wellread SavedModel", 2.0, 1.0, 4.0, texts=5000),
            row("encode", "Keras tf.function", 5.0, 5.0, 5.0, texts=5000, note="near"),
            row("encode", "Keras predict_on_batch", 3.0, 3.0, 3.0, texts=5000, note="near"),
            row(READ, "wellread reader", 0.25, 0.5, 0.75, texts=None),
        ),
    )
    made = replace(made, rows=(*made.rows, row(READ, "tf.train.load_checkpoint", 4.0, 4.0, 4.0, texts=None)))
    lines = render(made).splitlines()
    assert lines[0] == "tiny: median of 3 rounds in turn (lowest to highest), x the fastest peer"
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    assert cells[0] == ["workload", "system", "speed", "spread", "x peer", "note"]
    assert cells[2:] == [
        ["encode", "wellread SavedModel", "2,500.0 texts/s", "1,250.0 to 5,000.0", "1.50", ""],
        ["encode", "Keras tf.function", "1,000.0 texts/s", "1,000.0 to 1,000.0", "0.60", "near"],
        ["encode", "Keras predict_on_batch", "1,666.7 texts/s", "1,666.7 to 1,666.7", "1.00", "near"],
        [READ, "wellread reader", "0.50 s", "0.25 to 0.75", "8.00", ""],
        [READ, "tf.train.load_checkpoint", "4.00 s", "4.00 to 4.00", "1.00", ""],
    ]


def test_no_length_goes_beyond_the_position_table() -> None:
    tables = {512: [128, 32], 128: [128, 32], 41: [41, 32], 32: [32], 7: [7]}
    assert {table: lengths(tiny_config(max_position_embeddings=table)) for table in tables} == tables


IDS = np.arange(200).reshape(100, 2)
STATES = np.linspace(-4.0, 4.0, 6).reshape(1, 3, 2)


def changed_rows(count: int) -> dict[str, np.ndarray]:
    other = IDS.copy()
    other[:count, 1] += 1
    return {"input_word_ids": other, "input_mask": IDS}


def test_ids_that_differ_are_counted_by_the_text() -> None:
    ours = {"input_word_ids": IDS, "input_mask": IDS}
    assert compare("preprocess", {"we": ours, "they": changed_rows(0)}) == "0 of 100 texts differ"
    assert compare("preprocess", {"we": ours, "they": changed_rows(1)}) == "1 of 100 texts differ"
    with pytest.raises(BenchError, match=r"we and they were to do the same work, preprocess; found 2 of 100 texts"):
        compare("preprocess", {"we": ours, "they": changed_rows(2)})


@pytest.mark.parametrize(
    ("theirs", "fault"),
    [
        ({"sequence_output": STATES + 1e-3}, r"largest difference 2\.5e-04 \(at most .* 0\.0001 of hidden states\); r"),
        ({"sequence_output": STATES * np.nan}, "largest difference nan"),
        ({"sequence_output": STATES[:, :2]}, "different arrays"),
        ({"other": STATES}, "different arrays"),
    ],
)
def test_hidden_states_that_differ_are_refused(theirs: Mapping[str, np.ndarray], fault: str) -> None:
    near = {"sequence_output": STATES + 1e-4}
    assert compare("encode", {"we": {"sequence_output": STATES}, "they": near}) == "largest difference 2.5e-05"
    with pytest.raises(BenchError, match=fault):
        compare("encode", {"we": {"sequence_output": STATES}, "they": theirs})


def test_readers_must_find_the_same_tensors(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    programs = [Program(name=name, code=f"print('[{count}, 8]')") for name, count in (("one", 3), ("two", 4))]
    monkeypatch.setattr(tfhub, "READERS", programs)
    with pytest.raises(BenchError, match="found 3 tensors, 8 bytes by one and 4 tensors, 8 bytes by two; report it"):
        tfhub._read(tmp_path, 1, lambda steps: None)


def test_a_reader_that_fails_tells_why(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"wellread reader was asked to read a checkpoint; .*no such file"):
        read_once(READERS[0], tmp_path / "none")


def test_refuses_to_measure_nothing(model_dir: Path) -> None:
    with pytest.raises(InputError, match="at least 1 text and 1 round; found 0 and 5; give more"):
        run_tfhub(model_dir, [])
    with pytest.raises(InputError, match="found 63 and 0; give more"):
        run_tfhub(model_dir, TEXTS, rounds=0)


def test_text_rules_that_tf_hub_lacks_are_refused_before_anything_starts(tmp_path: Path) -> None:
    module = tiny_module(tmp_path / "files")
    config = replace(module.tokenizer.config, tokenize_chinese_chars=False)
    module.tokenizer = replace(module.tokenizer, config=config)
    module.save(tmp_path / "odd")
    with pytest.raises(ExportError, match="tokenize_chinese_chars=False"):
        run_tfhub(tmp_path / "odd", TEXTS)


def test_without_tensorflow_the_extra_is_named(model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r'needs tensorflow, .* pip install "wellread\[tf\]"'):
        run_tfhub(model_dir, TEXTS)
