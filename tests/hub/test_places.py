"""places: what lies at a path is opened where there is one reading, and else named with what would do."""

import json
import os
import shutil
import tarfile
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from tiny import PIECES, tiny_checkpoint, tiny_module

import wellread
from wellread.checkpoints.directory import read_directory
from wellread.errors import CheckpointError, TextError
from wellread.formats.safetensors import write_safetensors
from wellread.hub.huggingface import refuse_other_forms, selected
from wellread.hub.places import LAYOUTS, layout_of, what_lies_at
from wellread.hub.resolve import local

CONFIG = {"model_type": "bert", "vocab_size": 99, "hidden_size": 12, "num_hidden_layers": 3, "num_attention_heads": 4}
CONFIG |= {"intermediate_size": 37, "max_position_embeddings": 41}
WORDS = "embeddings.word_embeddings.weight"


def write_model(directory: Path, *, seed: int = 0) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text(json.dumps(CONFIG))
    write_safetensors(directory / "model.safetensors", tiny_checkpoint(mlm=False, seed=seed).arrays())
    (directory / "vocab.txt").write_text("".join(f"{piece}\n" for piece in PIECES), "utf-8")
    return directory


def lay(directory: Path, *names: str) -> Path:
    """Make files that hold nothing of use, and folders with a slash."""
    for name in names:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir()
        else:
            path.write_bytes(b"{}")
    return directory


def is_the_model(module) -> bool:
    return bool(np.array_equal(module.checkpoint.tensors[WORDS].read(), tiny_checkpoint(mlm=False).arrays()[WORDS]))


OPENED = {
    "checkpoint-500": ("training_args.bin", "checkpoint-500, the one model in the directory that was given"),
    "bert/": (None, "bert, the one model in the directory that was given"),
    "a/b/c": (None, "a/b/c, the one model in the directory that was given"),
    "snapshots/0a1b": ("refs/pr", "snapshots/0a1b, the only one"),
}


@pytest.mark.parametrize("place", OPENED)
def test_the_one_model_in_a_directory_is_opened_and_said(tmp_path, place):
    beside, note = OPENED[place]
    write_model(tmp_path / "out" / place)
    lay(tmp_path / "out", "__MACOSX/._bert", ".DS_Store", "README.md", *([beside] if beside else []))
    module = wellread.load(tmp_path / "out")
    assert is_the_model(module)
    assert module.info()["inferred"]["directory"] == note
    assert read_directory(tmp_path / "out").directory == tmp_path / "out" / place


def test_the_snapshot_that_main_names_is_opened(tmp_path):
    cache = tmp_path / "models--me--bert"
    write_model(cache / "snapshots" / "old", seed=7)
    write_model(cache / "snapshots" / "new")
    with pytest.raises(CheckpointError, match="found several models .snapshots/new, snapshots/old.; pass the path of"):
        wellread.load(cache)
    lay(cache, "refs/main")
    (cache / "refs" / "main").write_text("new")
    module = wellread.load(cache)
    assert is_the_model(module)
    assert module.info()["inferred"]["directory"] == "snapshots/new, which refs/main names"


def test_of_several_models_none_is_chosen(tmp_path):
    for step in (500, 1000):
        write_model(tmp_path / f"checkpoint-{step}")
    with pytest.raises(CheckpointError, match="several models .checkpoint-1000, checkpoint-500.; pass the path of one"):
        wellread.load(tmp_path)


def test_a_model_is_not_looked_for_beside_a_model(tmp_path):
    write_model(tmp_path)
    write_model(tmp_path / "checkpoint-500", seed=7)
    module = wellread.load(tmp_path)
    assert is_the_model(module)
    assert "directory" not in module.info()["inferred"]


FILES = ["config.json", "model.safetensors", "vocab.txt"]


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_a_model_means_its_directory(tmp_path, name):
    module = wellread.load(write_model(tmp_path / "bert") / name)
    assert is_the_model(module)
    assert module.info()["inferred"]["directory"] == f"the directory of the file {name}"
    assert module.provenance["handle"] == "bert"


def test_of_two_forms_of_weights_the_one_that_is_named_must_be_the_one_that_is_read(tmp_path):
    write_model(tmp_path)
    lay(tmp_path, "pytorch_model.bin")
    assert is_the_model(wellread.load(tmp_path / "model.safetensors"))
    with pytest.raises(CheckpointError, match="found several models .model.safetensors, pytorch_model.bin.; move the"):
        wellread.load(tmp_path / "pytorch_model.bin")


