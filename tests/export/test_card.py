"""model_card: YAML that the hub's own reader takes, statements from data alone, and code that runs."""

import re
from dataclasses import replace

import huggingface_hub
import numpy as np
import pytest
from tiny import tiny_config, tiny_module

import wellread
from wellread.config import DenseConfig, SentenceConfig
from wellread.export.card import MARK, model_card

HOSTILE = "x\n---\nlicense: mit\n'\"`|: {{ <script> 모델 \x00"


@pytest.fixture
def module(tmp_path):
    return tiny_module(tmp_path / "files")


def data(card):
    return huggingface_hub.ModelCard(card).data.to_dict()


def test_what_is_not_known_is_left_out(module):
    assert data(model_card(module)) == {
        "library_name": "wellread",
        "pipeline_tag": "fill-mask",
        "tags": ["wellread", "sentence-transformers", "transformers", "bert"],
    }


@pytest.mark.parametrize(
    ("handle", "known"),
    [
        ("distilbert-base-cased", {}),  # may be the last part of a path
        ("owner/unheard-of", {"base_model": "owner/unheard-of"}),
        ("hf://owner/unheard-of@v1", {"base_model": "owner/unheard-of"}),
        (
            "google/bert_uncased_L-2_H-128_A-2",
            {"base_model": "google/bert_uncased_L-2_H-128_A-2", "language": ["en"], "license": "apache-2.0"},
        ),
        ("https://tfhub.dev/jeongukjae/distilkobert_cased_L-3_H-768_A-12/1", {"language": ["ko"]}),
        ("owner/name", {}),  # itself
        ("../../etc/passwd", {}),
        (HOSTILE + "/" + HOSTILE, {}),
        (3, {}),
    ],
)
def test_what_the_handle_of_the_source_tells(module, handle, known):
    card = model_card(replace(module, provenance={"handle": handle}), repo_id="owner/name")
    assert {key: value for key, value in data(card).items() if key in ("base_model", "language", "license")} == known


def test_a_teacher_is_a_base_but_its_licence_is_not_taken(module):
    provenance = {"handle": "student", "teacher": {"handle": "sentence-transformers/all-MiniLM-L6-v2"}}
    found = data(model_card(replace(module, provenance=provenance)))
    assert found["base_model"] == "sentence-transformers/all-MiniLM-L6-v2"
    assert "license" not in found


def test_hostile_words_stay_words(module):
    checkpoint = replace(module.checkpoint, ignored={HOSTILE: HOSTILE}, inferred={"a": HOSTILE})
    odd = replace(module, checkpoint=checkpoint, provenance={HOSTILE: {HOSTILE: HOSTILE}, "handle": HOSTILE})
    card = model_card(odd, repo_id=HOSTILE)
    assert data(card) == data(model_card(module))
    assert card.count("\n---\n") == 1
    assert "license: mit" in card
    assert not re.search(r"^license: mit", card, re.MULTILINE)
    assert "\x00" not in card
    assert "모델" in card


@pytest.mark.parametrize(
    ("options", "task"),
    [
        ({"mlm": True}, "fill-mask"),
        ({"mlm": False}, "feature-extraction"),
        ({"mlm": False, "sentence": SentenceConfig(max_seq_length=32, normalize=True)}, "sentence-similarity"),
    ],
)
def test_what_it_is_for(tmp_path, options, task):
    assert data(model_card(tiny_module(tmp_path, **options)))["pipeline_tag"] == task


def test_the_facts(tmp_path):
    dense = (DenseConfig(in_features=12, out_features=5),)
    sentence = SentenceConfig(max_seq_length=32, dense=dense, normalize=True, prompts={"query": "find: "})
    module = tiny_module(tmp_path, sentence=sentence)
    card = model_card(module, differences=["Some rare words differ."])
    for line in (
        "| family | bert, with a masked-language-model head |",
        "| shape | 3 layers of width 12 with 4 heads, inner width 37 |",
        f"| parameters | {module.checkpoint.num_parameters:,} |",
        "| activation | gelu |",
        "| text rules | WordPiece by the rules of Hugging Face's BertTokenizer, lower-cased |",
        "| vocabulary | 99 pieces |",
        "| longest text | 32 tokens (the position table has 41) |",
        "| `pooled_output` | tanh of a dense map of position 0 |",
        "| sentence vector | 5 numbers: mean of the tokens, then a linear map to 5, then length 1 |",
        "| prompt `query` | `find:` |",
        "- Some rare words differ.",
    ):
        assert f"\n{line}\n" in card
    assert card.rstrip().endswith(MARK)
    assert "What of its source was not used" not in card


def test_what_was_ignored_inferred_and_measured_stands_there(module):
    checkpoint = replace(module.checkpoint, ignored={"a.b": "it is for training"}, inferred={"hidden_act": "gelu"})
    provenance = {"handle": "here", "scores": {"stsb": {"spearman": 0.5}}}
    card = model_card(replace(module, checkpoint=checkpoint, provenance=provenance))
    assert "## What of its source was not used\n\n- `a.b`: `it is for training`\n" in card
    assert "## What its source does not say and was inferred\n\n- `hidden_act`: `gelu`\n" in card
    assert "- `scores.stsb.spearman`: `0.5`\n" in card


@pytest.mark.parametrize("family", ["bert", "distilbert"])
def test_its_code_runs(tmp_path, family):
    config = tiny_config() if family == "bert" else tiny_config(type_vocab_size=0, pooler="first_token")
    module = tiny_module(tmp_path / "files", config=config)
    module.save(tmp_path / "module")
    card = model_card(module, repo_id=str(tmp_path / "module"))
    names = {}
    for block in re.findall(r"```python\n(.*?)```", card, re.DOTALL):
        kept = names.get("vectors")
        exec(block, names)
        if kept is not None:
            assert np.allclose(names["vectors"], kept, atol=1e-5)
    texts = ["A text.", "Another."]
    assert np.allclose(names["vectors"], wellread.load(tmp_path / "module").encode(texts, precision="f32"), atol=1e-5)
    assert len(names["guesses"][0]) == 5
    expected = module(texts)["sequence_output"]
    assert np.allclose(names["sequence_output"].detach().numpy(), expected, atol=1e-4)
