"""A tokenizer's files as Hugging Face lays them out: read as data, and written."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from wellread.config import TokenizerConfig
from wellread.errors import ConfigError
from wellread.files import matching
from wellread.schema import Keys, KeyTable, account_for, read_json, record, write_json
from wellread.text.fast import of_library, parse_library
from wellread.text.tokenizer import Tokenizer, load_tokenizer
from wellread.text.tokenizer_json import NAME, tfhub_case
from wellread.text.vocabulary import Vocabulary, read_bounded

_NAMED = re.compile(r"(?<![a-z])(un)?cased(?![a-z])")  # as in "uncased_L-12_H-768_A-12"
_SPECIAL = re.compile(r"\[.*\]|<.*>")  # "[CLS]" is written in capitals everywhere


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Text:
    """A tokenizer, and which of its rules no file states: rule -> value and reason."""

    tokenizer: Tokenizer
    inferred: Mapping[str, str] = field(default_factory=dict)
    max_length: int | None = None  # tokens, special ones included, where its files say so
    ignored: Mapping[str, str] = field(default_factory=dict)  # of its files: key -> why it has no effect


# Of these a directory holds one where it holds a tokenizer.
TOKENIZER_FILES = ("vocab.txt", "tokenizer.json", "vocab.json", "*.model", "*.spiece")


def has_tokenizer(directory: Path) -> bool:
    """Say whether a directory holds a tokenizer's files."""
    return any(matching(directory, *TOKENIZER_FILES))


def read_wordpiece(directory: Path, config: TokenizerConfig, *, do_lower_case: bool | None) -> Text:
    """Load a WordPiece tokenizer; `do_lower_case` is what a file says, or None where it must be inferred.

    Raises: TextError for a vocabulary that is missing or damaged.
    """
    if do_lower_case is not None:
        return Text(tokenizer=load_tokenizer(directory, replace(config, do_lower_case=do_lower_case)))
    pieces = Vocabulary.read(directory / str(config.vocab_file), config).pieces
    lower_case, why = infer_case(directory.resolve().name, pieces)
    tokenizer = load_tokenizer(directory, replace(config, do_lower_case=lower_case))
    return Text(tokenizer=tokenizer, inferred={"do_lower_case": f"{lower_case}: {why}"})


def infer_case(name: str, pieces: Iterable[str]) -> tuple[bool, str]:
    """Infer from the `name` of a model's directory, or from its vocabulary, whether to lower the case, and say why.

    >>> infer_case("uncased_L-12_H-768_A-12", ["Paris"])
    (True, 'the directory is named uncased')
    >>> infer_case("bert", ["[CLS]", "the", "Paris"])
    (False, "the vocabulary holds 'Paris'")
    """
    if match := _NAMED.search(name.lower()):
        return match[1] is not None, f"the directory is named {match[0]}"
    upper = next((piece for piece in pieces if piece != piece.lower() and not _SPECIAL.fullmatch(piece)), None)
    if upper is not None:
        return False, f"the vocabulary holds {upper!r}"
    return True, "the vocabulary holds no upper-case letter"


