"""Aims by class of CPU beside what was measured, and the runs that are measured for them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny import tiny_module

from benchmarks import figures, report
from benchmarks.encode import EncodeResult, Measured, Row, run_encode
from benchmarks.figures import AIMS, CLASSES, FiguresResult, compare, cpu_class, run_figures, save_wide
from benchmarks.growth import GrowthResult, Size
from benchmarks.machine import Machine
from benchmarks.systems import POOLED, SYSTEMS

MACHINE = Machine(cpu="Some CPU", cores=2, precisions=("f32",), python="3.11.7", versions={})
OURS = Measured(
    precision="f32",
    load_seconds=1.0,
    rates=(80.0, 100.0, 120.0),
    latencies=(0.002,),
    peak_bytes=100 << 20,
    cosine_mean=1.0,
    cosine_min=1.0,
    products=(2e9, 2e9, 2e9),
    operations=1e9,  # of 100 texts: 10 million each, so 100 texts/s are a billion a second
)
PEER = replace(OURS, rates=(50.0,), latencies=(0.01,), peak_bytes=500 << 20, products=(), operations=0.0)


def encoded(**measured: Measured) -> EncodeResult:
    rows = [Row(system=SYSTEMS[name.replace("_", "-")], measured=one) for name, one in measured.items()]
    return EncodeResult(model="tiny", texts=100, rounds=3, machine=MACHINE, rows=tuple(rows))


ENCODED = encoded(
    wellread=OURS,
    wellread_int8=replace(OURS, rates=(200.0,), cosine_mean=0.9993, cosine_min=0.998),
    wellread_small=replace(OURS, rates=(1000.0,), cosine_mean=None, cosine_min=None),
    sentence_transformers=PEER,
    sentence_transformers_openvino=replace(PEER, rates=(80.0,)),
    sentence_transformers_openvino_int8=replace(PEER, rates=(500.0,), cosine_mean=0.98),
)
POOLED_ONES = encoded(
    wellread=OURS, transformers=replace(PEER, rates=(25.0,)), onnxruntime=replace(PEER, rates=(40.0,))
)
GROWTH = GrowthResult(
    model="default",
    system="wellread",
    rounds=1,
    machine=MACHINE,
    sizes=(Size(texts=10, seconds=(1.0,), peak_bytes=1), Size(texts=100, seconds=(10.5,), peak_bytes=1)),
)


def test_figures_are_ratios_of_what_was_measured_in_the_order_of_the_aims() -> None:
    rows = compare(ENCODED, POOLED_ONES, GROWTH, "AVX-512 BF16/VNNI")
    assert [row.name for row in rows] == [*AIMS]
    assert [row.aim for row in rows] == [6, 2.2, 8, 0.999, 40, 4, 0.7, 4, 1.8, 1.03]
    # the best of the peer is none whose vectors are far away; memory and latency are theirs by ours
    assert [row.found for row in rows] == pytest.approx([2, 1.25, 4, 0.9993, 20, 5, 0.5, 5, 2.5, 1.05])
    assert rows[1].note == "wellread / sentence-transformers-openvino"
    assert rows[8].note == "wellread / onnxruntime"


def test_what_was_not_measured_has_no_figure_and_says_so() -> None:
    rows = compare(encoded(wellread=replace(OURS, products=())), encoded(wellread=OURS), GROWTH, None)
    assert [row.aim for row in rows] == [None] * len(AIMS)
    assert [row.found for row in rows] == [None] * 9 + [pytest.approx(1.05)]
    assert rows[0].note == "sentence-transformers not measured"
    assert rows[2].note == "wellread-int8 and sentence-transformers not measured"
    assert rows[6].note == "no native products"
    assert rows[8].note == "transformers not measured"


@pytest.mark.parametrize(
    ("sets", "kind"),
    [
        (["AVX2", "AVX-512", "AVX-512 VNNI", "AVX-512 BF16", "AMX BF16", "AMX INT8"], "AMX"),
        (["AVX2", "AVX-512", "AVX-512 VNNI"], "AVX-512 BF16/VNNI"),
        (["AVX2", "AVX-512"], "AVX2"),
        (["AVX2", "AVX-VNNI"], "AVX2"),
        (["NEON", "BF16"], None),
    ],
)
def test_a_cpu_belongs_to_the_first_class_that_it_fits(sets: list[str], kind: str | None) -> None:
    assert cpu_class(sets) == kind
    assert kind is None or kind in CLASSES


def test_the_table_begins_with_the_aims() -> None:
    rows = compare(ENCODED, POOLED_ONES, GROWTH, "AMX")
    result = FiguresResult(machine=MACHINE, kind="AMX", rows=rows, encode=ENCODED, pooled=POOLED_ONES, growth=GROWTH)
    lines = report.render(result).splitlines()
    assert lines[0] == "aims and figures, CPU of the class AMX"
    first = [cell.strip() for cell in lines[4].strip("|").split("|")]
    assert first == ["texts/s against sentence-transformers", "8", "2", "wellread / sentence-transformers"]
    assert sum(line.startswith("tiny: 100 texts") for line in lines) == 2
    assert "default, wellread: the cost of a text, median of 1 rounds" in lines


def test_the_wide_encoder_gives_what_transformers_says_is_its_pooled_output(tmp_path: Path) -> None:
    tiny_module(tmp_path / "files").save(tmp_path / "tiny")
    wide = save_wide(tmp_path / "tiny", tmp_path / "wide")
    result = run_encode(wide, ["a man", "the cat sleeps ."], systems=POOLED, rounds=1)
    for row in result.rows:
        assert row.measured is not None, row.lacks
        assert row.measured.cosine_min is not None
        least = 1 - (1e-4 if row.measured.precision == "bf16" else 1e-6)  # on a CPU with AMX
        assert row.measured.cosine_min > least, row.system.name


def test_one_run_measures_it_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_module(tmp_path / "files").save(tmp_path / "tiny")
    monkeypatch.setattr(figures, "MEASURED", ("wellread", "wellread-small"))
    monkeypatch.setattr(figures, "POOLED", ("wellread",))
    monkeypatch.setattr(figures, "TEXTS", 3)
    result = run_figures(tmp_path / "tiny", [f"the cat {i}" for i in range(9)], rounds=1, sizes=(2, 4))
    assert (result.encode.texts, result.pooled.model, result.growth.model) == (3, "3-layers-of-768", "default")
    assert [size.texts for size in result.growth.sizes] == [2, 4]
    found = {row.name: row.found for row in result.rows}
    assert found["time a text at the most texts against the fewest, at most"] == result.growth.growth
    assert np.isfinite(result.growth.growth)


def test_the_measured_systems_are_in_the_table() -> None:
    assert {*figures.MEASURED} <= {*SYSTEMS}
    assert {*figures.LEFT_OUT} <= {*SYSTEMS}
    assert {"wellread", "wellread-int8", "wellread-small", "sentence-transformers"} <= {*figures.MEASURED}
