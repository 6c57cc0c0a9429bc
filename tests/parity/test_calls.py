"""The packaged default in the place of a SentenceTransformer: a list of calls gives the same on both, or is refused."""

import inspect
import warnings

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer, util
from sentence_transformers.sentence_transformer.evaluation import (
    BinaryClassificationEvaluator,
    EmbeddingSimilarityEvaluator,
    InformationRetrievalEvaluator,
    TripletEvaluator,
)
from sentence_transformers.util import SimilarityFunction

import wellread
from wellread.errors import ConfigError, InputError, TruncationWarning

TEXTS = ["A man is playing a guitar.", "Someone plays an instrument.", "It rains.", ""]
PROMPTS = {"query": "who: ", "document": "what: ", "title": "title: "}


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Return the default with prompts, in floats, as wellread and as sentence-transformers open it."""
    place = tmp_path_factory.mktemp("default") / "floats"
    module = wellread.load("default").dequantise()
    module.prompts, module.default_prompt_name = PROMPTS, "title"
    module.save(place)
    return wellread.load(place), SentenceTransformer(str(place), device="cpu", backend="torch")


def within(model, call, **settings):
    """Make a call under other settings of the model, and put back its own."""
    before = {name: getattr(model, name) for name in settings}
    for name, value in settings.items():
        setattr(model, name, value)
    try:
        return call(model)
    finally:
        for name in reversed(before):
            setattr(model, name, before[name])


def pooled(model):
    pool = model.start_multi_process_pool(["cpu"])
    try:
        return model.encode(TEXTS, pool=pool, chunk_size=2, precision="float32")
    finally:
        model.stop_multi_process_pool(pool)


def truncated(model):
    with model.truncate_embeddings(5):
        return [model.encode(TEXTS, precision="float32"), model.get_embedding_dimension(), model.truncate_dim]


VECTORS, TOKENS, F32 = "sentence_embedding", "token_embeddings", "float32"
CALLS = {
    # positions: (inputs, prompt_name, prompt, batch_size, show_progress_bar, output_value, precision, convert_to_numpy,
    # convert_to_tensor, device, normalize_embeddings, truncate_dim, pool, chunk_size)
    "1": lambda m: m.encode(TEXTS),
    "2": lambda m: m.encode(TEXTS, "query"),
    "3": lambda m: m.encode(TEXTS, None, "words: "),
    "5": lambda m: m.encode(TEXTS, "query", None, 2, False),
    "6": lambda m: m.encode(TEXTS, None, None, 2, False, TOKENS),
    "7": lambda m: m.encode(TEXTS, None, None, 2, False, VECTORS, F32),
    "8": lambda m: m.encode(TEXTS, None, None, 2, False, VECTORS, F32, False),
    "9": lambda m: m.encode(TEXTS, None, None, 2, False, VECTORS, F32, True, True),
    "10": lambda m: m.encode(TEXTS, None, None, 2, False, VECTORS, F32, True, False, "cpu"),
    "11": lambda m: m.encode(TEXTS, None, None, 2, False, VECTORS, F32, True, False, "cpu", True),
    "12": lambda m: m.encode(TEXTS, None, None, 2, False, VECTORS, F32, True, False, None, True, 7),
    "14": lambda m: m.encode(TEXTS, None, None, 2, False, VECTORS, F32, True, False, None, False, None, None, 8),
    "queries, positions": lambda m: m.encode_query(
        TEXTS, None, None, 2, False, VECTORS, F32, True, True, None, True, 7
    ),
    "documents, positions": lambda m: m.encode_document(TEXTS, "query", None, 2, False, TOKENS),
    "both prompts": lambda m: m.encode(TEXTS, prompt_name="query", prompt="words: "),
    "sentences=": lambda m: m.encode(sentences=TEXTS),
    "inputs=": lambda m: m.encode(inputs=TEXTS),
    "queries, inputs=": lambda m: m.encode_query(inputs=TEXTS, normalize_embeddings=True),
    "queries": lambda m: m.encode_query(TEXTS),
    "documents": lambda m: m.encode_document(TEXTS),
    "one text": lambda m: m.encode(TEXTS[0]),
    "one query as a tensor": lambda m: m.encode_query(TEXTS[0], convert_to_tensor=True),
    "one text, states of tokens": lambda m: m.encode(TEXTS[0], output_value=TOKENS),
    "an array of texts": lambda m: m.encode(np.array(TEXTS)),
    "a tuple": lambda m: m.encode(tuple(TEXTS)),
    "normalised after truncation": lambda m: m.encode(TEXTS, truncate_dim=7, normalize_embeddings=True),
    "tensors though no arrays": lambda m: m.encode(TEXTS, convert_to_numpy=False, convert_to_tensor=True),
    "a device of torch": lambda m: m.encode(TEXTS, device=torch.device("cpu")),
    "truncate_dim set": lambda m: within(m, lambda m: m.encode(TEXTS), truncate_dim=9),
    "truncate_dim set and given": lambda m: within(m, lambda m: m.encode(TEXTS, truncate_dim=3), truncate_dim=9),
    "max_seq_length set": lambda m: within(m, lambda m: m.encode(TEXTS), max_seq_length=6),
    "no default prompt": lambda m: within(m, lambda m: m.encode(TEXTS), default_prompt_name=None),
    "other prompts": lambda m: within(m, lambda m: m.encode(TEXTS, "a"), default_prompt_name=None, prompts={"a": "b "}),
    "a with block": truncated,
    "widths": lambda m: [m.get_embedding_dimension(), m.get_max_seq_length(), m.max_seq_length],
    "similarity": lambda m: m.similarity(m.encode(TEXTS), m.encode(TEXTS[:2])),
    "similarity of one": lambda m: m.similarity(m.encode(TEXTS[0]), m.encode(TEXTS)),
    "pairwise": lambda m: m.similarity_pairwise(m.encode(TEXTS), m.encode(TEXTS[::-1])),
    "similarity_fn_name": lambda m: [m.similarity_fn_name, str(m.device)],
    **{
        str(kind): lambda m, kind=kind: within(
            m, lambda m: [m.similarity_fn_name, m.similarity(m.encode(TEXTS), m.encode(TEXTS))], similarity_fn_name=kind
        )
        for kind in ("dot", "euclidean", "manhattan", SimilarityFunction.DOT_PRODUCT)
    },
    "eval and to": lambda m: m.eval().to("cpu").cpu().encode(TEXTS),
    "semantic_search": lambda m: util.semantic_search(m.encode_query(TEXTS[:1]), m.encode_document(TEXTS), top_k=2),
    "paraphrase_mining": lambda m: util.paraphrase_mining(m, TEXTS[:3], show_progress_bar=False),
    "community_detection": lambda m: util.community_detection(m.encode(TEXTS), 0.6, min_community_size=1),
    "similarity evaluator": lambda m: m.evaluate(EmbeddingSimilarityEvaluator(TEXTS[:3], TEXTS[1:], [1.0, 0.5, 0.0])),
    "similarity evaluator, called": lambda m: EmbeddingSimilarityEvaluator(
        TEXTS[:3], TEXTS[1:], [1.0, 0.5, 0.0], truncate_dim=64
    )(m),
    "retrieval evaluator": lambda m: m.evaluate(
        InformationRetrievalEvaluator({"q": "who plays?"}, dict(zip("abc", TEXTS, strict=False)), {"q": {"a"}})
    ),
    "triplet evaluator": lambda m: m.evaluate(TripletEvaluator(TEXTS[:1], TEXTS[1:2], TEXTS[2:3])),
    "binary evaluator": lambda m: m.evaluate(BinaryClassificationEvaluator(TEXTS[:3], TEXTS[1:], [1, 0, 0])),
}


def tolerance(module):
    """Return what vectors may differ by: calls name no precision, so a CPU with AMX computes some in bfloat16."""
    return 1e-5 if module.running().precision == "f32" else 5e-2


def assert_same(found, expected, atol):
    """Compare numbers, and what holds them part by part; tensors are tensors on both sides, but in lists."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            assert_same(found[key], value, atol)
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for ours, theirs in zip(found, expected, strict=True):
            assert_same(ours, theirs.numpy() if isinstance(theirs, torch.Tensor) else theirs, atol)
    elif isinstance(expected, str):
        assert found == expected
    else:
        assert type(found) is type(expected)
        assert np.shape(found) == np.shape(expected)
        assert getattr(found, "dtype", None) == getattr(expected, "dtype", None)
        found, expected = np.asarray(found), np.asarray(expected)
        np.testing.assert_allclose(found, expected, rtol=0, atol=atol * max(1, np.abs(expected).max()))


