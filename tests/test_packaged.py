"""The modules that ship with wellread: each gives its golden answers without a network; and how another is added."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from exports import KOBERT, KOBERT_CONFIG
from headed import head_of, headed
from int8_made import with_int8
from tiny import NATIVE, tiny_checkpoint, tiny_config

import wellread
from wellread.backends.backend import precisions
from wellread.catalog import modules as catalog
from wellread.catalog import packaged
from wellread.catalog.packaged import is_packaged, packaged_directory, packaged_modules
from wellread.cli.main import group
from wellread.config import SentenceConfig
from wellread.doctor.shipped import shipped, shipped_problems
from wellread.errors import HandleError
from wellread.hub.handles import locate
from wellread.module import Module
from wellread.text.tokenizer import load_tokenizer

GOLDEN = Path(__file__).parent / "data" / "packaged"
TOOL = Path(__file__).parent.parent / "tools" / "packaged_golden.py"
pytestmark = pytest.mark.filterwarnings(
    "ignore::wellread.errors.TruncationWarning", "ignore::wellread.errors.VocabularyWarning"
)


@pytest.fixture
def no_sockets(monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("a socket was opened")

    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)


def assert_golden(module, golden, precision):
    bound = golden["bounds"][precision]
    vectors = module.encode(golden["texts"], precision=precision, normalize_embeddings=True)
    assert np.abs(vectors - np.array(golden["vectors"])).max() <= bound
    if "labels" in golden:
        found = module.predict(golden["texts"], precision=precision)
        for one, label, score in zip(found, golden["labels"], golden["scores"], strict=True):
            assert abs(one.scores[label] - score) <= bound
            assert one.label == label or score - 0.5 < bound


@pytest.mark.parametrize("name", packaged_modules())
def test_each_gives_its_golden_answers_without_a_network(name, no_sockets):
    golden = json.loads((GOLDEN / f"{name}.json").read_text("utf-8"))
    assert_golden(wellread.load(name, backend="numpy"), golden, "f64")
    module = wellread.load(name)
    for precision in precisions(module.backend, module.checkpoint):
        assert_golden(module, golden, precision)


@pytest.mark.parametrize("name", packaged_modules())
def test_each_has_a_card_that_says_its_licence_and_text(name):
    card = (packaged.PACKAGED / name / "README.md").read_text("utf-8")
    assert re.search(r"(?m)^license: \S+$", card)
    assert re.search(r"(?m)^language: \S+$|^language:$|^language: \[", card)
    assert f"{wellread.load(name).checkpoint.num_parameters:,}" in card
    assert "licence" in card


def test_all_together_are_small():
    files = [path for place in packaged_modules().values() for path in place.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 40_000_000
    assert {path.stem for path in GOLDEN.glob("*.json")} == {*packaged_modules()}


# -- another one, as it would ship -------------------------------------------------------------------------------------


def korean(*, classify):
    """Make a tiny Korean module with int8 matrices, of a shape that the native kernel takes."""
    config = tiny_config(
        **{**NATIVE, "vocab_size": 8002, "type_vocab_size": 0, "pooler": "first_token"}, pad_token_id=1
    )
    checkpoint = with_int8(tiny_checkpoint(config, SentenceConfig(max_seq_length=32), mlm=False))
    if classify:
        checkpoint = headed(checkpoint, head_of("classify", "distilbert", labels=("0", "1")))
    return Module(checkpoint=checkpoint, tokenizer=load_tokenizer(KOBERT, KOBERT_CONFIG))


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A package tree with two more modules, and what is none."""
    place = tmp_path_factory.mktemp("catalog")
    shutil.copytree(packaged.PACKAGED / "default", place / "default")
    korean(classify=False).save(place / "default-ko")
    korean(classify=True).save(place / "default-ko-nsmc")
    (place / "families").mkdir()
    (place / "default-empty").mkdir()
    return place


@pytest.fixture
def package(tree, monkeypatch):
    monkeypatch.setattr(packaged, "PACKAGED", tree)
    catalog._living_by_last_word.cache_clear()
    yield tree
    catalog._living_by_last_word.cache_clear()


def test_what_lies_beside_the_default_ships_with_it(package, tmp_path, monkeypatch, no_sockets):
    assert [*packaged_modules()] == ["default", "default-ko", "default-ko-nsmc"]
    module = wellread.load("default-ko")
    assert (module.checkpoint.has_int8, module.info()["handle"]) == (True, "default-ko")
    assert wellread.load("default-ko-nsmc").predict("재미있다").label in "01"
    assert wellread.pull("default-ko").directory == package / "default-ko"
    assert [one.handle for one in wellread.verify()][:3] == [*packaged_modules()]
    assert locate("default-ko-nsmc").kind == "default"
    assert is_packaged(package / "default-ko")
    assert not is_packaged(package / "families")
    monkeypatch.chdir(tmp_path)
    korean(classify=True).save(tmp_path / "default-ko")  # as a path it goes before
    assert wellread.load(Path("default-ko")).checkpoint.head is not None
    assert wellread.load("./default-ko").checkpoint.head is not None
    assert wellread.load("default-ko").checkpoint.head is None


