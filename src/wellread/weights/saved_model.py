"""An encoder's SavedModel, as on TF Hub, read as data: variables, config and tokenizer. Nothing in it is executed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from wellread.config import EncoderConfig, SentenceConfig
from wellread.errors import TextError
from wellread.weights.checkpoint import Checkpoint
from wellread.weights.families.tensorflow import TFHUB
from wellread.weights.huggingface import Source
from wellread.weights.lower_case import Text
from wellread.weights.records import record
from wellread.weights.saved_model_config import described_config, infer_config
from wellread.weights.saved_model_graph import Graph, read_graph
from wellread.weights.saved_model_text import read_text
from wellread.weights.saved_variables import SavedVariables, read_variables
from wellread.weights.tensorflow import leave_out, to_ours

HEAD, PAD = "cls/predictions/", "pad_token_id"


def read_saved_model(directory: Path, *, text: Text | None = None) -> Source:
    """Read the encoder of a SavedModel and its tokenizer; `text` is a preprocessor's, instead of its own.

    Raises: as `read_encoder`, and TextError without a vocabulary.
    """
    graph, variables = read_graph(directory), read_variables(directory)
    encoder = read_encoder(directory, graph, variables)
    own = text or read_text(directory, graph, variables)
    if own is None:
        raise TextError(
            f"a vocabulary was asked of {directory}; this encoder carries none, as DistilBERT's modules on TF Hub; "
            "pass the directory or handle of its preprocessor as tokenizer="
        )
    inferred = {**encoder.inferred, **{f"tokenizer.{rule}": why for rule, why in own.inferred.items()}}
    config, pad = encoder.config, own.tokenizer.special.pad
    if PAD in inferred:
        inferred[PAD] = f"{pad}, the id of {own.tokenizer.config.pad_token}"
        config = replace(config, pad_token_id=pad)
    checkpoint = replace(encoder, config=config, inferred=inferred)
    return Source(directory=directory, checkpoint=checkpoint, tokenizer=own.tokenizer.config, made=own.tokenizer)


def read_encoder(directory: Path, graph: Graph, variables: SavedVariables) -> Checkpoint:
    """Make a checkpoint of what was read of a SavedModel's `directory`; a vocabulary may say more of it.

    A SavedModel of wellread's says what its config is. Of any other every field is inferred, and `Checkpoint.inferred`
    says from what.

    Raises: CheckpointError, ConfigError; WeightsError where it is no encoder of the BERT family.
    """
    kept = leave_out(variables.tensors.items(), TFHUB.ignored, source=directory)
    if variables.description is not None:
        found = described_config(variables.description, source=directory)
    else:
        found = infer_config(kept.variables, graph, source=directory)
    config = record(EncoderConfig, found.values, source=directory)
    mlm = any(name.startswith(HEAD) for name in kept.variables)
    return Checkpoint(
        family=found.family,
        config=config,
        head=found.head,
        sentence=SentenceConfig(max_seq_length=config.max_position_embeddings),
        tensors=to_ours(TFHUB, config, kept.variables, mlm=mlm, source=directory, head=found.head),
        ignored={**variables.ignored, **kept.ignored},
        inferred=found.why,
    )
