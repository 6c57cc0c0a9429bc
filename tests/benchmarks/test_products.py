"""What texts need of the products, and what these reach alone."""

import time
from dataclasses import replace

import numpy as np
import pytest
from int8_made import with_int8
from tiny import tiny_checkpoint, tiny_config

from benchmarks import products
from benchmarks.products import product_rate, useful_operations
from wellread.backends.backend import is_installed, load_backend, precisions

WIDE = tiny_config(hidden_size=64, num_attention_heads=2, intermediate_size=96)


def test_useful_operations_are_those_of_every_product_of_the_blocks() -> None:
    config = tiny_config(hidden_size=12, num_attention_heads=4, intermediate_size=37, num_hidden_layers=3)
    counted = 0
    for tokens in (5, 2):
        maps = [(tokens, 12, 12)] * 4 + [(tokens, 12, 37), (tokens, 37, 12)]
        attention = [(tokens, 3, tokens), (tokens, tokens, 3)] * 4  # of each head: scores, then weighted sums
        counted += 3 * sum(2 * rows * inner * columns for rows, inner, columns in maps + attention)
    assert useful_operations(config, np.array([5, 2])) == counted


def test_only_the_native_backend_has_products_of_its_own() -> None:
    assert product_rate(load_backend("numpy", tiny_checkpoint(WIDE))) is None


@pytest.mark.skipif(not is_installed("native"), reason="the library is not built")
@pytest.mark.parametrize("precision", [*precisions("native"), "int8"] if is_installed("native") else [])
def test_the_rate_is_of_all_calls_in_the_time_that_they_took(monkeypatch: pytest.MonkeyPatch, precision: str) -> None:
    backend = load_backend("native", with_int8(tiny_checkpoint(WIDE)), precision=precision)
    calls = []
    true_library = products.functions()

    class Counting:
        """The library, which counts its products."""

        def wellread_linear(self, *arguments):
            calls.append(arguments[2])
            return true_library.wellread_linear(*arguments)

    monkeypatch.setattr(products, "functions", Counting)
    monkeypatch.setattr(products, "SECONDS", 0.05)
    started = time.perf_counter()
    rate = product_rate(backend)
    elapsed = time.perf_counter() - started
    most = sum(calls) * 2 * 64 * 96 / elapsed  # as if all had been of the largest matrix
    assert set(calls) == {products.ROWS}
    assert rate is not None
    assert most / 10 < rate < 10 * most


@pytest.mark.skipif(not is_installed("native"), reason="the library is not built")
def test_of_a_module_with_int8_matrices_only_these_are_multiplied() -> None:
    floats, mixed = tiny_checkpoint(WIDE), with_int8(tiny_checkpoint(WIDE))
    left = {name for name in floats.tensors if "attention.output.dense" in name or "layer.0." in name}
    mixed = replace(mixed, tensors={**mixed.tensors, **{name: floats.tensors[name] for name in left}})
    shapes = [(rows, columns) for _, rows, columns in products._linears(load_backend("native", mixed))]
    assert shapes == [(96, 64), (64, 96)]
    every = [(rows, columns) for _, rows, columns in products._linears(load_backend("native", floats))]
    assert every == [(64, 64), (96, 64), (64, 96)]
