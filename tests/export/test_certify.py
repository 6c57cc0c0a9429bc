"""What a certificate says of backends, directories, graphs, SavedModels and servers, near and not near."""

import base64
import json
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from headed import headed_checkpoint
from onnx import TensorProto, helper, numpy_helper
from tiny import tiny_checkpoint, tiny_module, tiny_tokenizer

import wellread
from wellread.backends import native, openvino
from wellread.cli.main import group
from wellread.config import SentenceConfig
from wellread.errors import ExportError, InputError
from wellread.export.artefacts import _tokens, endpoints, graph_of, with_prompt
from wellread.export.certify import as_json, as_markdown, certify, refuse_beyond
from wellread.export.onnx import export_onnx
from wellread.module import Module

TEXTS = ["a man is playing the guitar", "the cat sleeps .", "flute ! france of paris runs ,"]


@pytest.fixture(autouse=True)
def in_float32(monkeypatch):
    """Have no CPU take bfloat16 by itself: what agrees here agrees within 1e-5."""
    for backend in (native, openvino):
        monkeypatch.setattr(backend, "precisions", lambda: ["f32"])


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    return tiny_module(tmp_path_factory.mktemp("words"), sentence=SentenceConfig(max_seq_length=32, normalize=True))


@pytest.mark.parametrize(("backend", "by"), [("numpy", "numpy in f64"), ("openvino", "openvino in f32")])
def test_a_backend(module, backend, by):
    found = certify(module, backend, texts=TEXTS)
    assert found.holds
    assert found.by.endswith(by)
    assert (found.texts, found.other_ids, found.artefact) == (3, 0, backend)
    assert found.largest_difference < 1e-6
    assert found.least_cosine == pytest.approx(1, abs=1e-9)
    assert found.fingerprint == module.fingerprint


def test_default_on_packaged_lines():
    module = wellread.load("default")
    found = certify(module, "numpy:int8", texts=10, tolerance=0.01)
    assert found.texts == 10
    assert found.holds
    assert 1e-5 < found.largest_difference < 0.01
    again = certify(module, "numpy:int8", texts=10, tolerance=1e-5)
    assert not again.holds
    assert again.texts_sha256 == found.texts_sha256


def test_neither_certificates_nor_openvino_need_the_extra():
    code = (
        "import wellread.export.certify, wellread.export.openvino, sys; print({'onnx', 'onnxruntime'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_directories(module, tmp_path):
    module.save(tmp_path / "native")
    assert certify(module, tmp_path / "native", texts=TEXTS, backend="openvino").holds
    export_onnx(module, tmp_path / "graph")
    found = certify(module, tmp_path / "graph", texts=TEXTS)
    assert found.holds
    assert found.by.startswith("onnxruntime ")
    assert (found.other_ids, found.notes, found.artefact) == (0, (), "graph")
    export_onnx(module, tmp_path / "half", dtype="float16")
    half = certify(module, tmp_path / "half" / "onnx" / "model.onnx", texts=TEXTS)
    assert not half.holds
    assert 1e-5 < half.largest_difference < 1e-2


def test_other_weights_and_other_ids(module, tmp_path):
    other = Module(checkpoint=tiny_checkpoint(seed=1), tokenizer=module.tokenizer)
    other.save(tmp_path / "other")
    found = certify(module, tmp_path / "other", texts=TEXTS, backend="openvino")
    assert (found.holds, found.other_ids) == (False, 0)
    assert found.largest_difference > 0.1
    with pytest.raises(ExportError, match=r"within tolerance=1e-05; found a difference of .*; export it again"):
        refuse_beyond(found)
    export_onnx(module, tmp_path / "graph")
    rules = tmp_path / "graph" / "tokenizer.json"
    rules.write_text(rules.read_text("utf-8").replace('"guitar"', '"guitars"'), "utf-8")
    found = certify(module, tmp_path / "graph", texts=TEXTS)
    assert (found.holds, found.other_ids, found.worst_text) == (False, 1, TEXTS[0])
    with pytest.raises(ExportError, match=r"found other ids for 1 of 3 texts and a difference"):
        refuse_beyond(found)
    rules.write_text("{}", "utf-8")
    with pytest.raises(ExportError, match=r"tokenizer.json was to be read by tokenizers; found that"):
        certify(module, tmp_path / "graph", texts=TEXTS)


def test_a_graph_of_hidden_states_alone(module, tmp_path):
    """As exports of others are: int32 inputs, one output, pooled here."""
    export_onnx(module, tmp_path / "graph")
    model = onnx.load(tmp_path / "graph" / "onnx" / "model.onnx")
    del model.graph.output[1:]
    for given in model.graph.input:
        given.type.tensor_type.elem_type = TensorProto.INT32
    onnx.save(model, tmp_path / "model.onnx")
    found = certify(module, tmp_path / "model.onnx", texts=TEXTS)
    assert found.holds
    assert found.other_ids is None
    assert found.notes == ("there is no tokenizer.json beside the graph: it was given the module's ids",)
    assert "| ids | not told |" in as_markdown(found)


@pytest.mark.parametrize(
    ("output", "found"),
    [
        ("y", r"found the outputs y, of which no sentence vector"),
        ("sentence_embedding", r"found vectors of shape \[3, 2"),
    ],
)
def test_a_graph_of_something_else(module, tmp_path, output, found):
    inputs = [helper.make_tensor_value_info("input_ids", TensorProto.INT64, [None, None])]
    nodes = [helper.make_node("Cast", ["input_ids"], ["x"], to=TensorProto.FLOAT)]
    nodes += [helper.make_node("Slice", ["x", "zero", "two", "one"], [output])]
    ints = [numpy_helper.from_array(np.int64([i]), name) for i, name in enumerate(("zero", "one", "two"))]
    outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)]
    opset = [helper.make_opsetid("", 20)]
    model = helper.make_model(helper.make_graph(nodes, "g", inputs, outputs, ints), opset_imports=opset, ir_version=9)
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(ExportError, match=found):
        certify(module, tmp_path, texts=TEXTS)


