"""SentencePiece models as Hugging Face's classes read them: their ids and text rules, on the tokenizers library.

Source: the classes and converters of transformers 5, tokenization_{xlm_roberta,albert,camembert}.py and
convert_slow_tokenizer.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import tokenizers
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers

from wellread.errors import ConfigError, TextError
from wellread.formats.sentencepiece_model import (
    CONTROL,
    NO_UNIGRAM,
    USER_DEFINED,
    SentencePieceModel,
    check_charsmap,
    read_sentencepiece,
)

SPACE = "▁"  # U+2581, what SentencePiece writes for a space
NEVER = -100.0  # the score of a piece that is not to be found


@dataclass(frozen=True, slots=True, kw_only=True)
class IdRules:
    """How a class numbers the pieces of a model, which unknown piece it has, and what stands around a text."""

    before: tuple[str, ...]  # pieces with the first ids; the key of a special token, such as pad_token, or a piece
    skipped: int  # pieces of the model whose place those take
    after: tuple[str, ...]  # pieces with the last ids
    template: str  # of config.TEMPLATES
    simplifies: bool = False  # straightens quotes, drops accents, lowers the case


# By the class that a directory names, without the ending "Fast".
ID_RULES = {
    "XLMRobertaTokenizer": IdRules(
        before=("bos_token", "pad_token", "eos_token", "unk_token"),
        skipped=3,
        after=("mask_token",),
        template="roberta",
    ),
    "CamembertTokenizer": IdRules(
        before=("<s>NOTUSED", "pad_token", "</s>NOTUSED", "unk_token", "<unk>NOTUSED"),
        skipped=1,
        after=("mask_token",),
        template="roberta",
    ),
    "AlbertTokenizer": IdRules(before=(), skipped=0, after=(), template="bert", simplifies=True),
}
FAIRSEQ = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "sep_token": "</s>"}
FAIRSEQ |= {"pad_token": "<pad>", "cls_token": "<s>", "mask_token": "<mask>"}
# The special tokens of a class where a directory names none.
SPECIAL_TOKENS = {
    "XLMRobertaTokenizer": FAIRSEQ,
    "CamembertTokenizer": FAIRSEQ,
    "AlbertTokenizer": {
        **{"bos_token": "[CLS]", "eos_token": "[SEP]", "unk_token": "<unk>", "sep_token": "[SEP]"},
        **{"pad_token": "<pad>", "cls_token": "[CLS]", "mask_token": "[MASK]"},
    },
}


def special_tokens(kind: str, named: Mapping[str, AddedToken]) -> dict[str, AddedToken]:
    """Return the special tokens of a class by their keys: those `named`, else its own.

    >>> special_tokens("AlbertTokenizer", {})["mask_token"].content
    '[MASK]'
    """
    own = {key: AddedToken(text, special=True, normalized=False) for key, text in SPECIAL_TOKENS[kind].items()}
    if kind == "CamembertTokenizer":  # its mask takes the space before it
        own["mask_token"] = AddedToken("<mask>", special=True, normalized=False, lstrip=True)
    return {**own, **named}


def class_tokenizer(
    model: bytes,
    kind: str,
    named: Mapping[str, AddedToken],
    *,
    do_lower_case: bool = True,
    keep_accents: bool = False,
    add_prefix_space: bool = True,
    source: str = "the SentencePiece model",
) -> tokenizers.Tokenizer:
    """Build what the class `kind` of Hugging Face makes of a SentencePiece model, special tokens in the text included.

    `named` are the special tokens that its directory names, by key, such as `mask_token`. The case and the accents
    concern AlbertTokenizer alone; `add_prefix_space` puts "▁" before every word. There is no post-processor yet.

    Raises: TextError for a model that is damaged, ConfigError for one that the class does not compute.
    """
    try:
        content = read_sentencepiece(model)
        if content.charsmap:
            check_charsmap(content.charsmap)
    except ValueError as error:
        raise TextError(f"{source} was read as a SentencePiece model; found {error}; fetch the file again") from error
    if NO_UNIGRAM in content.faults:
        raise ConfigError(
            f"{source} must be a Unigram, as {kind} takes it; found {NO_UNIGRAM}; load its tokenizer.json instead"
        )
    rules, special = ID_RULES[kind], special_tokens(kind, named)
    scored = _scored(content, rules, special)
    unknown = _unknown(scored, special["unk_token"].content, source)
    try:
        fast = tokenizers.Tokenizer(models.Unigram(scored, unknown, False))
        fast.normalizer = _normalizer(content, rules, do_lower_case=do_lower_case, keep_accents=keep_accents)
    except Exception as error:  # the library raises no narrower class
        raise TextError(f"{source} was read as a SentencePiece model; found {error}; fetch the file again") from error
    scheme = "always" if add_prefix_space else "never"
    fast.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme=scheme)]
    )
    fast.decoder = decoders.Metaspace(replacement=SPACE, prepend_scheme=scheme)
    found = [
        AddedToken(piece.text, normalized=False, special=piece.kind == CONTROL)
        for piece in content.pieces
        if piece.kind in (CONTROL, USER_DEFINED)
    ]
    by_text = {token.content: token for token in (*found, *special.values())}
    index = {piece: id for id, (piece, _) in enumerate(scored)}
    fast.add_tokens(sorted(by_text.values(), key=lambda token: index.get(token.content, len(index))))
    return fast


def _scored(content: SentencePieceModel, rules: IdRules, special: Mapping[str, AddedToken]) -> list[tuple[str, float]]:
    """Return the pieces in the order of their ids, with their scores."""
    before, after = (
        [(special[name].content, 0.0) if name in special else (name, NEVER if "unk" in name else 0.0) for name in names]
        for names in (rules.before, rules.after)
    )
    return [*before, *((piece.text, piece.score) for piece in content.pieces[rules.skipped :]), *after]


def _unknown(scored: list[tuple[str, float]], token: str, source: str) -> int:
    """Return the id of the unknown token, of which the model makes use. Raises: TextError where there is none."""
    for id, (piece, _) in enumerate(scored):
        if piece == token:
            return id
    raise TextError(
        f"{source} must hold the unknown token; of its {len(scored)} pieces none is {token!r}; name the right one in "
        "tokenizer_config.json"
    )


def _normalizer(
    content: SentencePieceModel, rules: IdRules, *, do_lower_case: bool, keep_accents: bool
) -> normalizers.Normalizer:
    steps: list[normalizers.Normalizer] = []
    if rules.simplifies:
        steps += [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]
        steps += [] if keep_accents else [normalizers.NFKD(), normalizers.StripAccents()]
        steps += [normalizers.Lowercase()] if do_lower_case else []
    steps += [normalizers.Precompiled(content.charsmap)] if content.charsmap else []
    return normalizers.Sequence(steps)
