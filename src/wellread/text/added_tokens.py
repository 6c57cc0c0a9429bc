"""Special and added tokens of a tokenizer's files, gathered from wherever they stand, as transformers gathers them."""

from __future__ import annotations

import reprlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import AddedToken

from wellread.dataclass import dataclass
from wellread.errors import ConfigError
from wellread.schema import read_json

# The special tokens that have a name, in transformers' order.
NAMES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
LISTS = ("extra_special_tokens", "additional_special_tokens", "model_specific_special_tokens")
DECODER, MAP, ADDED = "added_tokens_decoder", "special_tokens_map.json", "added_tokens.json"
FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")
Token = AddedToken | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What a tokenizer's files say of special and added tokens."""

    named: Mapping[str, Token | None]  # by NAMES, and by other names that end in _token; None: said to be absent
    extra: tuple[Token, ...] = ()  # special tokens without a name
    declared: Mapping[int, AddedToken] = field(default_factory=dict)  # by the id that a file gives them
    ignored: Mapping[str, str] = field(default_factory=dict)

    def name(self, key: str, default: str | None) -> str | None:
        """Return the text of a named token; `default` where no file says."""
        token = self.named.get(key, default)
        return token if token is None else text_of(token)


def text_of(token: Token) -> str:
    """Return the text of a token."""
    return token if isinstance(token, str) else str(token.content)


def read_tokens(directory: Path, settings: Mapping[str, Any], content: Mapping[str, Any] | None) -> Tokens:
    """Gather the tokens of `tokenizer_config.json` (its `settings`) and, where that has no `added_tokens_decoder`, of
    the older files beside it and of tokenizer.json, its `content`.

    Raises: ConfigError for what is no token; CheckpointError for a damaged file.
    """
    named: dict[str, Token | None] = {}
    extra: list[Token] = []
    _sort(settings, named, extra, source=directory / "tokenizer_config.json")
    declared: dict[int, AddedToken] = {}
    ignored: dict[str, str] = {}
    if DECODER in settings:
        source = directory / "tokenizer_config.json"
        for id, token in _object(settings[DECODER], DECODER, directory).items():
            declared[_id(id, source)] = _token(token, source)
        ignored |= {
            name: f"{DECODER} of tokenizer_config.json holds" for name in (MAP, ADDED) if (directory / name).is_file()
        }
    else:
        if (directory / MAP).is_file():
            older: dict[str, Token | None] = {}
            more: list[Token] = []
            _sort(read_json(directory / MAP), older, more, source=directory / MAP, special=True)
            named |= older
            extra = more or extra
        special = {text_of(token) for token in (*named.values(), *extra) if token is not None}
        if (directory / ADDED).is_file():
            for text, id in read_json(directory / ADDED).items():
                known = text in special
                declared[_id(id, directory / ADDED)] = AddedToken(text, normalized=not known, special=known)
        for entry in (content or {}).get("added_tokens") or []:
            token = {key: value for key, value in entry.items() if key != "id"}
            declared[entry["id"]] = _token(token, directory / "tokenizer.json")
    by_text = {token.content: token for token in declared.values()}
    named = {key: token if token is None else by_text.get(text_of(token), token) for key, token in named.items()}
    return Tokens(named=named, extra=tuple(extra), declared=declared, ignored=ignored)


def _sort(
    data: Mapping[str, Any],
    named: dict[str, Token | None],
    extra: list[Token],
    *,
    source: Path,
    special: bool = False,
) -> None:
    """Sort the keys of a file that hold tokens: those with a name, lists of others; other keys stay."""
    for key, value in data.items():
        if key in LISTS and isinstance(value, Mapping):
            named |= {name: _token_or_text(token, source, special=special) for name, token in value.items()}
        elif key in LISTS and value is not None:
            if not isinstance(value, list):
                raise ConfigError(
                    f"{key} of {source} must be a list of tokens; found {reprlib.repr(value)}; correct the file"
                )
            extra += [_token_or_text(token, source, special=special) for token in value]
        elif key in NAMES and value is None:
            named[key] = None
        elif key in NAMES or (key.endswith("_token") and isinstance(value, str | Mapping)):
            if not isinstance(value, str | Mapping):
                raise ConfigError(f"{key} of {source} must be a token; found {reprlib.repr(value)}; correct the file")
            named[key] = _token_or_text(value, source, special=special)


