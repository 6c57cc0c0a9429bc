"""EncodeBatch: vectors for the batches that Ray Data, Spark, Dask and Daft hand to their workers."""

from __future__ import annotations

import os
import socket
import warnings
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wellread.corpus.faults import encode_what_can_be
from wellread.dataclass import dataclass
from wellread.errors import HandleError, InputError, WellreadError, nearest
from wellread.module import Module, load
from wellread.text.texts import refuse_other_rows

Array = NDArray[Any]

# What of `Module.encode` a batch may be encoded with; where it computes and what it returns is for the engine to say.
OPTIONS = ("prompt", "prompt_name", "batch_size", "precision", "normalize_embeddings", "truncate_dim", "on_long")
DTYPES = ("float32", "float16")
ON_ERROR = ("fail", "null")
FINGERPRINT, HANDLE = b"wellread.fingerprint", b"wellread.module"  # in the metadata of a column of vectors


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Vectors:
    """The vectors of N rows, of which some have none."""

    values: Array  # float32 or float16 [N, E]; zeros where there is none
    missing: NDArray[np.bool_]  # [N]

    def as_arrow(self) -> Any:
        """Return a fixed-size list of E numbers a row: null where there is none."""
        import pyarrow as pa

        values = pa.array(self.values.reshape(-1))
        mask = pa.array(self.missing) if self.missing.any() else None
        return pa.FixedSizeListArray.from_arrays(values, self.values.shape[1], mask=mask)

    def as_numpy(self) -> Array:
        """Return [N, E]: NaN where there is none."""
        return np.where(self.missing[:, None], np.asarray(np.nan, self.values.dtype), self.values)

    def as_series(self, index: Any, name: str) -> Any:
        """Return a Series of pandas of N arrays: None where there is none, as Spark takes it."""
        import pandas as pd

        rows = [None if missing else row for row, missing in zip(self.values, self.missing, strict=True)]
        return pd.Series(rows, index=index, name=name, dtype=object)

    def as_arrow_series(self, index: Any, name: str) -> Any:
        """Return a Series of pandas of fixed-size lists of Arrow: NA where there is none."""
        import pandas as pd

        return pd.Series(pd.arrays.ArrowExtensionArray(self.as_arrow()), index=index, name=name)


class EncodeBatch:
    """Give a batch of rows the vectors of its texts: what an engine of many machines calls on its workers.

    `module` is a handle, by which each machine finds the module itself, or a Module, which travels with its arrays.
    Options are those of `Module.encode`. A process loads the module at its first batch, and once for all batches.

    A batch comes back as it was, with `output_column` beside its columns: of pyarrow (Table, RecordBatch) a fixed-size
    list of `dtype`, its field with the module's fingerprint in the metadata; of pandas (DataFrame) the same as an Arrow
    column; of a mapping of arrays, as Ray's and Hugging Face's datasets have them, an array [N, E]. A column by itself,
    of pyarrow, pandas or Daft, a list or an array of texts, becomes a column of vectors; of pandas a Series of arrays.

    A text that is null (None, NaN, NA) has the vector null; in a NumPy array, NaN. `on_error="null"` gives the same to
    texts that cannot be encoded, with a warning that counts them; `"fail"` raises. A column of numbers is an error
    either way.

    Raises: InputError for arguments of other kinds, and, when it is called, for a batch without `column` or whose
    column holds no texts; TextError; HandleError where this machine does not find the module.

    >>> import wellread
    >>> batch = wellread.EncodeBatch("default", column="body")({"body": ["A man is playing a guitar.", None]})
    >>> batch["embedding"].shape
    (2, 384)
    """

    def __init__(
        self,
        module: str | os.PathLike[str] | Module = "default",
        *,
        column: str = "text",
        output_column: str = "embedding",
        dtype: str = "float32",
        on_error: str = "fail",
        **options: Any,
    ) -> None:
        """Hold what is to be done; load nothing yet."""
        for name, value, choices in (("dtype", dtype, DTYPES), ("on_error", on_error, ON_ERROR)):
            if value not in choices:
                raise InputError(f"{name} is one of {', '.join(choices)}; found {value!r}; choose one of these")
        for name in options:
            if name not in OPTIONS:
                raise InputError(
                    f"an option of encode was expected, one of {', '.join(OPTIONS)}; found {name}=; leave it out"
                    f"{nearest(name, OPTIONS)}"
                )
        self.module = module if isinstance(module, Module) else _anywhere(os.fspath(module))
        self.column, self.output_column = column, output_column
        self.dtype, self.on_error, self.options = dtype, on_error, options
        # tells a Module that arrives with every task from one that this process has prepared
        self.fingerprint = module.fingerprint if isinstance(module, Module) else None

    def __repr__(self) -> str:
        """Say in one line what becomes what."""
        return f"<wellread.EncodeBatch {self.column} -> {self.output_column}, {self.module}>"

    def __call__(self, batch: Any) -> Any:
        """Return the batch with its vectors, or the vectors of a column. Raises: as the class says."""
        names = columns_of(batch)
        if names is None:
            vectors = self._encode(batch)
            if hasattr(batch, "to_arrow") or hasattr(batch, "to_pylist"):  # of Daft or polars; of pyarrow
                return vectors.as_arrow()
            if is_pandas(batch):
                return vectors.as_series(batch.index, self.output_column)
            return vectors.as_numpy()
        if self.column not in names:
            raise InputError(
                f"a column {self.column!r} of texts was expected; found {', '.join(map(repr, names)) or 'no column'}; "
                f"pass one of these as column={nearest(self.column, names)}"
            )
        if self.output_column in names:
            raise InputError(
                f"the vectors were to be a new column {self.output_column!r}; the batch has one of that name; pass "
                "output_column="
            )
        vectors = self._encode(batch[self.column])
        if isinstance(batch, Mapping):
            return {**batch, self.output_column: vectors.as_numpy()}
        if is_pandas(batch):
            return batch.assign(**{self.output_column: vectors.as_arrow_series(batch.index, self.output_column)})
        return batch.append_column(self.field(), vectors.as_arrow())

    def field(self) -> Any:
        """Return the Arrow field of the vectors: for a schema that an engine asks for beforehand."""
        import pyarrow as pa

        process = self.process()
        kind = pa.list_(pa.type_for_alias(self.dtype), self._width(process.module))
        metadata = {FINGERPRINT: process.fingerprint, HANDLE: process.handle}
        return pa.field(self.output_column, kind, metadata=metadata)

    def process(self) -> Loaded:
        """Return the module of this process, loaded at the first call. Raises: HandleError."""
        if isinstance(self.module, Module):
            assert self.fingerprint is not None
            return _HELD.setdefault((self.fingerprint, self.module.backend), Loaded(self.module, self.fingerprint))
        return loaded(self.module)

    def _encode(self, column: Any) -> Vectors:
        """Turn a column of N texts, of which some may be null, into vectors. Raises: as the class says."""
        texts = texts_of(column, name=self.column)
        if self.on_error == "fail":
            refuse_other_rows(["" if text is None else text for text in texts])
        module = self.process().module
        values, missing = np.zeros((len(texts), self._width(module)), self.dtype), np.ones(len(texts), bool)
        rows = [row for row, text in enumerate(texts) if text is not None]
        for part, found in encode_what_can_be(
            lambda some: module.encode(some, show_progress_bar=False, **self.options), texts, rows
        ):
            if not isinstance(found, WellreadError):
                values[part], missing[part] = found, False
            elif self.on_error == "fail":
                raise type(found)(f"row {part[0]} of {self.column!r} could not be encoded: {found}") from found
        if lost := len(rows) - int((~missing).sum()):
            warnings.warn(
                f"{len(rows)} texts of {self.column!r} were to be encoded; {lost} could not be, and have no vector; "
                'on_error="fail" says why',
                stacklevel=3,
            )
        return Vectors(values=values, missing=missing)

    def _width(self, module: Module) -> int:
        """Return the width E of a vector. Raises: InputError for what is wrong with the options, not with a text."""
        return module.encode([], show_progress_bar=False, **self.options).shape[1]


