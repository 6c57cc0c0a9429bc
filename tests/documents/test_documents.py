"""The code of the documents runs with the handles that they print, under tf_keras and under Keras 3."""

from dataclasses import replace

import numpy as np
import pytest
from true_shapes import DOCUMENTS, ON_HUGGING_FACE, run_blocks

from wellread.export.dialect import tfhub_tokenizer

BLOCKS = {
    "000": ["one_text", "pairs"],
    "001": ["one_text", "pairs"],
    "003": ["one_text", "in_a_dataset", "masked_words"],
}


RUNS = [(document, world) for document in BLOCKS for world in ("tf_keras", "keras")]
# minutes each: 004 runs the blocks of 003 in the gate, and 000 those of 001
LONG = [("003", "tf_keras"), ("003", "keras"), ("001", "tf_keras"), ("001", "keras")]


@pytest.mark.parametrize(
    ("document", "world"), [pytest.param(*run, marks=[pytest.mark.slow] if run in LONG else []) for run in RUNS]
)
def test_a_document_runs(document, world, tfhub_cache):
    module = tfhub_cache(document)
    request = DOCUMENTS[document].request(BLOCKS[document])
    made = run_blocks(world, request)
    assert list(made) == BLOCKS[document]
    expected = vectors(module, request["texts"])
    assert np.allclose(made["one_text"], expected, atol=1e-5)


def vectors(module, texts):
    """What the module itself makes of the texts under TF Hub's rules, as the documents pack them."""
    tokens = tfhub_tokenizer(module.tokenizer).tokenize(texts)
    packed = module.bert_pack_inputs([tokens], seq_length=128)
    return module(packed)["pooled_output"][:, :4]


SHAPES = [
    pytest.param(replace(ON_HUGGING_FACE, layers=2, hidden=128, heads=2), id="small"),
    pytest.param(ON_HUGGING_FACE, id="true", marks=pytest.mark.slow),
]
BY_WORLD = {
    "tf_keras": ["from_the_hub", "pairs_from_the_hub", "in_a_dataset_from_the_hub", "masked_words_from_the_hub"],
    "keras": ["from_the_hub", "pairs_from_the_hub", "pulled", "pulled_masked_words", "masked_words_from_the_hub"],
}


@pytest.mark.parametrize("document", SHAPES)
def test_document_004_runs(document, hugging_face):
    """Its handles are ids of Hugging Face, which the real client fetches; `pull_from_hub` is wellread's."""
    request = document.request([])
    with hugging_face(document) as environment:
        made = {
            world: run_blocks(world, {**request, "blocks": blocks}, **environment) for world, blocks in BY_WORLD.items()
        }
    expected = vectors(document.module(), request["texts"])
    for vector in (made["tf_keras"]["from_the_hub"], made["keras"]["from_the_hub"], made["keras"]["pulled"]):
        assert np.allclose(vector, expected, atol=1e-5)
    assert made["keras"]["pulled_masked_words"] == request["trainable"] + 5
