"""A checkpoint as an ONNX graph for ONNX Runtime: the encoder's arithmetic, written as nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from wellread.checkpoints.checkpoint import Checkpoint
from wellread.encoder.encoder import INPUTS
from wellread.encoder.heads import MLM_INPUT, MLM_OUTPUT, SENTENCE_OUTPUT, run

# Gelu stands in ONNX since opset 20; MultiHeadAttention in ONNX Runtime's own domain, where its kernels are fused.
OPSETS = (("", 20), ("com.microsoft", 1))
IR_VERSION = 10
ACTIVATIONS: dict[str, tuple[str, dict[str, str]]] = {
    "gelu": ("Gelu", {"approximate": "none"}),
    "gelu_tanh": ("Gelu", {"approximate": "tanh"}),
    "relu": ("Relu", {}),
    "tanh": ("Tanh", {}),
}


class OnnxOps:
    """The primitives as nodes of an ONNX graph; a tensor is the name of its value. Dropout is the identity."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Take weights from `checkpoint` as the graph asks for them, each once."""
        self.checkpoint = checkpoint
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node of one output, and return the output's name."""
        name = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name, **attributes))
        return name

    def constant(self, name: str, array: Any) -> str:
        """Add an initialiser unless it is there, and return its name."""
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def ints(self, *values: int) -> str:
        """Add whole numbers as an initialiser of one axis."""
        return self.constant("ints_" + "_".join(map(str, values)), np.array(values, np.int64))

    def weight(self, name: str) -> str:
        return self.constant(name, self.checkpoint.tensors[name].read().astype(np.float32))

    def transposed(self, name: str) -> str:
        """Add a weight [out, in] as [in, out]: a constant that the quantiser recognises."""
        return self.constant(f"{name}.T", self.checkpoint.tensors[name].read().astype(np.float32).T)

    def embedding(self, ids: str, name: str) -> str:
        return self.node("Gather", self.weight(name), ids)

    def positions(self, ids: str, name: str) -> str:
        tokens = self.node("Shape", ids, start=1, end=2)
        return self.node("Slice", self.weight(name), self.ints(0), tokens)

    def add(self, a: str, b: str) -> str:
        return self.node("Add", a, b)

    def dropout(self, x: str, rate: float) -> str:
        return x

    def linear(self, x: str, name: str) -> str:
        product = self.node("MatMul", x, self.transposed(f"{name}.weight"))
        bias = f"{name}.bias"
        return self.add(product, self.weight(bias)) if bias in self.checkpoint.tensors else product

    def logits(self, x: str, table: str, bias: str) -> str:
        return self.add(self.node("MatMul", x, self.transposed(table)), self.weight(bias))

    def layer_norm(self, x: str, name: str, eps: float) -> str:
        return self.node(
            "LayerNormalization", x, self.weight(f"{name}.weight"), self.weight(f"{name}.bias"), epsilon=eps
        )

    def activation(self, x: str, kind: str) -> str:
        if kind == "silu":
            return self.node("Mul", x, self.node("Sigmoid", x))
        operator, attributes = ACTIVATIONS[kind]
        return self.node(operator, x, **attributes)

    def mask_bias(self, mask: str) -> str:
        return mask  # MultiHeadAttention makes its own bias of a mask

    def attention(self, query: str, key: str, value: str, bias: str, *, heads: int, rate: float, name: str) -> str:
        return self.node("MultiHeadAttention", query, key, value, "", bias, num_heads=heads, domain="com.microsoft")

    def first(self, x: str) -> str:
        return self.node("Slice", x, self.ints(0), self.ints(1), self.ints(1))

    def squeeze(self, x: str) -> str:
        return self.node("Squeeze", x, self.ints(1))

    def gather_rows(self, x: str, positions: str) -> str:
        places = self.node("Cast", self.node("Unsqueeze", positions, self.ints(2)), to=TensorProto.INT64)
        return self.node("GatherND", x, places, batch_dims=1)

    def mean(self, x: str, mask: str) -> str:
        weights = self.node("Unsqueeze", self.node("Cast", mask, to=TensorProto.FLOAT), self.ints(1))
        total = self.squeeze(self.node("MatMul", weights, x))
        count = self.node("ReduceSum", weights, self.ints(2), keepdims=0)
        return self.node("Div", total, self.node("Max", count, self.constant("least", np.float32(1e-9))))

    def normalize(self, x: str) -> str:
        return self.node("LpNormalization", x, axis=-1, p=2)


def write_onnx(checkpoint: Checkpoint, path: Path, *, output: str = SENTENCE_OUTPUT) -> None:
    """Write the graph from ids int32 [B, T] (and positions [B, P] for `mlm_logits`) to one output, float32."""
    names = [*INPUTS, MLM_INPUT] if output == MLM_OUTPUT else list(INPUTS)
    if not checkpoint.config.type_vocab_size:
        names.remove("input_type_ids")
    ops = OnnxOps(checkpoint)
    made = run(ops, checkpoint.config, checkpoint.sentence, {name: name for name in names}, outputs=[output])[output]
    ops.nodes.append(helper.make_node("Identity", [made], [output]))
    graph = helper.make_graph(
        ops.nodes,
        "wellread",
        [helper.make_tensor_value_info(name, TensorProto.INT32, [None, None]) for name in names],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        list(ops.constants.values()),
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION), path)
