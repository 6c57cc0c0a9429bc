"""The application: modules, one queue, and the routes of every protocol."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from wellread.errors import WellreadError
from wellread.module import Module
from wellread.serving import fill_mask, openai, page, rerank, tei, tensorflow_serving, weaviate
from wellread.serving.call import Call
from wellread.serving.faults import Fault, Unknown, WrongMethod, fault_of, refuse
from wellread.serving.guard import Guard
from wellread.serving.memory import Memory
from wellread.serving.metrics import Metrics
from wellread.serving.modules import Loader, Modules
from wellread.serving.routes import Handler, Routes, path_of
from wellread.serving.settings import ServeSettings
from wellread.serving.state import Server

own = Routes("")
PROTOCOLS = (
    *(openai.routes, tei.routes, rerank.routes, fill_mask.routes),
    *(tensorflow_serving.routes, weaviate.routes, page.routes, page.files, own),
)


def app(
    modules: Mapping[str, Module | Loader] | Modules,
    settings: ServeSettings | None = None,
    *,
    metrics: Metrics | None = None,
    memory: Memory | None = None,
) -> Starlette:
    """Return the application that serves modules by their names; the first stands in for names that are unknown.

    Modules that are given are prepared at once; of loaders, whoever runs the application calls `Modules.load`.

    >>> import wellread
    >>> len(app({"default": wellread.load("default")}).routes) > 40
    True
    """
    settings = settings or ServeSettings()
    memory = memory or Memory(settings)
    if not isinstance(modules, Modules):
        modules = Modules(modules)
        modules.load(memory)
    server = Server(modules, settings, metrics or Metrics(), memory)

    @asynccontextmanager
    async def lifespan(application: Starlette) -> AsyncIterator[None]:
        yield
        await server.close()

    middleware = [Middleware(Guard, server=server)]
    if settings.origins:
        from starlette.middleware.cors import CORSMiddleware

        every, named = ("*",), settings.origins
        middleware = [
            Middleware(CORSMiddleware, allow_origins=named, allow_methods=every, allow_headers=every),
            *middleware,
        ]
    endpoints = [endpoint for routes in PROTOCOLS for endpoint in routes.endpoints]
    return Starlette(
        routes=[Route(each.path, _answering(each.handler, server), methods=[each.method]) for each in endpoints],
        middleware=middleware,
        exception_handlers={WellreadError: _refused, HTTPException: _without_route},
        lifespan=lifespan,
    )


def _answering(handler: Handler, server: Server) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        return await handler(Call(request, server), **request.path_params)

    return answer


@own.get("/openapi.json")
async def openapi(call: Call) -> Response:
    """Describe the routes."""
    from wellread.serving.openapi import described

    return call.answer(described(PROTOCOLS))


async def _refused(request: Request, error: Exception) -> Response:
    return refuse(path_of(request.scope), fault_of(error))


async def _without_route(request: Request, error: Exception) -> Response:
    path, status = path_of(request.scope), getattr(error, "status_code", 500)
    fault: Fault
    if status == 404:
        fault = Unknown(f"{path[:200]} was asked for; this server has no such route; see /openapi.json")
    elif status == 405:
        fault = WrongMethod(f"{request.method} {path[:200]} was asked for; it takes another method; see /openapi.json")
    else:
        fault = fault_of(error)
    return refuse(path, fault)
