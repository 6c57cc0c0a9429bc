"""Film reviews with the labels that several classifiers together give them, and those with labels of their own.

    python proofs/nsmc_soft_labels.py DATA MODULE COUNT OUT

DATA holds nsmc/; MODULE is a classifier of its reviews. It and three FastTexts, which see letters in three ways, are
asked about COUNT reviews of unlabeled.txt.gz; the mean of their logits, in which the module counts as much as the three
together, is a soft label. OUT gets a JSON object a review, in a drawn order: these, and all of train.tsv. What each of
the four says is kept beside OUT, so that a run that was cut short asks only those that have not answered.
"""

from __future__ import annotations

import gzip
import json
import sys
import tempfile
import unicodedata
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import fasttext
import numpy as np

import wellread
from wellread.data.examples import Examples
from wellread.files import whole_file

LEAST = 1e-4  # FastText's probabilities are cut to [LEAST, 1 - LEAST], so that its logits are finite


def syllables(text: str) -> str:
    """Leave syllables whole: n-grams are of syllables."""
    return " ".join(text.split())


def letters(text: str) -> str:
    """Take syllables apart: n-grams are of the letters of Hangul."""
    return syllables(unicodedata.normalize("NFD", text))


def letters_across_words(text: str) -> str:
    """Take syllables apart, and let n-grams reach across words, for reviews space words as they like."""
    return letters(text).replace(" ", "_")


VIEWS: list[tuple[Callable[[str], str], dict[str, int]]] = [
    (syllables, {"minn": 2, "maxn": 5, "wordNgrams": 2}),
    (letters, {"minn": 3, "maxn": 9, "wordNgrams": 2}),
    (letters_across_words, {"minn": 3, "maxn": 9, "wordNgrams": 1}),
]


def fasttext_logits(train: Examples, texts: Sequence[str], view: Callable[[str], str], **options: int) -> np.ndarray:
    """Train a FastText on one view of the reviews, and return its logit of label 1 for each of N texts [N]."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "train.txt"
        rows = zip(train.texts, train.labels or [], strict=True)
        file.write_text("".join(f"__label__{label} {view(text)}\n" for text, label in rows), "utf-8")
        model = fasttext.train_supervised(str(file), dim=16, epoch=5, lr=0.1, thread=1, verbose=0, **options)
    likely = (dict(map(reversed, model.f.predict(view(text) + "\n", 2, 0.0, "strict"))) for text in texts)
    shares = np.clip([float(row.get("__label__1", 0.0)) for row in likely], LEAST, 1 - LEAST)
    return np.log(shares / (1 - shares))


def module_logits(module: wellread.Module, texts: Sequence[str]) -> np.ndarray:
    """Return a module's logit of label 1 for each of N texts [N]."""
    shares = np.clip([row.scores["1"] for row in module.predict(texts)], LEAST, 1 - LEAST)
    return np.log(shares / (1 - shares))


def kept(file: Path, answer: Callable[[], np.ndarray]) -> np.ndarray:
    """Return what is kept in a file; where it is not there, ask for it and keep it."""
    if not file.exists():
        with whole_file(file) as opened:
            np.save(opened, answer())
    return np.load(file)


def main(data: Path, module: str, count: int, out: Path) -> None:
    """Write the reviews; say how good the classifiers are together on dev.tsv, which none of them learns from."""
    train, dev = (wellread.read_examples(data / "nsmc" / name, format="nsmc") for name in ("train.tsv", "dev.tsv"))
    rng = np.random.default_rng(0)
    with gzip.open(data / "nsmc" / "unlabeled.txt.gz", "rt", encoding="utf-8") as file:
        reviews = sorted({text for line in file if len(text := line.strip()) > 1} - {*train.texts})
    reviews = [reviews[row] for row in rng.choice(len(reviews), min(count, len(reviews)), replace=False)]
    texts = [*dev.texts, *reviews]
    answers = {
        view.__name__: kept(
            out.with_name(f"{out.name}.{view.__name__}.npy"),
            partial(fasttext_logits, train, texts, view, **options),
        )
        for view, options in VIEWS
    }
    answers["module"] = kept(
        out.with_name(f"{out.name}.module.npy"), lambda: module_logits(wellread.load(module), texts)
    )
    views = [answers[view.__name__] for view, _ in VIEWS]
    logits = (answers["module"] + np.mean(views, axis=0)) / 2
    for name, each in [*answers.items(), ("together", logits)]:
        right = (each[: len(dev)] > 0) == (np.array(dev.labels) == "1")
        print(f"{name}: {100 * right.mean():.2f} % of dev.tsv")
    shares = 1 / (1 + np.exp(-logits[len(dev) :]))
    rows = [{"document": text, "label": label} for text, label in zip(train.texts, train.labels or [], strict=True)]
    rows += [
        {"document": text, "label": {"0": round(1 - share, 4), "1": round(share, 4)}}
        for text, share in zip(reviews, shares.tolist(), strict=True)
    ]
    with whole_file(out) as file:
        file.writelines(
            (json.dumps(rows[row], ensure_ascii=False) + "\n").encode() for row in rng.permutation(len(rows))
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
