"""A contender of `bench learn` in its own process; run by `process.Worker`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from wellread.bench.learn_ours import MAKERS, prepare, pretrain_copies
from wellread.bench.learn_works import OURS, Runner, given
from wellread.bench.worker import peak_bytes, serve
from wellread.config import EncoderConfig
from wellread.module import load


class LearnAnswers:
    """What a contender does when asked; `place` is the directory of a work."""

    def __init__(self, name: str, model_dir: Path, place: Path) -> None:
        """Do nothing yet."""
        self.name, self.model_dir, self.place = name, model_dir, place
        self.runner: Runner

    def prepare(self, kind: str, config: dict[str, Any]) -> dict[str, Any]:
        """Write the weights that all begin with."""
        prepare(kind, EncoderConfig(**config), load(self.model_dir).tokenizer, self.place)
        return {}

    def load(self, kind: str, texts: list[str]) -> dict[str, Any]:
        """Read weights and texts."""
        things = given(self.place, texts)
        if self.name == OURS:
            self.runner = MAKERS[kind](things)
        else:
            from wellread.bench.learn_peers import runner  # ours is measured without transformers in memory

            self.runner = runner(self.name)(things, kind)
        return {}

    def lap(self, name: str) -> dict[str, Any]:
        """Train for an epoch; tell what it took, and the largest memory so far."""
        return {**asdict(self.runner.lap(name)), "peak_bytes": peak_bytes()}

    def pretrain(self, texts: list[str], times: int) -> dict[str, Any]:
        """Pre-train a few steps on the texts so many times over; tell the largest memory."""
        pretrain_copies(load(self.model_dir).tokenizer, texts, times, self.place)
        return {"peak_bytes": peak_bytes()}


if __name__ == "__main__":
    serve(LearnAnswers)
