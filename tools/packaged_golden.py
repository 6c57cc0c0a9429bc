"""Write tests/data/packaged/NAME.json: what a module that ships with wellread answers, in float64, for a dozen texts.

python tools/packaged_golden.py default-ko       (or a directory before it is packaged: default-ko=path/to/directory)
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

import wellread
from wellread.module import Module

PLACE = Path(__file__).parent.parent / "tests" / "data" / "packaged"
TEXTS = {
    "en": ["A man is playing a guitar.", "Someone plays an instrument.", "The sky is blue.", "Is it raining?", "", "a"],
    "ko": [
        "정말 재미있게 봤습니다.",
        "돈이 아까운 영화",
        "오늘 날씨가 좋네요.",
        "기차는 몇 시에 떠나나요?",
        "ㅋㅋㅋㅋ",
        "x" * 300,
    ],
}
# largest difference of a number of a vector of length 1, or of a probability, in each precision
BOUNDS = {"f64": 2e-6, "f32": 1e-5, "int8": 0.02, "bf16": 0.02}


def golden(module: Module, texts: list[str] | None = None) -> dict[str, Any]:
    """Return texts, vectors [N, E] of length 1, labels with their probabilities where there is a head, and bounds."""
    texts = texts or [text for of_language in TEXTS.values() for text in of_language]
    exact = {"precision": "f64", "show_progress_bar": False}
    vectors = module.encode(texts, normalize_embeddings=True, **exact)
    answers = {"texts": texts, "vectors": np.round(vectors.astype(np.float64), 6).tolist(), "bounds": BOUNDS}
    head = module.checkpoint.head
    if head is not None and head.outputs and head.task == "classify":
        predictions = module.predict(texts, **exact)
        answers["labels"] = [each.label for each in predictions]
        answers["scores"] = [round(each.score, 7) for each in predictions]
    return answers


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        name, _, directory = argument.partition("=")
        PLACE.mkdir(parents=True, exist_ok=True)
        module = wellread.load(directory or name, backend="numpy")
        text = json.dumps(golden(module), ensure_ascii=False).replace("[[", "[\n[").replace("], [", "],\n[")
        (PLACE / f"{name}.json").write_text(text + "\n", "utf-8")
