"""Documents in the order in which they answer a query: TEI's route, and those of Cohere and Jina."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from starlette.responses import Response

from wellread.dataclass import dataclass
from wellread.metrics.similarity import similarity
from wellread.serving.bodies import TEXTS, Schema
from wellread.serving.call import Call
from wellread.serving.faults import Fault
from wellread.serving.predict import predictions
from wellread.serving.routes import Routes
from wellread.serving.served import Served
from wellread.serving.tei import Cut, compare, embed, predict
from wellread.serving.vectors import vectors_of

routes = Routes("Rerank")
Documents = Annotated[Any, Schema(**TEXTS)]


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankBody(Cut):
    """A request of TEI's (`texts`), Cohere's or Jina's (`documents`)."""

    query: str
    texts: Documents = None
    documents: Documents = None
    raw_scores: bool = False
    return_text: bool = False
    top_n: Annotated[int, Schema(minimum=1)] | None = None
    return_documents: bool | None = None


@routes.post("/rerank", "/v1/rerank", "/v2/rerank", body=RerankBody)
async def rerank(call: Call) -> Response:
    """Score documents for a query, the best first."""
    body = await call.parse(RerankBody)
    if (body.texts is None) == (body.documents is None):
        found = "both" if body.texts is not None else "neither"
        raise Fault(f"texts (TEI) or documents (Cohere, Jina) were expected; found {found}; send one of them")
    of_tei = body.texts is not None
    given = body.texts if of_tei else [_text_of(document) for document in _listed(body.documents)]
    texts = call.texts(given, name="texts" if of_tei else "documents")
    served = call.served(body.model)
    scores = await scores_of(call, served, body.query, texts, raw=body.raw_scores, whole=body.whole)
    from wellread.tasks.rank import ranked

    best = ranked(scores, texts, top_k=None if of_tei else body.top_n)
    if of_tei:
        rows = [{"index": hit["corpus_id"], "score": hit["score"]} for hit in best]
        return call.answer([{**row, "text": texts[row["index"]]} if body.return_text else row for row in rows])
    results: list[dict[str, Any]] = [{"index": hit["corpus_id"], "relevance_score": hit["score"]} for hit in best]
    if body.return_documents:
        results = [{**row, "document": {"text": texts[row["index"]]}} for row in results]
    return call.answer({"results": results, "model": served.name, "usage": {"total_tokens": call.tokens}})


def _listed(documents: Any) -> list[Any]:
    if not isinstance(documents, list):
        raise Fault(f"documents must be a list of texts; found {type(documents).__name__}; wrap it in a list")
    return documents


def _text_of(document: Any) -> Any:
    """Return the text of a document, which Cohere's and Jina's clients may wrap."""
    return document["text"] if isinstance(document, dict) and "text" in document else document


async def scores_of(
    call: Call, served: Served, query: str, texts: Sequence[str], *, raw: bool, whole: bool
) -> list[float]:
    """Score N texts for a query: by a cross-encoder's head, 0 to 1 or `raw`, else by the likeness of the vectors."""
    from wellread.tasks.rank import ranks_by_head
    from wellread.tasks.score import ACTIVATIONS

    module = served.module
    call.texts(query, name="query")
    if ranks_by_head(module.checkpoint):
        logits = await predictions(call, served, [query] * len(texts), texts, raw=True, whole=whole)
        scores = [float(row[0]) for row in logits]
        return scores if raw else [float(ACTIVATIONS["sigmoid"](score)) for score in scores]  # type: ignore[arg-type]
    first = await vectors_of(call, served, [query], prompt=served.prompt_for("query"), whole=whole)
    others = await vectors_of(call, served, texts, prompt=served.prompt_for("document"), whole=whole)
    return [float(score) for score in similarity(module.similarity_fn_name, first, others)[0]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RootBody:
    """A request of TEI's root."""

    inputs: Any = None
    model: str | None = None


@routes.post("/", body=RootBody)
async def root(call: Call) -> Response:
    """Do what the module is for, as TEI's root does: embed, compare sentences, predict or rerank."""
    body = await call.parse(RootBody)
    if isinstance(body.inputs, dict):
        return await compare(call)
    if "query" in call.ignored:
        return await rerank(call)
    head = call.served(body.model).module.checkpoint.head
    return await (embed if head is None or head.task == "similarity" else predict)(call)
