"""Is an exported artefact the module it was made of? It is loaded by its real consumer and compared with float64."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import wellread
from wellread.errors import ExportError
from wellread.export.encoder_parity import Array, EncoderParity, compare_encoder, trial_batches
from wellread.export.preprocessor_parity import EVERY, PreprocessorParity, compare_preprocessor
from wellread.export.samples import all_texts
from wellread.text.tokenizer import Tokenizer
from wellread.weights.checkpoint import Checkpoint

NO_TIME = 1800  # seconds: a consumer that takes longer hangs


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written, and how it was found to agree."""

    encoder: EncoderParity
    preprocessor: PreprocessorParity | None = None
    notes: tuple[str, ...] = ()


def check_export(
    checkpoint: Checkpoint, tokenizer: Tokenizer, *, encoder: Path, preprocessor: Path | None = None
) -> Exported:
    """Load SavedModels with tensorflow-hub in a fresh process and compare them with `checkpoint` and `tokenizer`.

    The encoder on random and real batches, against the NumPy backend; by its call, its signatures, its `.mlm`; one
    training step must lower a loss. The preprocessor on 20,000 English and Korean lines and hostile strings.

    Raises: ExportError that says what differs, and by how much.
    """
    texts = all_texts()
    batches = trial_batches(checkpoint, tokenizer, texts)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        request = {"encoder": str(encoder), "preprocessor": str(preprocessor) if preprocessor else None, "every": EVERY}
        (place / "request.json").write_text(json.dumps(request), "utf-8")
        (place / "texts.json").write_text(json.dumps(texts), "utf-8")
        named = {f"{i}/{name}": x for i, batch in enumerate(batches) for name, x in batch.items()}
        np.savez(place / "batches.npz", allow_pickle=False, **named)
        _consume(place)
        report = json.loads((place / "report.json").read_text("utf-8"))
        found = compare_encoder(checkpoint, batches, _load(place / "outputs.npz"), report)
        text = compare_preprocessor(tokenizer, texts, _load(place / "tokens.npz"), report) if preprocessor else None
    return Exported(encoder=found, preprocessor=text)


def _consume(place: Path) -> None:
    """Run the consumer; its last words tell what went wrong."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(wellread.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "",
    }
    command = [sys.executable, "-W", "ignore", "-m", "wellread.export.consumer", str(place)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=NO_TIME)
    if done.returncode:
        words = done.stderr.strip().splitlines()[-1:] or [""]
        raise ExportError(
            f"the SavedModel was to be loaded back with tensorflow-hub; its process ended with code {done.returncode}: "
            f"{words[0]}; check that the packages of wellread[tf] are of one release"
        )


def _load(path: Path) -> dict[str, Array]:
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)
