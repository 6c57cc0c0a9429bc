"""Routes as data: by which function a method of a path is answered, and what /openapi.json says of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from starlette.responses import Response
from starlette.types import Scope

from wellread.dataclass import dataclass

Handler = Callable[..., Awaitable[Response]]  # of a Call, and of the path's parameters
H = TypeVar("H", bound=Handler)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Endpoint:
    """One method of one path."""

    method: str
    path: str  # parameters in braces
    handler: Handler
    body: type[Any] | None  # the dataclass of a request's body; None: it has none


class Routes:
    """The endpoints of a protocol, in the order in which a path is looked for."""

    def __init__(self, protocol: str) -> None:
        self.protocol = protocol  # in /openapi.json, which does not name those of ""
        self.endpoints: list[Endpoint] = []

    def get(self, *paths: str) -> Callable[[H], H]:
        """Have GET requests of paths answered."""
        return self._adding("GET", paths, None)

    def post(self, *paths: str, body: type[Any]) -> Callable[[H], H]:
        """Have POST requests of paths answered, which have such a body."""
        return self._adding("POST", paths, body)

    def _adding(self, method: str, paths: tuple[str, ...], body: type[Any] | None) -> Callable[[H], H]:
        def add(handler: H) -> H:
            rows = (Endpoint(method=method, path=path, handler=handler, body=body) for path in paths)
            self.endpoints.extend(rows)
            return handler

        return add


def path_of(scope: Scope) -> str:
    """Return the path of a request below the place where the application is mounted.

    >>> path_of({"path": "/vectors/v1/embeddings", "root_path": "/vectors"})
    '/v1/embeddings'
    """
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "")) or "/"