def test_a_tf1_checkpoint_is_named_by_its_prefix_and_by_its_files(tmp_path):
    lay(tmp_path, "bert_config.json", "vocab.txt", "m.ckpt.index", "m.ckpt.data-00000-of-00001")
    for name in ("m.ckpt", "m.ckpt.index", "m.ckpt.data-00000-of-00001", "bert_config.json"):
        assert local(tmp_path / name).directory == tmp_path
    lay(tmp_path, "n.ckpt.index")
    assert what_lies_at(tmp_path / "m.ckpt.index").layout.name == "several"


def test_a_saved_model_is_named_by_its_files(tmp_path):
    lay(tmp_path / "1586412345", "saved_model.pb", "variables/variables.index", "assets/vocab.txt")
    for name in ("", "1586412345", "1586412345/saved_model.pb", "1586412345/variables/variables.index"):
        assert local(tmp_path / name).directory == tmp_path / "1586412345"


def test_litter_of_file_managers_is_passed_over(tmp_path):
    write_model(tmp_path / "bert")
    lay(tmp_path / "bert", "._vocab.txt", "._spiece.model", "._bert_model.ckpt.index", ".DS_Store")
    lay(tmp_path, "__MACOSX/bert/._vocab.txt")
    assert is_the_model(wellread.load(tmp_path / "bert"))
    with zipfile.ZipFile(tmp_path / "bert.zip", "w") as archive:
        for path in sorted(path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".zip"):
            archive.write(path, path.relative_to(tmp_path))
    assert is_the_model(wellread.load(tmp_path / "bert.zip"))


# what lies in a directory, and what is said of it
REFUSED = {
    "config.json tf_model.h5 vocab.txt": r"TensorFlow classes \(tf_model.h5\); fetch model.safetensors .*from_tf=True",
    "config.json tf_model-00001-of-00002.h5 tf_model.h5.index.json": "weights of transformers' TensorFlow classes",
    "config.json flax_model.msgpack": r"weights of Flax \(flax_model.msgpack\); fetch model.safetensors or .*from_flax",
    "config.json tokenizer.json onnx/model.onnx": r"an ONNX graph \(onnx/model.onnx\); fetch model.safetensors or p",
    "config.json model_optimized.onnx": "an ONNX graph",
    "config.json openvino_model.xml openvino_model.bin": "an OpenVINO graph",
    "config.json openvino/openvino_model.xml": "an OpenVINO graph",
    "model-q4_k_m.gguf": "quantised weights of llama.cpp",
    "config.json rust_model.ot": "weights of rust-bert",
    "model.tflite vocab.txt": "a graph of TensorFlow Lite",
    "coreml/model.mlmodel": "a graph of Core ML",
    "config.json model.weights.h5 task.json": r"a model of Keras \(model.weights.h5\); fetch .*or load it with Keras",
    "classifier.keras": "a model of Keras",
    "best.pt vocab.txt": "a graph of TorchScript or weights under another name",
    "epoch=3.ckpt": "a graph of TorchScript or weights under another name",
    "weights.npz config.json": "a model of MLX or weights under another name",
    "model.fp16.safetensors config.json": "weights of a variant .*or give these that name",
    "model.safetensors vocab.txt": "weights without config.json, which tells their shape",
    "config.json vocab.txt": r"a configuration without weights \(config.json\); fetch one of model.safetensors, model",
    "tokenizer.json tokenizer_config.json": "a tokenizer without a model .*pass this as tokenizer=",
    "vocab.txt": "a tokenizer without a model",
    "adapter_model.safetensors": "an adapter's weights without adapter_config.json",
    "adapter_config.json pytorch_adapter.bin": "an adapter of adapter-transformers",
    "1_Pooling/config.json sentence_bert_config.json": "sentence-transformers without modules.json",
    "model_head.pkl": "a pickle, which is never opened",
    "log.jsonl checkpoint-5/state.json": "a training run of wellread .*or finish it with resume_from_checkpoint=True",
    "state.json optimizer.safetensors model.safetensors": "a checkpoint of a training run of wellread",
    "notes.md data.csv": r"no model \(data.csv, notes.md\); check the path",
    "models--me--a/ models--me--b/": r"no model \(models--me--a/, models--me--b/\); check the path",
    "": "an empty directory; check the path, or fetch the model again",
}


