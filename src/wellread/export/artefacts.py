"""Whatever may stand for a module, asked for the ids and vectors of texts: a backend, an export, a running server."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wellread.backends.backend import BACKENDS, check_backend
from wellread.backends.numpy import NumpyOps
from wellread.encode import prompt_of
from wellread.encoder.heads import POOLING_MASK, SENTENCE_OUTPUT, needed_outputs, sentence_embedding
from wellread.errors import ExportError, require_extra
from wellread.export.graph_names import IDS, INPUT_NAMES, TEXT, shapes_out
from wellread.export.graph_parity import reference_outputs, rows_of, run_apart
from wellread.export.parity import difference
from wellread.hub.http import post_json, without_password
from wellread.hub.http_errors import FaultError
from wellread.module import Module, load
from wellread.version import __version__

Array = NDArray[Any]
Ids = list[list[int]]  # of each text, special ones included
BATCH = 32  # texts of a request, or of a graph's batch
LOGITS_OF = 8  # texts: those of a masked language model have a number for each piece of its vocabulary at every token
MOST_BYTES = 100_000_000  # of a server's answer
MOST_TOKENS = 1_000_000  # more than any text has
HIDDEN = ("last_hidden_state", "token_embeddings", "sequence_output")  # what graphs call the hidden states
RUNTIMES = {".onnx": "onnxruntime", ".xml": "openvino"}
POOLED = ("pooler_output", "pooled_output")
STRANGE = (ValueError, TypeError, KeyError, OverflowError, RecursionError)  # what reading an answer of any shape raises
GRAPHS = (
    "onnx/model.onnx",
    "model.onnx",
    "openvino/openvino_model.xml",
    "openvino_model.xml",
)  # where a directory may hold one


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answers:
    """What an artefact made of texts."""

    by: str  # what answered, with its version
    vectors: Array  # [N, E]
    ids: Ids | None = None  # None: it does not tell
    logits: Mapping[str, float] = field(default_factory=dict)  # name -> the largest difference, as of vectors
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """How an artefact is asked."""

    backend: str = "auto"  # of a directory that wellread loads
    model_name: str = "default"  # by which a server knows the module
    api_key: str | None = None  # of a server


def ask(artefact: str | os.PathLike[str], module: Module, texts: Sequence[str], asking: Asking) -> Answers:
    """Ask an artefact for the vectors of texts, and for their ids where it tells them.

    It is an address; a backend of wellread's, `native` or `native:int8` (a path of that name is `./native`); a graph of
    ONNX or OpenVINO, or a directory with one; a SavedModel of TF Hub; or whatever `wellread.load` opens. Graphs and
    SavedModels run in a process of their own.

    Raises: ExportError where it cannot be asked; MissingExtra; as `wellread.load`.
    """
    name = os.fspath(artefact)
    if name.startswith(("http://", "https://")):
        return ask_server(name, texts, asking)
    path = Path(os.path.expanduser(name))
    backend, _, precision = name.partition(":")
    if backend in BACKENDS:
        check_backend(backend)
        return _encoded(replace(module, backend=backend, _automatic=""), texts, precision=precision or None)
    if (graph := graph_of(path)) is not None:
        return ask_graph(graph, module, texts)
    if (path / "saved_model.pb").is_file():
        return ask_tfhub(path, module, texts)
    return _encoded(load(name, backend=asking.backend), texts, precision=None)


def own_ids(module: Module, texts: Sequence[str], *, most: int = MOST_TOKENS) -> Ids:
    """Return the ids of texts as the module reads them, special ones included, cut to `most`."""
    batch = module.tokenizer.template.pack([module.tokenizer.tokenize(texts)], seq_length=most, pad_to_longest=True)
    return [row[mask > 0].tolist() for row, mask in zip(batch["input_word_ids"], batch["input_mask"], strict=True)]


def with_prompt(module: Module, texts: Sequence[str]) -> list[str]:
    """Put the module's default prompt, if it has one, before texts."""
    prompt = prompt_of(module.checkpoint.sentence, None, None)
    return [f"{prompt}{text}" for text in texts]


