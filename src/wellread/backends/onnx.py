"""The ONNX backend: the encoder's arithmetic as nodes of a graph, run by ONNX Runtime in float32."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from wellread.backends.backend import Backend, Inputs, Outputs, cpu_count, fed, graph_inputs, name_outputs
from wellread.backends.forks import GraphCache
from wellread.checkpoints.checkpoint import Checkpoint
from wellread.encoder.heads import run

# Gelu stands in ONNX since opset 20; MultiHeadAttention in ONNX Runtime's own domain, where its kernels are fused.
OPSETS = (("", 20), ("com.microsoft", 1))
IR_VERSION = 10
EXTERNAL = 2_000_000_000  # bytes of weights that still go into the message itself: protobuf ends at 2 GiB
ONE = numpy_helper.from_array(np.ones(1, np.int32))
MASKED = -1e30  # swallows any score whole; see the NumPy backend
ACTIVATIONS: dict[str, tuple[str, dict[str, str]]] = {
    "gelu": ("Gelu", {"approximate": "none"}),
    "gelu_tanh": ("Gelu", {"approximate": "tanh"}),
    "relu": ("Relu", {}),
    "tanh": ("Tanh", {}),
    "sigmoid": ("Sigmoid", {}),
    "leaky_relu": ("LeakyRelu", {}),  # by ONNX's defaults the slope is 0.01, and elu's alpha 1, as torch's
    "elu": ("Elu", {}),
    "softplus": ("Softplus", {}),
    "mish": ("Mish", {}),
    "selu": ("Selu", {}),
    "softsign": ("Softsign", {}),
    "hardswish": ("HardSwish", {}),
}
BOUNDS = {"relu6": (0, 6), "hardtanh": (-1, 1)}  # activations that only cut


class Nodes:
    """The nodes and constants of an ONNX graph as they are added; a tensor is the name of its value."""

    def __init__(self, prefix: str = "", constants: dict[str, Any] | None = None) -> None:
        """Begin an empty graph; `prefix` stands before the names of values, `constants` may be another graph's."""
        self.prefix = prefix
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {} if constants is None else constants

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node of one output, and return the output's name."""
        name = f"{self.prefix}{kind}_{len(self.nodes)}"
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


class OnnxOps(Nodes):
    """The primitives as nodes of an ONNX graph. Dropout is the identity."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Take weights from `checkpoint` as the graph asks for them, each once."""
        super().__init__()
        self.checkpoint = checkpoint
        self.biases: set[str] = set()  # values that attention adds to its scores, beside masks

    def weight(self, name: str) -> str:
        return self.constant(name, self.checkpoint.tensors[name].read().astype(np.float32))

    def transposed(self, name: str) -> str:
        """Add a weight [out, in] as [in, out]: a constant that ONNX Runtime's quantiser recognises."""
        return self.constant(f"{name}.T", self.checkpoint.tensors[name].read().astype(np.float32).T)

    def rows(self, name: str, kind: str, *which: str) -> str:
        """Take rows of a table by a node of `kind`, Gather or Slice."""
        return self.node(kind, self.weight(name), *which)

    def embedding(self, ids: str, name: str) -> str:
        return self.rows(name, "Gather", ids)

    def positions(self, ids: str, name: str, offset: int) -> str:
        if not offset:
            return self.rows(name, "Slice", self.ints(0), self.node("Shape", ids, start=1, end=2))
        padding = self.constant("padding", np.int32(offset - 1))
        real = self.node("Cast", self.node("Not", self.node("Equal", ids, padding)), to=TensorProto.INT32)
        counted = self.node("Mul", self.node("CumSum", real, self.constant("axis_1", np.int64(1))), real)
        return self.rows(name, "Gather", self.add(counted, padding))

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
        scale, shift = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return self.node("LayerNormalization", x, scale, shift, epsilon=eps)

    def activation(self, x: str, kind: str) -> str:
        if kind == "silu":
            return self.node("Mul", x, self.node("Sigmoid", x))
        if kind in BOUNDS:
            bounds = [self.constant(f"bound_{bound}", np.float32(bound)) for bound in BOUNDS[kind]]
            return self.node("Clip", x, *bounds)
        operator, attributes = ACTIVATIONS[kind]
        return self.node(operator, x, **attributes)

    def mask_bias(self, mask: str) -> str:
        return mask  # MultiHeadAttention makes its own bias of a mask

    def relative_bias(self, bias: str, queries: str, buckets: Any, name: str) -> str:
        ends = [self.node("Shape", x, start=1, end=2) for x in (queries, bias)]  # `bias` is the mask [B, T]
        table, axes = self.constant(f"buckets_{len(buckets)}", buckets), self.ints(0, 1)
        chosen = self.node("Slice", table, self.ints(0, 0), self.node("Concat", *ends, axis=0), axes)
        values = self.node("Transpose", self.node("Gather", self.weight(name), chosen), perm=[2, 0, 1])
        masked = self.node(
            "Cast", self.node("Sub", bias, self.constant("one_int32", np.int32(1))), to=TensorProto.FLOAT
        )
        swallowing = self.node("Mul", masked, self.constant("swallowing", np.float32(-MASKED)))
        added = self.add(self.node("Unsqueeze", swallowing, self.ints(1, 2)), values)
        self.biases.add(added)
        return added

    def attention(self, query: str, key: str, value: str, bias: str, *, heads: int, rate: float, name: str) -> str:
        options = {"num_heads": heads, "mask_filter_value": MASKED, "domain": "com.microsoft"}
        masks = ("", "", bias) if bias in self.biases else ("", bias)  # added to the scores [B, H, Tq, T], or a mask
        return self.node("MultiHeadAttention", query, key, value, *masks, **options)

    def first(self, x: str) -> str:
        return self.node("Slice", x, self.ints(0), self.ints(1), self.ints(1))

    def squeeze(self, x: str) -> str:
        return self.node("Squeeze", x, self.ints(1))

    def gather_rows(self, x: str, positions: str) -> str:
        rows = self.node("Cast", self.node("Unsqueeze", positions, self.ints(2)), to=TensorProto.INT64)
        return self.node("GatherND", x, rows, batch_dims=1)

    def ramp(self, mask: str) -> str:
        ones = self.node("ConstantOfShape", self.node("Shape", mask, start=1, end=2), value=ONE)
        return self.node("Mul", mask, self.node("CumSum", ones, self.constant("axis_0", np.int64(0))))

    def argmax(self, numbers: str) -> str:
        return self.node("ArgMax", numbers, axis=1, keepdims=1)

    def mean(self, x: str, weights: str, *, root: bool = False) -> str:
        shares = self.node("Unsqueeze", self.node("Cast", weights, to=TensorProto.FLOAT), self.ints(1))
        mixed = self.squeeze(self.node("MatMul", shares, x))
        total = self.node("ReduceSum", shares, self.ints(2), keepdims=0)
        total = self.node("Max", total, self.constant("least", np.float32(1e-9)))
        return self.node("Div", mixed, self.node("Sqrt", total) if root else total)

    def max(self, x: str, mask: str) -> str:
        inside = self.node("Unsqueeze", self.node("Cast", mask, to=TensorProto.FLOAT), self.ints(2))
        outside = self.node("Sub", inside, self.constant("one", np.float32(1)))
        outside = self.node("Mul", outside, self.constant("masked", np.float32(-MASKED)))
        shown = self.node("Add", self.node("Mul", x, inside), outside)
        largest = self.node("ReduceMax", shown, self.ints(1), keepdims=0)
        return self.node("Mul", largest, self.node("ReduceMax", inside, self.ints(1), keepdims=0))

    def concat(self, vectors: Sequence[str]) -> str:
        return self.node("Concat", *vectors, axis=-1)

    def normalize(self, x: str) -> str:
        length = self.node("ReduceL2", x, self.ints(-1))
        return self.node("Div", x, self.node("Max", length, self.constant("shortest", np.float32(1e-12))))


