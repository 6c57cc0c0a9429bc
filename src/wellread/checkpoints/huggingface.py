"""A Hugging Face directory, read as data: encoder, head, tokenizer, sentence vector."""

from __future__ import annotations

import reprlib
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from wellread.checkpoints.checkpoint import Checkpoint
from wellread.checkpoints.config_keys import OTHER_TYPES
from wellread.checkpoints.families import FAMILIES
from wellread.checkpoints.families.bert import TASK_HEAD
from wellread.checkpoints.family import Family, HeadClass, to_ours
from wellread.checkpoints.sentence_transformers import SentenceFiles, check_sentence, read_sentence_files
from wellread.config import HEADS, EncoderConfig, HeadConfig, SentenceConfig, TokenizerConfig
from wellread.errors import CheckpointError, ConfigError, nearest
from wellread.formats.arrays import StoredTensor, check_magic
from wellread.formats.safetensors import read_safetensors
from wellread.formats.torch_file import read_torch
from wellread.schema import account_for, parse_object, read_json
from wellread.text.tokenizer import Tokenizer, load_tokenizer
from wellread.text.tokenizer_files import Text, read_tokenizer

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


CLASSES, LABELS, PROBLEM, COUNT = "architectures", "id2label", "problem_type", "num_labels"
SINGLE = "single_label_classification"  # of Hugging Face's kinds of problem the one with one label a row
MANY = 100_000  # labels: more are no count that can be meant
BEFORE = "pre_classifier."  # DistilKoBERT's own fine-tuning had none, in a class that bore Hugging Face's name
LEFT_OUT = "the encoder is read without its head"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigHead:
    """The head that config.json describes, or why none is read."""

    head: HeadConfig | None = None
    used: Collection[str] = ()  # the keys that describe it
    ignored: Mapping[str, str] = field(default_factory=dict)
    inferred: Mapping[str, str] = field(default_factory=dict)


