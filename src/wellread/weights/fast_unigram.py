"""A SentencePiece model as a Unigram of the tokenizers library, under our ids, with our text rules before it."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import asdict

import tokenizers
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers

from wellread.text.kobert import KoBertEngine
from wellread.text.sentencepiece import SPACE
from wellread.text.tokenizer import Tokenizer
from wellread.weights.code_points import code_points
from wellread.weights.sentencepiece_model import SentencePieceModel, read_sentencepiece

SYMBOL = 0.5  # score of a symbol: SentencePiece prefers it to nearly all else; with this we find it choose alike


def unigram(tokenizer: Tokenizer) -> tokenizers.Tokenizer | None:
    """Build the tokenizer of the `spm` and `kobert` dialects; None for a model that is no plain Unigram.

    Its ids are ours but where SentencePiece and the tokenizers library choose differently between segmentations of
    equal score.
    """
    model = read_sentencepiece(tokenizer.model_bytes())
    if model.faults:
        return None
    fast = tokenizers.Tokenizer(models.Unigram(_scores(tokenizer, model), tokenizer.special.unk, False))
    fast.normalizer = normalizers.Sequence([*_rules(tokenizer), *_normalization(model)])
    fast.pre_tokenizer = pre_tokenizers.Sequence(_cuts(tokenizer, model))
    fast.decoder = decoders.Metaspace(replacement=SPACE, prepend_scheme="always")
    return fast


def _scores(tokenizer: Tokenizer, model: SentencePieceModel) -> list[tuple[str, float]]:
    """Score the pieces of our vocabulary.

    What the model never finds in a text gets the lowest score there is: a higher one would be found, and from a lower
    one the library would derive another score of unknown characters. Special tokens are among that: they are found
    before the model sees a text.
    """
    symbols = set(model.symbols) - set(_special(tokenizer))
    known = {**model.normal, **dict.fromkeys(symbols, SYMBOL)}
    low = min(model.normal.values())
    return [(piece, known.get(piece, low)) for piece in tokenizer.vocabulary.pieces]


def _rules(tokenizer: Tokenizer) -> list[normalizers.Normalizer]:
    """Return the text rules of the `kobert` dialect; `spm` has none before its model."""
    if tokenizer.config.dialect != "kobert":
        return []
    space = code_points(str.isspace)
    rules: list[normalizers.Normalizer] = [
        normalizers.Replace(Regex(f"^[{space}]+|[{space}]+$"), ""),
        normalizers.Replace(Regex(f"[{space}]+"), " "),
        normalizers.Replace("``", '"'),
        normalizers.Replace("''", '"'),
        normalizers.NFKD(),
        normalizers.Replace(Regex(f"[{code_points(lambda c: unicodedata.combining(c) > 0)}]"), ""),
    ]
    return rules + ([normalizers.Lowercase()] if tokenizer.config.do_lower_case else [])


def _normalization(model: SentencePieceModel) -> list[normalizers.Normalizer]:
    """Return what the model does to a text: characters, spaces, the space before it."""
    # The library applies the map to characters as people see them; composed beforehand, they are those it is made for.
    steps: list[normalizers.Normalizer] = [normalizers.NFKC()] if model.nfkc else []
    steps += [normalizers.Precompiled(model.charsmap)] if model.charsmap else []
    if model.collapses_spaces:
        steps += [normalizers.Replace(Regex("^ +| +$"), ""), normalizers.Replace(Regex(" {2,}"), " ")]
    return steps + ([normalizers.Prepend(" ")] if model.dummy_prefix else [])


def _cuts(tokenizer: Tokenizer, model: SentencePieceModel) -> list[pre_tokenizers.PreTokenizer]:
    """Cut where no piece can lie: before spaces, in special tokens that are mere text, in numbers."""
    whole_words = not any(SPACE in piece[1:] for piece in tokenizer.vocabulary.pieces)
    metaspace = pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="never", split=whole_words)
    cuts: list[pre_tokenizers.PreTokenizer] = [metaspace]
    special = set(_special(tokenizer)) - {*model.symbols, *model.normal}
    hidden = [f"{re.escape(token[0])}(?={re.escape(token[1:])})" for token in sorted(special) if len(token) > 1]
    if hidden:
        cuts.append(pre_tokenizers.Split(Regex("|".join(hidden)), "merged_with_previous"))
    if isinstance(tokenizer.engine, KoBertEngine) and tokenizer.engine.numbers:
        cuts.append(pre_tokenizers.Split(Regex(r"(?<=\d),"), "isolated"))
    return cuts


def _special(tokenizer: Tokenizer) -> list[str]:
    return tokenizer.pieces(asdict(tokenizer.special).values())
