"""Exact search against sentence-transformers' semantic_search and faiss, and against itself in other blocks."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from wellread.errors import DataError, InputError
from wellread.metrics.similarity import EVERY, similarity
from wellread.searching import search as room
from wellread.searching.search import rescored, search
from wellread.searching.vectors_file import ArrayVectors, open_vectors

ROWS, WIDTH, TOP_K = 997, 37, 7


def drawn(rows=ROWS, width=WIDTH, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((rows, width)) * rng.uniform(0.1, 3, (rows, 1))).astype(np.float32)


VECTORS, QUERIES = drawn(), drawn(5, seed=1)


@pytest.fixture(scope="module")
def faiss():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import faiss
    return faiss


def stored(form):
    """Return vectors in a form, its scale, and the float32 that these stand for."""
    if form == "float16":
        halves = VECTORS.astype(np.float16)
        return halves, None, halves.astype(np.float32)
    if form == "int8":
        scale = (np.abs(VECTORS).max(0) / 127).astype(np.float32)
        numbers = np.rint(VECTORS / scale).astype(np.int8)
        return numbers, scale, numbers * scale
    return VECTORS, None, VECTORS


def by_sorting(queries, vectors, name, top_k=TOP_K):
    """Compare all at once, as `Module.similarity` does, and sort."""
    scores = similarity(name, queries, vectors)
    rows = np.argsort(-scores, axis=1, kind="stable")[:, :top_k]
    return rows, np.take_along_axis(scores, rows, 1)


@pytest.mark.parametrize("queries", [QUERIES, drawn(33, seed=2)], ids=["few", "many"])
@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("form", ["float32", "float16", "int8"])
def test_every_form_and_similarity_finds_what_sorting_finds(form, name, queries):
    numbers, scale, floats = stored(form)
    rows, scores = search(queries, open_vectors(numbers, scale=scale), top_k=TOP_K, similarity=name)
    expected_rows, expected_scores = by_sorting(queries, floats, name)
    assert rows.tolist() == expected_rows.tolist()
    np.testing.assert_allclose(scores, expected_scores, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("form", ["float32", "float16", "int8"])
def test_it_finds_what_semantic_search_and_faiss_find(form, faiss):
    from sentence_transformers.util import dot_score, semantic_search

    numbers, scale, floats = stored(form)
    vectors = open_vectors(numbers, scale=scale)
    for name, function in (("cosine", None), ("dot", dot_score)):
        rows, scores = search(QUERIES, vectors, top_k=TOP_K, similarity=name)
        options = {"score_function": function} if function else {}
        peer = semantic_search(QUERIES, floats, top_k=TOP_K, **options)
        assert rows.tolist() == [[hit["corpus_id"] for hit in hits] for hits in peer]
        np.testing.assert_allclose(scores, [[hit["score"] for hit in hits] for hits in peer], rtol=1e-5, atol=1e-5)
    index = faiss.IndexFlatIP(WIDTH)
    index.add(floats)
    peer_scores, peer_rows = index.search(QUERIES, TOP_K)
    assert rows.tolist() == peer_rows.tolist()
    np.testing.assert_allclose(scores, peer_scores, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("width", [64, 37])
@pytest.mark.parametrize("packed_as", ["ubinary", "binary"])
def test_packed_bits_of_sentence_transformers_are_found_as_faiss_finds_them(packed_as, width, faiss):
    from sentence_transformers.util.quantization import quantize_embeddings

    vectors, queries = drawn(width=width), drawn(5, width, seed=1)
    packed = quantize_embeddings(vectors, precision=packed_as)
    rows, scores = search(queries, open_vectors(packed, precision="binary"), top_k=TOP_K)
    index = faiss.IndexBinaryFlat(-(-width // 8) * 8)
    index.add(quantize_embeddings(vectors, precision="ubinary"))
    distances, _ = index.search(quantize_embeddings(queries, precision="ubinary"), TOP_K)
    np.testing.assert_allclose(scores, 1 - 2 * distances / width, atol=1e-6)
    signs = np.where(vectors > 0, 1, -1), np.where(queries > 0, 1, -1)
    for name in EVERY:
        expected_rows, expected_scores = by_sorting(signs[1], signs[0], name)
        rows, scores = search(queries, open_vectors(packed, precision="binary"), top_k=TOP_K, similarity=name)
        np.testing.assert_allclose(scores, expected_scores, atol=1e-5)
        if name != "cosine":  # whose equal scores differ in their last digit where float32 computes them
            assert rows.tolist() == expected_rows.tolist()


def test_rescoring_finds_what_semantic_search_faiss_finds(faiss):
    from sentence_transformers.util.quantization import quantize_embeddings, semantic_search_faiss

    vectors, queries = drawn(width=64), drawn(5, 64, seed=1)
    packed = quantize_embeddings(vectors, precision="ubinary")
    index = faiss.IndexBinaryFlat(64)
    index.add(packed)
    candidates = index.search(quantize_embeddings(queries, precision="ubinary"), 4 * TOP_K)[1].astype(np.int64)
    rows, scores = rescored(queries, candidates, open_vectors(vectors), top_k=TOP_K, similarity="dot")
    products = np.take_along_axis(queries @ vectors.T, candidates, 1)
    order = np.argsort(-products, axis=1)[:, :TOP_K]
    assert rows.tolist() == np.take_along_axis(candidates, order, 1).tolist()
    np.testing.assert_allclose(scores, np.take_along_axis(products, order, 1), rtol=1e-5)
    # with the bits themselves as the higher precision, scores are those of sentence-transformers
    bits = np.unpackbits(packed, axis=1).astype(np.float32)
    rows, scores = rescored(queries, candidates, open_vectors(bits), top_k=TOP_K, similarity="dot")
    peer, _ = semantic_search_faiss(
        queries, corpus_index=index, corpus_precision="ubinary", top_k=TOP_K, rescore_multiplier=4
    )
    assert rows.tolist() == [[hit["corpus_id"] for hit in hits] for hits in peer]
    np.testing.assert_allclose(scores, [[hit["score"] for hit in hits] for hits in peer], rtol=1e-5, atol=1e-5)


def test_rescoring_holds_the_candidates_alone():
    import tracemalloc

    queries, candidates = drawn(2000, 3), np.random.default_rng(0).permutation(40_000).reshape(2000, 20)
    vectors = open_vectors(drawn(40_000, 3).astype(np.float16))
    tracemalloc.start()
    rows, _ = rescored(queries, candidates, vectors)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert rows.shape == (2000, 10)
    assert peak < 20_000_000  # every query beside every candidate: 320 MB of float32


@pytest.mark.parametrize("precision", ["float32", "binary"])
def test_rescoring_for_no_queries_gives_no_hits(precision):
    vectors = open_vectors(VECTORS if precision == "float32" else np.packbits(VECTORS > 0, axis=1))
    for candidates, hits in ((28, TOP_K), (3, 3)):
        rows, scores = rescored(QUERIES[:0], np.zeros((0, candidates), np.int64), vectors, top_k=TOP_K)
        assert rows.shape == scores.shape == (0, hits)
        assert (rows.dtype, scores.dtype) == (np.int64, np.float32)
    with pytest.raises(InputError, match="similarities are"):
        rescored(QUERIES[:0], np.zeros((0, 3), np.int64), vectors, similarity="cos")


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize(("part", "tile"), [(3, 1024), (13, 5), (32, 64), (100, 7), (5000, 96)])
def test_blocks_of_any_size_find_the_same(part, tile, name, monkeypatch):
    vectors = VECTORS.copy()
    vectors[ROWS // 2 :] = vectors[: ROWS - ROWS // 2]  # every vector comes twice, in other places of a block
    whole = [search(QUERIES[:count], open_vectors(vectors), top_k=TOP_K, similarity=name) for count in (1, 5)]
    monkeypatch.setattr("wellread.searching.vectors_file.PART", part)
    monkeypatch.setattr(room, "TILE", tile)
    monkeypatch.setattr(room, "QUERIES", 2)
    for count, (rows, scores) in zip((1, 5), whole, strict=True):
        again = search(QUERIES[:count], open_vectors(vectors), top_k=TOP_K, similarity=name)
        assert again[0].tolist() == rows.tolist()
        assert again[1].tobytes() == scores.tobytes()


@pytest.mark.parametrize("name", EVERY)
def test_of_equal_scores_the_lower_rows_come_first(name, monkeypatch):
    monkeypatch.setattr("wellread.searching.vectors_file.PART", 11)
    monkeypatch.setattr("wellread.searching.search.cpu_count", lambda: 4)
    vectors = np.tile(VECTORS[:3], (50, 1))
    rows, scores = search(VECTORS[1:2], open_vectors(vectors), top_k=60, similarity=name)
    best = [group.tolist() for group in np.split(rows[0], np.flatnonzero(np.diff(scores[0])) + 1)]
    assert [len(group) for group in best] == [50, 10]
    assert best[0][0] in (0, 1, 2)
    assert all(np.diff(group).tolist() == [3] * (len(group) - 1) for group in best)


@pytest.mark.parametrize("queries", [1, 20])
@pytest.mark.parametrize("name", EVERY)
def test_vectors_that_float32_cannot_tell_apart_are_put_in_order_by_float64(name, queries):
    rng = np.random.default_rng(3)
    vectors = rng.normal(0, 1e-4, (3000, WIDTH)).astype(np.float32)
    vectors[:, :2] = 30000, -30000  # large products whose sum is 0: the small ones beside them tell vectors apart
    query = np.ones((queries, WIDTH), np.float32)
    if name in ("euclidean", "manhattan"):
        query[:, :2] = 30000, -30000
    rows, scores = search(query, open_vectors(vectors), top_k=9, similarity=name)
    x, q = vectors.astype(np.float64), query[0].astype(np.float64)
    exact = {
        "cosine": x @ q / np.linalg.norm(x, axis=1) / np.linalg.norm(q),
        "dot": x @ q,
        "euclidean": -np.linalg.norm(x - q, axis=1),
        "manhattan": -np.abs(x - q).sum(1),
    }[name].astype(np.float32)
    expected = np.lexsort((np.arange(len(x)), -exact))[:9]
    assert rows.tolist() == [expected.tolist()] * queries
    np.testing.assert_allclose(scores[0], exact[expected], rtol=1e-6, atol=1e-9)


def test_scores_that_only_get_better_are_all_seen():
    lengths = np.arange(1, 3001, dtype=np.float32)
    rows, _ = search(np.ones((1, 1)), open_vectors(lengths[:, None]), top_k=3, similarity="dot")
    assert rows.tolist() == [[2999, 2998, 2997]]


def test_there_are_as_many_hits_as_vectors_where_these_are_fewer():
    rows, scores = search(QUERIES, open_vectors(VECTORS[:3]), top_k=10)
    assert rows.shape == scores.shape == (5, 3)
    assert np.isfinite(scores).all()
    assert search(QUERIES[:0], open_vectors(VECTORS), top_k=10)[0].shape == (0, 10)


def test_rows_of_zeros_and_a_query_of_zeros_are_like_nothing():
    vectors = np.concatenate([np.zeros((2, WIDTH), np.float32), VECTORS[:2]])
    rows, scores = search(np.stack([VECTORS[0], np.zeros(WIDTH, np.float32)]), open_vectors(vectors), top_k=4)
    assert sorted(rows[0].tolist()) == [0, 1, 2, 3]
    assert rows[1].tolist() == [0, 1, 2, 3]
    assert scores[1].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("form", [np.float32, np.float16])
def test_no_numbers_are_refused_with_their_row(form, number):
    vectors = VECTORS.astype(form)
    vectors[[700, 300], 5] = number
    with pytest.raises(DataError, match="numbers below 1e18 were expected of the array; found others in row 300"):
        search(QUERIES, open_vectors(vectors))
    with pytest.raises(DataError, match="in row 300"):
        rescored(QUERIES[:1], np.array([[1, 300]]), open_vectors(vectors))


def test_the_largest_halves_are_numbers_and_floats_past_1e18_are_not():
    halves = np.zeros((40, WIDTH), np.float16)
    halves[9] = -65504
    rows, scores = search(-np.ones((1, WIDTH)), open_vectors(halves), top_k=1, similarity="dot")
    assert (rows.tolist(), scores.tolist()) == ([[9]], [[65504 * WIDTH]])
    vectors = VECTORS.copy()
    vectors[4, 0] = 1e30
    with pytest.raises(DataError, match="in row 4"):
        search(QUERIES, open_vectors(vectors))
    with pytest.raises(DataError, match="in row 0"):
        search(QUERIES, open_vectors(np.full((2, WIDTH), 1e300)))


def test_arguments_that_do_not_fit_are_refused():
    vectors = open_vectors(VECTORS)
    for top_k in (0, -1, 2.5, True, None):
        with pytest.raises(InputError, match="top_k must be a whole number of at least 1; found"):
            search(QUERIES, vectors, top_k=top_k)
    with pytest.raises(InputError, match=r"similarities are cosine, dot, euclidean, manhattan; found 'cos'"):
        search(QUERIES, vectors, similarity="cos")
    with pytest.raises(InputError, match="found 36 numbers in the query and 37 numbers in a row"):
        search(QUERIES[:, :-1], vectors)
    with pytest.raises(InputError, match="found others in query 2"):
        search(np.where(np.arange(5)[:, None] == 2, np.nan, QUERIES), vectors)
    with pytest.raises(InputError, match="found 37 numbers in the query and 32 bits in a row"):
        search(QUERIES, open_vectors(np.zeros((3, 4), np.uint8)))


def test_a_fault_of_a_part_that_is_read_later_does_not_hide_that_of_an_earlier_one(monkeypatch):
    monkeypatch.setattr("wellread.searching.vectors_file.PART", 10)
    monkeypatch.setattr("wellread.searching.search.cpu_count", lambda: 4)
    vectors = VECTORS.copy()
    vectors[[25, 500, 900], 0] = np.nan
    for _ in range(20):
        with pytest.raises(DataError, match="in row 25;"):
            search(QUERIES, open_vectors(vectors))


def test_memory_holds_a_few_blocks(monkeypatch):
    import tracemalloc

    monkeypatch.setattr("wellread.searching.search.cpu_count", lambda: 2)
    halves = np.tile(drawn(1000, 128).astype(np.float16), (60, 1))
    vectors = ArrayVectors(halves, name="halves")
    tracemalloc.start()
    search(np.ones((2, 128)), vectors)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < halves.nbytes / 4  # 4 MB, whatever the rows; as float32 they are 31