SPECIAL = ("unk_token", "pad_token", "cls_token", "sep_token", "mask_token")
RULES = ("do_lower_case", "strip_accents", "tokenize_chinese_chars")
LENGTHS = ("model_max_length", "max_len", "truncation")  # in the order of preference; `max_len` is the older name
UNBOUNDED = 1_000_000  # a length of this or more means "none"
CLASSES = ("BertTokenizer", "BertTokenizerFast", "DistilBertTokenizer", "DistilBertTokenizerFast")
FAST_CLASS = "PreTrainedTokenizerFast"  # takes tokenizer.json as it is; BertTokenizer makes its own rules
IGNORED_BY_BERT = "BERT's text rules do not depend on it"
KOBERT_RULES = {"remove_space": True, "keep_accents": False}  # of KoBertTokenizer; what KoBERT was trained with
# skt/kobert-base-v1 names XLNet's class for its KoBERTTokenizer, which keeps XLNet's text rules under BERT's template.
KOBERT_CLASSES = ("XLNetTokenizer", "XLNetTokenizerFast", "KoBERTTokenizer")
NO_OTHERS: dict[str, list[Any]] = {"additional_special_tokens": [[], None], "extra_special_tokens": [{}, [], None]}
KEYS = KeyTable(
    used={key: key for key in (*RULES, *SPECIAL, *LENGTHS[:2], "added_tokens_decoder", "tokenizer_class")},
    fixed={
        **NO_OTHERS,
        **{rule: [value] for rule, value in KOBERT_RULES.items()},
        "do_basic_tokenize": [True],
        "never_split": [None, []],
        "padding_side": ["right"],
        "truncation_side": ["right"],
        "sp_model_kwargs": [{}, None],
        "tokenizer_class": [*CLASSES, "KoBertTokenizer", *KOBERT_CLASSES, FAST_CLASS, "TokenizersBackend", None],
    },
    ignored={
        **dict.fromkeys(
            ("_from_auto", "name_or_path", "is_local", "local_files_only", "backend", "processor_class", "init_inputs"),
            "a note",
        ),
        **dict.fromkeys(("special_tokens_map_file", "tokenizer_file", "full_tokenizer_file"), "a path elsewhere"),
        **dict.fromkeys(("max_length", "stride", "truncation_strategy"), "a setting of one run"),
        **dict.fromkeys(("pad_to_multiple_of", "pad_token_type_id"), "padding is to the longest text"),
        "auto_map": "names code in the repository, which is never run",
        "clean_up_tokenization_spaces": "a setting of decoding",
        "model_input_names": "inputs go by TF Hub's names",
        **dict.fromkeys(("bos_token", "eos_token"), IGNORED_BY_BERT),
    },
)
SPECIAL_KEYS = KeyTable(
    used={key: key for key in SPECIAL},
    fixed=NO_OTHERS,
    ignored=dict.fromkeys(("bos_token", "eos_token"), IGNORED_BY_BERT),
)
RULES_OF_TEXT = ("normalizer", "pre_tokenizer")
# tokenizer.json, whole and part by part
FAST_KEYS = KeyTable(
    used={key: key for key in (*RULES_OF_TEXT, "model", "truncation", "added_tokens")},
    required=(*RULES_OF_TEXT, "model"),
    ignored={
        "version": "a note",
        "padding": "padding is to the longest text",
        "post_processor": "special tokens are put where TF Hub puts them, which is the same place",
        "decoder": "a setting of decoding",
    },
)
PARTS = {
    "normalizer": KeyTable(
        used={
            "lowercase": "do_lower_case",
            "strip_accents": "strip_accents",
            "handle_chinese_chars": "tokenize_chinese_chars",
        },
        required=("type",),
        fixed={"type": ["BertNormalizer"], "clean_text": [True]},
    ),
    "pre_tokenizer": KeyTable(used={}, required=("type",), fixed={"type": ["BertPreTokenizer"]}),
    "model": KeyTable(
        used={"unk_token": "unk_token"},
        required=("vocab", "continuing_subword_prefix"),  # files of before 2022 do not say the type
        fixed={
            "type": ["WordPiece"],
            "continuing_subword_prefix": ["##"],
            "max_input_chars_per_word": [100],
        },
        ignored={"vocab": "read as a vocabulary where there is no vocab.txt"},
    ),
    "truncation": KeyTable(
        used={"max_length": "truncation"},
        fixed={"direction": ["Right"]},
        ignored=dict.fromkeys(("strategy", "stride"), "a setting of one run"),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerFiles:
    """What a directory says of its tokenizer."""

    config: TokenizerConfig
    max_length: int | None = None  # tokens, special ones included
    ignored: Mapping[str, str] = field(default_factory=dict)


def read_tokenizer(directory: Path, *, ignore: Collection[str] = ()) -> TokenizerFiles:
    """Read the settings of a tokenizer and choose its dialect by the files that are there.

    A SentencePiece model beside a vocabulary, or under the class that SKT's files name, is KoBERT's; alone it is its
    own. Else it is WordPiece, with its vocabulary in `vocab.txt` or `tokenizer.json`; where `tokenizer_config.json` and
    `tokenizer.json` differ, the first holds, as in Hugging Face's tokenizers. A `tokenizer.json` with the rules of TF
    Hub, as `write_fast_tokenizer` makes it, makes it the dialect `tfhub`. `ignore` names keys to pass over;
    "added_tokens" among them lets a vocabulary have more special tokens than the five.

    Raises: CheckpointError; ConfigError for a setting, rule or added token that wellread does not compute.
    """
    models = [path.name for path in matching(directory, "*.model", "*.spiece")]
    if len(models) > 1:
        raise ConfigError(
            f"{directory} must hold one SentencePiece model; found {', '.join(models)}; remove the others"
        )
    tables = [_keys(directory / "special_tokens_map.json", SPECIAL_KEYS, ignore)]
    fast = _other_rules(directory / NAME) if not models else None
    if fast is not None:
        tables += [Keys(used={"fast": fast}, ignored={})]
    elif not models:
        tables += [_fast_keys(directory / NAME, ignore)]
    elif (directory / NAME).is_file():
        tables += [Keys(used={}, ignored={NAME: "the SentencePiece model beside it is read instead"})]
    tables += [_keys(directory / "tokenizer_config.json", KEYS, ignore)]
    settings = {key: value for table in tables for key, value in table.used.items()}
    ignored = {key: why for table in tables for key, why in table.ignored.items()}
    if models:
        ignored |= {key: "a rule of WordPiece tokenizers" for key in RULES[1:] if key in settings}
    config = _config(directory, settings, models)
    if "added_tokens" not in ignore and fast is None:
        _refuse_added(directory, settings, config)
    lengths = [_length(settings[name], name, directory) for name in LENGTHS if name in settings]
    return TokenizerFiles(config=config, max_length=next(filter(None, lengths), None), ignored=ignored)


def _keys(path: Path, table: KeyTable, ignore: Collection[str]) -> Keys:
    """Account for the keys of a file that may be missing."""
    return (
        account_for(read_json(path), table, source=path, ignore=ignore) if path.is_file() else Keys(used={}, ignored={})
    )


def _other_rules(path: Path) -> dict[str, Any] | None:
    """Read a tokenizer.json whose rules are neither BERT's nor TF Hub's; None for one of these, or none at all."""
    if not path.is_file():
        return None
    content = read_json(path)
    parts = [content.get(part) for part in ("normalizer", "pre_tokenizer", "model")]
    kinds = [part.get("type", "WordPiece") if isinstance(part, dict) else None for part in parts]
    bert = kinds == ["BertNormalizer", "BertPreTokenizer", "WordPiece"]
    return None if bert or tfhub_case(content) is not None else content


def _fast_keys(path: Path, ignore: Collection[str]) -> Keys:
    """Account for `tokenizer.json`: its rules under our names, its truncation, its added tokens."""
    whole = _keys(path, FAST_KEYS, ignore)
    model = whole.used.get("model")
    if isinstance(model, dict) and model.get("type") == "Unigram":  # its scores are read from SentencePiece's own file
        raise ConfigError(
            f"the tokenizer of {path.parent} was to be read; found a Unigram in {path.name} and no SentencePiece "
            "model; put the model that it was made from (*.model, *.spiece) beside it, and its vocab.txt if it has one"
        )
    tfhub = tfhub_case(whole.used)
    used: dict[str, Any] = {"added_tokens": whole.used.get("added_tokens") or [], "tfhub": tfhub}
    ignored = dict(whole.ignored)
    for part, table in PARTS.items():
        if tfhub is not None and part in RULES_OF_TEXT:
            continue
        if part in whole.used and (part != "truncation" or whole.used[part] is not None):
            content = _object(whole.used[part], part, path)
            keys = account_for(content, table, source=f"{path}, {part}", ignore=ignore)
            used |= keys.used
            ignored |= {f"{part}.{key}": why for key, why in keys.ignored.items()}
    return Keys(used=used, ignored=ignored)


def _config(directory: Path, settings: Mapping[str, Any], models: list[str]) -> TokenizerConfig:
    """Choose the dialect, and with it the rules that have a meaning."""
    tokens = {name: settings[name] for name in SPECIAL if settings.get(name) is not None}
    # a special token is a text, or an object around one
    special = {
        name: token.get("content", token) if isinstance(token, dict) else token for name, token in tokens.items()
    }
    vocab = "vocab.txt" if (directory / "vocab.txt").is_file() else None
    kobert = settings.get("tokenizer_class") in KOBERT_CLASSES
    if kobert:
        _refuse_xlnet(directory, special, models)
    if models:
        files = {"dialect": "kobert" if vocab or kobert else "spm", "model_file": models[0], "vocab_file": vocab}
        rules = {key: settings[key] for key in RULES[:1] if key in settings}
    elif "fast" in settings:
        library = parse_library(read_bounded(directory / NAME, "tokenizer"), source=directory / NAME)
        tokenizer = of_library(library, special, source=directory / NAME)
        return tokenizer.config
    elif settings.get("tfhub") is not None:
        files = {"dialect": "tfhub", "vocab_file": vocab or NAME}
        rules = {"do_lower_case": settings["tfhub"]}  # whatever tokenizer_config.json says: no rule depends on it there
    else:
        files = {"dialect": "hf", "vocab_file": vocab or NAME}
        rules = {"do_lower_case": True}  # Hugging Face's default
        rules |= {key: settings[key] for key in RULES if key in settings}
    return record(TokenizerConfig, {**files, **rules, **special}, source=f"the tokenizer of {directory}")


def _refuse_xlnet(directory: Path, special: Mapping[str, Any], models: list[str]) -> None:
    """Refuse XLNet's own tokenizer, which ends a row with <sep> <cls>, and KoBERT's without its model."""
    if special.get("cls_token") != "[CLS]":
        raise ConfigError(
            f"the tokenizer of {directory} is XLNet's by its class; found the cls_token {special.get('cls_token')!r} "
            "where KoBERT's is '[CLS]'; XLNet puts its special tokens behind a text, which wellread does not"
        )
    if not models:
        raise ConfigError(
            f"the tokenizer of {directory} is KoBERT's by its class; found no SentencePiece model; put it "
            "(spiece.model) beside tokenizer_config.json"
        )


def _object(value: Any, name: str, source: Path) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{name} of {source} must be an object; found {reprlib.repr(value)}; fetch the file again")
    return value


def _refuse_added(directory: Path, settings: Mapping[str, Any], config: TokenizerConfig) -> None:
    """Refuse tokens beyond the special five: Hugging Face would find them whole in a text, wellread splits them."""
    path = directory / "added_tokens.json"
    added: list[Any] = list(read_json(path)) if path.is_file() else []
    decoder = _object(settings.get("added_tokens_decoder", {}), "added_tokens_decoder", directory)
    entries = settings.get("added_tokens", [])
    if not isinstance(entries, list):
        raise ConfigError(f"added_tokens of {directory} must be a list; found {reprlib.repr(entries)}; fetch it again")
    added += [_object(entry, "an added token", directory).get("content") for entry in (*decoder.values(), *entries)]
    strangers = {str(token) for token in added} - {getattr(config, name) for name in SPECIAL}
    if strangers:
        raise ConfigError(
            f"the tokenizer of {directory} must have five special tokens; found {len(strangers)} added to them: "
            f"{reprlib.repr(sorted(strangers))}; where your texts have none of these, pass ignore=['added_tokens']"
        )


def _length(value: Any, name: str, source: Path) -> int | None:
    """Read a number of tokens; none and what is too large to be meant are no bound."""
    if value is None or (type(value) in (int, float) and value >= UNBOUNDED):
        return None
    if type(value) is not int or value < 1:
        raise ConfigError(
            f"{name} of {source} must be a number of tokens; found {reprlib.repr(value)}; correct the file"
        )
    return value


def write_tokenizer(
    directory: Path, tokenizer: Tokenizer, *, max_length: int, segments: bool = True
) -> TokenizerConfig:
    """Write the vocabulary, the SentencePiece model if there is one, and Hugging Face's settings.

    `segments`: whether the encoder takes type ids. Returns the tokenizer's config with the names under which its files
    now lie.
    """
    config = tokenizer.config
    settings: dict[str, Any] = {name: getattr(config, name) for name in SPECIAL}
    settings |= {"tokenizer_class": CLASSES[0] if config.dialect == "hf" else FAST_CLASS}
    settings |= {"do_lower_case": config.do_lower_case, "model_max_length": max_length}
    settings |= {"model_input_names": ["input_ids", *(["token_type_ids"] if segments else []), "attention_mask"]}
    if config.dialect == "fast":
        config = replace(config, vocab_file=NAME)
        (directory / NAME).write_bytes(tokenizer.model_bytes())
        settings.pop("do_lower_case")
    elif config.model_file is not None:
        config = replace(config, model_file=Path(config.model_file).name)
        (directory / str(config.model_file)).write_bytes(tokenizer.model_bytes())
    else:
        settings |= {name: getattr(config, name) for name in RULES}
    if config.vocab_file is not None and config.dialect != "fast":
        config = replace(config, vocab_file="vocab.txt")
        text = "".join(f"{piece}\n" for piece in tokenizer.vocabulary.pieces)
        (directory / "vocab.txt").write_bytes(text.encode("utf-8"))
    write_json(directory / "tokenizer_config.json", settings)
    return config
