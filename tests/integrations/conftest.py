"""A small module whose queries and documents are told apart, and its directory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tiny import tiny_module

from wellread.config import SentenceConfig
from wellread.module import Module

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"  # read when Haystack is imported
PROMPTS = {"query": "the man ", "document": "a cat ", "STS": "the flute "}


@pytest.fixture
def module(tmp_path: Path) -> Module:
    sentence = SentenceConfig(max_seq_length=32, prompts=PROMPTS, default_prompt_name="STS")
    return tiny_module(tmp_path / "files", sentence=sentence)


@pytest.fixture
def directory(module: Module, tmp_path: Path) -> str:
    module.save(tmp_path / "module")
    return str(tmp_path / "module")


@pytest.fixture
def another(tmp_path: Path) -> Module:
    """A module with other weights."""
    return tiny_module(tmp_path / "others", sentence=SentenceConfig(max_seq_length=32, prompts=PROMPTS), seed=7)
