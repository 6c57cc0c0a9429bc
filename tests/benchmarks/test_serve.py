"""A server beside `encode`: every row is measured by real clients, and a server that ends at once is told."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks import serve
from benchmarks.machine import Machine
from benchmarks.report import as_json, render
from benchmarks.serve import ServeResult, ServeRow, run_serve
from wellread.catalog.packaged import PACKAGED
from wellread.errors import BenchError


def test_the_server_is_asked_by_many_clients(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(serve, "REQUESTS", 12)
    monkeypatch.setattr(serve, "CLIENTS", 3)
    monkeypatch.setattr(serve, "INFINITY", tmp_path / "nothing")
    monkeypatch.setattr(serve, "lacks", lambda needs: "not installed: it")
    texts = [f"a man runs {number} times" for number in range(20)]
    result = run_serve("default", texts, peers=PACKAGED / "default", rounds=1)
    encode, own, peer, infinity = result.rows
    assert (encode.ready, encode.loaded) == (None, None)
    assert encode.rate > 0 < encode.one
    assert own.ready is not None
    assert own.loaded is not None
    assert 0 < own.loaded[0] <= own.loaded[1]
    assert sum((own.overload or {}).values()) == 24
    assert peer.lacks == "not installed: it"
    assert infinity.lacks == "not installed; make .venv/infinity"
    first, second, third, _ = json.loads(as_json(result))["rows"]
    assert (first["ratio"], third["ratio"]) == (1.0, None)
    assert second["ratio"] == own.rate / encode.rate


def test_a_table_to_the_letter() -> None:
    machine = Machine(cpu="Some CPU", cores=2, precisions=("f32",), python="3.11.7", versions={})
    row = ServeRow(system="wellread serve", ready=0.5, rate=850.0, one=0.002, loaded=(0.01, 0.03), overload={"200": 5})
    result = ServeResult(
        model="m", rounds=3, machine=machine, rows=(ServeRow(system="encode", rate=1000.0, one=0.001), row)
    )
    lines = [line for line in render(result).splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    assert cells[2] == ["encode", "-", "1,000", "1.00", "1.0", "-", "-", "-"]
    assert cells[3] == ["wellread serve", "0.50", "850", "0.85", "2.0", "10.0", "30.0", "200: 5"]


def test_a_server_that_ends_is_told() -> None:
    with (
        pytest.raises(BenchError, match="its process ended: no port; mend that"),
        serve._server([sys.executable, "-c", "import sys; sys.exit('no port')"]),
    ):
        pass
