"""The nearest of vectors beside faiss and semantic_search: every system is there, and other rows are told."""

import json

import pytest

from benchmarks import search
from benchmarks.machine import Machine
from benchmarks.report import as_json, render
from benchmarks.search import SearchResult, SearchRow, run_search
from benchmarks.search_worker import SYSTEMS
from wellread.errors import BenchError, InputError


def test_every_system_finds_the_nearest() -> None:
    result = run_search(vectors=3_000, rounds=1, show_progress=False)
    rows = {row.system: row for row in result.rows}
    assert list(rows) == list(SYSTEMS)
    assert all(row.lacks is None and row.one[0] > 0 and row.many[0] > 0 and row.peak_bytes > 0 for row in result.rows)
    assert {rows[name].kept for name in search.EXACT} == {1.0}
    assert 0.9 < rows["wellread-int8"].kept <= 1
    assert rows["wellread-float16"].kept > 0.99
    assert 0.1 < rows["wellread-binary"].kept < 0.9
    derived = {row["contender"]: row for row in json.loads(as_json(result))["rows"]}
    assert (derived["faiss"]["ratio_one"], derived["faiss"]["ratio_many"]) == (1.0, 1.0)
    assert "faiss-cpu" in result.machine.versions


def test_a_table_to_the_letter() -> None:
    machine = Machine(cpu="Some CPU", cores=2, precisions=("f32",), python="3.11.7", versions={})
    rows = (
        SearchRow(system="wellread", one=(0.1, 0.3, 0.2), many=(2.0,), kept=1.0, peak_bytes=2**27),
        SearchRow(system="faiss", one=(0.4,), many=(1.0,), kept=1.0, peak_bytes=2**30),
        SearchRow(system="semantic-search", lacks="not installed: it"),
    )
    text = render(SearchResult(vectors=1_000_000, rounds=3, machine=machine, rows=rows))
    assert text.startswith("the 10 nearest of 1,000,000 vectors of 384 numbers, all compared: seconds of one query")
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    assert cells[2] == ["wellread", "0.200", "2.00", "2.000", "0.50", "1.000", "128 MiB", "float32, a .npy file"]
    assert cells[3][:7] == ["faiss", "0.400", "1.00", "1.000", "1.00", "1.000", "1,024 MiB"]
    assert cells[4] == ["semantic-search", *["-"] * 6, "not installed: it"]


def test_other_rows_than_ours_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "EXACT", ("wellread-binary",))
    monkeypatch.setattr(search, "SYSTEMS", {name: SYSTEMS[name] for name in ("wellread", "wellread-binary", "faiss")})
    with pytest.raises(BenchError, match="wellread-binary found 0.* of wellread's"):
        run_search(vectors=500, rounds=1, show_progress=False)


@pytest.mark.parametrize("wrong", [{"vectors": 99}, {"rounds": 0}])
def test_nothing_cannot_be_measured(wrong: dict[str, int]) -> None:
    with pytest.raises(InputError, match="at least 100 vectors and 1 round are measured; found"):
        run_search(**wrong)
