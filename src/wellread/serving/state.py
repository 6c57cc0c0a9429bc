"""What the routes of a server share: its modules, its queue, its counters."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from wellread.serving.batcher import Batcher
from wellread.serving.memory import Memory
from wellread.serving.metrics import Metrics
from wellread.serving.modules import Modules
from wellread.serving.settings import ServeSettings

SHARE = "wellread.share"  # of memory that a request has taken, in its scope


class Server:
    """What the routes share."""

    def __init__(self, modules: Modules, settings: ServeSettings, metrics: Metrics, memory: Memory) -> None:
        self.modules, self.settings, self.metrics, self.memory = modules, settings, metrics, memory
        self.started = int(time.time())
        self.batcher = Batcher(
            batch_tokens=lambda: memory.batch_tokens,
            queue_tokens=settings.max_queue_tokens,
            max_wait=settings.max_wait,
            metrics=metrics,
        )
        self.reader = ThreadPoolExecutor(1, thread_name_prefix="wellread-read")  # of long texts

    async def close(self) -> None:
        """Answer what is in flight, and end the threads."""
        await self.batcher.close()
        self.reader.shutdown(wait=False)
