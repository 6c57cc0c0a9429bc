"""Modules as tools of the Model Context Protocol, which assistants call over standard input and output.

A tool is offered where one of the modules can do it. Texts come in requests; files do not: the vectors that are
searched are opened once, when the server is made, and no path or address of a request is looked at.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from wellread.dataclass import dataclass
from wellread.errors import InputError
from wellread.module import Module
from wellread.searching.vectors_file import VectorsFile, check_fingerprint
from wellread.serving.mcp_protocol import Schema, ToolServer, tool_of
from wellread.tasks.multilabel import LabelSet
from wellread.tasks.rank import ranks_by_head
from wellread.version import __version__

MOST = 1_000  # texts a request
LONGEST = 1_000_000  # characters of a text
CLASSIFIERS = ("classify", "pair", "multilabel")

TEXT = {"type": "string", "maxLength": LONGEST}
SCHEMAS: dict[Any, Schema] = {  # of the parameters of tools, by their types
    str: TEXT,
    list[str]: {"type": "array", "items": TEXT, "minItems": 1, "maxItems": MOST},
    int: {"type": "integer", "minimum": 1, "maximum": MOST},
}
Function = Callable[..., dict[str, Any]]  # a tool


@dataclass(frozen=True, slots=True, kw_only=True)
class Skills:
    """Which module does what; None: none of them can."""

    embedder: Module | None
    classifier: Module | None
    ranker: Module | None


def skills_of(modules: Sequence[Module]) -> Skills:
    """Choose the first module for each thing that can be asked. A cross-encoder ranks before one that embeds.

    Raises: InputError for modules that can do nothing of it.
    """
    tasks = [module.checkpoint.head.task if module.checkpoint.head else None for module in modules]

    def first(*wanted: str | None) -> Module | None:
        return next((module for module, task in zip(modules, tasks, strict=True) if task in wanted), None)

    embedder, cross_encoder = first(None, "similarity"), first("rank", "score")
    if cross_encoder is not None and not ranks_by_head(cross_encoder.checkpoint):
        cross_encoder = None
    skills = Skills(embedder=embedder, classifier=first(*CLASSIFIERS), ranker=cross_encoder or embedder)
    if skills == Skills(embedder=None, classifier=None, ranker=None):
        raise InputError(
            f"modules that embed, classify or rank were expected; found {', '.join(map(str, tasks)) or 'none'}; "
            "name another, such as default"
        )
    return skills


def mcp_server(
    modules: Sequence[Module], *, vectors: VectorsFile | None = None, check_vectors: bool = True
) -> ToolServer:
    """Make a server with the tools that the modules can do, and `search` over `vectors` where they are given.

    Raises: InputError for modules that can do nothing, and for vectors that another module made.

    >>> import wellread
    >>> [*mcp_server([wellread.load("default")]).tools]
    ['embed', 'similarity', 'rerank']
    """
    skills = skills_of(modules)
    tools: list[Function] = []
    if skills.embedder is not None:
        tools += _vector_tools(skills.embedder)
        if vectors is not None:
            tools.append(_search_tool(skills.embedder, vectors, check_vectors))
    elif vectors is not None:
        raise InputError("a search asks for a module that embeds; found none; name one, such as default")
    if skills.classifier is not None:
        tools.append(_classify_tool(skills.classifier))
    if skills.ranker is not None:
        tools.append(_rerank_tool(skills.ranker))
    return ToolServer([tool_of(tool, SCHEMAS) for tool in tools], name="wellread", version=__version__)


def _vector_tools(module: Module) -> list[Function]:
    def embed(texts: list[str], prompt_name: str | None = None) -> dict[str, Any]:
        """Turn texts into vectors: a list of numbers for each, and how many tokens each lost for being too long.

        prompt_name is one of the module's own prompts, such as query or document, where it has them.
        """
        rows, lost = module.encode_counted(texts, prompt_name=prompt_name)
        return {"vectors": rows.tolist(), "lost_tokens": lost.tolist()}

    def similarity(texts: list[str], others: list[str] | None = None) -> dict[str, Any]:
        """Say how alike texts are in meaning: a row of scores for each text.

        A row compares it with each of the others, or with each of the texts themselves. The higher, the more alike.
        """
        rows = module.encode_counted(texts)[0]
        columns = rows if others is None else module.encode_counted(others)[0]
        scores = module.similarity(rows, columns)
        return {"scores": scores.tolist(), "measure": module.similarity_fn_name}

    return [embed, similarity]


def _search_tool(module: Module, vectors: VectorsFile, check_vectors: bool) -> Function:
    from wellread.searching.hits import as_queries, find_hits

    if check_vectors:
        check_fingerprint(vectors, lambda: module.fingerprint)

    def search(query: str, top_k: int = 10) -> dict[str, Any]:
        """Find the rows of the collection that this server has which are most alike a query in meaning.

        A hit is the number of its row, its score, and what the collection knows of the row, such as its text.
        """
        queries, _ = as_queries([query], module.encode_query)
        (hits,) = find_hits(queries, vectors, top_k=top_k, similarity=module.similarity_fn_name)
        return {"hits": json.loads(json.dumps(hits, default=str))}  # dates and the like are words

    return search


def _classify_tool(module: Module) -> Function:
    def classify(texts: list[str], pairs: list[str] | None = None) -> dict[str, Any]:
        """Give each text its label, or labels, with the probability of each.

        pairs are second texts, one for each, for a module that judges two texts together.
        """
        answers = module.predict(texts, pairs, show_progress_bar=False)
        return {"predictions": [_labels(answer) for answer in answers]}

    return classify


def _labels(answer: Any) -> dict[str, Any]:
    if isinstance(answer, LabelSet):
        return {"labels": list(answer.labels), "scores": dict(answer.scores)}
    return {"label": answer.label, "scores": dict(answer.scores)}


def _rerank_tool(module: Module) -> Function:
    def rerank(query: str, documents: list[str], top_k: int | None = None) -> dict[str, Any]:
        """Put documents in the order in which they answer a query, the best first.

        A result is the number of the document, from 0, and its score.
        """
        hits = module.rank(query, documents, top_k, show_progress_bar=False)
        return {"results": [{"index": hit["corpus_id"], "score": hit["score"]} for hit in hits]}

    return rerank
