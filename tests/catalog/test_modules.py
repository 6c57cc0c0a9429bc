"""The catalog: its facts agree with one another, with the shapes, and with what the sources print."""

import re
from collections import Counter
from math import prod

import pytest

from wellread.catalog.modules import (
    ARCHITECTURES,
    FORMATS,
    HUBS,
    entries,
    entry_named,
    families,
    handles,
    language_names,
    living_handles,
    names,
    near_handles,
    preprocessors,
    table,
)
from wellread.checkpoints.names import shapes
from wellread.config import ACTIVATIONS, DIALECTS, POOLERS
from wellread.errors import HandleError

SMALL = [f"L-{L}_H-{H}_A-{H // 64}" for H in (128, 256, 512, 768) for L in range(2, 14, 2)]
WANTED = {
    *(f"bert_en_uncased_{shape}" for shape in SMALL[:-1]),
    *("small_bert_en_uncased_L-12_H-768_A-12", "kobert", "kobert-lm", "all-MiniLM-L6-v2"),
    *(f"bert_{which}_L-12_H-768_A-12" for which in ("en_uncased", "en_cased", "multi_cased", "multi_uncased", "zh")),
    *(f"bert_en_{which}_L-24_H-1024_A-16" for which in ("uncased", "cased", "wwm_uncased", "wwm_cased")),
    *(f"distilbert_{which}_L-6_H-768_A-12" for which in ("en_cased", "en_uncased", "multi_cased")),
    *("distilkobert_cased_L-3_H-768_A-12", "distilkobert_sentence_encoder"),
}
PUBLICATIONS = [(entry, one) for entry in entries() for one in entry.publications]
SENTENCE = "distilkobert_sentence_encoder"


def test_the_modules_of_the_documents_and_their_kin_are_there():
    assert set(names()) == WANTED
    assert len(entries()) == len(WANTED) == 41
    assert {entry.family for entry in entries()} == set(families())


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.name)
def test_an_entry_has_exactly_the_parameters_of_its_shape(entry):
    encoder = sum(prod(shape) for shape in shapes(entry.config()).values())
    with_head = sum(prod(shape) for shape in shapes(entry.config(), mlm=True).values())
    assert entry.parameters == encoder
    assert entry.mlm_parameters in (0, with_head - encoder)
    assert bool(entry.mlm_parameters) == any(one.mlm for one in entry.publications)


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.name)
def test_a_name_says_the_shape_and_the_case(entry):
    for found in re.findall(r"L-(\d+)_H-(\d+)_A-(\d+)", entry.name):
        shape = (entry.num_hidden_layers, entry.hidden_size, entry.num_attention_heads)
        assert shape == tuple(map(int, found))
    if entry.vocabulary.kind == "wordpiece" and "cased" in entry.name:
        assert entry.vocabulary.do_lower_case == ("uncased" in entry.name)
    assert entry.pooler in POOLERS
    assert entry.architecture in ARCHITECTURES
    assert entry.licence in (None, "Apache-2.0")
    assert entry.languages
    assert any(entry.living())


def test_no_two_publications_share_a_handle():
    counted = Counter(handle for _, one in PUBLICATIONS for handle in one.handles)
    assert [handle for handle, count in counted.items() if count > 1] == []
    assert set(counted) == set(handles())
    assert not set(counted) & set(names())
    assert not set(counted) & set(preprocessors())


@pytest.mark.parametrize(("entry", "one"), PUBLICATIONS, ids=lambda value: getattr(value, "handle", ""))
def test_a_publication_is_of_the_kinds_that_wellread_knows(entry, one):
    assert one.hub in HUBS
    assert one.format in FORMATS
    assert one.dialect in DIALECTS
    assert one.hidden_act in ACTIVATIONS
    assert one.interface == "dict" or one.interface in table("hubs")["interface"]
    assert "{" not in one.handle + one.note
    if one.version is not None:
        assert one.handle.endswith(f"/{one.version}")
    if one.preprocessor:
        text = preprocessors()[one.preprocessor]
        assert (text.vocabulary, text.hub) == (entry.vocabulary, one.hub)
        assert text.dialect == one.dialect
    if one.hub == "tfhub" and one.interface == "dict":
        assert one.preprocessor


def test_the_hub_decides_gelu_and_text_rules():
    small = {one.hub: one for one in entry_named("bert_en_uncased_L-2_H-128_A-2").living()}
    assert {hub: one.hidden_act for hub, one in small.items()} == {
        "archive": "gelu_pytorch_tanh",
        "tfhub": "gelu_pytorch_tanh",
        "kaggle": "gelu_pytorch_tanh",
        "huggingface": "gelu",
    }
    assert {hub: one.dialect for hub, one in small.items()} == {
        "archive": "hf",
        "tfhub": "tfhub",
        "kaggle": "tfhub",
        "huggingface": "hf",
    }
    korean = entry_named("distilkobert_cased_L-3_H-768_A-12")
    assert {one.hub: one.dialect for one in korean.living()} == {
        "huggingface": "kobert",
        "tfhub": "spm",
        "archive": "spm",
    }


def test_a_name_stands_for_the_authors_archive_or_for_hugging_face():
    first = {entry.name: next(entry.living()).hub for entry in entries()}
    assert first.pop(SENTENCE) == "tfhub"
    for name, hub in first.items():
        assert hub == ("archive" if entry_named(name).family in ("bert", "small_bert") else "huggingface")


