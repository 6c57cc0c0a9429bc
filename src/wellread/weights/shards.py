"""A checkpoint in several files, joined by the index that says which file holds which tensor."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from wellread.errors import CheckpointError
from wellread.weights.heads import check_head
from wellread.weights.safetensors import read_safetensors
from wellread.weights.stored import StoredTensor
from wellread.weights.strict_json import parse_object
from wellread.weights.torch_zip import read_torch

_READERS = {".safetensors": read_safetensors, ".bin": read_torch}
_KEYS = {
    "metadata",
    "weight_map",
}  # metadata is ignored: it holds sizes for a progress bar, which writers count differently


def read_sharded(index_path: Path) -> dict[str, StoredTensor]:
    """Open every shard that `model.safetensors.index.json` or `pytorch_model.bin.index.json` names.

    The map and the shards must name the same tensors; a shard lies beside its index, nowhere else.

    Raises:
        CheckpointError: the index or a shard is damaged or missing, or the two do not name the same tensors.
    """
    shards = _shards(index_path, _weight_map(index_path))
    tensors: dict[str, StoredTensor] = {}
    faults: list[str] = []
    for shard, names in shards.items():
        stored = _READERS[Path(shard).suffix](index_path.parent / shard)
        faults += [f"{shard} lacks {name!r}, which the index puts there" for name in sorted(names - stored.keys())]
        faults += [
            f"{shard} holds {name!r}, which the index does not put there" for name in sorted(stored.keys() - names)
        ]
        tensors |= stored
    _refuse(index_path, faults)
    return tensors


def _weight_map(path: Path) -> dict[str, str]:
    """Read the index: tensor name to shard name."""
    check_head(path, wanted="an index of shards", ours=lambda head: head.lstrip(b" \t\r\n").startswith(b"{"))
    try:
        index = parse_object(path.read_bytes())
    except ValueError as error:
        raise _damaged(path, str(error)) from None
    if surplus := sorted(index.keys() - _KEYS):
        raise _damaged(path, f"the unknown keys {', '.join(map(repr, surplus))}")
    weight_map = index.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise _damaged(path, "no weight_map")
    if strangers := [name for name, shard in weight_map.items() if not isinstance(shard, str)]:
        raise _damaged(path, f"no shard name for {', '.join(map(repr, strangers))}")
    return weight_map


def _shards(path: Path, weight_map: dict[str, str]) -> dict[str, set[str]]:
    """Group the tensor names by shard; refuse shards that are not files of a known format beside the index."""
    shards: dict[str, set[str]] = defaultdict(set)
    for name, shard in weight_map.items():
        shards[shard].add(name)
    beside = {entry.name for entry in path.parent.iterdir()}  # a name with a separator is never among them
    faults = []
    for shard in shards:
        if "/" in shard or "\\" in shard or shard in ("", ".", ".."):
            faults.append(f"{shard!r} lies outside the directory of the index")
        elif Path(shard).suffix not in _READERS:
            faults.append(f"{shard!r} is no {' or '.join(_READERS)} file")
        elif shard not in beside:
            faults.append(f"{shard!r} is missing")
    _refuse(path, faults)
    return shards


def _refuse(path: Path, faults: list[str]) -> None:
    if faults:
        raise CheckpointError(
            f"{path} was to be read with its shards; found {'; '.join(faults)}; fetch all files again"
        )


def _damaged(path: Path, found: str) -> CheckpointError:
    return CheckpointError(f"{path} was to be read as an index of shards; found {found}; fetch the file again")
