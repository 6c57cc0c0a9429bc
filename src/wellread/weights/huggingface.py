"""A Hugging Face directory, read as data: encoder, tokenizer, sentence vector."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from wellread.config import EncoderConfig, SentenceConfig, TokenizerConfig
from wellread.errors import CheckpointError, ConfigError, nearest
from wellread.weights.checkpoint import Checkpoint
from wellread.weights.families import bert, distilbert
from wellread.weights.keys import KeyTable, account_for, read_json
from wellread.weights.mapping import to_ours
from wellread.weights.safetensors import read_safetensors
from wellread.weights.sentence_transformers import check_dense_tensors, read_sentence_files
from wellread.weights.shards import read_sharded
from wellread.weights.stored import StoredTensor
from wellread.weights.torch_zip import read_torch

FAMILIES = {family.name: family for family in (bert.FAMILY, distilbert.FAMILY)}
# In the order of preference.
WEIGHTS = {
    "model.safetensors": read_safetensors,
    "model.safetensors.index.json": read_sharded,
    "pytorch_model.bin": read_torch,
    "pytorch_model.bin.index.json": read_sharded,
}
TOKENIZER_CLASSES = ("BertTokenizer", "BertTokenizerFast", "DistilBertTokenizer", "DistilBertTokenizerFast")
SPECIAL = ("unk_token", "pad_token", "cls_token", "sep_token", "mask_token")
IGNORED_BY_BERT = "BERT's text rules do not depend on it"
TOKENIZER_KEYS = KeyTable(
    used={key: key for key in ("do_lower_case", "strip_accents", "tokenize_chinese_chars", "model_max_length", *SPECIAL)},
    fixed={
        "do_basic_tokenize": [True],
        "never_split": [None, []],
        "padding_side": ["right"],
        "truncation_side": ["right"],
        "additional_special_tokens": [[], None],
        "extra_special_tokens": [{}, [], None],
        "tokenizer_class": [*TOKENIZER_CLASSES, "KoBertTokenizer", "PreTrainedTokenizerFast", "TokenizersBackend", None],
    },
    ignored={
        **dict.fromkeys(
            ("_from_auto", "name_or_path", "is_local", "local_files_only", "backend", "processor_class"), "a note"
        ),
        **dict.fromkeys(("special_tokens_map_file", "tokenizer_file", "full_tokenizer_file"), "a path elsewhere"),
        **dict.fromkeys(("max_length", "max_len", "stride", "truncation_strategy"), "a setting of one run"),
        **dict.fromkeys(("pad_to_multiple_of", "pad_token_type_id"), "padding is to the longest text"),
        "added_tokens_decoder": "the special tokens are found by their names",
        "auto_map": "names code in the repository, which is never run",
        "clean_up_tokenization_spaces": "a setting of decoding",
        "model_input_names": "inputs go by TF Hub's names",
        **dict.fromkeys(("bos_token", "eos_token"), IGNORED_BY_BERT),
    },
)
UNBOUNDED = 1_000_000  # a model_max_length above this means "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a directory holds, ready to become a module."""

    directory: Path
    checkpoint: Checkpoint
    tokenizer: TokenizerConfig
    provenance: Mapping[str, Any] = field(default_factory=dict)


def read_huggingface(directory: Path, *, ignore: Collection[str] = ()) -> Source:
    """Read config, tensors, tokenizer settings and sentence modules of `directory`; nothing in it is executed.

    `ignore` names unknown configuration keys that may be passed over. The sequence length is the first of: what
    `sentence_bert_config.json`, `tokenizer_config.json` and the truncation in `tokenizer.json` say, and the position
    table. Without `modules.json` the sentence vector is the plain mean.

    Raises: CheckpointError, ConfigError, WeightsError.
    """
    encoder = read_encoder(directory, ignore=ignore)
    files = read_sentence_files(directory, ignore=ignore)
    settings, tokenizer_ignored = _tokenizer_settings(directory, ignore)
    positions = encoder.config.max_position_embeddings
    length = min(_sequence_length(directory, settings) or positions, positions)
    sentence = SentenceConfig(max_seq_length=length)
    tensors = dict(encoder.tensors)
    if files is not None:
        sentence = SentenceConfig(
            pooling=files.pooling,
            dense=files.dense,
            normalize=files.normalize,
            max_seq_length=length,
            prompts=files.prompts,
            default_prompt_name=files.default_prompt_name,
        )
        check_dense_tensors(sentence, files.tensors, source=directory)
        tensors |= files.tensors
    checkpoint = replace(
        encoder, sentence=sentence, tensors=tensors, ignored={**encoder.ignored, **tokenizer_ignored}
    )
    return Source(directory=directory, checkpoint=checkpoint, tokenizer=_tokenizer(directory, settings))


