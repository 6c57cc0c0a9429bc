"""A module with a head predicts what its logits say, text by text."""

from __future__ import annotations

import numpy as np
import pytest
from heads import LABELS, headed_module
from tiny import tiny_config, tiny_module

from wellread.errors import InputError, TruncationWarning, WeightsError
from wellread.tasks import predict as predict_file
from wellread.tasks.answer import AnswerSettings, FoundAnswer, read_answer, windows
from wellread.tasks.classify import read_classes, softmax
from wellread.tasks.tag import Tagged
from wellread.text.batch import bert_pack_inputs

TEXTS = ["a man is playing the guitar .", "", "paris , france !", "the cat sleeps", "of paris"] * 3
PAIRS = ["a woman runs .", "the cat", "of", "", "playing guitars , a man runs"] * 3


@pytest.fixture(scope="module")
def modules(tmp_path_factory):
    made = {}

    def of(task, **options):
        key = (task, *options.items())
        if key not in made:
            made[key] = headed_module(tmp_path_factory.mktemp(task), task, **options)
        return made[key]

    return of


def alone(module, *texts):
    """Return the logits of one text or pair, packed by itself."""
    rows = [module.tokenize([text]) for text in texts]
    batch = bert_pack_inputs(rows, special=module.tokenizer.special, seq_length=24, pad_to_longest=True)
    return module.running().run(dict(batch), ["logits"])["logits"][0]


def test_labels_of_texts(modules):
    module = modules("classify")
    for text, found in zip(TEXTS, module.predict(TEXTS), strict=True):
        expected = read_classes(alone(module, text)[None], LABELS["classify"])[0]
        assert found.label == expected.label
        assert found.scores == pytest.approx(expected.scores)
    assert len({found.label for found in module.predict(TEXTS)}) > 1


@pytest.mark.parametrize("task", ["pair", "classify"])
def test_labels_of_pairs(modules, task):
    """A head for texts takes pairs too: configurations do not say which it is for."""
    module = modules(task)
    for text, pair, found in zip(TEXTS, PAIRS, module.predict(TEXTS, PAIRS), strict=True):
        expected = read_classes(alone(module, text, pair)[None], LABELS[task])[0]
        assert found.scores == pytest.approx(expected.scores)


def test_scores_are_cosines_on_the_scale_of_the_labels(modules):
    module = modules("similarity", low=1.0, high=5.0)
    first, second = (module.encode(side, normalize_embeddings=True) for side in (TEXTS, PAIRS))
    found = module.predict(TEXTS, PAIRS)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, 1 + 4 * (first * second).sum(1), atol=1e-5)


def test_tags_of_words_and_of_given_tokens(modules):
    module = modules("tag")
    found = module.predict(["playing guitars", *TEXTS])[0]
    logits = alone(module, "playing guitars")[1:-1]
    assert found.tokens == [(0, 7), (8, 15)]
    assert found.tags == [LABELS["tag"][place] for place in logits[[0, 1]].argmax(-1)]
    assert found.scores == pytest.approx(softmax(logits)[[0, 1]].max(-1))
    given = module.predict(["paris"], tokens=[[(0, 2), (2, 5)]])[0]
    assert (given.tokens, len(given.tags)) == ([(0, 2), (2, 5)], 2)


def test_answers_over_windows(modules):
    module = modules("answer")
    contexts = [f"{context} . {text}" for context, text in zip(PAIRS, TEXTS, strict=True)] * 2
    contexts[3] = contexts[3] * 6
    questions = ["which man ?"] * len(contexts)
    found = module.predict(questions, contexts, top_k=2, stride=5, max_answer_length=4, null_threshold=-5)
    parts = windows(module.tokenizer, questions, contexts, max_seq_length=24, stride=5)
    assert len(parts.of(3)) > 2
    settings = AnswerSettings(top_k=2, max_answer_length=4, null_threshold=-5, stride=5)
    for row in (3, 5, 7):
        logits = [
            module.running().run(
                dict(
                    bert_pack_inputs(
                        [parts.questions.take([w]), parts.parts.take([w])],
                        special=module.tokenizer.special,
                        seq_length=24,
                        pad_to_longest=True,
                    )
                ),
                ["logits"],
            )["logits"][0]
            for w in parts.of(row)
        ]
        expected = read_answer(parts, row, logits, settings)
        assert (found[row].text, found[row].start, len(found[row].others)) == (expected.text, expected.start, 1)
        assert found[row].score == pytest.approx(expected.score)


@pytest.mark.parametrize("backend", ["openvino", "torch"])
def test_backends_agree(modules, tmp_path, backend):
    reference = modules("classify").predict(TEXTS, PAIRS)
    module = headed_module(tmp_path, "classify", backend=backend)
    for a, b in zip(reference, module.predict(TEXTS, PAIRS, precision="f32", batch_size=2), strict=True):
        assert a.scores == pytest.approx(b.scores, abs=1e-5)


