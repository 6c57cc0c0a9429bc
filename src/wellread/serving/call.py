"""One request, from its body to its answer: parsed, read, computed in the queue, timed and counted."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

import orjson
from starlette.requests import Request
from starlette.responses import Response

from wellread.serving.batcher import Lane
from wellread.serving.bodies import body_of
from wellread.serving.faults import Empty, Fault, Malformed, Unknown
from wellread.serving.memory import NUMBER, TEXT
from wellread.serving.served import Read, Served
from wellread.serving.state import SHARE, Server

B = TypeVar("B")
R = TypeVar("R")
SHORT = 20_000  # characters or ids that are read at once; more are read in a thread, so that others need not wait


class Call:
    """A request under way."""

    def __init__(self, request: Request, server: Server) -> None:
        self.request, self.server, self.share = request, server, request.scope[SHARE]
        self.began = time.perf_counter()
        self.tokens = self.cut_texts = self.cut_tokens = 0
        self.seconds = {"tokenization": 0.0, "queue": 0.0, "inference": 0.0}
        self.ignored: list[str] = []

    async def parse(self, body: type[B]) -> B:
        """Read the body. Raises: Malformed for no JSON; Fault for other types than the route takes."""
        parsed, self.ignored = body_of(body, await self.request.body())
        return parsed

    def texts(self, given: Any, *, name: str) -> list[str]:
        """Return one text or many as a list. Raises: Fault for anything else, or for too many or too long ones."""
        settings = self.server.settings
        texts = texts_of(given, name=name, most=settings.max_texts, chars=settings.max_text_chars)
        self.share.take(TEXT * len(texts))
        return texts

    def texts_or_ids(self, given: Any, *, name: str) -> list[str] | list[list[int]]:
        """Return texts as `texts` does, or rows of ids, one or many. Raises: Fault also for rows as for texts."""
        rows = [given] if isinstance(given, list) and given and type(given[0]) is int else given
        if not isinstance(rows, list) or not rows or not isinstance(rows[0], list):
            return self.texts(given, name=name)
        if not all(type(row) is list and row and all(type(id) is int for id in row) for row in rows):
            raise Fault(f"{name} must be texts, or rows of ids; found others, or empty rows; send them apart")
        self.refuse_more_ids(rows)
        self.share.take(TEXT * len(rows))
        return rows

    def refuse_more_ids(self, rows: Sequence[Sequence[int]]) -> None:
        """Refuse more or longer rows of ids than there may be texts and characters. Raises: Fault."""
        settings = self.server.settings
        _refuse_more(rows, most=settings.max_texts, length=settings.max_text_chars, unit="ids")

    def will_answer(self, numbers: int, *, advice: str = "send fewer texts") -> None:
        """Take memory for so many numbers of an answer. Raises: Fault for more than an answer may have."""
        most = self.server.settings.max_numbers
        if numbers > most:
            raise Fault(f"an answer of at most {most} numbers was asked for; this one has {numbers}; {advice}")
        self.share.take(NUMBER * numbers)

    def served(self, name: str | None) -> Served:
        """Return the module that a request names, or the first."""
        return self.server.modules.named(name)

    async def work(self, work: Callable[[], R], size: int) -> R:
        """Do work on so many characters or ids, here or in a thread."""
        if size <= SHORT:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self.server.reader, work)

    async def read(self, read: Callable[[], Read], chars: int) -> Read:
        """Read texts of so many characters."""
        began = time.perf_counter()
        rows = await self.work(read, chars)
        self.seconds["tokenization"] += time.perf_counter() - began
        self.tokens += sum(rows.sizes)
        self.cut_texts += sum(map(bool, rows.lost))
        self.cut_tokens += sum(rows.lost)
        self.server.metrics.observe("te_request_input_length", *rows.sizes)
        return rows

    async def compute(self, lane: Lane, items: Sequence[Hashable], sizes: Sequence[int]) -> list[Any]:
        """Return the results for items of so many tokens; a client that goes away takes them out of the queue."""
        deadline = self.server.settings.deadline
        done = await self.server.batcher.submit(lane, items, sizes, deadline=deadline, gone=self._gone)
        self.seconds["queue"] += done.queued
        self.seconds["inference"] += done.computed
        return done.values

    async def _gone(self) -> Exception:
        """Wait until the client closes its connection."""
        while (await self.request.receive())["type"] != "http.disconnect":
            pass
        return Malformed("the client went away")  # told to no one

    def answer(self, content: Any, *, status: int = 200) -> Response:
        """Return an answer in JSON, with what it took and what was cut in its headers."""
        total = time.perf_counter() - self.began
        seconds = self.seconds
        if self.request.method == "POST":  # what te_request_count counts
            for name, value in seconds.items():
                self.server.metrics.observe(f"te_request_{name}_duration", value)
        headers = {f"x-{name}-time": str(round(value * 1000)) for name, value in {"total": total, **seconds}.items()}
        headers["x-compute-tokens"] = str(self.tokens)
        if self.cut_texts:
            headers |= {"x-truncated-texts": str(self.cut_texts), "x-truncated-tokens": str(self.cut_tokens)}
        if self.ignored:
            names = ",".join(name[:40] for name in self.ignored[:8])
            headers["x-ignored-fields"] = re.sub(r"[^ -~]", "?", names)  # a header has no line breaks
        return Response(orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY), status, headers, "application/json")


def texts_of(given: Any, *, name: str, most: int, chars: int) -> list[str]:
    """Return one text or many as a list.

    Raises: Empty for none; Fault for ids, for what is no text, and for more or longer ones than a server takes.
    """
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list):
        kind = "nothing" if given is None else type(given).__name__
        raise Fault(f"{name} must be a text or a list of texts; found {kind}; send strings")
    if not texts:
        raise Empty(f"{name} must be a text or a list of texts; found an empty list; send at least one")
    first = texts[0][:1] if isinstance(texts[0], list) else texts[:1]
    if all(isinstance(value, int) and not isinstance(value, bool) for value in first):
        raise Fault(
            f"{name} must be texts; found token ids, which another tokenizer may have made; send strings: LangChain's "
            "OpenAIEmbeddings does with check_embedding_ctx_length=False"
        )
    wrong = next(((number, text) for number, text in enumerate(texts) if not isinstance(text, str)), None)
    if wrong is not None:
        raise Fault(f"{name} must be texts; found {type(wrong[1]).__name__} at {wrong[0]}; send strings")
    _refuse_more(texts, most=most, length=chars, unit="characters")
    return texts


def _refuse_more(texts: Sequence[Sequence[Any]], *, most: int, length: int, unit: str) -> None:
    """Refuse more texts than `most`, and longer ones than `length`. Raises: Fault."""
    if len(texts) > most:
        raise Fault(f"at most {most} texts a request were asked for; found {len(texts)}; send them in parts")
    long = next(((number, text) for number, text in enumerate(texts) if len(text) > length), None)
    if long is not None:
        raise Fault(
            f"texts of at most {length} {unit} were asked for; found {len(long[1])} at {long[0]}; cut it, or send it "
            "in parts"
        )


def unknown(what: str, name: str, known: Sequence[str]) -> Unknown:
    """Return the fault of a name that is not there."""
    return Unknown(f"{what} {name[:100]!r} was asked for; this server has {', '.join(known)}; name one of these")
