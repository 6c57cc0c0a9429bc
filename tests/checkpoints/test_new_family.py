"""A family is one table: here ELECTRA's, which no other file knows, and two more against transformers' models."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import transformers
from tiny import PIECES, tiny_inputs

import wellread
from wellread.backends.backend import load_backend
from wellread.checkpoints.checkpoint import Checkpoint, in_memory
from wellread.checkpoints.families import FAMILIES, family_of
from wellread.checkpoints.families.bert import FAMILY as BERT
from wellread.checkpoints.family import Family, to_ours
from wellread.config import EncoderConfig
from wellread.schema import KeyTable, as_dict

SIZES = {"vocab_size": 99, "hidden_size": 12, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 37}
SUMMARY = [f"summary_{name}" for name in ("activation", "first_dropout", "last_dropout", "type", "use_proj")]
ELECTRA = Family(
    name="electra",
    prefix="electra.",
    architecture="ElectraModel",
    mlm_architecture="ElectraForMaskedLM",
    heads=(),
    keys=KeyTable(
        used={**BERT.keys.used, "embedding_size": "embedding_size"},
        required=BERT.keys.required,
        fixed={**BERT.keys.fixed, "model_type": ["electra"]},
        ignored={**BERT.keys.ignored, **dict.fromkeys(SUMMARY, "of a task's head")},
    ),
    constants={"pooler": "first_token"},
    template="roberta",  # not ELECTRA's: shows that a family has its own
    ignored_tensors=BERT.ignored_tensors,
)
ALBERT_LAYER = "encoder.albert_layer_groups.0.albert_layers.0"
ALBERT = Family(
    name="albert",
    prefix="albert.",
    architecture="AlbertModel",
    mlm_architecture="AlbertForMaskedLM",
    heads=(),
    keys=KeyTable(used={}),
    constants={"shared_layers": True},
    tensors=f"""
        embeddings_project.weight                            encoder.embedding_hidden_mapping_in.weight
        embeddings_project.bias                              encoder.embedding_hidden_mapping_in.bias
        encoder.layer.{{i}}.attention.self.query.weight        {ALBERT_LAYER}.attention.query.weight
        encoder.layer.{{i}}.attention.self.query.bias          {ALBERT_LAYER}.attention.query.bias
        encoder.layer.{{i}}.attention.self.key.weight          {ALBERT_LAYER}.attention.key.weight
        encoder.layer.{{i}}.attention.self.key.bias            {ALBERT_LAYER}.attention.key.bias
        encoder.layer.{{i}}.attention.self.value.weight        {ALBERT_LAYER}.attention.value.weight
        encoder.layer.{{i}}.attention.self.value.bias          {ALBERT_LAYER}.attention.value.bias
        encoder.layer.{{i}}.attention.output.dense.weight      {ALBERT_LAYER}.attention.dense.weight
        encoder.layer.{{i}}.attention.output.dense.bias        {ALBERT_LAYER}.attention.dense.bias
        encoder.layer.{{i}}.attention.output.LayerNorm.weight  {ALBERT_LAYER}.attention.LayerNorm.weight
        encoder.layer.{{i}}.attention.output.LayerNorm.bias    {ALBERT_LAYER}.attention.LayerNorm.bias
        encoder.layer.{{i}}.intermediate.dense.weight          {ALBERT_LAYER}.ffn.weight
        encoder.layer.{{i}}.intermediate.dense.bias            {ALBERT_LAYER}.ffn.bias
        encoder.layer.{{i}}.output.dense.weight                {ALBERT_LAYER}.ffn_output.weight
        encoder.layer.{{i}}.output.dense.bias                  {ALBERT_LAYER}.ffn_output.bias
        encoder.layer.{{i}}.output.LayerNorm.weight            {ALBERT_LAYER}.full_layer_layer_norm.weight
        encoder.layer.{{i}}.output.LayerNorm.bias              {ALBERT_LAYER}.full_layer_layer_norm.bias
        pooler.dense.weight                                  pooler.weight
        pooler.dense.bias                                    pooler.bias
    """,
)
ROBERTA = Family(
    name="roberta",
    prefix="roberta.",
    architecture="RobertaModel",
    mlm_architecture="RobertaForMaskedLM",
    heads=(),
    keys=KeyTable(used={}),
    constants={"position_offset": 2},
    template="roberta",
)


def peer(kind: str, **changes):
    """Draw one of transformers' models, its weights far from zero."""
    torch.manual_seed(7)
    config = getattr(transformers, f"{kind}Config")(**{**SIZES, "max_position_embeddings": 41, **changes})
    model = getattr(transformers, f"{kind}Model")(config).eval()
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return model