@pytest.mark.parametrize("names", REFUSED)
def test_what_is_not_read_is_named_with_what_would_do(tmp_path, names):
    lay(tmp_path / "model", *names.split())
    (tmp_path / "model").mkdir(exist_ok=True)
    with pytest.raises(CheckpointError, match=f"a module was asked of .*model; found .*{REFUSED[names]}"):
        wellread.load(tmp_path / "model")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("tf_model.h5", "weights of transformers' TensorFlow classes"),
        ("bert.keras", "a model of Keras"),
        ("classifier.h5", "a model of Keras"),
        ("model.gguf", "quantised weights of llama.cpp"),
        ("model.onnx", "an ONNX graph"),
        ("best.pth", "a graph of TorchScript or weights under another name"),
        ("bert.npz", "a model of MLX or weights under another name"),
        ("bert.tar.bz2", "an archive of another kind .*or unpack it"),
        ("head.pkl", "a pickle, which is never opened"),
        ("data.csv", "no model"),
    ],
)
def test_a_file_that_is_no_models_is_named(tmp_path, name, found):
    with pytest.raises(CheckpointError, match=f"a module was asked of .*{name}; found {found}"):
        wellread.load(lay(tmp_path, name) / name)


def test_static_embeddings_are_named(tmp_path):
    write_model(tmp_path / "model2vec")
    (tmp_path / "model2vec" / "config.json").write_text('{"model_type": "model2vec", "hidden_dim": 12}')
    (tmp_path / "st").mkdir()
    (tmp_path / "st" / "modules.json").write_text('[{"type": "sentence_transformers.models.StaticEmbedding"}]')
    for name in ("model2vec", "st"):
        with pytest.raises(
            CheckpointError, match="static embeddings, a table .*; load it with model2vec or sentence-tr"
        ):
            wellread.load(tmp_path / name)


def test_broken_links_are_named(tmp_path):
    write_model(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "model.safetensors").symlink_to(tmp_path / "gone")
    with pytest.raises(
        CheckpointError, match=r"links to files that are not there \(model.safetensors\); fetch the mod"
    ):
        wellread.load(tmp_path)


def test_what_is_read_comes_before_what_is_not(tmp_path):
    write_model(tmp_path)
    lay(tmp_path, "tf_model.h5", "flax_model.msgpack", "onnx/model.onnx", "openvino/openvino_model.xml", "model.gguf")
    assert is_the_model(wellread.load(tmp_path))


def test_a_model_of_before_2020_is_read(tmp_path):
    write_model(tmp_path)
    (tmp_path / "config.json").rename(tmp_path / "bert_config.json")
    assert is_the_model(wellread.load(tmp_path))


def test_a_chain_of_other_modules_is_no_model_of_its_own(tmp_path):
    """A folder of a linear map has a config.json and weights too."""
    lay(tmp_path, "config.json", "2_Dense/config.json", "2_Dense/model.safetensors")
    assert what_lies_at(tmp_path).layout.name == "no weights"


def test_a_repository_in_other_forms_alone_is_refused_before_anything_is_fetched():
    with pytest.raises(
        CheckpointError, match=r"me/bert was to be fetched; found an ONNX graph \(onnx/model.onnx\) and no"
    ):
        refuse_other_forms("me/bert", ["onnx/model.onnx", "config.json", "README.md"])
    for names in (["config.json", "model.safetensors", "onnx/model.onnx"], ["vocab.txt"], ["README.md"], []):
        refuse_other_forms("me/bert", names)


def test_the_files_of_an_adapter_are_fetched():
    adapter = ["adapter_config.json", "adapter_model.bin", "adapter_model.safetensors"]
    assert selected([*adapter, "pytorch_model.bin"]) == [*adapter, "pytorch_model.bin"]


def test_layouts_are_told_by_names_alone():
    assert len({layout.what for layout in LAYOUTS}) >= 25
    assert all(layout.holds or layout.says for layout in LAYOUTS)
    assert layout_of([]).name == "empty"


def test_a_large_directory_is_looked_through_in_a_moment(tmp_path):
    for i in range(100):
        lay(tmp_path, f"{i}/a", f"{i}/b/c")
    lay(tmp_path, *(f"file{i}" for i in range(500)))
    with pytest.raises(CheckpointError, match=r"found no model \(.* and \d+ more\)"):
        wellread.load(tmp_path)


