"""BERT's body, the tokenizer of XLM-R, CamemBERT or ALBERT: a SentencePiece model, with tokenizer.json and without."""

import json

import numpy as np
import pytest
import transformers
from piece_models import FILES, model_of
from sentence_transformers import SentenceTransformer

import wellread
from wellread.export.parity import HOSTILE, read_lines

pytestmark = [
    pytest.mark.filterwarnings(f"ignore::wellread.errors.{name}") for name in ("TruncationWarning", "VocabularyWarning")
]
TEXTS = [*read_lines("ko")[:200], *read_lines("en")[:200], *HOSTILE[:-2], "a <mask> b", "[MASK]a ``b''", "<s>NOTUSED a"]


@pytest.fixture(params=[(kind, both) for kind in FILES for both in (False, True)])
def directory(request, tmp_path):
    """Write a directory as the hub has it."""
    kind, both = request.param
    (tmp_path / FILES[kind]).write_bytes(model_of(kind))
    settings = {"tokenizer_class": kind, "model_max_length": 39}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    if both:
        tokenizer.save_pretrained(tmp_path)
        assert (tmp_path / "tokenizer.json").is_file()
    config = transformers.BertConfig(
        **{"vocab_size": len(tokenizer), "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 4},
        **{"intermediate_size": 37, "max_position_embeddings": 41, "pad_token_id": tokenizer.pad_token_id},
    )
    transformers.BertModel(config).save_pretrained(tmp_path)
    return tmp_path


def test_ids_rows_and_vectors_are_those_of_the_peers(directory):
    module = wellread.load(directory)
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    assert module.tokenizer.config.dialect == "fast"
    assert module.tokenize(TEXTS).to_list() == tokenizer(TEXTS, add_special_tokens=False)["input_ids"]
    first, second = TEXTS[:3], TEXTS[3:6]
    pair = module.bert_pack_inputs([module.tokenize(first), module.tokenize(second)], seq_length=300)
    expected = tokenizer(first, second, padding="max_length", max_length=300, return_token_type_ids=True)
    assert pair["input_word_ids"].tolist() == expected["input_ids"]
    assert pair["input_type_ids"].tolist() == expected["token_type_ids"]
    peer = SentenceTransformer(str(directory), device="cpu")
    found = module.encode(TEXTS, precision="f32")
    np.testing.assert_allclose(found, peer.encode(TEXTS), rtol=0, atol=1e-5)
    assert tokenizer.__class__.__name__ in module.info()["inferred"]["tokenizer.rules"]


def test_what_is_saved_of_it_is_opened_by_both(directory, tmp_path_factory):
    module, target = wellread.load(directory), tmp_path_factory.mktemp("saved") / "module"
    module.save(target)
    again, peer = wellread.load(target), SentenceTransformer(str(target), device="cpu")
    assert again.tokenize(TEXTS).to_list() == module.tokenize(TEXTS).to_list()
    found = again.encode(TEXTS[:40], precision="f32")
    np.testing.assert_allclose(found, module.encode(TEXTS[:40], precision="f32"), rtol=0, atol=1e-6)
    np.testing.assert_allclose(found, peer.encode(TEXTS[:40]), rtol=0, atol=1e-5)
