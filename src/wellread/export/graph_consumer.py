"""The other side of a graph's export: a process that knows the runtime alone, loads what was written and runs it.

Run as `python -m wellread.export.graph_consumer DIRECTORY`. The directory holds `request.json` (where the graph lies)
and `batches.npz`, where texts are JSON in UTF-8; results go there: `outputs.npz` and `report.json`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np


def main(directory: Path) -> None:
    """Answer the request that lies in `directory`."""
    request = json.loads((directory / "request.json").read_text("utf-8"))
    batches: dict[str, dict[str, np.ndarray[Any, Any]]] = {}
    with np.load(directory / "batches.npz", allow_pickle=False) as file:
        for key in file:
            index, name = key.split("/")
            array = file[key]
            batches.setdefault(index, {})[name] = json.loads(array.tobytes()) if name == "text" else array
    arrays, report = RUNTIMES[request["runtime"]](request["graph"], batches, request["outputs"])
    np.savez(directory / "outputs.npz", allow_pickle=False, **arrays)
    (directory / "report.json").write_text(json.dumps(report), "utf-8")


Batches = dict[str, dict[str, Any]]
Result = tuple[dict[str, Any], dict[str, Any]]


def run_onnx(path: str, batches: Batches, wanted: list[str] | None) -> Result:
    """Run every batch on ONNX Runtime; say what the graph takes, gives and says of itself."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    inputs, outputs = session.get_inputs(), session.get_outputs()
    every = [output.name for output in outputs]
    names = [name for name in every if wanted is None or name in wanted] or every
    arrays: dict[str, Any] = {}
    for index, batch in batches.items():
        feed: dict[str, Any] = {
            each.name: np.array(batch[each.name], TYPES.get(each.type, np.int64)) for each in inputs
        }
        arrays |= {f"{index}/{name}": value for name, value in zip(names, session.run(names, feed), strict=True)}
    report = {
        "inputs": {each.name: [each.type, *each.shape] for each in inputs},
        "outputs": {each.name: [each.type, *each.shape] for each in outputs},
        "metadata": session.get_modelmeta().custom_metadata_map,
        "version": onnxruntime.__version__,
    }
    return arrays, report


def run_tensorflow_hub(path: str, batches: Batches, wanted: list[str] | None) -> Result:
    """Run every batch on an encoder of TF Hub's contract."""
    import tensorflow as tf
    import tensorflow_hub as hub

    encoder = hub.load(path)
    arrays: dict[str, Any] = {}
    for index, batch in batches.items():
        outputs = encoder({name: tf.constant(array, tf.int32) for name, array in batch.items() if name != "text"})
        arrays |= {f"{index}/{name}": outputs[name].numpy() for name in ("sequence_output", "pooled_output")}
    return arrays, {"metadata": {}, "version": hub.__version__}


def run_openvino(path: str, batches: Batches, wanted: list[str] | None) -> Result:
    """Run every batch on OpenVINO, in float32 as the graph is written, whatever the CPU would round to by default."""
    import openvino

    core = openvino.Core()
    model = core.read_model(path)
    settings = {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0}
    compiled = core.compile_model(model, "CPU", settings)
    arrays: dict[str, Any] = {}
    for index, batch in batches.items():
        feed = {
            port.any_name: batch[port.any_name].astype(port.get_element_type().to_dtype()) for port in compiled.inputs
        }
        values = compiled(feed)
        names = ((port, name) for port in compiled.outputs for name in port.names)
        arrays |= {f"{index}/{name}": values[port] for port, name in names if wanted is None or name in wanted}

    def described(port: Any) -> list[Any]:  # an axis of any length has no name of its own there
        axes = zip(port.partial_shape, ("batch_size", "sequence_length", None), strict=False)
        return [
            port.element_type.get_type_name(),
            *(name if axis.is_dynamic else axis.get_length() for axis, name in axes),
        ]

    said = model.get_rt_info(["wellread"]).value if model.has_rt_info(["wellread"]) else {}
    report = {
        "inputs": {name: described(port) for port in model.inputs for name in port.names},
        "outputs": {name: described(port) for port in model.outputs for name in port.names},
        "metadata": dict(said),
        "version": openvino.__version__,
    }
    return arrays, report


TYPES = {"tensor(int32)": np.int32, "tensor(string)": np.object_}  # of inputs; other graphs than ours take the first
RUNTIMES = {"onnxruntime": run_onnx, "tensorflow-hub": run_tensorflow_hub, "openvino": run_openvino}

if __name__ == "__main__":
    main(Path(sys.argv[1]))
