"""The Model Context Protocol over standard input and output, as far as a server of tools speaks it.

A message is a line of JSON (JSON-RPC 2.0). Revisions up to 2025-11-25 begin with a handshake; 2026-07-28 has none, and
states its revision in every request. It is spoken here, and not by the protocol's own package, whose import takes four
times as long as all else that is done before the first answer.

Source: https://modelcontextprotocol.io/specification
"""

from __future__ import annotations

import inspect
import json
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from threading import Lock
from typing import Any, get_args, get_type_hints

from wellread.dataclass import dataclass
from wellread.errors import InputError, WellreadError, nearest
from wellread.schema import parse_json

Schema = Mapping[str, Any]  # of JSON Schema
WITH_HANDSHAKE = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")  # the newest first
STATELESS = ("2026-07-28",)
META = "io.modelcontextprotocol/"  # before the keys of `_meta`
CAPABILITIES: Schema = {"tools": {}}
INVALID_JSON, INVALID_REQUEST, UNKNOWN_METHOD, INVALID_PARAMS, OTHER_REVISION = -32700, -32600, -32601, -32602, -32022
# a type of JSON Schema -> Python's, its name in a message, the unit of its size, the end of the keywords of its bounds
TYPES: Mapping[str, tuple[type, str, str, str]] = {
    "string": (str, "a text", " characters", "Length"),
    "array": (list, "a list", " items", "Items"),
    "integer": (int, "a whole number", "", "imum"),
}


class Refused(Exception):  # noqa: N818
    """A request that is answered with an error of the protocol."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.error = {"code": code, "message": message} | ({"data": data} if data else {})

    @property
    def answer(self) -> dict[str, Any]:
        """The answer to what is no request, and so has no id."""
        return {"jsonrpc": "2.0", "id": None, "error": self.error}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """What an assistant may call."""

    name: str
    description: str  # which the assistant reads
    parameters: Mapping[str, Schema]
    required: tuple[str, ...]
    call: Callable[..., dict[str, Any]]

    def described(self) -> dict[str, Any]:
        """Return the tool as the protocol lists it."""
        schema = {"type": "object", "properties": self.parameters, "required": self.required}
        return {
            "name": self.name,
            "description": self.description,
            "inputSchema": {**schema, "additionalProperties": False},
            "outputSchema": {"type": "object"},
            "annotations": {"readOnlyHint": True, "openWorldHint": False},
        }

    def checked(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return arguments without those that are null and may be absent. Raises: InputError that lists all faults."""
        given = {name: value for name, value in arguments.items() if value is not None or name in self.required}
        faults = [f"{name} is missing" for name in self.required if name not in given]
        for name, value in given.items():
            if name in self.parameters:
                faults += faults_of(value, self.parameters[name], name)
            else:
                faults.append(f"{name} is unknown{nearest(name, self.parameters)}")
        if faults:
            more = f"; and {len(faults) - 5} more" if faults[5:] else ""
            raise InputError(
                f"{self.name} takes {', '.join(self.parameters)}; found: {'; '.join(faults[:5])}{more}; correct them"
            )
        return given


def tool_of(function: Callable[..., dict[str, Any]], schemas: Mapping[Any, Schema]) -> Tool:
    """Make a tool of a function: `schemas` are those of its parameters' types, beside which None may stand there."""
    hints = get_type_hints(function)
    parameters = inspect.signature(function).parameters
    types = {name: hints[name] if hints[name] in schemas else get_args(hints[name])[0] for name in parameters}
    return Tool(
        name=function.__name__,
        description=inspect.getdoc(function) or "",
        parameters={name: schemas[kind] for name, kind in types.items()},
        required=tuple(name for name, one in parameters.items() if one.default is one.empty),
        call=function,
    )


def faults_of(value: Any, schema: Schema, name: str) -> Iterator[str]:
    """Say what of a value its schema does not allow.

    >>> list(faults_of(0, {"type": "integer", "minimum": 1, "maximum": 9}, "top_k"))
    ['top_k is 0 and may be 1 to 9']
    >>> list(faults_of(["a", 3], {"type": "array", "items": {"type": "string"}}, "texts"))
    ['texts[1] must be a text and is of type int']
    """
    kind, said, unit, bound = TYPES[schema["type"]]
    if not isinstance(value, kind) or isinstance(value, bool):
        yield f"{name} must be {said} and is of type {type(value).__name__}"
        return
    size = len(value) if isinstance(value, str | list) else value
    least, most = schema.get(f"min{bound}", 0), schema.get(f"max{bound}", size)
    if not least <= size <= most:
        yield f"{name} is {size}{unit} and may be {least} to {most}"
    for number, item in enumerate(value if isinstance(value, list) else ()):
        yield from faults_of(item, schema["items"], f"{name}[{number}]")


