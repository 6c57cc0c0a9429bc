"""TensorFlow's tensor bundle, which TF1 checkpoints and SavedModels keep their variables in, read without TensorFlow.

It is an `.index`, and the bytes of all tensors in shards: `.data-00000-of-00001`. The format is described in
tensorflow/core/util/tensor_bundle/tensor_bundle.h.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from wellread.errors import CheckpointError, nearest
from wellread.weights.bundle_entry import STRING, Entry
from wellread.weights.bundle_index import read_index
from wellread.weights.heads import check_head
from wellread.weights.stored import StoredTensor


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredStrings:
    """A tensor of strings, which `read()` returns in C order, held against their checksums."""

    shape: tuple[int, ...]
    read: Callable[[], list[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """What a bundle holds, by key."""

    prefix: Path
    tensors: Mapping[str, StoredTensor]  # `read()` holds the bytes against their checksum, every time
    strings: Mapping[str, StoredStrings]

    def string(self, key: str) -> bytes:
        """Read a scalar string. Raises: CheckpointError: there is none under `key`, or it is damaged."""
        found = self.strings.get(key)
        if found is None or found.shape != ():
            what = f"strings of shape {list(found.shape)}" if found else f"none{nearest(key, self.strings)}"
            raise CheckpointError(
                f"{self.prefix} was to hold the single string {key!r}; found {what}; check the kind of the checkpoint"
            )
        return found.read()[0]


def read_bundle(prefix: Path) -> Bundle:
    """Open a bundle; each tensor is read from the disk when asked for.

    `prefix` is the path of the index without its `.index`: `variables/variables`, or `bert_model.ckpt`. Every byte of
    every shard must belong to exactly one tensor.

    Raises:
        CheckpointError: the index or a shard is missing or damaged, or holds what wellread does not read.

    >>> read_bundle(Path("no/bert_model.ckpt"))
    Traceback (most recent call last):
    wellread.errors.CheckpointError: no/bert_model.ckpt.index was to be read as a TensorFlow checkpoint's index; found \
no such file (No such file or directory); check the path
    """
    shards = read_index(prefix)
    if missing := [shard.name for shard in shards if not shard.is_file()]:
        raise CheckpointError(
            f"{prefix} was to be read as a TensorFlow checkpoint of {len(shards)} shards; found no "
            f"{', '.join(missing)}; fetch the missing files into the same directory"
        )
    for shard, entries in shards.items():
        _check_cover(shard, entries)
    entries = [entry for held in shards.values() for entry in held]
    numbers = [entry for entry in entries if entry.dtype != STRING]
    strings = [entry for entry in entries if entry.dtype == STRING]
    return Bundle(
        prefix=prefix,
        tensors={entry.key: StoredTensor(shape=entry.shape, dtype=entry.dtype, read=entry.read) for entry in numbers},
        strings={entry.key: StoredStrings(shape=entry.shape, read=entry.read_strings) for entry in strings},
    )


def _check_cover(shard: Path, entries: list[Entry]) -> None:
    """Check that the tensors lie end to end in the shard, from its first byte to its last."""
    end = 0
    for entry in sorted(entries, key=lambda entry: (entry.offset, entry.size)):
        if entry.offset != end:
            raise _damaged(shard, f"{entry.key!r} at byte {entry.offset} where the tensor before it ends at byte {end}")
        end += entry.size
    if (size := shard.stat().st_size) != end:
        # a pointer or a web page is text, which the numbers of a model never are
        check_head(shard, wanted="the tensors of a TensorFlow checkpoint", ours=_is_binary)
        raise _damaged(shard, f"{size} bytes where the index says {end}")


def _is_binary(head: bytes) -> bool:
    return b"\0" in head or not head.isascii()


def _damaged(shard: Path, found: str) -> CheckpointError:
    return CheckpointError(
        f"{shard} was to be read as the tensors of a TensorFlow checkpoint; found {found}; fetch index and shards again"
    )
