"""A Hugging Face directory, read as data: encoder, head, tokenizer, sentence vector.

What our own modules do without is imported where it is met, for the sake of start-up.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wellread.checkpoints.checkpoint import Checkpoint
from wellread.checkpoints.config_keys import OTHER_TYPES
from wellread.checkpoints.families import FAMILIES
from wellread.checkpoints.family import to_ours, without_mlm_head
from wellread.checkpoints.int8_tensors import join_scales
from wellread.checkpoints.sentence_steps import check_sentence
from wellread.checkpoints.task_head import MODEL_CONFIG, head_from_config, read_cross_encoder
from wellread.config import SentenceConfig
from wellread.dataclass import dataclass
from wellread.errors import CheckpointError, ConfigError, TextError, nearest
from wellread.formats.arrays import StoredTensor, check_magic
from wellread.formats.safetensors import read_safetensors
from wellread.schema import account_for, parse_object, read_json
from wellread.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from wellread.checkpoints.sentence_transformers import SentenceFiles
    from wellread.text.tokenizer_files import Text


def read_torch(path: Path) -> dict[str, StoredTensor]:
    """Do as `formats.torch_file.read_torch`."""
    from wellread.formats import torch_file

    return torch_file.read_torch(path)


_READERS = {".safetensors": read_safetensors, ".bin": read_torch}
# Of an index; its metadata is ignored: sizes for a progress bar, which writers count differently.
_KEYS = {"metadata", "weight_map"}


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
    check_magic(path, expected="an index of shards", matches=lambda magic: magic.lstrip(b" \t\r\n").startswith(b"{"))
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


CONFIG, OLD_CONFIG = "config.json", "bert_config.json"  # as pytorch-pretrained-bert called it until 2019
# In the order of preference.
WEIGHTS = {
    "model.safetensors": read_safetensors,
    "model.safetensors.index.json": read_sharded,
    "pytorch_model.bin": read_torch,
    "pytorch_model.bin.index.json": read_sharded,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a directory holds, ready to become a module."""

    directory: Path
    checkpoint: Checkpoint
    tokenizer: Tokenizer
    provenance: Mapping[str, Any] = field(default_factory=dict)


def is_huggingface(directory: Path) -> bool:
    """Say whether a directory holds a configuration and weights of Hugging Face's, whatever else."""
    return (directory / "config.json").is_file() and any((directory / name).is_file() for name in WEIGHTS)


def read_huggingface(directory: Path, *, ignore: Collection[str] = (), text: Text | None = None) -> Source:
    """Read config, tensors, tokenizer and sentence modules of `directory`; nothing in it is executed.

    `text` is another tokenizer, instead of its own. `ignore` names configuration keys and tensors that may be passed
    over. The sequence length is the first of: what `sentence_bert_config.json`,
    `tokenizer_config.json` and the truncation in `tokenizer.json` say, and the position table; never more than the
    last. Without `modules.json` the sentence vector is the plain mean; with it, encoder and tokenizer lie in the folder
    that it names.

    Raises: CheckpointError, ConfigError, WeightsError; TextError for its vocabulary.
    """
    from wellread.checkpoints.sentence_transformers import SentenceFiles, read_sentence_files

    files = read_sentence_files(directory, ignore=ignore) or SentenceFiles(pooling="mean")
    folder = directory if files.folder is None else files.folder
    encoder = read_encoder(folder, ignore=ignore)
    text = text or read_text(folder, encoder.family, lower_case=files.do_lower_case, ignore=ignore)
    checkpoint = with_sentence(encoder, files, max_length=text.max_length, source=directory)
    ignored = {**checkpoint.ignored, **text.ignored}
    inferred = {**checkpoint.inferred, **{f"tokenizer.{rule}": why for rule, why in text.inferred.items()}}
    checkpoint = replace(checkpoint, ignored=ignored, inferred=inferred)
    return Source(directory=directory, checkpoint=checkpoint, tokenizer=text.tokenizer)


