"""A module as an ONNX directory: what ONNX Runtime makes of it, what wellread reads back, and what is refused."""

import json
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
from headed import headed_checkpoint
from tiny import tiny_checkpoint, tiny_config, tiny_module, tiny_tokenizer

import wellread
from wellread.backends import onnx as backend
from wellread.backends.backend import load_backend
from wellread.checkpoints.checkpoint import in_memory
from wellread.checkpoints.names import shapes
from wellread.config import DenseConfig, SentenceConfig
from wellread.errors import CheckpointError, ExportError, MissingExtra, WeightsError
from wellread.export import graph_parity
from wellread.export import onnx as export
from wellread.export.graph_parity import compare_graph, graph_batches, reference_outputs
from wellread.export.onnx import export_onnx
from wellread.export.openvino import export_openvino
from wellread.files import CARD_MARK, sha256
from wellread.module import Module

DENSE = DenseConfig(in_features=12, out_features=5, bias=True, activation="tanh")
SENTENCE = SentenceConfig(pooling="cls+max", max_seq_length=17, normalize=True)


def session(directory):
    return onnxruntime.InferenceSession(directory / "onnx" / "model.onnx", providers=["CPUExecutionProvider"])


def named_inputs(module, texts):
    """What a tokenizer elsewhere makes of texts."""
    rows = module.tokenizer.tokenize(texts)
    batch = module.tokenizer.template.pack([rows], seq_length=17, pad_to_longest=True)
    names = {"input_ids": "input_word_ids", "attention_mask": "input_mask", "token_type_ids": "input_type_ids"}
    return {name: np.asarray(batch[ours], np.int64) for name, ours in names.items()}


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_default_gives_its_vectors_and_comes_back(tmp_path, dtype):
    module = wellread.load("default")
    found = export_onnx(module, tmp_path / "made", dtype=dtype)
    texts = ["A man is playing a guitar.", "오늘 날씨가 좋다"]
    runs = session(tmp_path / "made")
    feed = named_inputs(module, texts)
    vectors = runs.run(["sentence_embedding"], {each.name: feed[each.name] for each in runs.get_inputs()})[0]
    expected = replace(module.dequantise(), backend="numpy", _automatic="").encode(texts, precision="f64")
    np.testing.assert_allclose(vectors, expected, atol=2e-4 if dtype == "float16" else 2e-6)
    again = wellread.load(tmp_path / "made")
    assert again.fingerprint == found.fingerprint == runs.get_modelmeta().custom_metadata_map["fingerprint"]
    assert again.checkpoint.has_int8 == (dtype == "int8")
    assert again.tokenizer.tokenize(texts).values.tolist() == module.tokenizer.tokenize(texts).values.tolist()
    assert (found.rounding > 0) == (dtype == "float16")
    assert found.megabytes == pytest.approx({"float32": 45.2, "float16": 22.6, "int8": 11.5}[dtype], abs=0.3)
    assert found.largest_difference < 1e-5
    assert not list(tmp_path.glob(".*"))


