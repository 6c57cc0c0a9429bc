"""A module to OpenVINO: its own directory, and a graph beside the weights that OpenVINO opens without wellread."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from wellread.backends.backend import graph_inputs
from wellread.checkpoints.checkpoint import Checkpoint
from wellread.checkpoints.native import narrowed, write_around, write_weights
from wellread.encoder.heads import run
from wellread.export.graph_names import ANSWER, INPUT_NAMES, OUTPUT_NAMES, output_names, shapes_out
from wellread.export.graph_parity import check_graph
from wellread.export.onnx import (
    ExportedGraph,
    check_back,
    check_dtype,
    described,
    graph_card,
    make_way,
    megabytes,
    proof,
    stored_as,
)
from wellread.files import own_card, whole_directory
from wellread.formats.int8 import Int8Matrix
from wellread.module import Module

GRAPH = "openvino/openvino_model.xml"  # where sentence-transformers looks; the numbers lie beside it, as .bin
OPSET = 13  # of OpenVINO's operators
ABOUT = (
    "It is in OpenVINO's IR; the tokenizer is `tokenizer.json`. The weights stand in `model.safetensors` once more, "
    "from which `wellread.load` reads the module back. To compute as it is written on every CPU, compile it with "
    "INFERENCE_PRECISION_HINT=f32 and DYNAMIC_QUANTIZATION_GROUP_SIZE=0."
)


def export_openvino(
    module: Module, directory: str | os.PathLike[str], *, dtype: str = "float32", overwrite: bool = False
) -> ExportedGraph:
    """Write `module` to `directory` with a graph of OpenVINO's, `openvino/openvino_model.xml`.

    Inputs, outputs and `dtype` are those of `export_onnx`, and so is the proof: OpenVINO runs it in a fresh process.
    The rest of the directory is what `save` writes, but for a masked-language-model head.

    Raises: ExportError for a `dtype` that is not written, or where the graph does not agree; CheckpointError where
        something stands there, and with `overwrite` where files of others do.

    >>> import wellread
    >>> from wellread.export.openvino import export_openvino
    >>> export_openvino(wellread.load("default"), "runs/openvino", overwrite=True).graph
    'openvino/openvino_model.xml'
    """
    check_dtype(dtype)
    make_way(module, Path(directory), overwrite=overwrite)
    stored, provenance = stored_as(module, dtype)
    facts = described(stored, module, dtype)
    arrays = {
        name: narrowed(name, array, dtype) if dtype == "float16" and not isinstance(array, Int8Matrix) else array
        for name, array in stored.stored(floats="sentence.").items()
    }
    with whole_directory(Path(directory), overwrite=overwrite) as partial:
        save_ir(stored, facts, partial / GRAPH)
        size = megabytes(partial / GRAPH)
        write_weights(partial, stored, arrays)
        card = own_card(Path(directory)) or graph_card(stored, facts, f"`{GRAPH}`", ABOUT)
        write_around(partial, stored, module.tokenizer, arrays, provenance=provenance, card=card)
        parity = check_graph(stored, module.tokenizer, partial / GRAPH, runtime="openvino", metadata=facts)
        check_back(partial, facts["fingerprint"])
        found = proof(module, stored, facts, parity)
    return ExportedGraph(graph=GRAPH, dtype=dtype, opset=OPSET, megabytes=size, **found)


def save_ir(stored: Checkpoint, facts: dict[str, str], path: Path) -> None:
    """Build the graph over the OpenVINO backend's primitives, name its ends, and write it."""
    from wellread.backends.openvino import OpenVINOOps, op, ov

    class IrOps(OpenVINOOps):
        """The primitives over weights as they are stored: float16 is widened in the graph."""

        def weight(self, name: str) -> Any:
            tensor = self.checkpoint.tensors[name]
            if tensor.dtype == "float16" and name not in self.constants:
                self.constants[name] = op.convert(op.constant(tensor.read().astype(np.float16)), "f32")
            return super().weight(name)

    outputs = output_names(stored)
    given = {name: op.parameter([-1, -1], np.int64) for name in graph_inputs(stored, outputs)}
    for name, node in given.items():
        node.output(0).set_names({INPUT_NAMES[name]})
    inputs = {name: op.convert(node, "i32") for name, node in given.items()}
    values: dict[str, Any] = run(
        IrOps(stored), stored.config, stored.sentence, inputs, outputs=outputs, head=stored.head
    )
    named = {OUTPUT_NAMES[name]: value for name, value in values.items()}
    if ANSWER[0] in shapes_out(stored):
        logits, axis = named.pop("logits"), op.constant(np.int32(-1))
        named |= {name: op.gather(logits, op.constant(np.int32(i)), axis) for i, name in enumerate(ANSWER)}
    ends = []
    for name in shapes_out(stored):
        named[name].output(0).add_names({name})
        ends.append(op.result(named[name]))
    model = ov.Model(ends, list(given.values()), "wellread")
    for key, value in facts.items():
        model.set_rt_info(value, ["wellread", key])
    path.parent.mkdir(parents=True, exist_ok=True)
    ov.save_model(model, str(path), compress_to_fp16=False)