def _encoded(module: Module, texts: Sequence[str], *, precision: str | None) -> Answers:
    """Ask a module of wellread's."""
    vectors = module.encode(list(texts), precision=precision, show_progress_bar=False)
    by = f"wellread {__version__}, {module.backend} in {module.running(precision).precision}"
    ids = own_ids(module, with_prompt(module, texts), most=module.max_seq_length)
    return Answers(by=by, vectors=vectors, ids=ids)


# -- graphs ----------------------------------------------------------------------------------------------------------


def graph_of(path: Path) -> Path | None:
    """Return the graph that a path names: itself, or that of a directory without other weights."""
    if path.suffix in RUNTIMES and path.is_file():
        return path
    if (path / "model.safetensors").is_file():
        return None
    return next((path / name for name in GRAPHS if (path / name).is_file()), None)


def ask_graph(graph: Path, module: Module, texts: Sequence[str]) -> Answers:
    """Ask a graph of ONNX or OpenVINO, with the ids of the tokenizer.json beside it where there is one.

    A graph that has a tokenizer inside is given texts, and may tell its ids. Of logits that module and graph both have,
    those of a few texts are compared.
    """
    runtime = RUNTIMES[graph.suffix]
    if runtime == "onnxruntime":
        require_extra(runtime, extra="onnx")
    prompted = _unmasked(module, texts, graph)
    beside = (folder / "tokenizer.json" for folder in (graph.parent, graph.parent.parent))
    file = next((path for path in beside if path.is_file()), None)
    ids = own_ids(module, prompted) if file is None else _ids_of(file, prompted)
    batches = _batches(ids, module)
    given = _given(batches, prompted)
    ran = run_apart(graph, given, runtime=runtime, outputs=[*HIDDEN, *POOLED, SENTENCE_OUTPUT, *IDS])
    inside = TEXT in ran.report["inputs"]
    notes = () if file else ("there is no tokenizer.json beside the graph: it was given the module's ids",)
    told = None if file is None else ids
    if inside:
        tells = ran.report["outputs"].keys() >= {*IDS}
        told = [row for i in range(len(given)) for row in rows_of(ran.outputs, i)] if tells else None
        notes = () if tells else (f"the graph tells no ids: it has no outputs {' and '.join(IDS)}",)
    return Answers(
        by=f"{runtime} {ran.report['version']}{', its tokenizer inside' if inside else ''}",
        vectors=_vectors(module, batches, ran.outputs, source=graph),
        ids=told,
        logits=_logits(graph, module, prompted[:LOGITS_OF], ran.report["outputs"]),
        notes=notes,
    )


def _given(batches: Sequence[Mapping[str, Array]], texts: Sequence[str]) -> list[dict[str, Any]]:
    """Return batches under the names of graphs, and what some take besides: a mask of what is pooled, or texts."""
    named = [{INPUT_NAMES[name]: array for name, array in batch.items()} for batch in batches]
    return [
        {**batch, POOLING_MASK: batch[IDS[1]], TEXT: list(texts[i * BATCH : (i + 1) * BATCH])}
        for i, batch in enumerate(named)
    ]


def _logits(graph: Path, module: Module, texts: Sequence[str], outputs: Mapping[str, Any]) -> dict[str, float]:
    """Compare the logits that graph and module both have, of the module's ids, a text at a time: they are large."""
    shapes = shapes_out(module.checkpoint)
    names = [name for name in shapes if name.endswith("logits") and name in outputs]
    if not names or not texts:
        return {}
    batches = [_batches([row], module)[0] for row in own_ids(module, texts)]
    given = [_given([batch], [text])[0] for batch, text in zip(batches, texts, strict=True)]
    ran = run_apart(graph, given, runtime=RUNTIMES[graph.suffix], outputs=names)
    expected = [reference_outputs(module.checkpoint, dict(batch)) for batch in batches]
    return {
        name: max(difference(ran.outputs[f"{i}/{name}"], row[name]) for i, row in enumerate(expected)) for name in names
    }