def test_what_the_graph_says_of_itself(tmp_path):
    module = tiny_module(tmp_path / "words", sentence=SENTENCE, mlm=True)
    found = export_onnx(module, tmp_path / "made")
    runs = session(tmp_path / "made")
    inputs = {each.name: (each.type, each.shape) for each in runs.get_inputs()}
    axes = ["batch_size", "sequence_length"]
    assert inputs == dict.fromkeys(["input_ids", "attention_mask", "token_type_ids"], ("tensor(int64)", axes))
    outputs = {each.name: each.shape for each in runs.get_outputs()}
    assert outputs == {
        "last_hidden_state": [*axes, 12],
        "pooler_output": ["batch_size", 12],
        "sentence_embedding": ["batch_size", 24],
    }
    metadata = runs.get_modelmeta().custom_metadata_map
    said = {name: metadata[name] for name in ("max_seq_length", "pooling", "normalize", "tokenizer", "weights")}
    assert said == {
        **{"max_seq_length": "17", "pooling": "cls+max", "normalize": "true"},
        **{"tokenizer": "hf", "weights": "float32"},
    }
    assert found.notes == ("the masked-language-model head stays behind",)
    model = onnx.load(tmp_path / "made" / "onnx" / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert [(each.domain, each.version) for each in model.opset_import] == [("", 20)]
    assert {node.domain for node in model.graph.node} == {""}
    assert model.producer_name == "wellread"
    again = wellread.load(tmp_path / "made")
    assert not again.checkpoint.has_mlm
    expected = {name: array for name, array in module.checkpoint.arrays().items() if not name.startswith("cls.")}
    assert again.checkpoint.tensors.keys() == expected.keys()
    assert all(np.array_equal(again.checkpoint.tensors[name].read(), array) for name, array in expected.items())
    assert again.checkpoint.sentence == module.checkpoint.sentence
    assert {"tokenizer.json", "config.json", "modules.json", "vocab.txt"} <= {
        path.name for path in (tmp_path / "made").iterdir()
    }


@pytest.mark.parametrize(
    "options",
    [
        {"sentence": SentenceConfig(pooling="weightedmean", dense=(DENSE,), max_seq_length=9)},
        {"sentence": SentenceConfig(max_seq_length=9, include_prompt=False, prompts={"query": "a man "})},
        {"config": tiny_config(type_vocab_size=0, pooler="first_token"), "mlm": False},
        {
            "family": "mpnet",
            "config": tiny_config(
                type_vocab_size=0, relative_attention_num_buckets=32, position_offset=2, pad_token_id=1, mlm_act="gelu"
            ),
            "sentence": SentenceConfig(pooling="max", max_seq_length=9),
            "mlm": False,
        },
    ],
    ids=["dense", "prompt", "distilbert", "mpnet"],
)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_every_kind_of_module_agrees_and_comes_back(tmp_path, options, dtype):
    module = tiny_module(tmp_path / "words", **options)
    found = export_onnx(module, tmp_path / "made", dtype=dtype)
    assert wellread.load(tmp_path / "made").fingerprint == found.fingerprint
    assert (found.fingerprint == module.fingerprint) == (dtype == "float32")


@pytest.mark.parametrize(
    ("task", "outputs"),
    [("classify", ["logits"]), ("tag", ["logits"]), ("answer", ["start_logits", "end_logits"])],
)
def test_a_head_gives_its_logits(tmp_path, task, outputs):
    module = Module(checkpoint=headed_checkpoint(task), tokenizer=tiny_tokenizer(tmp_path / "words"))
    export_onnx(module, tmp_path / "made")
    runs = session(tmp_path / "made")
    assert [each.name for each in runs.get_outputs()][: len(outputs)] == outputs
    metadata = runs.get_modelmeta().custom_metadata_map
    assert (metadata["task"], json.loads(metadata["labels"])) == (task, list(module.checkpoint.head.labels))
    again = wellread.load(tmp_path / "made")
    assert again.checkpoint.head == module.checkpoint.head
    text, context = ["a man is playing ."], ["the cat sleeps ."]
    pairs = (context,) if task == "answer" else ()
    assert str(again.predict(text, *pairs)) == str(module.predict(text, *pairs))


def test_weights_beside_a_file_that_would_be_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(backend, "EXTERNAL", 1000)
    module = tiny_module(tmp_path / "words")
    found = export_onnx(module, tmp_path / "made")
    assert (tmp_path / "made" / "onnx" / "model.onnx_data").stat().st_size > 10_000
    assert wellread.load(tmp_path / "made").fingerprint == found.fingerprint == module.fingerprint
    (tmp_path / "made" / "onnx" / "model.onnx_data").unlink()
    with pytest.raises(CheckpointError, match=r"onnx/model.onnx_data is missing"):
        wellread.load(tmp_path / "made")


@pytest.mark.parametrize("opset", [export.OPSETS[0], export.OPSETS[-1]])
def test_the_first_and_the_last_opset(tmp_path, opset):
    found = export_onnx(tiny_module(tmp_path / "words"), tmp_path / "made", opset=opset)
    assert onnx.load(tmp_path / "made" / "onnx" / "model.onnx").opset_import[0].version == found.opset == opset


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"opset": 13}, r"opset 13 was asked for; wellread writes 20 to 24; choose one"),
        ({"opset": "20"}, r"opset '20' was asked for"),
        ({"texts": iter(["a man"]), "with_tokenizer": True}, r"texts= takes a list of texts; found <list_iterator"),
        ({"dtype": "bfloat16"}, r"as 'bfloat16'; graphs are written with float32, float16, int8; choose one"),
    ],
)
def test_what_is_not_written(tmp_path, options, found):
    with pytest.raises(ExportError, match=found):
        export_onnx(tiny_module(tmp_path / "words"), tmp_path / "made", **options)
    assert not (tmp_path / "made").exists()


