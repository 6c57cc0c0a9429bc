"""What a machine is, and what it lacks."""

from pathlib import Path

import pytest

from benchmarks import machine


def test_says_what_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.machine.PACKAGES", {"no_such.part": "no-such-package"})
    assert machine.lacks(["json", "no_such.part", "nor_this"]) == "not installed: no-such-package, nor_this"
    assert machine.lacks(["json.no_such_part"]) == "not installed: json.no_such_part"


@pytest.mark.parametrize(("precisions", "said"), [(["f32"], "this CPU has no BF16"), (["bf16", "f32"], None)])
def test_says_whether_the_cpu_has_bf16(
    monkeypatch: pytest.MonkeyPatch, precisions: list[str], said: str | None
) -> None:
    monkeypatch.setattr("benchmarks.machine.precisions", lambda: precisions)
    assert machine.lacks([], bf16=True) == said
    assert machine.lacks([]) is None


def test_describes_a_machine_without_cpuinfo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("wellread.cores.CPU_INFO", tmp_path / "none")
    assert machine.this_machine().cpu
    (tmp_path / "info").write_text("processor\t: 0\nmodel name\t: Some CPU\n")
    monkeypatch.setattr("wellread.cores.CPU_INFO", tmp_path / "info")
    assert machine.this_machine().cpu == "Some CPU"
    assert set(machine.this_machine().versions) <= set(machine.MEASURED)


def test_says_which_place_is_not_built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("benchmarks.machine.PLACES", tmp_path)
    assert machine.lacks(["json"], place="others") == "not built: make .venv/others"
    (tmp_path / "others").mkdir()
    assert machine.lacks(["json"], place="others") is None
