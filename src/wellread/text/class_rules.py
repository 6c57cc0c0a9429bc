"""What a class of Hugging Face's tokenizers makes of a directory's files: a config, and the library that runs it."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Collection, Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import Any

import tokenizers

from wellread.config import TokenizerConfig
from wellread.dataclass import dataclass
from wellread.errors import ConfigError, TextError
from wellread.schema import record
from wellread.text.added_tokens import NAMES, Tokens, check_ids, plain, read_tokens, text_of, to_add, without_others
from wellread.text.fast import from_library, named_template, parse_library, template_of, translated
from wellread.text.piece_files import VOCABULARY, read_pieces
from wellread.text.post_processor import read_template
from wellread.text.tokenizer_check import PARTS, model_type
from wellread.text.tokenizer_class import BERT, KOBERT, ROBERTA, TokenizerClass, rows_of
from wellread.text.tokenizer_files import CONFIG, RULES, SPECIAL
from wellread.text.tokenizer_json import NAME
from wellread.text.tokenizer_keys import LENGTHS, account_for_settings
from wellread.text.unigram import class_pieces
from wellread.text.vocabulary import read_bounded, read_lines

FAST = {"dialect": "fast", "vocab_file": NAME}
# What special tokens are called where no file names them.
CUSTOMARY = {key: (text_of(BERT.special[key]), text_of(ROBERTA.special[key])) for key in SPECIAL}
UNBOUNDED = 1_000_000  # a length of this or more means "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerFiles:
    """What a directory says of its tokenizer; `open_tokenizer` loads it."""

    config: TokenizerConfig
    library: tokenizers.Tokenizer | None = None  # of the `fast` dialect: its rules, tokens and rows
    states_rows: bool = True  # whether a file says where special tokens stand
    max_length: int | None = None  # tokens, special ones included
    ignored: Mapping[str, str] = field(default_factory=dict)
    inferred: Mapping[str, str] = field(default_factory=dict)  # which of several rules was taken, and why


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """The class whose rules a directory's tokenizer has."""

    kind: TokenizerClass
    name: str | None = None  # as a file has it
    why: str = ""
    explicit: bool = False  # whether tokenizer_config.json or config.json names a class


def _config(directory: Path, fields: Mapping[str, Any]) -> TokenizerConfig:
    """Make a config of what files say. Raises: ConfigError."""
    return record(TokenizerConfig, fields, source=f"the tokenizer of {directory}")


def tfhub(directory: Path, tokens: Tokens, lower_case: bool) -> TokenizerFiles:
    """Read the rules of TF Hub, which our own `tokenizer.json` spells out."""
    vocab = VOCABULARY if (directory / VOCABULARY).is_file() else NAME
    names = {key: tokens.name(key, text_of(BERT.special[key])) for key in SPECIAL}
    config = _config(directory, {"dialect": "tfhub", "vocab_file": vocab, "do_lower_case": lower_case, **names})
    return TokenizerFiles(config=config, states_rows=False)


def at_value(
    directory: Path, content: Mapping[str, Any], tokens: Tokens, named: Named, run: Mapping[str, Any]
) -> TokenizerFiles:
    """Take tokenizer.json as it is, and the special tokens that files name."""
    source = directory / NAME
    if model_type(content["model"]).startswith("Word") and content["model"].get("unk_token") is None:
        raise TextError(f"the model of {source} must name its unknown token; found none; fetch the file again")
    named_tokens = dict(tokens.named)
    if run.get("pad_token") is not None:
        named_tokens.setdefault("pad_token", str(run["pad_token"]))
    if isinstance(content["model"].get("unk_token"), str):
        named_tokens.setdefault("unk_token", content["model"]["unk_token"])
    tokens = replace(tokens, named=named_tokens)
    rules_alone = {**content, "padding": None, "truncation": None}
    library = parse_library(json.dumps(rules_alone).encode(), source=source)
    addition = to_add(library, tokens, {})
    library.add_tokens(list(addition.tokens))
    check_ids(library, tokens, source=directory)
    added = {token.content for token in library.get_added_tokens_decoder().values()}
    customary = {key: next(filter(added.__contains__, CUSTOMARY[key]), None) for key in SPECIAL}
    names = {key: tokens.name(key, customary[key]) for key in SPECIAL}
    names = {key: None if key in addition.left_out else name for key, name in names.items()}
    template = read_template(content.get("post_processor"), library.token_to_id, source=source)
    config = _config(directory, {**FAST, "template": template, **names})
    files = TokenizerFiles(config=config, library=library, ignored=addition.left_out)
    bert = _bert_rules(content)
    if bert is not None and _five_alone(library, names) and names["unk_token"] == content["model"]["unk_token"]:
        config = replace(config, dialect="hf", vocab_file=_vocabulary_file(directory, content), **bert)
        return replace(files, config=_with_named_template(config, library), library=None)
    why = f"those of {NAME}, taken at their value: {named.why}"
    return replace(files, inferred={"rules": why})


