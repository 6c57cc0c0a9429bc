"""quantise: a budget that is kept on texts held out, or an error; matrices that cost too much stay floats."""

from dataclasses import replace

import numpy as np
import pytest
from headed import TASKS, head_of, headed
from int8_made import TABLES
from near import cosines
from tiny import tiny_checkpoint, tiny_config, tiny_module
from trims import corpus

import wellread
from wellread.backends.int8 import int8_product
from wellread.checkpoints.checkpoint import in_memory
from wellread.config import ACTIVATIONS, SentenceConfig
from wellread.errors import ConfigError, DataError, InputError, WeightsError
from wellread.measure.quantise import simulated
from wellread.quantising.calibrate import Watcher, quantise_unit, units_of
from wellread.quantising.sample import packaged, sample_of
from wellread.quantising.simulate import Simulation, gelu, rounded_inputs
from wellread.quantising.trial import Trial

pytestmark = pytest.mark.filterwarnings("ignore::wellread.errors.TruncationWarning")
TEXTS = corpus()[:60]
LAYERS = 3
UP = "encoder.layer.1.intermediate.dense"


@pytest.fixture
def module(tmp_path):
    return tiny_module(tmp_path)


def in_int8(module):
    return replace(module, backend="numpy", _backends={})


def test_the_report_tells_what_the_reference_computes(module):
    small = wellread.quantise(module, TEXTS, budget=0.9)
    report = small.provenance["quantise"]
    assert report["int8_matrices"] == len(TABLES) + 6 * LAYERS
    sample = sample_of(module.tokenizer, TEXTS)
    before = in_int8(module).encode(sample.held_out)
    after = in_int8(small).encode(sample.held_out, precision="int8")
    found = cosines(after, before)
    assert found.mean() == pytest.approx(report["mean_cosine"], abs=2e-5)
    assert found.min() == pytest.approx(report["least_cosine"], abs=2e-4)
    assert (report["calibration_texts"], report["held_out_texts"]) == (len(sample.calibration), len(sample.held_out))
    assert not set(sample.calibration) & set(sample.held_out)
    assert report["megabytes_after"] <= report["megabytes_before"]
    assert (small.provenance["made_by"], small.provenance["from"]) == ("wellread quantise", module.provenance)
    assert module.checkpoint.has_int8 is False


def test_matrices_that_cost_most_stay_floats_until_the_budget_is_kept(module):
    trial = Trial(module.checkpoint, module.tokenizer, sample_of(module.tokenizer, TEXTS).held_out, show=False)

    def loss(quantised):
        tensors = quantised.checkpoint.tensors
        return 1 - trial.cosines({name: each.int8() for name, each in tensors.items() if each.int8}).mean()

    plain = wellread.quantise(module, TEXTS, budget=0.5)
    assert plain.provenance["quantise"]["kept_as_floats"] == {}
    small = wellread.quantise(module, TEXTS, budget=1 - loss(plain) / 3)
    report = small.provenance["quantise"]
    assert 0 < loss(small) <= loss(plain) / 3
    kept = report["kept_as_floats"]
    assert 0 < len(kept) < 2 + 4 * LAYERS
    assert all("alone it costs " in why for why in kept.values())
    for name, tensor in small.checkpoint.tensors.items():
        if name in TABLES or name.endswith((".query.weight", ".key.weight", ".value.weight", "dense.weight")):
            is_kept = name.removesuffix(".weight") in kept or name.partition(".self.")[0] + ".self" in kept
            assert (tensor.int8 is None) == (is_kept or name.startswith(("pooler", "cls."))), name


def test_query_key_and_value_share_what_their_input_is_multiplied_by(module):
    small = wellread.quantise(module, TEXTS, budget=0.5)
    for layer in range(LAYERS):
        maps = [
            small.checkpoint.tensors[f"encoder.layer.{layer}.attention.self.{name}.weight"].int8()
            for name in ("query", "key", "value")
        ]
        scales = [None if matrix.input_scales is None else matrix.input_scales.tolist() for matrix in maps]
        assert scales[0] == scales[1] == scales[2]


def test_a_budget_that_no_matrix_is_within_is_refused(module):
    with pytest.raises(
        ConfigError, match=r"at least 0\.9999999999999 was asked for; found \d\.\d+ at best .*; lower the"
    ):
        wellread.quantise(module, TEXTS, budget=1 - 1e-13)


@pytest.mark.parametrize("budget", [0, 1, 1.0, -0.5, 1.5, float("nan"), True, "0.9", None])
def test_what_is_no_budget_is_refused(module, budget):
    with pytest.raises(ConfigError, match=r"above 0 and below 1; found .*; pass one such as 0\.999"):
        wellread.quantise(module, TEXTS, budget=budget)


