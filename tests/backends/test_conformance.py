"""Every backend against float64: primitive by primitive, then whole models."""

from __future__ import annotations

import keras
import numpy as np
import onnx
import pytest
import tensorflow as tf
import torch
from headed import FAMILIES, TASKS, head_of, headed, headed_checkpoint
from keras_tools import KERAS_WARNS
from near import BF16_COSINE, NEEDS_BF16, NEEDS_NATIVE, cosines, exact
from tiny import NATIVE, tiny_checkpoint, tiny_config, tiny_inputs

from wellread.backends import openvino as openvino_backend
from wellread.backends.backend import BACKENDS, load_backend
from wellread.backends.keras import KerasBackend
from wellread.backends.native import NativeOps, serves
from wellread.backends.numpy import NumpyOps
from wellread.backends.onnx import OnnxOps, build, model_of, session
from wellread.backends.openvino import OpenVINOOps, op, ov, precisions
from wellread.backends.tensorflow import TensorFlowOps, variables
from wellread.backends.torch import TorchEncoder, TorchOps, dropped
from wellread.checkpoints.checkpoint import in_memory
from wellread.config import ACTIVATIONS, DENSE_ACTIVATIONS, POOLINGS, DenseConfig, SentenceConfig
from wellread.encoder.encoder import OUTPUTS, relative_position_buckets
from wellread.encoder.heads import LOGITS_OUTPUT, MLM_INPUT, MLM_OUTPUT, POOLING_MASK, SENTENCE_OUTPUT
from wellread.errors import InputError, MissingExtra

pytestmark = KERAS_WARNS
OTHERS = {"native": "f32", "openvino": "f32", "torch": "f32", "tensorflow": "f32", "keras": "f32", "onnx": "f32"}
EVERY = [pytest.param(name, marks=NEEDS_NATIVE if name == "native" else ()) for name in BACKENDS]
RNG = np.random.default_rng(0)
X = RNG.normal(0, 2, (3, 7, 12)).astype(np.float32)
MASK = tiny_inputs()["input_mask"]
IDS = tiny_inputs()["input_word_ids"]
LAYER = "encoder.layer.1"
CHECKPOINT = tiny_checkpoint()
WEIGHTS = tiny_checkpoint(tiny_config(relative_attention_num_buckets=8))  # of every primitive
CALM = tiny_config(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)


def attend(ops, q, k, v, mask):
    return ops.attention(q, k, v, ops.mask_bias(mask), heads=4, rate=0.1, name=f"{LAYER}.attention.self")


def attend_by_position(ops, q, k, v, mask):
    buckets = relative_position_buckets(41, 8)
    bias = ops.relative_bias(ops.mask_bias(mask), q, buckets, "embeddings.relative_attention_bias.weight")
    return ops.attention(q, k, v, bias, heads=4, rate=0.1, name=f"{LAYER}.attention.self")


