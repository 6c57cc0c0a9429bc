"""What wellread aims at on CPUs of three classes, and what comes out on the one at hand: one command, one table."""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.encode import EncodeResult, run_encode
from benchmarks.growth import SIZES, GrowthResult, run_growth
from benchmarks.harness import evenly
from benchmarks.machine import Machine, this_machine
from benchmarks.report import ABSENT, table
from benchmarks.systems import POOLED, SYSTEMS
from wellread.checkpoints.checkpoint import Checkpoint, in_memory
from wellread.checkpoints.directory import read_directory
from wellread.config import EncoderConfig, SentenceConfig
from wellread.doctor.examine import instruction_sets
from wellread.hub.resolve import DEFAULT
from wellread.learn.init import fresh_arrays
from wellread.module import Module

PEER = "sentence-transformers"
LEFT_OUT = ("wellread-torch", "wellread-numpy", f"{PEER}-onnx", "onnxruntime-arrival")
MEASURED = tuple(
    name for name in SYSTEMS if name.startswith(("wellread", PEER, "onnxruntime")) and name not in LEFT_OUT
)
TEXTS, POOLED_TEXTS = 400, 200  # of those given: minutes in all, not hours
NEAR = 0.999  # mean cosine: a peer below is no best of its kind, an int8 module below breaks its budget
# class of CPU -> the instruction sets that make it one, any of them; the first that fits counts
CLASSES = {
    "AMX": {"AMX BF16", "AMX INT8"},
    "AVX-512 BF16/VNNI": {"AVX-512 BF16", "AVX-512 VNNI"},
    "AVX2": {"AVX2"},
}
# what is measured -> the aim for each class
AIMS = {
    f"texts/s against {PEER}": (8, 6, 1.6),
    f"texts/s against the best of {PEER}": (4, 2.2, 1.6),
    f"int8, texts/s against {PEER}": (12, 8, 3),
    "int8, mean cosine with float64": (NEAR, NEAR, NEAR),
    f"the default module, texts/s against {PEER}": (60, 40, 20),
    f"one short text against {PEER}": (6, 4, 3),
    "share of the products' own peak": (0.6, 0.7, 0.75),
    f"peak memory of {PEER} against wellread's": (4, 4, 4),
    "pooled_output of 3 layers of 768, texts/s against the fastest peer": (1.8, 1.8, 1.8),
    "time a text at the most texts against the fewest, at most": (1.03, 1.03, 1.03),
}


