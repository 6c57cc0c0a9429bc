"""names: which tensors an encoder has, checked against the published numbers of parameters."""

import math

import numpy as np
import pytest

from wellread.checkpoints.checkpoint import in_memory
from wellread.checkpoints.names import head_shapes, mismatches, rows, sentence_shapes, shapes
from wellread.config import DenseConfig, EncoderConfig, HeadConfig, SentenceConfig


def config(*, layers, width, heads, vocab, **more):
    return EncoderConfig(
        vocab_size=vocab,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * width,
        **more,
    )


def count(config, *, mlm=False):
    return sum(math.prod(shape) for shape in shapes(config, mlm=mlm).values())


# The 24 models of "Well-Read Students Learn Better" (Turc et al. 2019): the encoder with its pooler.
SMALL_BERTS = {
    2: (4_385_920, 9_591_040, 22_458_880, 38_603_520),
    4: (4_782_464, 11_170_560, 28_763_648, 52_779_264),
    6: (5_179_008, 12_750_080, 35_068_416, 66_955_008),
    8: (5_575_552, 14_329_600, 41_373_184, 81_130_752),
    10: (5_972_096, 15_909_120, 47_677_952, 95_306_496),
    12: (6_368_640, 17_488_640, 53_982_720, 109_482_240),
}
HEADS = {128: 47_290, 256: 96_826, 512: 294_202, 768: 622_650}  # what the masked-language-model head adds


@pytest.mark.parametrize("layers", SMALL_BERTS)
def test_the_24_small_berts_have_their_numbers_of_parameters(layers):
    for (width, head), expected in zip(HEADS.items(), SMALL_BERTS[layers], strict=True):
        bert = config(layers=layers, width=width, heads=width // 64, vocab=30_522)
        assert count(bert) == expected
        assert count(bert, mlm=True) == expected + head


DISTILLED = {"type_vocab_size": 0, "pooler": "first_token"}


@pytest.mark.parametrize(
    ("layers", "vocab", "more", "expected"),
    [
        (12, 28_996, {}, 108_310_272),  # BERT-Base, cased
        (12, 8_002, {}, 92_186_880),  # KoBERT
        (6, 28_996, DISTILLED, 65_190_912),  # DistilBERT, cased
        (6, 30_522, DISTILLED, 66_362_880),  # uncased
        (6, 119_547, DISTILLED, 134_734_080),  # multilingual
        (3, 8_002, DISTILLED, 27_803_904),  # DistilKoBERT
    ],
)
def test_the_base_models_have_their_numbers_of_parameters(layers, vocab, more, expected):
    assert count(config(layers=layers, width=768, heads=12, vocab=vocab, **more)) == expected


def test_the_numbers_of_tensors_are_those_of_the_tf_hub_modules():
    """16 a layer beside 7, or 4 without pooler and type table; the head adds 5."""
    small = config(layers=2, width=128, heads=2, vocab=30_522)
    assert len(shapes(small)) == 16 * 2 + 7
    assert len(shapes(small, mlm=True)) == 16 * 2 + 12
    assert len(shapes(config(layers=3, width=768, heads=12, vocab=8_002, **DISTILLED))) == 16 * 3 + 4


def test_shapes_tell_every_size_apart():
    odd = EncoderConfig(
        vocab_size=99,
        hidden_size=12,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=37,
        max_position_embeddings=41,
    )
    made = shapes(odd, mlm=True)
    assert made["embeddings.word_embeddings.weight"] == (99, 12)
    assert made["embeddings.position_embeddings.weight"] == (41, 12)
    assert made["embeddings.token_type_embeddings.weight"] == (2, 12)
    assert made["encoder.layer.2.intermediate.dense.weight"] == (37, 12)
    assert made["encoder.layer.2.output.dense.weight"] == (12, 37)
    assert made["cls.predictions.bias"] == (99,)
    assert "encoder.layer.3.output.dense.weight" not in made
    assert [row.layer for row in rows(odd) if row.name.endswith("query.bias")] == [0, 1, 2]


def test_linear_maps_have_their_shapes():
    maps = (DenseConfig(in_features=12, out_features=7), DenseConfig(in_features=7, out_features=5, bias=False))
    assert sentence_shapes(SentenceConfig(dense=maps)) == {
        "sentence.0.weight": (7, 12),
        "sentence.0.bias": (7,),
        "sentence.1.weight": (5, 7),
    }
    assert sentence_shapes(SentenceConfig()) == {}


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (HeadConfig(task="classify", labels=("a", "b", "c")), {"classifier.weight": (3, 12), "classifier.bias": (3,)}),
        (HeadConfig(task="tag", labels=("a", "b")), {"classifier.weight": (2, 12), "classifier.bias": (2,)}),
        (HeadConfig(task="answer"), {"qa_outputs.weight": (2, 12), "qa_outputs.bias": (2,)}),
        (
            HeadConfig(task="pair", labels=("a", "b"), pre_classifier=True),
            {
                "pre_classifier.weight": (12, 12),
                "pre_classifier.bias": (12,),
                "classifier.weight": (2, 12),
                "classifier.bias": (2,),
            },
        ),
        (HeadConfig(task="similarity"), {}),
        (None, {}),
    ],
)
def test_heads_have_their_shapes(head, expected):
    assert head_shapes(config(layers=1, width=12, heads=4, vocab=99), head) == expected


def test_every_mismatch_is_listed():
    expected = {"word": (3, 7), "position": (5,), "bias": (2,), "scale": (2,)}
    found = {"wrod": np.zeros(1, np.float32), "position": np.zeros(4, np.float32), "scale": np.zeros(2, np.int8)}
    assert mismatches(expected, in_memory({**found, "bias": np.zeros(2, np.float16)})) == [
        "position has shape [4] where the configuration says [5]",
        "scale holds int8 where wellread computes with floats",
        "word is missing",
        "wrod is surplus (did you mean word?)",
    ]
