"""The result of `bench learn` as text and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict

from wellread.bench.learn import LearnResult, LearnRow
from wellread.bench.report import MEBIBYTE, NOTHING, table, where

HEADER = ["work", "contender", "steps/s", "tokens/s", "seconds", "spread", "x wellread's", "held-out loss", "peak"]


def render_learn(result: LearnResult) -> str:
    """Write Markdown: the table of training, that of memory, the GPU, and where it was measured."""
    parts = [
        f"an epoch over {result.texts:,} texts, median of {result.rounds} rounds in turn (lowest to highest)",
        table(HEADER, [_row(result, row) for row in result.rows]),
    ]
    if result.memory:
        rows = [[f"{row.texts:,}", f"{row.peak_bytes / MEBIBYTE:,.0f} MiB"] for row in result.memory]
        parts += ["pre-training on ever more texts, each time in a fresh process", table(["texts", "peak"], rows)]
    if result.gpu is not None:
        gpu = result.gpu
        parts.append(
            f"{gpu.device}: {gpu.tokens_a_second:,.0f} tokens/s of masked words at 12x768 in bf16, {gpu.share:.0%} of "
            f"{gpu.peak_flops / 1e12:,.0f} TFLOP/s, its measured peak"
        )
    return "\n\n".join([*parts, where(result.machine)]) + "\n"


def learn_as_json(result: LearnResult) -> str:
    """Write the fields, and what the table derives from them."""
    made = asdict(result)
    for row, fields in zip(result.rows, made["rows"], strict=True):
        fields["median"] = row.median if row.seconds else None
        fields["ratio"] = result.ratio(row)
        fields["loss"] = row.loss if row.seconds else None
    return json.dumps(made, indent=1)


def _row(result: LearnResult, row: LearnRow) -> list[str]:
    work = f"{row.work}, {row.lap}"
    if row.lacks is not None:
        return [work, row.contender, *[NOTHING] * 6, row.lacks]
    ratio = result.ratio(row)
    return [
        work,
        row.contender,
        f"{row.steps / row.median:,.2f}",
        f"{row.tokens / row.median:,.0f}",
        f"{row.median:.2f}",
        f"{min(row.seconds):.2f} to {max(row.seconds):.2f}",
        NOTHING if ratio is None else f"{ratio:.2f}",
        f"{row.loss:.3f}",
        f"{row.peak_bytes / MEBIBYTE:,.0f} MiB",
    ]
