"""The table of contenders is whole, and is asked by exact names."""

import pytest

from wellread.bench.contenders import BASELINES, CONTENDERS, DEFAULT, REFERENCE, look_up
from wellread.bench.worker import LOADERS, PREPARATIONS
from wellread.errors import InputError


def test_the_table_of_contenders_holds_together() -> None:
    assert {contender.loader for contender in CONTENDERS.values()} == set(LOADERS)
    assert set(PREPARATIONS) < set(LOADERS)
    assert {*BASELINES, *DEFAULT, REFERENCE} == set(CONTENDERS)
    assert REFERENCE not in DEFAULT


def test_refuses_unknown_contenders_and_none_and_two_of_a_name() -> None:
    with pytest.raises(
        InputError, match=r"contenders wellread-f31, x were asked for; .*\(did you mean wellread-f32\?\)"
    ):
        look_up(["wellread-f31", "onnxruntime", "x"])
    with pytest.raises(InputError, match="found 0 names, 0 of them different"):
        look_up([])
    with pytest.raises(InputError, match="found 2 names, 1 of them different; name each once"):
        look_up(["onnxruntime", "onnxruntime"])
