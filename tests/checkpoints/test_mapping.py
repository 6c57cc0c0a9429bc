"""mapping: a file's tensors are all used, ignored for a reason, or refused together."""

import numpy as np
import pytest

from wellread.checkpoints.checkpoint import in_memory
from wellread.checkpoints.families.bert import FAMILY as BERT
from wellread.checkpoints.families.distilbert import FAMILY as DISTILBERT
from wellread.checkpoints.family import to_ours, to_theirs
from wellread.checkpoints.names import shapes
from wellread.config import EncoderConfig
from wellread.errors import WeightsError

CONFIG = EncoderConfig(
    vocab_size=99,
    hidden_size=12,
    num_hidden_layers=3,
    num_attention_heads=4,
    intermediate_size=37,
    max_position_embeddings=41,
)
WORDS = "embeddings.word_embeddings.weight"


def drawn(*, mlm=False):
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes(CONFIG, mlm=mlm).items()}


def read(arrays, *, family=BERT, config=CONFIG, ignore=()):
    return to_ours(family, config, in_memory(arrays), source="a file", ignore=ignore)


def test_the_prefix_stands_beside_the_head_alone():
    assert WORDS in to_theirs(BERT, CONFIG, drawn(), mlm=False)
    written = to_theirs(BERT, CONFIG, drawn(mlm=True), mlm=True)
    assert f"bert.{WORDS}" in written
    assert "bert.pooler.dense.weight" in written
    assert "cls.predictions.bias" in written


@pytest.mark.parametrize("prefix", ["", "bert."])
def test_the_prefix_may_be_there_or_not(prefix):
    assert read({prefix + name: array for name, array in drawn().items()}).tensors.keys() == drawn().keys()


def test_the_names_of_old_layer_norms_are_read():
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): array
        for name, array in drawn(mlm=True).items()
    }
    assert "encoder.layer.0.output.LayerNorm.gamma" in old
    found = read(old).tensors
    for name, array in drawn(mlm=True).items():
        np.testing.assert_array_equal(found[name].read(), array)


def test_without_pooler_position_0_is_the_pooled_output():
    arrays = {name: array for name, array in drawn().items() if not name.startswith("pooler.")}
    found = read(arrays)
    assert found.config.pooler == "first_token"
    assert found.tensors.keys() == arrays.keys()


def test_half_a_pooler_or_half_a_head_is_no_absence():
    arrays = drawn(mlm=True)
    del arrays["pooler.dense.bias"], arrays["cls.predictions.transform.dense.weight"]
    with pytest.raises(
        WeightsError, match=r"cls\.predictions\.transform\.dense\.weight is missing; pooler\.dense\.bias is missing"
    ):
        read(arrays)


def test_what_no_output_needs_is_ignored_with_its_reason():
    more = {
        "embeddings.position_ids": np.arange(41)[None],
        "embeddings.token_type_ids": np.zeros((1, 41), np.int64),
        "classifier.weight": np.zeros((2, 12), np.float32),
        "cls.seq_relationship.bias": np.zeros(2, np.float32),
        "cls.predictions.decoder.weight": drawn()[WORDS],
    }
    ignored = read({**drawn(mlm=True), **more}).ignored
    assert list(ignored) == sorted(more)
    assert ignored["cls.predictions.decoder.weight"] == f"a copy of {WORDS}"
    assert ignored["embeddings.position_ids"] == "a buffer: 0, 1, 2 ..."


def test_every_fault_is_listed_at_once():
    arrays = drawn()
    del arrays["embeddings.LayerNorm.bias"]
    arrays["encoder.layer.1.output.dense.bias"] = np.zeros(13, np.float32)
    arrays["encoder.layer.2.output.dense.bias"] = np.zeros(12, np.int8)
    arrays["encoder.layer.3.output.dense.bias"] = np.zeros(12, np.float32)
    with pytest.raises(WeightsError) as error:
        read(arrays)
    assert str(error.value) == (
        "the tensors of a file must be those of its bert configuration; found that "
        "embeddings.LayerNorm.bias is missing; "
        "encoder.layer.1.output.dense.bias has shape [13] where the configuration says [12]; "
        "encoder.layer.2.output.dense.bias holds int8 where wellread computes with floats; "
        "encoder.layer.3.output.dense.bias is surplus (did you mean encoder.layer.2.output.dense.bias?); "
        "correct config.json or fetch the weights again"
    )


def test_an_output_table_of_its_own_is_refused():
    with pytest.raises(
        WeightsError, match=rf"cls\.predictions\.decoder\.weight differs from {WORDS}, of which it must be"
    ):
        read({**drawn(mlm=True), "cls.predictions.decoder.weight": drawn()[WORDS] + 1})


def test_a_head_that_is_not_its_own_is_passed_over_as_a_whole():
    other = {**drawn(mlm=True), "cls.predictions.decoder.weight": drawn()[WORDS] + 1}
    part = {**drawn(), "cls.predictions.bias": np.zeros(99, np.float32)}
    for arrays in (other, part):
        with pytest.raises(WeightsError, match=r"without this head: ignore=\['cls\.\*'\]"):
            read(arrays)
        found = read(arrays, ignore=["cls.*"])
        assert found.tensors.keys() == drawn().keys()
        assert found.ignored == dict.fromkeys(arrays.keys() - drawn().keys(), "passed over as the caller asked")
    with pytest.raises(WeightsError, match="of which it must be a copy"):
        read(other, ignore=["cls.predictions.decoder.*"])  # the head would compute with another table


def test_a_copy_of_what_is_not_there_is_surplus():
    with pytest.raises(WeightsError, match=r"cls\.predictions\.decoder\.bias is surplus"):
        read({**drawn(), "cls.predictions.decoder.bias": np.zeros(99, np.float32)})


def test_one_name_with_and_without_prefix_is_refused():
    with pytest.raises(WeightsError, match=rf"distinct names; found {WORDS} twice, once as bert\.{WORDS}; remove one"):
        read({**drawn(), f"bert.{WORDS}": drawn()[WORDS]})


def test_one_name_in_its_old_and_new_form_is_refused():
    with pytest.raises(
        WeightsError, match=r"found embeddings\.LayerNorm\.weight twice, once as embeddings\.LayerNorm\.gamma"
    ):
        read({**drawn(), "embeddings.LayerNorm.gamma": np.ones(12, np.float32)})


def test_a_pooler_is_surplus_in_a_family_without():
    config = EncoderConfig(
        vocab_size=99,
        hidden_size=12,
        num_hidden_layers=1,
        num_attention_heads=4,
        intermediate_size=37,
        **DISTILBERT.constants,
    )
    arrays = {name: np.zeros(shape, np.float32) for name, shape in shapes(config).items()}
    written = {**to_theirs(DISTILBERT, config, arrays, mlm=False), "pooler.dense.bias": np.zeros(12, np.float32)}
    with pytest.raises(WeightsError, match=r"distilbert configuration; found that pooler\.dense\.bias is surplus"):
        read(written, family=DISTILBERT, config=config)


def test_a_billion_layers_cost_nothing():
    config = EncoderConfig(
        vocab_size=99, hidden_size=12, num_hidden_layers=10**9, num_attention_heads=4, intermediate_size=37
    )
    with pytest.raises(WeightsError, match="1000000000 layers were asked of a file; found 55 tensors in all"):
        read(drawn(), config=config)
