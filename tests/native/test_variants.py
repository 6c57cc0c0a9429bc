"""Every variant of the kernel, over an emulation of what this CPU lacks, against the portable one and exact numbers."""

import shutil

import numpy as np
import pytest
from emulated import ACTIVATIONS, BF16, Floats, Library, Linear, Model, build
from scipy.special import erf

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")

VECTORS = ("avx2", "avx_vnni", "avx512", "avx512_vnni", "amx")  # these compute the same bits in float32 and int8
SHAPES = [(1, 1), (3, 7), (16, 32), (17, 33), (40, 96), (64, 160), (99, 64), (33, 512)]  # rows, columns
HEIGHTS = [1, 2, 5, 6, 7, 11, 12, 13, 15, 16, 17, 24, 31, 32, 33, 47, 49, 63, 65, 95, 96, 97, 130]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    path = tmp_path_factory.mktemp("emulated") / "libwellread.so"
    build(path)
    library = Library(path)
    if "avx2" not in library.variants or not library.supported("avx2"):
        pytest.skip("the emulation is compiled for AVX2")
    return library


def draw(*shape: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def activate(name: str, x: np.ndarray) -> np.ndarray:
    if name == "gelu":
        return x * (1 + erf(x / np.sqrt(2))) / 2
    if name == "gelu_tanh":
        return x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))) / 2
    return {"identity": x, "relu": np.maximum(x, 0), "tanh": np.tanh(x)}[name]


