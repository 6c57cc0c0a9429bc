"""pages: the handles of the documents and their kin, with shapes whose parameters are those that are published."""

import re

import numpy as np
import pytest

from wellread.catalog.modules import find_page, known_page, pages, preprocessors
from wellread.checkpoints.names import shapes
from wellread.checkpoints.tf_variables import EXACT_GELU, GOOGLE_GELU
from wellread.config import ACTIVATIONS, DIALECTS
from wellread.errors import HandleError

GOOGLE, JEONGUKJAE = "https://tfhub.dev/tensorflow/", "https://tfhub.dev/jeongukjae/"
# Encoder parameters, pooler included, in the order of L 2, 4 ... 12 (Turc et al. 2019, and computed).
SMALL = {
    "128_A-2": [4_385_920, 4_782_464, 5_179_008, 5_575_552, 5_972_096, 6_368_640],
    "256_A-4": [9_591_040, 11_170_560, 12_750_080, 14_329_600, 15_909_120, 17_488_640],
    "512_A-8": [22_458_880, 28_763_648, 35_068_416, 41_373_184, 47_677_952, 53_982_720],
    "768_A-12": [38_603_520, 52_779_264, 66_955_008, 81_130_752, 95_306_496, 109_482_240],
}
PUBLISHED = {
    **{
        f"{GOOGLE}small_bert/bert_en_uncased_L-{layers}_H-{width}/1": count
        for width, counts in SMALL.items()
        for layers, count in zip(range(2, 14, 2), counts, strict=True)
    },
    f"{GOOGLE}bert_en_cased_L-12_H-768_A-12/4": 108_310_272,
    f"{JEONGUKJAE}distilbert_en_cased_L-6_H-768_A-12/1": 65_190_912,
    f"{JEONGUKJAE}distilbert_en_uncased_L-6_H-768_A-12/1": 66_362_880,
    f"{JEONGUKJAE}distilbert_multi_cased_L-6_H-768_A-12/1": 134_734_080,
    f"{JEONGUKJAE}distilkobert_cased_L-3_H-768_A-12/1": 27_803_904,
    "Dimitre/bert_en_cased_L-12_H-768_A-12": 108_310_272,
}
# What the four documents print.
PAIRS = {
    f"{JEONGUKJAE}distilkobert_cased_L-3_H-768_A-12/1": f"{JEONGUKJAE}distilkobert_cased_preprocess/1",
    f"{JEONGUKJAE}distilbert_en_cased_L-6_H-768_A-12/1": f"{JEONGUKJAE}distilbert_en_cased_preprocess/1",
    f"{GOOGLE}small_bert/bert_en_uncased_L-12_H-512_A-8/1": f"{GOOGLE}bert_en_uncased_preprocess/3",
    "Dimitre/bert_en_cased_L-12_H-768_A-12": "Dimitre/bert_en_cased_preprocess",
}


@pytest.mark.parametrize("handle", PUBLISHED)
def test_a_page_has_the_parameters_that_are_published(handle):
    entry, page = find_page(handle)
    tensors = shapes(entry.config(page.hidden_act), mlm=False)
    assert sum(int(np.prod(shape)) for shape in tensors.values()) == PUBLISHED[handle]


@pytest.mark.parametrize("handle", PAIRS)
def test_the_pairs_are_those_of_the_documents(handle):
    assert find_page(handle)[1].preprocessor == PAIRS[handle]


def test_every_handle_says_its_shape_and_case():
    assert len(pages()) == 24 * 2 + 4 * 2 + 4 * 2 + 3 + 1 + 1
    for handle, (entry, page) in pages().items():
        assert "{" not in handle
        assert page.handle == handle
        assert f"L-{entry.num_hidden_layers}_H-{entry.hidden_size}_A-{entry.num_attention_heads}" in handle
        assert entry.hidden_size == 64 * entry.num_attention_heads
        text = preprocessors()[page.preprocessor]
        assert text.vocabulary is entry.vocabulary
        assert text.dialect == page.dialect
        assert text.dialect in DIALECTS
        if text.vocabulary.do_lower_case is not None:
            assert text.vocabulary.do_lower_case == ("uncased" in handle)


def test_googles_modules_compute_the_tanh_form_of_gelu_and_distilberts_the_exact():
    for entry, page in pages().values():
        assert page.hidden_act == (GOOGLE_GELU if entry.architecture == "bert" else EXACT_GELU)
        assert bool(page.mlm) == (entry.architecture == "bert")
        assert page.hidden_act in ACTIVATIONS


def test_the_chinese_page_does_not_say_its_case():
    unsaid = [handle for handle, (entry, _) in pages().items() if entry.vocabulary.do_lower_case is None]
    assert unsaid == [f"{GOOGLE}bert_zh_L-12_H-768_A-12/{version}" for version in (3, 4)]


def test_a_handle_may_be_written_as_the_documents_title_it():
    name = "jeongukjae/distilkobert_cased_L-3_H-768_A-12/1"
    assert find_page(name) is find_page(f"https://tfhub.dev/{name}")
    assert find_page(name)[1].hub == "tfhub"
    assert find_page("Dimitre/bert_en_cased_L-12_H-768_A-12")[1].hub == "huggingface"


@pytest.mark.parametrize(
    ("handle", "reason"),
    [
        (f"{GOOGLE}bert_en_uncased_L-12_H-768_A-12/1", "versions 1 and 2 take a list and return a tuple"),
        (f"{GOOGLE}bert_zh_L-12_H-768_A-12/2", "versions 1 and 2 take a list and return a tuple"),
        ("https://tfhub.dev/google/bert_uncased_L-12_H-768_A-12/1", "it is a module for TensorFlow 1 (hub.Module)"),
        ("google/small_bert/bert_uncased_L-2_H-128_A-2/2", "it is a module for TensorFlow 1 (hub.Module)"),
        (f"{JEONGUKJAE}distilkobert_sentence_encoder/1", "it returns one tensor instead of a dict of outputs"),
        (f"{GOOGLE}bert_en_uncased_preprocess/3", "it is a preprocessor, which comes with its encoder"),
    ],
)
def test_what_cannot_come_back_is_refused_by_name(handle, reason):
    with pytest.raises(
        HandleError,
        match=rf"the module {re.escape(handle)} was asked for; found that {re.escape(reason)}.*; choose another handle",
    ):
        find_page(handle)


def test_small_bert_has_dicts_in_version_1_and_is_not_refused():
    assert find_page(f"{GOOGLE}small_bert/bert_en_uncased_L-2_H-128_A-2/1")[1].mlm


def test_an_unknown_handle_is_told_the_nearest():
    wrong = f"{GOOGLE}small_bert/bert_en_uncased_L-12_H-512_A-9/1"
    assert known_page(wrong) is None
    assert known_page("https://elsewhere.org/a_preprocess/1") is None
    with pytest.raises(HandleError) as error:
        find_page(wrong)
    assert str(error.value) == (
        f"the page of {wrong!r} was asked for; wellread's catalog has 69 encoders, and not this one; correct the "
        f"handle (did you mean {GOOGLE}small_bert/bert_en_uncased_L-12_H-512_A-8/1?)"
    )