# name -> how the primitive is called, and on which arrays
PRIMITIVES = {
    "embedding": (lambda ops, ids: ops.embedding(ids, "embeddings.word_embeddings.weight"), [IDS]),
    "positions": (
        lambda ops, x, ids: ops.add(x, ops.positions(ids, "embeddings.position_embeddings.weight", 0)),
        [X, IDS],
    ),
    "positions from the third row on": (
        lambda ops, x, ids: ops.add(x, ops.positions(ids, "embeddings.position_embeddings.weight", 2)),
        [X, IDS],
    ),
    "positions that pass over padding": (
        lambda ops, x, ids: ops.add(x, ops.positions(ids, "embeddings.position_embeddings.weight", 2)),
        [X, IDS * (IDS % 3 > 0) + (IDS % 3 == 0)],
    ),
    "add": (lambda ops, a, b: ops.add(a, b), [X, X[:, :1]]),
    "dropout": (lambda ops, x: ops.dropout(x, 0.5), [X]),
    "linear": (lambda ops, x: ops.linear(x, f"{LAYER}.intermediate.dense"), [X]),
    "logits": (lambda ops, x: ops.logits(x, "embeddings.word_embeddings.weight", "cls.predictions.bias"), [X]),
    "layer_norm": (lambda ops, x: ops.layer_norm(x, f"{LAYER}.output.LayerNorm", 1e-12), [X]),
    "attention": (attend, [X, X[::-1].copy(), X * 0.5, MASK]),
    "attention from one position": (attend, [X[:, :1].copy(), X, X * 0.5, MASK]),
    "attention by position": (attend_by_position, [X, X[::-1].copy(), X * 0.5, MASK]),
    "attention by position from one": (attend_by_position, [X[:, :1].copy(), X, X * 0.5, MASK]),
    "first": (lambda ops, x: ops.squeeze(ops.first(x)), [X]),
    "gather_rows": (lambda ops, x, rows: ops.gather_rows(x, rows), [X, np.array([[6, 0], [1, 1], [3, 5]], np.int32)]),
    "mean": (lambda ops, x, mask: ops.mean(x, mask), [X, MASK]),
    "mean over the root": (lambda ops, x, mask: ops.mean(x, mask, root=True), [X, MASK]),
    "mean by position": (lambda ops, x, mask: ops.mean(x, ops.ramp(mask)), [X, MASK]),
    "max": (lambda ops, x, mask: ops.max(x, mask), [X - 3, MASK]),
    "first of a mask": (
        lambda ops, x, mask: ops.squeeze(ops.gather_rows(x, ops.argmax(mask))),
        [X, MASK[:, ::-1].copy()],
    ),
    "last of a mask": (lambda ops, x, mask: ops.squeeze(ops.gather_rows(x, ops.argmax(ops.ramp(mask)))), [X, MASK]),
    "concat": (lambda ops, x: ops.concat([ops.squeeze(ops.first(x))] * 2), [X]),
    "normalize": (lambda ops, x: ops.normalize(ops.squeeze(ops.first(x))), [np.concatenate([X, X[:1] * 0])]),
    **{
        kind: (lambda ops, x, kind=kind: ops.activation(x, kind), [X * 3])
        for kind in sorted({*ACTIVATIONS.values(), *DENSE_ACTIVATIONS} - {"identity"})
    },
}


def on_numpy(call, arrays):
    weights = {name: array.astype(np.float64) for name, array in WEIGHTS.arrays().items()}
    return call(NumpyOps(weights), *(a.astype(np.float64) if a.dtype.kind == "f" else a for a in arrays))


def on_torch(call, arrays):
    with torch.no_grad():
        return call(TorchOps(TorchEncoder(WEIGHTS).eval()), *map(torch.from_numpy, arrays)).numpy()


def on_openvino(call, arrays):
    # dynamic lengths, static width: as in the encoder
    parameters = [op.parameter([-1, -1, *a.shape[2:]], np.int32 if a.dtype.kind == "i" else np.float32) for a in arrays]
    model = ov.Model([op.result(call(OpenVINOOps(WEIGHTS), *parameters))], parameters, "primitive")
    compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.array(compiled(arrays)[0])


def on_tensorflow(call, arrays):
    return call(TensorFlowOps(variables(WEIGHTS)), *map(tf.constant, arrays)).numpy()


def on_keras(call, arrays):
    made = call(KerasBackend(WEIGHTS).ops, *map(keras.ops.convert_to_tensor, arrays))
    return keras.ops.convert_to_numpy(made)


def on_onnx(call, arrays):
    types = {"i": onnx.TensorProto.INT32, "f": onnx.TensorProto.FLOAT}
    # dynamic lengths, static width: as in the encoder
    inputs = [
        onnx.helper.make_tensor_value_info(f"x{i}", types[a.dtype.kind], [None, None, *a.shape[2:]])
        for i, a in enumerate(arrays)
    ]
    ops = OnnxOps(WEIGHTS)
    result = call(ops, *(value.name for value in inputs))
    feed = {value.name: array for value, array in zip(inputs, arrays, strict=True)}
    return session(model_of(ops, inputs, [result])).run(None, feed)[0]


def on_native(call, arrays):
    return call(NativeOps(WEIGHTS.tensors), *arrays)


RUNNERS = {
    "native": on_native,
    "torch": on_torch,
    "openvino": on_openvino,
    "tensorflow": on_tensorflow,
    "keras": on_keras,
    "onnx": on_onnx,
}


def assert_close(ours, reference):
    assert ours.shape == reference.shape
    assert np.abs(ours - reference).max(initial=0) <= 1e-5 * max(1, np.abs(reference).max(initial=0))