def test_a_directory_that_cannot_be_listed_is_named(tmp_path, monkeypatch):
    write_model(tmp_path)

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(CheckpointError, match="was to be read; found that .*Permission denied"):
        read_directory(tmp_path)


def test_a_folder_that_cannot_be_listed_is_no_reason_to_refuse_its_neighbour(tmp_path, monkeypatch):
    write_model(tmp_path / "model")
    (tmp_path / "secret").mkdir()
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "secret":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert what_lies_at(tmp_path).directory == tmp_path / "model"


def test_an_archive_where_the_cache_cannot_be_written_names_the_variable(tmp_path, monkeypatch):
    write_model(tmp_path / "bert")
    with tarfile.open(tmp_path / "bert.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "bert", "bert")
    monkeypatch.delenv("WELLREAD_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/proc/none")
    with pytest.raises(
        CheckpointError, match="was to be unpacked; found no place for it .*can be written in WELLREAD_CACH"
    ):
        wellread.load(tmp_path / "bert.tar.gz")
    monkeypatch.setenv("WELLREAD_CACHE", str(tmp_path / "cache"))
    assert is_the_model(wellread.load(tmp_path / "bert.tar.gz"))


# -- tokenizer= -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    """The same pieces, the last of them spelt otherwise, in every kind of place that holds a tokenizer."""
    place = tmp_path_factory.mktemp("tokenizers")
    write_model(place / "model")
    pieces = [*PIECES[:-1], "other"]
    (place / "model" / "vocab.txt").write_text("".join(f"{piece}\n" for piece in pieces), "utf-8")
    lay(place / "alone", "special_tokens_map.json")
    shutil.copy(place / "model" / "vocab.txt", place / "alone")
    wellread.load(place / "model").save(place / "native")
    lay(place / "old", "modules.json")
    shutil.copytree(place / "alone", place / "old" / "0_Transformer")
    lay(place / "tf1", "bert_config.json", "m.index")
    shutil.copy(place / "model" / "vocab.txt", place / "tf1")
    return place


@pytest.mark.parametrize(
    "source", ["model", "alone", "alone/vocab.txt", "native", "native/tokenizer.json", "old", "tf1"]
)
@pytest.mark.parametrize("kind", ["bare", "huggingface", "native"])
def test_any_directory_gives_its_tokenizer_to_any_model(tokenizers, tmp_path, source, kind):
    if kind == "native":
        tiny_module(tmp_path / "text").save(tmp_path / "model")
    else:
        write_model(tmp_path / "model")
    if kind == "bare":
        (tmp_path / "model" / "vocab.txt").unlink()
    module = wellread.load(tmp_path / "model", tokenizer=tokenizers / source)
    assert module.tokenizer.vocabulary.pieces[98] == "other"
    assert module.info()["provenance"]["tokenizer"] == Path(source).name


def test_default_gives_its_tokenizer_and_takes_another(tokenizers):
    with pytest.raises(wellread.errors.InputError, match="found .* pieces and 99 rows"):
        wellread.load(tokenizers / "model", tokenizer="default")
    default = wellread.load("default", tokenizer=tokenizers / "alone")
    assert default.tokenizer.vocab_size == 99


def test_a_model_without_tokenizer_says_so_and_names_the_option(tmp_path):
    (write_model(tmp_path) / "vocab.txt").unlink()
    with pytest.raises(TextError, match=r"found none of vocab\.txt, .*or pass tokenizer= with the directory or handle"):
        wellread.load(tmp_path)


@pytest.mark.parametrize("names", ["", "notes.md", "config.json model.safetensors"])
def test_a_place_without_tokenizer_is_refused_as_one(tokenizers, tmp_path, names):
    lay(tmp_path / "x", *names.split(), "y")
    for source in (tmp_path / "x", tmp_path / "x" / "y"):
        with pytest.raises(TextError, match=r"a tokenizer was asked of .*x.*vocab\.txt"):
            wellread.load(tokenizers / "model", tokenizer=source)


def test_the_length_is_that_of_the_tokenizer_that_is_given(tokenizers, tmp_path):
    shutil.copytree(tokenizers / "alone", tmp_path / "short")
    (tmp_path / "short" / "tokenizer_config.json").write_text('{"model_max_length": 17}')
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert wellread.load(tokenizers / "model", tokenizer=tmp_path / "short").max_seq_length == 17
    assert wellread.load(tokenizers / "model").max_seq_length == 41