def _bert_rules(content: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the rules of BERT's that a tokenizer.json has; None where it has others."""
    rules, words, model = (content.get(part) or {} for part in ("normalizer", "pre_tokenizer", "model"))
    kinds = (rules.get("type"), words.get("type"), model_type(model))
    bert = kinds == ("BertNormalizer", "BertPreTokenizer", "WordPiece") and rules.get("clean_text") is True
    if not bert or (model.get("continuing_subword_prefix"), model.get("max_input_chars_per_word", 100)) != ("##", 100):
        return None
    theirs = ("lowercase", "strip_accents", "handle_chinese_chars")
    return {ours: rules.get(key) for ours, key in zip(RULES, theirs, strict=True)}


def _five_alone(library: tokenizers.Tokenizer, names: Mapping[str, str | None]) -> bool:
    """Say whether a text is searched for the named special tokens alone, each by its text, and all of them."""
    added = list(library.get_added_tokens_decoder().values())
    return plain(added) and {token.content for token in added} == {*filter(None, names.values())}


def _with_named_template(config: TokenizerConfig, library: tokenizers.Tokenizer) -> TokenizerConfig:
    """Give a template the name that it has."""
    return named_template(from_library(library, config)).config


def _vocabulary_file(directory: Path, content: Mapping[str, Any] | None) -> str:
    """Name the file of the vocabulary: vocab.txt, unless tokenizer.json, which goes before it, has another."""
    if content is None or not (directory / VOCABULARY).is_file():
        return VOCABULARY if content is None else NAME
    lines = read_lines(directory / VOCABULARY)
    same = content["model"]["vocab"] == {line: id for id, line in enumerate(lines) if line}
    return VOCABULARY if same else NAME


def of_class(
    directory: Path, content: Mapping[str, Any] | None, tokens: Tokens, used: Mapping[str, Any], named: Named
) -> TokenizerFiles:
    """Build what a class makes of its pieces, wherever they stand, and of `tokenizer_config.json`."""
    kind = named.kind if named.kind.build is not None else BERT
    if content is not None and model_type(content["model"]) != kind.model:
        # the class would take such pieces for its own; whoever saved them did not mean that
        why = f"{named.why}, but {NAME} holds a {model_type(content['model'])}"
        return at_value(directory, content, tokens, replace(named, why=why), {})
    rules = {**kind.rules, **{key: used[key] for key in kind.rules if key in used}}
    pieces = read_pieces(directory, content, kind)
    special = {key: tokens.name(key, text_of(token)) for key, token in kind.special.items()}
    if kind.model == "WordPiece" and special["unk_token"] not in pieces.vocab:
        raise TextError(
            f"the vocabulary of {directory} must hold the special tokens that its rows need; of its "
            f"{len(pieces.vocab)} pieces none is {special['unk_token']}; name the right one in {CONFIG}"
        )
    with translated(f"the tokenizer of {directory} was to be read"):
        assert kind.build is not None
        library = kind.build(pieces, rules, special)
        # a list in a file takes the place of the class's own tokens without a name
        own = {key: token for key, token in kind.special.items() if key in NAMES or not tokens.extra}
        addition = to_add(library, tokens, own)
        library.add_tokens(list(addition.tokens))
    check_ids(library, tokens, source=directory)
    if kind.keeps_rows and content is not None and content.get("post_processor") is not None:
        library.post_processor = parse_library(json.dumps(content).encode(), source=directory / NAME).post_processor
    else:
        library.post_processor = rows_of(kind, rules, special, library.token_to_id)
    names = {key: None if key in addition.left_out else special[key] for key in SPECIAL}
    template = template_of(library, source=directory)
    config = _config(directory, {**FAST, "template": template, **names})
    ignored = dict(addition.left_out)
    if content is not None:
        ignored |= {part: f"{kind.name} makes its own" for part in PARTS if content.get(part) is not None}
    states = content is not None or named.explicit or kind is not BERT
    files = TokenizerFiles(
        config=config, library=library, ignored=ignored, inferred=_overruled(content, rules, named), states_rows=states
    )
    if kind is BERT and _five_alone(library, names):
        config = replace(config, dialect="hf", vocab_file=_vocabulary_file(directory, content), **rules)
        files = replace(files, config=_with_named_template(config, library), library=None)
        if named.name is not None or not named.explicit:
            return files
    why = f"those of {kind.name}, as transformers 5 makes them: {named.why}"
    return replace(files, inferred={"rules": why, **files.inferred})


def _overruled(content: Mapping[str, Any] | None, rules: Mapping[str, Any], named: Named) -> dict[str, str]:
    """Say where a class goes over what tokenizer.json says of case, accents and ideographs."""
    theirs = (_bert_rules(content) if content is not None else None) or {}
    return {
        rule: f"{rules[rule]}, as in {named.kind.name} of transformers 5, over the {value} of {NAME}: {named.why}"
        for rule, value in theirs.items()
        if rules.get(rule) != value
    }


def of_sentencepiece(
    directory: Path, settings: Mapping[str, Any], named: Named, models: list[str], ignore: Collection[str]
) -> TokenizerFiles:
    """Build what a class makes of a SentencePiece model: its own ids, and "▁" before every word."""
    kind, model = named.kind, directory / _one_model(directory, models)
    keys = account_for_settings(settings, kind, source=directory / CONFIG, ignore=ignore)
    tokens = read_tokens(directory, settings, None)
    if "added_tokens" in ignore:
        tokens = without_others(
            tokens, {text_of(token) for token in (*kind.special.values(), *tokens.named.values()) if token}
        )
    rules = {**kind.rules, **{key: keys.used[key] for key in kind.rules if key in keys.used}}
    own = {key: token for key, token in kind.special.items() if key in NAMES}  # the model says which others there are
    special = {key: tokens.name(key, text_of(token)) for key, token in own.items()}
    pieces = class_pieces(read_bounded(model, "SentencePiece model"), kind.name, special, source=model)
    with translated(f"the tokenizer of {directory} was to be read"):
        assert kind.build is not None
        library = kind.build(pieces, rules, special)
        addition = to_add(library, replace(tokens, extra=(*pieces.symbols, *tokens.extra)), own)
        library.add_tokens(list(addition.tokens))
    check_ids(library, tokens, source=directory)
    library.post_processor = rows_of(kind, rules, special, library.token_to_id)
    names = {key: None if key in addition.left_out else special[key] for key in SPECIAL}
    config = _config(directory, {**FAST, "template": template_of(library, source=directory), **names})
    lengths = [length_of(keys.used[name], name, directory) for name in LENGTHS if name in keys.used]
    return TokenizerFiles(
        config=config,
        library=library,
        max_length=next(filter(None, lengths), None),
        ignored={**keys.ignored, **tokens.ignored, **addition.left_out},
        inferred={"rules": f"those of {kind.name} on {model.name}: {named.why}"},
    )


def of_kobert(
    directory: Path, settings: Mapping[str, Any], named: Named, models: list[str], ignore: Collection[str]
) -> TokenizerFiles:
    """Read KoBERT's files, or a SentencePiece model under its own ids."""
    keys = account_for_settings(settings, KOBERT, source=directory / CONFIG, ignore=ignore)
    tokens = read_tokens(directory, settings, None)
    vocab = VOCABULARY if (directory / VOCABULARY).is_file() else None
    kobert = named.kind is KOBERT
    if kobert and named.name != "KoBertTokenizer":
        _refuse_xlnet(directory, tokens, models)
    fields = {
        "dialect": "kobert" if vocab or kobert else "spm",
        "model_file": _one_model(directory, models),
        "vocab_file": vocab,
        "do_lower_case": keys.used.get("do_lower_case", False),
        **{key: tokens.name(key, text_of(BERT.special[key])) for key in SPECIAL},
    }
    config = _config(directory, fields)
    if "added_tokens" not in ignore:
        _refuse_added(directory, tokens, config)
    ignored = {**keys.ignored, **tokens.ignored}
    if (directory / NAME).is_file():
        ignored[NAME] = "the SentencePiece model beside it is read instead"
    lengths = [length_of(keys.used[name], name, directory) for name in LENGTHS if name in keys.used]
    return TokenizerFiles(
        config=config, states_rows=False, max_length=next(filter(None, lengths), None), ignored=ignored
    )


def _one_model(directory: Path, models: list[str]) -> str:
    if len(models) != 1:
        raise ConfigError(
            f"{directory} must hold one SentencePiece model; found {', '.join(models) or 'none'}; "
            f"{'remove the others' if models else 'put it beside tokenizer_config.json'}"
        )
    return models[0]


def _refuse_xlnet(directory: Path, tokens: Tokens, models: list[str]) -> None:
    """Refuse XLNet's own tokenizer, which ends a row with <sep> <cls>, and KoBERT's without its model."""
    cls_token = tokens.name("cls_token", None)
    if cls_token != "[CLS]":
        raise ConfigError(
            f"the tokenizer of {directory} is XLNet's by its class; found the cls_token {cls_token!r} "
            "where KoBERT's is '[CLS]'; XLNet puts its special tokens behind a text, which wellread does not"
        )
    if not models:
        raise ConfigError(
            f"the tokenizer of {directory} is KoBERT's by its class; found no SentencePiece model; put it "
            "(spiece.model) beside tokenizer_config.json"
        )


def _refuse_added(directory: Path, tokens: Tokens, config: TokenizerConfig) -> None:
    """Refuse tokens beyond the special five: KoBERT's class would find them whole in a text, SentencePiece splits."""
    added = {text_of(token) for token in (*tokens.declared.values(), *tokens.extra)}
    strangers = added - {getattr(config, name) for name in SPECIAL}
    if strangers:
        raise ConfigError(
            f"the tokenizer of {directory} must have five special tokens; found {len(strangers)} added to them: "
            f"{reprlib.repr(sorted(strangers))}; where your texts have none of these, pass ignore=['added_tokens']"
        )


def length_of(value: Any, name: str, source: Path) -> int | None:
    """Read a number of tokens; none and what is too large to be meant are no bound."""
    if value is None or (type(value) in (int, float) and value >= UNBOUNDED):
        return None
    if type(value) is not int or value < 1:
        raise ConfigError(
            f"{name} of {source} must be a number of tokens; found {reprlib.repr(value)}; correct the file"
        )
    return value
