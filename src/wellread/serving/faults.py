"""What a request is refused for, and how each protocol tells it: no answer holds a trace."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any

import orjson
from starlette.responses import Response

from wellread.dataclass import dataclass
from wellread.errors import InputError, ServeError, TextError, WellreadError


class Fault(ServeError):  # noqa: N818
    """A request that is not answered: its status, and what TEI calls such an error."""

    status, kind = 422, "validation"

    @property
    def headers(self) -> dict[str, str]:
        """What the answer says beside the message."""
        return {}


class Malformed(Fault):
    """No JSON, or not of the types that the route takes."""

    status = 400


class Empty(Fault):
    """No texts."""

    status, kind = 400, "empty"


class Unauthorized(Fault):
    """No key, or a wrong one."""

    status, kind = 401, "unauthorized"

    @property
    def headers(self) -> dict[str, str]:
        """Name the scheme of the key."""
        return {"www-authenticate": "Bearer"}


class Unknown(Fault):
    """No such route, or module, or version."""

    status, kind = 404, "not_found"


class WrongMethod(Fault):
    """A route that takes another method."""

    status = 405


class Slow(Fault):
    """A request whose body did not come in time."""

    status, kind = 408, "timeout"

    @property
    def headers(self) -> dict[str, str]:
        """End the connection."""
        return {"connection": "close"}


class TooLarge(Slow):
    """A body that is too long."""

    status, kind = 413, "validation"


class Overloaded(Fault):
    """The queue is full; after so many seconds it should have room."""

    status, kind = 429, "overloaded"

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        """Say when to try again."""
        return {"retry-after": str(self.retry_after)}


class Failed(Fault):
    """A module that could not compute what it was asked."""

    status, kind = 424, "backend"


class Internal(Fault):
    """A fault of wellread's own."""

    status, kind = 500, "backend"


class Unready(Fault):
    """A server that loads its modules, or is being stopped."""

    status, kind = 503, "unhealthy"

    @property
    def headers(self) -> dict[str, str]:
        """Say when to try again."""
        return {"retry-after": "1"}


class DeadlineExceeded(Fault):
    """A request that waited longer than it may."""

    status, kind = 504, "timeout"


def fault_of(error: Exception) -> Fault:
    """Return an error as what a request is refused for."""
    if isinstance(error, Fault):
        return error
    if isinstance(error, InputError | TextError):
        return Fault(str(error))
    if isinstance(error, WellreadError):
        return Failed(str(error))
    return Internal("an answer was asked for; wellread failed; its log on the server says where; please report it")


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How a protocol tells errors."""

    content: Callable[[Fault], Any]
    statuses: Mapping[int, int] = field(default_factory=dict)  # those that it has others for


def _openai(fault: Fault) -> Any:
    kinds = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}
    kind = kinds.get(fault.status, "invalid_request_error" if fault.status < 500 else "server_error")
    return {"error": {"message": str(fault), "type": kind, "param": None, "code": fault.kind}}


TEI = Form(content=lambda fault: {"error": str(fault), "error_type": fault.kind})
# paths -> their form, the first that fits
FORMS = {
    r"/v[12]/rerank": Form(content=lambda fault: {"message": str(fault), "detail": str(fault)}, statuses={424: 500}),
    r"/v1/models/.+": Form(content=lambda fault: {"error": str(fault)}, statuses={422: 400, 424: 500}),
    r"/v1/.*|/embeddings": Form(content=_openai, statuses={422: 400, 424: 500}),
    r"/vectors/?|/meta|/\.well-known/.*": Form(content=lambda fault: {"error": [{"message": str(fault)}]}),
}


def refuse(path: str, fault: Fault) -> Response:
    """Return the answer to a request of `path`, in the form of its protocol."""
    form = next((form for pattern, form in FORMS.items() if re.fullmatch(pattern, path)), TEI)
    return Response(
        orjson.dumps(form.content(fault), option=orjson.OPT_NON_STR_KEYS),
        status_code=form.statuses.get(fault.status, fault.status),
        headers=fault.headers,
        media_type="application/json",
    )
