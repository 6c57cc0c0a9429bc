"""Everyone who is installed, on a tiny module: what is measured, how it agrees, and what is said of the absent."""

from collections.abc import Sequence
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest

from benchmarks import growth
from benchmarks.encode import EncodeResult, Measured, run_encode
from benchmarks.harness import Worker
from benchmarks.startup import PROGRAMS, Program, run_startup
from benchmarks.systems import DEFAULT
from wellread.backends.backend import is_installed
from wellread.backends.openvino import precisions
from wellread.checkpoints.checkpoint import Checkpoint, in_memory
from wellread.config import DenseConfig, EncoderConfig, SentenceConfig, TokenizerConfig
from wellread.errors import BenchError, InputError
from wellread.learn.init import fresh_arrays
from wellread.module import Module
from wellread.text.tokenizer import load_tokenizer

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz", *(f"##{c}" for c in "aeiounrst")]
SENTENCE = SentenceConfig(
    pooling="mean", dense=(DenseConfig(in_features=64, out_features=5),), normalize=True, max_seq_length=11
)
CONFIG = EncoderConfig(
    vocab_size=len(PIECES),
    hidden_size=64,  # the native kernel knows multiples of 32, in heads of 32
    num_hidden_layers=3,
    num_attention_heads=2,
    intermediate_size=96,
    max_position_embeddings=17,
    pooler="first_token",
    initializer_range=0.2,
)
TEXTS = ["a b c", "t h e", "q", "", *(" ".join("nesting" * k) for k in range(1, 14)), "sun", "Éa", "中 a"]
ROUNDS = 2
# its own function for int8 pads texts to 384 tokens, more than the tiny module has
CHOSEN = [name for name in DEFAULT if name != "sentence-transformers-openvino-int8"]


def save_module(directory: Path) -> Path:
    source = directory / "source"
    source.mkdir()
    (source / "vocab.txt").write_text("".join(f"{piece}\n" for piece in PIECES), "utf-8")
    module = Module(
        checkpoint=Checkpoint(
            family="bert", config=CONFIG, sentence=SENTENCE, tensors=in_memory(fresh_arrays(CONFIG, SENTENCE, seed=0))
        ),
        tokenizer=load_tokenizer(source, TokenizerConfig(dialect="hf", do_lower_case=True)),
    )
    module.save(directory / "tiny")
    return directory / "tiny"


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_module(tmp_path_factory.mktemp("bench"))


@pytest.fixture(scope="module")
def result(model_dir: Path) -> EncodeResult:
    return run_encode(model_dir, TEXTS, systems=[*CHOSEN, "wellread-numpy"], rounds=ROUNDS)


def measured(result: EncodeResult) -> dict[str, Measured]:
    return {row.system.name: row.measured for row in result.rows if row.measured is not None}


def test_every_system_has_its_row_in_order(result: EncodeResult) -> None:
    assert [row.system.name for row in result.rows] == [*CHOSEN, "wellread-numpy"]
    assert all((row.lacks is None) == (row.measured is not None) for row in result.rows)
    assert (result.model, result.texts, result.rounds) == ("tiny", len(TEXTS), ROUNDS)


def test_those_whose_packages_are_here_are_measured(result: EncodeResult) -> None:
    here = {
        *("wellread", "wellread-exact", "wellread-small", "wellread-openvino", "wellread-torch", "wellread-numpy"),
        *("sentence-transformers", "onnxruntime", "onnxruntime-int8", "onnxruntime-arrival"),
    }
    assert here <= set(measured(result))
    with_bf16 = {"wellread-openvino-bf16", "sentence-transformers-bf16"}
    assert with_bf16 & set(measured(result)) == (with_bf16 if "bf16" in precisions() else set())


def test_every_round_counts_but_the_first(result: EncodeResult) -> None:
    for found in measured(result).values():
        assert len(found.rates) == ROUNDS
        assert min(found.rates) > 0
        assert min(found.rates) <= found.rate <= max(found.rates)
        assert len(found.latencies) == ROUNDS
        assert 0 < min(found.latencies) <= found.latency <= max(found.latencies)
        assert found.load_seconds > 0
        assert 2**24 < found.peak_bytes < 2**34


def test_all_agree_with_the_reference_as_far_as_their_precision_goes(result: EncodeResult) -> None:
    least = {"f64": 1 - 1e-12, "f32": 1 - 1e-6, "bf16": 0.99, "int8": 0.99}
    for name, found in measured(result).items():
        if name == "wellread-small":  # another module: there is nothing to agree with
            assert found.cosine_mean is found.cosine_min is None
        else:
            assert found.cosine_mean is not None
            assert found.cosine_min is not None
            bound = least[
                "int8" if name == "wellread-int8" else found.precision
            ]  # where no backend multiplies int8, too
            assert bound < found.cosine_min <= found.cosine_mean < 1 + 1e-9, name


def test_systems_say_what_they_compute_in(result: EncodeResult) -> None:
    said = {name: found.precision for name, found in measured(result).items()}
    assert (
        said["wellread-openvino"]
        == said["wellread-torch"]
        == said["sentence-transformers"]
        == said["onnxruntime"]
        == "f32"
    )
    assert said["wellread-exact"] in ("f32", "exact")
    assert said["onnxruntime-int8"] == "int8"
    assert said["wellread-numpy"] == "f64"