@pytest.mark.parametrize("name", ["default-empty", "default-", "default-../default", "default-KO", "families", ""])
def test_what_is_no_name_of_one(package, name):
    assert packaged_directory(name) is None


def test_a_name_that_is_near_gets_the_one_that_is_meant(package):
    with pytest.raises(HandleError, match=r"did you mean default-ko"):
        wellread.load("default-kor")


def test_a_name_that_this_version_does_not_ship():
    if "default-zz" not in packaged_modules():
        with pytest.raises(HandleError, match="did you mean default"):
            wellread.load("default-zz")


def test_golden_answers_are_written_and_kept(package):
    spec = importlib.util.spec_from_file_location("packaged_golden", TOOL)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    for name in ("default-ko", "default-ko-nsmc"):
        answers = json.loads(json.dumps(tool.golden(wellread.load(name, backend="numpy"))))
        assert ("labels" in answers) == (name == "default-ko-nsmc")
        assert_golden(wellread.load(name, backend="numpy"), answers, "f64")
        module = wellread.load(name)
        for precision in precisions(module.backend, module.checkpoint):
            assert_golden(module, answers, precision)
        with pytest.raises(AssertionError):
            assert_golden(replace(module, checkpoint=tiny_like(module)), answers, "f32")


def tiny_like(module):
    """Draw other weights of the same shape."""
    return headed(
        tiny_checkpoint(module.checkpoint.config, module.checkpoint.sentence, mlm=False, seed=3),
        module.checkpoint.head or head_of("classify", "distilbert", labels=("0", "1")),
    )


def test_verbs_know_them(package, tmp_path):
    def run(*arguments, code=0):
        done = CliRunner().invoke(group, [*map(str, arguments)])
        assert done.exit_code == code, done.output
        return done.output

    assert "wellread ships default, default-ko, default-ko-nsmc" in run("catalog", "--language", "Korean")
    assert run("catalog", "default-ko-nsmc").startswith("default-ko-nsmc, which ships with wellread\n  answers ")
    assert json.loads(run("catalog", "default-ko", "--json"))["family"] == "distilbert"
    assert "8,002 pieces" in run("info", "default-ko")
    assert "default-ko-nsmc  " in run("verify", "default-ko-nsmc")
    rows = "".join(f"{i}\t{text}\t{i % 2}\n" for i, text in enumerate(["정말 재미있다", "돈이 아깝다", "별로", "최고"]))
    (tmp_path / "ratings_test.txt").write_text(f"id\tdocument\tlabel\n{rows}", "utf-8")
    nsmc = ("evaluate", "classify", tmp_path / "ratings_test.txt", "--format", "nsmc")
    assert "accuracy" in run(*nsmc, "--model", "default-ko-nsmc")
    exact, as_shipped = (
        json.loads(run(*nsmc, "--model", "default-ko-nsmc", "--json", "--backend", "numpy", "--precision", precision))
        for precision in ("f64", "int8")
    )
    assert exact["examples"] == as_shipped["examples"] == 4
    assert "precision" in run(*nsmc, "--model", "default-ko-nsmc", "--precision", "int3", code=3)
    assert "fine-tuned for none" in run(*nsmc, "--model", "default-ko", code=3)


def test_the_doctor_looks_at_them(package):
    found = shipped()
    assert [(one.name, one.faults) for one in found] == [(name, ()) for name in packaged_modules()]
    assert all(one.size > 10_000 for one in found)
    assert list(shipped_problems(found)) == []
    path = package / "default-ko" / "model.safetensors"
    whole = path.read_bytes()
    try:
        path.write_bytes(whole[:-1])
        [problem] = shipped_problems(shipped())
    finally:
        path.write_bytes(whole)
    assert "the module default-ko, which ships with wellread, is damaged: model.safetensors" in problem.found
    assert "pip install --force-reinstall" in problem.advice


def test_a_start_of_an_int8_one_imports_no_framework(tree):
    code = (
        f"import pathlib, sys\nfrom wellread.catalog import packaged\npackaged.PACKAGED = pathlib.Path({str(tree)!r})\n"
        "import wellread\nmodule = wellread.load('default-ko')\nmodule.encode('기차는 몇 시에 떠나나요?')\n"
        "heavy = ['torch', 'transformers', 'tokenizers', 'wellread.card', 'wellread.tasks', 'wellread.quantising']\n"
        "heavy += ['openvino'] if module.backend == 'native' else []\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
