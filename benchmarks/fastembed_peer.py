"""fastembed on the same weights: it lives in an environment of its own, for it needs an older huggingface-hub."""

from __future__ import annotations

import sys
from pathlib import Path

from wellread.module import load

PYTHON = Path(sys.prefix) / "fastembed" / "bin" / "python"  # made by `make .venv/fastembed`
THEIRS = {"input_word_ids": "input_ids", "input_mask": "attention_mask", "input_type_ids": "token_type_ids"}
# The texts of a Parquet file, in processes of its own for each core: what `parallel=0` asks for.
WORKER = """
import json, sys, time
how, model, corpus, output, width = sys.argv[1:]
import pyarrow.parquet as pq
texts = pq.read_table(corpus)["text"].to_pylist()
if __name__ == "__main__":
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType
    TextEmbedding.add_custom_model("here", PoolingType.MEAN, True, ModelSource(hf="here"), int(width), "model.onnx")
    encoder = TextEmbedding("here", specific_model_path=model)
    started = time.perf_counter()
    for _ in encoder.embed(texts, parallel=0):
        pass
    print(json.dumps({"seconds": time.perf_counter() - started}))
"""


def fastembed_directory(model: Path, place: Path) -> int:
    """Write what fastembed loads: the encoder up to its last hidden states, which it averages; return their width."""
    import onnx
    from onnx import TensorProto, helper

    from wellread.backends.onnx import build

    module = load(model).dequantise()
    module.save(place)
    proto = build(module.checkpoint, ["sequence_output"])
    inputs = [one.name for one in proto.graph.input]
    del proto.graph.input[:]
    for name in inputs:
        proto.graph.input.append(helper.make_tensor_value_info(THEIRS[name], TensorProto.INT64, [None, None]))
        proto.graph.node.insert(0, helper.make_node("Cast", [THEIRS[name]], [name], to=TensorProto.INT32))
    onnx.save(proto, place / "model.onnx")
    return module.checkpoint.config.hidden_size