def ask_tfhub(directory: Path, module: Module, texts: Sequence[str]) -> Answers:
    """Ask an encoder of TF Hub's contract, which takes ids; its outputs are pooled as the module says."""
    for package in ("tensorflow", "tensorflow_hub"):
        require_extra(package, extra="tf")
    batches = _batches(own_ids(module, _unmasked(module, texts, directory)), module)
    ran = run_apart(directory, batches, runtime="tensorflow-hub")
    return Answers(
        by=f"tensorflow-hub {ran.report['version']}",
        vectors=_vectors(module, batches, ran.outputs, source=directory),
        notes=("the encoder was given the module's ids, and its outputs were pooled as the module says",),
    )


def _unmasked(module: Module, texts: Sequence[str], source: Path) -> list[str]:
    """Put the default prompt before texts. Raises: ExportError where it is not to be pooled."""
    prompted = with_prompt(module, texts)
    if prompted != list(texts) and not module.checkpoint.sentence.include_prompt:
        raise ExportError(
            f"{source} was to be certified; found a module that does not pool its default prompt, which takes an input "
            "of its own; set default_prompt_name of the module to None first"
        )
    return prompted


def _ids_of(file: Path, texts: Sequence[str]) -> Ids:
    """Tokenize as anyone would who has the file alone."""
    import tokenizers

    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises nothing narrower
        raise ExportError(
            f"{file} was to be read by tokenizers; found that {error}; export the module again"
        ) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return [row.ids for row in tokenizer.encode_batch(list(texts))]


def _batches(ids: Ids, module: Module) -> list[dict[str, Array]]:
    """Pad ids to batches under our names, in their order."""
    batches = []
    for begin in range(0, len(ids), BATCH):
        rows = ids[begin : begin + BATCH]
        longest = max(map(len, rows))
        padded = np.full((len(rows), longest), module.checkpoint.config.pad_token_id, np.int32)
        mask = np.zeros_like(padded)
        for i, row in enumerate(rows):
            padded[i, : len(row)], mask[i, : len(row)] = row, 1
        batches.append({"input_word_ids": padded, "input_mask": mask, "input_type_ids": np.zeros_like(mask)})
    return batches


def _vectors(
    module: Module, batches: Sequence[Mapping[str, Array]], outputs: Mapping[str, Array], *, source: Path
) -> Array:
    """Take the sentence vectors of a graph's outputs, or make them of its hidden states as the module does.

    Raises: ExportError where it gives neither.
    """
    sentence, vectors = module.checkpoint.sentence, []
    needed = needed_outputs(sentence, outputs=[SENTENCE_OUTPUT])
    weights = {
        name: tensor.read().astype(np.float64)
        for name, tensor in module.checkpoint.tensors.items()
        if name.startswith("sentence.")
    }
    for index, batch in enumerate(batches):
        found = {name.partition("/")[2]: array for name, array in outputs.items() if name.startswith(f"{index}/")}
        if SENTENCE_OUTPUT in found:
            vectors.append(found[SENTENCE_OUTPUT])
            continue
        hidden, pooled = (next((found[name] for name in names if name in found), None) for names in (HIDDEN, POOLED))
        values: dict[str, Any] = {**batch, "sequence_output": hidden, "pooled_output": pooled}
        values["cls_output"] = None if hidden is None else hidden[:, 0]
        if any(values[name] is None for name in needed):
            raise ExportError(
                f"{source} was to be certified; found the outputs {', '.join(found)}, of which no sentence vector can "
                f"be made; export it with {SENTENCE_OUTPUT} or {HIDDEN[0]}"
            )
        vectors.append(sentence_embedding(NumpyOps(weights), sentence, values))
    return np.concatenate(vectors)


# -- servers ---------------------------------------------------------------------------------------------------------


