"""The report of a search: the page, the numbers and the plots, whole or not at all."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from wellread.cores import cpu_count, cpu_name
from wellread.errors import TrainingError
from wellread.measure.render import DATA, PAGE, write_report
from wellread.measure.report import Report
from wellread.measure.report import Row as Figures
from wellread.measure.speed import Speed
from wellread.metrics.metrics import Interval
from wellread.shrinking.material import Material
from wellread.shrinking.outcome import TEACHER, Outcome, Row
from wellread.shrinking.scoring import ROUNDS
from wellread.shrinking.state import Plan
from wellread.shrinking.tables import outcome_table


def report_of(outcome: Outcome, material: Material, examples: int) -> Report:
    """Present a search as a report."""
    main = outcome.rows[0].main
    return Report(
        task=material.task,
        main=main,
        source=Path(material.dev.source).name if material.dev is not None else "texts held out",
        examples=len(material.dev) if material.dev is not None else len(material.held_out),
        unit="pairs" if material.dev is not None and material.task == "pair" else "texts",
        speed_examples=examples,
        rounds=ROUNDS,
        machine=f"{cpu_name()}, {cpu_count()} cores",
        rows=tuple(_figures(row) for row in outcome.rows),
        teacher=TEACHER,
    )


def _figures(row: Row) -> Figures:
    return Figures(
        name=row.name,
        size_bytes=row.size_bytes,
        parameters=row.parameters,
        precision=row.precision,
        scores={row.main: Interval(value=row.score, low=row.low, high=row.high)},
        speed=Speed(rate=row.speed, slowest=row.slowest, fastest=row.fastest),
        share=row.share_interval,
        speedup=row.speedup,
    )


def write_outcome(outcome: Outcome, plan: Plan, report: Report, directory: Path) -> None:
    """Write the report into a directory; pictures where matplotlib is installed. Raises: TrainingError."""
    try:
        with tempfile.TemporaryDirectory(prefix=".report.", dir=directory) as place:
            partial = Path(place)
            write_report(report, partial, pictures=find_spec("matplotlib") is not None)
            page = (partial / PAGE).read_text("utf-8")
            (partial / PAGE).write_text("\n".join([page, *_section(outcome)]), "utf-8")
            data: dict[str, Any] = json.loads((partial / DATA).read_text("utf-8"))
            data["shrink"] = {
                "chosen": outcome.chosen.name if outcome.chosen else None,
                "failure": outcome.failure,
                "candidates": [asdict(row) for row in outcome.rows],
                "plan": asdict(plan),
            }
            (partial / DATA).write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", "utf-8")
            for file in sorted(partial.iterdir()):
                file.replace(directory / file.name)
    except OSError as error:
        raise TrainingError(
            f"the report was to be written to {directory}; found that {error}; make room, then go on with resume=True "
            "(--resume)"
        ) from error


def _section(outcome: Outcome) -> Sequence[str]:
    """Say what became of the candidates."""
    chosen = f"Chosen: {outcome.chosen.name}." if outcome.chosen else f"Chosen: none. {outcome.failure}."
    return ["## What became of the candidates\n", outcome_table(outcome.rows), "", chosen, ""]
