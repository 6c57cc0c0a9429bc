"""Is an exported graph the module it was made of? Its runtime runs it in a fresh process; float64 is the judge."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wellread.backends.backend import load_backend
from wellread.checkpoints.checkpoint import Checkpoint
from wellread.encoder.heads import LOGITS_OUTPUT, MLM_INPUT, MLM_OUTPUT, POOLING_MASK
from wellread.errors import ExportError
from wellread.export.graph_names import (
    ANSWER,
    BATCH,
    IDS,
    INPUT_NAMES,
    OUTPUT_NAMES,
    TEXT,
    TOKENS,
    output_names,
    shapes_out,
)
from wellread.export.parity import HOSTILE, TIMEOUT, TOLERANCE, all_texts, difference, trial_batches
from wellread.text.batch import Template
from wellread.text.tokenizer import Tokenizer

Array = NDArray[Any]
Batch = dict[str, Array]
Given = Mapping[str, Any]  # arrays, and under TEXT a list of texts
# OpenVINO's kernels for weights that are widened as they multiply came within 2e-5 on 256 random ids
TOLERANCES = {"onnxruntime": TOLERANCE, "openvino": 5e-5}


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphParity:
    """How near the exported graph is to float64."""

    batches: int
    outputs: int  # arrays compared
    largest_difference: float  # over max(1, the largest number of the reference array)


def check_graph(
    checkpoint: Checkpoint,
    tokenizer: Tokenizer,
    path: Path,
    *,
    runtime: str,
    metadata: Mapping[str, str],
    template: Template | None = None,
) -> GraphParity:
    """Run a graph in a fresh process, on real texts and random ids, and compare all that it gives with `checkpoint`.

    Batches differ in rows and in tokens; one is as long as can be, one has a row without tokens. A graph that takes
    texts, whose rows have a `template`, gets texts.

    Raises: ExportError that says what differs, and by how much.
    """
    if template is None:
        batches = graph_batches(checkpoint, tokenizer)
        named: list[Given] = [{INPUT_NAMES[name]: array for name, array in batch.items()} for batch in batches]
    else:
        named = [{TEXT: texts} for texts in trial_texts()]
        length = checkpoint.sentence.max_seq_length
        batches = [
            dict(template.pack([tokenizer.tokenize(texts)], seq_length=length, pad_to_longest=True))
            for texts in trial_texts()
        ]
    ran = run_apart(path, named, runtime=runtime)
    return compare_graph(
        checkpoint,
        batches,
        ran.outputs,
        ran.report,
        metadata=metadata,
        tolerance=TOLERANCES[runtime],
        of_text=template is not None,
    )


def trial_texts() -> list[list[str]]:
    """Return texts of both languages, hostile ones of many lengths together, a text alone, and one without a token."""
    lines = all_texts()
    return [lines[:3] + lines[10_000:10_003], [*HOSTILE[:8], HOSTILE[-2]], lines[:1], [""]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ran:
    """What a runtime made of batches, in a process of its own."""

    outputs: Mapping[str, Array]  # number of the batch / name of the output
    report: Mapping[str, Any]  # what the graph takes, gives and says of itself, and the runtime's version


def run_apart(path: Path, batches: Sequence[Given], *, runtime: str, outputs: Sequence[str] | None = None) -> Ran:
    """Run batches, under the graph's names, in a fresh process that knows the runtime alone.

    Some `outputs` are kept, or all. A batch may hold more than the graph takes.

    Raises: ExportError.
    """
    with tempfile.TemporaryDirectory(prefix="wellread.") as temporary:
        directory = Path(temporary)
        request = {"runtime": runtime, "graph": str(path), "outputs": outputs}
        (directory / "request.json").write_text(json.dumps(request), "utf-8")
        inputs = {
            f"{i}/{name}": np.frombuffer(json.dumps(array).encode("utf-8"), np.uint8) if name == TEXT else array
            for i, batch in enumerate(batches)
            for name, array in batch.items()
        }
        np.savez(directory / "batches.npz", allow_pickle=False, **inputs)
        _consume(directory, runtime)
        report = json.loads((directory / "report.json").read_text("utf-8"))
        with np.load(directory / "outputs.npz", allow_pickle=False) as arrays:
            return Ran(outputs=dict(arrays), report=report)


def graph_batches(checkpoint: Checkpoint, tokenizer: Tokenizer) -> list[Batch]:
    """Make what the graph is tried on: `trial_batches`, and where a prompt is not pooled, a mask of its own."""
    names = [name for name in INPUT_NAMES if name != POOLING_MASK]  # logits of pieces stand at every position
    batches = [
        {name: array for name, array in batch.items() if name in names}
        for batch in trial_batches(checkpoint, tokenizer, all_texts())
    ]
    if checkpoint.sentence.include_prompt:
        return batches
    # as if each text had a prompt of two tokens
    masks = (batch["input_mask"] * (np.arange(batch["input_mask"].shape[1]) >= 2) for batch in batches)
    return [{**batch, POOLING_MASK: mask.astype(np.int32)} for batch, mask in zip(batches, masks, strict=True)]


def compare_graph(
    checkpoint: Checkpoint,
    batches: list[Batch],
    outputs: Mapping[str, Array],
    report: Mapping[str, Any],
    *,
    metadata: Mapping[str, str],
    tolerance: float = TOLERANCE,
    of_text: bool = False,
) -> GraphParity:
    """Compare what a graph gave and says of itself with what it must. Raises: ExportError that lists the faults."""
    differences = {}
    for index, batch in enumerate(batches):
        for name, array in reference_outputs(checkpoint, batch).items():
            key = f"{index}/{name}"
            differences[key] = difference(outputs.get(key), array)
        for name, ours in zip(IDS, ("input_word_ids", "input_mask"), strict=True) if of_text else ():
            key = f"{index}/{name}"
            differences[key] = 0.0 if np.array_equal(outputs.get(key, ()), batch[ours]) else float("inf")
    faults = [f"{name} differs by {by:.3g}" for name, by in differences.items() if not by <= tolerance]
    faults += [f"{name} is surplus" for name in sorted(outputs.keys() - differences.keys())]
    faults += [
        f"the axes of {name} are {found[1:]}, and the first two must be of any length"
        for name, found in report["inputs"].items()
        if found[1:] != ([BATCH] if name == TEXT else [BATCH, TOKENS])
    ]
    shapes = {name: found[1:] for name, found in report["outputs"].items()}
    wanted = shapes_out(checkpoint, of_text=of_text)
    faults += [] if shapes == wanted else [f"its outputs are {shapes}, not {wanted}"]
    faults += [
        f"its metadata say {key}={report['metadata'].get(key)!r}, not {value!r}"
        for key, value in metadata.items()
        if report["metadata"].get(key) != value
    ]
    if faults:
        raise ExportError(
            f"the exported graph must agree with the module within {tolerance:g} of its largest numbers; found that "
            f"{'; '.join(faults[:8])}{f' and {len(faults) - 8} more' if len(faults) > 8 else ''}; nothing was kept"
        )
    return GraphParity(batches=len(batches), outputs=len(differences), largest_difference=max(differences.values()))


def reference_outputs(checkpoint: Checkpoint, batch: Batch) -> dict[str, Array]:
    """Return in float64 what the graph gives of a batch, under the graph's names."""
    names = output_names(checkpoint)
    if MLM_OUTPUT in names:
        rows, tokens = batch["input_word_ids"].shape
        batch = {**batch, MLM_INPUT: np.broadcast_to(np.arange(tokens, dtype=np.int32), (rows, tokens))}
    values: dict[str, Any] = dict(load_backend("numpy", checkpoint).run(batch, names))
    named = {OUTPUT_NAMES[name]: value for name, value in values.items()}
    if ANSWER[0] in shapes_out(checkpoint):
        logits = named.pop(OUTPUT_NAMES[LOGITS_OUTPUT])
        named |= {name: logits[..., i] for i, name in enumerate(ANSWER)}
    return named


def rows_of(outputs: Mapping[str, Array], batch: int) -> list[list[int]]:
    """Return the ids of a batch's texts, without padding, out of what a graph gave."""
    ids, mask = (outputs[f"{batch}/{name}"] for name in IDS)
    return [row[kept > 0].tolist() for row, kept in zip(ids, mask, strict=True)]


def _consume(directory: Path, runtime: str) -> None:
    """Run the consumer; the last line of its stderr says what went wrong."""
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-W", "ignore", "-m", "wellread.export.graph_consumer", str(directory)]
    try:
        process = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        raise ExportError(
            f"the graph was to be run with {runtime}; its process took over {TIMEOUT:g} s; ask of fewer texts"
        ) from None
    if process.returncode:
        last = process.stderr.strip().splitlines()[-1:] or [""]
        raise ExportError(
            f"the graph was to be loaded with {runtime}; its process ended with code {process.returncode}: {last[0]}; "
            f"try another --opset, or another release of {runtime}"
        )
