"""The routes of text-embeddings-inference."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
from starlette.responses import Response

from wellread.dataclass import dataclass
from wellread.metrics.similarity import similarity
from wellread.serving.bodies import Schema, Texts, TextsOrIds
from wellread.serving.call import Call
from wellread.serving.faults import Empty, Fault
from wellread.serving.lanes import TokenVectors
from wellread.serving.predict import answers
from wellread.serving.routes import Routes
from wellread.serving.served import Served
from wellread.serving.vectors import vectors_of
from wellread.version import __version__

routes = Routes("text-embeddings-inference")

Ids = Annotated[Any, Schema(type="array", items={})]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """How texts that are too long are cut."""

    truncate: bool | None = None  # None: they are, and the answer's headers say so
    truncation_direction: Literal["right", "Right", "left", "Left"] = "right"
    model: str | None = None  # not of TEI, which serves one module

    @property
    def whole(self) -> bool:
        """Whether texts that are too long are refused. Raises: Fault for cutting them at their beginning."""
        if self.truncation_direction.lower() == "left":
            raise Fault("texts are cut at their ends; found truncation_direction: left; leave it out, or send the end")
        return self.truncate is False


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedBody(Cut):
    """A request of /embed."""

    inputs: TextsOrIds
    prompt_name: str | None = None
    normalize: bool = True
    dimensions: int | None = None


@routes.post("/embed", body=EmbedBody)
async def embed(call: Call) -> Response:
    """Turn texts into vectors."""
    body = await call.parse(EmbedBody)
    return call.answer(list(await _embedded(call, body)))


async def _embedded(call: Call, body: EmbedBody) -> Any:
    texts = call.texts_or_ids(body.inputs, name="inputs")
    served = call.served(body.model)
    return await vectors_of(
        call,
        served,
        texts,
        prompt=served.prompt(body.prompt_name),
        whole=body.whole,
        dimensions=body.dimensions,
        normalize=body.normalize,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedAllBody(Cut):
    """A request of /embed_all."""

    inputs: TextsOrIds
    prompt_name: str | None = None


@routes.post("/embed_all", body=EmbedAllBody)
async def embed_all(call: Call) -> Response:
    """Turn texts into the last hidden states of their tokens, special ones included."""
    body = await call.parse(EmbedAllBody)
    texts = call.texts_or_ids(body.inputs, name="inputs")
    served = call.served(body.model)
    reading = partial(served.read, texts, prompt=served.prompt(body.prompt_name), whole=body.whole)
    read = await call.read(reading, sum(map(len, texts)))
    call.will_answer(sum(read.sizes) * served.module.checkpoint.config.hidden_size)
    return call.answer(await call.compute(TokenVectors(name=served.name, module=served.module), read.rows, read.sizes))


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictBody(Cut):
    """A request of /predict."""

    inputs: Annotated[Any, Schema(anyOf=[{"type": "string"}, {"type": "array"}])]
    raw_scores: bool = False


@routes.post("/predict", body=PredictBody)
async def predict(call: Call) -> Response:
    """Answer as a module was fine-tuned to: labels with scores, the best first; entities of a module that tags."""
    body = await call.parse(PredictBody)
    served = call.served(body.model)
    inputs, single = _sequences(served, body.inputs)
    firsts = call.texts([row[0] for row in inputs], name="inputs")
    seconds = call.texts([row[1] for row in inputs], name="inputs") if len(inputs[0]) == 2 else None
    rows = await answers(call, served, firsts, seconds, raw=body.raw_scores, whole=body.whole)
    return call.answer(rows[0] if single else rows)


def _sequences(served: Served, inputs: Any) -> tuple[list[list[Any]], bool]:
    """Return rows of one text or two, and whether it is one row; two texts alone are a pair where pairs are asked for.

    Raises: Fault for anything else; Empty.
    """
    if isinstance(inputs, str):
        return [[inputs]], True
    if not isinstance(inputs, list):
        raise Fault(f"inputs must be a text, a pair or a list of these; found {type(inputs).__name__}; send strings")
    if not inputs:
        raise Empty("inputs must be a text, a pair or a list of these; found an empty list; send at least one")
    if all(isinstance(value, str) for value in inputs):
        if len(inputs) == 2 and served.takes_pairs:
            return [inputs], True
        return [[value] for value in inputs], False
    rows = [[value] if isinstance(value, str) else value for value in inputs]
    counts = {len(row) if isinstance(row, list) else 0 for row in rows}
    if counts not in ({1}, {2}):
        raise Fault(
            f"inputs must have one text a row, or two in all rows; found rows of {sorted(counts)}; send them apart"
        )
    return rows, False


@dataclass(frozen=True, slots=True, kw_only=True)
class SimilarityInputs:
    """The sentences of a request of /similarity."""

    source_sentence: str
    sentences: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SimilarityBody:
    """A request of /similarity."""

    inputs: SimilarityInputs
    parameters: dict[str, Any] | None = None
    model: str | None = None


@routes.post("/similarity", body=SimilarityBody)
async def compare(call: Call) -> Response:
    """Compare a sentence with others by their vectors."""
    body = await call.parse(SimilarityBody)
    parameters = body.parameters or {}
    sentences = call.texts(body.inputs.sentences, name="sentences")
    texts = [*call.texts(body.inputs.source_sentence, name="source_sentence"), *sentences]
    served = call.served(body.model)
    prompt = served.prompt(parameters.get("prompt_name"))
    vectors = await vectors_of(call, served, texts, prompt=prompt, whole=parameters.get("truncate") is False)
    scores = similarity(served.module.similarity_fn_name, vectors[:1], vectors[1:])[0]
    return call.answer(np.asarray(scores, np.float32))


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizeBody:
    """A request of /tokenize."""

    inputs: Texts
    add_special_tokens: bool = True
    prompt_name: str | None = None
    model: str | None = None


@routes.post("/tokenize", body=TokenizeBody)
async def tokenize(call: Call) -> Response:
    """Show the tokens of texts, whole: their ids and the characters that each comes from."""
    body = await call.parse(TokenizeBody)
    served = call.served(body.model)
    prompt = served.prompt(body.prompt_name)
    texts = [prompt + text for text in call.texts(body.inputs, name="inputs")]
    call.will_answer(12 * sum(map(len, texts)))  # a token is an object with five fields, and may be one character
    rows = await call.work(partial(_tokens_of, served, texts, special=body.add_special_tokens), sum(map(len, texts)))
    return call.answer(rows)


def _tokens_of(served: Served, texts: Sequence[str], *, special: bool) -> list[list[dict[str, Any]]]:
    """Return the tokens of each text, those that the module puts around it too where they are `special`."""
    tokenizer = served.module.tokenizer
    template = tokenizer.template.single if special else ((None, 0),)
    rows = []
    for text in texts:
        spans = tokenizer.engine.spans(text)
        columns = zip(spans.ids.tolist(), spans.starts.tolist(), spans.limits.tolist(), strict=True)
        tokens = [{"id": id, "text": text[a:b], "special": False, "start": a, "stop": b} for id, a, b in columns]
        row: list[dict[str, Any]] = []
        for id, _ in template:
            if id is None:
                row += tokens
            else:
                word = tokenizer.pieces([id])[0]
                row.append({"id": id, "text": word, "special": True, "start": None, "stop": None})
        rows.append(row)
    return rows


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeBody:
    """A request of /decode."""

    ids: Ids
    skip_special_tokens: bool = True
    model: str | None = None


@routes.post("/decode", body=DecodeBody)
async def decode(call: Call) -> Response:
    """Turn ids back into texts."""
    body = await call.parse(DecodeBody)
    served = call.served(body.model)
    ids = body.ids
    rows = ids if isinstance(ids, list) and ids and isinstance(ids[0], list) else [ids]
    flat = [value for row in rows if isinstance(row, list) for value in row]
    if not all(isinstance(row, list) for row in rows) or not all(type(value) is int for value in flat):
        raise Fault(
            "ids must be a list of whole numbers, or a list of such lists; found others; send what /tokenize says"
        )
    call.refuse_more_ids(rows)
    call.will_answer(len(flat))
    text_of = partial(served.module.tokenizer.decode, skip_special_tokens=body.skip_special_tokens)
    return call.answer(await call.work(lambda: [text_of(row) for row in rows], len(flat)))


@routes.get("/info")
async def info(call: Call) -> Response:
    """Describe the first module, and name the others."""
    served, settings = call.served(None), call.server.settings
    module = served.module
    head = module.checkpoint.head
    kind: dict[str, Any] = {"embedding": {"pooling": module.checkpoint.sentence.pooling}}
    if head is not None and head.labels:
        labels = {str(number): label for number, label in enumerate(head.labels)}
        role = "reranker" if head.task == "rank" else "classifier"
        kind = {role: {"id2label": labels, "label2id": {label: int(number) for number, label in labels.items()}}}
    return call.answer(
        {
            "model_id": str(module.provenance.get("handle", served.name)),
            "model_sha": module.provenance.get("commit"),
            "model_dtype": {"f32": "float32", "bf16": "bfloat16", "f64": "float64"}.get(
                module.running().precision, module.running().precision
            ),
            "served_model_name": served.name,
            "model_type": kind,
            "max_concurrent_requests": settings.max_requests,
            "max_input_length": module.max_seq_length,
            "max_batch_tokens": settings.batch_tokens,
            "max_batch_requests": None,
            "max_client_batch_size": settings.max_texts,
            "auto_truncate": True,
            "tokenization_workers": 1,
            "version": __version__,
            "fingerprint": module.fingerprint,
            "models": list(call.server.modules.names),
        }
    )


@routes.get("/health", "/ping")
async def health(call: Call) -> Response:
    """Say whether the server is ready: 200, or 503 while modules are loaded."""
    call.served(None)
    return Response(b"", 200)


@routes.get("/metrics")
async def metrics(call: Call) -> Response:
    """Count the requests, tokens and seconds of all workers, for Prometheus."""
    return Response(call.server.metrics.page(), media_type="text/plain; version=0.0.4")
