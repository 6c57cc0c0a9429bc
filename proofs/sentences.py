"""Draw the texts that the packaged sentence encoders are distilled on.

python proofs/sentences.py DATA LANGUAGE OUTPUT, such as: data en texts.txt

DATA holds `sentences/` and, for Korean, the folders that `SOURCES` names. Of a file all lines are taken, or so many at
most as `AT_MOST` says; a line comes once, and not if it stands in `HELD_OUT`.
"""

from __future__ import annotations

import csv
import gzip
import random
import re
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

# Files that repeat themselves, or whose lines are long or fragments.
AT_MOST = {
    "sentences/en_audiocaps.txt.gz": 40_000,
    "sentences/en_common_voice.txt.gz": 30_000,
    "sentences/en_dialogue_persona.txt.gz": 25_000,
    "sentences/en_dialogue_sgd.txt.gz": 20_000,
    "sentences/en_dialogue_star.txt.gz": 30_000,
    "sentences/en_tatoeba.txt.gz": 40_000,
    "sentences/en_trivia_questions.txt.gz": 20_000,
    "sentences/en_wiki_split.txt.gz": 35_000,
    "sentences/en_wordnet_definitions.txt.gz": 20_000,
    "sentences/en_wordnet_examples.txt.gz": 20_000,
    "nsmc/unlabeled.txt.gz": 60_000,
    "ko_3i4k/fci_train_val.txt": 30_000,
    "korean/tensorflow_docs_ko.txt": 10_000,
}
# Of tables: what parts the columns, and the columns of texts, counted from 0; other files have a text a line.
HEADED = {"chatbot_ko/ChatbotData.csv", "kornlu/sts-train.tsv", "kornlu/sts-dev.tsv"}
COLUMNS: dict[str, tuple[str, tuple[int, ...]]] = {
    "chatbot_ko/ChatbotData.csv": (",", (0, 1)),
    "ko_3i4k/fci_train_val.txt": ("\t", (1,)),
    "ko_paraKQC/paraKQC_v1.txt": ("\t", (2,)),
    "kornlu/sts-train.tsv": ("\t", (5, 6)),
    "kornlu/sts-dev.tsv": ("\t", (5, 6)),
    "stsb/sts-dev.csv": ("\t", (5, 6)),
}
SOURCES = {
    "en": ["sentences/en_*.txt.gz"],
    "ko": [
        "sentences/ko_*.txt.gz",
        "chatbot_ko/ChatbotData.csv",
        "ko_3i4k/fci_train_val.txt",
        "ko_paraKQC/paraKQC_v1.txt",
        "ko_hate_speech/unlabeled_comments_5.txt",
        "korean/*.txt",
        "kornlu/sts-train.tsv",
        "nsmc/unlabeled.txt.gz",
    ],
}
HELD_OUT = {"en": ["stsb/sts-dev.csv"], "ko": ["kornlu/sts-dev.tsv"]}


def main(data: str, language: str, output: str) -> None:
    """Write the texts drawn, in a random order that is always the same."""
    root, draw = Path(data), random.Random(0)
    held_out = {key(text) for name in HELD_OUT[language] for text in texts_of(root, name)}
    drawn: dict[str, str] = {}
    for pattern in SOURCES[language]:
        for path in sorted(root.glob(pattern)):
            name = path.relative_to(root).as_posix()
            texts = [text for text in texts_of(root, name) if text and key(text) not in held_out]
            for text in draw.sample(texts, min(AT_MOST.get(name, len(texts)), len(texts))):
                drawn.setdefault(key(text), text)
    lines = list(drawn.values())
    draw.shuffle(lines)
    partial = Path(f"{output}.partial")  # a run that is killed leaves no half under the name
    partial.write_text("\n".join(lines) + "\n", encoding="utf-8")
    partial.replace(output)
    print(f"{len(lines):,} texts in {output}")


def texts_of(root: Path, name: str) -> Iterator[str]:
    """Yield the texts of a file, without its header where it is a table with one."""
    path = root / name
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        if name not in COLUMNS:
            yield from (line.strip() for line in file)
            return
        delimiter, columns = COLUMNS[name]
        quoting = csv.QUOTE_MINIMAL if delimiter == "," else csv.QUOTE_NONE
        rows = csv.reader(file, delimiter=delimiter, quoting=quoting)
        for row in islice(rows, 1 if name in HEADED else 0, None):
            yield from (row[column].strip() for column in columns if column < len(row))


def key(text: str) -> str:
    """Return a text without case and punctuation."""
    return re.sub(r"\W+", " ", text.lower()).strip()


if __name__ == "__main__":
    main(*sys.argv[1:])