@pytest.mark.parametrize("primitive", PRIMITIVES)
@pytest.mark.parametrize("backend", [name for name in EVERY if name.values[0] in RUNNERS])
def test_primitive_agrees_with_float64(backend, primitive):
    call, arrays = PRIMITIVES[primitive]
    assert_close(RUNNERS[backend](call, arrays), on_numpy(call, arrays))


def test_attention_over_masked_keys_only_is_uniform():
    call, arrays = PRIMITIVES["attention"]
    mixed = on_numpy(call, arrays)[2]  # the row that is masked everywhere
    assert np.allclose(mixed, arrays[2][2].astype(np.float64).mean(0), atol=1e-12)


def models(**sizes):
    """Make a model of each kind that the arithmetic tells apart, of the tiny sizes or others."""

    def config(**changes):
        return tiny_config(**{**sizes, **changes})

    width = config().hidden_size

    def made(sentence=None, **changes):
        return tiny_checkpoint(config(**changes), sentence)

    two_maps = (
        DenseConfig(in_features=width, out_features=5, activation="tanh"),
        DenseConfig(in_features=5, out_features=9, bias=False),
    )
    three = 3 * width
    every_step = (
        DenseConfig(in_features=three, out_features=three, kind="normalize"),
        DenseConfig(in_features=three, out_features=three, activation="gelu", residual=True),
        DenseConfig(in_features=three, out_features=three, kind="layer_norm"),
        DenseConfig(in_features=three, out_features=5, bias=False, residual=True),
    )
    narrow, wide = (48, 112) if sizes else (5, 17)
    return {
        "bert": made(),
        "no pooler": made(pooler="first_token"),
        "no types": made(pooler="first_token", type_vocab_size=0),
        "one type": made(type_vocab_size=1),
        "one layer": made(num_hidden_layers=1),
        "positions from row 2": made(position_offset=2, max_position_embeddings=9),
        "narrow embeddings": made(embedding_size=narrow),
        "wide embeddings": made(embedding_size=wide, type_vocab_size=0, pooler="first_token"),
        "relative positions": made(relative_attention_num_buckets=8, hidden_act="relu", mlm_act="silu"),
        "shared layers": made(shared_layers=True, embedding_size=narrow, position_offset=1),
        "another activation in the head": made(hidden_act="relu", mlm_act="silu"),
        **{name: made(hidden_act=name) for name in ACTIVATIONS},
        **{
            f"{pooling}, two maps": made(SentenceConfig(pooling=pooling, dense=two_maps, normalize=True))
            for pooling in POOLINGS
        },
        "two sums": made(SentenceConfig(pooling="mean+weightedmean")),
        "three poolings, then every step": made(SentenceConfig(pooling="lasttoken+cls+max", dense=every_step)),
        "a prompt left out": made(SentenceConfig(pooling="cls+weightedmean", include_prompt=False)),
    }


MODELS = {name: models(**(NATIVE if name == "native" else {})) for name in BACKENDS}
MODEL_CASES = [
    pytest.param(backend, model, marks=NEEDS_NATIVE if backend == "native" else (), id=f"{backend}-{model}")
    for backend in OTHERS
    for model, checkpoint in MODELS[backend].items()
    if backend != "native" or serves(checkpoint) is None
]


@pytest.mark.parametrize(("backend", "model"), MODEL_CASES)
def test_model_agrees_with_float64(backend, model):
    checkpoint = MODELS[backend][model]
    inputs = {**tiny_inputs(), MLM_INPUT: np.array([[0, 6], [3, 1], [0, 0]], np.int32)}
    names = [*OUTPUTS, SENTENCE_OUTPUT, MLM_OUTPUT]
    reference = load_backend("numpy", checkpoint).run(inputs, names)
    runner = load_backend(backend, checkpoint, precision=OTHERS[backend])
    made = runner.run(inputs, names)
    assert list(made) == names
    assert len(made["encoder_outputs"]) == checkpoint.config.num_hidden_layers
    for name in names:
        assert_close(np.asarray(made[name]), np.asarray(reference[name]))
    assert np.array_equal(made["encoder_outputs"][-1], made["sequence_output"])
    for name in (SENTENCE_OUTPUT, "pooled_output") if backend == "native" else ():  # alone: without padding
        assert_close(runner.run(inputs, [name])[name], np.asarray(reference[name]))