def test_a_module_of_int8_is_refused(module):
    small = wellread.quantise(module, TEXTS, budget=0.5)
    with pytest.raises(InputError, match="found one of int8; quantise the one that it was made of"):
        wellread.quantise(small, TEXTS)


@pytest.mark.parametrize("texts", [[], ["", "  "], ["a cat"] * 50, TEXTS[:7]])
def test_too_few_texts_are_refused(module, texts):
    with pytest.raises(DataError, match="8 or more that differ; found [0-7]; give some hundreds"):
        wellread.quantise(module, texts)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["embeddings.word_embeddings.weight", f"{UP}.bias"])
def test_weights_that_are_no_numbers_are_refused(module, bad, name):
    array = module.checkpoint.tensors[name].read().copy()
    array.flat[-1] = bad
    tensors = {**module.checkpoint.tensors, **in_memory({name: array})}
    module = replace(module, checkpoint=replace(module.checkpoint, tensors=tensors))
    with pytest.raises(WeightsError, match=f"NaN or infinity in {name}; the weights .* are damaged"):
        wellread.quantise(module, TEXTS)


def test_files_of_texts_are_read(module, tmp_path):
    path = tmp_path / "texts.csv"
    path.write_text("n,words\n" + "".join(f'{i},"{text}"\n' for i, text in enumerate(TEXTS) if '"' not in text))
    report = wellread.quantise(module, [path], budget=0.5, column="words").provenance["quantise"]
    assert report["texts"] == "texts.csv"


SHAPES = {
    "DistilBERT": tiny_config(type_vocab_size=0, pooler="first_token"),
    "ALBERT": tiny_config(embedding_size=5, shared_layers=True),
    "MPNet": tiny_config(relative_attention_num_buckets=8, type_vocab_size=0),
    "RoBERTa": tiny_config(position_offset=2, pad_token_id=1, type_vocab_size=1),
    **{act: tiny_config(hidden_act=act) for act in sorted(ACTIVATIONS) if act in ("gelu_new", "relu", "silu")},
}


@pytest.mark.parametrize("config", SHAPES.values(), ids=SHAPES)
def test_every_shape_is_quantised(tmp_path, config):
    module = tiny_module(tmp_path, config=config, mlm=False)
    small = wellread.quantise(module, TEXTS, budget=0.9)
    report = small.provenance["quantise"]
    layers = 1 if config.shared_layers else LAYERS
    assert report["int8_matrices"] == 2 + 6 * layers + config.has_projection
    sample = sample_of(module.tokenizer, TEXTS)
    found = cosines(in_int8(small).encode(sample.held_out, precision="int8"), in_int8(module).encode(sample.held_out))
    assert found.mean() == pytest.approx(report["mean_cosine"], abs=5e-5)


@pytest.mark.parametrize("pooling", ["cls", "max", "pooled_output", "mean+cls"])
def test_every_pooling_is_measured(tmp_path, pooling):
    module = tiny_module(tmp_path, sentence=SentenceConfig(pooling=pooling, max_seq_length=32))
    assert wellread.quantise(module, TEXTS, budget=0.5).provenance["quantise"]["mean_cosine"] > 0.9


@pytest.mark.parametrize("task", TASKS)
def test_predictions_of_every_task_are_compared(tmp_path, task):
    module = tiny_module(tmp_path, mlm=False)
    module = replace(module, checkpoint=headed(module.checkpoint, head_of(task)))
    report = wellread.quantise(module, TEXTS[:24], budget=0.5).provenance["quantise"]
    if task == "similarity":
        assert report["predictions_kept"] is None
    else:
        assert 0.5 <= report["predictions_kept"] <= 1


def test_examples_are_scored_before_and_after():
    module, texts = wellread.load("default").dequantise(), packaged("en")
    pairs = [(text, " ".join(text.split()[: 1 + i % 3])) for i, text in enumerate(texts[:40])]
    rows = [{"text": a, "pair": b, "score": float(len(b))} for a, b in pairs]
    report = wellread.quantise(module, texts[40:80], budget=0.5, examples=rows).provenance["quantise"]
    assert report["score"] == "similarity: spearman"
    exact = wellread.evaluate(module, rows, task="similarity").scores["spearman"].value
    assert report["score_before"] == pytest.approx(exact, abs=2e-4)
    assert report["score_after"] == pytest.approx(exact, abs=0.05)


def test_the_same_texts_give_the_same_integers(module):
    a, b = (wellread.quantise(module, TEXTS, budget=0.5).checkpoint.stored() for _ in range(2))
    for name in a:
        if name.startswith("encoder") and name.endswith("dense.weight"):
            np.testing.assert_array_equal(a[name].values, b[name].values)


