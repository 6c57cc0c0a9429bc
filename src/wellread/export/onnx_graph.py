"""A module as one ONNX graph: ids in, or texts; hidden states, sentence vectors and a head's logits out.

Every node is one of plain ONNX, so that other runtimes than ONNX Runtime take the graph too. ONNX Runtime's own fused
attention was no faster: 140 and 144 ms of CPU time for 8 rows of 32 tokens, 440 and 433 ms for 8 of 128 (the default
module, plain nodes first).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from wellread.backends.backend import graph_inputs
from wellread.backends.onnx import MASKED, OnnxOps
from wellread.checkpoints.checkpoint import Checkpoint
from wellread.checkpoints.int8_tensors import INPUT_SCALE, SCALE, WEIGHT
from wellread.checkpoints.onnx_weights import TRANSPOSED
from wellread.encoder.heads import MLM_INPUT, run
from wellread.export.graph_names import (
    ANSWER,
    BATCH,
    IDS,
    INPUT_NAMES,
    OUTPUT_NAMES,
    TEXT,
    TOKENS,
    output_names,
    shapes_out,
)
from wellread.export.text_graph import OPSETS, PREFIX, TextNodes, TextPart, pack, tokens_of
from wellread.version import __version__

OPSET = 20  # the first with Gelu


class GraphOps(OnnxOps):
    """The primitives as plain nodes over weights as the checkpoint stores them; arithmetic is in float32.

    float16 is widened; an int8 matrix is widened and multiplied by the scales of its rows, and the inputs by its input
    scales. Runtimes do so once, when they load the graph. DequantizeLinear in its place is not computed as written:
    ONNX Runtime 1.31 makes products of it that round their inputs to int8 too (8 rows of 64 tokens of the default
    module: 241 ms of CPU time instead of 99, and vectors off by 2e-3). Of a table, rows are taken first and then
    widened.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Begin an empty graph."""
        super().__init__(checkpoint)
        self.made: dict[str, str] = {}  # what is computed once -> its value

    def once(self, key: str, make: Callable[[], str]) -> str:
        """Return a value that several nodes read; `make` adds its nodes at the first call."""
        if key not in self.made:
            self.made[key] = make()
        return self.made[key]

    def as_float(self, x: str) -> str:
        """Widen a value to float32."""
        return self.node("Cast", x, to=TensorProto.FLOAT)

    def weight(self, name: str) -> str:
        return self.once(name, lambda: self.floats(name, name, lambda array: array))

    def transposed(self, name: str) -> str:
        """Add a weight [out, in] as [in, out]."""
        key = f"{name}{TRANSPOSED}"
        return self.once(key, lambda: self.floats(name, key, lambda array: array.T))

    def floats(self, name: str, key: str, turn: Callable[[NDArray[Any]], NDArray[Any]]) -> str:
        """Add a weight as it is stored, turned, and the node that makes floats of it."""
        tensor = self.checkpoint.tensors[name]
        if tensor.int8 is not None:
            values, scales = self.as_float(self.constant(key, turn(tensor.int8().values))), self.scales(name)
            return self.node("Mul", values, scales if key.endswith(TRANSPOSED) else self.column(scales))
        if tensor.dtype == "float16":
            return self.as_float(self.constant(key, turn(tensor.read().astype(np.float16))))
        return self.constant(key, turn(tensor.read().astype(np.float32)))

    def scales(self, name: str) -> str:
        """Add the scales of an int8 matrix's rows."""
        matrix = self.checkpoint.tensors[name].int8
        assert matrix is not None
        return self.constant(f"{name.removesuffix(WEIGHT)}{SCALE}", matrix().scales)

    def column(self, x: str) -> str:
        """Give a value an axis of one more at its end."""
        return self.node("Unsqueeze", x, self.ints(-1))

    def rows(self, name: str, kind: str, *which: str) -> str:
        tensor = self.checkpoint.tensors[name]
        if tensor.int8 is not None:
            values = self.as_float(self.node(kind, self.constant(name, tensor.int8().values), *which))
            scales = self.node(kind, self.scales(name), *which)
            return self.node("Mul", values, self.column(scales))
        if tensor.dtype == "float16":
            return self.as_float(self.node(kind, self.constant(name, tensor.read().astype(np.float16)), *which))
        return super().rows(name, kind, *which)

    def linear(self, x: str, name: str) -> str:
        int8 = self.checkpoint.tensors[f"{name}.weight"].int8
        matrix = None if int8 is None else int8()
        if matrix is not None and matrix.input_scales is not None:
            x = self.node("Mul", x, self.constant(f"{name}{INPUT_SCALE}", matrix.input_scales))
        return super().linear(x, name)

    def logits(self, x: str, table: str, bias: str) -> str:
        turned = self.node("Transpose", self.weight(table), perm=[1, 0])  # the word table lies there already
        return self.add(self.node("MatMul", x, turned), self.weight(bias))

    def mask_bias(self, mask: str) -> str:
        hidden = self.as_float(self.node("Sub", mask, self.constant("one_int32", np.int32(1))))  # -1 where masked
        bias = self.node("Mul", hidden, self.constant("swallowing", np.float32(-MASKED)))
        return self.node("Unsqueeze", bias, self.ints(1, 2))

    def relative_bias(self, bias: str, queries: str, buckets: Any, name: str) -> str:
        ends = [self.node("Shape", queries, start=1, end=2), self.node("Shape", bias, start=3, end=4)]
        table = self.constant(f"buckets_{len(buckets)}", buckets)
        chosen = self.node("Slice", table, self.ints(0, 0), self.node("Concat", *ends, axis=0), self.ints(0, 1))
        values = self.node("Transpose", self.node("Gather", self.weight(name), chosen), perm=[2, 0, 1])
        return self.add(bias, values)

    def attention(self, query: str, key: str, value: str, bias: str, *, heads: int, rate: float, name: str) -> str:
        width = self.checkpoint.config.hidden_size // heads
        scaled = self.node("Mul", query, self.constant("score_scale", np.float32(width**-0.5)))

        def split(x: str, *perm: int) -> str:  # [B, T, D] to [B, H, T, K], or as `perm` has it
            return self.node("Transpose", self.node("Reshape", x, self.ints(0, 0, heads, width)), perm=perm)

        scores = self.node("MatMul", split(scaled, 0, 2, 1, 3), split(key, 0, 2, 3, 1))
        shares = self.node("Softmax", self.add(scores, bias), axis=-1)
        mixed = self.node("MatMul", shares, split(value, 0, 2, 1, 3))
        return self.node("Reshape", self.node("Transpose", mixed, perm=[0, 2, 1, 3]), self.ints(0, 0, heads * width))