# What theirs gives as a tensor, and ours as an array: what is compared as arrays, and states of tokens.
ARRAYS = ("similarity", "similarity of one", "pairwise", "one text, states of tokens")


@pytest.mark.parametrize("name", CALLS)
def test_a_call_gives_the_same(both, name):
    module, peer = both
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TruncationWarning)
        found, expected = CALLS[name](module), CALLS[name](peer)
    assert_same(found, expected.numpy() if name in ARRAYS else expected, atol=tolerance(module))


def test_a_pool_without_processes_serves(both):
    module, peer = both
    assert module.start_multi_process_pool().keys() == {"input", "output", "processes"}
    assert_same(pooled(module), peer.encode(TEXTS), atol=1e-5)


def test_the_arguments_stand_in_their_order():
    for name in ("encode", "start_multi_process_pool", "similarity", "to", "evaluate", "truncate_embeddings"):
        ours, theirs = (
            [
                parameter.name
                for parameter in inspect.signature(getattr(kind, name)).parameters.values()
                if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
            ][1:]
            for kind in (wellread.Module, SentenceTransformer)
        )
        assert len(ours) == max(len(theirs), 1)
        named = zip(ours, theirs, strict=False)
        assert [pair for pair in named if pair[0] != pair[1]] in (
            [],
            [("sentences", "inputs")],
            [("a", "embeddings1"), ("b", "embeddings2")],
        )


