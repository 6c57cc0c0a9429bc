"""A system of `tfhub` in its own process: texts to ids, or ids to hidden states; asked as `encode_worker` is.

Run by `harness.Worker` as `python -m benchmarks.tfhub_worker SYSTEM MODEL_DIR WORK_DIR`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import evenly, serve
from benchmarks.systems import System
from wellread.config import EncoderConfig, SentenceConfig
from wellread.encoder.encoder import INPUTS
from wellread.export.dialect import tfhub_tokenizer
from wellread.module import Module, load
from wellread.text.batch import bert_pack_inputs
from wellread.text.tokenizer import load_tokenizer
from wellread.text.tokenizer_files import write_tokenizer

FIRST_PASS, LATER_PASSES = "preprocess, first pass", "preprocess, later passes"
SEQ_LENGTH = 128  # of the preprocessor, TF Hub's default
LENGTHS = (128, 32)  # tokens of a row before the encoder
TEXTS, ROWS = 256, 32  # before the encoder, and in one batch
ENCODER, PREPROCESSOR = "encoder", "preprocessor"  # the directories of the SavedModels

Outputs = list[Mapping[str, Any]]  # of each call


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One workload of one system."""

    run: Callable[[], Outputs]
    texts: int  # that one run takes
    prepare: Callable[[], object] = lambda: None  # called before each run, not counted


Workloads = dict[str, Workload]  # by name


def lengths(config: EncoderConfig) -> list[int]:
    """Return the lengths at which an encoder is measured, none beyond its position table."""
    return sorted({min(length, config.max_position_embeddings) for length in LENGTHS}, reverse=True)


def tokenizer_workloads(module: Module, texts: list[str], work_dir: Path) -> Workloads:
    """Run our tokenizer, which remembers words: when it is fresh, and when it has seen these texts."""
    files = work_dir / "tokenizer"
    files.mkdir()
    config = write_tokenizer(files, tfhub_tokenizer(module.tokenizer), max_length=SEQ_LENGTH)
    fresh = [load_tokenizer(files, config)]

    def renew() -> None:
        fresh[0] = load_tokenizer(files, config)

    def run() -> Outputs:
        return [bert_pack_inputs([fresh[0].tokenize(texts)], special=fresh[0].special, seq_length=SEQ_LENGTH)]

    first, later = Workload(run=run, texts=len(texts), prepare=renew), Workload(run=run, texts=len(texts))
    return {FIRST_PASS: first, LATER_PASSES: later}


def preprocessor_workloads(module: Module, texts: list[str], work_dir: Path) -> Workloads:
    """Run tensorflow-text in our SavedModel; it remembers nothing, so both passes are the same to it."""
    import tensorflow_hub as hub
    import tensorflow_text  # noqa: F401 - registers the ops of the graph

    preprocessor = hub.load(str(work_dir / PREPROCESSOR))
    return dict.fromkeys((FIRST_PASS, LATER_PASSES), Workload(run=lambda: [preprocessor(texts)], texts=len(texts)))


def saved_model_workloads(module: Module, texts: list[str], work_dir: Path) -> Workloads:
    """Run our SavedModel as its users call it."""
    import tensorflow as tf
    import tensorflow_hub as hub

    return _encode_workloads(module, texts, hub.load(str(work_dir / ENCODER)), convert=tf.constant)


def keras_function_workloads(module: Module, texts: list[str], work_dir: Path) -> Workloads:
    """Run Keras' layers in a tf.function for any batch and length."""
    import tensorflow as tf

    from benchmarks.keras_encoder import keras_encoder

    model = keras_encoder(module.checkpoint)
    spec = {name: tf.TensorSpec([None, None], tf.int32, name=name) for name in model.input}
    function = tf.function(lambda batch: model(batch, training=False), input_signature=[spec])
    return _encode_workloads(module, texts, function, convert=tf.constant)


def keras_predict_workloads(module: Module, texts: list[str], work_dir: Path) -> Workloads:
    """Run Keras' layers by `predict_on_batch`, arrays in and out."""
    from benchmarks.keras_encoder import keras_encoder

    return _encode_workloads(
        module, texts, keras_encoder(module.checkpoint).predict_on_batch, convert=lambda array: array
    )


