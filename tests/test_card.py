"""model_card: YAML that the hub's own reader takes, statements from data alone, and code that runs."""

import re
import subprocess
import sys
from dataclasses import replace

import huggingface_hub
import numpy as np
import pytest
import transformers
from headed import head_of, headed, headed_checkpoint
from near import BF16_COSINE, cosines
from tiny import tiny_config, tiny_module, tiny_tokenizer

import wellread
from wellread.config import DenseConfig, SentenceConfig
from wellread.errors import CheckpointError
from wellread.files import CARD, CARD_MARK, own_card
from wellread.module import Module
from wellread.text.tokenizer import load_tokenizer
from wellread.text.tokenizer_json import text_differences

HOSTILE = "x\n---\nlicense: mit\n'\"`|: {{ <script> 모델 \x00"


@pytest.fixture
def module(tmp_path):
    return tiny_module(tmp_path / "files")


def data(card):
    return huggingface_hub.ModelCard(card).data.to_dict()


def test_what_is_not_known_is_left_out(module):
    assert data(module.model_card()) == {
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
    card = replace(module, provenance={"handle": handle}).model_card(repo_id="owner/name")
    assert {key: value for key, value in data(card).items() if key in ("base_model", "language", "license")} == known


def test_a_teacher_is_a_base_but_its_licence_is_not_taken(module):
    provenance = {"handle": "student", "teacher": {"handle": "sentence-transformers/all-MiniLM-L6-v2"}}
    found = data(replace(module, provenance=provenance).model_card())
    assert found["base_model"] == "sentence-transformers/all-MiniLM-L6-v2"
    assert "license" not in found


def test_hostile_words_stay_words(module):
    checkpoint = replace(module.checkpoint, ignored={HOSTILE: HOSTILE}, inferred={"a": HOSTILE})
    odd = replace(module, checkpoint=checkpoint, provenance={HOSTILE: {HOSTILE: HOSTILE}, "handle": HOSTILE})
    card = odd.model_card(repo_id=HOSTILE)
    assert data(card) == data(module.model_card())
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
    assert data(tiny_module(tmp_path, **options).model_card())["pipeline_tag"] == task


def test_the_facts(tmp_path):
    dense = (DenseConfig(in_features=12, out_features=5),)
    sentence = SentenceConfig(max_seq_length=32, dense=dense, normalize=True, prompts={"query": "find: "})
    module = tiny_module(tmp_path, sentence=sentence)
    card = module.model_card()
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
    ):
        assert f"\n{line}\n" in card
    assert card.rstrip().endswith(CARD_MARK)
    assert "What of its source was not used" not in card


def test_what_was_ignored_inferred_and_measured_stands_there(module):
    checkpoint = replace(module.checkpoint, ignored={"a.b": "it is for training"}, inferred={"hidden_act": "gelu"})
    provenance = {"handle": "here", "scores": {"stsb": {"spearman": 0.5}}}
    card = replace(module, checkpoint=checkpoint, provenance=provenance).model_card()
    assert "## What of its source was not used\n\n- `a.b`: `it is for training`\n" in card
    assert "## What its source does not say and was inferred\n\n- `hidden_act`: `gelu`\n" in card
    assert "- `scores.stsb.spearman`: `0.5`\n" in card


@pytest.mark.parametrize(
    ("options", "warned"),
    [
        ({}, ()),
        ({"pooler": "first_token"}, ("pooler.dense.weight", "pooler.dense.bias")),
        ({"pooler": "first_token", "type_vocab_size": 0}, ()),  # a DistilBERT
    ],
)
def test_its_code_runs(tmp_path, caplog, options, warned):
    module = tiny_module(tmp_path / "files", config=tiny_config(**options))
    module.save(tmp_path / "module")
    with caplog.at_level("WARNING", logger="transformers"):
        transformers.utils.logging.enable_propagation()
        transformers.AutoModel.from_pretrained(tmp_path / "module")
        assert [name for name in ("pooler.dense.weight", "pooler.dense.bias") if name in caplog.text] == list(warned)
        caplog.clear()
    card = module.model_card(repo_id=str(tmp_path / "module"))
    names = {}
    for block in re.findall(r"```python\n(.*?)```", card, re.DOTALL):
        kept = names.get("vectors")
        exec(block, names)
        if kept is not None:  # the card's own code takes bfloat16 where the CPU has it
            assert cosines(names["vectors"], kept).min() > BF16_COSINE
    texts = ["A text.", "Another."]
    assert np.allclose(names["vectors"], names["module"].encode(texts, precision="f32"), atol=1e-5)
    assert len(names["guesses"][0]) == 5
    assert "MISSING" not in caplog.text
    assert "newly initialized" not in caplog.text
    assert ("add_pooling_layer=False" in card) == ("there is no pooler" in card) == bool(warned)
    expected = module(texts)["sequence_output"]
    assert np.allclose(names["sequence_output"].detach().numpy(), expected, atol=1e-4)


