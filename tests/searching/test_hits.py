"""Hits as `Module.search` returns them: of texts and vectors, with the columns of a file, rescored."""

from __future__ import annotations

import datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny import tiny_module

from wellread.errors import DataError, InputError
from wellread.searching.vectors_file import open_vectors

TEXTS = ["a man is playing the guitar .", "the cat", "paris , france !", "the cat", "a woman runs", "of"] * 7
QUERIES = ["the cat sleeps", "a guitar"]
DAY = datetime.date(2026, 1, 2)


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    made = tiny_module(tmp_path_factory.mktemp("module"))
    made.backend = "numpy"
    return made


@pytest.fixture(scope="module")
def vectors(module):
    return module.encode(TEXTS)


@pytest.fixture
def path(vectors, module, tmp_path):
    return write(tmp_path / "a.parquet", vectors, module.fingerprint)


def write(path, vectors, fingerprint):
    columns = {"id": list(range(100, 100 + len(vectors))), "text": TEXTS, "score": [0.5] * len(vectors)}
    columns |= {"day": [DAY] * len(vectors), "embedding": list(vectors)}
    table = pa.table(columns).replace_schema_metadata({"wellread.fingerprint": fingerprint})
    pq.write_table(table, path, row_group_size=10)
    return path


def expected(module, vectors, query, top_k=10):
    scores = module.similarity(module.encode_query([query]), vectors)[0]
    rows = np.argsort(-scores, kind="stable")[:top_k]
    return [{"corpus_id": int(row), "score": pytest.approx(float(scores[row]), abs=1e-6)} for row in rows]


def test_one_query_gives_a_list_and_several_a_list_of_lists(module, vectors):
    hits = module.search(QUERIES[0], vectors)
    assert hits == expected(module, vectors, QUERIES[0])
    assert module.search(QUERIES, vectors, 3) == [expected(module, vectors, query, 3) for query in QUERIES]
    assert module.search((query for query in QUERIES[:1]), vectors) == [hits]
    assert module.search(np.array(QUERIES[:1]), vectors) == [hits]
    assert module.search([], vectors) == []


def test_a_query_may_be_a_vector_or_many(module, vectors):
    import torch

    encoded = module.encode_query(QUERIES)
    hits = module.search(QUERIES, vectors)
    for given in (encoded, encoded.tolist(), list(encoded), torch.from_numpy(encoded)):
        assert module.search(given, vectors) == hits
        assert module.search(given[1], vectors) == hits[1]


@pytest.mark.parametrize("name", ["cosine", "dot", "euclidean", "manhattan"])
def test_the_similarity_of_the_module_is_taken(name, module, vectors, tmp_path):
    other = tiny_module(tmp_path)
    other.backend, other.similarity_fn_name = "numpy", name
    assert other.search(QUERIES[0], vectors) == expected(other, vectors, QUERIES[0])


def test_options_are_those_of_encode_query(module, vectors, tmp_path):
    other = tiny_module(tmp_path)
    other.backend, other.prompts = "numpy", {"query": "paris", "guitar": "a man is playing the guitar . "}
    assert other.search("the cat", vectors, 1)[0]["corpus_id"] != module.search("the cat", vectors, 1)[0]["corpus_id"]
    prompted = other.search("", vectors, prompt_name="guitar")
    assert prompted == expected(module, vectors, TEXTS[0])
    short = module.encode(TEXTS, truncate_dim=8)
    assert module.search("the cat", short, truncate_dim=8)[0]["corpus_id"] == 1
    with pytest.raises(
        InputError, match=r"found 12 numbers in the query and 8 numbers .*the truncate_dim= that it had"
    ):
        module.search("the cat", short)


def test_hits_of_a_file_have_its_columns(module, vectors, path):
    hits = module.search(QUERIES[0], path, 4)
    plain = expected(module, vectors, QUERIES[0], 4)
    for hit, words in zip(hits, plain, strict=True):
        row = words["corpus_id"]
        assert hit == {**words, "id": 100 + row, "text": TEXTS[row], "day": DAY}
    some = module.search(QUERIES[0], path, 4, columns=["text"])
    assert [list(hit) for hit in some] == [["corpus_id", "score", "text"]] * 4
    assert module.search(QUERIES[0], path, 4, columns=[]) == plain
    with pytest.raises(DataError, match="the column title was asked of"):
        module.search(QUERIES[0], path, columns=["title"])


def test_vectors_of_another_module_are_refused(module, vectors, tmp_path):
    path = write(tmp_path / "a.parquet", vectors, "0123456789abcdef")
    with pytest.raises(InputError, match=f"is {module.fingerprint}, .*a.parquet; found those of 0123456789abcdef"):
        module.search("the cat", path)
    with pytest.raises(InputError, match="found those of 0123456789abcdef"):
        module.search("the cat", vectors, rescore=path)
    assert module.search("the cat", path, 1, check_fingerprint=False)[0]["corpus_id"] == 1


def test_candidates_of_bits_are_compared_once_more(module, vectors, path):
    # equal texts have equal bits: of all that are near, rescoring keeps those of the query itself
    bits = np.packbits(vectors > 0, axis=1)
    coarse = module.search("the cat", bits, 3)
    assert [hit["score"] for hit in coarse] == [1.0] * 3
    hits = module.search(QUERIES[0], bits, 3, rescore=path, rescore_multiplier=len(TEXTS))
    assert hits == expected(module, vectors, QUERIES[0], 3)
    int8 = np.rint(vectors / np.abs(vectors).max() * 127).astype(np.int8)
    scale = np.abs(vectors).max() / 127
    hits = module.search(QUERIES, int8, 3, scale=scale, rescore=vectors, rescore_multiplier=len(TEXTS))
    assert hits == [expected(module, vectors, query, 3) for query in QUERIES]
    packed = (bits.astype(int) - 128).astype(np.int8)
    assert module.search("the cat", packed, 3, corpus_precision="binary") == coarse


def test_no_queries_have_no_hits(module, vectors, path):
    for rescore in (None, vectors, path):
        assert module.search([], vectors, rescore=rescore) == []
        assert module.search([], path, rescore=rescore) == []


def test_only_candidates_get_new_scores(module):
    first = np.eye(12, dtype=np.float32)
    better = np.roll(first, -1, axis=0)  # row 1 is candidate by the first, row 0 the best of the second
    assert module.search(first[1], first, 1)[0] == {"corpus_id": 1, "score": 1.0}
    assert module.search(first[1], first, 1, rescore=better, rescore_multiplier=1)[0] == {"corpus_id": 1, "score": 0.0}
    assert module.search(first[1], first, 1, rescore=better, rescore_multiplier=2)[0] == {"corpus_id": 0, "score": 1.0}


def test_arguments_that_do_not_fit_are_refused(module, vectors, tmp_path):
    with pytest.raises(InputError, match=r"rescore= must hold a vector for each of 42 rows .*; found 41"):
        module.search("the cat", vectors, rescore=vectors[:-1])
    for multiplier in (0, 1.5):
        with pytest.raises(InputError, match="rescore_multiplier must be a whole number of at least 1"):
            module.search("the cat", vectors, rescore=vectors, rescore_multiplier=multiplier)
    with pytest.raises(InputError, match="top_k must be a whole number"):
        module.search("the cat", vectors, 0, rescore=vectors)
    for query in (None, {"a": 1}, [None], [["a"]], 3.5, tmp_path):
        with pytest.raises(InputError):
            module.search(query, vectors)


def test_an_opened_file_is_read_in_blocks(path):
    assert len(open_vectors(path).parts()) == 1
    assert open_vectors(path).columns == ["id", "text", "score", "day"]