def test_what_googles_first_modules_take_is_said():
    interfaces = Counter(one.interface for _, one in PUBLICATIONS)
    assert interfaces["list"] == 2 * 8
    assert interfaces["hub.Module"] == 2 * 24 + 6
    assert {one.interface for one in entry_named(SENTENCE).publications} == {"tensor"}
    assert all(one.alive == (one.interface != "hub.Module") for _, one in PUBLICATIONS)


def test_both_modules_that_are_mistaken_for_each_other_say_so():
    original, again = (entry_named(f"{kind}bert_en_uncased_L-12_H-768_A-12") for kind in ("", "small_"))
    assert again.name in original.note
    assert original.name in again.note
    assert original.note.startswith("a trap: ")
    assert again.note.startswith("a trap: ")
    assert original.parameters == again.parameters
    kaggle = "https://www.kaggle.com/models/tensorflow/bert/TensorFlow2/"
    assert entry_named(f"{kaggle}en-uncased-l-12-h-768-a-12/4") is original
    assert entry_named(f"{kaggle}bert-en-uncased-l-12-h-768-a-12/2") is again
    assert entry_named("google/bert_uncased_L-12_H-768_A-12") is again
    assert entry_named("https://tfhub.dev/google/bert_uncased_L-12_H-768_A-12/1") is original


def test_scores_name_their_task_metric_and_source():
    mini = entry_named("bert_en_uncased_L-4_H-256_A-4").scores
    assert [(one.task, one.metric, one.value) for one in mini[:4]] == [
        ("GLUE test", "score", 65.8),
        ("GLUE test CoLA", "Matthews", 0.0),
        ("GLUE test SST-2", "accuracy", 85.9),
        ("GLUE test MRPC", "F1", 81.1),
    ]
    scored = {entry.name for entry in entries() if entry.scores}
    assert (
        len([name for name in scored if entry_named(name).family == "small_bert"]) == 4
    )  # no others have published rows
    for entry in entries():
        assert all(score.source and score.task and 0 <= score.value <= 100 for score in entry.scores)


def test_scores_belong_to_a_module():
    for family in families():
        for row in table(f"families/{family}").get("scores", []):
            assert names()[row["module"]].family == family


def test_korean_is_spoken_by_the_korean_and_the_multilingual():
    korean = [entry.name for entry in entries() if entry.supports_language("ko")]
    assert len(korean) == 4 + 3
    small = [name for name in korean if entry_named(name).parameters <= 30_000_000]
    assert small == ["distilkobert_cased_L-3_H-768_A-12", SENTENCE]


def test_multilingual_berts_languages_are_counted_as_its_authors_count():
    assert len(set(entry_named("bert_multi_uncased_L-12_H-768_A-12").languages)) == 102
    cased = entry_named("bert_multi_cased_L-12_H-768_A-12")
    assert len(set(cased.languages)) == 104
    assert cased.supports_language("th")
    assert cased.supports_language("zh")  # in both scripts
    assert not cased.supports_language("z")


def test_an_entry_is_found_by_name_and_by_every_spelling():
    entry = entry_named("bert_en_uncased_L-12_H-768_A-12")
    assert entry_named("bert-base-uncased") is entry
    assert entry_named("google-bert/bert-base-uncased") is entry


def test_an_unknown_name_is_told_the_nearest():
    with pytest.raises(HandleError) as error:
        entry_named("bert_en_uncased_L-12_H-768_A-13")
    assert str(error.value) == (
        "the catalog's entry of 'bert_en_uncased_L-12_H-768_A-13' was asked for; of its 41 modules none has it; "
        "correct it, or list them with wellread catalog (did you mean bert_en_uncased_L-12_H-768_A-12?)"
    )


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ("minilm", ["all-MiniLM-L6-v2"]),
        ("MiniLM-L6", ["all-MiniLM-L6-v2"]),
        ("owner/all-minilm-l6-v1", ["all-MiniLM-L6-v2"]),
        ("paraphrase-multilingual-MiniLM-L12-v2", ["google-bert/bert-base-multilingual-uncased", "all-MiniLM-L6-v2"]),
        ("my-distilkobert-model", ["monologg/distilkobert", "kobert"]),
        ("gpt2", []),
        ("name", []),
        ("", []),
    ],
)
def test_the_nearest_living_handles_of_a_wrong_one(wrong, near):
    assert near_handles(wrong) == near


def test_the_living_handles_of_a_dead_one_are_of_the_same_weights():
    assert living_handles("bert-base-uncased") == living_handles("google-bert/bert-base-uncased")
    for entry in entries():
        assert living_handles(entry.name) == entry.alternatives()
        for one in entry.publications:
            others = living_handles(one.handle)
            assert all(handles()[other][0] is entry and handles()[other][1].alive for other in others)
            assert all(handles()[other][1].hub != one.hub for other in others)
    assert living_handles("google/small_bert/bert_uncased_L-2_H-128_A-2/2")  # as it is written without its host
    assert living_handles("owner/name") == ()


def test_every_language_has_a_name():
    tags = {tag for entry in entries() for tag in entry.languages}
    assert set(language_names()) == tags | {"zh"}
    assert len(set(language_names().values())) == len(language_names())