# -- what was trained ------------------------------------------------------------------------------------------------

TRAINED = {
    "made_by": "wellread finetune",
    "from": {"handle": "google/bert_uncased_L-2_H-128_A-2"},
    "task": "classify",
    "rows": {"train": 150_000, "dev": 50},
    "steps": 300,
    "settings": {"learning_rate": 5e-05, "loop": {"seed": 7}},
    "scores": {"accuracy": 0.875, "interval": [0.85, 0.9]},
    "recipe": {"name": "well-read", "source": "arXiv:1908.08962"},
}


def judge(place, task, family="bert", provenance=None):
    checkpoint = headed_checkpoint(task, family)
    return Module(checkpoint=checkpoint, tokenizer=tiny_tokenizer(place), provenance=provenance or {})


@pytest.mark.parametrize(
    ("task", "pipeline", "answers"),
    [
        ("classify", "text-classification", "a label for a text"),
        ("pair", "text-classification", "a label for a pair of texts"),
        ("tag", "token-classification", "a label for each word of a text"),
        ("answer", "question-answering", "the span of a text that answers a question"),
        ("similarity", "sentence-similarity", "a score for a pair of texts, 0 for a cosine of 0 and 1 for one of 1"),
        ("multilabel", "text-classification", "any number of labels for a text"),
        ("score", "text-classification", "a number for a text, or for a pair of texts"),
        (
            "rank",
            "text-ranking",
            "a number for a pair of texts, by which documents are ranked for a query: sigmoid of the logits",
        ),
    ],
)
def test_a_fine_tuned_module_says_what_it_answers(tmp_path, task, pipeline, answers):
    card = judge(tmp_path, task).model_card()
    assert data(card)["pipeline_tag"] == pipeline
    assert f"| answers | {answers} |\n" in card
    labelled = task in ("classify", "pair", "tag", "multilabel")
    assert ("| labels | `no`, `yes`, `모름`, `d`, `e` |\n" in card) == labelled
    assert ("sentence-transformers" in data(card)["tags"]) == (task in ("similarity", "rank"))
    assert ("SentenceTransformer" in card) == (task == "similarity")
    assert ("CrossEncoder" in card) == (task == "rank")


def test_of_many_labels_the_first_are_listed(tmp_path):
    head = head_of("tag", labels=tuple(f"l{i}" for i in range(45)))
    checkpoint = headed(headed_checkpoint("similarity"), head)
    card = Module(checkpoint=checkpoint, tokenizer=tiny_tokenizer(tmp_path)).model_card()
    assert "`l39` and 5 more |\n" in card
    assert "`l40`" not in card


def test_how_it_was_trained_and_what_it_scores(tmp_path):
    card = judge(tmp_path, "classify", provenance=TRAINED).model_card()
    counts = "- `made_by`: `wellread finetune`\n- `task`: `classify`\n- `rows.train`: `150000`\n- `rows.dev`: `50`\n"
    assert f"## How it was trained\n\n{counts}- `steps`: `300`\n" in card
    assert "## What it scores\n\n| | |\n|---|---|\n| `accuracy` | `0.875` |\n| `interval` | `[0.85, 0.9]` |\n" in card
    assert "| `learning_rate` | `5e-05` |\n| `loop.seed` | `7` |\n" in card
    assert (
        "## By which recipe\n\n| | |\n|---|---|\n| `name` | `well-read` |\n| `source` | `arXiv:1908.08962` |\n" in card
    )
    assert "## Where it comes from\n\n- `from.handle`: `google/bert_uncased_L-2_H-128_A-2`\n\n" in card
    assert data(card)["base_model"] == "google/bert_uncased_L-2_H-128_A-2"
    assert "license" not in data(card)  # the fine-tuned module's own is nowhere stated