def test_one_text_gives_one_answer(modules):
    assert modules("classify").predict(TEXTS[0]).label in LABELS["classify"]
    assert isinstance(modules("tag").predict("paris"), Tagged)
    assert isinstance(modules("answer").predict("a ?", "paris"), FoundAnswer)
    assert modules("similarity").predict("a", "a") == pytest.approx(1)


@pytest.mark.parametrize("task", ["classify", "pair", "similarity", "tag", "answer"])
def test_no_texts_no_answers(modules, task):
    assert len(modules(task).predict([], [] if task in ("pair", "similarity", "answer") else None)) == 0


def test_more_texts_than_a_window(modules, monkeypatch):
    module = modules("classify")
    whole = module.predict(TEXTS, PAIRS)
    monkeypatch.setattr(predict_file, "WINDOW", 4)
    for a, b in zip(whole, module.predict(TEXTS, PAIRS), strict=True):
        assert a.scores == pytest.approx(b.scores)
    tagged = modules("tag").predict(TEXTS, tokens=[[(0, 1)] if text else [] for text in TEXTS])
    assert [len(row.tags) for row in tagged] == [int(bool(text)) for text in TEXTS]


@pytest.mark.parametrize(
    ("task", "pairs", "lost"),
    [("classify", None, 8), ("pair", ["a man"], 11), ("similarity", ["a"], 8), ("tag", None, 8), ("answer", ["a"], 20)],
)
def test_what_is_cut_is_counted(modules, task, pairs, lost):
    with pytest.warns(
        TruncationWarning, match=f"1 of 1 texts were too long and lost {lost} tokens; this module takes 24"
    ):
        modules(task).predict(["a " * 30], pairs)


def test_tags_that_were_cut_off_are_outside(modules):
    with pytest.warns(TruncationWarning):
        found = modules("tag").predict("a " * 30)
    assert found.tags[22:] == ["O"] * 8
    assert found.scores[22:] == [0] * 8
    assert min(found.scores[:22]) > 0


def test_both_texts_have_the_type_that_there_is(tmp_path):
    module = headed_module(tmp_path, "pair", config=tiny_config(type_vocab_size=1))
    assert module.predict(["a"], ["man"])[0].label in LABELS["pair"]


def test_the_distilbert_family_predicts(tmp_path):
    config = tiny_config(type_vocab_size=0, pooler="first_token")
    module = headed_module(tmp_path, "pair", config=config, pre_classifier=True)
    assert module.predict(TEXTS, PAIRS)[0].label in LABELS["pair"]


def test_logits_that_are_no_numbers_are_refused(tmp_path):
    from dataclasses import replace

    from wellread.checkpoints.checkpoint import in_memory

    module = headed_module(tmp_path, "classify")
    broken = in_memory({"classifier.bias": np.full(3, np.nan, np.float32)})
    module.checkpoint = replace(module.checkpoint, tensors={**module.checkpoint.tensors, **broken})
    with pytest.raises(WeightsError, match="logits must be finite; found NaN"):
        module.predict(TEXTS)


def test_a_module_without_a_head_is_refused(tmp_path):
    with pytest.raises(InputError, match="this module has no head of a task; fine-tune it"):
        tiny_module(tmp_path).predict(TEXTS)


@pytest.mark.parametrize(
    ("task", "given", "message"),
    [
        ("pair", {}, "for pair, which takes two texts a row; found one; pass pairs"),
        ("similarity", {}, "for similarity, which takes two texts a row; found one; pass pairs"),
        ("answer", {}, "for answer, which takes two texts a row; found one; pass pairs"),
        ("tag", {"pairs": ["b"]}, "for tag, which takes one text a row; found two; leave pairs out"),
        ("pair", {"pairs": ["b", "c"]}, "a second text for each of 1 was asked; found 2; match them up"),
        ("classify", {"tokens": [[]]}, "found 1 rows of them for 1 texts and a module for classify; leave them out"),
        ("tag", {"tokens": [[], []]}, "found 2 rows of them for 1 texts and a module for tag; leave them out"),
        ("classify", {"top_k": 2}, "the options top_k were given; a module for answer takes top_k, max_answer_length"),
        ("answer", {"pairs": ["b"], "top_k": "2"}, "options of other types were asked for; found top_k='2'"),
        (
            "answer",
            {"pairs": ["b"], "topk": 2},
            r"the options topk were given; .* this one is for answer; leave them out \(did you mean top_k\?\)",
        ),
    ],
)
def test_what_a_task_does_not_take_is_refused(modules, task, given, message):
    with pytest.raises(InputError, match=message):
        modules(task).predict(["a"], **given)