class Loaded:
    """A module that this process has loaded, and its fingerprint."""

    def __init__(self, module: Module, fingerprint: str | None = None) -> None:
        """Take the module; hash its weights unless that was done."""
        self.module = module
        self.fingerprint = fingerprint or module.fingerprint
        self.handle = str(module.provenance.get("handle", ""))


def _anywhere(handle: str) -> str:
    """Return a handle as a process with another working directory understands it."""
    path = os.path.expanduser(handle)
    return os.path.abspath(path) if os.sep in handle and os.path.exists(path) else handle


_HELD: dict[tuple[str, str], Loaded] = {}  # Modules that came with a batch, by fingerprint and backend


@cache
def loaded(handle: str) -> Loaded:
    """Load what a handle names, once a process. Raises: HandleError that names this machine."""
    try:
        return Loaded(load(handle))
    except HandleError as error:
        raise HandleError(
            f"{error}; on {socket.gethostname()}: where the machines do not share it, pass the Module itself, "
            f"wellread.load({handle!r}), which travels with its arrays"
        ) from error


def columns_of(batch: Any) -> list[str] | None:
    """Name the columns of a batch; None for a column by itself."""
    if isinstance(batch, Mapping):
        return [str(name) for name in batch]
    if hasattr(batch, "append_column"):
        return list(batch.schema.names)
    return [str(name) for name in batch.columns] if is_pandas(batch) and hasattr(batch, "columns") else None


def is_pandas(batch: Any) -> bool:
    """Tell whether something is a DataFrame or a Series of pandas."""
    return type(batch).__module__.partition(".")[0] == "pandas"


def texts_of(column: Any, *, name: str) -> list[Any]:
    """Return the rows of a column of texts, None where they are null. Raises: InputError for a column of numbers."""
    if kind := kind_of_numbers(column):
        raise InputError(
            f"the column {name!r} was to hold texts; found {kind}; pass another column=, or make it texts first"
        )
    rows = column.to_pylist() if hasattr(column, "to_pylist") else list(column)
    return [None if is_null(row) else row for row in rows]


def is_null(row: object) -> bool:
    """Tell whether a row holds nothing: None, NaN, or NA of pandas."""
    return row is None or type(row).__name__ == "NAType" or (isinstance(row, float) and row != row)


def kind_of_numbers(column: Any) -> str | None:
    """Name the type of a column that holds something else than texts; None for one of texts, or of any objects."""
    if hasattr(column, "to_arrow"):
        column = column.to_arrow()
    if hasattr(column, "to_pylist"):
        import pyarrow as pa

        kind = column.type
        while pa.types.is_dictionary(kind) or isinstance(kind, pa.BaseExtensionType):
            kind = kind.value_type if pa.types.is_dictionary(kind) else kind.storage_type
        texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_null)
        return None if any(is_text(kind) for is_text in texts) else str(column.type)
    dtype = getattr(column, "dtype", None)
    kind = getattr(dtype, "kind", "O")
    if kind in "OUT" or not len(column):  # objects; texts of NumPy, of fixed and of any length
        return None
    return str(dtype)
