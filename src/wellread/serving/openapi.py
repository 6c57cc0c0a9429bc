"""/openapi.json: what the routes are, made when it is first asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from wellread.serving.bodies import schema_of
from wellread.serving.routes import Endpoint, Routes
from wellread.version import __version__


def described(protocols: Iterable[Routes]) -> dict[str, Any]:
    """Describe routes as OpenAPI 3.1 does."""
    paths: dict[str, dict[str, Any]] = {}
    for routes in protocols:
        for endpoint in routes.endpoints if routes.protocol else ():
            paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, routes.protocol)
    return {"openapi": "3.1.0", "info": {"title": "wellread", "version": __version__}, "paths": paths}


def _operation(endpoint: Endpoint, protocol: str) -> dict[str, Any]:
    name = re.sub(r"\W+", "_", f"{endpoint.method.lower()}{endpoint.path}").strip("_")
    about = (endpoint.handler.__doc__ or "").strip().splitlines()[0]
    operation: dict[str, Any] = {"tags": [protocol], "summary": about, "operationId": name}
    if parameters := re.findall(r"{(\w+)}", endpoint.path):
        operation["parameters"] = [
            {"name": parameter, "in": "path", "required": True, "schema": {"type": "string"}}
            for parameter in parameters
        ]
    if endpoint.body is not None:
        content = {"application/json": {"schema": schema_of(endpoint.body)}}
        operation["requestBody"] = {"content": content, "required": True}
    operation["responses"] = {"200": {"description": "An answer", "content": {"application/json": {}}}}
    return operation
