"""The table of systems is whole, and is asked by exact names."""

import pytest

from benchmarks.encode_worker import LOADERS, PREPARATIONS
from benchmarks.systems import BASELINES, DEFAULT, POOLED, REFERENCE, SYSTEMS, look_up
from wellread.errors import InputError


def test_the_table_of_systems_holds_together() -> None:
    assert {system.loader for system in SYSTEMS.values()} == set(LOADERS)
    assert set(PREPARATIONS) < set(LOADERS)
    assert {*BASELINES, *DEFAULT, *POOLED, REFERENCE} == set(SYSTEMS)
    assert REFERENCE not in DEFAULT


def test_refuses_unknown_systems_and_none_and_two_of_a_name() -> None:
    with pytest.raises(
        InputError, match=r"systems wellread-exakt, x were asked for; .*\(did you mean wellread-exact\?\)"
    ):
        look_up(["wellread-exakt", "onnxruntime", "x"])
    with pytest.raises(InputError, match="found 0 names, 0 of them different"):
        look_up([])
    with pytest.raises(InputError, match="found 2 names, 1 of them different; name each once"):
        look_up(["onnxruntime", "onnxruntime"])
