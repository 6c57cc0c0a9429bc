"""Families beside BERT and DistilBERT as SavedModels: compared by the exporter itself, and read back."""

from dataclasses import replace

import numpy as np
import pytest
from tiny import tiny_checkpoint, tiny_tokenizer

import wellread
from wellread.checkpoints.families import FAMILIES
from wellread.checkpoints.saved_model import read_encoder, read_graph, read_variables
from wellread.errors import ExportError
from wellread.export.tfhub import export_tfhub
from wellread.module import Module

SIZES = {
    "vocab_size": 99,
    "hidden_size": 12,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "max_position_embeddings": 41,
    "pad_token_id": 0,
}
SHAPES = {
    "roberta": {"type_vocab_size": 1},
    "electra": {"embedding_size": 5},
    "albert": {"embedding_size": 5},
    "mpnet": {},
}


def module_of(name, files, **tokens):
    config = FAMILIES[name].encoder_config({**SIZES, **SHAPES[name]}, source="a test")
    tokenizer = tiny_tokenizer(files)
    tokenizer = replace(tokenizer, config=replace(tokenizer.config, **tokens))
    return Module(checkpoint=tiny_checkpoint(config, family=name), tokenizer=tokenizer, backend="numpy")


def assert_read_back(again, module):
    assert (again.checkpoint.family, again.checkpoint.config) == (module.checkpoint.family, module.checkpoint.config)
    texts = ["a man is playing the guitar", "a cat"]
    np.testing.assert_allclose(again.encode(texts), module.encode(texts), atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPES)
def test_a_family_is_exported_with_its_preprocessor_and_read_back(tmp_path, name):
    module = module_of(name, tmp_path / "files")
    found = export_tfhub(module, tmp_path / "encoder", preprocessor=tmp_path / "preprocessor")
    assert found.encoder.largest_difference < 1e-5
    assert_read_back(wellread.load(tmp_path / "encoder", backend="numpy"), module)


def test_text_rules_that_tf_hub_does_not_have_are_refused(tmp_path):
    module = module_of("mpnet", tmp_path / "files", template="roberta")
    with pytest.raises(ExportError, match="found the special tokens of roberta, .*; export the encoder alone"):
        export_tfhub(module, tmp_path / "encoder", preprocessor=tmp_path / "preprocessor")


@pytest.mark.slow
def test_text_rules_that_tf_hub_does_not_have_stay_behind(tmp_path):
    module = module_of("mpnet", tmp_path / "files", template="roberta")
    found = export_tfhub(module, tmp_path / "encoder")
    assert found.encoder.largest_difference < 1e-5
    assert any("text rules stay behind" in note for note in found.notes)
    again = read_encoder(tmp_path / "encoder", read_graph(tmp_path / "encoder"), read_variables(tmp_path / "encoder"))
    assert_read_back(Module(checkpoint=again, tokenizer=module.tokenizer, backend="numpy"), module)
