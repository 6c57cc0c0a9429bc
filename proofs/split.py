"""Split a CoNLL file whose sentences are apart by an empty line: every fifth sentence is held out.

python proofs/split.py FILE TRAIN HELD_OUT
"""

from __future__ import annotations

import sys
from pathlib import Path


def main(file: str, train: str, held_out: str) -> None:
    """Write the two parts; comments before a sentence stay with it."""
    sentences = Path(file).read_text("utf-8").strip("\n").split("\n\n")
    parts = {train: [s for i, s in enumerate(sentences) if i % 5], held_out: sentences[::5]}
    for path, part in parts.items():
        Path(path).write_text("\n\n".join(part) + "\n", "utf-8")
        print(f"{len(part)} sentences in {path}")


if __name__ == "__main__":
    main(*sys.argv[1:])