@pytest.mark.parametrize("backend", EVERY)
def test_a_mask_of_its_own_keeps_the_pooling_from_a_prompt(backend):
    checkpoint = MODELS[backend]["a prompt left out"]
    width = checkpoint.config.hidden_size
    mask = np.where(np.arange(7) < 2, 0, MASK)
    runner = load_backend(backend, checkpoint, precision=exact(backend))
    vectors = runner.run({**tiny_inputs(), POOLING_MASK: mask}, [SENTENCE_OUTPUT])[SENTENCE_OUTPUT]
    tokens = load_backend("numpy", checkpoint).run(tiny_inputs(), ["sequence_output"])["sequence_output"]
    weights = (mask * np.arange(1, 8))[:2, :, None]
    assert_close(vectors[:2, :width], tokens[:2, 2])
    assert_close(vectors[:2, width:], (tokens[:2] * weights).sum(1) / weights.sum(1))
    (item,) = runner.stream(iter([{**tiny_inputs(), POOLING_MASK: mask}]), SENTENCE_OUTPUT)
    assert_close(item.value, vectors)


HEADS = {
    (backend, f"{task} on {family}"): headed_checkpoint(task, family, sizes=NATIVE if backend == "native" else None)
    for backend in OTHERS
    for task in TASKS[:4]
    for family in FAMILIES
}
HEAD_CASES = [pytest.param(*case, marks=NEEDS_NATIVE if case[0] == "native" else ()) for case in HEADS]
LOGITS = {"classify": (3, 5), "pair": (3, 5), "tag": (3, 7, 5), "answer": (3, 7, 2)}


@pytest.mark.parametrize(("backend", "head"), HEAD_CASES)
def test_a_head_agrees_with_float64(backend, head):
    checkpoint = HEADS[backend, head]
    names = [LOGITS_OUTPUT, "pooled_output"]
    reference = load_backend("numpy", checkpoint).run(tiny_inputs(), names)
    runner = load_backend(backend, checkpoint, precision=OTHERS[backend])
    made = runner.run(tiny_inputs(), names)
    assert list(made) == names
    assert made[LOGITS_OUTPUT].shape == LOGITS[checkpoint.head.task]
    for name in names:
        assert_close(made[name], reference[name])
    assert_close(runner.run(tiny_inputs(), [LOGITS_OUTPUT])[LOGITS_OUTPUT], reference[LOGITS_OUTPUT])  # and alone
    (item,) = runner.stream(iter([tiny_inputs()]), LOGITS_OUTPUT)
    assert_close(item.value, reference[LOGITS_OUTPUT])


@pytest.mark.parametrize("backend", EVERY)
@pytest.mark.parametrize("alone", ["pooled_output", "cls_output"])
def test_the_last_block_at_position_0_alone_gives_the_same(backend, alone):
    runner = load_backend(backend, MODELS[backend]["bert"], precision=exact(backend))
    whole = runner.run(tiny_inputs(), [alone, "sequence_output"])[alone]
    assert_close(runner.run(tiny_inputs(), [alone])[alone], whole)


@NEEDS_BF16
@pytest.mark.parametrize("alone", ["pooled_output", "cls_output"])
def test_the_last_block_at_position_0_alone_is_near_in_bf16(alone):
    reference = load_backend("numpy", CHECKPOINT).run(tiny_inputs(), [alone])[alone]
    runner = load_backend("openvino", CHECKPOINT, precision="bf16")
    for names in ([alone], [alone, "sequence_output"]):
        assert cosines(runner.run(tiny_inputs(), names)[alone], reference).min() > BF16_COSINE


@pytest.mark.parametrize("backend", EVERY)
def test_an_empty_batch_and_one_token(backend):
    checkpoint = MODELS[backend]["bert"]
    width, runner = checkpoint.config.hidden_size, load_backend(backend, checkpoint)
    empty = runner.run({name: array[:0] for name, array in tiny_inputs().items()}, [*OUTPUTS, SENTENCE_OUTPUT])
    assert empty["sequence_output"].shape == (0, 7, width)
    assert empty["pooled_output"].shape == empty[SENTENCE_OUTPUT].shape == (0, width)
    one = {name: array[:, :1] for name, array in tiny_inputs().items()}
    assert runner.run(one, ["sequence_output"])["sequence_output"].shape == (3, 1, width)