def test_the_card_tells_what_int8_costs(module, tmp_path):
    small = wellread.quantise(module, TEXTS, budget=0.5)
    small.save(tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert "## What int8 costs" in card
    for word in ("mean_cosine", "least_cosine", "neighbours_kept", "megabytes_after"):
        assert f"| `{word}` | `{small.provenance['quantise'][word]}` |" in card
    assert "of them int8" in card
    assert "read by wellread. For other libraries, `wellread export --to huggingface` writes the floats" in card
    assert "With sentence-transformers" not in card
    assert "\n- sentence-transformers\n" not in card
    assert wellread.load(tmp_path / "out").provenance["quantise"]["int8_matrices"] == 20


# -- the parts ---------------------------------------------------------------------------------------------------------


def test_the_package_has_texts_of_two_languages_that_a_vocabulary_must_read(module):
    for language in ("en", "ko"):
        texts = packaged(language)
        assert len(set(texts)) == 512
        assert all(text == " ".join(text.split()) and text for text in texts)
    default = sample_of(wellread.load("default").tokenizer, None)
    assert (len(default.calibration), len(default.held_out)) == (256, 256)
    assert default.source == "wellread's own in en"
    with pytest.raises(DataError, match="vocabulary reads neither; pass texts of its language"):
        sample_of(module.tokenizer, None)  # a hundred words


def test_a_simulation_computes_what_the_reference_does(module):
    small = wellread.quantise(module, TEXTS, budget=0.5)
    weights = {name: np.asarray(array, np.float32) for name, array in module.checkpoint.arrays().items()}
    stored = small.checkpoint.stored()
    matrices = {name: stored[name] for name, tensor in small.checkpoint.tensors.items() if tensor.int8 is not None}
    int8, exact = (
        simulated(each, Trial(each.checkpoint, each.tokenizer, TEXTS, show=False), ints).encode(TEXTS)
        for each, ints in ((module, matrices), (module, {}))
    )
    reference = in_int8(small).encode(TEXTS, precision="int8")
    assert weights.keys() == module.checkpoint.tensors.keys()
    assert cosines(int8, reference).min() > 1 - 1e-7
    assert cosines(exact, in_int8(module).encode(TEXTS)).min() > 1 - 1e-9
    assert cosines(int8, exact).min() < 1 - 1e-6


def test_gelu_is_exact_enough():
    scipy = pytest.importorskip("scipy.special")
    x = np.concatenate([np.linspace(-9, 9, 20_001), [-1e4, 1e4, 0.0]]).astype(np.float32)
    exact = 0.5 * x.astype(np.float64) * (1 + scipy.erf(x.astype(np.float64) / np.sqrt(2)))
    assert np.abs(gelu(x) - exact).max() < 2e-6


def test_every_token_is_watched_in_every_block_and_no_padding(module):
    units = units_of(module.checkpoint)
    watchers = []
    for texts in (TEXTS[:1], [TEXTS[0], TEXTS[0] + " a man runs" * 5]):
        watcher = Watcher(units)
        weights = {name: np.asarray(array, np.float32) for name, array in module.checkpoint.arrays().items()}
        simulation = Simulation(module.checkpoint, weights, {}, watch=watcher)
        batch = module.bert_pack_inputs([module.tokenize(texts)], 32)
        assert simulation.run(dict(batch), ["cls_output"]).keys() == {"cls_output"}
        watchers.append(watcher)
        counts = {inputs.count for inputs in watcher.inputs.values()}
        assert counts == {batch.input_mask.sum()}
        assert batch.input_mask.sum() < batch.input_mask.size
    assert watchers[0].inputs.keys() == {
        f"encoder.layer.{i}.{name}"
        for i in range(LAYERS)
        for name in ("attention.self.query", "attention.output.dense", "intermediate.dense", "output.dense")
    }


@pytest.mark.parametrize("outlier", [1.0, 60.0])
def test_input_scales_are_chosen_where_they_help(outlier):
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (400, 64)).astype(np.float32)
    x[:, [3, 40]] *= outlier
    checkpoint = tiny_checkpoint(tiny_config(hidden_size=64))
    unit = next(unit for unit in units_of(checkpoint) if unit.name == UP)
    watcher = Watcher([unit])
    watcher(UP, x)
    weights = {f"{UP}.weight": rng.normal(0, 1, (37, 64)).astype(np.float32)}
    matrix = quantise_unit(unit, weights, watcher)[f"{UP}.weight"]
    other = rng.normal(0, 1, (200, 64)).astype(np.float32)
    other[:, [3, 40]] *= outlier
    exact = other.astype(np.float64) @ weights[f"{UP}.weight"].T
    error = np.linalg.norm(int8_product(other, matrix) - exact) / np.linalg.norm(exact)
    assert error < 0.02
    if outlier > 1:
        assert matrix.input_scales is not None
        assert matrix.input_scales[3] < 0.5 * np.median(matrix.input_scales)
        np.testing.assert_allclose(
            rounded_inputs(other, UP, matrix), other * matrix.input_scales, atol=np.abs(other).max() / 100
        )
