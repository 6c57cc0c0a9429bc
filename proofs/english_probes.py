"""What an English sentence encoder is good for beside STS-B: questions that find their sentence, and linear probes.

python proofs/english_probes.py DATA MODULE...

DATA holds qnli/dev.tsv (GLUE's), english/sentence_polarity.tsv and english/subjectivity.tsv (of NLTK).
Nothing is learned but the probes, a logistic regression on four fifths of the rows, five times.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

import wellread


def rows(path: Path) -> list[dict[str, str]]:
    """Read a table with tabs between its columns."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def reciprocal_rank(module: wellread.Module, pairs: list[dict[str, str]]) -> float:
    """Return the mean reciprocal rank of the sentence that answers a question, among those of all questions."""
    answered = [pair for pair in pairs if pair["label"] == "entailment"]
    questions, sentences = (module.encode([pair[column] for pair in answered]) for column in ("question", "sentence"))
    scores = questions @ sentences.T
    own = np.array([pair["sentence"] for pair in answered])
    own_scores = scores.diagonal()[:, None]
    better = (scores > own_scores) & (own[:, None] != own[None, :])  # some sentences answer several questions
    return float((1 / (1 + better.sum(1))).mean())


def probe(module: wellread.Module, table: list[dict[str, str]]) -> float:
    """Return the accuracy of a linear classifier on sentence vectors, the mean of five parts."""
    vectors = module.encode([row["text"] for row in table])
    labels = [row["class"] for row in table]
    return float(cross_val_score(LogisticRegression(max_iter=1_000), vectors, labels, cv=5).mean())


def main(data: Path, names: list[str]) -> None:
    """Print a line for each module."""
    questions = rows(data / "qnli" / "dev.tsv")
    tables = {name: rows(data / "english" / f"{name}.tsv") for name in ("sentence_polarity", "subjectivity")}
    for name in names:
        module = wellread.load(name)
        scores = {"QNLI reciprocal rank": reciprocal_rank(module, questions)}
        scores |= {task: probe(module, table) for task, table in tables.items()}
        print(name, *(f"{label} {score:.3f}" for label, score in scores.items()), sep="  ", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