def states(model, ids, mask):
    with torch.no_grad():
        return model(
            torch.tensor(ids, dtype=torch.long), torch.tensor(mask, dtype=torch.long)
        ).last_hidden_state.numpy()


@pytest.fixture
def electra(monkeypatch, tmp_path):
    """Register the table, as a file in `families/` would, and write a directory of transformers' for it."""
    monkeypatch.setitem(FAMILIES, ELECTRA.name, ELECTRA)
    model = peer("Electra", embedding_size=5)
    model.save_pretrained(tmp_path / "theirs")
    (tmp_path / "theirs" / "vocab.txt").write_text("".join(f"{piece}\n" for piece in PIECES), "utf-8")
    return model


def test_a_family_of_one_table_is_loaded_and_saved(electra, tmp_path):
    module = wellread.load(tmp_path / "theirs")
    assert (module.checkpoint.family, module.checkpoint.config.embedding_size) == ("electra", 5)
    assert module.tokenizer.config.template == "roberta"
    module.save(tmp_path / "ours")
    saved = wellread.load(tmp_path / "ours")
    assert saved.checkpoint.config == module.checkpoint.config
    assert saved.tokenizer.config.template == "roberta"
    packed = module.bert_pack_inputs([module.tokenize(["a man is playing", "the guitar"])], seq_length=9)
    ours = saved(packed)["sequence_output"]
    mask = packed.input_mask.astype(bool)
    np.testing.assert_allclose(ours[mask], states(electra, packed.input_word_ids, mask)[mask], atol=2e-5)
    again = transformers.ElectraModel.from_pretrained(tmp_path / "ours")
    for name, weight in electra.state_dict().items():
        assert torch.equal(again.state_dict()[name], weight)


def test_what_is_at_its_default_is_not_written(electra, tmp_path):
    wellread.load(tmp_path / "theirs").save(tmp_path / "ours")
    written = json.loads((tmp_path / "ours" / "wellread.json").read_text("utf-8"))
    assert written["tokenizer"]["template"] == "roberta"
    shape = as_dict(EncoderConfig(**SIZES))
    assert not shape.keys() & {"position_offset", "embedding_size", "shared_layers"}
    assert as_dict(EncoderConfig(**SIZES, embedding_size=5))["embedding_size"] == 5


@pytest.mark.parametrize(
    ("family", "model", "fields"),
    [
        (ROBERTA, peer("Roberta", pad_token_id=1, type_vocab_size=1), {"position_offset": 2, "type_vocab_size": 1}),
        (ALBERT, peer("Albert", embedding_size=5, hidden_act="gelu"), {"embedding_size": 5, "shared_layers": True}),
    ],
    ids=["roberta", "albert"],
)
def test_offset_and_shared_layers_compute_what_transformers_computes(family, model, fields):
    inputs = {name: array[:2] for name, array in tiny_inputs().items()}
    inputs["input_type_ids"] = np.zeros_like(inputs["input_type_ids"])
    inputs["input_word_ids"] = np.where(inputs["input_mask"], inputs["input_word_ids"], 1).astype(np.int32)
    config = EncoderConfig(
        **{**SIZES, "max_position_embeddings": 41, "layer_norm_eps": model.config.layer_norm_eps, **fields}
    )
    stored = in_memory({name: tensor.numpy() for name, tensor in model.state_dict().items() if "_ids" not in name})
    mapped = to_ours(family, config, stored, source="memory")
    checkpoint = Checkpoint(family=family.name, config=mapped.config, tensors=mapped.tensors)
    ours = load_backend("numpy", checkpoint).run(inputs, ["sequence_output"])["sequence_output"]
    mask = inputs["input_mask"].astype(bool)
    theirs = states(model, inputs["input_word_ids"], inputs["input_mask"])
    np.testing.assert_allclose(ours[mask], theirs[mask], atol=1e-4)


def test_a_shape_without_a_name_is_of_the_family_whose_constants_it_has():
    assert family_of(as_dict(EncoderConfig(**SIZES))) == "bert"
    assert family_of(as_dict(EncoderConfig(**SIZES, pooler="first_token"))) == "bert"
    assert family_of(as_dict(EncoderConfig(**SIZES, pooler="first_token", type_vocab_size=0))) == "distilbert"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"position_offset": 41}, "position_offset must be a row of the position table; found 41 of 41"),
        ({"embedding_size": 0}, "embedding_size must be a whole number of at least 1; found 0"),
    ],
)
def test_what_no_encoder_has_is_refused(fields, message):
    with pytest.raises(wellread.errors.ConfigError, match=message):
        EncoderConfig(**SIZES, max_position_embeddings=41, **fields)
