"""The native backend: our own kernel, the default on CPUs, for the encoders that it knows; texts need no padding.

What it computes for a text depends on nothing but the text: not on its neighbours, their order or the threads.
"""

from __future__ import annotations

import ctypes
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wellread.backends.backend import TOKENS_A_CORE, Backend, Inputs, Outputs, StreamItem, convert_outputs, cpu_count
from wellread.backends.forks import preparing
from wellread.backends.native_kernel import (
    ACTIVATIONS,
    DTYPES,
    Batch,
    Encoder,
    Handle,
    Layer,
    Matrix,
    Norm,
    Results,
    check,
    chosen,
    cpu_has_amx,
    functions,
)
from wellread.backends.native_rows import (
    SUMS,
    divided,
    join,
    kept_positions,
    padded,
    pooling_weights,
    positions_of,
    together,
)
from wellread.backends.numpy import NumpyOps
from wellread.checkpoints.checkpoint import Checkpoint
from wellread.config import EncoderConfig, SentenceConfig
from wellread.dataclass import dataclass
from wellread.encoder.encoder import ALL_POSITIONS, RELATIVE, TYPES, layer_name, pool, relative_buckets
from wellread.encoder.heads import (
    LOGITS_OUTPUT,
    MLM_OUTPUT,
    SENTENCE_OUTPUT,
    finish,
    head_input,
    needed_outputs,
    pooled_name,
    sentence_source,
)
from wellread.errors import InputError
from wellread.formats.arrays import StoredTensor
from wellread.text.batch import Joined

Floats = NDArray[np.float32]
Array = NDArray[Any]

LANES = {"hidden_size": 32, "intermediate_size": 32, "embedding_size": 16}  # what a width is a multiple of
HEAD_WIDTHS = (32, 64)
INT8_COLUMNS = 16  # the columns of an int8 matrix are a multiple of this; another is multiplied as floats
SMALL = 64  # rows of a linear map that one thread computes


def serves(checkpoint: Checkpoint) -> str | None:
    """Say what of a checkpoint the kernel does not compute; None where it computes all."""
    config = checkpoint.config
    widths = (config.hidden_size, config.intermediate_size, config.embedding_width)
    odd = [
        f"{name} {width}, which is no multiple of {lanes}"
        for (name, lanes), width in zip(LANES.items(), widths, strict=True)
        if width % lanes
    ]
    head_width = config.hidden_size // config.num_attention_heads
    if config.activation not in ACTIVATIONS:
        return f"hidden_act {config.hidden_act}, which is none of {', '.join(ACTIVATIONS)}"
    if odd:
        return "; ".join(odd)
    if head_width not in HEAD_WIDTHS:
        return f"heads of width {head_width}, which is none of {', '.join(map(str, HEAD_WIDTHS))}"
    return None


def is_best_for(checkpoint: Checkpoint) -> bool:
    """Tell whether the kernel is to run a checkpoint where no backend is named.

    Not in plain C++, nor on a CPU with AMX whose variant is missing or not the one that is named: there OpenVINO
    computes in bfloat16.
    """
    variant = chosen("f32")
    if variant is None or variant.number == 0 or serves(checkpoint) is not None:
        return False
    return chosen("bf16") is not None or not cpu_has_amx()


def precisions() -> list[str]:
    """Name the precisions that the kernel computes in on this machine, its default first."""
    return [precision for precision in ("bf16", "f32") if chosen(precision) is not None]


def check_served(checkpoint: Checkpoint) -> None:
    """Refuse a checkpoint that the kernel does not compute. Raises: InputError."""
    if (reason := serves(checkpoint)) is not None:
        raise InputError(
            f'the native backend was to run this module; found {reason}; load it with backend="openvino", or "auto", '
            "which takes what fits"
        )


def load(checkpoint: Checkpoint, *, precision: str) -> Backend:
    """Prepare a checkpoint in `precision`. Raises: InputError where the kernel does not compute it."""
    check_served(checkpoint)
    return NativeBackend(checkpoint, precision)


