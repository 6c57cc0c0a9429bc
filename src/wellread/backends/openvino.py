"""The OpenVINO backend: fast on CPUs, in float32 or bfloat16; the default where the native kernel does not serve.

int8 matrices stay int8 in memory, and are multiplied as the floats that they stand for.
"""

from __future__ import annotations

import math
import os
import sys
import weakref
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wellread.backends.backend import (
    INVARIANT,
    SELU,
    Backend,
    Inputs,
    Outputs,
    StreamItem,
    batching_of,
    cpu_count,
    fed,
    graph_inputs,
    name_outputs,
)
from wellread.backends.forks import GraphCache, finish, keep_for_ever, preparing, start, was_started
from wellread.backends.native_kernel import cpu_has_amx
from wellread.checkpoints.checkpoint import Checkpoint
from wellread.encoder.heads import run
from wellread.formats.int8 import Int8Matrix
from wellread.text.plan import Batching


def _import_openvino() -> Any:
    """Import OpenVINO without its model converter, whose import sends a usage event and takes longer than the rest.

    The converter stays importable for others, with OpenVINO's own stub in place of the telemetry.
    """
    if "openvino" not in sys.modules:
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
        sys.modules["openvino.tools.ovc"] = None  # type: ignore[assignment]
        import openvino

        del sys.modules["openvino.tools.ovc"]
        openvino.convert_model = _convert_model
    return sys.modules["openvino"]


def _convert_model(*args: Any, **kwargs: Any) -> Any:
    """Stand in for `openvino.convert_model`, which importing the converter would have bound."""
    from openvino.tools.ovc import convert_model

    return convert_model(*args, **kwargs)


ov = _import_openvino()
op = ov.opset13

MASKED = -1e30  # swallows any score whole; see the NumPy backend


