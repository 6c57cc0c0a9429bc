"""The token store: the ids of a corpus on disk, made once, read as a memory map.

Every kind of training over a large corpus reads its rows from here: `TokenStore.take` gives any of them, and memory
holds only what a batch needs, whatever the size of the corpus.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wellread.data.corpus import stream_texts, total_bytes
from wellread.dataclass import dataclass
from wellread.errors import CheckpointError, DataError, InputError, TrainingError
from wellread.files import sha256, whole_directory
from wellread.progress import transfer
from wellread.schema import as_dict, read_json, record, write_json
from wellread.text.batch import Ragged, chunk
from wellread.text.texts import text_rows
from wellread.text.tokenizer import Tokenizer, whole

FORMAT = 1
PART = 4_096  # texts that are in memory together
VALUES, SPLITS, FACTS = "values.bin", "splits.bin", "store.json"

Texts = Sequence[Path] | Iterable[str]
RunOnce = Callable[[Callable[[], None], str], None]  # runs work in one of several processes; the text says what it is


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFacts:
    """What a store holds."""

    texts: int
    rows: int  # N; a text over the length makes several
    tokens: int  # without [CLS] and [SEP]
    dropped: int  # rows without a token beside special ones
    dtype: str  # of the ids on disk: uint16 where that holds the vocabulary
    digest: str  # SHA-256 of ids and row lengths
    format: int = FORMAT


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TokenStore:
    """N rows of ids without [CLS] and [SEP], on disk."""

    rows: Ragged  # its values are a memory map of `facts.dtype`
    facts: StoreFacts

    def __len__(self) -> int:
        return self.facts.rows

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of every row, int64 [N]."""
        return np.asarray(self.rows.lengths)

    def take(self, rows: NDArray[np.int64]) -> Ragged:
        """Read the named rows in the named order, int32."""
        return self.rows.take(rows)


def run_here(work: Callable[[], None], what: str) -> None:
    """Run work in the only process."""
    work()


def token_store(
    texts: Texts,
    tokenizer: Tokenizer,
    *,
    cache: Path,
    max_seq_length: int,
    column: str | None = None,
    kind: str | None = None,
    run_once: RunOnce = run_here,
) -> TokenStore:
    """Tokenise `texts`, files as `stream_texts` reads them or strings, into `cache`, unless they lie there already.

    A text of more tokens than `max_seq_length` leaves room for beside the special ones goes on in further rows; rows
    without a token beside special ones are dropped and counted. A store is named by the SHA-256 of the texts and the
    tokenizer, and is there whole or not at all. Of several processes the one that `run_once` chooses makes it.

    Raises: DataError for files that cannot be read, or texts without a token; TextError for a text that cannot be;
        CheckpointError where the disk refuses; TrainingError for a store that is damaged.
    """
    if isinstance(texts, str | bytes | Path):
        raise InputError(f"files or texts were asked for; found one {type(texts).__name__}; put it in a list")
    if isinstance(texts, Sequence) and texts and all(isinstance(text, Path) for text in texts):
        paths = [text for text in texts if isinstance(text, Path)]
    else:
        paths, column, kind = [cache / "given.jsonl"], "text", None
        run_once(lambda: _spool(texts, paths[0]), "the texts were to be put in a file by the first process")
    total = total_bytes(paths)
    recipe = [FORMAT, fingerprint(tokenizer), column or "text", max_seq_length, *([kind] if kind else [])]
    files = [["".join(path.suffixes), sha256(path)] for path in paths]
    directory = cache / hashlib.sha256(json.dumps([recipe, files]).encode()).hexdigest()[:32]

    def write() -> None:
        if not directory.exists():
            more = f" and {len(paths) - 5} more" if len(paths) > 5 else ""
            source = ", ".join(path.name for path in paths[:5]) + more
            with whole_directory(directory) as partial, transfer(total, label="tokens") as moved:
                stream = stream_texts(paths, column=column, kind=kind, moved=moved)
                _write(partial, stream, tokenizer, tokenizer.template.room(max_seq_length), source=source)

    run_once(write, "the texts were to be tokenised by the first process")
    return open_store(directory)


def _spool(texts: Texts, path: Path) -> None:
    """Put texts in a file of JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for row, text in enumerate(text_rows(texts)):
            if not isinstance(text, str):
                raise InputError(f"each text must be a str; row {row} is a {type(text).__name__}; convert or drop it")
            file.write(json.dumps({"text": whole(text)}, ensure_ascii=False) + "\n")


def _write(directory: Path, texts: Iterator[str], tokenizer: Tokenizer, room: int, *, source: str) -> None:
    """Write ids, splits and facts, a part at a time."""
    dtype = np.uint16 if tokenizer.vocab_size <= 1 << 16 else np.int32
    digest, special = hashlib.sha256(), tokenizer.special.ids
    num_texts, num_rows, dropped, tokens = 0, 0, 0, 0
    with (directory / VALUES).open("wb") as values, (directory / SPLITS).open("wb") as splits:
        splits.write(np.zeros(1, np.int64).tobytes())
        while part := list(islice(texts, PART)):
            pieces, _ = chunk(tokenizer.tokenize(part), room)
            words = np.cumsum(np.append(0, ~np.isin(pieces.values, special)))  # tokens beside special ones, so far
            rows = pieces.take(np.flatnonzero(words[pieces.splits[1:]] > words[pieces.splits[:-1]]))
            num_texts += len(part)
            num_rows += len(rows)
            dropped += len(pieces) - len(rows)
            for file, array in ((values, rows.values.astype(dtype)), (splits, rows.splits[1:] + tokens)):
                file.write(array.tobytes())
                digest.update(array.tobytes())
            tokens += len(rows.values)
    if not num_rows:
        raise DataError(
            f"texts to learn from were asked of {source}; found {num_texts} texts and in them no token that the "
            "vocabulary knows; give other files, or the vocabulary of their language"
        )
    facts = StoreFacts(
        texts=num_texts, rows=num_rows, tokens=tokens, dropped=dropped, dtype=dtype.__name__, digest=digest.hexdigest()
    )
    write_json(directory / FACTS, asdict(facts))


def open_store(directory: Path) -> TokenStore:
    """Open a store. Raises: TrainingError for one that is damaged."""
    try:
        facts = record(StoreFacts, read_json(directory / FACTS), source=directory / FACTS)
        values = np.memmap(directory / VALUES, facts.dtype, "r")
        splits = np.memmap(directory / SPLITS, np.int64, "r")
        if (len(values), len(splits)) != (facts.tokens, facts.rows + 1):
            raise ValueError(f"{len(values)} tokens in {len(splits) - 1} rows where {FACTS} says {facts.tokens}")
    except (CheckpointError, OSError, ValueError, TypeError) as error:
        raise TrainingError(
            f"the tokens in {directory} were to be read; found them damaged: {error}; remove that directory, and they "
            "are made again"
        ) from error
    return TokenStore(rows=Ragged(values=values, splits=splits), facts=facts)


def fingerprint(tokenizer: Tokenizer) -> str:
    """Return the SHA-256 of all that decides what a tokenizer makes of a text, in hexadecimal."""
    digest = hashlib.sha256(json.dumps([as_dict(tokenizer.config), tokenizer.vocabulary.pieces]).encode())
    digest.update(tokenizer.model_bytes())
    return digest.hexdigest()
