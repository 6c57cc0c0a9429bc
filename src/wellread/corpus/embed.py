"""A corpus to vectors on disk: shard by shard, in bounded memory, and on from where a run was cut short."""

from __future__ import annotations

import dataclasses
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wellread.backends.backend import FloatArray
from wellread.corpus.canary import KEY, canary_of
from wellread.corpus.faults import encode_what_can_be
from wellread.corpus.join import check_join
from wellread.corpus.manifest import (
    Manifest,
    Shard,
    check_same_run,
    finished,
    note_shard,
    shard_path,
    whole_shards,
    write_manifest,
)
from wellread.corpus.place import Place
from wellread.corpus.shards import SHARD_ROWS, check_form, schema_of, stored_columns, write_shard
from wellread.corpus.sources import Columns, Corpus, Input, corpus_files, inputs_of
from wellread.data.formats import STDIN, FilePath
from wellread.dataclass import dataclass
from wellread.encode import WINDOW
from wellread.errors import DataError, InputError, WellreadError, nearest, some
from wellread.files import writing
from wellread.module import Module, load
from wellread.progress import rows_progress
from wellread.schema import whole
from wellread.version import __version__

if TYPE_CHECKING:
    import pyarrow as pa

ON_ERROR = ("fail", "null")
SAMPLE = 1_000  # rows that an estimate is made of


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedCorpus:
    """What came of a run."""

    output: str
    rows: int
    nulls: int  # rows that could not be encoded; the column `error` says why
    truncated: int  # rows that lost tokens at their ends
    resumed: int  # rows that were there before
    seconds: float
    fingerprint: str  # of the module


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a run would take, by its first rows."""

    rows: int  # of the corpus; by the bytes of the sample where the files do not say it
    exact: bool  # whether the files say it
    rows_per_second: float
    seconds: float
    bytes: int  # of the output


def embed_corpus(
    inputs: FilePath | Sequence[FilePath],
    output: FilePath,
    *,
    module: Module | str = "default",
    column: str | None = None,
    id_column: str | None = None,
    keep: Sequence[str] = (),
    dtype: str = "float32",
    shard_rows: int = SHARD_ROWS,
    on_error: str = "fail",
    resume: bool = False,
    overwrite: bool = False,
    format: str | None = None,
    kind: str | None = None,
    show_progress_bar: bool | None = None,
    **options: Any,
) -> EmbeddedCorpus:
    """Turn the texts of files into vectors on disk, in the order of the rows, holding a window of them.

    `inputs` are files, patterns or folders of Parquet, CSV, TSV, JSON or text. `output` is a folder, which gets shards
    of `shard_rows` rows as Parquet, each whole or not there, or a .parquet, .npy, .jsonl, .csv or .lance, which is made
    of such shards at the end. Beside `embedding` a row has its `id_column` and the columns of `keep`, or its text where
    neither is named, and `error`: why it has no vector, with `on_error="null"`; `"fail"` stops at the first such row.
    `dtype` is float32, float16, int8 (with a scale a row, `embedding_scale`) or binary (a bit a dimension). A run that
    was cut short goes on with `resume`, to the same bytes. What an earlier run left, and a file of that name, gives way
    with `overwrite`, once the options and columns are known to make sense; a single file when the new one is whole.
    Other options are those of `Module.encode`: prompt, prompt_name, normalize_embeddings, truncate_dim, precision,
    on_long, batch_size.

    Ids are carried, and need not be unique.

    Raises: DataError for files, columns, rows and disks; InputError for options; TextError where `encode` does.

    >>> import pathlib, tempfile, wellread
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     texts = pathlib.Path(folder, "texts.txt")
    ...     _ = texts.write_text("A man is playing a guitar.\\nIt rains.\\n")
    ...     wellread.embed_corpus(texts, pathlib.Path(folder, "vectors")).rows
    2
    """
    started = time.perf_counter()
    columns = Columns(text=column, id=id_column, keep=tuple(keep))
    _check_choices(shard_rows, on_error)
    place = Place.of(output)
    check_join(place.output, dtype=dtype, nulls=on_error == "null")
    files = _files_to_read(inputs, place)
    resumable = STDIN not in files
    if resume and not resumable:
        raise DataError("a run was to go on; found that its texts come from standard input; put them in a file")
    with _spooled(files) as readable, place.locked():
        before = place.earlier_run(resume=resume, overwrite=overwrite)
        corpus = Corpus(readable, columns, format=format, kind=kind)
        module = load(module) if isinstance(module, str) else module
        run = _Run.of(module, corpus, dtype=dtype, shard_rows=shard_rows, on_error=on_error, options=options)
        manifest = run.manifest(columns, inputs_of(files), kind=kind or "", data_format=format or "")
        if before is not None:
            manifest = check_same_run(before, manifest, place.shards)
            run = run.with_canary(manifest.canary)
        place.clear(everything=before is None)
        if before is None:
            write_manifest(place.shards, manifest)
        with place.cleared_after_failure(resumable):
            shards, resumed = run.write_shards(place.shards, manifest, show=show_progress_bar)
            write_manifest(place.shards, finished(manifest, sum(shard.rows for shard in shards)))
            place.finish(shards, errors=on_error == "null" or any(shard.nulls for shard in shards))
    return EmbeddedCorpus(
        output=os.fspath(output),
        rows=sum(shard.rows for shard in shards),
        nulls=sum(shard.nulls for shard in shards),
        truncated=sum(shard.truncated for shard in shards),
        resumed=resumed,
        seconds=time.perf_counter() - started,
        fingerprint=manifest.fingerprint,
    )


def _check_choices(shard_rows: int, on_error: str) -> None:
    """Raise InputError for settings that cannot be meant."""
    if (whole(shard_rows) or 0) < 1:
        raise InputError(f"shard_rows must be a whole number of at least 1; found {shard_rows!r}; leave it out")
    if on_error not in ON_ERROR:
        raise InputError(
            f"on_error is {' or '.join(ON_ERROR)}; found {on_error!r}; choose one{nearest(on_error, ON_ERROR)}"
        )


def _files_to_read(inputs: FilePath | Sequence[FilePath], place: Place) -> list[str]:
    """Return the files of the inputs that the run does not write itself, into a folder of theirs. Raises: DataError."""
    given = [inputs] if isinstance(inputs, str | os.PathLike) else inputs
    files = corpus_files(given)
    written = {file for file in files if file != STDIN and place.holds(file)}
    if written.intersection(map(os.fspath, given)) or written.issuperset(files):
        raise DataError(
            f"texts were asked of {some(sorted(written))}; found that vectors are to be written there; choose another "
            "place for them"
        )
    return [file for file in files if file not in written]


@contextmanager
def _spooled(files: Sequence[str]) -> Iterator[list[str]]:
    """Give files that can be read more than once: standard input is put in one, for as long as it is needed."""
    if STDIN not in files:
        yield list(files)
        return
    with tempfile.NamedTemporaryFile(suffix=".txt") as file:
        with writing(Path(file.name)):
            shutil.copyfileobj(sys.stdin.buffer, file)
            file.flush()
        yield [file.name if name == STDIN else name for name in files]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Run:
    """What turns the rows of a corpus into shards."""

    module: Module
    corpus: Corpus
    schema: pa.Schema
    dtype: str
    shard_rows: int
    on_error: str
    options: Mapping[str, Any]  # of `encode_counted`
    precision: str

    @classmethod
    def of(
        cls, module: Module, corpus: Corpus, *, dtype: str, shard_rows: int, on_error: str, options: Mapping[str, Any]
    ) -> _Run:
        """Settle what the module computes in. Raises: InputError for options that `encode` does not take."""
        settings = {name: value for name, value in options.items() if value is not None}
        sample, _ = module.encode_counted(["a"], **settings)  # refuses what is wrong before any row is read
        check_form(dtype, sample.shape[1])
        # named, so that what is fastest today does not decide the bytes of a run that goes on tomorrow
        precision = module.running(settings.pop("precision", None)).precision
        metadata = {
            "wellread.fingerprint": module.fingerprint,
            "wellread.precision": dtype,
            "wellread.dimensions": str(sample.shape[1]),
            KEY: canary_of(module, settings, precision=precision),
        }
        kept = kept_schema(corpus)
        return cls(
            module=module,
            corpus=corpus,
            schema=schema_of(kept, dtype, sample.shape[1], metadata),
            dtype=dtype,
            shard_rows=shard_rows,
            on_error=on_error,
            options=settings,
            precision=precision,
        )

    @property
    def dimensions(self) -> int:
        """Numbers of a vector."""
        return int(self.schema.metadata[b"wellread.dimensions"])

    def with_canary(self, canary: str) -> _Run:
        """Return the run with the canary that it began with: one made today may have other digits."""
        facts = {**self.schema.metadata, KEY.encode(): canary.encode()}
        return replace(self, schema=self.schema.with_metadata(facts))

    def manifest(self, columns: Columns, inputs: tuple[Input, ...], *, kind: str, data_format: str) -> Manifest:
        """Return what decides the bytes of the run."""
        settings = {**self.options, "max_seq_length": self.module.max_seq_length}
        settings.pop("batch_size", None)
        return Manifest(
            wellread=__version__,
            module=str(self.module.provenance.get("handle", "")),
            fingerprint=self.module.fingerprint,
            backend=self.module.backend,
            precision=self.precision,
            dtype=self.dtype,
            dimensions=self.dimensions,
            settings=settings,
            columns=replace(columns, text=self.corpus.text),
            kind=kind,
            data_format=data_format,
            shard_rows=self.shard_rows,
            inputs=inputs,
            canary=self.schema.metadata[KEY.encode()].decode(),
        )

    def write_shards(self, directory: Path, manifest: Manifest, *, show: bool | None) -> tuple[list[Shard], int]:
        """Write the shards that are not whole; return all, and the rows that were there. Raises: DataError."""
        there, rows, resumed = whole_shards(directory), 0, 0
        shards: list[Shard] = []
        with rows_progress(self.corpus.rows, show=show) as advance:
            for number in count():
                shard = there.get(number)
                if shard is not None and self.corpus.skip(shard.rows) == shard.rows:
                    resumed += shard.rows
                    advance(shard.rows, self.corpus.share, skipped=True)
                else:
                    made = _Shard(run=self, number=number, first_row=rows)
                    shard = made.write(directory, lambda rows: advance(rows, self.corpus.share))
                    if shard is None:
                        return shards, resumed
                    note_shard(directory, shard)
                shards.append(shard)
                rows += shard.rows
                if shard.rows < manifest.shard_rows:
                    return shards, resumed
        raise AssertionError

    def vectors(
        self, cells: Sequence[object], first_row: int
    ) -> tuple[FloatArray, list[str | None], NDArray[np.int64]]:
        """Return the vectors of N cells [N, E], why each has none, and the tokens that each lost [N].

        Raises: with `on_error="fail"` DataError for the first cell that is no text, or what `encode` raises for one.
        """
        errors: list[str | None] = [None if isinstance(cell, str) else _no_text(cell) for cell in cells]
        texts = [cell if isinstance(cell, str) else "" for cell in cells]

        def encode(part: list[str]) -> tuple[FloatArray, NDArray[np.int64]]:
            return self.module.encode_counted(part, precision=self.precision, **self.options)

        wrong = next(((row, error) for row, error in enumerate(errors) if error is not None), None)
        if self.on_error == "fail" and wrong:
            raise DataError(
                f"a text was asked of every row; row {first_row + wrong[0]} of the corpus, counted from 0, is "
                f'{wrong[1]}; leave such rows out, or pass on_error="null" for rows without a vector'
            )
        vectors, lost = np.zeros((len(cells), self.dimensions), np.float32), np.zeros(len(cells), np.int64)
        rows = [row for row, error in enumerate(errors) if error is None]
        for part, found in encode_what_can_be(encode, texts, rows):
            if not isinstance(found, WellreadError):
                vectors[part], lost[part] = found
                continue
            # `encode` has counted from the row that it was given alone
            error = f"row {first_row + part[0]} of the corpus, counted from 0, could not be encoded: {found}"
            if self.on_error == "fail":
                raise type(found)(error) from found
            errors[part[0]] = error
        return vectors, errors, lost


def kept_schema(corpus: Corpus) -> pa.Schema:
    """Return the columns of a corpus that are kept."""
    import pyarrow as pa

    return pa.schema([corpus.schema.field(name) for name in corpus.kept])


def _no_text(cell: object) -> str:
    """Say what a cell is that is no text."""
    return "null" if cell is None or cell != cell else f"{cell!r:.60}, no text"


@dataclasses.dataclass(slots=True, kw_only=True, eq=False)
class _Shard:
    """A shard that is being made."""

    run: _Run
    number: int
    first_row: int
    rows: int = 0
    nulls: int = 0
    truncated: int = 0

    def write(self, directory: Path, advance: Callable[[int], None]) -> Shard | None:
        """Read its rows and write it; None where none are left. Raises: DataError."""
        first = self.run.corpus.read(min(WINDOW, self.run.shard_rows))
        if not len(first) and self.number:
            return None
        path = shard_path(directory, self.number)
        size = write_shard(path, self.run.schema, self._tables(first, advance))
        return Shard(number=self.number, rows=self.rows, bytes=size, nulls=self.nulls, truncated=self.truncated)

    def _tables(self, window: pa.Table, advance: Callable[[int], None]) -> Iterator[pa.Table]:
        """Yield the rows with their vectors, a window at a time."""
        while len(window):
            yield self._table(window)
            advance(len(window))
            window = self.run.corpus.read(min(WINDOW, self.run.shard_rows - self.rows))

    def _table(self, window: pa.Table) -> pa.Table:
        """Put the vectors beside the rows of a window, and count them."""
        import pyarrow as pa

        vectors, errors, lost = self.run.vectors(self.run.corpus.texts(window), self.first_row + self.rows)
        missing = np.array([error is not None for error in errors])
        self.rows += len(window)
        self.nulls += int(missing.sum())
        self.truncated += int(np.count_nonzero(lost))
        kept = {name: window.column(name) for name in self.run.corpus.kept}
        return pa.table({**kept, **stored_columns(vectors, missing, errors, self.run.dtype)}, schema=self.run.schema)


def estimate_corpus(
    inputs: FilePath | Sequence[FilePath],
    *,
    module: Module | str = "default",
    column: str | None = None,
    dtype: str = "float32",
    format: str | None = None,
    kind: str | None = None,
    **options: Any,
) -> Estimate:
    """Encode the first 1,000 rows of a corpus and say what all would take; nothing is written.

    Arguments are those of `embed_corpus`. Raises: as that.
    """
    files = corpus_files([inputs] if isinstance(inputs, str | os.PathLike) else inputs)
    with _spooled(files) as readable:
        corpus = Corpus(readable, Columns(text=column), format=format, kind=kind)
        module = load(module) if isinstance(module, str) else module
        run = _Run.of(module, corpus, dtype=dtype, shard_rows=SAMPLE, on_error="null", options=options)
        table = corpus.read(SAMPLE)
        texts = corpus.texts(table)
        run.vectors(texts[:100], 0)  # what a first call prepares
        started = time.perf_counter()
        run.vectors(texts, 0)
        rate = len(texts) / (time.perf_counter() - started)
    rows = corpus.rows if corpus.rows is not None else round(corpus.rows_read / max(corpus.share, 1e-9))
    width = run.dimensions
    numbers = {"float32": 4 * width, "float16": 2 * width, "int8": width + 4, "binary": width // 8}[dtype]
    return Estimate(
        rows=rows,
        exact=corpus.rows is not None,
        rows_per_second=rate,
        seconds=rows / rate if rows else 0.0,
        bytes=rows * numbers,
    )