class OpenVINOOps:
    """The primitives as nodes of an OpenVINO graph. Dropout is the identity: this backend does not train."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Take weights from `checkpoint` as the graph asks for them, each once."""
        self.checkpoint = checkpoint
        self.constants: dict[str, Any] = {}

    def weight(self, name: str) -> Any:
        if name not in self.constants:
            tensor = self.checkpoint.tensors[name]
            matrix = None if tensor.int8 is None else tensor.int8()
            if matrix is None or matrix.input_scales is not None:
                array = np.ascontiguousarray(tensor.read(), np.float32)
                self.constants[name] = op.constant(array, shared_memory=True)
            else:
                self.constants[name] = _decompressed(matrix)
        return self.constants[name]

    def embedding(self, ids: Any, name: str) -> Any:
        tensor = self.checkpoint.tensors[name]
        if tensor.int8 is None:
            return op.gather(self.weight(name), ids, _ints(0))
        matrix = tensor.int8()  # rows become floats when they are looked up
        rows, scales = (op.gather(op.constant(array), ids, _ints(0)) for array in (matrix.values, matrix.scales))
        return op.multiply(op.convert(rows, "f32"), op.unsqueeze(scales, _ints([-1])))

    def positions(self, ids: Any, name: str, offset: int) -> Any:
        if not offset:
            tokens = op.gather(op.shape_of(ids, "i32"), _ints([1]), _ints(0))
            return op.slice(self.weight(name), _ints([0]), tokens, _ints([1]), _ints([0]))
        real = op.convert(op.not_equal(ids, _ints(offset - 1)), "i32")
        counted = op.multiply(op.cumsum(real, _ints(1)), real)
        return op.gather(self.weight(name), op.add(counted, _ints(offset - 1)), _ints(0))

    def add(self, a: Any, b: Any) -> Any:
        return op.add(a, b)

    def dropout(self, x: Any, rate: float) -> Any:
        return x

    def linear(self, x: Any, name: str) -> Any:
        tensor = self.checkpoint.tensors[f"{name}.weight"]
        matrix = None if tensor.int8 is None else tensor.int8()
        if matrix is None or matrix.input_scales is None:
            product = op.matmul(x, self.weight(f"{name}.weight"), False, True)
        else:
            product = op.matmul(op.multiply(x, op.constant(matrix.input_scales)), _decompressed(matrix), False, True)
        bias = f"{name}.bias"
        return op.add(product, self.weight(bias)) if bias in self.checkpoint.tensors else product

    def logits(self, x: Any, table: str, bias: str) -> Any:
        return op.add(op.matmul(x, self.weight(table), False, True), self.weight(bias))

    def layer_norm(self, x: Any, name: str, eps: float) -> Any:
        scaled = op.mvn(x, _ints([-1]), True, eps, "inside_sqrt")
        return op.add(op.multiply(scaled, self.weight(f"{name}.weight")), self.weight(f"{name}.bias"))

    def activation(self, x: Any, kind: str) -> Any:
        return _ACTIVATIONS[kind](x)

    def mask_bias(self, mask: Any) -> Any:
        masked = op.subtract(op.convert(mask, "f32"), _float(1.0))
        return op.unsqueeze(op.multiply(masked, _float(-MASKED)), _ints([1, 2]))

    def relative_bias(self, bias: Any, queries: Any, buckets: NDArray[np.int32], name: str) -> Any:
        lengths = [op.gather(op.shape_of(x, "i32"), _ints([axis]), _ints(0)) for x, axis in ((queries, 1), (bias, 3))]
        ends, axes = op.concat(lengths, 0), _ints([0, 1])
        chosen = op.slice(op.constant(np.ascontiguousarray(buckets)), _ints([0, 0]), ends, _ints([1, 1]), axes)
        values = op.gather(self.weight(name), chosen, _ints(0))  # [Tq, T, H]
        return op.add(bias, op.transpose(values, _ints([2, 0, 1])))

    def attention(self, query: Any, key: Any, value: Any, bias: Any, *, heads: int, rate: float, name: str) -> Any:
        width = query.output(0).get_partial_shape()[2].get_length()
        scaled = op.multiply(query, _float(1 / math.sqrt(width // heads)))
        shape, order = _ints([0, 0, heads, width // heads]), _ints([0, 2, 1, 3])  # [B, T, D] to [B, H, T, K]
        q, k, v = (op.transpose(op.reshape(x, shape, True), order) for x in (scaled, key, value))
        probabilities = op.softmax(op.add(op.matmul(q, k, False, True), bias), -1)
        mixed = op.transpose(op.matmul(probabilities, v, False, False), order)
        return op.reshape(mixed, _ints([0, 0, width]), True)

    def first(self, x: Any) -> Any:
        return op.slice(x, _ints([0]), _ints([1]), _ints([1]), _ints([1]))

    def squeeze(self, x: Any) -> Any:
        return op.squeeze(x, _ints([1]))

    def gather_rows(self, x: Any, positions: Any) -> Any:
        return op.gather(x, positions, _ints(1), 1)

    def ramp(self, mask: Any) -> Any:
        tokens = op.gather(op.shape_of(mask, "i32"), _ints(1), _ints(0))
        return op.multiply(mask, op.range(_ints(1), op.add(tokens, _ints(1)), _ints(1), "i32"))

    def argmax(self, numbers: Any) -> Any:
        # of equal numbers the first: a stable sort
        return op.topk(numbers, _ints(1), 1, "max", "value", "i32", True).output(1)

    def mean(self, x: Any, weights: Any, *, root: bool = False) -> Any:
        shares = op.convert(weights, "f32")
        mixed = op.squeeze(op.matmul(op.unsqueeze(shares, _ints([1])), x, False, False), _ints([1]))
        total = op.maximum(op.reduce_sum(shares, _ints([1]), True), _float(1e-9))
        return op.divide(mixed, op.sqrt(total) if root else total)

    def max(self, x: Any, mask: Any) -> Any:
        inside = op.unsqueeze(op.convert(mask, "f32"), _ints([2]))
        outside = op.multiply(op.subtract(inside, _float(1.0)), _float(-MASKED))
        largest = op.reduce_max(op.add(op.multiply(x, inside), outside), _ints([1]), False)
        return op.multiply(largest, op.reduce_max(inside, _ints([1]), False))

    def concat(self, vectors: Sequence[Any]) -> Any:
        return op.concat(list(vectors), -1)

    def normalize(self, x: Any) -> Any:
        length = op.sqrt(op.reduce_sum(op.multiply(x, x), _ints([-1]), True))
        return op.divide(x, op.maximum(length, _float(1e-12)))


def _decompressed(matrix: Int8Matrix) -> Any:
    """Return the floats of an int8 matrix but for its input scales; the graph keeps the integers, and so a quarter."""
    integers = op.convert(op.constant(np.ascontiguousarray(matrix.values)), "f32")
    return op.multiply(integers, op.constant(np.ascontiguousarray(matrix.scales[:, None])))


_ACTIVATIONS = {
    "gelu": lambda x: op.gelu(x, "erf"),
    "gelu_tanh": lambda x: op.gelu(x, "tanh"),
    "relu": op.relu,
    "silu": op.swish,
    "tanh": op.tanh,
    "sigmoid": op.sigmoid,
    "leaky_relu": lambda x: op.prelu(x, _float(0.01)),
    "elu": lambda x: op.elu(x, 1.0),
    "softplus": op.softplus,
    "mish": op.mish,
    "selu": lambda x: op.selu(x, _float(SELU[1]), _float(SELU[0])),
    "relu6": lambda x: op.clamp(x, 0.0, 6.0),
    "softsign": op.softsign,
    "hardtanh": lambda x: op.clamp(x, -1.0, 1.0),
    "hardswish": op.hswish,
}


def _ints(values: int | list[int]) -> Any:
    return op.constant(np.array(values, np.int32))


def _float(value: float) -> Any:
    return op.constant(np.float32(value))


def build(checkpoint: Checkpoint, outputs: Sequence[str]) -> Any:
    """Build the graph for `outputs`, its results in that order, `encoder_outputs` as L of them."""
    inputs = {name: op.parameter([-1, -1], np.int32) for name in graph_inputs(checkpoint, outputs)}
    for name, node in inputs.items():
        node.output(0).set_names({name})
    config, sentence, head = checkpoint.config, checkpoint.sentence, checkpoint.head
    values = run(OpenVINOOps(checkpoint), config, sentence, inputs, outputs=outputs, head=head)
    nodes = [node for value in values.values() for node in (value if isinstance(value, list) else [value])]
    return ov.Model([op.result(node) for node in nodes], list(inputs.values()), "wellread")


class OpenVINOBackend(Backend):
    """A checkpoint on OpenVINO; a graph is compiled for each set of outputs when it is first asked for."""

    name = "openvino"

    def __init__(self, checkpoint: Checkpoint, precision: str) -> None:
        """Compile nothing yet."""
        self.checkpoint = checkpoint
        self.precision = precision
        self.batching = batching_of(self.name, precision)
        self._compiled: GraphCache[tuple[tuple[str, ...], int]] = GraphCache()
        # a compiled graph that outlives the interpreter ends the process with SIGABRT: drop them all at exit
        weakref.finalize(self, self._compiled.clear)

    def _compile(self, outputs: Sequence[str], streams: int) -> Any:
        settings: dict[str, Any] = {"NUM_STREAMS": streams, "INFERENCE_NUM_THREADS": cpu_count()}
        if self.precision == INVARIANT:  # a sum that threads share depends on how many there are
            settings["INFERENCE_NUM_THREADS"] = streams
        if was_started("openvino"):  # the streams' threads are gone: compute in the thread that asks, on one core
            settings = {"NUM_STREAMS": 0, "INFERENCE_NUM_THREADS": 1}
        settings["INFERENCE_PRECISION_HINT"] = "f32" if self.precision == INVARIANT else self.precision
        if self.checkpoint.has_int8:  # else CPUs with VNNI would round inputs to int8 by rules of their own
            settings["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = 0
        return self._compiled.get(
            (tuple(outputs), streams),
            lambda: _core().compile_model(build(self.checkpoint, outputs), "CPU", settings),
        )

    def settle(self, batching: Batching) -> None:
        """Take batches like these from now on; graphs of other numbers of streams are freed."""
        self.batching = batching
        self._compiled.keep(lambda key: key[1] in (1, self._streams()))

    def _streams(self) -> int:
        return self.batching.streams or cpu_count()

    def run(self, inputs: Inputs, outputs: Sequence[str]) -> Outputs:
        """Run one batch on all threads; outputs are float32."""
        request = self._compile(outputs, 1).create_infer_request()
        start(request, fed(inputs, (port.any_name for port in request.model_inputs)))
        finish(request)
        arrays = [np.array(request.get_output_tensor(i).data) for i in range(len(request.model_outputs))]
        return name_outputs(arrays, outputs, layers=self.checkpoint.config.num_hidden_layers)

    def stream(self, batches: Iterable[Inputs], output: str) -> Iterator[StreamItem]:
        """Run batches on one stream a core, or as many as its batching says, two waiting for each.

        No callback runs in OpenVINO's threads: an error that passes through one can end the process.
        """
        streams = self._streams()
        compiled = self._compile([output], streams)
        requests = [compiled.create_infer_request() for _ in range(2 * streams)]
        names = [port.any_name for port in compiled.inputs]
        pending: deque[tuple[int, Any]] = deque()
        try:
            for index, inputs in enumerate(batches):
                if len(pending) == len(requests):
                    yield _finished(*pending.popleft())
                request = requests[index % len(requests)]
                start(request, fed(inputs, names))
                pending.append((index, request))
            while pending:
                yield _finished(*pending.popleft())
        except RuntimeError:  # in bfloat16 a stream computes nothing more once a batch has failed in it
            self._compiled.drop(((output,), streams))
            raise
        finally:
            for _, request in pending:  # a batch failed, or the consumer went away: let none run on
                with suppress(RuntimeError):
                    finish(request)


def _finished(index: int, request: Any) -> StreamItem:
    finish(request)
    return StreamItem(index=index, value=np.array(request.get_output_tensor(0).data))


@cache
def _core() -> Any:
    with preparing("openvino"):
        return ov.Core()


def _keep_core() -> None:
    """Go on with the parent's core in a forked child: to make another, or to free it, takes threads that are gone."""
    if _core.cache_info().currsize:
        keep_for_ever(_core())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keep_core)


def precisions() -> list[str]:
    """Name the precisions that this CPU computes in, the default of the bulk paths first: bfloat16 where it has AMX.

    AVX-512 alone has bfloat16 too, but OpenVINO is slower in it than in float32 there.
    """
    if "BF16" not in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        return ["f32"]
    return ["bf16", "f32"] if cpu_has_amx() else ["f32", "bf16"]


def load(checkpoint: Checkpoint, *, precision: str) -> Backend:
    """Prepare a checkpoint in `precision`."""
    return OpenVINOBackend(checkpoint, precision)
