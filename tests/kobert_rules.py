"""The text rules of KoBertTokenizer and KoBERTTokenizer, written once more in the plainest way."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

import sentencepiece

SPECIAL = ["[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]"]
TEXTS = [
    "  한국어\t모델을 \n 공유합니다. ",
    "``quoted'' and 'single' `tick`",
    "café, ガ, Å, ﬁ, ½, a\u0301\u0323",
    "[CLS]감사합니다.[SEP] [MASK] x[PAD]",
    "1,000원 2019, 12, 3,",
    "\u00b4\u1fef\u037e\u3000",
]


def simplified(text: str, lower_case: bool) -> str:
    text = " ".join(text.strip().split())
    text = text.replace("``", '"').replace("''", '"')
    text = "".join(
        character for character in unicodedata.normalize("NFKD", text) if not unicodedata.combining(character)
    )
    return text.lower() if lower_case else text


def plain_pieces(processor: sentencepiece.SentencePieceProcessor, text: str, lower_case: bool = False) -> Iterator[str]:
    """Tokenize one text, a piece at a time."""
    for part in re.split(r"(\[(?:UNK|PAD|CLS|SEP|MASK)\])", text):
        if part in SPECIAL:
            yield part
            continue
        for piece in processor.encode(simplified(part, lower_case), return_type=str):
            if len(piece) < 2 or piece[-1] != "," or not piece[-2].isdigit():
                yield piece
                continue
            first, *others = processor.encode(piece[:-1].replace("▁", ""), return_type=str)
            first = first if piece[0] == "▁" else first.lstrip("▁")
            yield from [first, *others, ","] if first else [*others, ","]
