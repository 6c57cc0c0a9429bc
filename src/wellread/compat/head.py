"""The head of a film-review classifier, as the versions of DistilKoBERT's fine-tuning wrote it: tables and a reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wellread.config import EncoderConfig
from wellread.errors import WeightsError
from wellread.weights.checkpoint import Array
from wellread.weights.huggingface import read_weights
from wellread.weights.keys import read_json
from wellread.weights.names import mismatches

# The linear maps of each kind of head: name -> letters of its weight's shape (C classes, D hidden), its bias the first.
KINDS = (
    {"label_classifier.linear": "CD"},
    {"pre_classifier": "DD", "classifier": "CD"},
    {"classifier": "CD"},
)
CLASSES = 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Head:
    """What stands on the encoder."""

    arrays: Mapping[str, Array]  # weights and biases by the file's names
    dropout: float  # before the last map, while training


def read_head(directory: Path, config: EncoderConfig) -> Head:
    """Read the head of a classifier of two classes.

    Dropout is the encoder's, but in Hugging Face's head of two maps, which has its own. Raises: WeightsError for none,
    or one of other shapes.
    """
    names = {name for kind in KINDS for name in kind}
    stored = {key: tensor for key, tensor in read_weights(directory).items() if key.rpartition(".")[0] in names}
    sizes = {"C": CLASSES, "D": config.hidden_size}
    kind = next((kind for kind in KINDS if all(f"{name}.weight" in stored for name in kind)), KINDS[0])
    expected: dict[str, tuple[int, ...]] = {}
    for name, letters in kind.items():
        expected[f"{name}.weight"] = tuple(sizes[letter] for letter in letters)
        expected[f"{name}.bias"] = expected[f"{name}.weight"][:1]
    faults = mismatches(expected, stored)
    if faults:
        raise WeightsError(
            f"a classifier of {CLASSES} classes was asked of {directory}; found that {'; '.join(faults)}; pass the "
            f"directory of a fine-tuned model, with {' or '.join(' and '.join(kind) for kind in KINDS)}"
        )
    dropout = config.hidden_dropout_prob
    if "pre_classifier" in kind:
        dropout = read_json(directory / "config.json").get("seq_classif_dropout", 0.2)  # Hugging Face's default
    return Head(arrays={name: tensor.read() for name, tensor in stored.items()}, dropout=dropout)
