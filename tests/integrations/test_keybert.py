"""KeyBERT takes the backend, and not MiniLM in its place."""

import numpy as np
from keybert import KeyBERT
from keybert.backend._utils import select_backend

from wellread.integrations.keybert import WellreadBackend

TEXT = "A guitar is a fretted musical instrument with strings. It is played by plucking the strings."


def test_keybert_takes_it_as_it_is(module):
    backend = WellreadBackend(module, prompt_name="query")
    assert select_backend(backend) is backend
    np.testing.assert_array_equal(backend.embed(["a cat"]), module.encode(["a cat"], prompt_name="query"))


def test_keywords_are_those_nearest_to_the_text_by_the_module():
    backend = WellreadBackend("default", normalize_embeddings=True)
    keywords = dict(KeyBERT(model=backend).extract_keywords(TEXT, top_n=3))
    assert "guitar" in keywords
    vectors = backend.embed([TEXT, "guitar"])
    assert abs(keywords["guitar"] - float(vectors[0] @ vectors[1])) < 1e-3


def test_verbose_shows_a_progress_bar(module, capsys):
    WellreadBackend(module).embed(["a cat"], verbose=True)
    assert "1/1" in capsys.readouterr().err
