"""The text rules of TF Hub's preprocessors out of the normalizers and splits of the tokenizers library.

They are the tables of `text/unicode` again. Only what becomes of capital and compatibility characters is left to the
library, whose Unicode differs from the tables' in a few hundred rare characters.
"""

from __future__ import annotations

import tokenizers
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers

from wellread.text.tokenizer import Tokenizer
from wellread.text.words import MAX_BYTES, table
from wellread.weights.code_points import spans

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
    dropped = spans((run.first, run.last) for run in table("fold").runs if not run.target)
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
    return spans((run.first, run.last) for run in table("words").runs if run.target[0] == kind)
