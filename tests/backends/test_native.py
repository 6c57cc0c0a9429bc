"""The native backend: which modules it takes, and bits that nothing but the text decides."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from types import SimpleNamespace

import numpy as np
import pytest
from headed import headed_checkpoint
from near import NEEDS_NATIVE, cosines, exact
from tiny import NATIVE, tiny_checkpoint, tiny_config, tiny_inputs, tiny_module

import wellread
from wellread.backends import backend, native, native_kernel, openvino
from wellread.backends.backend import automatic, check_backend, is_installed, load_backend, precisions
from wellread.backends.native_kernel import Variant, chosen, variants
from wellread.backends.native_rows import join, kept_positions, padded, together
from wellread.checkpoints.checkpoint import in_memory
from wellread.config import POOLINGS, SentenceConfig
from wellread.encoder.heads import LOGITS_OUTPUT, POOLING_MASK, SENTENCE_OUTPUT
from wellread.errors import InputError, MissingExtra, WeightsError
from wellread.native_library import NativeLibrary
from wellread.text.batch import Joined

LONGEST = 512
SMALL = {"hidden_size": 64, "num_attention_heads": 2, "intermediate_size": 96, "num_hidden_layers": 2}
CONFIG = tiny_config(**SMALL, max_position_embeddings=LONGEST)
CHECKPOINT = tiny_checkpoint(CONFIG)
TEXTS = ["a man is playing the guitar .", "", "cat", "a woman runs , the flute sleeps !", "paris", "of france"] * 4
SERVED = tiny_config(**NATIVE)
PRESENT = variants() if native_kernel.refusal() is None else ()
RUNNING = [variant.name for variant in PRESENT if variant.supported] or ["none"]

# -- which modules it takes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"hidden_size": 48, "num_attention_heads": 3}, "hidden_size 48, which is no multiple of 32"),
        ({"intermediate_size": 37}, "intermediate_size 37, which is no multiple of 32"),
        ({"embedding_size": 17}, "embedding_size 17, which is no multiple of 16"),
        ({"num_attention_heads": 6}, "heads of width 16, which is none of 32, 64"),
        ({"hidden_act": "silu"}, "hidden_act silu, which is none of gelu, gelu_tanh, relu"),
    ],
)
@NEEDS_NATIVE
def test_what_it_does_not_compute_is_said(tmp_path, changes, reason):
    checkpoint = tiny_checkpoint(tiny_config(**{**NATIVE, **changes}))
    assert native.serves(checkpoint) == reason
    assert automatic(checkpoint) == "openvino"
    refused = f'the native backend was to run this module; found {reason}; load it with backend="openvino", or "auto"'
    with pytest.raises(InputError) as caught:
        load_backend("native", checkpoint)
    assert str(caught.value).startswith(refused)
    assert tiny_module(tmp_path, backend="auto", config=checkpoint.config).backend == "openvino"


@NEEDS_NATIVE
def test_a_module_that_it_does_not_compute_is_refused_where_it_is_loaded(tmp_path):
    tiny_module(tmp_path / "files").save(tmp_path / "saved")
    assert wellread.load(tmp_path / "saved").backend == "openvino"
    with pytest.raises(
        InputError, match="the native backend was to run this module; found hidden_size 12, which is no"
    ):
        wellread.load(tmp_path / "saved", backend="native")


@NEEDS_NATIVE
@pytest.mark.parametrize(
    "changes",
    [
        *({}, {"hidden_size": 192}, {"embedding_size": 48}, {"shared_layers": True}, {"hidden_act": "gelu_new"}),
        {"relative_attention_num_buckets": 8, "position_offset": 2},
    ],
    ids=str,
)
def test_the_default_is_native_where_it_serves(tmp_path, changes):
    checkpoint = tiny_checkpoint(tiny_config(**{**NATIVE, **changes}))
    assert native.serves(checkpoint) is None
    expected = "native" if chosen("bf16") is not None or not native_kernel.cpu_has_amx() else "openvino"
    assert automatic(checkpoint) == load_backend("auto", checkpoint).name == expected
    module = tiny_module(tmp_path, backend="auto", config=checkpoint.config)
    assert module.backend == expected
    module.backend = "auto"
    assert module.running("f32").name == module.backend == expected


def test_a_cpu_with_amx_is_left_to_openvino_where_the_kernel_has_no_bfloat16(monkeypatch):
    monkeypatch.setattr(native_kernel, "refusal", lambda: None)
    portable = Variant(number=0, name="portable", supported=True, computes=("f32",))
    plain = Variant(number=1, name="avx2", supported=True, computes=("f32",))
    halves = Variant(number=5, name="amx", supported=True, computes=("f32", "bf16"))
    checkpoint = tiny_checkpoint(SERVED)
    for present, has_amx, named, best in [
        ([portable], False, "", False),
        ([portable, plain], False, "", True),
        ([portable, plain], True, "", False),
        ([portable, plain, halves], True, "avx2", False),
        ([portable, plain, halves], True, "", True),
    ]:
        monkeypatch.setattr(native_kernel, "variants", lambda present=present: tuple(present))
        monkeypatch.setenv("WELLREAD_NATIVE", named)
        monkeypatch.setattr(native, "cpu_has_amx", lambda has_amx=has_amx: has_amx)
        assert native.is_best_for(checkpoint) == best
        assert native.precisions() == (["bf16", "f32"] if halves in present and not named else ["f32"])


def test_the_best_variant_that_the_cpu_runs_is_taken_and_a_named_one_alone(monkeypatch):
    monkeypatch.setattr(native_kernel, "refusal", lambda: None)
    found = [("portable", True), ("avx2", True), ("avx_vnni", True), ("amx", False)]
    listed = [Variant(number=i, name=name, supported=can, computes=("f32",)) for i, (name, can) in enumerate(found)]
    monkeypatch.setattr(native_kernel, "variants", lambda: tuple(listed))
    for named, number in [("", 2), ("portable", 0), ("avx_vnni", 2)]:
        monkeypatch.setenv("WELLREAD_NATIVE", named)
        assert chosen("f32") is listed[number]
    assert chosen("bf16") is None


@NEEDS_NATIVE
@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("off", "WELLREAD_NATIVE=off, which turns it off; unset that variable"),
        ("avx9", "WELLREAD_NATIVE=avx9, a variant that the library lacks; set it to portable, .* or off, or unset it"),
    ],
)
def test_the_environment_turns_it_off_or_names_a_variant(monkeypatch, value, fault):
    monkeypatch.setenv("WELLREAD_NATIVE", value)
    assert not is_installed("native")
    assert automatic(CHECKPOINT) == "openvino"
    with pytest.raises(MissingExtra, match=f"the native backend was asked for; found {fault}"):
        check_backend("native")
    with pytest.raises(MissingExtra, match="the native backend was asked for"):
        wellread.load("default", backend="native")
    monkeypatch.setenv("WELLREAD_NATIVE", "portable")
    assert load_backend("native", CHECKPOINT).variant == "portable"


@NEEDS_NATIVE
def test_a_variant_that_the_cpu_refuses_is_refused(monkeypatch):
    refused = [variant.name for variant in variants() if not variant.supported]
    if not refused:
        pytest.skip("this CPU runs every variant")
    monkeypatch.setenv("WELLREAD_NATIVE", refused[0])
    with pytest.raises(MissingExtra, match=f"={refused[0]}, which this CPU or system refuses; unset that variable"):
        check_backend("native")


def test_where_the_library_was_not_built_its_report_says_why(monkeypatch):
    monkeypatch.delenv("WELLREAD_NATIVE", raising=False)
    absent = NativeLibrary(functions=None, built="", reason="no C++ compiler was found")
    monkeypatch.setattr(native_kernel, "native_library", lambda: absent)
    assert not is_installed("native")
    assert automatic(CHECKPOINT) == "openvino"
    with pytest.raises(MissingExtra, match="found no C.. compiler was found; install wellread from its sources where"):
        load_backend("native", CHECKPOINT)


@pytest.mark.parametrize(("flags", "has_amx"), [("avx512f avx512_bf16", False), ("avx512_bf16 amx_bf16", True)])
def test_bfloat16_is_the_default_of_openvino_where_the_cpu_multiplies_tiles_of_it(monkeypatch, flags, has_amx):
    lines = StringIO(f"model name\t: Some CPU\nflags\t\t: fpu {flags}\n")
    monkeypatch.setattr("builtins.open", lambda *args, **named: lines)
    assert native_kernel.cpu_has_amx.__wrapped__() == has_amx
    monkeypatch.undo()
    monkeypatch.setattr(openvino, "cpu_has_amx", lambda: has_amx)
    for capabilities, expected in ((["FP32"], ["f32"]), (["BF16"], ["bf16", "f32"] if has_amx else ["f32", "bf16"])):
        core = SimpleNamespace(get_property=lambda *names, found=capabilities: found)
        monkeypatch.setattr(openvino, "_core", lambda core=core: core)
        assert openvino.precisions() == expected


# -- what it computes --------------------------------------------------------------------------------------------------


def texts_of_every_length(longest=LONGEST):
    """Join a text of each length from 1 to the longest, one after the other."""
    rng = np.random.default_rng(0)
    lengths = np.arange(1, longest + 1)
    splits = np.concatenate([[0], np.cumsum(lengths)])
    return Joined(ids=rng.integers(5, 99, splits[-1]).astype(np.int32), splits=splits)


def taken(rows, numbers):
    """Join some of the rows in another order."""
    parts = [rows.ids[rows.splits[i] : rows.splits[i + 1]] for i in numbers]
    return Joined(ids=np.concatenate(parts), splits=np.concatenate([[0], np.cumsum([len(part) for part in parts])]))


@NEEDS_NATIVE
@pytest.mark.parametrize(("pooling", "buckets"), [("mean", 0), ("cls", 8)])
@pytest.mark.parametrize("variant", RUNNING)
def test_a_text_of_every_length_has_the_same_bits_in_any_company(monkeypatch, pooling, buckets, variant):
    monkeypatch.setenv("WELLREAD_NATIVE", variant)
    config = replace(CONFIG, relative_attention_num_buckets=buckets)
    checkpoint = tiny_checkpoint(config, SentenceConfig(pooling=pooling, normalize=True))
    runner = load_backend("native", checkpoint)
    assert runner.variant == variant
    longest = LONGEST if variant == RUNNING[-1] else 70  # the others are slower, and `tests/native` holds them to it
    rows = texts_of_every_length(longest)
    alone = np.concatenate([runner.run_joined(taken(rows, [i]), SENTENCE_OUTPUT) for i in range(longest)])
    assert np.unique(alone, axis=0).shape == alone.shape
    shuffled = np.random.default_rng(1).permutation(longest)
    for threads in (1, 2, 7):
        monkeypatch.setattr(native, "cpu_count", lambda threads=threads: threads)
        assert np.array_equal(runner.run_joined(rows, SENTENCE_OUTPUT), alone)
        assert np.array_equal(runner.run_joined(taken(rows, shuffled), SENTENCE_OUTPUT), alone[shuffled])


@NEEDS_NATIVE
def test_512_tokens_agree_with_float64():
    checkpoint = tiny_checkpoint(CONFIG, SentenceConfig(pooling="mean"))
    rng = np.random.default_rng(2)
    ids = rng.integers(5, 99, (2, LONGEST)).astype(np.int32)
    mask = (np.arange(LONGEST) < np.array([[LONGEST], [LONGEST - 1]])).astype(np.int32)
    inputs = {"input_word_ids": ids, "input_mask": mask, "input_type_ids": ids % 2}
    names = ["sequence_output", SENTENCE_OUTPUT]
    expected = load_backend("numpy", checkpoint).run(inputs, names)
    found = load_backend("native", checkpoint, precision="f32").run(inputs, names)
    for name in names:
        assert np.abs(found[name] - expected[name]).max() <= 1e-5 * np.abs(expected[name]).max()


@NEEDS_NATIVE
@pytest.mark.parametrize("variant", RUNNING)
@pytest.mark.parametrize(
    "sizes", [NATIVE, {**NATIVE, "hidden_size": 192}, {**SMALL, "num_attention_heads": 1}], ids=str
)
def test_biases_by_relative_position_agree_with_the_others(monkeypatch, variant, sizes):
    monkeypatch.setenv("WELLREAD_NATIVE", variant)
    mpnet = {"relative_attention_num_buckets": 12, "position_offset": 2, "type_vocab_size": 0}
    checkpoint = tiny_checkpoint(tiny_config(**sizes, **mpnet, max_position_embeddings=79), mlm=False)
    runner = load_backend("native", checkpoint, precision="f32")
    assert runner.variant == variant
    peers = [load_backend(name, checkpoint, precision=exact(name)) for name in ("numpy", "torch", "openvino")]
    rng = np.random.default_rng(3)
    for lengths in ([1], [15, 2], [16, 17, 3], [33, 31, 32, 1], [77, 76, 47, 48, 49]):
        ids = rng.integers(5, 99, (len(lengths), max(lengths))).astype(np.int32)
        mask = (np.arange(max(lengths)) < np.array(lengths)[:, None]).astype(np.int32)
        mask[0, 1:-1:3] = 0  # keys in the middle are masked
        inputs = {"input_word_ids": np.where(mask, ids, 1), "input_mask": mask}
        for names in (["sequence_output", SENTENCE_OUTPUT], ["cls_output"]):
            found = runner.run(inputs, names)
            for peer in peers:
                expected = peer.run(inputs, names)
                for name in names:
                    assert np.abs(found[name] - expected[name]).max() <= 1e-5 * np.abs(expected[name]).max()


@NEEDS_NATIVE
def test_a_text_longer_than_its_relative_positions_is_refused():
    config = tiny_config(**NATIVE, relative_attention_num_buckets=8, position_offset=2, max_position_embeddings=9)
    runner = load_backend("native", tiny_checkpoint(config))
    for length, fine in [(9, True), (10, False)]:
        rows = Joined(ids=np.ones(length, np.int32), splits=np.array([0, length]))  # padding, which has one position
        if fine:
            assert np.isfinite(runner.run_joined(rows, SENTENCE_OUTPUT)).all()
            continue
        with pytest.raises(InputError, match="found an id, a position or a type outside its table"):
            runner.run_joined(rows, SENTENCE_OUTPUT)


@NEEDS_NATIVE
@pytest.mark.parametrize("pooling", [*POOLINGS, "mean+weightedmean", "cls+mean", "max+cls"])
@pytest.mark.parametrize("include_prompt", [True, False])
def test_rows_without_padding_give_what_batches_give(pooling, include_prompt):
    checkpoint = tiny_checkpoint(SERVED, SentenceConfig(pooling=pooling, include_prompt=include_prompt))
    runner = load_backend("native", checkpoint)
    inputs = {name: array[:2] for name, array in tiny_inputs().items()}  # a whole row, and a padded one
    pooled = {} if include_prompt else {POOLING_MASK: np.where(np.arange(7) < 2, 0, inputs["input_mask"])}
    inputs |= pooled
    vectors = runner.run(inputs, [SENTENCE_OUTPUT])[SENTENCE_OUTPUT]
    rows = join(inputs, inputs["input_mask"] != 0)
    reads_all = any(name not in ("cls", "pooled_output") for name in checkpoint.sentence.poolings)
    if runner.takes_joined(SENTENCE_OUTPUT):
        assert np.array_equal(runner.run_joined(rows, SENTENCE_OUTPUT), vectors)
    else:
        assert reads_all or not include_prompt
    states = runner.run_joined(rows, "sequence_output")
    whole = runner.run(inputs, ["sequence_output"])["sequence_output"]
    assert np.array_equal(padded(states, inputs["input_mask"] != 0)[inputs["input_mask"] != 0], states)
    assert np.array_equal(whole[inputs["input_mask"] != 0], states)


@NEEDS_NATIVE
def test_a_mask_with_holes_and_one_of_zeros_agree_with_float64():
    inputs = tiny_inputs()
    inputs["input_mask"] = np.array([[0, 1, 1, 0, 1, 0, 0], [1, 1, 1, 0, 0, 0, 0], [0] * 7], np.int32)
    for pooling in POOLINGS:
        checkpoint = tiny_checkpoint(SERVED, SentenceConfig(pooling=pooling))
        names = [SENTENCE_OUTPUT, "cls_output"]
        expected = load_backend("numpy", checkpoint).run(inputs, names)
        found = load_backend("native", checkpoint, precision="f32").run(inputs, names)
        for name in names:
            assert np.abs(found[name] - expected[name]).max() <= 1e-5 * np.abs(expected[name]).max()


@NEEDS_NATIVE
def test_a_stream_of_many_batches_gives_what_each_gives_alone(monkeypatch):
    runner = load_backend("native", tiny_checkpoint(SERVED))
    monkeypatch.setattr(native, "TOKENS_A_CORE", 40)
    monkeypatch.setattr(native, "cpu_count", lambda: 1)
    batches = []
    for seed in range(9):
        inputs = {name: array[: seed % 3 + 1, : 7 - seed % 2] for name, array in tiny_inputs(seed).items()}
        batches.append(inputs | ({POOLING_MASK: inputs["input_mask"]} if seed % 4 == 0 else {}))
    for output in (SENTENCE_OUTPUT, "sequence_output", "pooled_output"):
        items = {item.index: item.value for item in runner.stream(iter(batches), output)}
        assert [*items] == [*range(9)]
        for index, batch in enumerate(batches):
            assert np.array_equal(items[index], runner.run(batch, [output])[output])
    assert list(runner.stream(iter([]), SENTENCE_OUTPUT)) == []


def test_batches_are_joined_and_padded_again():
    inputs = tiny_inputs()
    kept = kept_positions(inputs["input_mask"], everywhere=False)
    assert kept.sum(1).tolist() == [7, 4, 7]  # of the third, which is masked everywhere, all
    rows = join(inputs, kept)
    assert rows.lengths.tolist() == [7, 4, 7]
    assert rows.mask.tolist() == [True] * 11 + [False] * 7
    assert np.array_equal(padded(rows.ids[:, None].astype(np.float32), kept)[..., 0], inputs["input_word_ids"] * kept)
    both = together([rows, join({name: array[:1] for name, array in inputs.items()}, kept[:1])])
    assert both.lengths.tolist() == [7, 4, 7, 7]
    assert both.mask.tolist() == [*rows.mask, *[True] * 7]
    assert np.array_equal(both.types[18:], inputs["input_type_ids"][0])
    assert kept_positions(inputs["input_mask"], everywhere=True).all()


@NEEDS_NATIVE
def test_ids_outside_the_table_are_refused():
    runner = load_backend("native", CHECKPOINT)
    with pytest.raises(InputError, match="the native kernel was to compute; found an id, a position or a type outside"):
        runner.run_joined(Joined(ids=np.array([5, 99], np.int32), splits=np.array([0, 2])), SENTENCE_OUTPUT)


def test_rows_without_padding_are_refused_by_others():
    runner = load_backend("numpy", tiny_checkpoint())
    assert not runner.takes_joined(SENTENCE_OUTPUT)
    with pytest.raises(InputError, match="asked of rows without padding; numpy takes batches; call run or stream"):
        runner.run_joined(texts_of_every_length(3), SENTENCE_OUTPUT)


@NEEDS_NATIVE
def test_weights_that_are_no_numbers_give_no_vector(tmp_path):
    module = tiny_module(tmp_path, backend="native", config=SERVED)
    arrays = dict(module.checkpoint.arrays())
    name = "encoder.layer.1.output.dense.weight"
    arrays[name] = np.where(np.arange(arrays[name].size).reshape(arrays[name].shape) == 7, np.nan, arrays[name])
    damaged = replace(module, checkpoint=replace(module.checkpoint, tensors=in_memory(arrays)))
    for call in (damaged.encode, damaged, lambda texts: damaged.encode(texts, output_value="token_embeddings")):
        with pytest.raises(WeightsError, match="must be finite; found NaN or infinity"):
            call(TEXTS)


# -- a module of it ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("backend", "config"), [pytest.param("native", SERVED, marks=NEEDS_NATIVE), ("openvino", tiny_config())]
)
def test_in_exact_precision_a_text_has_the_same_bits_whatever_stands_beside_it(tmp_path, backend, config, monkeypatch):
    sentence = SentenceConfig(pooling="mean", normalize=True, max_seq_length=32)
    module = tiny_module(tmp_path, backend=backend, config=config, sentence=sentence)
    alone = np.stack([module.encode(text, precision="exact") for text in TEXTS])
    assert np.abs(alone - module.encode(TEXTS, precision="f32")).max() < 1e-6
    order = np.random.default_rng(0).permutation(len(TEXTS))
    for threads in ("1", "2", "7"):
        monkeypatch.setenv("WELLREAD_THREADS", threads)
        fresh = replace(module)
        assert np.array_equal(fresh.encode(TEXTS, precision="exact"), alone)
        assert np.array_equal(fresh.encode([TEXTS[i] for i in order], precision="exact"), alone[order])
        assert np.array_equal(fresh.encode(TEXTS, precision="exact", batch_size=5), alone)
    chunked = [module.encode(text * 9, precision="exact", on_long="chunk") for text in TEXTS]
    found = module.encode([text * 9 for text in TEXTS], precision="exact", on_long="chunk")
    assert np.array_equal(found, chunked)


@NEEDS_NATIVE
def test_native_vectors_are_exact_by_themselves_and_prepared_once(tmp_path):
    module = tiny_module(tmp_path, backend="native", config=SERVED)
    runner = module.running("f32")
    assert module.running("exact") is runner
    assert (module.running() is runner) == (precisions("native")[0] == "f32")
    assert runner.precision == "f32"
    assert module.running("float32") is runner


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_exact_precision_is_refused_by_others(tmp_path, backend):
    module = tiny_module(tmp_path, backend=backend)
    fault = f"precision 'exact' was asked of the {backend} .*; load the module with backend=\"auto\", which has it"
    with pytest.raises(InputError, match=fault):
        module.encode("cat", precision="exact")


@NEEDS_NATIVE
@pytest.mark.parametrize("task", ["classify", "pair", "tag", "answer", "rank"])
def test_predictions_and_hidden_states_agree_with_the_reference(tmp_path, task):
    checkpoint = headed_checkpoint(task, sizes=NATIVE)
    module = replace(tiny_module(tmp_path, backend="native", config=SERVED), checkpoint=checkpoint)
    reference = replace(module, backend="numpy")
    runner = module.running("f32")
    assert runner.takes_joined(LOGITS_OUTPUT) == (task not in ("tag", "answer"))
    pairs = TEXTS[::-1] if task in ("pair", "answer", "rank") else None
    texts = [text or "a" for text in TEXTS]
    found, expected = (
        each.predict(texts, pairs and [text or "a" for text in pairs], precision=exact(each.backend))
        for each in (module, reference)
    )
    if task == "rank":
        assert np.abs(found - expected).max() < 1e-5
    elif task == "tag":
        assert [row.tokens for row in found] == [row.tokens for row in expected]
    else:
        key = "text" if task == "answer" else "label"
        assert [getattr(row, key) for row in found] == [getattr(row, key) for row in expected]
    states = module.encode(TEXTS, output_value="token_embeddings", precision="f32")
    for state, right in zip(states, reference.encode(TEXTS, output_value="token_embeddings"), strict=True):
        assert state.shape == right.shape
        assert np.abs(state - right).max() < 1e-4


@NEEDS_NATIVE
def test_prompts_and_long_texts_agree_with_the_reference(tmp_path):
    sentence = SentenceConfig(
        pooling="weightedmean", include_prompt=False, prompts={"q": "the cat "}, max_seq_length=12, normalize=True
    )
    module = tiny_module(tmp_path, backend="native", config=SERVED, sentence=sentence)
    reference = replace(module, backend="numpy")
    long = [text * 4 for text in TEXTS]
    for options in ({"prompt_name": "q"}, {"prompt_name": "q", "on_long": "chunk"}, {"on_long": "chunk"}):
        texts = long if "on_long" in options else ["a man", "", "cat"]
        found, expected = (each.encode(texts, precision=exact(each.backend), **options) for each in (module, reference))
        assert cosines(found, expected).min() > 1 - 1e-9
        assert np.abs(found - expected).max() < 1e-5
    assert module.encode([]).shape == (0, 96)


def test_every_name_of_a_backend_has_its_module():
    assert [*backend.BACKENDS][:2] == ["native", "openvino"]
    assert isinstance(precisions("openvino"), list)
