"""A family is one table: here one for ELECTRA in place of ours, with another template, which no other file knows."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import transformers
from tiny import PIECES

import wellread
from wellread.checkpoints.families import FAMILIES, family_of
from wellread.checkpoints.families.bert import FAMILY as BERT
from wellread.checkpoints.family import Family
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
    """Register the table, as a file in `families/` does, and write a directory of transformers' for it."""
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


def test_a_shape_without_a_name_is_of_the_family_whose_constants_it_has():
    assert family_of(as_dict(EncoderConfig(**SIZES))) == "bert"
    assert family_of(as_dict(EncoderConfig(**SIZES, pooler="first_token"))) == "bert"
    assert family_of(as_dict(EncoderConfig(**SIZES, pooler="first_token", type_vocab_size=0))) == "distilbert"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"position_offset": 41}, "position_offset must be a row of the position table; found 41 of 41"),
        ({"relative_attention_num_buckets": 6}, "relative_attention_num_buckets must be a multiple of 4, .*; found 6"),
        (
            {"relative_attention_num_buckets": 32, "max_position_embeddings": 5000},
            "relative positions are computed for at most 4096 positions, .*; found max_position_embeddings 5000",
        ),
        ({"mlm_act": "mish"}, "mlm_act was given as 'mish'; wellread knows gelu"),
        ({"embedding_size": 0}, "embedding_size must be a whole number of at least 1; found 0"),
    ],
)
def test_what_no_encoder_has_is_refused(fields, message):
    with pytest.raises(wellread.errors.ConfigError, match=message):
        EncoderConfig(**{**SIZES, "max_position_embeddings": 41, **fields})
