"""What `wellread export` prints of what it made."""

import json
import sys
from dataclasses import replace

import pytest
from click.testing import CliRunner

from wellread.cli.export import command
from wellread.export import onnx, tfhub
from wellread.export.onnx import ExportedGraph
from wellread.export.parity import EncoderParity, Exported, PreprocessorParity

ENCODER = EncoderParity(batches=3, outputs=90, largest_difference=2.5e-07, loss=(2.0, 1.5))
FOUND = Exported(encoder=ENCODER, preprocessor=PreprocessorParity(texts=20022, ties=7), notes=("there is no .mlm",))


@pytest.fixture
def asked(monkeypatch):
    """Keep what the exporter is asked for; the exporter itself has its own tests."""
    asked = []

    def export(module, directory, *, preprocessor=None, overwrite=False):
        asked.append((module.embedding_size, str(directory), str(preprocessor), *(["overwrite"] if overwrite else [])))
        return FOUND

    monkeypatch.setattr(tfhub, "export_tfhub", export)
    return asked


def test_lines(asked):
    made = CliRunner().invoke(command, ["default", "--to", "tfhub", "-o", "e", "--preprocessor", "p"])
    assert made.exit_code == 0
    assert asked == [(384, "e", "p")]
    assert made.output.splitlines() == [
        "e: 90 outputs of 3 batches within 2.5e-07 of float64",
        "p: the ids of 20,022 texts; 7 of them ties of SentencePiece",
        "note: there is no .mlm",
    ]


def test_json(asked):
    made = CliRunner().invoke(command, ["--to", "tfhub", "-o", "e", "--json", "--overwrite"])
    assert made.exit_code == 0
    assert asked == [(384, "e", "None", "overwrite")]
    printed = json.loads(made.output)
    assert printed["encoder"]["largest_difference"] == 2.5e-07
    assert printed["preprocessor"] == {"texts": 20022, "ties": 7}


GRAPH = ExportedGraph(
    graph="onnx/model.onnx",
    dtype="int8",
    opset=21,
    fingerprint="0123456789abcdef",
    megabytes=11.6,
    batches=3,
    outputs=6,
    largest_difference=2.5e-07,
    rounding=0.0,
    notes=("the masked-language-model head stays behind",),
)


@pytest.fixture
def graphs(monkeypatch):
    asked = []
    monkeypatch.setattr(onnx, "export_onnx", lambda module, path, **options: asked.append(options) or GRAPH)
    return asked


def test_a_graph_in_lines_and_json(graphs):
    given = ["default", "--to", "onnx", "-o", "made", "--dtype", "int8", "--opset", "21"]
    assert CliRunner().invoke(command, given).output.splitlines() == [
        "made/onnx/model.onnx: opset 21, weights as int8, 11.6 MB, fingerprint 0123456789abcdef",
        "6 outputs of 3 batches within 2.5e-07 of float64; storing the weights so moved them by 0",
        "note: the masked-language-model head stays behind",
    ]
    assert json.loads(CliRunner().invoke(command, ["--to", "onnx", "-o", "e", "--json"]).output)["opset"] == 21
    assert graphs == [
        {"dtype": "int8", "opset": 21, "with_tokenizer": False, "texts": [], "mlm": False, "overwrite": False},
        {"dtype": "float32", "opset": None, "with_tokenizer": False, "texts": [], "mlm": False, "overwrite": False},
    ]


def test_a_graph_with_its_tokenizer_inside(graphs, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "GRAPH", replace(GRAPH, texts=1234, refused_texts=5))
    (tmp_path / "texts.txt").write_text("one\ntwo\n", "utf-8")
    given = ["--to", "onnx", "-o", "made", "--with-tokenizer", "--mlm", "--texts", str(tmp_path / "texts.txt")]
    lines = CliRunner().invoke(command, given).output.splitlines()
    assert lines[2] == (
        "the tokenizer is inside: the ids of 1,234 texts are equal, those of 5 are not, which hold characters that the "
        "card names"
    )
    assert (graphs[0]["with_tokenizer"], graphs[0]["texts"], graphs[0]["mlm"]) == (True, ["one", "two"], True)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--to", "onnx", "--preprocessor", "p"], "--preprocessor is for tfhub"),
        (["--to", "tfhub", "--dtype", "int8"], "--dtype is for huggingface, onnx and openvino"),
        (
            ["--to", "huggingface", "--dtype", "int8"],
            "--dtype int8 is for graphs; huggingface takes float32 and float16",
        ),
        (["--to", "tfhub", "--opset", "20"], "--opset is for onnx"),
        (["--to", "openvino", "--with-tokenizer"], "--with-tokenizer is for onnx; openvino_tokenizers make other ids"),
        (["--to", "tfhub", "--mlm"], "--with-tokenizer and --mlm are for onnx; found --to tfhub"),
        (["--to", "onnx", "--texts", "t"], "--texts are proved with --with-tokenizer; pass both, or neither"),
        (["--to", "coreml"], "'coreml' is not one of 'tfhub', 'huggingface', 'onnx', 'openvino'"),
    ],
)
def test_options_of_other_forms(options, found):
    refused = CliRunner().invoke(command, ["-o", "e", *options])
    assert refused.exit_code == 2
    assert found in refused.output