def _encode_workloads(
    module: Module, texts: list[str], call: Callable[[Any], Mapping[str, Any]], *, convert: Callable[[Any], Any]
) -> Workloads:
    """Make a workload of each length; the batches lie ready, in the type that `call` takes."""
    names = INPUTS if module.checkpoint.config.type_vocab_size else INPUTS[:2]
    sample = [texts[i] for i in evenly(TEXTS, len(texts))]

    def batches(length: int) -> Iterator[dict[str, Any]]:
        for start in range(0, len(sample), ROWS):
            packed = module.bert_pack_inputs([module.tokenize(sample[start : start + ROWS])], seq_length=length)
            yield {name: convert(packed[name]) for name in names}

    def workload(ready: list[dict[str, Any]]) -> Workload:
        return Workload(run=lambda: [call(batch) for batch in ready], texts=len(sample))

    return {f"encode, {length} tokens": workload(list(batches(length))) for length in lengths(module.checkpoint.config)}


OURS = ("wellread tokenizer", "wellread SavedModel")
_TABLE = (
    System(name=OURS[0], description="Tokenizer.tokenize and bert_pack_inputs", loader="tokenizer"),
    System(name="tensorflow-text", description="the preprocessor, hub.load(...)(texts)", loader="preprocessor"),
    System(name=OURS[1], description="hub.load(...)(batch)", loader="saved_model"),
    System(name="Keras tf.function", description="Keras' layers in a tf.function", loader="keras_function"),
    System(name="Keras predict_on_batch", description="Keras' layers, on arrays", loader="keras_predict"),
)
TFHUB_SYSTEMS = {system.name: system for system in _TABLE}
LOADERS: dict[str, Callable[[Module, list[str], Path], Workloads]] = {
    "tokenizer": tokenizer_workloads,
    "preprocessor": preprocessor_workloads,
    "saved_model": saved_model_workloads,
    "keras_function": keras_function_workloads,
    "keras_predict": keras_predict_workloads,
}
BUNDLE = "bundle"  # the directory of the SavedModel that holds variables alone


class Answers:
    """What a worker does when asked; each method is one request, its return value the answer."""

    def __init__(self, system: System, model_dir: Path, work_dir: Path) -> None:
        """Do nothing yet."""
        self.system = system
        self.paths = (model_dir, work_dir)
        self.workloads: Workloads

    def prepare(self) -> dict[str, Any]:
        """Write both SavedModels of the module."""
        import tensorflow as tf

        from wellread.export.graphs import EncoderGraph, text_graph

        model_dir, work_dir = self.paths
        module = load(model_dir)
        root = EncoderGraph(module.checkpoint).encoder(assets={}, do_lower_case=module.tokenizer.config.do_lower_case)
        tf.saved_model.save(root, str(work_dir / ENCODER))
        text = text_graph(module.tokenizer, type_ids=module.checkpoint.config.type_vocab_size > 0)
        text.trace()
        tf.saved_model.save(text, str(work_dir / PREPROCESSOR))
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
        tensors = variables(Checkpoint(family=family, config=shape, tensors=in_memory(dict(arrays))))
        tf.saved_model.save(tf.train.Checkpoint(variables=[*tensors.values()]), str(self.paths[1] / BUNDLE))
        return {}

    def load(self, texts: list[str]) -> dict[str, Any]:
        """Load what is measured, for these texts; tell the workloads that it does."""
        model_dir, work_dir = self.paths
        self.workloads = LOADERS[self.system.loader](load(model_dir), texts, work_dir)
        return {"workloads": {name: one.texts for name, one in self.workloads.items()}}

    def run(self, workload: str) -> dict[str, Any]:
        """Do a workload once; tell the seconds."""
        one = self.workloads[workload]
        one.prepare()
        started = time.perf_counter()
        outputs = one.run()
        seconds = time.perf_counter() - started
        del outputs  # freed after the clock
        return {"seconds": seconds}

    def save(self, workload: str, file: str) -> dict[str, Any]:
        """Do a workload once more and leave what its first call returned in an .npz file."""
        first = self.workloads[workload].run()[0]
        arrays: dict[str, Any] = {name: np.asarray(x) for name, x in first.items() if not isinstance(x, list)}
        np.savez(file, **arrays)
        return {}


if __name__ == "__main__":
    os.environ["KERAS_BACKEND"] = "tensorflow"
    serve(lambda name, model_dir, work_dir: Answers(TFHUB_SYSTEMS[name], model_dir, work_dir))
