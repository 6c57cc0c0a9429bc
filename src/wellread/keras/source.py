"""A handle to what it names, an encoder or a preprocessor: the one place where the layers read files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from wellread.hub.resolve import resolve
from wellread.module import Module, load
from wellread.text.tokenizer import Tokenizer
from wellread.weights.checkpoint import Checkpoint
from wellread.weights.native import is_saved_model
from wellread.weights.saved_model import read_encoder
from wellread.weights.saved_model_graph import read_graph
from wellread.weights.saved_model_text import read_preprocessor, read_text
from wellread.weights.saved_variables import read_variables

WORDS = "word_embeddings/embeddings"
TYPES = b"input_type_ids"  # stands in the graph of a preprocessor that makes them


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Text:
    """What a preprocessor is made of."""

    tokenizer: Tokenizer
    type_ids: bool  # whether it makes `input_type_ids`


def read_source(handle: str | os.PathLike[str], **options: Any) -> Module | Checkpoint | Text:
    """Read what a handle names; options as for `wellread.load`.

    A preprocessor's SavedModel gives a Text; an encoder's without vocabulary, as TF Hub's DistilBERT modules are, a
    bare Checkpoint; everything else a Module. Raises: as `wellread.load`.
    """
    where = {name: options[name] for name in options if name in ("revision", "token", "cache_dir", "local_files_only")}
    directory = resolve(handle, **where)
    if not is_saved_model(directory) or "tokenizer" in options:
        return load(handle, **options)
    graph, variables = read_graph(directory), read_variables(directory)
    if graph.tokenizes and WORDS not in variables.tensors:
        return Text(tokenizer=read_preprocessor(directory).tokenizer, type_ids=TYPES in graph.content)
    if read_text(directory, graph, variables) is None:
        return read_encoder(directory, graph, variables)
    return load(handle, **options)