def test_what_stands_there(tmp_path):
    module, made = tiny_module(tmp_path / "words"), tmp_path / "made"
    export_onnx(module, made)
    before = sha256(made / "wellread.json")
    with pytest.raises(CheckpointError, match=r"found that it exists; .* or pass overwrite=True"):
        export_onnx(module, made)
    export_onnx(module, made, dtype="float16", overwrite=True)
    assert sha256(made / "wellread.json") != before
    export_onnx(wellread.load(made), made, overwrite=True)  # of itself
    (made / "mine.txt").write_text("keep")
    with pytest.raises(CheckpointError, match=r"found mine.txt, which wellread did not write there"):
        export_onnx(module, made, overwrite=True)


@pytest.mark.parametrize("write", [export_onnx, export_openvino])
def test_a_module_over_the_files_that_it_is_read_from(tmp_path, write):
    """Its tensors are read when they are asked for, of files that give way to the export."""
    tiny_module(tmp_path / "words", mlm=False).save(tmp_path / "made")
    module = wellread.load(tmp_path / "made")
    before = module.fingerprint
    found = write(module, tmp_path / "made", dtype="float16", overwrite=True)
    assert 0 < found.rounding < 1e-2
    assert module.fingerprint == before != found.fingerprint
    assert module.encode(["a man is playing"]).shape == (1, 12)