def build_graph(
    checkpoint: Checkpoint, *, opset: int = OPSET, metadata: Mapping[str, str], text: TextPart | None = None
) -> Any:
    """Build the ModelProto; inputs are int64 [batch_size, sequence_length], as every tokenizer gives them.

    With `text` the tokenizer is inside: the only input are strings [batch_size], and ids and mask are outputs.
    """
    ops, outputs = GraphOps(checkpoint), output_names(checkpoint)
    taken = [name for name in graph_inputs(checkpoint, outputs) if name != MLM_INPUT]
    packed = {} if text is None else text_nodes(ops, text)
    inputs = {
        name: ops.node("Cast", packed.get(INPUT_NAMES[name], INPUT_NAMES[name]), to=TensorProto.INT32) for name in taken
    }
    if checkpoint.has_mlm:
        inputs[MLM_INPUT] = every_position(ops, inputs["input_word_ids"])
    values: dict[str, Any] = run(
        ops, checkpoint.config, checkpoint.sentence, inputs, outputs=outputs, head=checkpoint.head
    )
    named = {OUTPUT_NAMES[name]: value for name, value in values.items()}
    shapes = shapes_out(checkpoint, of_text=text is not None)
    if ANSWER[0] in shapes:
        logits = named.pop("logits")
        for i, name in enumerate(ANSWER):
            named[name] = ops.node("Squeeze", ops.node("Gather", logits, ops.ints(i), axis=-1), ops.ints(-1))
    named |= packed
    nodes = [helper.make_node("Identity", [named[name]], [name]) for name in shapes]
    ids = [(INPUT_NAMES[name], TensorProto.INT64, [BATCH, TOKENS]) for name in taken]
    given = ids if text is None else [(TEXT, TensorProto.STRING, [BATCH])]
    kinds = dict.fromkeys(packed, TensorProto.INT64)
    graph = helper.make_graph(
        [*ops.nodes, *nodes],
        "wellread",
        [helper.make_tensor_value_info(*info) for info in given],
        [
            helper.make_tensor_value_info(name, kinds.get(name, TensorProto.FLOAT), shape)
            for name, shape in shapes.items()
        ],
        list(ops.constants.values()),
    )
    others = {} if text is None else OPSETS
    opsets = [helper.make_opsetid(domain, version) for domain, version in {"": opset, **others}.items()]
    model = helper.make_model(
        graph, opset_imports=opsets, ir_version=helper.find_min_ir_version_for(opsets, ignore_unknown=True)
    )
    model.producer_name, model.producer_version = "wellread", __version__
    helper.set_model_props(model, dict(metadata))
    return model


def text_nodes(ops: GraphOps, text: TextPart) -> dict[str, str]:
    """Add the nodes of a tokenizer; return the values that they make, under the names of the inputs they replace."""
    nodes = TextNodes(PREFIX, ops.constants)
    packed = pack(nodes, tokens_of(nodes, text.tables), text.template, seq_length=text.seq_length)
    ops.nodes += nodes.nodes
    return dict(zip((*IDS, INPUT_NAMES["input_type_ids"]), packed, strict=True))


def every_position(ops: GraphOps, ids: str) -> str:
    """Return 0, 1, 2 ... in each row, int64 [B, T]."""
    ends = [ops.constant(f"number_{value}", np.int64(value)) for value in (0, 1)]
    count = ops.node("Squeeze", ops.node("Shape", ids, start=1, end=2))
    return ops.node("Expand", ops.node("Range", ends[0], count, ends[1]), ops.node("Shape", ids))