@pytest.mark.parametrize("backend", EVERY)
def test_a_stream_gives_every_batch_once(backend):
    runner = load_backend(backend, MODELS[backend]["bert"], precision=exact(backend))
    batches = [
        {name: array[:rows] for name, array in tiny_inputs(seed).items()} for seed, rows in enumerate([3, 1, 2] * 5)
    ]
    found = {item.index: item.value for item in runner.stream(iter(batches), SENTENCE_OUTPUT)}
    assert sorted(found) == list(range(15))
    for index, batch in enumerate(batches):
        assert_close(found[index], runner.run(batch, [SENTENCE_OUTPUT])[SENTENCE_OUTPUT])


def test_each_backend_reports_its_precision():
    assert load_backend("numpy", CHECKPOINT).precision == "f64"
    assert load_backend("torch", CHECKPOINT).precision == "f32"
    assert load_backend("keras", CHECKPOINT).precision == "f32"
    assert load_backend("tensorflow", CHECKPOINT).precision == "f32"
    assert load_backend("onnx", CHECKPOINT).precision == "f32"
    assert load_backend("openvino", CHECKPOINT, precision="f32").precision == "f32"
    assert load_backend("openvino", CHECKPOINT).precision == precisions()[0]


def test_bf16_is_the_default_where_the_cpu_has_it(monkeypatch):
    monkeypatch.setattr(openvino_backend, "precisions", lambda: ["bf16", "f32"])
    assert load_backend("openvino", CHECKPOINT).precision == "bf16"
    assert load_backend("openvino", CHECKPOINT, precision="f32").precision == "f32"


@pytest.mark.parametrize("backend", ["torch", pytest.param("openvino", marks=NEEDS_BF16)])
def test_bf16_is_near(backend):
    inputs = {name: array[:2] for name, array in tiny_inputs().items()}  # the third row is masked: a vector of zeros
    reference = load_backend("numpy", CHECKPOINT).run(inputs, [SENTENCE_OUTPUT])[SENTENCE_OUTPUT]
    runner = load_backend(backend, CHECKPOINT, precision="bf16")
    made = runner.run(inputs, [SENTENCE_OUTPUT])[SENTENCE_OUTPUT]
    assert BF16_COSINE < cosines(made, reference).min() < 1 - 1e-9
    (item,) = runner.stream(iter([inputs]), SENTENCE_OUTPUT)
    assert cosines(item.value, reference).min() > BF16_COSINE


@pytest.mark.parametrize("backend", EVERY)
def test_an_unknown_precision_is_refused(backend):
    with pytest.raises(
        InputError, match="precision 'int3' was asked of the .* backend; .* computes this module in .*; name one"
    ):
        load_backend(backend, MODELS[backend]["bert"], precision="int3")


def test_an_unknown_backend_is_refused():
    with pytest.raises(InputError, match=r"backend 'openvio' is unknown; .*did you mean openvino"):
        load_backend("openvio", CHECKPOINT)


def test_a_framework_that_is_missing_is_named_with_its_extra(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r'this needs keras, .*; run: pip install "wellread\[keras\]"'):
        load_backend("keras", CHECKPOINT)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name if name == "onnx" else None)
    with pytest.raises(MissingExtra, match=r'this needs onnxruntime, .*; run: pip install "wellread\[onnx\]"'):
        load_backend("onnx", CHECKPOINT)


def test_a_stream_may_be_abandoned():
    runner = load_backend("openvino", CHECKPOINT, precision="f32")
    stream = runner.stream(iter([tiny_inputs()] * 20), SENTENCE_OUTPUT)
    first = next(stream).value
    stream.close()
    assert np.array_equal(next(runner.stream(iter([tiny_inputs()]), SENTENCE_OUTPUT)).value, first)


def test_a_failing_batch_ends_a_stream_with_its_error():
    runner = load_backend("openvino", CHECKPOINT)
    good = tiny_inputs()
    bad = {**good, "input_word_ids": good["input_word_ids"][:, :5]}
    with pytest.raises(Exception, match=r".+"):
        list(runner.stream(iter([good, bad, good]), SENTENCE_OUTPUT))
    assert len(list(runner.stream(iter([good]), SENTENCE_OUTPUT))) == 1


