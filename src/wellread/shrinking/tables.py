"""A plan and an outcome as tables, which are Markdown and plain text alike."""

from __future__ import annotations

from collections.abc import Sequence

from wellread.measure.render import aligned
from wellread.shrinking.outcome import Row
from wellread.shrinking.settings import megabytes
from wellread.shrinking.state import Plan


def span(seconds: float) -> str:
    """Write a time for people.

    >>> span(42.4), span(150), span(7380)
    ('42 s', '2.5 min', '2 h 3 min')
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{seconds / 60:.1f} min"


def plan_table(plan: Plan) -> str:
    """Write the candidates, the rungs and the time that all is expected to take."""
    rows = [["candidate", "MB", "parameters", "texts/s", "s a step"]]
    rows += [
        [
            each.name,
            megabytes(each.size_bytes).removesuffix(" MB"),
            f"{each.parameters:,}",
            f"{each.speed:,.0f}" if each.speed else "",
            f"{plan.step_seconds[each.name]:.3f}",
        ]
        for each in plan.candidates
    ]
    rungs = ", then ".join(f"{size} for {steps:,} steps" for size, steps in zip(plan.sizes, plan.steps, strict=True))
    return (
        f"{aligned(rows)}\n\npredicted; in rungs: {rungs}; {plan.texts:,} texts; expected to take "
        f"{span(plan.expected_seconds)} in all"
    )


def outcome_table(rows: Sequence[Row]) -> str:
    """Write what became of every candidate, and the teacher, the smallest first."""
    main = rows[0].main if rows else ""
    cells = [["name", "MB", "parameters", "texts/s", main, "95 %", "of the teacher's", "steps", "what became of it"]]
    cells += [
        [
            row.name,
            megabytes(row.size_bytes).removesuffix(" MB"),
            f"{row.parameters:,}",
            f"{row.speed:,.0f}",
            f"{100 * row.score:.2f}",
            f"{100 * row.low:.2f} to {100 * row.high:.2f}",
            "" if row.share is None else f"{row.share:.1%}",
            f"{row.steps:,}" if row.steps else "",
            row.fate,
        ]
        for row in rows
    ]
    return aligned(cells)
