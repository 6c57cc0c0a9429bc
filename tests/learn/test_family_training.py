"""Training of the families beside BERT and DistilBERT: gradients, pre-training from nothing and on, distillation."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers
from bodies import SIZES, batch, body
from learn.pupils import METHODS, TEXTS
from tiny import PIECES, tiny_config
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

import wellread
from wellread.backends.torch import TorchEncoder
from wellread.checkpoints.checkpoint import Checkpoint, in_memory
from wellread.checkpoints.families import FAMILIES
from wellread.checkpoints.family import to_ours
from wellread.errors import ConfigError
from wellread.learn.distill.distill import distill
from wellread.learn.distill.teacher import fingerprint
from wellread.learn.init import from_scratch
from wellread.learn.pretrain import new_module, pretrain
from wellread.learn.settings import LoopConfig, PretrainConfig

torch.set_num_threads(1)
SHAPES = {
    "roberta": {"type_vocab_size": 1},
    "electra": {"embedding_size": 5},
    "albert": {"embedding_size": 5},
    "mpnet": {},
}
QUICK = LoopConfig(max_steps=12, per_device_train_batch_size=16, learning_rate=1e-2, bf16="false")
MLM = PretrainConfig(max_seq_length=16, loop=QUICK)


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
    """Write a vocabulary whose padding has the id 1, as MPNet's must."""
    path = tmp_path_factory.mktemp("vocabulary") / "vocab.txt"
    pieces = [PIECES[1], PIECES[0], *PIECES[2:]]
    path.write_text("".join(f"{piece}\n" for piece in pieces), "utf-8")
    return path


@pytest.fixture(scope="module")
def fresh(tmp_path_factory, vocabulary):
    """Return an untrained module of a family, of a config.json and a vocabulary."""
    made = {}

    def once(name):
        if name not in made:
            directory = tmp_path_factory.mktemp(name)
            path = directory / "config.json"
            path.write_text(json.dumps({"model_type": name, **SIZES, **SHAPES[name]}))
            made[name] = new_module([], cache=directory, config=path, vocab=str(vocabulary), settings=MLM)
        return made[name]

    return once


@pytest.mark.parametrize("name", SHAPES)
def test_every_gradient_is_that_of_transformers(name):
    model = body(name)
    family = FAMILIES[name]
    weights = {key: value.detach().numpy() for key, value in model.named_parameters(remove_duplicate=False)}
    keys = {ours: getattr(model.config, theirs) for theirs, ours in family.keys.used.items()}
    mapped = to_ours(family, family.encoder_config(keys, source="a test"), in_memory(weights), source="memory")
    ours = TorchEncoder(Checkpoint(family=name, config=mapped.config, tensors=mapped.tensors)).eval()
    inputs = {key: torch.from_numpy(array) for key, array in batch(model).items()}
    inputs["input_word_ids"][0, 2] = 7  # transformers lets a padding token, in a text too, have no gradient
    logits = ours(inputs, ["mlm_logits"])["mlm_logits"]
    wanted = torch.randn(logits.shape, generator=torch.Generator().manual_seed(1))
    (logits * wanted).sum().backward()
    given = {"input_ids": inputs["input_word_ids"].long(), "attention_mask": inputs["input_mask"].long()}
    if name != "mpnet":
        given["token_type_ids"] = inputs["input_type_ids"].long()
    places = inputs["masked_lm_positions"].long()[:, :, None].expand_as(logits)
    (model(**given).logits.gather(1, places) * wanted).sum().backward()
    theirs = dict(model.named_parameters(remove_duplicate=False))
    names = family.theirs(mapped.config, mlm=True)
    for key, parameter in ours.named_parameters():
        their_name = next(found for found in (names[key], family.prefix + names[key]) if found in theirs)
        expected = theirs[their_name].grad
        assert (parameter.grad - expected).abs().max() <= 2e-5 * max(1, expected.abs().max()), key


@pytest.mark.parametrize("name", SHAPES)
def test_a_fresh_module_learns_and_goes_on_and_opens_in_transformers(fresh, tmp_path, name):
    module = fresh(name)
    checkpoint = module.checkpoint
    assert (checkpoint.family, checkpoint.config.pad_token_id) == (name, 1)
    assert checkpoint.config.position_offset == (2 if name in ("roberta", "mpnet") else 0)
    trained = pretrain(module, TEXTS, output_dir=tmp_path / "run", config=MLM, dev=TEXTS)
    once = trained.provenance["held_out"]["masked_perplexity"]
    on = pretrain(trained, TEXTS, output_dir=tmp_path / "on", config=MLM, dev=TEXTS)
    assert 99 > once > on.provenance["held_out"]["masked_perplexity"]
    assert on.checkpoint.family == name
    on.save(tmp_path / "saved")
    again = wellread.load(tmp_path / "saved", backend="torch")
    peer = getattr(transformers, FAMILIES[name].mlm_architecture).from_pretrained(tmp_path / "saved").eval()
    packed = again.bert_pack_inputs([again.tokenize(["a man is playing [MASK]"])], seq_length=9)
    ours = again.mlm({**packed, "masked_lm_positions": np.array([[5]])})["mlm_logits"][0, 0]
    with torch.no_grad():
        logits = peer(
            input_ids=torch.from_numpy(packed.input_word_ids).long(),
            attention_mask=torch.from_numpy(packed.input_mask).long(),
        ).logits[0, 5]
    np.testing.assert_allclose(ours, logits, atol=1e-5 * max(1, float(logits.abs().max())))
    assert again.fill_mask("a man is playing [MASK]")


