"""ELECTRA: both losses against transformers', what the generator draws, resumes and processes, what is kept."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers
from learn.tiny_task import assert_bit_equal
from tiny import tiny_checkpoint, tiny_config, tiny_module, tiny_tokenizer

import wellread
from wellread.checkpoints.families import FAMILIES
from wellread.data.token_store import token_store
from wellread.errors import ConfigError, TrainingError
from wellread.learn.checkpoints import checkpoints
from wellread.learn.electra import HEAD, Electra, electra_task, generator_config, replace_tokens
from wellread.learn.init import shape_named
from wellread.learn.log import read_log
from wellread.learn.pretrain import pretrain
from wellread.learn.settings import ElectraConfig, LoopConfig, PretrainConfig
from wellread.text.masking import row_rng

torch.set_num_threads(1)
RNG = np.random.default_rng(0)
WORDS = "a man woman cat is playing the guitar flute runs sleeps paris france of".split()
TEXTS = [" ".join(np.roll(WORDS, -RNG.integers(14))[: RNG.integers(4, 12)]) for _ in range(200)]
HALF = ElectraConfig(generator_size=0.5)
QUICK = LoopConfig(
    max_steps=6,
    per_device_train_batch_size=16,
    learning_rate=1e-2,
    logging_steps=1,
    save_steps=2,
    save_total_limit=0,
    adam_epsilon=1e-5,
    bf16="false",
)
SMALL = PretrainConfig(objective="electra", electra=HALF, max_seq_length=16, loop=QUICK)


def no_dropout(**changes):
    return tiny_config(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, **changes)


@pytest.fixture
def store(tmp_path):
    return token_store(TEXTS[:60], tiny_tokenizer(tmp_path / "files"), cache=tmp_path / "tokens", max_seq_length=16)


@pytest.fixture
def task(store, tmp_path):
    config = no_dropout(embedding_size=5, pooler="first_token", mlm_act="gelu", hidden_act="relu")
    checkpoint = tiny_checkpoint(config, mlm=False, family="electra")
    task = electra_task(checkpoint, tiny_tokenizer(tmp_path / "files"), store, SMALL)
    with torch.no_grad():
        for parameter in task.model.parameters():
            parameter.normal_(0, 0.3, generator=torch.Generator().manual_seed(parameter.numel()))
    return task


def peer(kind, model, part):
    """Return one of transformers' classes with the weights of the discriminator or the generator."""
    encoder = getattr(model, part)
    config = encoder.encoder_config
    family, mlm = FAMILIES["electra"], part == "generator"
    keys = {theirs: getattr(config, ours) for theirs, ours in family.keys.used.items()}
    theirs = getattr(transformers, kind)(transformers.ElectraConfig(**keys)).eval()
    arrays = encoder.arrays()
    names = family.theirs(config, mlm=mlm)
    tensors = {names[name]: torch.from_numpy(array) for name, array in arrays.items()}
    if part == "discriminator":
        tensors |= {name: tensor.detach() for name, tensor in model.named_parameters() if name.startswith(HEAD)}
    own = theirs.state_dict()
    for name, tensor in tensors.items():
        own[name if name in own else family.prefix + name].copy_(tensor)
    return theirs


def test_both_losses_are_those_of_transformers(task):
    inputs = task.collate(np.arange(13), 1)
    generator, discriminator = (
        peer(kind, task.model, part)
        for kind, part in (("ElectraForMaskedLM", "generator"), ("ElectraForPreTraining", "discriminator"))
    )
    ids, mask, positions = (inputs[name] for name in ("input_word_ids", "input_mask", "positions"))
    labels = torch.full(ids.shape, -100)
    labels.view(-1)[positions] = inputs["labels"]
    with torch.no_grad():
        masked = generator(input_ids=ids.long(), attention_mask=mask, labels=labels)
        log_probs = masked.logits.flatten(0, 1)[positions].log_softmax(-1)
        replaced_ids, replaced = replace_tokens(inputs, log_probs, 1.0)
        told = discriminator(input_ids=replaced_ids.long(), attention_mask=mask, labels=replaced)
        ours = task.loss(inputs)
    assert 0 < replaced.sum() < len(positions)
    assert ours.count == mask.sum()
    assert ours.total / ours.count == pytest.approx(float(masked.loss + 50 * told.loss), rel=1e-5)
    means = {name: float(part / ours.count) for name, part in ours.parts.items()}
    assert means == {
        "generator_loss": pytest.approx(float(masked.loss), rel=1e-5),
        "discriminator_loss": pytest.approx(float(told.loss), rel=1e-5),
    }


