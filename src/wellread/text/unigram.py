"""The pieces of a SentencePiece model under the ids that one of Hugging Face's classes gives them.

Source: the converters of transformers 5, convert_slow_tokenizer.py.
"""

from __future__ import annotations

from collections.abc import Mapping

from tokenizers import AddedToken

from wellread.dataclass import dataclass
from wellread.errors import ConfigError, TextError
from wellread.formats.sentencepiece_model import CONTROL, NO_UNIGRAM, USER_DEFINED, check_charsmap, read_sentencepiece
from wellread.text.tokenizer_class import Pieces

NEVER = -100.0  # the score of a piece that is not to be found


@dataclass(frozen=True, slots=True, kw_only=True)
class IdRules:
    """How a class numbers the pieces of a model."""

    before: tuple[str, ...] = ()  # pieces with the first ids: the key of a special token, such as pad_token, or a piece
    skipped: int = 0  # pieces of the model whose place those take
    after: tuple[str, ...] = ()  # pieces with the last ids


# By the name of the class.
ID_RULES = {
    "XLMRobertaTokenizer": IdRules(
        before=("bos_token", "pad_token", "eos_token", "unk_token"), skipped=3, after=("mask_token",)
    ),
    "CamembertTokenizer": IdRules(
        before=("<s>NOTUSED", "pad_token", "</s>NOTUSED", "unk_token", "<unk>NOTUSED"),
        skipped=1,
        after=("mask_token",),
    ),
    "AlbertTokenizer": IdRules(),
}


def class_pieces(model: bytes, kind: str, special: Mapping[str, str | None], *, source: object) -> Pieces:
    """Number the pieces of a model as the class `kind`, of ID_RULES, does; `special` are its tokens by their keys.

    The control symbols of the model, and those that a user defined, are found whole in a text.

    Raises: TextError for a model that is damaged, ConfigError for one that the class does not compute.
    """
    try:
        content = read_sentencepiece(model)
        if content.charsmap:
            check_charsmap(content.charsmap)
    except ValueError as error:
        raise TextError(f"{source} was read as a SentencePiece model; found {error}; fetch the file again") from error
    if not content.pieces:
        raise TextError(
            f"{source} was read as a SentencePiece model; its {len(model)} bytes hold 0 pieces; fetch the file again"
        )
    if NO_UNIGRAM in content.faults:
        raise ConfigError(
            f"{source} must be a Unigram, as {kind} takes it; found {NO_UNIGRAM}; save the tokenizer with transformers "
            "as a tokenizer.json"
        )
    rules = ID_RULES[kind]
    before, after = ([_own(name, special) for name in names] for names in (rules.before, rules.after))
    scores = [*before, *((piece.text, piece.score) for piece in content.pieces[rules.skipped :]), *after]
    symbols = [
        AddedToken(piece.text, normalized=False, special=piece.kind == CONTROL)
        for piece in content.pieces
        if piece.kind in (CONTROL, USER_DEFINED)
    ]
    return Pieces(scores=scores, charsmap=content.charsmap, symbols=symbols)


def _own(name: str, special: Mapping[str, str | None]) -> tuple[str, float]:
    """Return a piece that a class has of its own, and its score."""
    return special.get(name) or name, NEVER if name == "<unk>NOTUSED" else 0.0