REFUSED = {
    "an unknown prompt": (lambda m: m.encode(TEXTS, "queries"), InputError, "query, document, title; choose one"),
    "no texts in a batch": (lambda m: m.encode(TEXTS, batch_size=0), InputError, "must be at least 1; found 0"),
    "an unknown precision": (lambda m: m.encode(TEXTS, precision="int3"), InputError, "int3"),
    "an unknown similarity": (lambda m: setattr(m, "similarity_fn_name", "cos"), ConfigError, "similarity_fn_name"),
    "an unknown argument": (lambda m: m.encode(TEXTS, normalise=True), TypeError, "normalise"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_call_is_refused_by_both(both, name):
    call, kind, message = REFUSED[name]
    with pytest.raises((ValueError, TypeError)):
        call(both[1])
    with pytest.raises(kind, match=message):
        call(both[0])


# What only sentence-transformers does, and what the refusal says to do.
OTHERWISE = {
    "every output": (lambda m: m.encode(TEXTS, output_value=None), r"module\(texts, outputs="),
    **{
        precision: (
            lambda m, p=precision: m.encode(TEXTS, precision=p),
            "pass what encode returns to .*quantize_embeddings",
        )
        for precision in ("int8", "uint8", "binary", "ubinary")
    },
    "its pool": (lambda m: m.encode(TEXTS, pool={"input": 1, "output": 2, "processes": [3]}), "encode uses every core"),
    "another pool is stopped": (lambda m: m.stop_multi_process_pool({"processes": [3]}), "encode uses every core"),
    "a pool of GPUs": (lambda m: m.start_multi_process_pool(["cuda:0", "cuda:1"]), 'with backend="torch"'),
}


@pytest.mark.parametrize("name", OTHERWISE)
def test_what_is_not_done_names_what_does_it(both, name):
    call, message = OTHERWISE[name]
    with pytest.raises(InputError, match=message):
        call(both[0])


def test_vectors_are_quantised_as_advised(both):
    module, peer = both
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = util.quantize_embeddings(module.encode(TEXTS, precision="f32"), precision="ubinary")
    expected = peer.encode(TEXTS, precision="ubinary")
    assert np.unpackbits(found ^ expected).sum() <= 2  # of 1,536: where a number is near 0