def test_the_word_table_learns_of_both_losses_and_the_generator_not_of_the_others(task):
    inputs = task.collate(np.arange(13), 0)
    model, words = task.model, task.model.discriminator.embeddings.word_embeddings.weight
    assert model.generator.embeddings.word_embeddings.weight is words
    gradients = []
    for weight in (1.0, 2.0):
        model.zero_grad()
        replace(task, electra=replace(HALF, discriminator_weight=weight)).loss(inputs).total.backward()
        gradients.append({name: parameter.grad.clone() for name, parameter in model.named_parameters()})
    once, twice = gradients
    of_replaced = {name: twice[name] - once[name] for name in once}
    of_words = {name: once[name] - of_replaced[name] for name in once}
    table, inner = "embeddings.word_embeddings.weight", "encoder.layer.1.output.dense.weight"
    for of_one, part, other in ((of_words, "generator", "discriminator"), (of_replaced, "discriminator", "generator")):
        assert of_one[f"discriminator.{table}"].abs().max() > 1e-2
        assert of_one[f"{part}.{inner}"].abs().max() > 1e-2
        assert of_one[f"{other}.{inner}"].abs().max() < 1e-4
    assert of_replaced[f"{HEAD}.dense.weight"].abs().max() > 1e-2


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_words_are_drawn_as_often_as_the_softmax_says(temperature):
    number = 2000
    logits = torch.tensor([2.0, 0.0, -torch.inf, 1.0, -1.0])
    inputs = {
        "input_word_ids": torch.full((2, number // 2), 9, dtype=torch.int32),
        "positions": torch.arange(number),
        "labels": torch.full((number,), 3),
        "draws": (torch.arange(number) + 0.5) / number,
    }
    ids, replaced = replace_tokens(inputs, logits.log_softmax(-1).expand(number, -1), temperature)
    shares = np.bincount(ids.flatten().numpy(), minlength=5) / number
    np.testing.assert_allclose(shares, (logits / temperature).softmax(-1), atol=1 / number)
    assert shares[2] == 0
    assert torch.equal(replaced, (ids != 3).long())  # a word that stood there is the original
    assert ids.dtype == torch.int32


def test_what_is_not_masked_is_seen_as_it_is(task):
    inputs = task.collate(np.arange(5), 0)
    log_probs = torch.zeros(len(inputs["positions"]), 99)
    ids, replaced = replace_tokens(inputs, log_probs, 1.0)
    others = torch.ones(ids.numel(), dtype=torch.bool)
    others[inputs["positions"]] = False
    assert torch.equal(ids.flatten()[others], inputs["input_word_ids"].flatten()[others])
    assert replaced.flatten()[others].sum() == 0


def test_masks_and_draws_depend_on_the_row_and_the_epoch_alone(task):
    together, alone = task.collate(np.arange(9), 0), task.collate(np.array([0]), 0)
    count, width = len(alone["positions"]), together["input_word_ids"].shape[1]
    assert torch.equal(together["draws"][:count], alone["draws"])
    assert (together["positions"][:count] < width).all()
    assert not torch.equal(together["draws"], task.collate(np.arange(9), 1)["draws"])
    shown = together["input_word_ids"].flatten()[together["positions"]]
    assert ((shown == 4) | (shown == together["labels"])).all()  # [MASK], or what stood there


def test_batches_of_a_step_are_one_batch(tmp_path):
    """Each mean has its own count over the whole step, however it is divided."""
    module = tiny_module(tmp_path / "files", config=no_dropout())
    made = []
    for rows, batches in ((16, 1), (4, 4)):
        loop = replace(QUICK, per_device_train_batch_size=rows, gradient_accumulation_steps=batches, save_steps=0)
        config = replace(SMALL, loop=replace(loop, max_steps=2))
        made.append(pretrain(module, TEXTS, output_dir=tmp_path / f"{rows}", config=config).checkpoint.arrays())
    logs = [read_log(tmp_path / name / "log.jsonl") for name in ("16", "4")]
    for one, other in zip(*logs, strict=True):
        assert one["generator_loss"] == pytest.approx(other["generator_loss"], rel=1e-4)
        assert one["discriminator_loss"] == pytest.approx(other["discriminator_loss"], rel=1e-4)
    for name, array in made[0].items():
        np.testing.assert_allclose(array, made[1][name], atol=1e-5, err_msg=name)


def test_replaced_tokens_come_to_be_told(tmp_path):
    loop = replace(QUICK, max_steps=20, eval_steps=20, save_steps=0)
    module = tiny_module(tmp_path / "files", config=no_dropout())
    config = replace(SMALL, masking="words", loop=loop)
    made = pretrain(module, TEXTS, output_dir=tmp_path / "run", config=config, dev=TEXTS[:40])
    log = read_log(tmp_path / "run" / "log.jsonl")
    losses = [line["loss"] for line in log if "loss" in line]
    assert losses[-1] < 0.85 * losses[0]
    both = [line["generator_loss"] + 50 * line["discriminator_loss"] for line in log if "loss" in line]
    assert both == pytest.approx(losses, rel=1e-5)
    scores = made.provenance["held_out"]
    assert scores == log[-1]["scores"]
    assert scores["masked_perplexity"] < 50
    assert made.provenance["settings"]["electra"]["generator_size"] == 0.5


def test_held_out_scores_are_counted_over_all_tokens_and_the_model_goes_on_training(task, store):
    scores = task.held_out(store)
    assert scores == replace(task, seed=99).held_out(store)
    assert task.model.training
    generator = peer("ElectraForMaskedLM", task.model, "generator")
    losses, counts = [], np.zeros((2, 2))
    for row in range(len(store)):
        inputs = task.masked(store, np.array([row]), row_rng(0, 2**32 - 1, np.array([row])))
        with torch.no_grad():
            given = {"input_ids": inputs["input_word_ids"].long(), "attention_mask": inputs["input_mask"]}
            log_probs = generator(**given).logits.flatten(0, 1)[inputs["positions"]].log_softmax(-1)
            ids, replaced = replace_tokens(inputs, log_probs, 1.0)
            task.model.eval()
            told = task.model.replaced_logits({**inputs, "input_word_ids": ids}) > 0
        losses += (-log_probs.gather(1, inputs["labels"][:, None])).flatten().tolist()
        np.add.at(counts, (replaced.numpy(), told.numpy().astype(int)), 1)
    assert scores == {
        "masked_perplexity": pytest.approx(np.exp(np.mean(losses)), rel=1e-4),
        "discriminator_accuracy": pytest.approx((counts[0, 0] + counts[1, 1]) / counts.sum(), abs=2e-3),
        "discriminator_precision": pytest.approx(counts[1, 1] / counts[:, 1].sum(), abs=5e-3),
        "discriminator_recall": pytest.approx(counts[1, 1] / counts[1].sum(), abs=5e-3),
    }


def test_a_run_that_is_resumed_is_the_run_that_was_not_stopped(tmp_path):
    module = tiny_module(tmp_path / "files")
    whole = pretrain(module, TEXTS, output_dir=tmp_path / "run", config=SMALL)
    for late in checkpoints(tmp_path / "run")[1:]:
        shutil.rmtree(late)
    options = {"output_dir": tmp_path / "run", "resume_from_checkpoint": True}
    resumed = pretrain(module, TEXTS, config=SMALL, **options)
    assert_bit_equal(whole.checkpoint.arrays(), resumed.checkpoint.arrays())
    other = replace(SMALL, electra=replace(HALF, discriminator_weight=1.0))
    with pytest.raises(TrainingError, match=r"electra.discriminator_weight is 1.0 and was 50.0"):
        pretrain(module, TEXTS, config=other, **options)


@pytest.mark.parametrize("family", ["bert", "electra"])
def test_other_libraries_open_the_discriminator(tmp_path, family):
    keys = {"embedding_size": 5, "pooler": "first_token", "mlm_act": "gelu"} if family == "electra" else {}
    module = tiny_module(tmp_path / "files", config=tiny_config(**keys), family=family)
    made = pretrain(module, TEXTS, output_dir=tmp_path / "run", config=SMALL)
    assert not made.checkpoint.has_mlm
    ignored = made.info()["ignored"]
    assert ignored["cls.predictions"].startswith("ELECTRA trains the encoder without it")
    assert ignored[HEAD].startswith("the discriminator's head")
    made.save(tmp_path / "saved")
    theirs = transformers.AutoModel.from_pretrained(tmp_path / "saved").eval()
    tokens = transformers.AutoTokenizer.from_pretrained(tmp_path / "saved")("a man is playing", return_tensors="pt")
    with torch.no_grad():
        expected = theirs(**tokens).last_hidden_state.numpy()
    again = wellread.load(tmp_path / "saved", backend="torch")
    packed = again.bert_pack_inputs([again.tokenize(["a man is playing"])], seq_length=6)
    np.testing.assert_allclose(again(packed)["sequence_output"], expected, atol=1e-5 * np.abs(expected).max())


def test_a_module_goes_on_as_the_discriminator(tmp_path):
    module = tiny_module(tmp_path / "files")
    loop = replace(QUICK, learning_rate=0.0, weight_decay=0.0, max_steps=1, save_steps=0)
    made = pretrain(module, TEXTS, output_dir=tmp_path / "run", config=replace(SMALL, loop=loop))
    before = {name: array for name, array in module.checkpoint.arrays().items() if not name.startswith("cls.")}
    assert_bit_equal(before, made.checkpoint.arrays())


def test_what_is_frozen_is_frozen_for_both(tmp_path):
    module = tiny_module(tmp_path / "files")
    config = replace(SMALL, freeze="embeddings, encoder.layer.0", loop=replace(QUICK, max_steps=2, save_steps=0))
    made = pretrain(module, TEXTS, output_dir=tmp_path / "run", config=config)
    before, after = module.checkpoint.arrays(), made.checkpoint.arrays()
    moved = {name.partition(".weight")[0] for name in after if not np.array_equal(before[name], after[name])}
    assert not any(name.startswith(("embeddings", "encoder.layer.0.", "pooler")) for name in moved)
    assert "encoder.layer.1.output.dense" in moved


@pytest.mark.parametrize(
    ("size", "layers", "expected"), [(0.25, 0, (96, 2, 384, 6)), (1.0, 2, (384, 6, 1536, 2)), (0.001, 1, (1, 1, 2, 1))]
)
def test_the_generators_shape(size, layers, expected):
    small = replace(shape_named("L-4_H-256"), hidden_size=384, num_attention_heads=6, num_hidden_layers=6)
    wanted = ElectraConfig(generator_size=size, generator_layers=layers)
    config = generator_config(replace(small, intermediate_size=1536), wanted)
    assert (config.hidden_size, config.num_attention_heads, config.intermediate_size) == expected[:3]
    assert (config.num_hidden_layers, config.embedding_width) == (expected[3], 384)


def test_a_generator_as_wide_as_its_embeddings_has_no_map():
    model = Electra(tiny_checkpoint(mlm=False), ElectraConfig(generator_size=1.0), seed=0)
    assert not model.generator.encoder_config.has_projection
    assert Electra(tiny_checkpoint(mlm=False), HALF, seed=0).generator.encoder_config.has_projection


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"generator_size": 0.0}, "found generator_size of 0.0; generator_size is above 0 and at most 1"),
        ({"generator_size": 1.5, "generator_layers": -1}, "found generator_size of 1.5; generator_layers of -1; "),
        ({"discriminator_weight": 0.0}, "found discriminator_weight of 0.0"),
        ({"sampling_temperature": float("nan")}, "found sampling_temperature of nan"),
    ],
)
def test_settings_that_make_no_generator(given, found):
    with pytest.raises(ConfigError, match=found):
        ElectraConfig(**given)


def test_an_objective_that_nobody_knows():
    message = r"objective was asked for; found 'electr' \(did you mean electra\?\); it is one of mlm, electra"
    with pytest.raises(ConfigError, match=message):
        PretrainConfig(objective="electr")
