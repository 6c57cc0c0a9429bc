"""int8 as a form of storage: `save(dtype="int8")`, exact on reload, and floats for other libraries."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers
from click.testing import CliRunner
from exports import kobert_module
from headed import head_of, headed
from sentence_transformers import SentenceTransformer
from tiny import tiny_config, tiny_module
from trims import corpus

import wellread
from wellread.checkpoints.native import read_manifest
from wellread.cli.main import group
from wellread.config import DenseConfig, SentenceConfig
from wellread.errors import CheckpointError, DataError, ExportError
from wellread.export.huggingface import _compare, export_huggingface
from wellread.quantising import sample

pytestmark = pytest.mark.filterwarnings("ignore::wellread.errors.TruncationWarning")
TEXTS = ["a man is playing the guitar .", "the woman runs", "paris", ""]
DENSE = SentenceConfig(
    max_seq_length=32, normalize=True, dense=(DenseConfig(in_features=12, out_features=7, activation="tanh"),)
)
CASES = {
    **{task: {"head": task} for task in ("classify", "tag", "similarity", "rank")},
    "dense": {"sentence": DENSE},
    "factorised": {"config": tiny_config(embedding_size=5, pooler="first_token", mlm_act="gelu"), "family": "electra"},
    "kobert": {},
}


@pytest.fixture(autouse=True)
def own_texts(monkeypatch):
    """Have tiny vocabularies calibrated on few texts, whatever they read."""
    monkeypatch.setattr(sample, "READABLE", -1.0)
    monkeypatch.setattr(sample, "packaged", lambda language: corpus()[language == "en" : 24 : 2])


def made(case, tmp_path):
    if case == "kobert":
        return replace(kobert_module(), backend="numpy")
    options = dict(CASES[case])
    task = options.pop("head", None)
    module = tiny_module(tmp_path / "files", backend="numpy", mlm=task is None, **options)
    return replace(module, checkpoint=headed(module.checkpoint, head_of(task))) if task else module


def weights_of(directory):
    return {path.relative_to(directory): path.read_bytes() for path in directory.rglob("*.safetensors")}


@pytest.mark.parametrize("case", CASES)
def test_what_is_saved_is_exact_on_reload_and_says_what_it_cost(case, tmp_path):
    module = made(case, tmp_path)
    module.save(tmp_path / "a", dtype="int8")
    assert not module.checkpoint.has_int8
    assert "quantise" not in module.provenance
    small = wellread.load(tmp_path / "a", backend="numpy")
    assert small.checkpoint.has_int8
    small.save(tmp_path / "b")
    wellread.load(tmp_path / "b").save(tmp_path / "c", dtype="int8")
    assert weights_of(tmp_path / "a") == weights_of(tmp_path / "b") == weights_of(tmp_path / "c")
    assert read_manifest(tmp_path / "c").format == 2
    again = wellread.load(tmp_path / "c", backend="numpy")
    for precision in ("int8", "f64"):
        np.testing.assert_array_equal(
            again.encode(TEXTS, precision=precision), small.encode(TEXTS, precision=precision)
        )
    report = small.info()["provenance"]["quantise"]
    assert report["mean_cosine"] >= 0.999
    card = (tmp_path / "a" / "README.md").read_text("utf-8")
    assert f"| `least_cosine` | `{report['least_cosine']}` |" in card
    head = module.checkpoint.head
    if head is not None and head.outputs:
        assert f"| `predictions_kept` | `{report['predictions_kept']}` |" in card
        pairs = TEXTS[::-1] if head.task == "rank" else None
        for precision in ("int8", "f64"):
            a, b = (each.predict(TEXTS, pairs, precision=precision) for each in (small, again))
            assert (a == b) if isinstance(a, list) else (a == b).all()


@pytest.mark.parametrize("case", ["classify", "dense", "factorised", "kobert"])
def test_floats_for_transformers_and_sentence_transformers(case, tmp_path):
    module = made(case, tmp_path)
    module.save(tmp_path / "int8", dtype="int8")
    small = wellread.load(tmp_path / "int8", backend="numpy")
    done = CliRunner().invoke(
        group, ["export", str(tmp_path / "int8"), "--to", "huggingface", "-o", str(tmp_path / "floats")]
    )
    assert done.exit_code == 0, done.output
    int8 = sum(tensor.int8 is not None for tensor in small.checkpoint.tensors.values())
    assert done.output.endswith(f"tensors as float32, {int8} of them were int8\n")
    floats = wellread.load(tmp_path / "floats", backend="numpy")
    assert not floats.checkpoint.has_int8
    assert floats.tokenizer.vocab_size == small.tokenizer.vocab_size
    for name, array in small.checkpoint.arrays().items():
        np.testing.assert_array_equal(floats.checkpoint.tensors[name].read(), array)
    batch = small.bert_pack_inputs([small.tokenize(TEXTS[:3])], 16)
    theirs = transformers.AutoModel.from_pretrained(tmp_path / "floats", attn_implementation="eager").eval()
    names = {"input_ids": "input_word_ids", "attention_mask": "input_mask"}
    with torch.no_grad():
        hidden = theirs(**{key: torch.from_numpy(batch[name]).long() for key, name in names.items()})
    ours = small(dict(batch), outputs=["sequence_output"])["sequence_output"]
    real = batch["input_mask"].astype(bool)
    assert np.abs(hidden.last_hidden_state.numpy() - ours)[real].max() < 1e-5
    if module.checkpoint.head is None and module.checkpoint.sentence.dense:
        vectors = SentenceTransformer(str(tmp_path / "floats"), device="cpu").encode(TEXTS)
        assert np.abs(vectors - small.encode(TEXTS, precision="f64")).max() < 1e-5


def test_what_an_export_refuses(tmp_path):
    module = tiny_module(tmp_path / "files", backend="numpy")
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine.txt").touch()
    with pytest.raises(CheckpointError, match="it exists; remove it"):
        export_huggingface(module, tmp_path / "there")
    with pytest.raises(CheckpointError, match=r"mine\.txt"):
        export_huggingface(module, tmp_path / "there", overwrite=True)
    other = tiny_module(tmp_path / "files", seed=1).checkpoint
    with pytest.raises(ExportError, match=r"of \d+ tensors was written as float32 and read back; found \d+ that are"):
        _compare(module, other, "float32")
    assert export_huggingface(module, tmp_path / "half", dtype="float16").dtype == "float16"
    assert wellread.load(tmp_path / "half").info()["stored_as"] == ["float16"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--to", "huggingface", "--preprocessor", "p"), "--preprocessor is for tfhub"),
        (("--to", "tfhub", "--dtype", "float16"), "--dtype is for huggingface"),
    ],
)
def test_options_of_the_other_form_are_refused(options, message):
    done = CliRunner().invoke(group, ["export", "default", "-o", "out", *options])
    assert (done.exit_code, message in done.output) == (2, True)


def test_int8_is_refused_before_any_work_where_something_stands(tmp_path, monkeypatch):
    module = tiny_module(tmp_path / "files")
    module.save(tmp_path / "a")
    monkeypatch.setattr("wellread.quantising.quantise.quantise_checkpoint", None)
    with pytest.raises(CheckpointError, match="it exists; remove it or choose another name, or pass overwrite=True"):
        module.save(tmp_path / "a", dtype="int8")


# -- the command line --------------------------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny_module(tmp_path / "files").save(tmp_path / "module")
    rows = [f"{i}\t{text.replace(chr(9), ' ')}\t{i % 2}" for i, text in enumerate(corpus()[:16])]
    (tmp_path / "train.tsv").write_text("\n".join(["id\tdocument\tlabel", *rows, ""]), "utf-8")
    (tmp_path / "few.tsv").write_text("\n".join(["id\tdocument\tlabel", *rows[:4], ""]), "utf-8")

    def run(*arguments):
        return CliRunner().invoke(group, [*map(str, arguments)])

    return run


QUICK = ("--max-steps", "1", "--bf16", "false", "--max-seq-length", "16", "--save-steps", "0")


def test_a_training_run_is_calibrated_on_its_own_texts(run, tmp_path):
    nsmc = ("--format", "nsmc", "-m", "module", *QUICK)
    done = run("finetune", "classify", "train.tsv", *nsmc, "-o", "out", "--dtype", "int8")
    assert done.exit_code == 0, done.output
    assert "texts: 8 to calibrate, 8 held out, train.tsv" in done.output
    made = wellread.load(tmp_path / "out")
    assert (made.provenance["made_by"], made.provenance["quantise"]["texts"]) == ("wellread finetune", "train.tsv")
    assert made.checkpoint.has_int8
    done = run("finetune", "classify", "few.tsv", *nsmc, "-o", "few", "--dtype", "int8")
    assert (done.exit_code, "give some hundreds" in done.output) == (3, True)
    assert "few holds the module as float32" in done.output
    assert not wellread.load(tmp_path / "few").checkpoint.has_int8


def test_trimming_and_pretraining(run, tmp_path):
    (tmp_path / "texts.txt").write_text("".join(f"{text}\n" for text in corpus()[:16]), "utf-8")
    done = run("trim", "module", "--texts", "texts.txt", "-o", "small", "--dtype", "int8", "--json")
    assert json.loads(done.output)["rows_after"] < 99
    small = wellread.load(tmp_path / "small")
    assert small.checkpoint.has_int8
    assert set(small.provenance) >= {"trim", "quantise"}
    done = run("pretrain", "texts.txt", "-m", "module", *QUICK, "-o", "out", "--dtype", "int8")
    assert "cosine to float32: " in done.output
    assert wellread.load(tmp_path / "out").provenance["quantise"]["texts"] == "texts.txt"
    assert run("pretrain", "texts.txt", "-m", "module", "-o", "x", "--dtype", "int4").exit_code == 2


def test_without_texts_that_the_vocabulary_reads(tmp_path, monkeypatch):
    monkeypatch.setattr(sample, "READABLE", 0.5)
    with pytest.raises(DataError, match="vocabulary reads neither; pass texts of its language"):
        tiny_module(tmp_path / "files").save(tmp_path / "a", dtype="int8")
    assert not (tmp_path / "a").exists()
