"""int8 products: the reference against exact integers and against what floats give; backends against the reference."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from int8_made import with_int8
from near import NEEDS_NATIVE, cosines
from tiny import NATIVE, tiny_checkpoint, tiny_config, tiny_inputs, tiny_module

from wellread.backends.backend import load_backend, precisions
from wellread.backends.int8 import chunk_width, int8_product, quantise_rows
from wellread.backends.native import NativeOps
from wellread.backends.openvino import build
from wellread.checkpoints.checkpoint import in_memory
from wellread.config import SentenceConfig
from wellread.encoder.encoder import OUTPUTS
from wellread.errors import InputError
from wellread.formats.arrays import int8_tensor
from wellread.formats.int8 import Int8Matrix, largest_pair
from wellread.quantising.matrices import quantise_matrix

RNG = np.random.default_rng(0)
CHECKPOINT = with_int8(tiny_checkpoint(sentence=SentenceConfig(normalize=True, max_seq_length=32)))


def exact_product(x, matrix, width):
    """Sum products of whole numbers as fractions: one row of inputs at a time, in plain Python."""
    out = np.zeros((len(x), len(matrix.values)))
    scaled = x if matrix.input_scales is None else x * matrix.input_scales
    for row, inputs in enumerate(scaled):
        for column, weights in enumerate(matrix.values):
            total = Fraction(0)
            for begin in range(0, len(inputs), width):
                part = quantise_rows(inputs[begin : begin + width])
                pairs = zip(part.numbers.tolist(), weights[begin : begin + width].tolist(), strict=True)
                whole = sum((int(number) - int(part.zero[0])) * weight for number, weight in pairs)
                total += whole * Fraction(float(part.scale[0])) * Fraction(float(matrix.scales[column]))
            out[row, column] = float(total)
    return out


@pytest.mark.parametrize(("rows", "columns", "width"), [(5, 1, 32), (7, 37, 64), (3, 100, 32), (4, 96, 32), (3, 37, 1)])
@pytest.mark.parametrize("scaled", [False, True])
def test_products_are_those_of_exact_integers(rows, columns, width, scaled):
    scales = np.exp(RNG.normal(0, 1, columns)).astype(np.float32) if scaled else None
    matrix = quantise_matrix(RNG.normal(0, 1, (rows, columns)).astype(np.float32), input_scales=scales)
    x = RNG.normal(0.3, 2, (3, columns)).astype(np.float32)
    expected = exact_product(x, matrix, width)
    found = int8_product(x, matrix, width=width)
    assert np.abs(found - expected).max() <= 1e-12 * np.abs(expected).max()


@pytest.mark.parametrize(
    "x",
    [
        [0.0, 0.0, 0.0],
        [3.0, 5.0, 7.0],
        [-3.0, -5.0, -7.0],
        [1e-30, 0.0, -1e-30],
        [1e30, -1e30, 1.0],
        [1e4, 0.001, -0.02],
        [2.5],
    ],
)
def test_rows_become_unsigned_8_bit_numbers_that_meet_0_exactly(x):
    rows = quantise_rows(np.array(x, np.float32))
    assert rows.numbers.min() >= 0
    assert rows.numbers.max() <= 255
    assert 0 <= rows.zero[0] <= 255
    back = rows.floats()
    span = max(0.0, *x) - min(0.0, *x)
    assert np.abs(back - x).max() <= 0.5001 * span / 255
    assert (back[np.array(x) == 0] == 0).all()


def test_products_are_near_those_of_floats():
    weights, x = RNG.normal(0, 1, (64, 384)).astype(np.float32), RNG.normal(0, 1, (50, 384)).astype(np.float32)
    found = int8_product(x, quantise_matrix(weights))
    assert cosines(found, x.astype(np.float64) @ weights.T).min() > 0.9997


def test_chunks_and_input_scales_keep_outliers_apart():
    weights = RNG.normal(0, 1, (64, 1024)).astype(np.float32)
    x = RNG.normal(0, 1, (50, 1024)).astype(np.float32)
    x[:, 7] *= 40
    exact = x.astype(np.float64) @ weights.T - np.outer(x[:, 7], weights[:, 7])  # of all others

    def rest(product):  # what is left of the other columns beside the outlier's own share
        return product - np.outer(x[:, 7], weights[:, 7])

    whole = cosines(rest(int8_product(x, quantise_matrix(weights))), exact).mean()
    chunked = cosines(rest(int8_product(x, quantise_matrix(weights), width=512)), exact).mean()
    scales = np.ones(1024, np.float32)
    scales[7] = 1 / 4
    scaled = cosines(rest(int8_product(x, quantise_matrix(weights, input_scales=scales))), exact).mean()
    assert whole < chunked < scaled


@pytest.mark.parametrize(("columns", "chunks"), [(37, 1), (512, 1), (513, 2), (1536, 3), (3072, 6), (4096, 8)])
def test_an_inner_layer_is_cut_into_the_fewest_equal_chunks(columns, chunks):
    width = chunk_width(columns)
    assert -(-columns // width) == chunks
    assert width <= 512
    assert width % 32 == 0


def test_the_reference_differs_from_float64_by_its_activations_alone():
    inputs = tiny_inputs()
    floats = load_backend("numpy", CHECKPOINT).run(inputs, OUTPUTS)
    found = load_backend("numpy", CHECKPOINT, precision="int8").run(inputs, OUTPUTS)
    np.testing.assert_array_equal(found["embedding_output"], floats["embedding_output"])
    for name in ("sequence_output", "pooled_output"):
        assert 1e-4 < np.abs(found[name] - floats[name]).max() < 0.2
        assert cosines(found[name], floats[name]).min() > 0.99


@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_other_backends_compute_the_floats(backend):
    inputs = tiny_inputs()
    floats, found = (
        load_backend(name, CHECKPOINT, precision=precision).run(inputs, ["sequence_output"])["sequence_output"]
        for name, precision in (("numpy", "f64"), (backend, "f32"))
    )
    assert np.abs(found - floats).max() <= 1e-5 * np.abs(floats).max()
    assert precisions(backend, CHECKPOINT) == precisions(backend)


@pytest.mark.parametrize("scaled", [False, True])
def test_openvino_keeps_integers_and_computes_their_floats(scaled):
    checkpoint = with_int8(tiny_checkpoint(sentence=SentenceConfig(normalize=True)), input_scales=scaled)
    inputs = {**tiny_inputs(), "masked_lm_positions": np.array([[0, 6], [1, 1], [3, 5]], np.int32)}
    outputs = [*OUTPUTS, "mlm_logits", "sentence_embedding"]
    floats = load_backend("numpy", checkpoint).run(inputs, outputs)
    backend = load_backend("openvino", checkpoint, precision="f32")
    found = backend.run(inputs, outputs)
    assert backend.precision == "f32"
    for name in set(outputs) - {"encoder_outputs"}:
        assert np.abs(found[name] - floats[name]).max() <= 1e-5 * max(1, np.abs(floats[name]).max()), name
    reference = load_backend("numpy", checkpoint, precision="int8").run(inputs, ["sentence_embedding"])
    # inputs of int8 alone stand between the two, on any CPU
    assert cosines(found["sentence_embedding"][:2], reference["sentence_embedding"][:2]).min() > 0.999
    graph = build(checkpoint, ["sentence_embedding"])
    kinds = [node.get_element_type().get_type_name() for node in graph.get_ops() if node.get_type_name() == "Constant"]
    assert kinds.count("i8") == 2 + 3 * 6


@NEEDS_NATIVE
@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize(
    "changes",
    [
        *({}, {"hidden_size": 192}, {"intermediate_size": 1088}, {"embedding_size": 48}),
        {"relative_attention_num_buckets": 8, "position_offset": 2},
    ],
    ids=str,
)
def test_the_native_kernel_multiplies_the_integers_of_the_reference(changes, scaled):
    config = tiny_config(**{**NATIVE, **changes})
    checkpoint = with_int8(tiny_checkpoint(config, SentenceConfig(normalize=True)), input_scales=scaled)
    inputs, outputs = tiny_inputs(), [*OUTPUTS, "sentence_embedding"]
    backend = load_backend("native", checkpoint)
    assert (backend.precision, precisions("native", checkpoint)[0]) == ("int8", "int8")
    found = backend.run(inputs, outputs)
    reference, floats = (
        load_backend("numpy", checkpoint, precision=each).run(inputs, outputs) for each in ("int8", "f64")
    )
    exact = load_backend("native", checkpoint, precision="f32").run(inputs, outputs)
    # beside int8 matrices, a variant with bfloat16 takes it for attention
    nearest, furthest = (0.05, 0.1) if "bf16" in precisions("native") else (1e-5, 0.05)
    for name in set(outputs) - {"encoder_outputs"}:
        errors = np.abs(found[name] - reference[name]).reshape(3, -1).max(1)
        assert errors.min() < nearest  # of a text whose inputs all become the same integers
        assert errors.max() < furthest  # one that lies between two may become either
        assert np.abs(exact[name] - floats[name]).max() <= 1e-5 * max(1, np.abs(floats[name]).max())


@NEEDS_NATIVE
@pytest.mark.parametrize(("rows", "columns"), [(16, 16), (37, 64), (99, 384)])
@pytest.mark.parametrize("kind", ["drawn", "extreme", "scaled"])
def test_native_products_are_those_of_exact_integers(rows, columns, kind):
    x = RNG.normal(0.3, 2, (5, columns)).astype(np.float32)
    if kind == "extreme":  # all inputs 255, and every pair of weights at the 128 that 16 bits hold, of either sign
        x = np.abs(np.sign(x)) * np.float32(3)
        pairs = np.stack([RNG.integers(1, 128, (rows, columns // 2)), np.zeros((rows, columns // 2))], -1)
        pairs[..., 1] = 128 - pairs[..., 0]
        values = (pairs * RNG.choice([-1, 1], (rows, columns // 2, 1))).reshape(rows, columns)
        matrix = Int8Matrix(values=values.astype(np.int8), scales=np.full(rows, 0.5, np.float32))
        matrix.check("extreme", multiplied=True)
    else:
        scales = np.exp(RNG.normal(0, 1, columns)).astype(np.float32) if kind == "scaled" else None
        weights = RNG.normal(0, 1, (rows, columns)).astype(np.float32)
        matrix = quantise_matrix(weights, input_scales=scales)
    expected = int8_product(x, matrix)
    found = NativeOps({"map.weight": int8_tensor(matrix)}, int8=True).linear(x, "map")
    # the sums are whole numbers, and equal; they meet the scales in float32
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


@NEEDS_NATIVE
def test_the_native_kernel_takes_an_int8_table_for_logits_as_floats():
    checkpoint = tiny_checkpoint(tiny_config(**NATIVE))
    large = np.full(checkpoint.tensors["embeddings.word_embeddings.weight"].shape, 0.5, np.float32)
    tensors = {**checkpoint.tensors, **in_memory({"embeddings.word_embeddings.weight": large})}
    checkpoint = with_int8(replace(checkpoint, tensors=tensors))
    assert largest_pair(checkpoint.tensors["embeddings.word_embeddings.weight"].int8().values) == 254
    inputs = {**tiny_inputs(), "masked_lm_positions": np.array([[0, 6], [1, 1], [3, 5]], np.int32)}
    backend = load_backend("native", checkpoint)
    found, floats = (
        each.run(inputs, ["mlm_logits"])["mlm_logits"] for each in (backend, load_backend("numpy", checkpoint))
    )
    assert np.abs(found - floats).max() < 0.05 * np.abs(floats).max()


@NEEDS_NATIVE
def test_a_module_of_int8_computes_in_int8_and_a_text_has_the_same_bits_in_any_company(tmp_path):
    module = tiny_module(tmp_path, backend="native", config=tiny_config(**NATIVE))
    module = replace(module, checkpoint=with_int8(module.checkpoint))
    texts = ["a man", "", "a cat sleeps .", "the woman is playing the guitar"] * 9
    vectors = module.encode(texts)
    assert module.running().precision == "int8"
    assert np.array_equal(module.encode(texts, precision="int8"), vectors)
    assert np.array_equal(np.stack([module.encode(text) for text in texts]), vectors)
    exact = module.encode(texts, precision="exact")
    assert module.running("exact").precision == "f32"
    assert 0 < np.abs(exact - vectors).max() < 0.2


def test_only_a_module_with_int8_matrices_computes_in_int8(tmp_path):
    assert precisions("numpy") == ["f64"]
    assert precisions("numpy", tiny_checkpoint()) == ["f64"]
    assert precisions("numpy", CHECKPOINT) == ["f64", "int8"]
    with pytest.raises(InputError, match=r"'int8' was asked of the numpy .* in f64; .* wellread\.quantise makes an"):
        load_backend("numpy", tiny_checkpoint(), precision="int8")
    module = tiny_module(tmp_path, backend="numpy")
    with pytest.raises(InputError, match="which is a form of vectors"):
        module.encode(["a cat"], precision="int8")
    module = replace(module, checkpoint=CHECKPOINT)
    assert module.running("int8").precision == "int8"
    assert module.encode(["a cat"], precision="int8").shape == (1, 12)
    with pytest.raises(InputError, match="which is a form of vectors"):
        module.encode(["a cat"], precision="binary")
