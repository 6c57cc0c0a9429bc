"""What a server is told at its start; nothing of it changes while it runs."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Annotated

from wellread.backends.backend import TOKENS_A_CORE, cpu_count
from wellread.errors import InputError

FROM_ZERO = ("port", "max_batch_tokens")  # where 0 means something
COUNTS = (
    *FROM_ZERO,
    "workers",
    "max_requests",
    "max_body_bytes",
    "max_text_chars",
    "max_texts",
    "max_numbers",
    "max_queue_tokens",
)
SIZE = re.compile(r"(\d+(?:\.\d+)?)([KMGT]?)(?:iB|B)?", re.IGNORECASE)
SECONDS = ("max_wait", "deadline", "body_timeout", "drain_timeout")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings:
    """How to serve: where, to whom, and how much at once."""

    host: Annotated[str, "the address to listen on; 0.0.0.0 is every address of this machine"] = "127.0.0.1"
    port: Annotated[int, "the port to listen on; 0 takes a free one"] = 8080
    api_key: Annotated[str, "the key that a request must have, as `Authorization: Bearer KEY`; none if empty"] = ""
    cors_origins: Annotated[str, "web pages of these origins may read answers, with commas between; * is all"] = ""
    workers: Annotated[int, "processes that serve, which share the weights"] = 1
    max_requests: Annotated[int, "requests that are answered at once; a further one gets 429"] = 4096
    max_body_bytes: Annotated[int, "a longer body of a request is refused with 413"] = 16_000_000
    max_text_chars: Annotated[int, "a longer text is refused"] = 1_000_000
    max_texts: Annotated[int, "a request with more texts is refused"] = 2048
    max_numbers: Annotated[int, "an answer with more numbers is refused"] = 20_000_000
    max_batch_tokens: Annotated[int, "tokens that are computed together; 0 is 4096 for each core"] = 0
    max_queue_tokens: Annotated[int, "tokens that may wait; a request that goes beyond gets 429"] = 500_000
    max_wait: Annotated[float, "seconds that a request should wait in the queue at most; one beyond gets 429"] = 2.0
    max_memory: Annotated[str, "memory of each process, such as 512M or 2G; what would go beyond gets 429"] = ""
    deadline: Annotated[float, "seconds that a request may wait for its vectors before it gets 504"] = 60.0
    body_timeout: Annotated[float, "seconds that a client may take to send a request before it gets 408"] = 30.0
    drain_timeout: Annotated[float, "seconds that requests have to end after SIGTERM"] = 30.0

    def __post_init__(self) -> None:
        """Refuse what means nothing."""
        for name in COUNTS:
            value, least = getattr(self, name), 0 if name in FROM_ZERO else 1
            if value < least:
                raise InputError(f"{name}= must be at least {least}; found {value}; choose such a number")
        if self.port > 65_535:
            raise InputError(f"port= must be 0 to 65535; found {self.port}; choose such a number")
        if self.api_key and not self.api_key.strip():  # of a file that is empty but for its line break, say
            raise InputError("api_key= is a key, or empty for none; found white space alone; choose one")
        if self.max_memory and not SIZE.fullmatch(self.max_memory):
            raise InputError(f"max_memory= is a size such as 512M or 2G; found {self.max_memory!r}; choose one")
        for name in SECONDS:
            if not 0 < getattr(self, name) < math.inf:
                raise InputError(f"{name}= is a number of seconds above 0; found {getattr(self, name)}; choose one")

    @property
    def origins(self) -> list[str]:
        """The origins whose web pages may read answers."""
        return [origin.strip() for origin in self.cors_origins.split(",") if origin.strip()]

    @property
    def memory_bytes(self) -> int | None:
        """Bytes that a process may hold; None: no bound.

        >>> ServeSettings(max_memory="1.5G").memory_bytes
        1610612736
        """
        found = SIZE.fullmatch(self.max_memory)
        return round(float(found[1]) * 1024 ** "BKMGT".index(found[2].upper() or "B")) if found else None

    @property
    def batch_tokens(self) -> int:
        """Tokens that are computed together."""
        return self.max_batch_tokens or TOKENS_A_CORE * cpu_count()