def int8_weights(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    """Draw integers of which neighbours are together at most 128 in size, as on AVX2 they must be."""
    pairs = np.random.default_rng(seed).integers(-64, 65, (rows, columns))
    pairs[:, ::16], pairs[:, 1::16] = 127, -1
    pairs[:, 2::16], pairs[:, 3::16] = 0, -128
    return pairs.astype(np.int8)


def small_model(
    width: int, heads: int, inner: int, *, activation: str = "gelu", int8: bool = False, relative: bool = False
) -> Model:
    shapes = [*[(width, width)] * 4, (inner, width), (width, inner)] * 2
    maps = []
    for seed, (rows, columns) in enumerate(shapes):
        weights: np.ndarray = draw(rows, columns, seed=seed) * np.float32(1.5 / np.sqrt(columns))
        scales = None
        if int8:
            scales = np.abs(weights).max(1) / np.float32(64)
            weights = np.rint(weights / scales[:, None]).astype(np.int8)
        maps.append(Linear(weights=weights, bias=draw(rows, seed=100 + seed), scales=scales))
    norms = draw(5, 2, width, seed=200) * np.float32(0.1)
    norms[:, 0] += 1
    return Model(
        layers=2,
        width=width,
        heads=heads,
        inner=inner,
        activation=activation,
        maps=tuple(maps),
        norms=norms,
        words=draw(50, width, seed=201),
        positions=draw(512, width, seed=202),
        relative=draw(heads, 1023, seed=203) if relative else None,
    )


def draw_texts(lengths: list[int]) -> list[np.ndarray]:
    random = np.random.default_rng(5)
    return [random.integers(0, 50, length, dtype=np.int32) for length in lengths]


@pytest.mark.parametrize("variant", VECTORS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_products_in_float32(library: Library, variant: str, activation: str) -> None:
    for seed, (rows, columns) in enumerate(SHAPES):
        x, map_ = draw(37, columns, seed=seed), Linear(weights=draw(rows, columns, seed=9), bias=draw(rows))
        assert map_.bias is not None
        exact = activate(activation, x.astype(float) @ map_.weights.T.astype(float) + map_.bias)
        found = library.linear(variant, map_, x, activation=activation)
        assert np.abs(found - exact).max() < 1e-5 * np.sqrt(columns)
        np.testing.assert_array_equal(found, library.linear("avx2", map_, x, activation=activation))


@pytest.mark.parametrize("variant", VECTORS)
def test_heights_of_products(library: Library, variant: str) -> None:
    x, floats = draw(130, 96), Linear(weights=draw(40, 96, seed=1))
    int8 = Linear(weights=int8_weights(40, 96), scales=np.full(40, 0.01, np.float32))
    for map_ in (floats, int8):
        whole = library.linear(variant, map_, x)
        for height in HEIGHTS:
            np.testing.assert_array_equal(library.linear(variant, map_, x[:height]), whole[:height])


@pytest.mark.parametrize("variant", ["portable", *VECTORS])
@pytest.mark.parametrize("columns", [16, 32, 48, 96, 160, 512])
def test_int8_products_are_exact_integers(library: Library, variant: str, columns: int) -> None:
    random = np.random.default_rng(columns)
    x = random.integers(-100, 156, (21, columns)).astype(np.float32)
    x[:, 0], x[:, 1] = -100, 155  # so that a step is 1 and nothing is rounded
    weights = int8_weights(48, columns)
    found = library.linear(variant, Linear(weights=weights, scales=np.ones(48, np.float32)), x)
    np.testing.assert_array_equal(found, x.astype(np.int64) @ weights.T.astype(np.int64))


@pytest.mark.parametrize("variant", VECTORS)
def test_int8_products_of_floats(library: Library, variant: str) -> None:
    for rows, columns in [(16, 32), (40, 96), (33, 512)]:
        map_ = Linear(
            weights=int8_weights(rows, columns),
            bias=draw(rows),
            scales=np.abs(draw(rows, seed=3)) / 100,
            input_scales=np.abs(draw(columns, seed=4)) + np.float32(0.1),
        )
        x = draw(29, columns) * 3
        found = library.linear(variant, map_, x, activation="gelu")
        portable = library.linear("portable", map_, x, activation="gelu")
        np.testing.assert_allclose(found, portable, rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(found, library.linear("avx2", map_, x, activation="gelu"))


ENCODERS = [(32, 1, 32), (96, 3, 160), (192, 3, 96), (160, 5, 544)]  # D, H, F: heads of 32 and 64; two chunks


@pytest.mark.parametrize("variant", VECTORS)
@pytest.mark.parametrize(("width", "heads", "inner"), ENCODERS)
@pytest.mark.parametrize("int8", [False, True])
def test_encoders(library: Library, variant: str, width: int, heads: int, inner: int, int8: bool) -> None:
    for activation in ("gelu", "gelu_tanh", "relu"):
        model = small_model(width, heads, inner, activation=activation, int8=int8, relative=activation == "relu")
        texts = draw_texts([3, 1, 17, 40, 2, 70])
        mask = (np.arange(sum(map(len, texts))) % 3 > 0).astype(np.uint8)
        mask[:4] = 0  # a text whose keys are all masked
        for first in (False, True):
            found = library.encode(variant, model, texts, mask=mask, first=first)
            portable = library.encode("portable", model, texts, mask=mask, first=first)
            assert np.abs(found - portable).max() < (0.05 if int8 else 2e-5)  # a step of int8 may fall the other way
            np.testing.assert_array_equal(found, library.encode("avx2", model, texts, mask=mask, first=first))


@pytest.mark.parametrize("variant", VECTORS)
@pytest.mark.parametrize(("int8", "relative"), [(False, True), (True, False)])
def test_every_length_is_the_same_alone(library: Library, variant: str, int8: bool, relative: bool) -> None:
    model = small_model(96, 3, 96, int8=int8, relative=relative)
    texts = draw_texts([*range(1, 65), 100, 255, 256, 257, 511, 512])
    together = library.encode(variant, model, texts)
    alone = np.concatenate([library.encode(variant, model, [text]) for text in texts])
    np.testing.assert_array_equal(together, alone)


def to_bf16(x: np.ndarray) -> np.ndarray:
    """Round to the nearest bfloat16, halves to even."""
    words = x.astype(np.float32).view(np.uint32)
    return ((words + 0x7FFF + (words >> 16 & 1)) & 0xFFFF0000).view(np.float32)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_products_in_bfloat16(library: Library, activation: str) -> None:
    for seed, (rows, columns) in enumerate(SHAPES):
        x, map_ = draw(37, columns, seed=seed), Linear(weights=draw(rows, columns, seed=9), bias=draw(rows))
        assert map_.bias is not None
        rounded = to_bf16(x).astype(float) @ to_bf16(map_.weights).T.astype(float) + map_.bias
        exact = activate(activation, rounded)
        found = library.linear("amx", map_, x, activation=activation, precision=BF16)
        rough = 2e-4 if activation in ("gelu", "gelu_tanh") else 0
        assert np.abs(found - exact).max() < 1e-5 * np.sqrt(columns) + rough
        for height in HEIGHTS:
            part = library.linear("amx", map_, x[:height], activation=activation, precision=BF16)
            np.testing.assert_array_equal(part, found[:height])


def test_gelu_beside_bfloat16(library: Library) -> None:
    x = np.linspace(-12, 12, 4001, dtype=np.float32)[:, None]  # [4001, 1], times 1 in a map whose weights are exact
    one = Linear(weights=np.ones((1, 1), np.float32))
    for activation in ("gelu", "gelu_tanh"):
        found = library.linear("amx", one, x, activation=activation, precision=BF16)
        exact = activate(activation, to_bf16(x).astype(float))
        error = np.abs(found - exact)
        assert error.max() < 2e-4
        assert (error[x > 0.01] / exact[x > 0.01]).max() < 5e-4  # an eighth of a step of bfloat16


@pytest.mark.parametrize(("width", "heads", "inner"), ENCODERS)
@pytest.mark.parametrize("int8", [False, True])
def test_encoders_in_bfloat16(library: Library, width: int, heads: int, inner: int, int8: bool) -> None:
    for activation in ("gelu", "gelu_tanh", "relu"):
        model = small_model(width, heads, inner, activation=activation, int8=int8, relative=activation == "relu")
        texts = draw_texts([3, 1, 17, 40, 2, 70, 33])
        mask = (np.arange(sum(map(len, texts))) % 3 > 0).astype(np.uint8)
        mask[:4] = 0
        for first in (False, True):
            found = library.encode("amx", model, texts, mask=mask, first=first, precision=BF16)
            portable = library.encode("portable", model, texts, mask=mask, first=first)
            norms = np.linalg.norm(found, axis=1) * np.linalg.norm(portable, axis=1)
            assert ((found * portable).sum(1) / norms).min() > (0.9995 if int8 else 0.9998)


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize(("width", "heads"), [(96, 3), (64, 1)])
def test_every_length_in_bfloat16_is_the_same_alone(library: Library, width: int, heads: int, int8: bool) -> None:
    model = small_model(width, heads, 96, int8=int8, relative=int8 == (heads == 1))
    texts = draw_texts([*range(1, 66), 100, 255, 256, 257, 511, 512])
    together = library.encode("amx", model, texts, precision=BF16)
    alone = np.concatenate([library.encode("amx", model, [text], precision=BF16) for text in texts])
    np.testing.assert_array_equal(together, alone)
    first = library.encode("amx", model, texts, precision=BF16, first=True)
    np.testing.assert_array_equal(first, together[np.cumsum([0, *map(len, texts[:-1])])])


def test_extreme_scores_in_bfloat16(library: Library) -> None:
    model = small_model(64, 2, 96)
    model.maps[0].weights[:] *= 300  # of the queries: probabilities are 0 and 1
    texts = draw_texts([1, 31, 32, 33, 64, 65])
    found = library.encode("amx", model, texts, precision=BF16)
    assert np.isfinite(found).all()


def test_only_amx_computes_bfloat16(library: Library) -> None:
    computes = library.functions.wellread_variant_computes
    assert [name for name, number in library.variants.items() if computes(number, BF16)] == ["amx"]
    assert all(computes(number, 0) for number in library.variants.values())