def test_the_share_of_the_products_is_of_those_that_run_on_them(result: EncodeResult) -> None:
    for name, found in measured(result).items():
        native = is_installed("native") and name in ("wellread", "wellread-exact", "wellread-int8", "wellread-small")
        assert len(found.products) == (ROUNDS if native else 0), name
        share = found.share(len(TEXTS))
        assert (share is None) != native
        assert share is None or 0 < share < 10  # tiny maps multiply slowly by themselves too


def test_what_was_prepared_is_kept_for_the_same_module_alone(model_dir: Path, tmp_path: Path) -> None:
    for directory in (model_dir, model_dir, copytree(model_dir, tmp_path / "tiny")):
        run_encode(directory, TEXTS[:2], systems=["onnxruntime"], rounds=1, work=tmp_path / "work")
    places = sorted((tmp_path / "work").iterdir())
    assert [place.name.rpartition("-")[0] for place in places] == ["tiny", "tiny"]
    assert all((place / "f32.onnx").is_file() for place in places)


def test_growth_measures_ascending_sizes_of_the_same_texts(model_dir: Path) -> None:
    found = growth.run_growth(model_dir, TEXTS, sizes=[40, 10], rounds=2)
    assert [size.texts for size in found.sizes] == [10, 40]
    assert [len(size.seconds) for size in found.sizes] == [2 * 2 * growth.REPEATS, 2]
    assert all(min(size.seconds) > 0 for size in found.sizes)
    assert found.growth == found.sizes[1].seconds_a_text / found.sizes[0].seconds_a_text
    assert found.sizes[0].peak_bytes <= found.sizes[1].peak_bytes
    assert found.sizes[0].seconds_a_text == pytest.approx(np.median(found.sizes[0].seconds) / 10)


def test_growth_gives_every_size_the_same_mixture_of_texts(model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []
    ask = Worker.ask
    monkeypatch.setattr(
        Worker, "ask", lambda self, do, **more: asked.append({"do": do, **more}) or ask(self, do, **more)
    )
    growth.run_growth(model_dir, TEXTS, sizes=[6, 15])
    (taken,) = (request["texts"] for request in asked if request["do"] == "take")
    assert len(taken) == 3
    counts = [request["count"] for request in asked if "count" in request]
    assert counts == [*[6] * growth.REPEATS, 15, *[6] * growth.REPEATS]


def test_growth_refuses_no_size_and_a_system_that_cannot_run(model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for sizes in ([], [0, 5]):
        with pytest.raises(
            InputError, match=rf"sizes of at least 1 text; found \[{', '.join(map(str, sizes))}\]; correct"
        ):
            growth.run_growth(model_dir, TEXTS, sizes=sizes)
    monkeypatch.setattr(growth, "lacks", lambda needs, **more: "not installed: torch")
    with pytest.raises(BenchError, match="wellread-torch was to be measured; not installed: torch; install it or"):
        growth.run_growth(model_dir, TEXTS, sizes=[1], system="wellread-torch")


def test_startup_measures_each_program_in_every_round(model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    absent = Program(name="absent", code="print(1)", needs=("no_such_module",))
    monkeypatch.setattr("benchmarks.startup.PROGRAMS", (*PROGRAMS, absent))
    found = run_startup(model_dir, rounds=1)
    rows = {row.name: row for row in found.rows}
    names = ["python", "python and numpy", "wellread", "wellread embed", "sentence-transformers", "absent"]
    assert list(rows) == names
    assert [len(row.seconds) for row in found.rows] == [1, 1, 1, 1, 1, 0]
    assert rows["absent"].lacks == "not installed: no_such_module"
    assert rows["absent"].median is None
    assert 0 < rows["python"].seconds[0] < rows["wellread"].seconds[0]
    assert rows["python"].seconds[0] < rows["python and numpy"].seconds[0]


def test_startup_tells_how_a_program_failed(model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.startup.PROGRAMS", (Program(name="broken", code="raise MemoryError('too small')"),))
    with pytest.raises(BenchError, match=r"broken was asked to print a vector; .* code 1: MemoryError: too small;"):
        run_startup(model_dir, rounds=1)


def test_startup_refuses_no_round() -> None:
    with pytest.raises(InputError, match="at least 1 round; found 0; give more"):
        run_startup(rounds=0)


@pytest.mark.parametrize(("texts", "rounds", "found"), [([], 1, "0 and 1"), (["a"], 0, "1 and 0")])
def test_refuses_to_measure_nothing(model_dir: Path, texts: Sequence[str], rounds: int, found: str) -> None:
    with pytest.raises(InputError, match=f"at least 1 text and 1 round; found {found}; give more"):
        run_encode(model_dir, texts, rounds=rounds)


def test_refuses_a_directory_that_peers_cannot_open(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"found no modules\.json there; save the module first"):
        run_encode(tmp_path, TEXTS)


def test_only_sentence_transformers_needs_a_directory_that_it_can_open(model_dir: Path, tmp_path: Path) -> None:
    directory = copytree(model_dir, tmp_path / "tiny")
    (directory / "modules.json").unlink()
    with pytest.raises(InputError, match=r"found no modules\.json there"):
        run_encode(directory, TEXTS, systems=["sentence-transformers-openvino"])
