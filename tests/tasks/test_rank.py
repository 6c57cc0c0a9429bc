"""Documents are ranked by a head, or by vectors; what cannot be ranked is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from heads import headed_module
from tiny import tiny_module

from wellread.checkpoints.task_head import LEFT_OUT
from wellread.errors import InputError
from wellread.tasks.rank import ranked

QUERY = "the cat sleeps"
DOCUMENTS = ["a man is playing the guitar .", "the cat", "paris , france !", "the cat", "a woman runs"]


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    return tiny_module(tmp_path_factory.mktemp("files"), backend="numpy")


def test_a_module_without_a_head_ranks_by_its_vectors(vectors):
    cosines = vectors.similarity(vectors.encode([QUERY]), vectors.encode(DOCUMENTS))[0]
    found = vectors.rank(QUERY, DOCUMENTS)
    order = np.argsort(-cosines, kind="stable").tolist()
    assert found == [{"corpus_id": number, "score": float(cosines[number])} for number in order]
    assert all(type(hit["corpus_id"]) is int and type(hit["score"]) is float for hit in found)
    assert vectors.rank(QUERY, iter(DOCUMENTS), top_k=2) == found[:2]
    assert vectors.rank(QUERY, tuple(DOCUMENTS), 99) == found


def test_prompts_of_query_and_document_are_put_before(vectors, tmp_path):
    module = tiny_module(tmp_path, backend="numpy")
    prompts = {"query": "a man ", "document": "of paris "}
    module.checkpoint = replace(module.checkpoint, sentence=replace(module.checkpoint.sentence, prompts=prompts))
    cosines = vectors.similarity(
        vectors.encode([f"a man {QUERY}"]), vectors.encode([f"of paris {text}" for text in DOCUMENTS])
    )[0]
    assert module.rank(QUERY, DOCUMENTS, 1)[0]["score"] == pytest.approx(cosines.max(), abs=1e-6)


@pytest.mark.parametrize("task", ["rank", "score"])
def test_a_head_that_gives_a_number_ranks_by_it(tmp_path, task):
    module = headed_module(tmp_path, task, activation="sigmoid")
    scores = module.predict([(QUERY, text) for text in DOCUMENTS])
    found = module.rank(QUERY, DOCUMENTS, return_documents=True)
    assert [hit["score"] for hit in found] == sorted(scores.tolist(), reverse=True)
    assert [hit["text"] for hit in found] == [DOCUMENTS[hit["corpus_id"]] for hit in found]


def test_a_classifier_ranks_by_its_vectors(tmp_path):
    module = headed_module(tmp_path, "classify")
    assert module.rank(QUERY, DOCUMENTS, 1)[0]["score"] == pytest.approx(
        float(module.similarity(module.encode([QUERY]), module.encode(DOCUMENTS)).max()), abs=1e-6
    )


def test_nothing_is_ranked_where_there_is_nothing(vectors):
    assert vectors.rank(QUERY, []) == []
    assert ranked([], []) == []


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (([QUERY], DOCUMENTS), "a query was expected, one str; found a list; rank for one query at a time"),
        ((None, DOCUMENTS), "found a NoneType"),
        (
            (QUERY, "the cat"),
            "documents were expected, an iterable of str; found one str, 'the cat'; wrap it in a list",
        ),
        ((QUERY, [None]), "None"),
        ((QUERY, {"text": DOCUMENTS}), "texts were expected"),
        ((QUERY, DOCUMENTS, 0), "top_k must be a whole number of at least 1; found 0; leave it out for all documents"),
        ((QUERY, DOCUMENTS, True), "found True"),
        ((QUERY, DOCUMENTS, 2.0), "found 2.0"),
    ],
)
def test_what_cannot_be_ranked_is_refused(vectors, arguments, match):
    with pytest.raises(InputError, match=match):
        vectors.rank(*arguments)


def test_a_head_that_was_left_out_is_not_replaced_by_vectors(vectors):
    why = f"a task's head; its scores go through torch.nn.GELU, which is not computed here; {LEFT_OUT}"
    checkpoint = replace(vectors.checkpoint, ignored={"classifier.weight": why})
    module = replace(vectors, checkpoint=checkpoint)
    with pytest.raises(
        InputError, match=r"the head of this module was left out \(a task's head; its scores go through"
    ):
        module.rank(QUERY, DOCUMENTS)
    with pytest.raises(InputError, match=r"its head was left out \(a task's head; its scores .*\); fine-tune it"):
        module.predict(QUERY)


@pytest.mark.parametrize("texts", [None, {"text": ["a"]}, 7, [("a", None)], [("a", "b"), "c"], [("a", "b", "c")]])
def test_what_are_no_texts_is_refused(tmp_path, texts):
    with pytest.raises(InputError, match="str"):
        headed_module(tmp_path, "rank").predict(texts)


def test_no_pairs_have_no_scores(tmp_path):
    module = headed_module(tmp_path, "rank")
    assert module.predict([]).shape == (0,)
    assert module.predict(zip([QUERY], ["of"], strict=True)) == module.predict(np.asarray([[QUERY, "of"]]))
