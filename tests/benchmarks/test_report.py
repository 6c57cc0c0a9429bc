"""Tables and JSON of made-up results, to the letter."""

import json
from dataclasses import replace

from benchmarks.encode import EncodeResult, Measured, Row
from benchmarks.growth import GrowthResult, Size
from benchmarks.machine import Machine
from benchmarks.report import as_json, render
from benchmarks.startup import StartupResult, StartupRow
from benchmarks.systems import SYSTEMS

MACHINE = Machine(cpu="Some CPU", cores=2, precisions=("f32",), python="3.11.7", versions={"openvino": "2026.4.0"})
WHERE = "Some CPU, 2 cores, f32; Python 3.11.7; openvino 2026.4.0\n"
# 1,234 texts of 1,000 operations each: 2,000 texts/s are half of what the products do
PRODUCTS = {"products": (2e6, 6e6, 4e6), "operations": 1_234_000.0}


def measured(*rates: float) -> Measured:
    return Measured(
        precision="f32",
        load_seconds=1.5,
        rates=rates,
        latencies=(0.25, 0.002, 0.001),
        peak_bytes=3 << 20,
        cosine_mean=0.9999996,
        cosine_min=0.75,
    )


ENCODE = EncodeResult(
    model="tiny",
    texts=1234,
    rounds=3,
    machine=MACHINE,
    rows=(
        Row(system=SYSTEMS["wellread"], measured=replace(measured(1000.0, 3000.0, 2000.0), **PRODUCTS)),
        Row(system=SYSTEMS["wellread-openvino-bf16"], lacks="this CPU has no BF16"),
        Row(system=SYSTEMS["sentence-transformers"], measured=measured(800.0, 400.0, 800.0)),
        Row(
            system=SYSTEMS["wellread-small"],
            measured=replace(measured(5e4, 5e4, 5e4), cosine_mean=None, cosine_min=None),
        ),
    ),
)
STARTUP = StartupResult(
    model="tiny",
    rounds=2,
    machine=MACHINE,
    rows=(
        StartupRow(name="wellread", seconds=(0.25, 0.75)),
        StartupRow(name="slow", seconds=(2.0, 2.0)),
        StartupRow(name="absent", lacks="not installed: absent"),
    ),
)
GROWTH = GrowthResult(
    model="tiny",
    system="wellread",
    rounds=1,
    machine=MACHINE,
    sizes=(Size(texts=1000, seconds=(2.0,), peak_bytes=1 << 20), Size(texts=5000, seconds=(20.0,), peak_bytes=2 << 30)),
)


def cells(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(line) for line in lines}) == 1  # the columns stand under one another
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_a_table_of_speeds() -> None:
    text = render(ENCODE)
    header, _, first, second, third, fourth = cells(text)
    assert text.startswith("tiny: 1,234 texts, median of 3 rounds in turn (lowest to highest)\n\n|")
    assert text.endswith(f"|\n\n{WHERE}")
    assert dict(zip(header, first, strict=True)) == {
        "system": "wellread",
        "texts/s": "2,000.0",
        "spread": "1,000.0 to 3,000.0",
        "x sentence-transformers": "2.50",
        "x onnxruntime": "-",
        "precision": "f32",
        "mean cosine": "1.000000",
        "min cosine": "0.750000",
        "one text": "2.00 ms",
        "first vector": "1.50 s",
        "peak": "3 MiB",
        "of the products": "0.50",
        "note": "",
    }
    assert second == ["wellread-openvino-bf16", *["-"] * 11, "this CPU has no BF16"]
    assert (third[3], third[-2]) == ("1.00", "-")
    assert [fourth[0], *fourth[6:8], fourth[-1]] == ["wellread-small", "-", "-", "another module"]


def test_a_table_of_starts() -> None:
    text = render(STARTUP)
    _, _, *rows = cells(text)
    assert text.startswith("tiny: from the start of a process to its first vector, median of 2 rounds in turn\n\n|")
    assert rows == [
        ["wellread", "0.500", "0.250 to 0.750", "1.00", ""],
        ["slow", "2.000", "2.000 to 2.000", "4.00", ""],
        ["absent", "-", "-", "-", "not installed: absent"],
    ]


def test_a_table_of_growth() -> None:
    text = render(GROWTH)
    _, _, *rows = cells(text)
    assert text.startswith("tiny, wellread: the cost of a text, median of 1 rounds\n\n|")
    assert rows == [["1,000", "2.000", "1.00", "1 MiB"], ["5,000", "4.000", "2.00", "2,048 MiB"]]


def test_json_holds_the_fields_and_what_follows_from_them() -> None:
    first, second, *_ = json.loads(as_json(ENCODE))["rows"]
    assert first["contender"]["name"] == "wellread"
    assert (first["rate"], first["ratio_to"]) == (2000.0, {"sentence-transformers": 2.5, "onnxruntime": None})
    assert (first["latency"], first["share"], second["share"]) == (0.002, 0.5, None)
    assert first["measured"]["rates"] == [1000.0, 3000.0, 2000.0]
    assert (second["rate"], second["measured"], second["lacks"]) == (None, None, "this CPU has no BF16")
    assert [row["median"] for row in json.loads(as_json(STARTUP))["rows"]] == [0.5, 2.0, None]
    assert [size["seconds_a_text"] for size in json.loads(as_json(GROWTH))["sizes"]] == [0.002, 0.004]