class Weights:
    """The tensors of a checkpoint as the structures of the library, which point to arrays that are held here."""

    def __init__(self, tensors: Mapping[str, StoredTensor], *, int8: bool = False) -> None:
        """Read nothing yet; with `int8`, matrices that are stored as such stay so."""
        self.tensors = tensors
        self.int8 = int8
        self.held: list[Array] = []

    def address(self, name: str) -> int | None:
        """Return where a tensor lies in float32; None where there is none."""
        return self._hold(self.tensors[name].read()) if name in self.tensors else None

    def _hold(self, array: Array | None) -> int | None:
        if array is None:
            return None
        self.held.append(np.ascontiguousarray(array))
        return self.held[-1].ctypes.data

    def matrix(self, weight: str, bias: str = "") -> Matrix:
        """Describe a linear map with its bias; one without rows where there is none."""
        return self._describe(weight, ("float32",), bias)

    def table(self, name: str) -> Matrix:
        """Describe a table, whose rows are read as they are stored."""
        return self._describe(name, ("float32", "float16"))

    def _describe(self, name: str, dtypes: Collection[str], bias: str = "") -> Matrix:
        if name not in self.tensors:
            return Matrix()
        tensor = self.tensors[name]
        rows, columns = tensor.shape
        described = Matrix(rows=rows, columns=columns, bias=self.address(bias))
        if self.int8 and tensor.int8 is not None and columns % INT8_COLUMNS == 0:
            stored = tensor.int8()
            values: Array = stored.values
            described.scales, described.input_scales = self._hold(stored.scales), self._hold(stored.input_scales)
        else:
            values = tensor.as_stored() if tensor.dtype in dtypes else tensor.read()
        described.values, described.dtype = self._hold(values), DTYPES[values.dtype.name]
        return described

    def dense(self, name: str) -> Matrix:
        """Describe a linear map."""
        return self.matrix(f"{name}.weight", f"{name}.bias")

    def norm(self, name: str) -> Norm:
        """Describe a LayerNorm."""
        return Norm(gain=self.address(f"{name}.weight"), shift=self.address(f"{name}.bias"))

    def relative(self, config: EncoderConfig) -> Matrix:
        """Describe what attention adds by relative position, for each head and distance; without rows: nothing."""
        if not (buckets := config.relative_attention_num_buckets):
            return Matrix()
        biases = self.tensors[RELATIVE].read()[relative_buckets(config.max_position_embeddings, buckets)].T
        rows, columns = biases.shape
        return Matrix(values=self._hold(biases), rows=rows, columns=columns, dtype=DTYPES[biases.dtype.name])

    def layer(self, name: str) -> Layer:
        """Describe a block."""
        return Layer(
            query=self.dense(f"{name}.attention.self.query"),
            key=self.dense(f"{name}.attention.self.key"),
            value=self.dense(f"{name}.attention.self.value"),
            attention_output=self.dense(f"{name}.attention.output.dense"),
            intermediate=self.dense(f"{name}.intermediate.dense"),
            output=self.dense(f"{name}.output.dense"),
            attention_norm=self.norm(f"{name}.attention.output.LayerNorm"),
            output_norm=self.norm(f"{name}.output.LayerNorm"),
        )

    def encoder(self, config: EncoderConfig, tables: Weights) -> Encoder:
        """Describe an encoder, whose library keeps what is held by `tables`."""
        names = [layer_name(config, i) for i in range(config.num_hidden_layers)]
        layers = {name: self.layer(name) for name in dict.fromkeys(names)}  # shared ones are described once
        return Encoder(
            layers=len(names),
            width=config.hidden_size,
            heads=config.num_attention_heads,
            inner=config.intermediate_size,
            activation=ACTIVATIONS[config.activation],
            eps=config.layer_norm_eps,
            words=tables.table("embeddings.word_embeddings.weight"),
            positions=tables.table("embeddings.position_embeddings.weight"),
            types=tables.table(TYPES),
            embedding_norm=tables.norm("embeddings.LayerNorm"),
            project=self.dense("embeddings_project"),
            relative=self.relative(config),
            layer=(Layer * len(names))(*(layers[name] for name in names)),
        )


