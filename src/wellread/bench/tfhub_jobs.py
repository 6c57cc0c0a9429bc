"""What the contenders of `bench tfhub` do, each in a process of its own: texts to ids, and ids to hidden states."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wellread.bench.texts import evenly
from wellread.config import EncoderConfig
from wellread.encoder.encoder import INPUTS
from wellread.export.dialect import tfhub_tokenizer
from wellread.module import Module
from wellread.text.batch import bert_pack_inputs
from wellread.text.tokenizer import load_tokenizer
from wellread.text.tokenizer_files import write_tokenizer

FIRST_PASS, LATER_PASSES = "preprocess, first pass", "preprocess, later passes"
SEQ_LENGTH = 128  # of the preprocessor, TF Hub's default
LENGTHS = (128, 32)  # tokens of a row before the encoder
TEXTS, ROWS = 256, 32  # before the encoder, and in one batch
ENCODER, PREPROCESSOR = "encoder", "preprocessor"  # the directories of the SavedModels

Outputs = list[Mapping[str, Any]]  # of each call


def nothing() -> None:
    """Do nothing before a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One work of one contender."""

    run: Callable[[], Outputs]
    texts: int  # that one run takes
    ready: Callable[[], None] = nothing  # done before each run, not counted


Jobs = dict[str, Job]  # by the name of the work


def lengths(config: EncoderConfig) -> list[int]:
    """Return the lengths at which an encoder is measured, none beyond its position table."""
    return sorted({min(length, config.max_position_embeddings) for length in LENGTHS}, reverse=True)


def tokenizer_jobs(module: Module, texts: list[str], place: Path) -> Jobs:
    """Run our tokenizer, which remembers words: when it is fresh, and when it has seen these texts."""
    files = place / "tokenizer"
    files.mkdir()
    config = write_tokenizer(files, tfhub_tokenizer(module.tokenizer), max_length=SEQ_LENGTH)
    held = [load_tokenizer(files, config)]

    def renew() -> None:
        held[0] = load_tokenizer(files, config)

    def run() -> Outputs:
        return [bert_pack_inputs([held[0].tokenize(texts)], special=held[0].special, seq_length=SEQ_LENGTH)]

    first, later = Job(run=run, texts=len(texts), ready=renew), Job(run=run, texts=len(texts))
    return {FIRST_PASS: first, LATER_PASSES: later}


def preprocessor_jobs(module: Module, texts: list[str], place: Path) -> Jobs:
    """Run tensorflow-text in our SavedModel; it remembers nothing, so both passes are the same to it."""
    import tensorflow_hub as hub
    import tensorflow_text  # noqa: F401 - registers the ops of the graph

    preprocessor = hub.load(str(place / PREPROCESSOR))
    return dict.fromkeys((FIRST_PASS, LATER_PASSES), Job(run=lambda: [preprocessor(texts)], texts=len(texts)))


def saved_model_jobs(module: Module, texts: list[str], place: Path) -> Jobs:
    """Run our SavedModel as its users call it."""
    import tensorflow as tf
    import tensorflow_hub as hub

    return _encode_jobs(module, texts, hub.load(str(place / ENCODER)), convert=tf.constant)


def keras_function_jobs(module: Module, texts: list[str], place: Path) -> Jobs:
    """Run Keras' layers in a tf.function for any batch and length."""
    import tensorflow as tf

    from wellread.bench.keras_encoder import keras_encoder

    model = keras_encoder(module.checkpoint)
    spec = {name: tf.TensorSpec([None, None], tf.int32, name=name) for name in model.input}
    function = tf.function(lambda batch: model(batch, training=False), input_signature=[spec])
    return _encode_jobs(module, texts, function, convert=tf.constant)


def keras_predict_jobs(module: Module, texts: list[str], place: Path) -> Jobs:
    """Run Keras' layers by `predict_on_batch`, arrays in and out."""
    from wellread.bench.keras_encoder import keras_encoder

    return _encode_jobs(module, texts, keras_encoder(module.checkpoint).predict_on_batch, convert=lambda array: array)


def _encode_jobs(
    module: Module, texts: list[str], call: Callable[[Any], Mapping[str, Any]], *, convert: Callable[[Any], Any]
) -> Jobs:
    """Make a job of each length; the batches lie ready, in the type that `call` takes."""
    names = INPUTS if module.checkpoint.config.type_vocab_size else INPUTS[:2]
    chosen = [texts[i] for i in evenly(TEXTS, len(texts))]

    def batches(length: int) -> Iterator[dict[str, Any]]:
        for start in range(0, len(chosen), ROWS):
            packed = module.bert_pack_inputs([module.tokenize(chosen[start : start + ROWS])], seq_length=length)
            yield {name: convert(packed[name]) for name in names}

    def job(ready: list[dict[str, Any]]) -> Job:
        return Job(run=lambda: [call(batch) for batch in ready], texts=len(chosen))

    return {f"encode, {length} tokens": job(list(batches(length))) for length in lengths(module.checkpoint.config)}
