"""DistilBERT's way: the student that is made, the three losses against transformers and plain PyTorch, refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from learn.pupils import METHODS, TEXTS, lively, run, teacher_for
from tiny import tiny_checkpoint, tiny_config, tiny_tokenizer
from torch.nn import functional

from wellread.checkpoints.checkpoint import in_memory
from wellread.errors import ConfigError, TrainingError
from wellread.learn.distill.distill import distill
from wellread.learn.distill.layers import layers_student, masks_of
from wellread.learn.distill.student import DistillInputs, Teacher, token_rows
from wellread.learn.distributed import Process
from wellread.learn.init import MLM_TRANSFORM, POSITIONS, TYPES, WORDS, from_teacher_layers
from wellread.learn.settings import LayersConfig
from wellread.module import Module

torch.set_num_threads(1)
CONFIG = METHODS["layers"]


def inputs_for(place, *, config=CONFIG, checkpoint=None, student=None, teacher=None) -> DistillInputs:
    made = Module(checkpoint=checkpoint or lively(tiny_checkpoint()), tokenizer=tiny_tokenizer(place / "teacher"))
    return DistillInputs(
        teachers=[Teacher(module=teacher or made, sha256="hash")],
        student=student,
        texts=TEXTS,
        pairs=None,
        config=config,
        output_dir=place,
        process=Process(),
    )


def with_layers(**changes: object):
    return replace(CONFIG, layers=replace(CONFIG.layers, **changes))


# -- the student -------------------------------------------------------------------------------------------------------


def student(**changes: object):
    wanted = replace(LayersConfig(teacher_layers="2, 0"), **changes)
    return from_teacher_layers(tiny_checkpoint(), wanted, max_seq_length=16, seed=0)


def test_the_student_has_the_teacher_s_layers_and_no_types():
    made, teacher = student().arrays(), tiny_checkpoint().arrays()
    assert (student().family, student().config.num_hidden_layers) == ("distilbert", 2)
    assert TYPES not in made
    assert "pooler.dense.weight" not in made
    for ours, theirs in ((0, 2), (1, 0)):
        name = "encoder.layer.{}.attention.self.query.weight"
        assert np.array_equal(made[name.format(ours)], teacher[name.format(theirs)])
    for name in (WORDS, POSITIONS, "embeddings.LayerNorm.bias", "cls.predictions.bias", *MLM_TRANSFORM):
        assert np.array_equal(made[name], teacher[name]), name


def test_the_transform_may_be_drawn_anew_and_types_folded_in():
    teacher = tiny_checkpoint().arrays()
    made = student(vocab_transform=False, fold_types=True).arrays()
    assert not any(np.array_equal(made[name], teacher[name]) for name in MLM_TRANSFORM)
    assert (made["cls.predictions.transform.LayerNorm.weight"] == 1).all()
    assert np.array_equal(made[POSITIONS], teacher[POSITIONS] + teacher[TYPES][0])


def test_with_types_folded_in_all_layers_compute_what_the_teacher_does(tmp_path):
    checkpoint = from_teacher_layers(
        lively(tiny_checkpoint()), LayersConfig(teacher_layers="0,1,2", fold_types=True), max_seq_length=16, seed=0
    )
    teacher = inputs_for(tmp_path).teacher
    outputs = [
        module(TEXTS[:4], outputs=["sequence_output"])["sequence_output"]
        for module in (teacher, Module(checkpoint=checkpoint, tokenizer=teacher.tokenizer))
    ]
    assert np.abs(outputs[0] - outputs[1]).max() < 1e-5


def test_a_teacher_without_types_has_none_to_fold_in():
    teacher = tiny_checkpoint(tiny_config(type_vocab_size=0, pooler="first_token"))
    wanted = LayersConfig(teacher_layers="1", fold_types=True)
    made = from_teacher_layers(teacher, wanted, max_seq_length=16, seed=0).arrays()
    assert np.array_equal(made[POSITIONS], teacher.arrays()[POSITIONS])


# -- the losses --------------------------------------------------------------------------------------------------------


def models(task, checkpoint):
    """Student and teacher in transformers, of the very same weights."""
    from transformers import BertConfig, BertForMaskedLM, DistilBertConfig, DistilBertForMaskedLM

    from wellread.checkpoints.families import FAMILIES
    from wellread.checkpoints.family import to_theirs

    made = []
    config = tiny_config()
    shared = {"vocab_size": 99, "max_position_embeddings": 41}
    ours = DistilBertConfig(**shared, dim=12, n_layers=2, n_heads=4, hidden_dim=37)
    theirs = BertConfig(**shared, hidden_size=12, num_hidden_layers=3, num_attention_heads=4, intermediate_size=37)
    for kind, hf, arrays, shape in (
        (DistilBertForMaskedLM, ours, task.model.arrays(), task.model.encoder_config),
        (BertForMaskedLM, theirs, checkpoint.arrays(), config),
    ):
        family = FAMILIES["distilbert" if kind is DistilBertForMaskedLM else "bert"]
        named = to_theirs(family, shape, arrays, mlm=True)
        model = kind(hf).eval()
        loaded = model.load_state_dict({name: torch.from_numpy(np.array(a)) for name, a in named.items()}, strict=False)
        assert not loaded.unexpected_keys or all("pooler" in name for name in loaded.unexpected_keys)
        model.tie_weights()
        made.append(model)
    return made


@pytest.mark.parametrize("positions", ["all", "masked"])
def test_the_losses_are_those_of_transformers_and_plain_pytorch(tmp_path, positions):
    checkpoint = lively(tiny_checkpoint())
    config = replace(with_layers(kl_positions=positions), temperature=2.0)
    task = layers_student(inputs_for(tmp_path, config=config, checkpoint=checkpoint))
    task.model.eval()
    inputs = task.collate(np.arange(9), 1)
    ours, theirs = models(task, checkpoint)
    ids, mask = inputs["input_word_ids"].long(), inputs["input_mask"].long()
    real = mask.bool()
    with torch.no_grad():
        a = ours(ids, mask, output_hidden_states=True)
        # the teacher's scores of the rounded hidden states, as training sees them
        scores = theirs.cls(inputs["theirs"].float())
    labels, tokens, share = inputs["labels"], int(real.sum()), 0.15
    ce = torch.nn.KLDivLoss(reduction="sum")
    chosen = labels >= 0 if positions == "masked" else torch.ones_like(labels, dtype=torch.bool)
    kl = ce((a.logits[real][chosen] / 2).log_softmax(-1), (scores[chosen] / 2).softmax(-1)) * 4
    kl = kl / share if positions == "masked" else kl
    mlm = functional.cross_entropy(a.logits[real], labels, ignore_index=-1, reduction="sum") / share
    cosine = torch.nn.CosineEmbeddingLoss(reduction="sum")
    cos = cosine(a.hidden_states[-1][real], inputs["theirs"].float(), torch.ones(tokens))
    loss = task.loss(inputs)
    assert loss.count == tokens
    assert loss.total.item() == pytest.approx((5 * kl + 2 * mlm + cos).item(), rel=1e-5)


def test_what_is_masked_is_what_the_teacher_saw_and_the_student_guesses(tmp_path):
    made = inputs_for(tmp_path)
    task = layers_student(made)
    rows = np.array([3, 17])
    inputs = {name: tensor.numpy() for name, tensor in task.collate(rows, 0).items()}
    plain = task.rows.pack(rows).input_word_ids
    real = inputs["input_mask"] != 0
    assert np.array_equal(inputs["labels"][inputs["labels"] >= 0], plain[real][inputs["labels"] >= 0])
    seen = made.teacher({name: inputs[name] for name in task.rows.pack(rows)}, outputs=["sequence_output"])
    assert np.abs(inputs["theirs"] - seen["sequence_output"][real]).max() < 0.1
    again = {epoch: task.collate(rows, epoch)["input_word_ids"].numpy() for epoch in (1, 2)}
    assert np.array_equal(again[2], inputs["input_word_ids"])  # two sets in rotation
    assert not np.array_equal(again[1], inputs["input_word_ids"])


def test_the_share_of_masked_tokens_is_what_the_loss_takes_it_for(tmp_path):
    task = layers_student(inputs_for(tmp_path))
    labels = np.concatenate([task.collate(np.arange(60), epoch)["labels"].numpy() for epoch in range(2)])
    assert 0.12 < (labels >= 0).mean() < 0.18


def test_rare_pieces_are_masked_more_often_unless_asked_otherwise(tmp_path):
    smoothed, plain = (inputs_for(tmp_path / n, config=with_layers(masking=n)) for n in ("smoothed", "pieces"))
    assert CONFIG.layers.masking == "smoothed"
    assert masks_of(smoothed, token_rows(smoothed)).masking.weights is not None
    assert masks_of(plain, token_rows(plain)).masking.weights is None


# -- training ----------------------------------------------------------------------------------------------------------


def test_a_student_learns_and_frozen_positions_stay(tmp_path):
    loop = replace(CONFIG.loop, num_train_epochs=20, save_steps=0)
    made = run("layers", tmp_path, config=replace(with_layers(freeze_positions=True), loop=loop))
    losses = [line.split('"loss": ')[1].split(",")[0] for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert np.mean([float(loss) for loss in losses[-5:]]) < 0.9 * np.mean([float(loss) for loss in losses[:5]])
    teacher = teacher_for("layers", tmp_path / "t").checkpoint.arrays()
    assert np.array_equal(made[POSITIONS], teacher[POSITIONS])
    assert not np.array_equal(made[WORDS], teacher[WORDS])


def test_the_student_opens_in_transformers_and_guesses_masks(tmp_path):
    from transformers import DistilBertForMaskedLM

    made = distill(teacher_for("layers", tmp_path / "t"), TEXTS, output_dir=tmp_path / "run", config=METHODS["layers"])
    made.save(tmp_path / "student")
    assert len(made.fill_mask("the [MASK] runs")[0]) == 5
    _, loading = DistilBertForMaskedLM.from_pretrained(tmp_path / "student", output_loading_info=True)
    assert not loading["missing_keys"]
    assert not loading["unexpected_keys"]


# -- refusals ----------------------------------------------------------------------------------------------------------


def test_layers_that_the_teacher_lacks_are_named(tmp_path):
    with pytest.raises(
        ConfigError, match="0, 3, 12 were asked for; found that it has no layer 3, 12, for they go from 0"
    ):
        layers_student(inputs_for(tmp_path, config=with_layers(teacher_layers="0, 3, 12")))


def test_a_teacher_without_mlm_logits_is_refused(tmp_path):
    with pytest.raises(TrainingError, match="MLM logits were asked for; found no masked-language-model head in it"):
        layers_student(inputs_for(tmp_path, checkpoint=tiny_checkpoint(mlm=False)))


def test_a_student_that_is_given_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="found a student that was given; leave it out"):
        layers_student(inputs_for(tmp_path, student=inputs_for(tmp_path).teacher))


def test_another_layer_norm_is_refused_before_any_work(tmp_path):
    teacher = tiny_checkpoint(tiny_config(layer_norm_eps=1e-5))
    with pytest.raises(ConfigError, match="layer_norm_eps 1e-05 where that family has 1e-12"):
        layers_student(inputs_for(tmp_path, checkpoint=teacher))
    assert not (tmp_path / "tokens").exists()


@pytest.mark.parametrize("bad", [{"teacher_layers": "0, x"}, {"teacher_layers": ""}, {"mask_sets": 0}])
def test_what_is_no_list_of_layers_is_refused(bad):
    with pytest.raises(
        ConfigError, match="teacher_layers are numbers with commas, as 0, 4, 8, and mask_sets at least 1"
    ):
        LayersConfig(**bad)


def test_places_that_nobody_knows_are_refused():
    with pytest.raises(ConfigError, match=r"kl_positions was asked for; found 'mask' \(did you mean masked\?\)"):
        LayersConfig(kl_positions="mask")


def test_a_length_beyond_the_position_table_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="max_seq_length 99 were asked for; the position table of the teacher has 41"):
        layers_student(inputs_for(tmp_path, config=replace(CONFIG, max_seq_length=99)))


def test_the_head_is_kept_in_memory_as_it_is(tmp_path):
    teacher = tiny_checkpoint()
    halves = replace(teacher, tensors=in_memory({n: a.astype(np.float16) for n, a in teacher.arrays().items()}))
    layers_student(inputs_for(tmp_path, checkpoint=halves))  # a teacher that is stored in half precision