class ToolServer:
    """A server of tools.

    >>> def shout(text: str) -> dict[str, str]:
    ...     "Say it loud."
    ...     return {"said": text.upper()}
    >>> server = ToolServer([tool_of(shout, {str: {"type": "string"}})], name="echo", version="1")
    >>> server.result("tools/call", {"name": "shout", "arguments": {"text": "hi"}})["structuredContent"]
    {'said': 'HI'}
    """

    def __init__(self, tools: Sequence[Tool], *, name: str, version: str) -> None:
        self.tools = {tool.name: tool for tool in tools}
        self.info = {"name": name, "version": version}

    def answer(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a request with a result, or with an error of the protocol."""
        head = {"jsonrpc": "2.0", "id": message.get("id")}
        try:
            params = message.get("params") or {}
            if not isinstance(params, dict):
                raise Refused(INVALID_PARAMS, f"params must be an object; found {type(params).__name__}")
            return {**head, "result": self.result(str(message.get("method")), params)}
        except Refused as refused:
            return {**head, "error": refused.error}

    def result(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the result of a method. Raises: Refused."""
        meta = params.get("_meta")
        revision = meta.get(f"{META}protocolVersion") if isinstance(meta, dict) else None
        if revision not in (None, *STATELESS):
            raise Refused(
                OTHER_REVISION,
                f"the revision {str(revision)[:20]} was asked for; this server has {', '.join(STATELESS)}",
                {"supported": [*STATELESS, *WITH_HANDSHAKE], "requested": str(revision)[:20]},
            )
        methods = {
            "initialize": self._initialize,
            "server/discover": self._discover,
            "ping": lambda params: {},
            "tools/list": lambda params: {"tools": [tool.described() for tool in self.tools.values()]},
            "tools/call": self._call,
        }
        if method not in methods:
            raise Refused(UNKNOWN_METHOD, f"the method {method[:100]!r} is unknown; there are {', '.join(methods)}")
        result = methods[method](params)
        if revision is not None:
            result |= {"resultType": "complete", "_meta": {f"{META}serverInfo": self.info}}
            result |= {"ttlMs": 0, "cacheScope": "private"} if method != "tools/call" else {}
        return result

    def _initialize(self, params: Mapping[str, Any]) -> dict[str, Any]:
        asked = params.get("protocolVersion")
        revision = asked if asked in WITH_HANDSHAKE else WITH_HANDSHAKE[0]
        return {"protocolVersion": revision, "capabilities": CAPABILITIES, "serverInfo": self.info}

    def _discover(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return {"supportedVersions": [*STATELESS], "capabilities": CAPABILITIES}

    def _call(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Call a tool; what is wrong with the arguments, or with what is computed, is the tool's answer."""
        name, arguments = str(params.get("name")), params.get("arguments") or {}
        try:
            tool = self.tools.get(name)
            if tool is None:
                raise InputError(f"the tool {name[:100]!r} was asked for; there are {', '.join(self.tools)}; name one")
            if not isinstance(arguments, dict):
                raise InputError(f"arguments by their names were expected; found {type(arguments).__name__}; name them")
            content = tool.call(**tool.checked(arguments))
            return {**_said(json.dumps(content, allow_nan=False)), "structuredContent": content, "isError": False}
        except WellreadError as error:
            return {**_said(str(error)), "isError": True}
        except Exception as error:  # its words may hold a text, which no log should
            print(f"{type(error).__name__} at\n{''.join(traceback.format_tb(error.__traceback__))}", file=sys.stderr)
            return {
                **_said(f"{name} was asked for; wellread failed; its log says where; please report it"),
                "isError": True,
            }


def _said(text: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}]}


def run(server: ToolServer, lines: Iterable[bytes], write: Callable[[bytes], object]) -> None:
    """Answer messages until there are no more. Tools work one after the other; all else is answered meanwhile."""
    calls: dict[int | str, Future[None]] = {}  # that wait or work
    lock = Lock()

    def send(answer: Mapping[str, Any] | list[dict[str, Any]]) -> None:
        line = json.dumps(answer).encode() + b"\n"
        with lock:
            write(line)

    def answer(message: Mapping[str, Any]) -> None:
        send(server.answer(message))

    def answer_batch(batch: Sequence[Any]) -> None:
        answers = []
        for given in batch:
            try:
                message = message_of(given)
            except Refused as refused:
                answers.append(refused.answer)
                continue
            if message.get("id") is not None:
                answers.append(server.answer(message))
        if answers:
            send(answers)

    def done(number: int | str, call: Future[None]) -> None:
        calls.pop(number, None)

    with ThreadPoolExecutor(1) as pool:
        for line in lines:
            try:
                given = value_of(line)
                if given and isinstance(given, list):
                    pool.submit(answer_batch, given)
                    continue
                message = message_of(given)
            except Refused as refused:
                send(refused.answer)
                continue
            method, number = message["method"], message.get("id")
            if method == "notifications/cancelled":
                _cancel(calls, message.get("params"))
            elif method == "tools/call" and number is not None:
                call = calls[number] = pool.submit(answer, message)
                call.add_done_callback(partial(done, number))
            elif number is not None:
                answer(message)


def value_of(line: bytes) -> Any:
    """Parse a line: a message, or a batch of them in a list, as revision 2025-03-26 has it. Raises: Refused."""
    try:
        return parse_json(line)
    except ValueError as error:
        raise Refused(INVALID_JSON, f"a line of JSON was expected; found a fault: {error}") from None


def message_of(message: Any) -> dict[str, Any]:
    """Return a request, or a notification, which has no id. Raises: Refused for what is neither."""
    if (
        not isinstance(message, dict)
        or message.get("jsonrpc") != "2.0"
        or not isinstance(message.get("method"), str)
        or type(message.get("id", 0)) not in (int, str)
    ):
        raise Refused(INVALID_REQUEST, "a request of JSON-RPC 2.0 was expected; found none")
    return message


def _cancel(calls: Mapping[int | str, Future[None]], params: Any) -> None:
    """Drop a call that has not begun; it gets no answer."""
    number = params.get("requestId") if isinstance(params, dict) else None
    call = calls.get(number) if isinstance(number, int | str) else None
    if call is not None:
        call.cancel()


def serve_stdio(server: ToolServer) -> None:
    """Answer standard input on standard output, which is the protocol's alone: what others print goes to the log."""
    with os.fdopen(os.dup(1), "wb") as wire, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what was cut stands in the answer

        def write(line: bytes) -> None:
            wire.write(line)
            wire.flush()

        os.dup2(2, 1)
        try:
            run(server, sys.stdin.buffer, write)
        finally:
            os.dup2(wire.fileno(), 1)
