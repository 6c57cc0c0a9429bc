"""The routes that Weaviate's text2vec-transformers module asks."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from wellread.dataclass import dataclass
from wellread.serving.call import Call
from wellread.serving.faults import Fault
from wellread.serving.routes import Routes
from wellread.serving.vectors import vectors_of

routes = Routes("Weaviate")
PROMPTS = {"query": "query", "passage": "document"}  # Weaviate's tasks -> the prompts of modules


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorsBody:
    """A request of /vectors."""

    text: str
    config: dict[str, Any] | None = None


@routes.post("/vectors", "/vectors/", body=VectorsBody)
async def vectors(call: Call) -> Response:
    """Turn a text into a vector."""
    body = await call.parse(VectorsBody)
    (text,) = call.texts(body.text, name="text")
    task = (body.config or {}).get("task_type")
    if task not in (None, *PROMPTS):
        raise Fault(f"task_type {str(task)[:40]!r} was asked for; there are {', '.join(PROMPTS)}; name one of these")
    served = call.served(None)
    prompt = served.prompt(None) if task is None else served.prompt_for(PROMPTS[task])
    vector = (await vectors_of(call, served, [text], prompt=prompt))[0]
    return call.answer({"text": text, "vector": vector, "dim": len(vector)})


@routes.get("/meta")
async def meta(call: Call) -> Response:
    """Describe the first module."""
    return call.answer({"model": call.served(None).module.info()})


@routes.get("/.well-known/ready", "/.well-known/live")
async def ready(call: Call) -> Response:
    """Say whether the server is ready: 204, or 503 while modules are loaded."""
    if call.request.url.path.endswith("ready"):
        call.served(None)
    return Response(status_code=204)
