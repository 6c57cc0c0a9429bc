"""A system of `tokenise` in its own process, on one core: texts to ids, with a new tokenizer or one that has read them.

Run by `harness.Worker` as `python -m benchmarks.tokenise_worker SYSTEM MODEL_DIR WORK_DIR`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import serve
from benchmarks.systems import System
from wellread.export.dialect import tfhub_tokenizer
from wellread.module import load
from wellread.native_library import SWITCH
from wellread.text.batch import Ragged
from wellread.text.tokenizer import Tokenizer, load_tokenizer
from wellread.text.tokenizer_files import write_tokenizer
from wellread.text.tokenizer_json import fast_tokenizer

Tokenise = Callable[[list[str]], Any]
Rows = Callable[[Any], Ragged]  # what a `Tokenise` returned, as rows of ids


def ours(tokenizer: Tokenizer) -> Tokenise:
    """Run our tokenizer."""
    return tokenizer.tokenize


def library(tokenizer: Tokenizer) -> Tokenise:
    """Run the tokenizers library with the same rules, by the quickest of its functions."""
    fast = fast_tokenizer(tokenizer)
    assert fast is not None
    return lambda texts: fast.encode_batch_fast(texts, add_special_tokens=False)


def tensorflow_text(tokenizer: Tokenizer) -> Tokenise:
    """Run tensorflow-text's BertTokenizer over the same vocabulary."""
    import tensorflow as tf

    from wellread.export.graphs import WordPieces

    rules = WordPieces(tokenizer)
    return lambda texts: rules.tokenize(tf.constant(texts)).merge_dims(1, 2)


TABLE = (
    System(name="wellread", description="Tokenizer.tokenize", loader="ours"),
    System(name="wellread-python", description="the same without the native library", loader="ours"),
    System(name="tokenizers", description="encode_batch_fast, ids left inside", loader="library"),
    System(name="wellread-tfhub", description="Tokenizer.tokenize, TF Hub's rules", loader="ours"),
    System(
        name="tensorflow-text",
        description="BertTokenizer.tokenize",
        loader="tensorflow_text",
        needs=("tensorflow_text",),
    ),
)
SYSTEMS = {system.name: system for system in TABLE}
TFHUB = ("wellread-tfhub", "tensorflow-text")  # under TF Hub's rules; the others are under Hugging Face's
LOADERS: dict[str, tuple[Callable[[Tokenizer], Tokenise], Rows]] = {
    "ours": (ours, lambda rows: rows),
    "library": (library, lambda encodings: Ragged.from_rows([encoding.ids for encoding in encodings])),
    "tensorflow_text": (
        tensorflow_text,
        lambda rows: Ragged(values=rows.values.numpy(), splits=rows.row_splits.numpy()),
    ),
}


class Answers:
    """What a worker does when asked; each method is one request, its return value the answer."""

    def __init__(self, system: System, model_dir: Path, work_dir: Path) -> None:
        """Write the files of the tokenizer, from which it is loaded for each first pass."""
        self.make, self.rows = LOADERS[system.loader]
        tokenizer = load(model_dir).tokenizer
        tokenizer = tfhub_tokenizer(tokenizer) if system.name in TFHUB else tokenizer
        self.files = work_dir / system.name
        self.files.mkdir()
        self.config = write_tokenizer(self.files, tokenizer, max_length=128)
        self.texts: dict[str, list[str]] = {}
        self.tokenise: Tokenise

    def take(self, kind: str, texts: list[str]) -> dict[str, Any]:
        """Keep texts of a kind."""
        self.texts[kind] = texts
        return {}

    def renew(self) -> dict[str, Any]:
        """Load the tokenizer anew, and use it once, so that nothing is left to be loaded."""
        self.tokenise = self.make(load_tokenizer(self.files, self.config))
        self.tokenise(["a"])
        return {}

    def run(self, kind: str) -> dict[str, Any]:
        """Tokenise the texts of a kind; tell the seconds of CPU."""
        texts = self.texts[kind]
        started = time.process_time()
        result = self.tokenise(texts)
        seconds = time.process_time() - started
        del result  # freed after the clock
        return {"seconds": seconds}

    def save(self, kind: str, file: str) -> dict[str, Any]:
        """Leave the ids of the texts of a kind in an .npz file."""
        rows = self.rows(self.tokenise(self.texts[kind]))
        np.savez(file, values=rows.values, splits=rows.splits)
        return {}


def on_one_core(name: str, model_dir: Path, work_dir: Path) -> Answers:
    """Bind the process to one core, before any library counts them."""
    os.environ["RAYON_NUM_THREADS"], os.environ["TOKENIZERS_PARALLELISM"] = "1", "false"
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    if name == "wellread-python":
        os.environ[SWITCH] = "off"
    return Answers(SYSTEMS[name], model_dir, work_dir)


if __name__ == "__main__":
    serve(on_one_core)
