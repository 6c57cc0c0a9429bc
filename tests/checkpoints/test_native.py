"""native: a module's directory is written whole or not at all, and every byte of it is checked before its first use."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from headed import FAMILIES, TASKS, head_of, headed, headed_checkpoint

import wellread
from wellread.checkpoints import native
from wellread.checkpoints.checkpoint import Checkpoint, in_memory
from wellread.checkpoints.directory import read_directory
from wellread.checkpoints.families.distilbert import FAMILY as DISTILBERT
from wellread.checkpoints.names import sentence_shapes, shapes
from wellread.checkpoints.native import sha256, write_native
from wellread.config import DenseConfig, EncoderConfig, SentenceConfig, TokenizerConfig
from wellread.errors import CheckpointError, ConfigError, WeightsError
from wellread.formats.safetensors import read_safetensors
from wellread.text.tokenizer import load_tokenizer

SIZES = {
    "vocab_size": 99,
    "hidden_size": 12,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "max_position_embeddings": 41,
}
SENTENCE = SentenceConfig(
    pooling="cls",
    dense=(
        DenseConfig(in_features=12, out_features=7, activation="tanh"),
        DenseConfig(in_features=7, out_features=5, bias=False),
    ),
    normalize=True,
    max_seq_length=23,
    prompts={"query": "질문: "},
    default_prompt_name="query",
)
WORDS = "embeddings.word_embeddings.weight"


def checkpoint_of(family="bert", *, mlm=True, sentence=SENTENCE, **config):
    fixed = DISTILBERT.constants if family == "distilbert" else {}
    encoder = EncoderConfig(**{**SIZES, **fixed, **config})
    rng = np.random.default_rng(0)
    wanted = shapes(encoder, mlm=mlm) | sentence_shapes(sentence)
    arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in wanted.items()}
    return Checkpoint(family=family, config=encoder, sentence=sentence, tensors=in_memory(arrays))


@pytest.fixture
def tokenizer(tmp_path_factory):
    directory = tmp_path_factory.mktemp("vocabulary")
    (directory / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nguitar\n")
    return load_tokenizer(directory, TokenizerConfig(dialect="tfhub", do_lower_case=True))


@pytest.fixture
def saved(tmp_path, tokenizer):
    write_native(tmp_path / "module", checkpoint_of(), tokenizer, provenance={"handle": "x", "seed": 7})
    return tmp_path / "module"


def record_again(directory, **changes):
    """Change wellread.json, and record every other file as it now is."""
    path = directory / "wellread.json"
    data = {**json.loads(path.read_text()), **changes}
    data["files"] = {name: sha256(directory / name) for name in data["files"]}
    path.write_text(json.dumps(data))


@pytest.mark.parametrize("family", ["bert", "distilbert"])
@pytest.mark.parametrize("mlm", [False, True])
@pytest.mark.parametrize("pooling", ["cls", "mean", "pooled_output"])
def test_what_is_written_is_read_back(tmp_path, tokenizer, family, mlm, pooling):
    sentence = replace(SENTENCE, pooling=pooling)
    checkpoint = checkpoint_of(family, mlm=mlm, sentence=sentence, hidden_act="gelu_new", pad_token_id=1)
    write_native(tmp_path / "module", checkpoint, tokenizer, provenance={"seed": 7})
    source = read_directory(tmp_path / "module")
    assert (source.directory, source.tokenizer.config, source.provenance) == (
        tmp_path / "module",
        tokenizer.config,
        {"seed": 7},
    )
    found = source.checkpoint
    assert (found.family, found.config, found.sentence) == (family, checkpoint.config, sentence)
    assert found.ignored == {
        "architectures": "names classes, which are never resolved",
        "dtype": "every tensor names its own type",
    }
    assert (found.has_mlm, found.embedding_size, found.num_parameters) == (mlm, 5, checkpoint.num_parameters)
    assert found.tensors.keys() == checkpoint.tensors.keys()
    for name, array in checkpoint.arrays().items():
        np.testing.assert_array_equal(found.tensors[name].read(), array)


def test_without_pooler_position_0_comes_back_as_the_pooled_output(tmp_path, tokenizer):
    checkpoint = checkpoint_of(pooler="first_token", sentence=SentenceConfig(max_seq_length=41))
    write_native(tmp_path / "module", checkpoint, tokenizer, provenance={})
    assert read_directory(tmp_path / "module").checkpoint.config == checkpoint.config


def test_the_same_module_gives_the_same_bytes(tmp_path, tokenizer):
    for name in "ab":
        write_native(tmp_path / name, checkpoint_of(), tokenizer, provenance={})
    first = {path.name: path.read_bytes() for path in (tmp_path / "a").rglob("*") if path.is_file()}
    assert first == {path.name: path.read_bytes() for path in (tmp_path / "b").rglob("*") if path.is_file()}


def test_half_precision_is_stored_and_read_as_float32(tmp_path, tokenizer):
    write_native(tmp_path / "module", checkpoint_of(), tokenizer, provenance={}, dtype="float16")
    assert {tensor.dtype for tensor in read_safetensors(tmp_path / "module" / "model.safetensors").values()} == {
        "float16"
    }
    found = read_directory(tmp_path / "module").checkpoint.tensors[WORDS].read()
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, checkpoint_of().tensors[WORDS].read().astype(np.float16).astype(np.float32))


def overwrite(directory, tokenizer, **options):
    write_native(directory, checkpoint_of(**options), tokenizer, provenance={}, overwrite=True)


def test_a_module_is_overwritten_whole(saved, tmp_path, tokenizer):
    assert (saved / "2_Dense").is_dir()
    (saved / "README.md").write_text("# Mine")
    overwrite(saved, tokenizer, sentence=SentenceConfig(max_seq_length=17))
    assert not (saved / "2_Dense").exists()  # nothing of the old one stays, but what the caller writes anew
    assert not (saved / "README.md").exists()
    assert wellread.load(saved).max_seq_length == 17
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []
    overwrite(tmp_path / "new", tokenizer)
    (tmp_path / "empty").mkdir()
    overwrite(tmp_path / "empty", tokenizer)
    wellread.load(tmp_path / "empty")


def test_files_of_others_are_not_overwritten(saved, tmp_path, tokenizer):
    (saved / ".git").mkdir()
    (saved / ".git" / "HEAD").write_text("ref")
    (saved / "notes.txt").write_text("mine")
    said = (
        r"was to be overwritten; found \.git/HEAD, notes\.txt, which wellread did not write there; move what you want"
    )
    with pytest.raises(CheckpointError, match=said):
        overwrite(saved, tokenizer)
    strange = tmp_path / "strange"
    strange.mkdir()
    for name in ("config.json", *"abcdef"):
        (strange / name).touch()
    with pytest.raises(CheckpointError, match=r"found a, b, c, config\.json, d and 2 more, which wellread did not"):
        overwrite(strange, tokenizer)
    (tmp_path / "link").symlink_to(saved)
    for path in (tmp_path / "link", strange / "config.json"):
        with pytest.raises(CheckpointError, match="was to be overwritten; found that it is no directory; remove it or"):
            overwrite(path, tokenizer)
    assert (saved / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("step", ["write_manifest", "rename"])
def test_a_failure_while_overwriting_leaves_the_old_one(saved, tmp_path, tokenizer, monkeypatch, step):
    before = {path: path.read_bytes() for path in saved.rglob("*") if path.is_file()}
    rename = Path.rename
    with monkeypatch.context() as broken:
        if step == "rename":
            broken.setattr(
                Path, "rename", lambda path, to: fail() if path.suffix not in ("", ".old") else rename(path, to)
            )
        else:
            broken.setattr(native, "write_manifest", lambda *_: fail())
        with pytest.raises(CheckpointError, match="module was to be written; found that the disk is full; make room"):
            overwrite(saved, tokenizer)
    assert {path: path.read_bytes() for path in saved.rglob("*") if path.is_file()} == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def fail():
    raise OSError("the disk is full")


def test_a_module_that_was_moved_is_the_same(saved, tmp_path):
    saved.rename(tmp_path / "elsewhere")
    module = wellread.load(tmp_path / "elsewhere", backend="numpy")
    assert module.encode("guitar").shape == (5,)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "vocab.txt", "2_Dense/model.safetensors"])
def test_damage_is_named_before_anything_else_is_said(saved, name):
    whole = (saved / name).read_bytes()
    for damaged in (whole[:-1], whole[:-1] + bytes([whole[-1] ^ 4])):
        (saved / name).write_bytes(damaged)
        with pytest.raises(
            CheckpointError, match=f"found that {name} has another SHA-256; fetch or save the module again"
        ):
            read_directory(saved)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "vocab.txt", "3_Dense/model.safetensors"])
def test_a_file_that_is_read_must_be_recorded(saved, name):
    data = json.loads((saved / "wellread.json").read_text())
    del data["files"][name]
    (saved / "wellread.json").write_text(json.dumps(data))
    with pytest.raises(CheckpointError, match=f"found that {name} is not recorded"):
        read_directory(saved)


def test_a_vocabulary_outside_is_never_read(saved):
    tokenizer = {"dialect": "hf", "vocab_file": "../secret.txt"}
    record_again(saved, tokenizer=tokenizer)
    with pytest.raises(CheckpointError, match=r"\.\./secret\.txt is not recorded"):
        read_directory(saved)


def test_a_manifest_that_contradicts_the_tensors_is_refused(saved):
    record_again(saved, pooled_output="first_token")
    with pytest.raises(
        ConfigError, match="says that pooled_output is first_token; the tensors make it dense_tanh; save"
    ):
        read_directory(saved)
    record_again(
        saved,
        pooled_output="dense_tanh",
        sentence={"max_seq_length": 23, "dense": [{"in_features": 12, "out_features": 8}]},
    )
    with pytest.raises(WeightsError, match=r"sentence\.0\.bias has shape \[7\] where the configuration says \[8\]"):
        read_directory(saved)


# -- heads -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_head_is_written_and_read_back(tmp_path, tokenizer, family, task):
    checkpoint = headed_checkpoint(task, family, dropout=0.25)
    write_native(tmp_path / "module", checkpoint, tokenizer, provenance={})
    module = wellread.load(tmp_path / "module")
    assert module.checkpoint.head == checkpoint.head
    assert module.info()["head"] == {
        **{"task": task, "labels": checkpoint.head.labels, "pre_classifier": checkpoint.head.pre_classifier},
        **{"dropout": 0.25, "low": 0.0, "high": 1.0},
        **({"activation": "sigmoid"} if task == "rank" else {}),
    }
    assert module.checkpoint.tensors.keys() == checkpoint.tensors.keys()
    for name, array in checkpoint.arrays().items():
        np.testing.assert_array_equal(module.checkpoint.tensors[name].read(), array)
    module.save(tmp_path / "again")
    for path in (path for path in (tmp_path / "module").rglob("*") if path.name not in ("wellread.json",)):
        assert (
            path.is_dir()
            or path.read_bytes() == (tmp_path / "again" / path.relative_to(tmp_path / "module")).read_bytes()
        )


def test_a_similarity_keeps_its_scale_its_sentence_vector_and_its_head_of_words(tmp_path, tokenizer):
    checkpoint = headed(checkpoint_of(), head_of("similarity", low=-1.0, high=5.0))
    write_native(tmp_path / "module", checkpoint, tokenizer, provenance={})
    found = read_directory(tmp_path / "module").checkpoint
    assert (found.head, found.sentence, found.has_mlm) == (checkpoint.head, SENTENCE, True)
    assert json.loads((tmp_path / "module" / "config.json").read_text())["architectures"] == ["BertForMaskedLM"]


def test_a_module_of_before_heads_loads(saved):
    data = json.loads((saved / "wellread.json").read_text())
    assert data.pop("head") is None
    (saved / "wellread.json").write_text(json.dumps(data))
    module = wellread.load(saved)
    assert module.checkpoint.head is None
    assert module.info()["head"] is None


@pytest.mark.parametrize(
    "change",
    [
        None,
        {"task": "tag"},
        {"task": "answer", "labels": [], "pre_classifier": False},
        {"labels": ["yes", "no", "모름", "d", "e"]},
        {"dropout": 0.5},
        {"pre_classifier": True},
    ],
)
def test_a_head_that_contradicts_config_json_is_refused(tmp_path, tokenizer, change):
    write_native(tmp_path / "module", headed_checkpoint("pair"), tokenizer, provenance={})
    told = json.loads((tmp_path / "module" / "wellread.json").read_text())["head"]
    record_again(tmp_path / "module", head=None if change is None else {**told, **change})
    with pytest.raises(
        ConfigError, match=r"says that the head is .*; config.json tells HeadConfig.* where that makes "
    ):
        read_directory(tmp_path / "module")


def test_a_head_that_config_json_lacks_is_refused(saved):
    record_again(saved, head={"task": "answer"})
    with pytest.raises(ConfigError, match=r"says that the head is HeadConfig\(task='answer'.*; config.json tells None"):
        read_directory(saved)


@pytest.mark.parametrize(
    ("family", "config", "head", "found"),
    [
        ("bert", {"pooler": "first_token"}, head_of("pair"), "found the pooler first_token where Hugging Face's class"),
        ("bert", {}, head_of("pair", "distilbert"), "found pre_classifier True where this family has False; make its"),
        ("distilbert", {}, head_of("classify"), "found pre_classifier False where this family has True; make its head"),
    ],
)
def test_a_head_that_no_class_of_the_family_computes_is_refused(tmp_path, tokenizer, family, config, head, found):
    checkpoint = headed(checkpoint_of(family, mlm=False, **config), head)
    with pytest.raises(ConfigError, match=f"a {family} module with a head for {head.task} was to be saved; {found}"):
        write_native(tmp_path / "m", checkpoint, tokenizer, provenance={})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (None, r"classifier\.bias is surplus; classifier\.weight is surplus"),
        (head_of("answer"), r"classifier\.bias is surplus.*; qa_outputs\.bias is missing"),
        (head_of("tag", labels=("a", "b")), r"classifier\.bias has shape \[5\] where the configuration says \[2\]"),
    ],
)
def test_a_head_whose_tensors_are_others_is_refused(tmp_path, tokenizer, head, found):
    checkpoint = replace(headed_checkpoint("tag"), head=head)
    with pytest.raises(WeightsError, match=f"a bert module was to be saved; found that {found}"):
        write_native(tmp_path / "m", checkpoint, tokenizer, provenance={})
    assert not list(tmp_path.iterdir())


def test_what_is_no_directory_is_named(tmp_path):
    (tmp_path / "archive.zip").touch()
    for name in ("gone", "archive.zip"):
        with pytest.raises(
            CheckpointError, match=f"a module was asked of .*{name}; found no (directory there|model).*; check the path"
        ):
            read_directory(tmp_path / name)


def test_an_unknown_type_is_refused(tmp_path, tokenizer):
    with pytest.raises(
        CheckpointError,
        match=r"saved as 'int9'; wellread writes float32, float16 and, by Module\.save, int8; choose one",
    ):
        write_native(tmp_path / "module", checkpoint_of(), tokenizer, provenance={}, dtype="int9")


def test_a_number_too_large_for_half_precision_is_refused(tmp_path, tokenizer):
    arrays = {**checkpoint_of().arrays(), WORDS: np.full((99, 12), 7e4, np.float32)}
    checkpoint = replace(checkpoint_of(), tensors=in_memory(arrays))
    with pytest.raises(
        CheckpointError, match=f"{WORDS} was to be saved as float16; found 70000, over its 65504; save as"
    ):
        write_native(tmp_path / "module", checkpoint, tokenizer, provenance={}, dtype="float16")
    assert not list(tmp_path.iterdir())


def test_tensors_that_would_not_come_back_are_refused(tmp_path, tokenizer):
    arrays = checkpoint_of().arrays()
    arrays["classifier.weight"] = arrays.pop("embeddings.LayerNorm.bias")
    with pytest.raises(
        WeightsError, match=r"a bert module was to be saved; found that classifier\.weight is surplus; embeddings"
    ):
        write_native(tmp_path / "m", replace(checkpoint_of(), tensors=in_memory(arrays)), tokenizer, provenance={})


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"layer_norm_eps": 1e-5}, "layer_norm_eps is 1e-05 instead of 1e-12; save it as another family"),
        ({"type_vocab_size": 2}, "type_vocab_size is 2 instead of 0"),
    ],
)
def test_what_a_family_cannot_say_is_refused(tmp_path, tokenizer, change, found):
    with pytest.raises(ConfigError, match=f"a distilbert module was to be saved; found that {found}"):
        write_native(tmp_path / "m", checkpoint_of("distilbert", **change), tokenizer, provenance={})
    assert not list(tmp_path.iterdir())


def test_a_provenance_that_json_cannot_hold_is_refused(tmp_path, tokenizer):
    with pytest.raises(CheckpointError, match=r"wellread\.json was to be written; found what JSON cannot hold"):
        write_native(tmp_path / "m", checkpoint_of(), tokenizer, provenance={"loss": float("nan")})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "step",
    [
        "wellread.checkpoints.native.write_safetensors",
        "wellread.checkpoints.sentence_transformers.write_sentence_files",
        "wellread.text.tokenizer_files.write_tokenizer",
        "wellread.checkpoints.native.write_manifest",
    ],
)
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_in_the_middle_leaves_nothing(tmp_path, tokenizer, monkeypatch, step, error):
    def fail(*args, **kwargs):
        raise error("in the middle")

    monkeypatch.setattr(step, fail)
    with pytest.raises(error, match="in the middle"):
        write_native(tmp_path / "module", checkpoint_of(), tokenizer, provenance={})
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_one_named_error_and_leaves_nothing(tmp_path, tokenizer, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(native, "write_safetensors", fail)
    with pytest.raises(
        CheckpointError, match=r"module was to be written; found that .*No space left on device; make room"
    ):
        write_native(tmp_path / "module", checkpoint_of(), tokenizer, provenance={})
    assert not list(tmp_path.iterdir())


def test_what_stands_there_is_left_untouched(saved, tmp_path, tokenizer):
    before = sorted((path.name, path.stat().st_mtime_ns) for path in saved.rglob("*"))
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("module", "file", "link"):
        with pytest.raises(
            CheckpointError, match=f"{name} was to be written; found that it exists; remove it or choose"
        ):
            write_native(tmp_path / name, checkpoint_of(), tokenizer, provenance={})
    assert sorted((path.name, path.stat().st_mtime_ns) for path in saved.rglob("*")) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link", "module"]
    assert (tmp_path / "file").read_text() == "mine"