Found = tuple[float | None, str]  # a figure, or None; and a note


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One aim, and what came out."""

    name: str
    aim: float | None  # for this class of CPU
    found: float | None  # None: not measured
    note: str = ""  # what with, or why not


@dataclass(frozen=True, slots=True, kw_only=True)
class FiguresResult:
    """The result of `run_figures`."""

    machine: Machine
    kind: str | None  # of CLASSES
    rows: tuple[Figure, ...]
    encode: EncodeResult
    pooled: EncodeResult
    growth: GrowthResult

    def derived(self) -> list[dict[str, Any]]:
        """Derive nothing: the rows are what is derived."""
        return [{} for _ in self.rows]

    def paragraphs(self) -> list[str]:
        """Write the aims, and the tables that they come from."""
        title = f"aims and figures, CPU of the class {self.kind or 'that no aims were set for'}"
        rows = [[row.name, _number(row.aim), _number(row.found), row.note] for row in self.rows]
        tables = (self.encode.paragraphs(), self.pooled.paragraphs(), self.growth.paragraphs())
        return [title, table(["figure", "aim", "found", "note"], rows), *(text for part in tables for text in part)]


def _number(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.4g}"


def cpu_class(sets: Sequence[str]) -> str | None:
    """Name the class of a CPU with these instruction sets; None where it is none of ours.

    >>> cpu_class(["AVX2", "AVX-512", "AVX-512 VNNI"]), cpu_class(["NEON"])
    ('AVX-512 BF16/VNNI', None)
    """
    return next((name for name, any_of in CLASSES.items() if any_of & {*sets}), None)


def run_figures(
    model_dir: Path,
    texts: Sequence[str],
    *,
    rounds: int = 7,
    work: Path | None = None,
    sizes: Sequence[int] = SIZES,
    show_progress: bool | None = None,
) -> FiguresResult:
    """Measure all that wellread has aims for, on this CPU, with every system that is installed.

    `model_dir` is all-MiniLM-L6-v2 where the aims are to mean something; 400 of `texts` are encoded, evenly spread.
    `work` is as of `run_encode`, `sizes` as of `run_growth`, which runs the default module.

    Raises: as these two.
    """
    show = sys.stderr.isatty() if show_progress is None else show_progress
    some = [texts[i] for i in evenly(TEXTS, len(texts))]
    encode = run_encode(model_dir, some, systems=MEASURED, rounds=rounds, work=work, show_progress=show)
    fewer = [texts[i] for i in evenly(POOLED_TEXTS, len(texts))]
    with tempfile.TemporaryDirectory() as directory:
        wide = save_wide(model_dir, Path(directory) / "3-layers-of-768")
        pooled = run_encode(wide, fewer, systems=POOLED, rounds=rounds, show_progress=show)
    growth = run_growth(DEFAULT, texts, sizes=sizes, rounds=1, show_progress=show)
    kind = cpu_class(instruction_sets())
    rows = compare(encode, pooled, growth, kind)
    return FiguresResult(machine=this_machine(), kind=kind, rows=rows, encode=encode, pooled=pooled, growth=growth)


def compare(encode: EncodeResult, pooled: EncodeResult, growth: GrowthResult, kind: str | None) -> tuple[Figure, ...]:
    """Set what was measured beside the aims of a class of CPU."""
    found = [*_of_encode(encode), _of_pooled(pooled), (growth.growth, f"{growth.sizes[-1].texts:,} texts")]
    aims = [None if kind is None else each[[*CLASSES].index(kind)] for each in AIMS.values()]
    return tuple(
        Figure(name=name, aim=aim, found=value, note=note)
        for name, aim, (value, note) in zip(AIMS, aims, found, strict=True)
    )


def _of_encode(result: EncodeResult) -> list[Found]:
    """Derive what is about one module, in the order of the aims."""
    ours, int8 = result.of("wellread"), result.of("wellread-int8")
    share = ours.share(result.texts) if ours else None
    peak = (
        f"of {statistics.median(ours.products) / 1e9:,.0f} GFLOP/s" if ours and ours.products else "no native products"
    )
    return [
        _ratio(result, "wellread", PEER, "rate"),
        _ratio(result, "wellread", _fastest(result, PEER) or PEER, "rate"),
        _ratio(result, "wellread-int8", PEER, "rate"),
        (int8.cosine_mean, f"at least {int8.cosine_min:.4f}") if int8 else (None, "wellread-int8 was not measured"),
        _ratio(result, "wellread-small", PEER, "rate"),
        _ratio(result, PEER, "wellread", "latency"),
        (share, peak),
        _ratio(result, PEER, "wellread", "peak_bytes"),
    ]


def _of_pooled(result: EncodeResult) -> Found:
    """Compare with the fastest of the others that computes as exactly."""
    return _ratio(result, "wellread", _fastest(result, "onnxruntime", "transformers") or "transformers", "rate")


def _fastest(result: EncodeResult, *beginnings: str) -> str | None:
    """Name the fastest system whose name begins so and whose vectors are near the reference; None for none."""
    near = {
        row.system.name: row.measured.rate
        for row in result.rows
        if row.measured and row.system.name.startswith(beginnings) and (row.measured.cosine_mean or 0) >= NEAR
    }
    return max(near, key=near.__getitem__, default=None)


def _ratio(result: EncodeResult, one: str, other: str, what: str) -> Found:
    """Divide a measure of one system by that of another, where both were measured."""
    both = [result.of(name) for name in (one, other)]
    missing = [name for name, measured in zip((one, other), both, strict=True) if measured is None]
    if missing:
        return None, f"{' and '.join(missing)} not measured"
    values = [getattr(measured, what) for measured in both]
    return values[0] / values[1], f"{one} / {other}"


def save_wide(model_dir: Path, directory: Path) -> Path:
    """Save 3 random layers of 768 with a module's tokenizer; the sentence vector is `pooled_output`."""
    source = read_directory(model_dir)
    config = EncoderConfig(
        vocab_size=source.checkpoint.config.vocab_size,
        hidden_size=768,
        num_hidden_layers=3,
        num_attention_heads=12,
        intermediate_size=3072,
    )
    limit = source.checkpoint.sentence.max_seq_length
    sentence = SentenceConfig(pooling="pooled_output", normalize=False, max_seq_length=limit)
    tensors = in_memory(fresh_arrays(config, sentence, seed=0))
    checkpoint = Checkpoint(family="bert", config=config, sentence=sentence, tensors=tensors)
    Module(checkpoint=checkpoint, tokenizer=source.tokenizer).save(directory)
    return directory
