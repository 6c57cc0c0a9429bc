"""A system of `search` in its own process: it opens the vectors, and finds the nearest of queries.

Run by `harness.Worker` as `python -m benchmarks.search_worker SYSTEM MODEL_DIR WORK_DIR`; `WORK_DIR` holds what
`write_vectors` leaves there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import serve
from benchmarks.systems import System
from wellread.doctor.speed import peak_bytes

WIDTH, TOP_K = 384, 10
QUERIES = "queries.npy"
INT8_SCALE = 1 / 400  # a number of a vector of length 1 in 384 dimensions is rarely beyond 0.3
GROUP = 16_384  # rows of a row group, as wellread embed writes them
BLOCK = 65_536  # rows that are drawn at once

Search = Callable[[NDArray[np.float32]], NDArray[np.int64]]  # queries [Q, E]: rows [Q, TOP_K]


def write_vectors(directory: Path, rows: int) -> None:
    """Write `rows` random vectors of length 1 in every form, and 100 queries.

    Queries lie near rows, so that the nearest are no tie of noise. Files are written a block at a time.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    schema = pa.schema([("embedding", pa.list_(pa.float32(), WIDTH))])
    forms = {"float32": np.float32, "float16": np.float16, "int8": np.int8, "binary": np.uint8}
    shapes = {name: (rows, WIDTH // 8 if name == "binary" else WIDTH) for name in forms}
    arrays = {
        name: np.lib.format.open_memmap(directory / f"{name}.npy", "w+", dtype, shapes[name])
        for name, dtype in forms.items()
    }
    with pq.ParquetWriter(directory / "float32.parquet", schema, use_dictionary=False, compression="NONE") as parquet:
        for first in range(0, rows, BLOCK):
            block = rng.standard_normal((min(BLOCK, rows - first), WIDTH), dtype=np.float32)
            block /= np.linalg.norm(block, axis=1, keepdims=True)
            if not first:
                noise = rng.standard_normal((100, WIDTH), dtype=np.float32) / 20
                np.save(directory / QUERIES, block[np.arange(100) % len(block)] + noise)
            place = slice(first, first + len(block))
            arrays["float32"][place] = arrays["float16"][place] = block
            arrays["int8"][place] = np.rint(block / INT8_SCALE).clip(-127, 127)
            arrays["binary"][place] = np.packbits(block > 0, axis=1)
            lists = pa.FixedSizeListArray.from_arrays(pa.array(block.reshape(-1)), WIDTH)
            parquet.write_table(pa.table({"embedding": lists}), row_group_size=GROUP)


def ours(path: Path, scale: float | None = None) -> Search:
    """Search a file as `Module.search` does."""
    from wellread.searching.search import search
    from wellread.searching.vectors_file import open_vectors

    vectors = open_vectors(path, scale=scale)
    return lambda queries: search(queries, vectors, top_k=TOP_K, similarity="dot")[0]


def faiss_index(path: Path, index: str) -> Search:
    """Search an index that compares everything, in memory."""
    import faiss

    flat = faiss.index_factory(WIDTH, index, faiss.METRIC_INNER_PRODUCT)
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        np.lib.format.read_array_header_1_0(file)
        while len(block := np.fromfile(file, np.float32, BLOCK * WIDTH)):
            flat.add(block.reshape(-1, WIDTH))
    return lambda queries: flat.search(queries, TOP_K)[1]


def semantic_search(path: Path) -> Search:
    """Search a tensor in memory with sentence-transformers' function."""
    import torch
    from sentence_transformers import util

    vectors = torch.from_numpy(np.load(path))

    def search(queries: NDArray[np.float32]) -> NDArray[np.int64]:
        hits = util.semantic_search(torch.from_numpy(queries), vectors, top_k=TOP_K, score_function=util.dot_score)
        return np.array([[hit["corpus_id"] for hit in each] for each in hits])

    return search


def _ours(kind: str, file: str, description: str, **options: Any) -> System:
    return System(name=f"wellread{kind}", description=description, loader="ours", options={"file": file, **options})


TABLE = (
    _ours("", "float32.npy", "float32, a .npy file"),
    _ours("-float16", "float16.npy", "float16, a .npy file"),
    _ours("-int8", "int8.npy", "int8 with a scale, a .npy file", scale=INT8_SCALE),
    _ours("-binary", "binary.npy", "packed bits, a .npy file"),
    _ours("-parquet", "float32.parquet", "float32, a Parquet file"),
    System(
        name="faiss",
        description="IndexFlatIP, float32 in memory",
        loader="faiss",
        options={"file": "float32.npy", "index": "Flat"},
        needs=("faiss",),
    ),
    System(
        name="faiss-float16",
        description="IndexScalarQuantizer, float16 in memory",
        loader="faiss",
        options={"file": "float32.npy", "index": "SQfp16"},
        needs=("faiss",),
    ),
    System(
        name="semantic-search",
        description="sentence-transformers' function, float32 in memory",
        loader="semantic_search",
        options={"file": "float32.npy"},
        needs=("sentence_transformers", "torch"),
    ),
)
SYSTEMS = {system.name: system for system in TABLE}
LOADERS: dict[str, Callable[..., Search]] = {"ours": ours, "faiss": faiss_index, "semantic_search": semantic_search}


class Answers:
    """What a worker does when asked; each method is one request, its return value the answer."""

    def __init__(self, name: str, model_dir: Path, work_dir: Path) -> None:
        """Open the vectors."""
        options = dict(SYSTEMS[name].options)
        self.queries = np.load(work_dir / QUERIES)
        self.search = LOADERS[SYSTEMS[name].loader](work_dir / options.pop("file"), **options)

    def run(self, count: int) -> dict[str, Any]:
        """Find the nearest of so many queries; tell the seconds, the rows and the peak memory so far."""
        queries = self.queries[:count]
        started = time.perf_counter()
        rows = self.search(queries)
        seconds = time.perf_counter() - started
        return {"seconds": seconds, "rows": rows.tolist(), "peak_bytes": peak_bytes()}


if __name__ == "__main__":
    serve(Answers)
