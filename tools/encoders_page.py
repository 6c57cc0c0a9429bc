"""Write docs/encoders.md: the encoders that people use most, and whether wellread reads them.

python tools/encoders_page.py
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "tests"))

from encoder_rows import DATA, ROWS, published  # noqa: E402

PAGE = ROOT / "docs" / "encoders.md"
HEAD = """# Encoders

Written from `tests/data/encoders.toml` by `python tools/encoders_page.py`; a test holds the two together.

These are {total} encoders of the BERT family that people use most; wellread reads {read} of them and refuses {refused}
by name. The data hold the published configuration of each, the layout of its directory and the kind of its tokenizer;
where no source stands in the data, they were written down from memory.

`tests/parity/test_encoders.py` makes each of them with few layers, few pieces and drawn weights. It compares vectors
with sentence-transformers, scores with its `CrossEncoder`, and hidden states with transformers, within 1e-5 of the
largest value; of a refused encoder it reads the error.

A shape is layers x width, then heads; `pieces` is the size of the word table. "states" stands for a repository of
transformers: its sentence vector is the mean of the tokens, unless a model card says otherwise.
"""
KINDS = {
    "wordpiece": "WordPiece",
    "mpnet": "WordPiece, MPNet's special tokens",
    "bpe": "byte-level BPE",
    "xlm-roberta": "SentencePiece, XLM-R's ids",
    "camembert": "SentencePiece, CamemBERT's ids",
    "albert": "SentencePiece, ALBERT's rules",
    "kobert": "KoBertTokenizer",
    "kobert-v1": "KoBERTTokenizer",
}
POOLINGS = {"cls": "position 0", "mean": "mean", "max": "maximum"}


def page() -> str:
    """Return the whole page."""
    refused = sum("refused" in row for row in ROWS.values())
    head = HEAD.format(total=len(ROWS), read=len(ROWS) - refused, refused=refused)
    uses = dict.fromkeys(row["use"] for row in ROWS.values())
    return "\n".join([head, *(line for use in uses for line in _table(use))])


def _table(use: str) -> Iterator[str]:
    yield f"## {use}"
    yield ""
    yield "| encoder | family | shape | pieces | tokenizer | gives | read |"
    yield "|---|---|---|--:|---|---|---|"
    for name, row in ROWS.items():
        if row["use"] == use:
            config = published(row)
            cells = [f"`{name}`", config.get("model_type", "bert")]
            if "refused" in row:
                yield f"| {' | '.join(cells)} | | | | | no: {row['refused']} |"
                continue
            layers, width, heads, _ = row["shape"]
            cells += [f"{layers} x {width}, {heads}", f"{config['vocab_size']:,}", _tokenizer(row), _gives(row)]
            yield f"| {' | '.join(cells)} | yes |"
    yield ""


def _tokenizer(row: Mapping[str, Any]) -> str:
    tokenizer = DATA["tokenizers"][row["tokenizer"]]
    return KINDS[tokenizer["kind"]] + (", lower-cased" if tokenizer.get("lower") else "")


def _gives(row: Mapping[str, Any]) -> str:
    """Say what a row gives: a sentence vector, a score, or hidden states."""
    if "scores" in row:
        return "a score of a pair"
    if "sentence" not in row:
        return "states"
    sentence = row["sentence"]
    steps = [POOLINGS[sentence["pooling"]], *(f"dense to {width}" for _, width in sentence.get("dense", ()))]
    return ", ".join([*steps, *(["length 1"] if sentence.get("normalize") else [])])


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
