"""The code of documents 000, 001 and 003 runs with the handles that they print, under tf_keras and under Keras 3."""

import numpy as np
import pytest
from true_shapes import DOCUMENTS, run_blocks

from wellread.export.dialect import tfhub_tokenizer

BLOCKS = {
    "000": ["one_text", "pairs"],
    "001": ["one_text", "pairs"],
    "003": ["one_text", "in_a_dataset", "masked_words"],
}


@pytest.mark.parametrize("world", ["tf_keras", "keras"])
@pytest.mark.parametrize("document", BLOCKS)
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
