"""A module to TF Hub: an encoder and a preprocessor as SavedModels that tensorflow-hub's users load unchanged."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from wellread.checkpoints.families import FAMILIES
from wellread.config import SentenceConfig
from wellread.errors import require_extra
from wellread.export.dialect import DIFFERENCES, SEQ_LENGTH, TFHUB_DIALECTS, tfhub_tokenizer, without_counterpart
from wellread.export.parity import Exported, check_export
from wellread.files import refuse_others, whole_directory
from wellread.module import Module
from wellread.text.tokenizer import Tokenizer
from wellread.text.tokenizer_files import write_tokenizer

OF_CONTRACT = {"cls", "mean", "pooled_output"}  # poolings that a reader of the outputs makes in one line
SAVED_MODEL = ("saved_model.pb", "fingerprint.pb", "variables/", "assets/")
PACKAGES = ("tensorflow", "tensorflow_text", "tensorflow_hub", "tf_keras")


def export_tfhub(
    module: Module,
    directory: str | os.PathLike[str],
    *,
    preprocessor: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
) -> Exported:
    """Write the encoder of `module` as a SavedModel to `directory`, and its text rules to `preprocessor`, if given.

    The contract is TF Hub's for transformer encoders (tfhub.dev, "Common SavedModel APIs for Text"): a dict of int32
    `input_word_ids`, `input_mask`, `input_type_ids` [B, T] in; `pooled_output` [B, D], `sequence_output` [B, T, D],
    `encoder_outputs` (L of [B, T, D]) and, for BERT, `default` out; `.mlm` where the module has the head. A fine-tuned
    module gives its `logits` too, and its labels in their order as the string variable `labels`. Before it is called
    done, both are loaded back with tensorflow-hub in a fresh process and compared; see `parity`. With `overwrite`,
    SavedModels that stand there are replaced then.

    Raises: MissingExtra; CheckpointError where a directory exists, and with `overwrite` where files of others do;
        ExportError where the artefact does not agree with the module or cannot express it. Then nothing changes.
    """
    for package in PACKAGES:
        require_extra(package, extra="tf")
    rules = module.tokenizer.config
    bare = preprocessor is None and bool(rules.template != "bert" or without_counterpart(rules))
    tokenizer = module.tokenizer if bare else tfhub_tokenizer(module.tokenizer)
    directories = [Path(path) for path in (directory, preprocessor) if path is not None]
    for path in directories if overwrite else []:
        refuse_others(path, SAVED_MODEL)
    with ExitStack() as stack:
        encoder, *texts = (stack.enter_context(whole_directory(path, overwrite=overwrite)) for path in directories)
        text = texts[0] if texts else None
        _write(module, tokenizer, encoder, text)
        exported = check_export(module.checkpoint, tokenizer, encoder=encoder, preprocessor=text)
    return replace(exported, notes=tuple(_notes(module)))


def _write(module: Module, tokenizer: Tokenizer, encoder: Path, preprocessor: Path | None) -> None:
    """Save both objects; each carries the files of its vocabulary."""
    import tensorflow as tf

    from wellread.export.graphs import EncoderGraph, text_graph

    with tempfile.TemporaryDirectory() as directory:
        files: dict[str, str | None] = {}  # by the attribute of each; rules that TF Hub does not have leave none
        if tokenizer.config.dialect in TFHUB_DIALECTS.values() and tokenizer.config.template == "bert":
            config = write_tokenizer(Path(directory), tokenizer, max_length=512)
            files = {"vocab_file": config.vocab_file, "sp_model_file": config.model_file}
        assets = {attribute: Path(directory, name) for attribute, name in files.items() if name is not None}
        graph = EncoderGraph(module.checkpoint)
        root = graph.encoder(assets=assets, do_lower_case=tokenizer.config.do_lower_case)
        tf.saved_model.save(root, str(encoder), signatures=graph.signatures())
        if preprocessor is not None:
            text = text_graph(tokenizer, type_ids=module.checkpoint.config.reads_types)
            text.trace()
            for name, path in assets.items():
                setattr(text, name, tf.saved_model.Asset(str(path)))
            tf.saved_model.save(text, str(preprocessor))


def _of_vector(sentence: SentenceConfig) -> list[str]:
    """Name what of a sentence vector no output of TF Hub's holds."""
    steps = sentence.dense or sentence.normalize
    return [
        *([] if set(sentence.poolings) <= OF_CONTRACT else [f"pooling ({sentence.pooling})"]),
        *(["linear maps and normalisation"] if steps else []),
    ]


def _notes(module: Module) -> Iterator[str]:
    """Say what of the module TF Hub's contract does not hold, or holds otherwise."""
    checkpoint = module.checkpoint
    dialect, template = module.tokenizer.config.dialect, module.tokenizer.config.template
    if template != "bert" or without_counterpart(module.tokenizer.config):
        yield "text rules stay behind: TF Hub has none like them; load it with the module's directory as tokenizer="
    elif dialect in DIFFERENCES:
        yield f"text rules: {DIFFERENCES[dialect]}"
    if checkpoint.head is not None and not checkpoint.head.outputs:
        yield f"the head for {checkpoint.head.task} stays behind: it compares sentence vectors"
    if left := _of_vector(checkpoint.sentence):
        yield f"the sentence vector's {', '.join(left)} stay behind: TF Hub's encoders have no such output"
    if checkpoint.config.pooler == "first_token" and "pooler" not in FAMILIES[checkpoint.family].constants:
        yield "pooled_output is the vector of position 0: the module has no pooler"
    if checkpoint.config.max_length < SEQ_LENGTH:
        longest = checkpoint.config.max_length
        yield f"its preprocessor pads to {SEQ_LENGTH} tokens unless seq_length is given, the encoder holds {longest}"
    if not checkpoint.has_mlm:
        yield "there is no .mlm: the module has no masked-language-model head"