def endpoints(address: str) -> tuple[str, str]:
    """Return where a server embeds, as OpenAI's does, and where it tokenizes, as text-embeddings-inference does.

    >>> endpoints("http://localhost:8080")
    ('http://localhost:8080/v1/embeddings', 'http://localhost:8080/tokenize')
    >>> endpoints("https://host/api/v1/embeddings")
    ('https://host/api/v1/embeddings', 'https://host/api/tokenize')
    """
    root = address.rstrip("/").removesuffix("/embeddings").removesuffix("/v1")
    embeds = address if address.rstrip("/").endswith("/embeddings") else f"{root}/v1/embeddings"
    return embeds, f"{root}/tokenize"


def ask_server(address: str, texts: Sequence[str], asking: Asking) -> Answers:
    """Ask a server for vectors at `/v1/embeddings` and, where it has such a route, for ids at `/tokenize`.

    Raises: ExportError where it does not answer, or not so.
    """
    embeds, tokenizes = endpoints(address)
    headers = {"Authorization": f"Bearer {asking.api_key}"} if asking.api_key else {}
    rows: list[Array] = []
    for begin in range(0, len(texts), BATCH):
        some = list(texts[begin : begin + BATCH])
        payload = {"input": some, "model": asking.model_name, "encoding_format": "float"}
        status, answer = _posted(embeds, payload, headers)
        if status != 200:
            raise ExportError(
                f"{without_password(embeds)} was asked for {len(some)} vectors; found status {status}: "
                f"{answer[:200].decode('utf-8', 'replace')!r}; check the address, --model-name and --api-key"
            )
        rows += _rows(answer, len(some), source=without_password(embeds))
    widths = {row.shape for row in rows}
    if len(widths) != 1:
        raise ExportError(f"{embeds} was asked for vectors; found {len(widths)} widths; check what serves there")
    ids = _told(tokenizes, texts, headers)  # it puts its default prompt before them, as it does to embed them
    notes = () if ids is not None else ("the server tells no ids",)
    return Answers(by=f"the server {without_password(address)}", vectors=np.stack(rows), ids=ids, notes=notes)


def _told(url: str, texts: Sequence[str], headers: Mapping[str, str]) -> Ids | None:
    """Ask a server for the ids of texts, as many at once as it takes by default; None where it does not tell them."""
    ids: Ids = []
    for begin in range(0, len(texts), BATCH):
        some = list(texts[begin : begin + BATCH])
        status, answer = _posted(url, {"inputs": some, "add_special_tokens": True}, headers)
        rows = _tokens(answer, len(some)) if status == 200 else None
        if rows is None:
            return None
        ids += rows
    return ids


def _posted(url: str, payload: Any, headers: Mapping[str, str]) -> tuple[int, bytes]:
    try:
        return post_json(url, payload, headers=headers, most=MOST_BYTES)
    except FaultError as error:
        raise ExportError(
            f"{without_password(url)} was to be certified; found {error.found}; {error.advice}"
        ) from error


def _rows(answer: bytes, count: int, *, source: str) -> list[Array]:
    """Read an answer of OpenAI's shape, in the order of the texts. Raises: ExportError."""
    try:
        data = json.loads(answer)["data"]
        by_index = {item["index"]: _vector(item["embedding"]) for item in data}
        rows = [by_index[i] for i in range(count)]
    except STRANGE as error:
        raise ExportError(
            f"{source} was asked for {count} vectors; found an answer of another shape than OpenAI's "
            f"({type(error).__name__}: {error}); check what serves there"
        ) from None
    return rows


def _vector(value: Any) -> Array:
    """Read a vector: a list of numbers, or little-endian float32 in base64. Raises: ValueError, TypeError."""
    if isinstance(value, str):
        return np.frombuffer(base64.b64decode(value, validate=True), "<f4").astype(np.float64)
    vector = np.asarray(value, np.float64)
    if vector.ndim != 1:
        raise ValueError(f"a vector of {vector.ndim} axes")
    return vector


def _tokens(answer: bytes, count: int) -> Ids | None:
    """Read ids out of an answer of text-embeddings-inference's `/tokenize`; None where it is another."""
    try:
        rows = [[int(token["id"]) for token in row] for row in json.loads(answer)]
    except STRANGE:
        return None
    return rows if len(rows) == count else None
