"""Texts to check a preprocessor with: real lines, and what breaks careless code."""

from __future__ import annotations

import gzip
from pathlib import Path

LANGUAGES = ("en", "ko")
HOSTILE = (
    "",
    " ",
    "\t\r\n \u00a0\u3000",
    "\0",
    "a\0b\x01c\x7fd\x97e",
    "[CLS] [SEP] [MASK] [PAD] [UNK] ##ing [unused1]",
    "...., ??!! ---- ====",
    "İstanbul ΟΔΥΣΣΕΥΣ Straße ǅ ﷺ ｱﾞ ㌔ ™ ½ ² ﬁ …",
    "e\u0323\u0301 é \u0301x Å \u212b",
    "a\u200bb\u200cc\u200dd\u00ade\ufefff\ufffdg",
    "👩‍👩‍👧‍👦 🇰🇷 👍🏽 🤷🏽‍♀️",
    "שלום עולם \u202eabc\u202c مرحبا ١٢٣",
    "漢字かな交じり文 カタカナ ㈱ ①",
    "한국어 모델을 공유합니다.",
    "\u1112\u1161\u11ab\u1100\u116e\u11a8\u110b\u1165",  # Hangul, decomposed
    "ㅋㅋㅋㅋ ㅠㅠ ㅎㅎ ᄒᆞᆫ글",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𐍈 \U000e0041 \ue000",
    "x" * 100 + " " + "x" * 101 + " " + "é" * 50 + " " + "é" * 51,
    "word " * 2000,
    "y" * 20_000,
)


def read_lines(language: str) -> list[str]:
    """Return the 10,000 lines of a language; `texts/README.md` says where they come from."""
    path = Path(__file__).parent / "texts" / f"{language}.txt.gz"
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
        return file.read().split("\n")


def all_texts() -> list[str]:
    """Return the lines of every language, then the hostile strings.

    >>> len(all_texts()) >= 20_000
    True
    """
    return [line for language in LANGUAGES for line in read_lines(language)] + list(HOSTILE)