@pytest.mark.parametrize("name", ["roberta", "albert", "mpnet"])
def test_a_module_of_every_family_may_learn_to_tell_replaced_tokens(fresh, tmp_path, name):
    module = fresh(name)
    config = replace(MLM, objective="electra", loop=replace(QUICK, max_steps=2, save_steps=0))
    trained = pretrain(module, TEXTS, output_dir=tmp_path / "run", config=config, dev=TEXTS[:9])
    before, after = module.checkpoint.arrays(), trained.checkpoint.arrays()
    assert before.keys() - after.keys() == {key for key in before if key.startswith("cls.predictions.")}
    assert not np.array_equal(
        before["encoder.layer.0.output.dense.weight"], after["encoder.layer.0.output.dense.weight"]
    )
    trained.save(tmp_path / "saved")
    saved = wellread.load(tmp_path / "saved")
    assert saved.checkpoint.family == name
    np.testing.assert_allclose(saved.encode(TEXTS[:3]), trained.encode(TEXTS[:3]), atol=1e-6)


@pytest.mark.parametrize("method", ["layers", "relations", "vectors"])
@pytest.mark.parametrize("name", SHAPES)
def test_a_student_is_made_of_a_teacher_of_every_family(fresh, tmp_path, name, method):
    teacher = fresh(name)
    settings = METHODS[method]
    config = replace(settings, loop=replace(settings.loop, num_train_epochs=1, save_steps=0))
    student = distill(teacher, TEXTS, output_dir=tmp_path / "run", config=config)
    old, new = teacher.checkpoint.config, student.checkpoint.config
    assert student.checkpoint.family == name
    assert (new.num_hidden_layers, new.position_offset, new.shared_layers) == (
        2,
        old.position_offset,
        old.shared_layers,
    )
    assert (new.hidden_size, new.embedding_width) == (
        (12, old.embedding_width) if method == "layers" else (8, 5 if old.embedding_size == 5 else 8)
    )
    student.save(tmp_path / "saved")
    saved = wellread.load(tmp_path / "saved")
    np.testing.assert_allclose(saved.encode(TEXTS[:3]), student.encode(TEXTS[:3]), atol=1e-6)


def test_a_student_may_be_of_another_family(fresh, tmp_path):
    config = replace(METHODS["relations"], loop=replace(METHODS["relations"].loop, num_train_epochs=1, save_steps=0))
    student = distill(fresh("mpnet"), TEXTS, student=fresh("albert"), output_dir=tmp_path / "run", config=config)
    assert student.checkpoint.family == "albert"


def test_a_fresh_roberta_of_a_tokenizer_json(tmp_path):
    rules = Tokenizer(models.BPE(unk_token="<unk>"))
    rules.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    rules.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=90, special_tokens=special, show_progress=False))
    rules.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    (tmp_path / "tokens").mkdir()
    rules.save(str(tmp_path / "tokens" / "tokenizer.json"))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "roberta", **SIZES, **SHAPES["roberta"]}))
    options = {"config": tmp_path / "config.json", "vocab": str(tmp_path / "tokens" / "tokenizer.json")}
    module = new_module([], cache=tmp_path, settings=MLM, **options)
    assert (module.tokenizer.config.template, module.checkpoint.config.position_offset) == ("roberta", 2)
    config = replace(MLM, masking="words", loop=replace(QUICK, max_steps=2))
    pretrain(module, TEXTS, output_dir=tmp_path / "run", config=config).save(tmp_path / "saved")
    assert wellread.load(tmp_path / "saved").fill_mask("a man is<mask>")


def test_positions_that_take_another_id_for_padding_are_refused(fresh, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "mpnet", **SIZES}))
    (tmp_path / "vocab.txt").write_text("".join(f"{piece}\n" for piece in PIECES), "utf-8")
    with pytest.raises(ConfigError, match="an untrained mpnet was to be made; its positions take the id 1 for padding"):
        new_module([], cache=tmp_path, config=tmp_path / "config.json", vocab=str(tmp_path / "vocab.txt"), settings=MLM)


def test_repeating_a_shared_layer_is_another_teacher(fresh):
    module = fresh("albert")
    config = replace(module.checkpoint.config, num_hidden_layers=4)
    deeper = replace(module.checkpoint, config=config)
    other = from_scratch(tiny_config(), module.tokenizer)
    other.checkpoint = deeper
    assert fingerprint(other) != fingerprint(module)