def test_a_graph_that_does_not_load(module, tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(ExportError, match=r"loaded with onnxruntime; its process ended with code 1"):
        certify(module, tmp_path, texts=TEXTS)


@pytest.mark.parametrize("bias", [np.nan, np.inf])
def test_logits_that_are_no_numbers_do_not_agree(tmp_path, bias):
    module = Module(checkpoint=headed_checkpoint("classify"), tokenizer=tiny_tokenizer(tmp_path / "words"))
    export_onnx(module, tmp_path / "graph")
    path = tmp_path / "graph" / "onnx" / "model.onnx"
    model = onnx.load(path)
    constant = next(each for each in model.graph.initializer if each.name == "classifier.bias")
    constant.CopyFrom(numpy_helper.from_array(np.full(5, bias, np.float32), constant.name))
    onnx.save(model, path)
    found = certify(module, path, texts=TEXTS)
    assert (found.holds, found.logits, found.notes) == (False, {"logits": float("inf")}, ())
    notes = ("logits of the module's head were not compared",)
    assert certify(module, "numpy", texts=TEXTS).notes == notes  # only vectors were
    assert found.largest_difference < 1e-5
    assert json.loads(as_json(found), parse_constant=pytest.fail)["logits"] == {"logits": None}
    page = as_markdown(replace(found, worst_text="a\nb | c"))
    assert "| logits | largest difference inf |\n| worst text | a b \\| c |\n" in page


def test_wider_vectors_are_cut_at_truncate_dim_alone(tmp_path):
    """A graph of two poolings begins with the numbers of the first: it is another module all the same."""
    sentence = SentenceConfig(max_seq_length=32, pooling="cls+mean")
    wide = tiny_module(tmp_path / "words", sentence=sentence)
    export_onnx(wide, tmp_path / "graph")
    cut = replace(wide, checkpoint=replace(wide.checkpoint, sentence=replace(sentence, truncate_dim=5)))
    assert certify(cut, tmp_path / "graph", texts=TEXTS).holds
    one = replace(wide, checkpoint=replace(wide.checkpoint, sentence=replace(sentence, pooling="cls")))
    with pytest.raises(ExportError, match=r"against vectors of shape \[3, 12\]; found vectors of shape \[3, 24\]"):
        certify(one, tmp_path / "graph", texts=TEXTS)


def test_texts_that_an_artefact_cuts_have_other_ids(module, tmp_path):
    sentence = replace(module.checkpoint.sentence, max_seq_length=6)
    replace(module, checkpoint=replace(module.checkpoint, sentence=sentence)).save(tmp_path / "short")
    found = certify(module, tmp_path / "short", texts=TEXTS, tolerance=10)
    assert (found.holds, found.other_ids) == (False, 2)


def test_a_graph_with_a_mask_of_what_is_pooled(tmp_path):
    sentence = SentenceConfig(max_seq_length=32, include_prompt=False)
    module = tiny_module(tmp_path / "words", sentence=sentence)
    export_onnx(module, tmp_path / "graph")
    assert certify(module, tmp_path / "graph", texts=TEXTS).holds


def test_a_graph_of_texts_that_tells_no_ids(module, tmp_path):
    nodes = [
        helper.make_node("Shape", ["text"], ["rows"]),
        helper.make_node("Concat", ["rows", "width"], ["shape"], axis=0),
        helper.make_node("ConstantOfShape", ["shape"], ["sentence_embedding"]),
    ]
    ends = [
        [helper.make_tensor_value_info("text", TensorProto.STRING, [None])],
        [helper.make_tensor_value_info("sentence_embedding", TensorProto.FLOAT, [None, None])],
    ]
    graph = helper.make_graph(nodes, "g", *ends, [numpy_helper.from_array(np.int64([12]), "width")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.save(model, tmp_path / "model.onnx")
    found = certify(module, tmp_path, texts=TEXTS)
    assert (found.holds, found.other_ids) == (False, None)
    assert found.notes == ("the graph tells no ids: it has no outputs input_ids and attention_mask",)


def test_where_weights_stand_beside_a_graph_the_weights_are_meant(tmp_path):
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "model.onnx").touch()
    assert graph_of(tmp_path) == tmp_path / "onnx" / "model.onnx"
    (tmp_path / "model.safetensors").touch()
    assert graph_of(tmp_path) is None


def test_a_module_that_does_not_pool_its_prompt(tmp_path):
    sentence = SentenceConfig(
        max_seq_length=32, include_prompt=False, prompts={"query": "a man "}, default_prompt_name="query"
    )
    module = tiny_module(tmp_path / "words", sentence=sentence)
    assert certify(module, "openvino", texts=TEXTS).holds
    export_onnx(module, tmp_path / "graph")
    with pytest.raises(ExportError, match=r"does not pool its default prompt"):
        certify(module, tmp_path / "graph", texts=TEXTS)
    module.default_prompt_name = None
    module.checkpoint = replace(module.checkpoint, sentence=replace(module.checkpoint.sentence, include_prompt=True))
    export_onnx(module, tmp_path / "pooled")
    module.default_prompt_name = "query"
    assert certify(module, tmp_path / "pooled", texts=TEXTS).holds


@pytest.mark.slow  # a minute, for the export alone
def test_tf_hub(bert):
    found = certify(bert.module, bert.encoder, texts=TEXTS)
    assert found.holds
    assert found.by.startswith("tensorflow-hub ")


# -- servers ---------------------------------------------------------------------------------------------------------


@contextmanager
def server(answer):
    """Answer each POST with what `answer(path, payload, headers)` gives: a status and JSON, or bytes."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            payload = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, body = answer(self.path, payload, self.headers)
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *words):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_port}"
        finally:
            running.shutdown()
            thread.join()


def openai(module, *, as_base64=False, tokenizes=True, asked=None):
    def answer(path, payload, headers):
        if asked is not None:
            asked.append((path, payload.get("model"), headers["Authorization"]))
        if path == "/tokenize":
            rows = [
                [{"id": 2}, *({"id": int(i)} for i in row), {"id": 3}]
                for row in module.tokenizer.tokenize(with_prompt(module, payload["inputs"]))
            ]
            return (200, rows) if tokenizes else (404, {"error": "no"})
        vectors = module.encode(payload["input"])
        data = [
            {
                "index": i,
                "embedding": base64.b64encode(np.asarray(row, "<f4").tobytes()).decode() if as_base64 else row.tolist(),
            }
            for i, row in enumerate(vectors)
        ]
        return 200, {"object": "list", "data": data[::-1]}

    return answer


@pytest.mark.parametrize("as_base64", [False, True])
def test_a_server(module, as_base64):
    asked = []
    with server(openai(module, as_base64=as_base64, asked=asked)) as address:
        found = certify(module, address, texts=TEXTS * 20, api_key="secret", model_name="tiny")
    assert found.holds
    assert (found.texts, found.other_ids) == (60, 0)
    assert asked == [
        *[("/v1/embeddings", "tiny", "Bearer secret")] * 2,
        *[("/tokenize", None, "Bearer secret")] * 2,  # text-embeddings-inference takes 32 texts by default
    ]
    assert "secret" not in as_json(found)


def test_a_server_puts_its_prompt_before_texts_by_itself(tmp_path):
    prompts = {"prompts": {"query": "a man "}, "default_prompt_name": "query"}
    module = tiny_module(tmp_path / "words", sentence=SentenceConfig(max_seq_length=32, **prompts))
    with server(openai(module)) as address:
        found = certify(module, address, texts=TEXTS)
    assert (found.holds, found.other_ids) == (True, 0)


def test_a_server_that_tells_no_ids(module):
    with server(openai(module, tokenizes=False)) as address:
        found = certify(module, f"{address}/v1", texts=TEXTS)
    assert (found.holds, found.other_ids, found.notes) == (True, None, ("the server tells no ids",))


@pytest.mark.parametrize("body", [b'[[{"id": Infinity}]]', b"[" * 200_000, b"[[1]]", b"[]", b"{}"])
def test_an_answer_that_is_no_ids(body):
    assert _tokens(body, 1) is None


@pytest.mark.parametrize(
    ("status", "body", "found"),
    [
        (401, {"error": "who?"}, r"found status 401: '{\"error\": \"who\?\"}'; check the address"),
        (200, b"<html>", r"found an answer of another shape than OpenAI's \(JSONDecodeError"),
        (200, {"data": []}, r"\(KeyError: 0\)"),
        (200, {"data": [{"index": i, "embedding": [[1.0]]} for i in range(3)]}, r"a vector of 2 axes"),
        (200, {"data": [{"index": i, "embedding": "%%"} for i in range(3)]}, r"another shape than OpenAI's"),
        (200, {"data": [{"index": i, "embedding": [1.0] * (i + 1)} for i in range(3)]}, r"found 3 widths"),
        (200, {"data": [{"index": i, "embedding": [1.0]} for i in range(3)]}, r"found vectors of shape \[3, 1\]"),
        (200, {"data": [{"index": i, "embedding": [float("nan")] * 12} for i in range(3)]}, r"found NaN or infinity"),
        (200, b'{"data": [{"index": 0, "embedding": [1' + b"0" * 400 + b"]}]}", r"\(OverflowError"),
        (200, b"[" * 200_000, r"\(RecursionError"),
    ],
)
def test_answers_that_are_none(module, status, body, found):
    with server(lambda *_: (status, body)) as address, pytest.raises(ExportError, match=found):
        certify(module, address, texts=TEXTS)


def test_no_server(module):
    with server(lambda *_: (200, {})) as address:
        pass
    with pytest.raises(ExportError, match=r"/v1/embeddings was to be certified; found no connection to 127.0.0.1"):
        certify(module, address, texts=TEXTS)
    with pytest.raises(
        ExportError, match=r"^http://host/v1/embeddings was to be .*a user name or password in the addr"
    ):
        certify(module, "http://me:hidden@host", texts=TEXTS)


def test_an_answer_that_never_ends(module, monkeypatch):
    monkeypatch.setattr("wellread.export.artefacts.MOST_BYTES", 100)
    with server(openai(module)) as address, pytest.raises(ExportError, match=r"found an answer of over 100 bytes"):
        certify(module, address, texts=TEXTS)


def test_where_servers_embed():
    assert endpoints("http://h/v1/") == ("http://h/v1/embeddings", "http://h/tokenize")


# -- what is asked, and what is written ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"tolerance": -1}, r"tolerance= must be a number of at least 0; found -1"),
        ({"tolerance": float("nan")}, r"found nan"),
        ({"tolerance": float("inf")}, r"found inf"),
        ({"texts": 0}, r"texts= takes a number above 0, or texts; found 0"),
        ({"texts": []}, r"texts= takes"),
        ({"texts": "a text"}, r"texts= takes"),
        ({"texts": [3]}, r"texts= takes"),
        ({"texts": ["a man " * 40]}, r"1 texts were given; found each longer than the module's 32 tokens"),
    ],
)
def test_what_cannot_be_certified(module, options, found):
    with pytest.raises(InputError, match=found):
        certify(module, "numpy", **{"texts": TEXTS, **options})


def test_long_texts_are_left_out_and_told(module):
    found = certify(module, "numpy", texts=[*TEXTS, "a man " * 40])
    assert (found.texts, found.notes) == (3, ("1 texts of more than 32 tokens were left out",))


def test_half_of_a_surrogate_pair(module):
    assert certify(module, "numpy", texts=["\ud800 cat"]).holds


def test_where_a_certificate_cannot_lie(tmp_path):
    done = CliRunner().invoke(group, ["certify", "no/such/module", "numpy", "-o", str(tmp_path / "absent" / "a.md")])
    assert done.exit_code == 3  # before any work
    assert "found that there is no directory" in done.stderr


def test_the_command(tmp_path):
    page, data = tmp_path / "found.md", tmp_path / "found.json"
    given = ["certify", "default", "openvino", "--texts", "4"]
    done = CliRunner().invoke(group, [*given, "-o", str(page)])
    assert done.exit_code == 0, done.output
    assert page.read_text("utf-8") == done.stdout
    assert done.stdout.startswith(
        "# openvino agrees with default\n\n| | |\n|---|---|\n| module | default, fingerprint "
    )
    done = CliRunner().invoke(group, [*given, "--tolerance", "1e-12", "--json", "-o", str(data)])
    assert done.exit_code == 3
    assert json.loads(done.stdout) == json.loads(data.read_text("utf-8"))
    assert json.loads(done.stdout)["holds"] is False
    assert "openvino must agree with default within --tolerance 1e-12; found a difference of " in done.stderr
    done = CliRunner().invoke(group, [*given, "-o", str(data)])
    assert done.exit_code == 2
    assert "exists; choose another name, or pass --overwrite" in done.stderr
    assert CliRunner().invoke(group, [*given, "-o", str(data), "--overwrite"]).exit_code == 0
    done = CliRunner().invoke(group, ["certify", "default", "nothing/here"])
    assert done.exit_code == 3
