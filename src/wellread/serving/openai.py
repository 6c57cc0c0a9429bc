"""The routes of OpenAI's API: /v1/embeddings and /v1/models."""

from __future__ import annotations

from base64 import b64encode
from typing import Any, Literal

from starlette.responses import Response

from wellread.dataclass import dataclass
from wellread.serving.bodies import Texts
from wellread.serving.call import Call
from wellread.serving.routes import Routes
from wellread.serving.vectors import vectors_of

routes = Routes("OpenAI")


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingsBody:
    """What OpenAI's clients send."""

    input: Texts
    model: str | None = None
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = None
    user: str | None = None


@routes.post("/v1/embeddings", "/embeddings", body=EmbeddingsBody)
async def embeddings(call: Call) -> Response:
    """Turn texts into vectors."""
    body = await call.parse(EmbeddingsBody)
    texts = call.texts(body.input, name="input")
    served = call.served(body.model)
    vectors = await vectors_of(call, served, texts, prompt=served.prompt(None), dimensions=body.dimensions)
    rows: list[Any] = list(vectors)
    if body.encoding_format == "base64":
        rows = [b64encode(row.astype("<f4").tobytes()).decode() for row in rows]
    data = [{"object": "embedding", "index": number, "embedding": row} for number, row in enumerate(rows)]
    usage = {"prompt_tokens": call.tokens, "total_tokens": call.tokens}
    return call.answer({"object": "list", "data": data, "model": served.name, "usage": usage})


def described(call: Call, name: str) -> dict[str, Any]:
    """Describe a module as OpenAI describes its models."""
    return {"id": name, "object": "model", "created": call.server.started, "owned_by": "wellread"}


@routes.get("/v1/models")
async def models(call: Call) -> Response:
    """List the modules."""
    return call.answer({"object": "list", "data": [described(call, name) for name in call.server.modules.names]})
