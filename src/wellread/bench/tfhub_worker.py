"""A contender of `bench tfhub` in its own process, asked and answering as `worker` does.

Run by `process.Worker` as `python -m wellread.bench.tfhub_worker CONTENDER MODEL_DIR WORK_DIR`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from wellread.bench.contenders import Contender
from wellread.bench.tfhub_jobs import (
    ENCODER,
    PREPROCESSOR,
    Jobs,
    keras_function_jobs,
    keras_predict_jobs,
    preprocessor_jobs,
    saved_model_jobs,
    tokenizer_jobs,
)
from wellread.bench.worker import serve
from wellread.config import EncoderConfig, SentenceConfig
from wellread.module import Module, load

OURS = ("wellread tokenizer", "wellread SavedModel")
_TABLE = (
    Contender(name=OURS[0], description="Tokenizer.tokenize and bert_pack_inputs", loader="tokenizer"),
    Contender(name="tensorflow-text", description="the preprocessor, hub.load(...)(texts)", loader="preprocessor"),
    Contender(name=OURS[1], description="hub.load(...)(batch)", loader="saved_model"),
    Contender(name="Keras tf.function", description="Keras' layers in a tf.function", loader="keras_function"),
    Contender(name="Keras predict_on_batch", description="Keras' layers, on arrays", loader="keras_predict"),
)
TFHUB_CONTENDERS = {contender.name: contender for contender in _TABLE}
LOADERS: dict[str, Callable[[Module, list[str], Path], Jobs]] = {
    "tokenizer": tokenizer_jobs,
    "preprocessor": preprocessor_jobs,
    "saved_model": saved_model_jobs,
    "keras_function": keras_function_jobs,
    "keras_predict": keras_predict_jobs,
}
BUNDLE = "bundle"  # the directory of the SavedModel that holds variables alone


class Answers:
    """What a worker does when asked; each method is one request, its return value the answer."""

    def __init__(self, contender: Contender, model_dir: Path, work_dir: Path) -> None:
        """Do nothing yet."""
        self.contender = contender
        self.paths = (model_dir, work_dir)
        self.jobs: Jobs

    def prepare(self) -> dict[str, Any]:
        """Write both SavedModels of the module."""
        import tensorflow as tf

        from wellread.export.graphs import EncoderGraph, text_graph

        model_dir, place = self.paths
        module = load(model_dir)
        root = EncoderGraph(module.checkpoint).encoder(assets={}, do_lower_case=module.tokenizer.config.do_lower_case)
        tf.saved_model.save(root, str(place / ENCODER))
        text = text_graph(module.tokenizer, type_ids=module.checkpoint.config.type_vocab_size > 0)
        text.trace()
        tf.saved_model.save(text, str(place / PREPROCESSOR))
        return {}

    def prepare_bundle(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Write a SavedModel that holds the variables of an encoder of this shape, and no function."""
        import tensorflow as tf

        from wellread.backends.tensorflow import variables
        from wellread.checkpoints.checkpoint import Checkpoint, in_memory
        from wellread.learn.init import fresh_arrays

        shape = EncoderConfig(**config)
        arrays = fresh_arrays(shape, SentenceConfig(), seed=0)
        family = "bert" if shape.type_vocab_size else "distilbert"
        held = variables(Checkpoint(family=family, config=shape, tensors=in_memory(dict(arrays))))
        tf.saved_model.save(tf.train.Checkpoint(variables=[*held.values()]), str(self.paths[1] / BUNDLE))
        return {}

    def load(self, texts: list[str]) -> dict[str, Any]:
        """Load what is measured, for these texts; tell the works that it does."""
        model_dir, place = self.paths
        self.jobs = LOADERS[self.contender.loader](load(model_dir), texts, place)
        return {"works": {name: job.texts for name, job in self.jobs.items()}}

    def lap(self, work: str) -> dict[str, Any]:
        """Do a work once; tell the seconds."""
        job = self.jobs[work]
        job.ready()
        started = time.perf_counter()
        made = job.run()
        seconds = time.perf_counter() - started
        del made  # freed after the clock
        return {"seconds": seconds}

    def keep(self, work: str, file: str) -> dict[str, Any]:
        """Do a work once more and leave what its first call made in an .npz file."""
        first = self.jobs[work].run()[0]
        arrays: dict[str, Any] = {name: np.asarray(x) for name, x in first.items() if not isinstance(x, list)}
        np.savez(file, **arrays)
        return {}


def main() -> None:
    """Answer requests until stdin ends."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    serve(lambda name, model_dir, work_dir: Answers(TFHUB_CONTENDERS[name], model_dir, work_dir))


if __name__ == "__main__":
    main()