def with_sentence(encoder: Checkpoint, files: SentenceFiles, *, max_length: int | None, source: object) -> Checkpoint:
    """Give an encoder the sentence vector that files describe; `max_length` is what its tokenizer says.

    Raises: ConfigError, WeightsError where the two do not fit.
    """
    positions = encoder.config.max_length
    length = files.max_seq_length if files.max_seq_length is not None else max_length
    sentence = SentenceConfig(
        pooling=files.pooling,
        dense=files.dense,
        normalize=files.normalize,
        max_seq_length=min(length if length is not None else positions, positions),
        prompts=files.prompts,
        default_prompt_name=files.default_prompt_name,
        include_prompt=files.include_prompt,
        similarity_fn_name=files.similarity_fn_name,
        truncate_dim=files.truncate_dim,
    )
    check_sentence(sentence, encoder.config, files.tensors, source=source)
    without = {name: tensor for name, tensor in encoder.tensors.items() if not name.startswith("sentence.")}
    ignored = {**encoder.ignored, **files.ignored}
    return replace(encoder, sentence=sentence, tensors={**without, **files.tensors}, ignored=ignored)


def read_text(directory: Path, family: str, *, lower_case: bool = False, ignore: Collection[str] = ()) -> Text:
    """Read the tokenizer of a directory of Hugging Face's, as models of `family` have it.

    `lower_case` lets it lower texts whatever its own files say.

    Raises: CheckpointError, ConfigError; TextError where there is none.
    """
    from wellread.text.tokenizer_files import TOKENIZER_FILES, Text, has_tokenizer

    if not has_tokenizer(directory):
        raise TextError(
            f"a tokenizer was asked of {directory}; found none of {', '.join(TOKENIZER_FILES)}; put the tokenizer's "
            "files there, or pass tokenizer= with the directory or handle of the model that this was made from"
        )
    from wellread.text.tokenizer_reader import open_tokenizer, read_tokenizer

    files = read_tokenizer(directory, ignore=ignore)
    if lower_case and files.config.dialect == "spm":
        raise ConfigError(
            f"do_lower_case is true in sentence_bert_config.json of {directory}; found a SentencePiece model, whose "
            "own rules alone hold; say false there"
        )
    tokenizer = open_tokenizer(directory, files, template=FAMILIES[family].template, do_lower_case=lower_case)
    return Text(tokenizer=tokenizer, inferred=files.inferred, max_length=files.max_length, ignored=files.ignored)


def read_encoder(directory: Path, *, ignore: Collection[str] = ()) -> Checkpoint:
    """Read `config.json` and the tensors that belong to it, those of a task's head included.

    A head that wellread does not compute is left out, with the reason in `ignored`; so is any other where `ignore`
    names `architectures`. Raises: CheckpointError, ConfigError, WeightsError.
    """
    path = directory / CONFIG
    if not path.is_file() and (directory / OLD_CONFIG).is_file():
        path = directory / OLD_CONFIG
    data = read_json(path)
    # one of before transformers 2.3 names no family: its keys tell
    fitting = (family.name for family in FAMILIES.values() if data.keys() >= set(family.keys.required))
    model_type = str(data.get("model_type", next(fitting, "bert")))
    if model_type not in FAMILIES:
        why = f", which has {OTHER_TYPES[model_type]}" if model_type in OTHER_TYPES else ""
        raise ConfigError(
            f"{path} names the model_type {model_type!r}{why}; wellread reads {', '.join(FAMILIES)}; "
            f"choose a checkpoint of these{nearest(model_type, FAMILIES)}"
        )
    family = FAMILIES[model_type]
    keys = account_for(data, family.keys, source=path, ignore=ignore)
    config = family.encoder_config(keys.used, source=path)
    stored = join_scales(read_weights(directory), source=directory)
    untied: dict[str, str] = {}
    if data.get("tie_word_embeddings") is False:
        stored, untied = without_mlm_head(family, stored)
    described = {key: data[key] for key in data if key not in ignore}
    if cross_encoder := read_cross_encoder(directory):
        described[MODEL_CONFIG] = cross_encoder
    head = head_from_config(family, config, described, stored, source=path)
    mapped = to_ours(family, config, stored, source=directory, head=head.head, ignore=ignore)
    ignored_keys = {key: why for key, why in keys.ignored.items() if key not in head.used}
    return Checkpoint(
        family=family.name,
        config=mapped.config,
        head=head.head,
        tensors=mapped.tensors,
        ignored={**ignored_keys, **mapped.ignored, **untied, **head.ignored},
        inferred={**mapped.inferred, **head.inferred},
    )


def read_weights(directory: Path) -> dict[str, StoredTensor]:
    """Open the weights of `directory`, in whatever of the known files they are. Raises: CheckpointError."""
    for name, read in WEIGHTS.items():
        if (directory / name).is_file():
            return read(directory / name)
    raise CheckpointError(
        f"weights were asked of {directory}; found none of {', '.join(WEIGHTS)}; fetch the whole repository"
    )
