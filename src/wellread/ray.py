"""wellread on Ray Data: the vectors of a dataset, computed on the machines of a cluster. `import wellread.ray`.

vectors = wellread.ray.embed(ray.data.read_parquet("texts"), "body", id_column="id", checkpoint_path="/shared/done")
wellread.ray.write_parquet(vectors, "/shared/vectors")
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from wellread.corpus.batches import EncodeBatch
from wellread.errors import ClusterError, InputError, WellreadError, nearest, require_extra, some
from wellread.module import Module
from wellread.schema import whole

require_extra("ray", extra="ray")  # before the imports below, which would say less

import ray  # noqa: E402
import ray.data  # noqa: E402
from ray.exceptions import RayActorError, RayTaskError  # noqa: E402

ROWS = 4096  # of a call: sorted by length together, so that there is little padding
RETRIES = 8  # of a batch whose actor died: without a limit, one that ends its process would do so for ever
IDS, JOB = "ids", "job.json"  # below a checkpoint's path: Ray's own files; what was asked for


def embed(
    dataset: ray.data.Dataset,
    column: str = "text",
    *,
    module: str | os.PathLike[str] | Module = "default",
    concurrency: int | tuple[int, int] | None = None,
    num_cpus: int = 1,
    batch_size: int = ROWS,
    id_column: str | None = None,
    checkpoint_path: str | os.PathLike[str] | None = None,
    **options: Any,
) -> ray.data.Dataset:
    """Return the dataset with a column of vectors, fixed-size lists of float32: lazily, as every dataset of Ray.

    Vectors are computed by a pool of actors: `concurrency` of them, from the first to the second number of two, or as
    many as there is room for. Each takes `num_cpus` cores and computes with so many threads. `module` is a handle, by
    which each machine finds the module itself (its files are mapped, so that the processes of a machine share their
    pages), or a Module, whose arrays travel to each machine once. `batch_size` is the rows of a call; `options` are
    those of `EncodeBatch`: `output_column`, `dtype`, `on_error`, and `encode`'s.

    With `checkpoint_path`, a folder that all machines see, Ray notes the `id_column` of the rows that are written, and
    the same call after a failure computes what is left, and after success nothing. Ids are unique integers or strings,
    which is checked first, by reading the column once. A checkpoint belongs to one folder of vectors: to begin anew,
    remove both.

    Raises: InputError for arguments that do not fit the dataset or the checkpoint; HandleError for a handle that this
    machine does not find, where there is a checkpoint. What fails on the cluster raises Ray's errors, where the
    dataset is consumed; `write_parquet` and `own_errors` turn them into wellread's.
    """
    low, high = _pool(concurrency)
    for name, number in (("num_cpus", num_cpus), ("batch_size", batch_size)):
        if (whole(number) or 0) < 1:
            raise InputError(f"{name} is a number, at least 1; found {number!r}; pass such as {name}=1")
    encode = EncodeBatch(module, column=column, **options)
    _check_columns(dataset, [column] if id_column is None else [column, id_column], encode.output_column)
    if (id_column is None) != (checkpoint_path is None):
        raise InputError(
            f"a checkpoint takes id_column= and checkpoint_path=; found {id_column!r} and "
            f"{checkpoint_path!r}; pass both, or neither"
        )
    if id_column is not None and checkpoint_path is not None:
        _check_source(dataset)
        _check_ids(dataset, id_column)
    threads = str(num_cpus)
    source = ray.data.Dataset.copy(dataset, _deep_copy=True)  # with a context of its own: datasets share their source's
    source.context.raise_original_map_exception = True
    vectors = source.map_batches(
        _Encoder,
        fn_constructor_args=(ray.put(encode) if isinstance(module, Module) else encode,),
        batch_format="pyarrow",
        batch_size=batch_size,
        compute=ray.data.ActorPoolStrategy(min_size=low, max_size=high),
        num_cpus=num_cpus,
        max_task_retries=RETRIES,
        # whatever the cluster was started with, libraries of numbers read it when they are imported
        runtime_env={"env_vars": {"WELLREAD_THREADS": threads, "OMP_NUM_THREADS": threads}},
    )
    if id_column is not None and checkpoint_path is not None:
        vectors.context.checkpoint_config = _checkpoint(encode, id_column, checkpoint_path)
    return vectors


def write_parquet(dataset: ray.data.Dataset, path: str | os.PathLike[str], **options: Any) -> None:
    """Compute a dataset and write it as Parquet files, as its own `write_parquet` does, with wellread's errors.

    Raises: ClusterError for processes that died; what `EncodeBatch` raised on a machine; Ray's other errors.
    """
    with own_errors():
        dataset.write_parquet(_place(path), **options)


@contextmanager
def own_errors() -> Iterator[None]:
    """Turn Ray's errors into wellread's, where a dataset is consumed in this context.

    Raises: ClusterError for processes that died; what `EncodeBatch` raised on a machine; Ray's other errors.
    """
    try:
        yield
    except RayTaskError as error:
        cause = error.cause
        if isinstance(cause, WellreadError):
            raise type(cause)(str(cause).partition("\nFailed to apply UDF")[0]) from error  # which Ray adds
        raise
    except RayActorError as error:
        said = re.sub(r"\x1b\[\d+m", "", str(error)).splitlines()[0]
        raise ClusterError(
            f"the actors were to encode every batch; found one with which they died {RETRIES + 1} times: {said}; look "
            "at the logs of that machine: for want of memory, pass fewer actors, concurrency=, or a smaller batch_size="
        ) from error


class _Encoder:
    """What an actor holds: the batches' function, or where it lies in Ray's store."""

    def __init__(self, encode: EncodeBatch | ray.ObjectRef[EncodeBatch]) -> None:
        """Take it; arrays out of the store are views of memory that the processes of a machine share."""
        self.encode = ray.get(encode) if isinstance(encode, ray.ObjectRef) else encode

    def __call__(self, batch: Any) -> Any:
        """Encode a Table."""
        return self.encode(batch)


def _pool(concurrency: int | tuple[int, int] | None) -> tuple[int, int | None]:
    """Return the least and the largest number of actors; None: as many as there is room for. Raises: InputError."""
    if concurrency is None:
        return 1, None
    bounds = concurrency if isinstance(concurrency, tuple) else (concurrency, concurrency)
    numbers = [whole(bound) or 0 for bound in bounds]
    if len(numbers) != 2 or not 1 <= numbers[0] <= numbers[1]:
        raise InputError(
            f"concurrency is a number of actors, at least 1, or the least and the largest; found {concurrency!r}; pass "
            "such as concurrency=4 or concurrency=(1, 4)"
        )
    return numbers[0], numbers[1]


def _check_columns(dataset: ray.data.Dataset, needed: list[str], output: str) -> None:
    """Refuse columns that are not there, as far as is known before anything is computed. Raises: InputError."""
    names = dataset.columns(fetch_if_missing=False)
    for name in needed if names is not None else ():
        if name not in names:
            raise InputError(
                f"the dataset was to have a column {name!r}; found {some(names, 20)}; pass one of these"
                f"{nearest(name, names)}"
            )
    if names is not None and output in names:
        raise InputError(
            f"the vectors were to be a new column {output!r}; the dataset has one of that name; pass output_column="
        )


def _check_source(dataset: ray.data.Dataset) -> None:
    """Refuse rows that were not read from a source: of others Ray leaves none out, and a second run doubles them."""

    def is_read(operator: Any) -> bool:
        inputs = operator.input_dependencies
        return type(operator).__name__ in ("Read", "ReadFiles") or (bool(inputs) and all(map(is_read, inputs)))

    if not is_read(dataset._logical_plan.dag):
        raise InputError(
            "a checkpoint takes a dataset that Ray reads from files or a database; found one of rows in memory, which "
            "a second run would write again; write it to Parquet, and pass ray.data.read_parquet(...)"
        )


def _check_ids(dataset: ray.data.Dataset, column: str) -> None:
    """Refuse ids that Ray cannot tell apart: null, or of several rows. Raises: InputError that names some.

    All are held here, 8 bytes each of integers, as Ray holds those that are done when it goes on.
    """
    import pyarrow as pa

    with own_errors():
        parts = dataset.select_columns([column]).iter_batches(batch_size=None, batch_format="pyarrow")
        chunks = [chunk for part in parts for chunk in part[column].chunks]
    ids = pa.chunked_array(chunks or [pa.array([], pa.int64())])
    if not (pa.types.is_integer(ids.type) or pa.types.is_string(ids.type) or pa.types.is_large_string(ids.type)):
        raise InputError(
            f"the ids of a checkpoint are integers or strings; {column!r} holds {ids.type}; pass another id_column="
        )
    twice = repeated(ids)
    if twice or ids.null_count:
        found = f"{ids.null_count} null, and {len(twice)} of several rows: {some(list(map(repr, twice)))}"
        raise InputError(
            f"each of {len(ids)} ids of {column!r} was to be that of one row, and none null; found {found}; a "
            "checkpoint would lose or double these: pass an id_column= of unique values"
        )


def repeated(ids: Any) -> list[Any]:
    """Return the values that a column of pyarrow has more than once, null aside.

    >>> import pyarrow as pa
    >>> repeated(pa.chunked_array([[3, 1, None], [2, 3, None]])), repeated(pa.chunked_array([["a", "b"]]))
    ([3], [])
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    ids = ids.drop_null()
    if pa.types.is_integer(ids.type):
        numbers = np.sort(ids.to_numpy())
        return np.unique(numbers[1:][numbers[1:] == numbers[:-1]]).tolist()
    counts = ids.value_counts()
    return counts.field("values").filter(pc.greater(counts.field("counts"), 1)).to_pylist()