def test_torch_parameters_bear_the_names_of_the_tensors():
    encoder = TorchEncoder(CHECKPOINT)
    assert dict(encoder.named_parameters()).keys() == CHECKPOINT.tensors.keys()
    assert encoder.state_dict().keys() == CHECKPOINT.tensors.keys()
    for name, array in encoder.arrays().items():
        assert np.array_equal(array, CHECKPOINT.tensors[name].read())


def test_each_weight_stands_once_in_an_onnx_graph():
    names = [constant.name for constant in build(CHECKPOINT, [SENTENCE_OUTPUT, MLM_OUTPUT]).graph.initializer]
    assert len(names) == len(set(names))
    assert "encoder.layer.1.attention.self.query.weight.T" in names


def test_a_heads_own_dropout_acts_while_training():
    encoder = TorchEncoder(headed(tiny_checkpoint(CALM, mlm=False), head_of("tag", dropout=0.5))).train()
    inputs = {name: torch.from_numpy(array) for name, array in tiny_inputs().items()}
    made = [encoder(inputs, [LOGITS_OUTPUT, "sequence_output"]) for _ in range(2)]
    assert torch.equal(made[0]["sequence_output"], made[1]["sequence_output"])
    assert not torch.equal(made[0][LOGITS_OUTPUT], made[1][LOGITS_OUTPUT])


def test_dropout_only_while_training():
    encoder = TorchEncoder(CHECKPOINT)
    inputs = {name: torch.from_numpy(array) for name, array in tiny_inputs().items()}

    def spread():
        torch.manual_seed(0)
        drawn = torch.stack([encoder(inputs, ["pooled_output"])["pooled_output"].detach() for _ in range(20)])
        return drawn.std(0).max().item()

    encoder.train()
    assert spread() > 1e-3
    encoder.eval()
    assert spread() < 1e-6


def test_dropped_elements_are_as_many_as_asked_and_the_mean_stays():
    torch.manual_seed(0)
    x = torch.ones(400, 501, requires_grad=True)
    made = dropped(x, 0.1)
    kept = made != 0
    assert kept.float().mean().item() == pytest.approx(0.9, abs=3e-3)
    assert made[kept].unique().item() == pytest.approx(1 / 0.9, rel=1e-4)
    assert kept.float().mean(0).std().item() == pytest.approx((0.1 * 0.9 / 400) ** 0.5, rel=0.15)
    made.sum().backward()
    assert torch.equal(x.grad, made.detach())
    assert not torch.equal(dropped(x, 0.1), made)
    torch.manual_seed(0)
    assert torch.equal(dropped(x, 0.1), made)
    assert dropped(x.bfloat16(), 0.1).dtype == torch.bfloat16


def test_a_sparse_gradient_of_the_words_is_the_dense_one():
    found = []
    for sparse in (False, True):
        encoder = TorchEncoder(CHECKPOINT).eval()
        encoder.sparse_words = sparse
        inputs = {name: torch.from_numpy(array) for name, array in tiny_inputs().items()}
        encoder(inputs, [SENTENCE_OUTPUT])[SENTENCE_OUTPUT].square().sum().backward()
        gradient = encoder.get_parameter("embeddings.word_embeddings.weight").grad
        assert gradient.is_sparse == sparse
        found.append(gradient.to_dense())
    assert torch.allclose(*found, atol=1e-6)
    assert found[0].abs().max() > 0


def test_torch_trains():
    encoder = TorchEncoder(tiny_checkpoint())
    optimizer = torch.optim.SGD(encoder.parameters(), lr=0.01)
    inputs = {name: torch.from_numpy(array) for name, array in tiny_inputs().items()}
    losses = []
    for _ in range(5):
        loss = encoder.eval()(inputs, [SENTENCE_OUTPUT])[SENTENCE_OUTPUT].square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses == sorted(losses, reverse=True)


def test_in_memory_arrays_are_read_as_they_are():
    array = np.ones((2, 3), np.float32)
    assert in_memory({"x": array})["x"].read() is array


@pytest.mark.gpu
def test_torch_on_a_gpu_agrees_with_float64():
    runner = load_backend("torch", CHECKPOINT)
    assert runner.device == "cuda"
    reference = load_backend("numpy", CHECKPOINT).run(tiny_inputs(), [*OUTPUTS])
    made = runner.run(tiny_inputs(), [*OUTPUTS])
    assert_close(made["sequence_output"], reference["sequence_output"])
