"""Tiny modules, and a server of them."""

from __future__ import annotations

import pytest
from heads import headed_module
from served import serving
from tiny import tiny_module

from wellread.config import SentenceConfig


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A tiny module with prompts, in float64."""
    sentence = SentenceConfig(max_seq_length=12, normalize=True, prompts={"query": "the man ", "document": "a "})
    return tiny_module(tmp_path_factory.mktemp("tiny"), backend="numpy", sentence=sentence)


@pytest.fixture(scope="session")
def heads(tmp_path_factory):
    """Tiny modules with heads, by their tasks."""
    tasks = ("classify", "pair", "tag", "rank", "multilabel", "answer", "similarity")
    return {task: headed_module(tmp_path_factory.mktemp(task), task) for task in tasks}


@pytest.fixture(scope="session")
def client(tiny, heads):
    """A client of a server of all of them, the plain one first."""
    with serving({"tiny": tiny, **heads}) as client:
        yield client
