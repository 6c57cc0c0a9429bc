"""`tokenizer.json`: our text rules as the tokenizers library runs them, so that other libraries get our ids.

They are the tables of `text/unicode` again. Only what becomes of capital and compatibility characters is left to the
library, whose Unicode differs from the tables' in a few hundred rare characters.
"""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors

from wellread.formats.sentencepiece_model import SentencePieceModel, read_sentencepiece
from wellread.text.batch import Part
from wellread.text.kobert import KoBertEngine
from wellread.text.sentencepiece import SPACE
from wellread.text.tokenizer import Tokenizer
from wellread.text.wordpiece import MAX_BYTES, HfEngine, decoder, table


def code_points(matches: Callable[[str], bool]) -> str:
    r"""Write the characters that match as the inside of a regular expression's brackets.

    >>> code_points(lambda character: character in "abcx")
    '\\x{61}-\\x{63}\\x{78}-\\x{78}'
    """
    codes = [code for code in range(sys.maxunicode + 1) if matches(chr(code))]
    breaks = [0, *(i for i in range(1, len(codes)) if codes[i] != codes[i - 1] + 1), len(codes)]
    return spans((codes[first], codes[behind - 1]) for first, behind in pairwise(breaks))


def spans(runs: Iterable[tuple[int, int]]) -> str:
    r"""Write runs of code points, each from its first to its last, as the inside of brackets.

    >>> spans([(0x41, 0x5A)])
    '\\x{41}-\\x{5a}'
    """
    return "".join(f"\\x{{{first:x}}}-\\x{{{last:x}}}" for first, last in runs)


