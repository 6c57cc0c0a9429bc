"""A system of `learn` in its own process; run by `harness.Worker`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.harness import serve
from benchmarks.learn_ours import MAKERS, prepare, pretrain_copies
from benchmarks.learn_workloads import OURS, Runner, starting_point
from wellread.config import EncoderConfig
from wellread.doctor.speed import peak_bytes
from wellread.module import load


class LearnAnswers:
    """What a system does when asked; `directory` is that of a workload."""

    def __init__(self, name: str, model_dir: Path, directory: Path) -> None:
        """Do nothing yet."""
        self.name, self.model_dir, self.directory = name, model_dir, directory
        self.runner: Runner

    def prepare(self, kind: str, config: dict[str, Any]) -> dict[str, Any]:
        """Write the weights that all begin with."""
        prepare(kind, EncoderConfig(**config), load(self.model_dir).tokenizer, self.directory)
        return {}

    def load(self, kind: str, texts: list[str]) -> dict[str, Any]:
        """Read weights and texts."""
        start = starting_point(self.directory, texts)
        if self.name == OURS:
            self.runner = MAKERS[kind](start)
        else:
            from benchmarks.learn_peers import runner  # ours is measured without transformers in memory

            self.runner = runner(self.name)(start, kind)
        return {}

    def epoch(self, phase: str) -> dict[str, Any]:
        """Train for an epoch; tell what it took, and the largest memory so far."""
        return {**asdict(self.runner.epoch(phase)), "peak_bytes": peak_bytes()}

    def pretrain(self, texts: list[str], times: int) -> dict[str, Any]:
        """Pre-train a few steps on the texts so many times over; tell the largest memory."""
        pretrain_copies(load(self.model_dir).tokenizer, texts, times, self.directory)
        return {"peak_bytes": peak_bytes()}


if __name__ == "__main__":
    serve(LearnAnswers)