def _token_or_text(value: Any, source: Path, *, special: bool = False) -> Token:
    return value if isinstance(value, str) else _token({**value, "special": True} if special else value, source)


def _token(value: Any, source: Path) -> AddedToken:
    """Make a token of an object with a content and flags."""
    if isinstance(value, AddedToken):
        return value
    flags = {key: flag for key, flag in _object(value, "an added token", source).items() if key != "__type"}
    text = flags.pop("content", None)
    wrong = [key for key, flag in flags.items() if key not in FLAGS or type(flag) is not bool]
    if type(text) is not str or not text or wrong:
        raise ConfigError(
            f"an added token of {source} must be an object of content, {', '.join(FLAGS)}; found "
            f"{reprlib.repr(dict(value))}; fetch the file again"
        )
    return AddedToken(text, **flags)


def _id(id: Any, source: Path) -> int:
    number = int(id) if isinstance(id, str) and id.isdecimal() and len(id) < 11 else id
    if type(number) is not int or not 0 <= number < 1 << 31:
        raise ConfigError(
            f"an added token of {source} must have an id, a row of the word table; found {reprlib.repr(id)}; fetch "
            "the file again"
        )
    return number


def _object(value: Any, name: str, source: Path) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{name} of {source} must be an object; found {reprlib.repr(value)}; fetch the file again")
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """The tokens that a tokenizer finds whole in a text, beyond what its library holds already."""

    tokens: tuple[AddedToken, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)  # names that no file has an id for -> why


def to_add(library: tokenizers.Tokenizer, tokens: Tokens, defaults: Mapping[str, Token]) -> Addition:
    """Say which tokens are to be added to `library`, in transformers' order: declared ones, named ones, the others.

    `defaults` are the named tokens of a class. A named token for which the vocabulary has no id, and no file declares
    one, would get an id behind the word table: it is left out.
    """
    held = {repr(token) for token in library.get_added_tokens_decoder().values()}
    texts = {str(token.content) for token in library.get_added_tokens_decoder().values()}
    chosen: list[AddedToken] = [token for _, token in sorted(tokens.declared.items()) if repr(token) not in held]
    texts |= {str(token.content) for token in chosen}
    left_out = {}
    named = {**defaults, **tokens.named}
    order = [*NAMES, *(key for key in named if key not in NAMES)]
    of_names = {text_of(token) for token in named.values() if token is not None}
    for key in order:
        token = named.get(key)
        if token is None or text_of(token) in texts:
            continue
        if library.token_to_id(text_of(token)) is None:
            left_out[key] = f"no file has an id for {text_of(token)}; in a text it is text"
            continue
        chosen.append(AddedToken(token, special=True, normalized=False) if isinstance(token, str) else token)
        texts.add(text_of(token))
    for token in tokens.extra:
        if text_of(token) not in texts:
            chosen.append(AddedToken(token, special=True, normalized=False) if isinstance(token, str) else token)
            texts.add(text_of(token))
    for token in chosen:
        if token.content in of_names and not token.special:
            token.special = True
    return Addition(tokens=tuple(chosen), left_out=left_out)


def check_ids(library: tokenizers.Tokenizer, tokens: Tokens, *, source: object) -> None:
    """Refuse declared tokens that have another id in the vocabulary. Raises: ConfigError."""
    wrong = {
        token.content: (id, library.token_to_id(token.content))
        for id, token in tokens.declared.items()
        if library.token_to_id(token.content) != id
    }
    if wrong:
        text, (id, other) = next(iter(wrong.items()))
        raise ConfigError(
            f"the added tokens of {source} must have the ids that its files say; found {len(wrong)} with another, such "
            f"as {text!r} as {id} where the vocabulary makes it {other}; fetch the files again, or pass "
            "ignore=['added_tokens'] to do without them"
        )


def without_others(tokens: Tokens, kept: Collection[str]) -> Tokens:
    """Keep, of the declared and further tokens, those with a text among `kept`."""
    declared = {id: token for id, token in tokens.declared.items() if token.content in kept}
    named = {key: token for key, token in tokens.named.items() if key in NAMES}
    return Tokens(named=named, declared=declared, ignored=tokens.ignored)


def plain(tokens: Iterable[AddedToken]) -> bool:
    """Say whether tokens are found by their text alone, as BERT's special tokens are."""
    return all(
        token.special and not (token.normalized or token.lstrip or token.rstrip or token.single_word)
        for token in tokens
    )