MAX_WORD = 100  # characters; a longer word is unknown in every dialect
# A word of this many characters, each of at least so many bytes, is over MAX_BYTES.
OVER_LONG = {0x80: MAX_BYTES // 2 + 1, 0x800: MAX_BYTES // 3 + 1, 0x10000: MAX_BYTES // 4 + 1}


def wordpiece(tokenizer: Tokenizer) -> tokenizers.Tokenizer:
    """Build the tokenizer of the `tfhub` dialect, but for words that are over-long in a mixture of scripts."""
    config, vocabulary = tokenizer.config, tokenizer.vocabulary
    model = models.WordPiece(vocab=vocabulary.index, unk_token=config.unk_token, max_input_chars_per_word=MAX_WORD)
    fast = tokenizers.Tokenizer(model)
    fast.normalizer = normalizer(lower_case=config.do_lower_case)
    fast.pre_tokenizer = words()
    fast.decoder = decoders.WordPiece(prefix="##")
    return fast


def normalizer(*, lower_case: bool) -> normalizers.Normalizer:
    """Fold the case, perhaps; put spaces for what ends a word, and NUL, which is no piece, for an over-long one."""
    steps = _folding() if lower_case else []
    steps.append(normalizers.Replace(Regex(f"[{_kind('space')}]"), " "))
    return normalizers.Sequence([*steps, *(_hiding(first, count) for first, count in OVER_LONG.items())])


def words() -> pre_tokenizers.PreTokenizer:
    """Cut at spaces and around each character that is a word by itself."""
    alone = pre_tokenizers.Split(Regex(f"[{_kind('alone')}]"), "isolated")
    return pre_tokenizers.Sequence([pre_tokenizers.Split(" ", "removed"), alone])


def _folding() -> list[normalizers.Normalizer]:
    """Fold the case and drop marks: NFKC_Casefold, NFD and the removal of nonspacing marks, one after the other."""
    dropped = spans((run.first, run.last) for run in table("fold") if not run.target)
    lowered = [("\u0345", "ι"), ("ß", "ss"), ("ς", "σ")]  # where folding the case is more than lower-casing
    return [
        normalizers.NFKD(),
        normalizers.Lowercase(),
        *(normalizers.Replace(character, folded) for character, folded in lowered),
        normalizers.Replace(Regex(f"[{dropped}]"), ""),
    ]


def _hiding(first: int, count: int) -> normalizers.Normalizer:
    """Put NUL for each word that holds `count` characters from the code point `first` on."""
    ends = f"{_kind('alone')} "
    inside = f"[^{ends}]"
    wide, narrow = (f"[{spans([run])}&&{inside}]" for run in ((first, 0x10FFFF), (0, first - 1)))
    # Tried at the beginning of a word alone: a long one would take the square of its length.
    return normalizers.Replace(Regex(f"(?<!{inside})(?=(?:{narrow}*{wide}){{{count}}}){inside}+"), "\0")


def _kind(kind: str) -> str:
    """Write the characters of a kind, `space` or `alone`."""
    return spans((run.first, run.last) for run in table("words") if run.target[0] == kind)


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
    scores = {**model.normal, **dict.fromkeys(symbols, SYMBOL)}
    low = min(model.normal.values())
    return [(piece, scores.get(piece, low)) for piece in tokenizer.vocabulary.pieces]


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
    return tokenizer.pieces(tokenizer.special.ids)


NAME = "tokenizer.json"
MARKED = (
    "Special tokens written in a text count as such; in the {dialect} dialect they are mere text, as they are here "
    "with split_special_tokens=True."
)
TIES = (
    "Where two segmentations of a text have the same score, another may be chosen: in 0.22 % of 10,000 Korean lines, "
    "in none of 10,000 English ones."
)
ABSENT = (
    "There is no tokenizer.json, and transformers makes no tokenizer of this module: its SentencePiece model has "
    "{faults}, which the tokenizers library's Unigram does not know."
)
# dialect -> what a text becomes otherwise than with wellread; tests hold the numbers
DIFFERENCES: dict[str, list[str]] = {
    "hf": [],
    "fast": [],
    "tfhub": [
        MARKED.format(dialect="tfhub"),
        "Words of over 100 bytes in UTF-8 that mix characters of different widths, and some 400 rare characters, such "
        "as Cherokee capitals, may get other ids: none does in 10,000 English and 10,000 Korean lines.",
    ],
    "spm": [MARKED.format(dialect="spm"), TIES],
    "kobert": [
        TIES,
        'Where a SentencePiece model has pieces such as "1," (KoBERT\'s has none), the number before the comma may be '
        "cut otherwise.",
    ],
}


def text_differences(tokenizer: Tokenizer) -> list[str]:
    """Say, in sentences for a model card, where `tokenizer.json` gives other ids than wellread; often nothing.

    >>> import wellread
    >>> text_differences(wellread.load("default").tokenizer)
    []
    """
    sentencepiece = tokenizer.config.model_file is not None
    faults = read_sentencepiece(tokenizer.model_bytes()).faults if sentencepiece else ()
    return [ABSENT.format(faults=", ".join(faults))] if faults else list(DIFFERENCES[tokenizer.config.dialect])


def write_fast_tokenizer(directory: Path, tokenizer: Tokenizer) -> None:
    """Write `tokenizer.json`, the same bytes each time.

    A SentencePiece model that is no plain Unigram has none: nothing is written, and `text_differences` says so.
    """
    fast = fast_tokenizer(tokenizer)
    if fast is not None:
        fast.save(str(directory / NAME))


def fast_tokenizer(tokenizer: Tokenizer) -> tokenizers.Tokenizer | None:
    """Build the tokenizers library's form of a tokenizer, special tokens included; None where there is none."""
    fast = BUILDERS[tokenizer.config.dialect](tokenizer)
    if fast is None or tokenizer.config.dialect == "fast":
        return fast
    names, template = _special(tokenizer), tokenizer.template
    fast.add_special_tokens([AddedToken(name, normalized=False, special=True) for name in names])

    def row(parts: Sequence[Part]) -> str:
        segments = iter("AB")
        return " ".join(
            f"${next(segments)}:{type_id}" if id is None else f"{tokenizer.pieces([id])[0]}:{type_id}"
            for id, type_id in parts
        )

    ids = dict.fromkeys(id for id, _ in template.single + template.pair if id is not None)
    fast.post_processor = processors.TemplateProcessing(
        single=row(template.single),
        pair=row(template.pair),
        special_tokens=list(zip(tokenizer.pieces(ids), ids, strict=True)),
    )
    return fast


def _bert(tokenizer: Tokenizer) -> tokenizers.Tokenizer:
    """Copy Hugging Face's own implementation, which the `hf` dialect holds already."""
    assert isinstance(tokenizer.engine, HfEngine)
    fast = tokenizers.Tokenizer.from_str(tokenizer.engine.full.to_str())
    fast.decoder = decoder()
    return fast


def _library(tokenizer: Tokenizer) -> tokenizers.Tokenizer:
    """Return what the `fast` dialect holds already, special tokens and rows included."""
    engine: Any = tokenizer.engine
    library: tokenizers.Tokenizer = engine.library
    return library


BUILDERS = {"hf": _bert, "tfhub": wordpiece, "spm": unigram, "kobert": unigram, "fast": _library}


def tfhub_case(parts: Mapping[str, Any]) -> bool | None:
    """Say whether the rules of a `tokenizer.json` that we wrote for `tfhub` lower the case; None for any others."""
    rules = parts.get("normalizer")
    if not isinstance(rules, dict) or rules.get("type") != "Sequence":
        return None
    for lower_case in (True, False):
        ours = tokenizers.Tokenizer(models.WordPiece(vocab={}, unk_token=""))
        ours.normalizer, ours.pre_tokenizer = normalizer(lower_case=lower_case), words()
        content = json.loads(ours.to_str())
        if all(parts.get(part) == content[part] for part in ("normalizer", "pre_tokenizer")):
            return lower_case
    return None
