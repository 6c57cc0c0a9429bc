"""A module to ONNX: a directory whose graph ONNX Runtime opens, with the tokenizer and configuration beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from wellread.checkpoints.checkpoint import Checkpoint, in_memory
from wellread.checkpoints.native import GRAPH, narrowed, read_native, refuse_stranger, refuse_unrecorded, write_around
from wellread.errors import ExportError, require_extra
from wellread.export.graph_names import TEXT, shapes_out
from wellread.export.graph_parity import GraphParity, check_graph, graph_batches, reference_outputs
from wellread.export.parity import difference
from wellread.files import CARD_MARK, own_card, refuse_existing, whole_directory
from wellread.fingerprint import fingerprint
from wellread.formats.arrays import StoredTensor
from wellread.module import Module
from wellread.quantising.quantise import quantise_checkpoint

DTYPES = ("float32", "float16", "int8")
OPSETS = range(20, 25)  # below 20 there is no Gelu; what is above was not tried
MLM = "cls.predictions."


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedGraph:
    """What was written, and how it was found to agree."""

    graph: str  # the file, in the directory
    dtype: str
    opset: int
    fingerprint: str  # of the weights as they are stored: what `wellread.load` of the directory has
    megabytes: float
    batches: int
    outputs: int  # arrays compared
    largest_difference: float  # to float64 over the stored weights, over max(1, the largest number of the array)
    rounding: float  # how far storing the weights so moved the sentence vectors, or the logits, in the same measure
    texts: int = 0  # whose ids a tokenizer inside was found to make
    refused_texts: int = 0  # with other ids, each with a character that the card names
    notes: tuple[str, ...] = ()


def export_onnx(
    module: Module,
    directory: str | os.PathLike[str],
    *,
    dtype: str = "float32",
    opset: int | None = None,
    with_tokenizer: bool = False,
    texts: Sequence[str] = (),
    mlm: bool = False,
    overwrite: bool = False,
) -> ExportedGraph:
    """Write `module` to `directory` as `onnx/model.onnx`, with its tokenizer and configuration.

    The graph takes int64 `input_ids`, `attention_mask` and, where the module has types, `token_type_ids` [B, T]. It
    gives a head's `logits` (`start_logits` and `end_logits` of one that answers), `last_hidden_state` [B, T, D],
    `pooler_output` [B, D] where there is a pooler, and `sentence_embedding` [B, E], pooled, mapped and normalised.
    Weights are stored as `dtype`, and multiplied in float32: as float16, or as int8 with the scales of their rows,
    which a module without int8 matrices gets as from `save(dtype="int8")`. It is run in a fresh process by ONNX Runtime
    and compared with float64, then read back, before it is kept. With `overwrite`, what stands there is replaced then,
    but for a README.md that people wrote.

    With `with_tokenizer` the tokenizer is inside: the graph takes strings `text` [B] and gives `input_ids` and
    `attention_mask` [B, T] too, which must be the tokenizer's of 20,000 lines and of `texts`. With `mlm` the
    masked-language-model head is inside, and `mlm_logits` [B, T, V] are an output.

    Raises: MissingExtra; ExportError for a `dtype` or `opset` that is not written, for `mlm` without such a head, for a
        tokenizer that no graph computes, or where the graph does not agree; CheckpointError where something stands
        there, and with `overwrite` where files of others do, or where the module is none of its family.

    >>> import wellread
    >>> from wellread.export.onnx import export_onnx
    >>> export_onnx(wellread.load("default"), "runs/onnx", dtype="int8", overwrite=True).graph
    'onnx/model.onnx'
    """
    for package in ("onnx", "onnxruntime"):
        require_extra(package, extra="onnx")
    from wellread.backends.onnx import save_graph
    from wellread.export.onnx_graph import OPSET, build_graph
    from wellread.export.text_parity import check_text, text_card, text_facts, text_part

    opset = OPSET if opset is None else opset
    check_dtype(dtype)
    _check_opset(opset)
    _check_parts(module, with_tokenizer=with_tokenizer, texts=texts, mlm=mlm)
    make_way(module, Path(directory), overwrite=overwrite)  # before any work
    part = text_part(module.checkpoint, module.tokenizer) if with_tokenizer else None
    stored, provenance = stored_as(module, dtype, mlm=mlm)
    facts = described(stored, module, dtype) | ({} if part is None else text_facts(part))
    with whole_directory(Path(directory), overwrite=overwrite) as partial:
        model = build_graph(stored, opset=opset, metadata=facts, text=part)
        ids = None if part is None else check_text(module.tokenizer, part, model, texts)
        (partial / GRAPH).parent.mkdir()
        save_graph(model, partial / GRAPH)
        size = megabytes(partial / GRAPH)
        about = PLAIN if part is None else f"{text_card(part)} {READ_BACK}"
        of_graph = f"`{GRAPH}`, of ONNX's opset {opset}"
        card = own_card(Path(directory)) or graph_card(stored, facts, of_graph, about, of_text=with_tokenizer)
        arrays = stored.stored(floats="sentence.")
        write_around(partial, stored, module.tokenizer, arrays, provenance=provenance, card=card)
        parity = check_graph(
            stored,
            module.tokenizer,
            partial / GRAPH,
            runtime="onnxruntime",
            metadata=facts,
            template=None if part is None else part.template,
        )
        check_back(partial, facts["fingerprint"])
        found = proof(module, stored, facts, parity)
    found |= {} if ids is None else {"texts": ids.texts, "refused_texts": ids.refused}
    return ExportedGraph(graph=GRAPH, dtype=dtype, opset=opset, megabytes=size, **found)


def make_way(module: Module, directory: Path, *, overwrite: bool) -> None:
    """Refuse a module that would not come back, and a directory that must not give way to it.

    With `overwrite`, tensors that are still to be read are read, for they may lie in the files that go.

    Raises: CheckpointError, WeightsError, ConfigError.
    """
    refuse_stranger(module.checkpoint)
    if not overwrite:
        refuse_existing(directory, advice=", or pass overwrite=True")
        return
    refuse_unrecorded(directory)
    module.checkpoint = replace(module.checkpoint, tensors=in_memory(module.checkpoint.stored()))


def megabytes(graph: Path) -> float:
    """Return the size of a graph and of what lies beside it."""
    return round(sum(path.stat().st_size for path in graph.parent.iterdir()) / 1e6, 1)


def proof(module: Module, stored: Checkpoint, facts: dict[str, str], parity: GraphParity) -> dict[str, Any]:
    """Return the fields of `ExportedGraph` that say how an export was found to agree."""
    return {
        "fingerprint": facts["fingerprint"],
        "batches": parity.batches,
        "outputs": parity.outputs,
        "largest_difference": parity.largest_difference,
        "rounding": moved_by(module, stored),
        "notes": tuple(notes_of(module, stored)),
    }


def check_dtype(dtype: str) -> None:
    """Refuse a type that graphs are not written with. Raises: ExportError."""
    if dtype not in DTYPES:
        raise ExportError(
            f"weights were to be exported as {dtype!r}; graphs are written with {', '.join(DTYPES)}; choose one"
        )


def _check_opset(opset: int) -> None:
    if type(opset) is not int or opset not in OPSETS:
        raise ExportError(
            f"a graph of ONNX's opset {opset!r} was asked for; wellread writes {OPSETS[0]} to {OPSETS[-1]}; choose one "
            "that the runtime knows"
        )


def _check_parts(module: Module, *, with_tokenizer: bool, texts: Sequence[str], mlm: bool) -> None:
    """Refuse options that have nothing to work on. Raises: ExportError."""
    if mlm and not module.checkpoint.has_mlm:
        raise ExportError(
            "mlm_logits were asked of the graph; found a module without a masked-language-model head; load one "
            "that has it, or leave mlm out"
        )
    if isinstance(texts, str) or not isinstance(texts, Sequence) or not all(isinstance(text, str) for text in texts):
        raise ExportError(f"texts= takes a list of texts; found {texts!r:.100}; pass texts whose ids are to be proved")
    if texts and not with_tokenizer:
        raise ExportError(
            f"{len(texts)} texts were given, whose ids a tokenizer inside the graph must make; found "
            "with_tokenizer=False; pass with_tokenizer=True, or no texts"
        )


def stored_as(module: Module, dtype: str, *, mlm: bool = False) -> tuple[Checkpoint, dict[str, Any]]:
    """Return what a graph holds, its weights as `dtype`, and where it comes from.

    A masked-language-model head goes unless `mlm` keeps it.
    """
    checkpoint, provenance = module.checkpoint, dict(module.provenance)
    if dtype == "int8" and not checkpoint.has_int8:
        int8 = quantise_checkpoint(checkpoint, module.tokenizer)
        checkpoint, provenance = int8.checkpoint, dict(int8.provenance(module.provenance))
    arrays = checkpoint.stored(floats="sentence.") if dtype == "int8" else checkpoint.arrays()
    kept = {name: array for name, array in arrays.items() if mlm or not name.startswith(MLM)}
    if dtype == "float16":
        tensors = {name: _half(narrowed(name, np.asarray(array), dtype)) for name, array in kept.items()}
    else:
        tensors = in_memory(kept)
    return replace(checkpoint, tensors=tensors), provenance


def _half(array: Any) -> StoredTensor:
    return StoredTensor(shape=array.shape, dtype="float16", read=lambda: array.astype(np.float32))


def described(stored: Checkpoint, module: Module, dtype: str) -> dict[str, str]:
    """Say what the graph is, for whoever has the file alone: its metadata."""
    sentence, head = stored.sentence, stored.head
    cut = {} if sentence.truncate_dim is None else {"truncate_dim": str(sentence.truncate_dim)}  # left to the caller
    of_head = {} if head is None else {"task": head.task, "labels": json.dumps(head.labels, ensure_ascii=False)}
    return {
        "fingerprint": fingerprint(stored, module.tokenizer),
        "family": stored.family,
        "weights": dtype,
        "max_seq_length": str(sentence.max_seq_length),
        "pooling": sentence.pooling,
        "normalize": str(sentence.normalize).lower(),
        "embedding_size": str(stored.embedding_size),
        "similarity": sentence.similarity_fn_name,
        "tokenizer": module.tokenizer.config.dialect,
        "vocabulary": str(module.tokenizer.vocab_size),
        **cut,
        **of_head,
    }


def check_back(directory: Path, expected: str) -> None:
    """Read the module back out of its graph. Raises: ExportError where it is another."""
    source = read_native(directory)
    if (found := fingerprint(source.checkpoint, source.tokenizer)) != expected:
        raise ExportError(
            f"the module was read back out of its graph; found the fingerprint {found} where {expected} was written; "
            "report this; nothing was kept"
        )


def moved_by(module: Module, stored: Checkpoint) -> float:
    """Say how far the weights as they are stored moved the logits, or else the sentence vectors, of six real texts."""
    batch = graph_batches(stored, module.tokenizer)[0]
    before, after = (reference_outputs(each, batch) for each in (module.checkpoint, stored))
    name = next((name for name in after if name.endswith("logits")), "sentence_embedding")
    return difference(after[name], before[name])


READ_BACK = "`wellread.load` reads the module back."
PLAIN = f"Every node is plain ONNX; the tokenizer is `tokenizer.json`. {READ_BACK}"


def graph_card(stored: Checkpoint, facts: dict[str, str], graph: str, about: str, *, of_text: bool = False) -> str:
    """Return the text of the directory's README.md; `graph` names the file and what it is made of."""
    shapes = shapes_out(stored, of_text=of_text)
    outputs = ", ".join(f"`{name}` {list(shape)}".replace("'", "") for name, shape in shapes.items())
    types = " and `token_type_ids`" if stored.config.reads_types else ""
    ids = f"int64 `input_ids`, `attention_mask`{types} [batch_size, sequence_length]"
    lines = [
        CARD_MARK,
        "",
        "# A graph",
        "",
        f"{graph} (weights as {facts['weights']}, arithmetic in float32) takes "
        f"{f'strings `{TEXT}` [batch_size]' if of_text else ids} and gives {outputs}. At most "
        f"{stored.config.max_length} tokens; texts are cut at {facts['max_seq_length']}.",
        "",
        about,
        "",
        *(f"- {name}: {value}" for name, value in facts.items()),
    ]
    return "\n".join(lines) + "\n"


def notes_of(module: Module, stored: Checkpoint) -> Iterator[str]:
    """Say what of the module the graph does not hold."""
    checkpoint = module.checkpoint
    if checkpoint.has_mlm and not stored.has_mlm:
        yield "the masked-language-model head stays behind"
    if checkpoint.sentence.truncate_dim is not None:
        yield f"sentence_embedding has all its dimensions; cut it at truncate_dim={checkpoint.sentence.truncate_dim}"
    if not checkpoint.sentence.include_prompt:
        yield "pooling_mask is an input more: attention_mask with zeros at the prompt's tokens"
    if checkpoint.sentence.prompts:
        yield f"prompts are for the caller to put before texts: {', '.join(checkpoint.sentence.prompts)}"