class Read(dict[str, Array]):
    """Tensors in float32 by name, each read when it is asked for."""

    def __init__(self, tensors: Mapping[str, StoredTensor]) -> None:
        """Read nothing yet."""
        super().__init__()
        self.tensors = tensors

    def __missing__(self, name: str) -> Array:
        self[name] = self.tensors[name].read()
        return self[name]


class NativeOps(NumpyOps):
    """The primitives of the heads: NumPy's, and products of the library, whose bits no other row changes."""

    def __init__(self, tensors: Mapping[str, StoredTensor], *, int8: bool = False) -> None:
        """Pack nothing yet; with `int8`, matrices that are stored as such are multiplied as such."""
        super().__init__(Read(tensors))
        self.tensors = tensors
        self.int8 = int8
        self._maps: dict[str, Handle] = {}

    def linear(self, x: Array, name: str) -> Array:
        return self._multiply(x, f"{name}.weight", f"{name}.bias", int8=self.int8)

    def logits(self, x: Array, table: str, bias: str) -> Array:
        # of a table, neighbours may be too large for exact products of int8
        return self._multiply(x, table, bias, int8=False)

    def _multiply(self, x: Array, weight: str, bias: str, *, int8: bool) -> Array:
        x = np.ascontiguousarray(x, np.float32)
        product = np.empty((*x.shape[:-1], self.tensors[weight].shape[0]), np.float32)
        if count := x.size // x.shape[-1]:
            threads = 1 if count < SMALL else cpu_count()
            arrays = (self._packed(weight, bias, int8).address, x.ctypes.data, count, product.ctypes.data)
            check(functions().wellread_linear(*arrays, 0, threads))
        return product

    def _packed(self, weight: str, bias: str, int8: bool) -> Handle:
        if weight not in self._maps:
            with preparing("native"):
                variant = chosen("f32")
                assert variant is not None
                weights = Weights(self.tensors, int8=int8)
                handle = Handle("wellread_linear", weights.matrix(weight, bias), variant, "f32")
                self._maps.setdefault(weight, handle)
        return self._maps[weight]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the kernel is to give."""

    embedding: bool = False  # what goes into the first block
    layers: tuple[int, ...] = ()  # whose hidden states
    first: bool = False  # position 0 behind the last block
    sums: bool = False  # what is behind the last block, summed over each text


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Encoded:
    """What the kernel gave for B texts of N tokens; None: it was not asked for."""

    embedding: Floats | None  # [N, D]
    hidden: Mapping[int, Floats]  # by layer [N, D]
    first: Floats | None  # [B, D]
    pooled: Floats | None  # [B, D]

    def part(self, texts: slice, tokens: slice) -> Encoded:
        """Return that of some texts and their tokens."""
        return Encoded(
            embedding=None if self.embedding is None else self.embedding[tokens],
            hidden={layer: states[tokens] for layer, states in self.hidden.items()},
            first=None if self.first is None else self.first[texts],
            pooled=None if self.pooled is None else self.pooled[texts],
        )


def _address(array: Array | None) -> int | None:
    return None if array is None else array.ctypes.data


class NativeBackend(Backend):
    """A checkpoint, packed for the kernel."""

    name = "native"

    def __init__(self, checkpoint: Checkpoint, precision: str) -> None:
        """Pack the weights; the tables stay where they are."""
        self.checkpoint = checkpoint
        self.precision = precision
        int8 = precision == "int8"
        self.ops: Any = NativeOps(checkpoint.tensors, int8=int8)
        self._summed = summed_pooling(checkpoint.sentence)
        of_floats = precisions()[0] if int8 else precision  # what other matrices are multiplied in
        variant = chosen(of_floats)
        assert variant is not None
        self.variant = variant.name
        self._tables = Weights(checkpoint.tensors, int8=int8)
        weights = Weights(checkpoint.tensors, int8=int8)
        encoder = weights.encoder(checkpoint.config, self._tables)
        self._model = Handle("wellread", encoder, variant, of_floats)

    def run(self, inputs: Inputs, outputs: Sequence[str]) -> Outputs:
        """Run one batch; outputs are float32."""
        (result,) = self._run([inputs], outputs)
        return result

    def stream(self, batches: Iterable[Inputs], output: str) -> Iterator[StreamItem]:
        """Run batches for one output, as many at a time as keep every thread at work."""
        limit, index = TOKENS_A_CORE * cpu_count(), 0
        group: list[Inputs] = []
        for inputs in batches:
            group.append(inputs)
            if sum(batch["input_mask"].size for batch in group) >= limit:
                yield from self._items(group, output, index)
                index, group = index + len(group), []
        yield from self._items(group, output, index)

    def _items(self, group: Sequence[Inputs], output: str, index: int) -> Iterator[StreamItem]:
        for number, result in enumerate(self._run(group, [output]) if group else [], index):
            yield StreamItem(index=number, value=result[output])  # type: ignore[arg-type]

    def takes_joined(self, output: str) -> bool:
        """Tell whether an output can be had of rows without padding: where no pooling or head needs other positions."""
        model = self.checkpoint
        if output == LOGITS_OUTPUT:
            return model.head is not None and head_input(model.head) != "sequence_output"
        if output == SENTENCE_OUTPUT:
            return "sequence_output" not in self._needed([output])
        return output == "sequence_output"

    def run_joined(self, rows: Joined, output: str) -> Floats:
        """Run rows without padding: `sequence_output` [N, D], `sentence_embedding` [B, E] or `logits` [B, C]."""
        needed = self._needed([output])
        encoded = self._encode(rows, self._wanted(needed, [output]))
        if output == "sequence_output":
            return encoded.hidden[self.checkpoint.config.num_hidden_layers - 1]
        return np.asarray(self._finish(self._of_texts(encoded, needed), [output])[output], np.float32)

    def _needed(self, outputs: Collection[str]) -> set[str]:
        """Name the encoder's outputs that `outputs` need beside what the kernel pools."""
        model = self.checkpoint
        needed = needed_outputs(model.sentence, outputs=outputs, head=model.head)
        if self._summed is None or SENTENCE_OUTPUT not in outputs:
            return needed
        others = needed_outputs(model.sentence, outputs={*outputs} - {SENTENCE_OUTPUT}, head=model.head)
        return needed - ({"sequence_output"} - others)

    def _wanted(self, needed: Collection[str], outputs: Collection[str]) -> Wanted:
        layers = range(self.checkpoint.config.num_hidden_layers)
        last = layers[-1:] if "sequence_output" in needed else ()
        return Wanted(
            embedding="embedding_output" in needed,
            layers=tuple(layers if "encoder_outputs" in needed else last),
            first=not {"cls_output", "pooled_output"}.isdisjoint(needed),
            sums=self._summed is not None and SENTENCE_OUTPUT in outputs,
        )

    def _run(self, batches: Sequence[Inputs], outputs: Sequence[str]) -> Iterator[Outputs]:
        """Run batches in one call of the kernel."""
        needed = self._needed(outputs)
        everywhere = not {*ALL_POSITIONS, "embedding_output", MLM_OUTPUT}.isdisjoint(outputs) or (
            LOGITS_OUTPUT in outputs and not self.takes_joined(LOGITS_OUTPUT)
        )
        kept = [kept_positions(batch["input_mask"], everywhere=everywhere) for batch in batches]
        joined = [join(batch, keep) for batch, keep in zip(batches, kept, strict=True)]
        encoded = self._encode(together(joined), self._wanted(needed, outputs))
        texts = [0, *accumulate(len(rows) for rows in joined)]
        tokens = [0, *accumulate(len(rows.ids) for rows in joined)]
        for i, (inputs, keep) in enumerate(zip(batches, kept, strict=True)):
            part = encoded.part(slice(*texts[i : i + 2]), slice(*tokens[i : i + 2]))
            values = {**inputs, **self._of_texts(part, needed), **self._of_tokens(part, keep, needed)}
            yield convert_outputs(self._finish(values, outputs), lambda array: np.asarray(array, np.float32))

    def _finish(self, values: Mapping[str, Any], outputs: Sequence[str]) -> dict[str, Any]:
        model = self.checkpoint
        return finish(self.ops, model.config, model.sentence, values, outputs=outputs, head=model.head)

    def _of_texts(self, encoded: Encoded, needed: Collection[str]) -> dict[str, Any]:
        """Return what there is of each text, [B, D] each."""
        values: dict[str, Any] = {"cls_output": encoded.first}
        if "pooled_output" in needed:
            values["pooled_output"] = pool(self.ops, self.checkpoint.config, encoded.first)
        if self._summed is not None and encoded.pooled is not None:
            values[pooled_name(self._summed)] = encoded.pooled
        return values

    def _of_tokens(self, encoded: Encoded, kept: NDArray[np.bool_], needed: Collection[str]) -> dict[str, Any]:
        """Return what there is of each token, [B, T, D] each."""
        last = self.checkpoint.config.num_hidden_layers - 1
        states = {layer: padded(hidden, kept) for layer, hidden in encoded.hidden.items()}
        values: dict[str, Any] = {"encoder_outputs": [*states.values()]} if "encoder_outputs" in needed else {}
        if last in states:
            values["sequence_output"] = states[last]
        if encoded.embedding is not None:
            values["embedding_output"] = padded(encoded.embedding, kept)
        return values

    def _encode(self, rows: Joined, wanted: Wanted) -> Encoded:
        """Call the kernel."""
        config = self.checkpoint.config
        texts, tokens = (len(rows), config.hidden_size), (len(rows.ids), config.hidden_size)
        embedding = np.empty(tokens, np.float32) if wanted.embedding else None
        hidden = {layer: np.empty(tokens, np.float32) for layer in wanted.layers}
        first = np.empty(texts, np.float32) if wanted.first else None
        sums = np.empty(texts, np.float32) if wanted.sums else None
        weights = pooling_weights(rows, self._summed) if wanted.sums else None
        if len(rows):
            states = (hidden.get(layer) for layer in range(config.num_hidden_layers))
            layers = (ctypes.c_void_p * config.num_hidden_layers)(*map(_address, states))
            positions = positions_of(rows, config.position_offset) if config.position_offset else None
            types = rows.types if config.reads_types else None
            mask = None if rows.mask is None else rows.mask.view(np.uint8)
            batch = Batch(len(rows), *map(_address, (rows.splits, rows.ids, positions, types, mask, weights)))
            results = Results(_address(embedding), ctypes.addressof(layers), _address(first), _address(sums))
            arguments = (self._model.address, ctypes.byref(batch), ctypes.byref(results), cpu_count())
            check(functions().wellread_encode(*arguments))
        pooled = None if sums is None else divided(sums, rows, weights, root=self._summed == "mean_sqrt_len_tokens")
        return Encoded(embedding=embedding, hidden=hidden, first=first, pooled=pooled)


def summed_pooling(sentence: SentenceConfig) -> str | None:
    """Name the pooling that the kernel does itself; None where there is none, or others need every position too."""
    reading = {name for name in sentence.poolings if sentence_source(sentence, name) == "sequence_output"}
    return reading.pop() if len(reading) == 1 and not reading.isdisjoint(SUMS) else None
