"""Text to ids beside the tokenizers library and tensorflow-text: every row is there, and other ids are told."""

import json
from pathlib import Path

import numpy as np
import pytest
from tiny import tiny_module

from benchmarks.machine import Machine
from benchmarks.report import as_json, render
from benchmarks.tokenise import PASSES, TokeniseResult, TokeniseRow, _compare, kinds, run_tokenise
from benchmarks.tokenise_worker import SYSTEMS
from wellread.errors import BenchError, InputError

TEXTS = ["A man is playing the guitar.", "", "A cat sleeps!", *(f"the cat of word{i}" for i in range(120))]


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("tokenise")
    tiny_module(place / "files").save(place / "tiny")
    return place / "tiny"


def test_every_system_reads_every_kind_of_text_and_gives_the_same_ids(model_dir: Path) -> None:
    result = run_tokenise(model_dir, TEXTS, rounds=1)
    workloads = [f"{kind}, {each}" for kind in kinds(TEXTS) for each in PASSES]
    assert [(row.workload, row.system) for row in result.rows] == [(w, name) for w in workloads for name in SYSTEMS]
    assert all(row.lacks is None and len(row.seconds) == 1 and row.seconds[0] > 0 for row in result.rows)
    rows = json.loads(as_json(result))["rows"]
    assert all(row["ratio"] == 1.0 for row in rows if row["contender"] == "tokenizers")
    assert "tokenizers" in result.machine.versions


def test_long_texts_are_the_same_words() -> None:
    by_kind = kinds(TEXTS)
    assert [len(texts) for texts in by_kind.values()] == [123, 2, 123]
    assert " ".join(by_kind["100 texts as one"]) == " ".join(TEXTS)


def test_a_table_to_the_letter() -> None:
    def row(name: str, *seconds: float, lacks: str | None = None) -> TokeniseRow:
        return TokeniseRow(workload="texts", system=name, seconds=seconds, characters=2_000_000, lacks=lacks)

    machine = Machine(cpu="Some CPU", cores=2, precisions=("f32",), python="3.11.7", versions={})
    rows = (row("wellread", 0.1, 0.2, 0.25), row("tokenizers", 4.0), row("tensorflow-text", lacks="not installed: it"))
    result = TokeniseResult(model="tiny", rounds=1, machine=machine, rows=rows)
    assert [result.ratio(row) for row in rows] == [20.0, 1.0, None]
    assert (
        "| texts    |        wellread |          10.00 | 8.00 to 20.00 |        20.00 |                   |"
        in render(result)
    )
    assert (
        "| texts    | tensorflow-text |              - |             - |            - | not installed: it |"
        in render(result)
    )


class Fake:
    """A worker whose ids are given."""

    def __init__(self, values: list[int]) -> None:
        self.values = values

    def ask(self, do: str, *, kind: str, file: str) -> None:
        np.savez(file, values=self.values, splits=[0, len(self.values)])


def test_other_ids_are_told(tmp_path: Path) -> None:
    workers = {"wellread": Fake([1, 2]), "tokenizers": Fake([1, 2]), "tensorflow-text": Fake([3])}
    _compare("texts", workers, tmp_path)  # type: ignore[arg-type]
    with pytest.raises(BenchError, match="wellread and tokenizers were to give the same ids of texts; found others"):
        _compare("texts", workers | {"tokenizers": Fake([1, 3])}, tmp_path)  # type: ignore[arg-type]


def test_what_cannot_be_measured_is_refused(model_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least 1 text and 1 round; found 0 and 1"):
        run_tokenise(model_dir, [], rounds=1)