@pytest.mark.parametrize("write", [export_onnx, export_openvino])
def test_what_cannot_be_said_of_an_export_leaves_what_stood_there(tmp_path, monkeypatch, write):
    module, made = tiny_module(tmp_path / "words", mlm=False), tmp_path / "made"
    write(module, made)
    before = sha256(made / "wellread.json")
    monkeypatch.setattr(export, "moved_by", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write(module, made, dtype="float16", overwrite=True)
    assert sha256(made / "wellread.json") == before


def test_a_graph_tells_where_vectors_are_to_be_cut(tmp_path):
    """It gives them whole; what `encode` gives is for the caller to cut."""
    module = tiny_module(tmp_path / "words", sentence=replace(SENTENCE, truncate_dim=5), mlm=False)
    found = export_onnx(module, tmp_path / "made")
    assert found.notes == ("sentence_embedding has all its dimensions; cut it at truncate_dim=5",)
    said = session(tmp_path / "made").get_modelmeta().custom_metadata_map
    assert (said["truncate_dim"], said["embedding_size"]) == ("5", "24")
    assert "- truncate_dim: 5\n" in (tmp_path / "made" / "README.md").read_text("utf-8")


@pytest.mark.parametrize("write", [export_onnx, export_openvino])
def test_a_card_of_ones_own_stays(tmp_path, write):
    module, made = tiny_module(tmp_path / "words", mlm=False), tmp_path / "made"
    write(module, made)
    assert (made / "README.md").read_text("utf-8").startswith(CARD_MARK)
    (made / "README.md").write_text("# Mine\n", "utf-8")
    write(module, made, overwrite=True)
    assert (made / "README.md").read_text("utf-8") == "# Mine\n"


def test_the_backend_runs_what_is_too_large_for_a_message(tmp_path, monkeypatch):
    module = tiny_module(tmp_path / "words", mlm=False)
    expected = module.encode(["a man is playing"], precision="f32")
    save, written = backend.save_graph, []
    monkeypatch.setattr(backend, "EXTERNAL", 1000)
    monkeypatch.setattr(backend, "save_graph", lambda model, path: (save(model, path), written.append(path)))
    vectors = replace(module, backend="onnx").encode(["a man is playing"])
    assert np.abs(vectors - expected).max() < 1e-5
    assert len(written) == 1
    assert not written[0].parent.exists()


def test_without_the_extra(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r'pip install "wellread\[onnx\]"'):
        export_onnx(wellread.load("default"), tmp_path / "made")


def test_nothing_is_kept_of_a_graph_that_does_not_load(tmp_path, monkeypatch):
    monkeypatch.setattr(backend, "save_graph", lambda model, path: path.write_bytes(b"no"))
    with pytest.raises(ExportError, match=r"loaded with onnxruntime; its process ended with code 1: .*--opset"):
        export_onnx(tiny_module(tmp_path / "words"), tmp_path / "made")
    assert [path.name for path in tmp_path.iterdir()] == ["words"]


def test_a_graph_of_other_numbers_is_not_kept(tmp_path, monkeypatch):
    module = tiny_module(tmp_path / "words")
    monkeypatch.setitem(graph_parity.TOLERANCES, "onnxruntime", 1e-12)
    with pytest.raises(ExportError, match=r"agree with the module within 1e-12 .* found that 0/last_hidden_state diff"):
        export_onnx(module, tmp_path / "made")
    assert not (tmp_path / "made").exists()


CHECKPOINT = tiny_checkpoint(mlm=False)


@pytest.mark.parametrize(
    ("outputs", "report", "found"),
    [
        ({"0/sentence_embedding": None}, {}, "0/sentence_embedding differs by inf"),
        ({"0/other": np.zeros(3)}, {}, "0/other is surplus"),
        ({}, {"inputs": {"input_ids": ["tensor(int64)", 3, 7]}}, r"the axes of input_ids are \[3, 7\]"),
        ({}, {"outputs": {}}, "its outputs are {}, not"),
        ({}, {"metadata": {}}, "its metadata say pooling=None, not 'mean'"),
    ],
)
def test_a_fault_is_named(tmp_path, outputs, report, found):
    batches = graph_batches(CHECKPOINT, tiny_tokenizer(tmp_path / "words"))[:1]
    made = {f"0/{name}": array for name, array in reference_outputs(CHECKPOINT, batches[0]).items()}
    said = {
        "inputs": {"input_ids": ["tensor(int64)", "batch_size", "sequence_length"]},
        "outputs": {name: ["tensor(float)", *shape] for name, shape in graph_parity.shapes_out(CHECKPOINT).items()},
        "metadata": {"pooling": "mean"},
    }
    metadata = {"pooling": "mean"}
    assert compare_graph(CHECKPOINT, batches, made, said, metadata=metadata).largest_difference == 0
    made = {name: array for name, array in {**made, **outputs}.items() if array is not None}
    with pytest.raises(ExportError, match=found):
        compare_graph(CHECKPOINT, batches, made, {**said, **report}, metadata=metadata)


def test_int8_tables_and_maps_as_the_numpy_backend_has_them(tmp_path):
    """Matrices with scales of their inputs, which the default module lacks, beside those without."""
    module = tiny_module(tmp_path / "words", mlm=False)
    rng = np.random.default_rng(0)
    arrays = dict(module.checkpoint.arrays())
    for name, shape in shapes(module.checkpoint.config).items():
        if name.endswith(("word_embeddings.weight", "position_embeddings.weight", "dense.weight")) and len(shape) == 2:
            scaled = rng.uniform(0.5, 2, shape[1]).astype(np.float32) if name.endswith("dense.weight") else None
            arrays[name] = export_int8(rng.integers(-64, 65, shape), rng.uniform(1e-3, 2e-2, shape[0]), scaled)
    checkpoint = replace(module.checkpoint, tensors=in_memory(arrays))
    int8 = replace(module, checkpoint=checkpoint)
    found = export_onnx(int8, tmp_path / "made", dtype="int8")
    again = wellread.load(tmp_path / "made")
    assert again.fingerprint == found.fingerprint == int8.fingerprint
    assert again.checkpoint.tensors["pooler.dense.weight"].int8().input_scales is not None
    batch = graph_batches(checkpoint, int8.tokenizer)[0]
    expected = load_backend("numpy", checkpoint).run(batch, ["sentence_embedding"])["sentence_embedding"]
    runs = session(tmp_path / "made")
    theirs = {"input_ids": "input_word_ids", "attention_mask": "input_mask", "token_type_ids": "input_type_ids"}
    feed = {name: batch[ours].astype(np.int64) for name, ours in theirs.items()}
    np.testing.assert_allclose(runs.run(["sentence_embedding"], feed)[0], expected, atol=1e-5)


def export_int8(values, scales, input_scales):
    from wellread.formats.int8 import Int8Matrix

    return Int8Matrix(values=values.astype(np.int8), scales=scales.astype(np.float32), input_scales=input_scales)


@pytest.mark.parametrize(
    ("damage", "error", "found"),
    [
        (lambda data: data[:-1], CheckpointError, "found a field of"),
        (lambda data: b"", CheckpointError, "found no constants in it"),
        (lambda data: data.replace(b"pooler.dense.bias", b"pooler.dense.bier"), WeightsError, "bias is missing"),
    ],
)
def test_a_damaged_graph_is_refused(tmp_path, damage, error, found):
    from wellread.checkpoints.onnx_weights import read_onnx_encoder

    export_onnx(tiny_module(tmp_path / "words"), tmp_path / "made")
    path = tmp_path / "made" / "onnx" / "model.onnx"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CheckpointError, match=r"onnx/model.onnx has another SHA-256"):
        wellread.load(tmp_path / "made")
    with pytest.raises(error, match=found):
        read_onnx_encoder(tmp_path / "made", path, pooler="dense_tanh", head=None)