def _place(path: str | os.PathLike[str]) -> str:
    """Return a path as every machine understands it: an address as it is, another from the root."""
    place = os.fspath(path)
    return place if "://" in place else os.path.abspath(os.path.expanduser(place))


def _checkpoint(encode: EncodeBatch, id_column: str, path: str | os.PathLike[str]) -> Any:
    """Return how Ray notes which rows are written: below a path that says what was asked for. Raises: InputError."""
    try:
        from ray.data.checkpoint import CheckpointConfig
    except ImportError:
        raise InputError(
            f"a checkpoint takes a Ray that has ray.data.checkpoint; found ray {ray.__version__}; install a newer one: "
            'pip install -U "ray[data]"'
        ) from None
    job = {
        "fingerprint": encode.process().fingerprint,
        "columns": [encode.column, encode.output_column, id_column],
        "dtype": encode.dtype,
        "on_error": encode.on_error,
        "options": {name: str(value) for name, value in sorted(encode.options.items())},
    }
    place = _place(path)
    _claim(place, job)
    # without the ids of what was written, the same call once more would write all rows again
    return CheckpointConfig(id_column, f"{place}/{IDS}", delete_checkpoint_on_success=False)


def _claim(place: str, job: dict[str, Any]) -> None:
    """Note beside a checkpoint what was asked for. Raises: InputError where another job has noted something else."""
    from pyarrow.fs import FileSystem, FileType

    filesystem, folder = FileSystem.from_uri(place)
    note = f"{folder}/{JOB}"
    if filesystem.get_file_info(note).type == FileType.NotFound:
        filesystem.create_dir(folder, recursive=True)
        with filesystem.open_output_stream(note) as file:
            file.write(json.dumps(job, indent=2).encode())
        return
    with filesystem.open_input_stream(note) as file:
        found = json.loads(file.read())
    if found != job:
        other = [
            f"{name} {found.get(name)!r}, now {value!r}" for name, value in job.items() if found.get(name) != value
        ]
        raise InputError(
            f"the checkpoint {place} was to be of this job; found one of another: {'; '.join(other)}; pass what it was "
            "begun with, or another checkpoint_path= and another folder for the vectors"
        )