def read_encoder(directory: Path, *, ignore: Collection[str] = ()) -> Checkpoint:
    """Read `config.json` and the tensors that belong to it. Raises: CheckpointError, ConfigError, WeightsError."""
    path = directory / "config.json"
    data = read_json(path)
    model_type = str(data.get("model_type", "bert"))
    if model_type not in FAMILIES:
        raise ConfigError(
            f"{path} names the model_type {model_type!r}; wellread reads {', '.join(FAMILIES)}; "
            f"choose a checkpoint of these{nearest(model_type, FAMILIES)}"
        )
    family = FAMILIES[model_type]
    keys = account_for(data, family.keys, source=path, ignore=ignore)
    config = EncoderConfig(**family.constants, **keys.used)
    mapped = to_ours(family, config, read_weights(directory), source=directory)
    return Checkpoint(
        family=family.name,
        config=mapped.config,
        tensors=mapped.tensors,
        ignored={**keys.ignored, **mapped.ignored},
    )


def read_weights(directory: Path) -> dict[str, StoredTensor]:
    """Open the weights of `directory`, in whatever of the known files they are. Raises: CheckpointError."""
    for name, read in WEIGHTS.items():
        if (directory / name).is_file():
            return read(directory / name)
    raise CheckpointError(
        f"weights were asked of {directory}; found none of {', '.join(WEIGHTS)}; fetch the whole repository"
    )


def _tokenizer_settings(directory: Path, ignore: Collection[str]) -> tuple[Mapping[str, Any], Mapping[str, str]]:
    path = directory / "tokenizer_config.json"
    if not path.is_file():
        return {}, {}
    keys = account_for(read_json(path), TOKENIZER_KEYS, source=path, ignore=ignore)
    return keys.used, keys.ignored


def _tokenizer(directory: Path, settings: Mapping[str, Any]) -> TokenizerConfig:
    """Choose the dialect by the files that are there: a SentencePiece model beside a vocabulary is KoBERT's."""
    special = {name: _token(settings[name]) for name in SPECIAL if settings.get(name) is not None}
    models = sorted(path.name for pattern in ("*.model", "*.spiece") for path in directory.glob(pattern))
    vocab = "vocab.txt" if (directory / "vocab.txt").is_file() else None
    if models and vocab:
        lower = bool(settings.get("do_lower_case", False))
        return TokenizerConfig(dialect="kobert", model_file=models[0], vocab_file=vocab, do_lower_case=lower, **special)
    if models:
        return TokenizerConfig(dialect="spm", model_file=models[0], vocab_file=None, **special)
    rules = _normalizer(directory)
    rules |= {key: settings[key] for key in ("do_lower_case", "strip_accents", "tokenize_chinese_chars") if key in settings}
    return TokenizerConfig(
        dialect="hf",
        vocab_file=vocab or "tokenizer.json",
        do_lower_case=bool(rules.get("do_lower_case", True)),  # the default of Hugging Face's BertTokenizer
        strip_accents=rules.get("strip_accents"),
        tokenize_chinese_chars=bool(rules.get("tokenize_chinese_chars", True)),
        **special,
    )


def _token(value: Any) -> str:
    """A special token is a text, or an object around one."""
    return str(value["content"] if isinstance(value, dict) else value)


def _normalizer(directory: Path) -> dict[str, Any]:
    """Read what `tokenizer.json` says of case and accents. Raises: ConfigError where its rules are not BERT's."""
    path = directory / "tokenizer.json"
    if not path.is_file():
        return {}
    data = read_json(path)
    kinds = [(data.get(part) or {}).get("type") for part in ("normalizer", "pre_tokenizer", "model")]
    if kinds != ["BertNormalizer", "BertPreTokenizer", "WordPiece"]:
        raise ConfigError(
            f"{path} must hold BertNormalizer, BertPreTokenizer and WordPiece; found {', '.join(map(str, kinds))}; "
            "this is no BERT tokenizer: use another checkpoint"
        )
    normalizer = data["normalizer"]
    return {
        "do_lower_case": normalizer.get("lowercase", True),
        "strip_accents": normalizer.get("strip_accents"),
        "tokenize_chinese_chars": normalizer.get("handle_chinese_chars", True),
    }


def _sequence_length(directory: Path, settings: Mapping[str, Any]) -> int | None:
    path = directory / "sentence_bert_config.json"
    lengths = [read_json(path).get("max_seq_length")] if path.is_file() else []
    lengths.append(settings.get("model_max_length"))
    path = directory / "tokenizer.json"
    if path.is_file():
        lengths.append((read_json(path).get("truncation") or {}).get("max_length"))
    return next((int(length) for length in lengths if length and length < UNBOUNDED), None)