def head_from_config(
    family: Family, config: EncoderConfig, data: Mapping[str, Any], tensors: Collection[str], *, source: object
) -> ConfigHead:
    """Read the head off the keys `data` of a config.json; `tensors` are names, `source` is the file's.

    A pair comes back as `classify`, for Hugging Face's class is the same.

    Raises: ConfigError for labels or a rate of dropout that are none.
    """
    names = data.get(CLASSES)
    classes = [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
    kind = next((kind for kind in family.heads if classes == [family.head_architecture(kind)]), None)
    patterns = [pattern for pattern, why in family.ignored_tensors.items() if why == TASK_HEAD]
    of_head = sorted(name for name in tensors if any(fnmatchcase(name, pattern) for pattern in patterns))
    if kind is None:
        why = f"{CLASSES} names {', '.join(classes)}" if classes else f"config.json names no {CLASSES}"
        return ConfigHead(ignored=dict.fromkeys(of_head, f"a task's head of a kind not known here: {why}; {LEFT_OUT}"))
    labelled = HEADS[kind.task].logits is None
    labels = _labels(data, source=source) if labelled else ()
    if fault := _unusable(kind, data, labels, of_head):
        return ConfigHead(ignored=dict.fromkeys(of_head, f"a task's head; {fault}; {LEFT_OUT}"))
    dropout = _dropout(kind, config, data)
    try:
        head = HeadConfig(task=kind.task, labels=labels, pre_classifier=kind.pre_classifier, dropout=dropout)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None
    used = [key for key in (CLASSES, LABELS, PROBLEM, kind.dropout_key) if key is not None and key in data]
    if not labelled or LABELS in data:
        return ConfigHead(head=head, used=used)
    return ConfigHead(head=head, used=used, inferred={"head.labels": f"{', '.join(labels)}, as no {LABELS} names them"})


def head_keys(family: Family, head: HeadConfig | None) -> dict[str, Any]:
    """Return what config.json says of a head: its class, its labels, its dropout; nothing of one without tensors.

    >>> from wellread.checkpoints.families.bert import FAMILY
    >>> head_keys(FAMILY, HeadConfig(task="answer"))
    {'architectures': ['BertForQuestionAnswering']}
    """
    kind = family.head_class(head)
    if head is None or kind is None:
        return {}
    keys: dict[str, Any] = {CLASSES: [family.head_architecture(kind)]}
    if head.labels:
        keys[LABELS] = {str(i): label for i, label in enumerate(head.labels)}
        keys["label2id"] = {label: i for i, label in enumerate(head.labels)}
    return keys | ({kind.dropout_key: head.dropout} if kind.dropout_key else {})


def head_in_config(family: Family, config: EncoderConfig, head: HeadConfig | None) -> HeadConfig | None:
    """Return a head as config.json can express it: a pair is `classify` there."""
    kind = family.head_class(head)
    if head is None or kind is None:
        return None
    dropout = head.dropout if kind.dropout_key else _dropout(kind, config, {})
    return HeadConfig(task=kind.task, labels=head.labels, pre_classifier=head.pre_classifier, dropout=dropout)


def check_expressible(family: Family, config: EncoderConfig, head: HeadConfig | None) -> None:
    """Refuse a head that Hugging Face's classes of the family do not compute. Raises: ConfigError."""
    kind = family.head_class(head)
    if head is None or kind is None:
        return
    if head.pre_classifier != kind.pre_classifier:
        raise ConfigError(
            f"a {family.name} module with a head for {head.task} was to be saved; found pre_classifier "
            f"{head.pre_classifier} where this family has {kind.pre_classifier}; make its head anew"
        )
    if family.needs_pooler(head) and config.pooler != "dense_tanh":
        raise ConfigError(
            f"a {family.name} module with a head for {head.task} was to be saved; found the pooler {config.pooler} "
            "where Hugging Face's class has a dense map; give it one before fine-tuning"
        )


def _labels(data: Mapping[str, Any], *, source: object) -> tuple[str, ...]:
    """Return the labels in the order of their numbers; Hugging Face's own, of two or `num_labels`, where none stand."""
    if LABELS not in data:
        count = data.get(COUNT, 2)
        return tuple(f"LABEL_{i}" for i in range(count if type(count) is int and 0 <= count < MANY else 2))
    id2label = data[LABELS]
    numbers = [str(i) for i in range(len(id2label))] if isinstance(id2label, Mapping) else []
    if (
        not isinstance(id2label, Mapping)
        or id2label.keys() != set(numbers)
        or not all(type(label) is str for label in id2label.values())
    ):
        raise ConfigError(
            f"{LABELS} of {source} must name a label for each of 0, 1, 2 ...; found {reprlib.repr(id2label)}; correct "
            f"the file, or take {CLASSES} out of it to read the encoder alone"
        )
    return tuple(id2label[number] for number in numbers)


def _unusable(
    kind: HeadClass, data: Mapping[str, Any], labels: tuple[str, ...], of_head: Collection[str]
) -> str | None:
    """Say why a head cannot be used; its own faults, such as a tensor that is missing, are for others to find."""
    problem = data.get(PROBLEM)
    if kind.task == "classify" and problem not in (None, SINGLE):
        return f"{PROBLEM} is {reprlib.repr(problem)}, and wellread computes {SINGLE}"
    if HEADS[kind.task].logits is None and len(labels) < 2:
        return f"it has {len(labels)} label{'s' * (len(labels) != 1)}, and a choice takes two or more"
    if kind.pre_classifier and of_head and not any(name.startswith(BEFORE) for name in of_head):
        return f"it is {', '.join(of_head)} alone, and the class that {CLASSES} names has {BEFORE}* before it"
    return None


def _dropout(kind: HeadClass, config: EncoderConfig, data: Mapping[str, Any]) -> Any:
    """Return the rate before the last map: the key's, the class's own, or the encoder's."""
    rate = data.get(kind.dropout_key) if kind.dropout_key else None
    default = config.hidden_dropout_prob if kind.dropout is None else kind.dropout
    return default if rate is None else rate


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

    `text` is a preprocessor's, instead of its own. `ignore` names configuration keys, unknown or of unsupported value,
    that may be passed over. The sequence length is the first of: what `sentence_bert_config.json`,
    `tokenizer_config.json` and the truncation in `tokenizer.json` say, and the position table; never more than the
    last. Without `modules.json` the sentence vector is the plain mean; with it, encoder and tokenizer lie in the folder
    that it names.

    Raises: CheckpointError, ConfigError, WeightsError; TextError for its vocabulary.
    """
    files = read_sentence_files(directory, ignore=ignore) or SentenceFiles(pooling="mean")
    folder = directory if files.folder is None else files.folder
    encoder = read_encoder(folder, ignore=ignore)
    text_files = read_tokenizer(folder, ignore=ignore)
    positions = encoder.config.max_length
    length = files.max_seq_length if files.max_seq_length is not None else text_files.max_length
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
    check_sentence(sentence, encoder.config, files.tensors, source=directory)
    checkpoint = replace(
        encoder,
        sentence=sentence,
        tensors={**encoder.tensors, **files.tensors},
        ignored={**encoder.ignored, **text_files.ignored, **files.ignored},
    )
    text_config = text_files.config
    if text_config.dialect != "fast":  # whose tokenizer.json says it
        text_config = replace(text_config, template=FAMILIES[encoder.family].template)
    text_config = lower_cased(text_config) if files.do_lower_case else text_config
    tokenizer = text.tokenizer if text else load_tokenizer(folder, text_config)
    return Source(directory=directory, checkpoint=checkpoint, tokenizer=tokenizer)


def lower_cased(config: TokenizerConfig) -> TokenizerConfig:
    """Let a tokenizer lower its texts and keep the accents that it keeps, as sentence-transformers' `do_lower_case`.

    >>> lower_cased(TokenizerConfig(dialect="hf")).strip_accents
    False
    """
    if config.do_lower_case or config.dialect != "hf":
        return replace(config, do_lower_case=True)
    return replace(config, do_lower_case=True, strip_accents=bool(config.strip_accents))


def read_encoder(directory: Path, *, ignore: Collection[str] = ()) -> Checkpoint:
    """Read `config.json` and the tensors that belong to it, those of a task's head included.

    A head that wellread does not compute is left out, with the reason in `ignored`; so is any other where `ignore`
    names `architectures`. Raises: CheckpointError, ConfigError, WeightsError.
    """
    path = directory / "config.json"
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
    stored = read_weights(directory)
    head = head_from_config(family, config, {key: data[key] for key in data if key not in ignore}, stored, source=path)
    mapped = to_ours(family, config, stored, source=directory, head=head.head, ignore=ignore)
    ignored_keys = {key: why for key, why in keys.ignored.items() if key not in head.used}
    return Checkpoint(
        family=family.name,
        config=mapped.config,
        head=head.head,
        tensors=mapped.tensors,
        ignored={**ignored_keys, **mapped.ignored, **head.ignored},
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
