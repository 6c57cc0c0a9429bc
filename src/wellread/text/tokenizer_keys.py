"""The keys of tokenizer_config.json: the few that touch the ids of a text are used or held; all others are ignored."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Collection, Mapping
from typing import Any

from wellread.errors import ConfigError
from wellread.schema import Keys
from wellread.text.added_tokens import DECODER, LISTS, NAMES
from wellread.text.tokenizer_class import CLASSES, TokenizerClass

LENGTHS = ("model_max_length", "max_len", "truncation")  # in the order of preference; `max_len` is the older name
CLASS = "tokenizer_class"
# Keys whose other values would give other ids, whatever the class.
FIXED: dict[str, list[Any]] = {
    "padding_side": ["right"],
    "truncation_side": ["right"],
    "split_special_tokens": [False, None],
    "add_special_tokens": [True, None],
    "sp_model_kwargs": [{}, None],
    "fast_tokenizer_files": [[], ["tokenizer.json"], None],
}
# Rules of a slow tokenizer: what a model was trained with under other values is not computed.
KOBERT_RULES = {"remove_space": True, "keep_accents": False}  # what KoBERT was trained with
FIXED_FOR: dict[str | None, dict[str, list[Any]]] = {
    "WordPiece": {"do_basic_tokenize": [True, None], "never_split": [None, []]},
    "SentencePiece": {rule: [value] for rule, value in KOBERT_RULES.items()},
}
RULES = {rule for kind in CLASSES for rule in kind.rules}
TYPES = {"strip_accents": (bool, type(None))}  # of a rule; the others are bool
NOTES = {
    **dict.fromkeys(
        (
            *(
                "_from_auto",
                "name_or_path",
                "is_local",
                "local_files_only",
                "backend",
                "processor_class",
                "init_inputs",
            ),
            *("use_fast", "model_type", "files_loaded", "transformers_version", "tokenizer_type", "legacy"),
        ),
        "a note",
    ),
    **dict.fromkeys(
        (
            *("special_tokens_map_file", "tokenizer_file", "full_tokenizer_file", "vocab_file", "merges_file"),
            "added_tokens_file",
        ),
        "a path elsewhere",
    ),
    **dict.fromkeys(("max_length", "stride", "truncation_strategy", "truncation", "padding"), "a setting of one run"),
    **dict.fromkeys(("pad_to_multiple_of", "pad_token_type_id"), "padding is to the longest text"),
    **dict.fromkeys(("add_bos_token", "add_eos_token"), "tokenizer.json or the class says where special tokens stand"),
    **dict.fromkeys(("chat_template", "response_template"), "for chats"),
    "auto_map": "names code in the repository, which is never run",
    "clean_up_tokenization_spaces": "a setting of decoding",
    "errors": "a setting of decoding",
    "clean_text": "BertTokenizer cleans a text whatever it says",
    "model_input_names": "inputs go by TF Hub's names",
}
OTHER = "not among the settings that ids depend on"
ALIKE = 0.9  # share of equal letters from which a key that is not known is taken for one misspelt


def account_for_settings(
    settings: Mapping[str, Any], kind: TokenizerClass, *, source: object, ignore: Collection[str] = ()
) -> Keys:
    """Sort the keys of a tokenizer_config.json under a class: its rules and lengths are used, the others ignored.

    Raises: ConfigError that lists every value that would give other ids, and every key that is one of those misspelt.
    """
    fixed = FIXED | FIXED_FOR.get(kind.model, {})
    touching = {*kind.rules, *LENGTHS[:2], *NAMES, *LISTS, DECODER, CLASS, *fixed}
    used: dict[str, Any] = {}
    ignored: dict[str, str] = {}
    faults: list[str] = []
    for key, value in settings.items():
        if key in ignore and key not in NAMES:
            ignored[key] = "passed over as the caller asked"
        elif key in kind.rules:
            used[key] = value
            if type(value) not in TYPES.get(key, (bool,)):
                faults.append(f"{key} is {reprlib.repr(value)}, not bool")
        elif key in fixed:
            if value not in fixed[key]:
                computed = ", ".join(map(repr, fixed[key]))
                faults.append(f"{key} is {reprlib.repr(value)}, and wellread computes only {computed}")
        elif key in touching:
            used[key] = value
        elif key in RULES:
            ignored[key] = f"{kind.name} does not go by it"
        elif not _is_token(key, value):
            meant = _misspelt(key, touching) if key not in NOTES else None
            faults += [f"{key} is unknown (did you mean {meant}?)"] if meant else []
            ignored[key] = NOTES.get(key, OTHER)
    if faults:
        raise ConfigError(
            f"every key of {source} must be accounted for; found that {'; '.join(faults)}; correct the file, or name "
            "keys that may be passed over with ignore="
        )
    return Keys(used=used, ignored=ignored)


def _is_token(key: str, value: object) -> bool:
    """Say whether a key names a special token that is none of NAMES."""
    return key.endswith("_token") and isinstance(value, str | Mapping)


def _misspelt(key: str, touching: Collection[str]) -> str | None:
    """Return the key that ids depend on and that this one is very much like."""
    joined = {name.replace("_", ""): name for name in touching}
    exact = joined.get(key.lower().replace("_", "").replace("-", ""))
    close = difflib.get_close_matches(key, touching, n=1, cutoff=ALIKE)
    return exact or (close[0] if close else None)