def model_of(ops: OnnxOps, inputs: Sequence[Any], results: Sequence[str]) -> Any:
    """Make a ModelProto of nodes whose `results`, values by name, are its outputs `output_0`, `output_1`, ..."""
    outputs = [f"output_{i}" for i in range(len(results))]
    nodes = [helper.make_node("Identity", [value], [name]) for value, name in zip(results, outputs, strict=True)]
    graph = helper.make_graph(
        [*ops.nodes, *nodes],
        "wellread",
        inputs,
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        list(ops.constants.values()),
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


def build(checkpoint: Checkpoint, outputs: Sequence[str]) -> Any:
    """Build the ModelProto for `outputs`, its results in that order, `encoder_outputs` as L of them."""
    ops, names = OnnxOps(checkpoint), graph_inputs(checkpoint, outputs)
    config, sentence, head = checkpoint.config, checkpoint.sentence, checkpoint.head
    values = run(ops, config, sentence, {name: name for name in names}, outputs=outputs, head=head)
    results = [name for value in values.values() for name in (value if isinstance(value, list) else [value])]
    return model_of(
        ops, [helper.make_tensor_value_info(name, TensorProto.INT32, [None, None]) for name in names], results
    )


def is_large(model: Any) -> bool:
    """Say whether a ModelProto holds too much for one message of protobuf."""
    return sum(len(constant.raw_data) for constant in model.graph.initializer) > EXTERNAL


def save_graph(model: Any, path: Path) -> None:
    """Write a ModelProto; weights of over 2 GB in all go into a file beside it, `model.onnx_data`."""
    options = {"save_as_external_data": True, "location": f"{path.name}_data"} if is_large(model) else {}
    onnx.save_model(model, str(path), **options)


def session(model: Any) -> onnxruntime.InferenceSession:
    """Prepare a ModelProto on all cores; of a large one the runtime reads the weights from a file."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cpu_count()
    prepare = partial(onnxruntime.InferenceSession, sess_options=options, providers=["CPUExecutionProvider"])
    if not is_large(model):
        return prepare(model.SerializeToString())
    with tempfile.TemporaryDirectory(prefix="wellread.", ignore_cleanup_errors=True) as directory:
        save_graph(model, path := Path(directory) / "model.onnx")
        return prepare(str(path))


class OnnxBackend(Backend):
    """A checkpoint on ONNX Runtime; a graph is prepared for each set of outputs when it is first asked for."""

    name = "onnx"
    precision = "f32"

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Prepare nothing yet."""
        self.checkpoint = checkpoint
        self._sessions: GraphCache[tuple[str, ...]] = GraphCache()

    def run(self, inputs: Inputs, outputs: Sequence[str]) -> Outputs:
        """Run one batch on all threads; outputs are float32."""
        prepared = self._sessions.get(tuple(outputs), lambda: session(build(self.checkpoint, outputs)))
        feed = fed(inputs, graph_inputs(self.checkpoint, outputs))
        arrays = prepared.run(None, {name: np.asarray(array, np.int32) for name, array in feed.items()})
        return name_outputs(arrays, outputs, layers=self.checkpoint.config.num_hidden_layers)


def load(checkpoint: Checkpoint, *, precision: str) -> Backend:
    """Prepare a checkpoint."""
    return OnnxBackend(checkpoint)