@pytest.mark.parametrize("absent", TRAINED)
def test_any_part_of_the_record_may_be_absent(tmp_path, absent):
    kept = {key: value for key, value in TRAINED.items() if key != absent}
    card = judge(tmp_path, "classify", provenance=kept).model_card()
    whole = judge(tmp_path, "classify", provenance=TRAINED).model_card()
    titles = {"made_by": "How it was trained", "scores": "What it scores", "settings": "With which settings"}
    titles |= {"recipe": "By which recipe", "from": "Where it comes from"}
    if absent in titles:
        assert f"## {titles[absent]}\n" in whole
        assert f"## {titles[absent]}\n" not in card


@pytest.mark.parametrize("odd", [None, "none", 7, {}, ["x"], {HOSTILE: HOSTILE}])
def test_a_record_of_another_form_is_no_obstacle(tmp_path, odd):
    card = judge(tmp_path, "classify", provenance=dict.fromkeys(TRAINED, odd)).model_card()
    assert card.count("\n---\n") == 1
    assert data(card)["pipeline_tag"] == "text-classification"


@pytest.mark.parametrize(
    ("task", "family"),
    [
        *(("classify", family) for family in ("bert", "distilbert")),
        ("pair", "bert"),
        ("tag", "distilbert"),
        ("answer", "bert"),
        ("answer", "distilbert"),
        ("similarity", "bert"),
        ("multilabel", "bert"),
        ("rank", "distilbert"),
    ],
)
def test_the_code_of_a_fine_tuned_module_runs(tmp_path, task, family):
    module = judge(tmp_path / "files", task, family)
    module.save(tmp_path / "module")
    names = {}
    for block in re.findall(r"```python\n(.*?)```", module.model_card(repo_id=str(tmp_path / "module")), re.DOTALL):
        exec(block, names)
    if task == "similarity":
        assert names["scores"].shape == (1,)
        return
    assert len(names["answers"]) == (1 if task in ("pair", "answer") else 2)
    if task == "rank":
        assert [hit["corpus_id"] for hit in names["ranking"]] == [
            hit["corpus_id"] for hit in module.rank("A query.", ["A document.", "Another."])
        ]
    if task == "classify":
        scores = names["logits"].softmax(-1).detach().numpy()
        for answer, expected in zip(names["answers"], scores, strict=True):
            assert answer.label == module.checkpoint.head.labels[expected.argmax()]


# -- beside a saved module -------------------------------------------------------------------------------------------


def test_a_saved_module_has_its_card_and_stays_whole(tmp_path):
    module = judge(tmp_path / "files", "classify", provenance=TRAINED)
    module.save(tmp_path / "module")
    assert (tmp_path / "module" / CARD).read_text("utf-8") == module.model_card()
    again = wellread.load(tmp_path / "module")
    assert again.checkpoint.head == module.checkpoint.head
    again.save(tmp_path / "module", overwrite=True)  # a card of ours gives way
    assert "`handle`: `module`" in (tmp_path / "module" / CARD).read_text("utf-8")


def test_a_card_that_is_given_and_one_that_people_wrote_are_kept(tmp_path, module):
    module.save(tmp_path / "module", card="# Given")
    assert (tmp_path / "module" / CARD).read_text("utf-8") == "# Given"
    module.save(tmp_path / "module", overwrite=True)
    assert (tmp_path / "module" / CARD).read_text("utf-8") == "# Given"
    module.save(tmp_path / "module", overwrite=True, card="# Another")
    assert (tmp_path / "module" / CARD).read_text("utf-8") == "# Another"
    wellread.load(tmp_path / "module")


def test_a_card_that_cannot_be_read_is_not_lost(tmp_path, module):
    module.save(tmp_path / "module", card="# Given")
    (tmp_path / "module" / CARD).unlink()
    (tmp_path / "module" / CARD).symlink_to(CARD)  # in a circle
    with pytest.raises(CheckpointError, match=r"README\.md was to be kept; found that .*; make it readable or move it"):
        own_card(tmp_path / "module")


def test_the_card_says_what_differs_elsewhere(tmp_path, module):
    module.save(tmp_path / "module")
    tokenizer = load_tokenizer(tmp_path / "module", replace(module.tokenizer.config, dialect="tfhub"))
    card = replace(module, tokenizer=tokenizer).model_card()
    assert "## What differs elsewhere" not in module.model_card()
    assert "\n## What differs elsewhere\n\n- " in card
    assert all(f"\n- {line}\n" in card for line in text_differences(tokenizer))


def test_no_socket_and_no_client_of_the_hub_is_needed(tmp_path):
    code = "import wellread, socket, sys; socket.socket.connect = None; "
    code += f"wellread.load('default').save({str(tmp_path / 'module')!r}); "
    code += "print(sorted({'huggingface_hub', 'yaml'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
