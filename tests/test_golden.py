"""Modules, runs and losses of version 0.1.0, in `data/golden`: this version loads, resumes and repeats them.

Bounds are relative to the largest value or 1: 1e-5 for outputs, 1e-6 for losses and resumed weights. The losses were
recorded on an EPYC with AVX-512 by one thread. Repeated there by two threads, and as on older CPUs (with
ATEN_CPU_CAPABILITY=avx2 and =default, ONEDNN_MAX_CPU_ISA=AVX2 and =SSE41, MKL_ENABLE_INSTRUCTIONS=AVX2 and =SSE4_2,
OPENBLAS_CORETYPE=Haswell and =Prescott, NPY_DISABLE_CPU_FEATURES="X86_V4 AVX512_ICL AVX512_SPR" and X86_V3 too), the
largest difference of a loss was 2.3e-7. Outputs were compared with the NumPy backend's in float64 instead (1.2e-6), for
OpenVINO computes NaN under ONEDNN_MAX_CPU_ISA.
An adam_epsilon of 1e-4 keeps gradients that are zero but for rounding from becoming steps. Teachers' outputs are
rounded to float16: `steady.txt` has texts whose outputs are far from where that rounding changes. Under the masks of
the recipes distilbert and distilkobert some are always near; noise of 1.5e-6 in all of them changed a loss by 6e-7.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.numpy import load_file

import wellread
from wellread.cli.main import group

# Its vocabulary is a hundred words: too few for Korean.
pytestmark = pytest.mark.filterwarnings("ignore::wellread.errors.VocabularyWarning")

GOLDEN = Path(__file__).parent / "data" / "golden"
ENGLISH = ["the man plays a guitar .", "a woman sings", "", "two small dogs are running in the old garden ."]
KOREAN = ["한국어 영화", "정말 재미있는 영화였다.", "", "1,000원 2019, 배우 [MASK] 연기"]
SECOND = ["a boy reads .", "the woman is singing a song in paris .", "the cat sleeps", "a dog ran home ."]
MODULES = {  # -> what it can do beside encoding; K: Korean
    "answer": "predict pairs",
    "classify": "predict",
    "distilbert": "",
    "encoder": "",
    "kobert": "K mlm",
    "mlm": "mlm",
    "pair": "predict pairs",
    "sentence": "",
    "similarity": "predict pairs",
    "sentencepiece": "K mlm",
    "tag": "predict",
}
LENGTH = 24


def texts_of(name: str) -> list[str]:
    return KOREAN if "K" in MODULES[name].split() else ENGLISH


def outputs(module: wellread.Module, name: str) -> dict[str, np.ndarray]:
    """Compute every array of a module in float32."""
    texts, abilities = texts_of(name), MODULES[name].split()
    packed = dict(module.bert_pack_inputs([module.tokenize(texts)], seq_length=LENGTH))
    arrays = {"input_word_ids": packed["input_word_ids"], "encode": module.encode(texts, precision="f32")}
    called = module(packed)
    arrays |= {key: called[key] for key in ("pooled_output", "sequence_output")}
    if "mlm" in abilities:
        positions = np.array([[1, 2]] * len(texts), np.int32)
        arrays["mlm_logits"] = module.mlm({**packed, "masked_lm_positions": positions})["mlm_logits"]
    return {key: np.asarray(array) for key, array in arrays.items()}


def predictions(module: wellread.Module, name: str) -> list[Any]:
    """Let a fine-tuned module judge its texts, as JSON has it."""
    pairs = SECOND if "pairs" in MODULES[name].split() else None
    texts = ["who sings ?"] * len(SECOND) if name == "answer" else ENGLISH
    judged = module.predict(texts, pairs, precision="f32")
    return json.loads(json.dumps([float(one) if isinstance(one, np.floating) else asdict(one) for one in judged]))


def run(command: str, output: Path) -> list[float]:
    """Run a verb of training beside the golden files, and return the loss of every step from its log."""
    with contextlib.chdir(GOLDEN):
        done = CliRunner().invoke(group, [*command.split(), "-o", str(output)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    log = Path(f"{output}-run", "log.jsonl").read_text("utf-8").splitlines()
    return [line["loss"] for line in map(json.loads, log) if "loss" in line]


def read(name: str) -> Any:
    path = GOLDEN / name
    return json.loads(path.read_text("utf-8")) if path.exists() else {}


def assert_near(actual: Any, expected: Any, bound: float) -> None:
    """Compare arrays of one shape by the largest difference."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max(initial=0) <= bound * max(1, np.abs(expected).max(initial=0))


def assert_same_json(actual: Any, expected: Any) -> None:
    """Compare what is recorded: floats within 1e-5, all else exactly; later releases may say more."""
    if isinstance(expected, Mapping):
        for key, value in expected.items():
            assert_same_json(actual[key], value)
    elif isinstance(expected, list):
        assert len(actual) == len(expected)
        for one, other in zip(actual, expected, strict=True):
            assert_same_json(one, other)
    else:
        assert actual == (pytest.approx(expected, abs=1e-5) if isinstance(expected, float) else expected)


@pytest.fixture(autouse=True)
def one_kind_of_device(monkeypatch):
    """Keep to the CPU, which the numbers are from."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_loads_with_the_same_outputs(name):
    module = wellread.load(GOLDEN / name)
    with np.load(GOLDEN / "expected.npz") as expected:
        recorded = {key.removeprefix(f"{name}/"): expected[key] for key in expected if key.startswith(f"{name}/")}
    actual = outputs(module, name)
    assert actual.keys() == recorded.keys()
    assert np.array_equal(actual["input_word_ids"], recorded["input_word_ids"])
    for key, array in recorded.items():
        assert_near(actual[key], array, 1e-5)


@pytest.mark.parametrize("name", [name for name, abilities in MODULES.items() if "predict" in abilities.split()])
def test_a_module_gives_the_same_predictions(name):
    assert_same_json(predictions(wellread.load(GOLDEN / name), name), read("predictions.json")[name])


@pytest.mark.parametrize("name", read("resumed.json"))
def test_a_stopped_run_goes_on_to_the_end_of_one_that_was_not(name, tmp_path):
    shutil.copytree(GOLDEN / f"{name}-run", tmp_path / f"{name}-run")
    recorded = read("resumed.json")[name]
    losses = run(f"{recorded['command']} --resume", tmp_path / name)
    assert_near(losses, recorded["losses"], 1e-6)
    weights, expected = (load_file(place / name / "model.safetensors") for place in (tmp_path, GOLDEN))
    assert weights.keys() == expected.keys()
    for key, array in expected.items():
        assert_near(weights[key], array, 1e-6)


@pytest.mark.parametrize("name", read("losses.json"))
def test_training_gives_the_losses_of_before(name, tmp_path):
    recorded = read("losses.json")[name]
    losses = run(recorded["command"], tmp_path / "module")
    assert len(losses) == 20
    assert_near(losses, recorded["losses"], 1e-6)
