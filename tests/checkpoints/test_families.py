"""families: every table is a bijection, and what it names is what Hugging Face has."""

import numpy as np
import pytest
import transformers

from wellread.checkpoints.checkpoint import in_memory
from wellread.checkpoints.families import FAMILIES as BY_NAME
from wellread.checkpoints.family import to_ours, to_theirs
from wellread.checkpoints.names import TABLES, shapes

FAMILIES = list(BY_NAME.values())


def config_of(family, **changes):
    sizes = {
        "vocab_size": 99,
        "hidden_size": 12,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 37,
        "max_position_embeddings": 41,
    }
    return family.encoder_config({**sizes, **changes}, source="a test")


def drawn(config, *, mlm):
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes(config, mlm=mlm).items()}


@pytest.mark.parametrize("mlm", [False, True])
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_names_go_there_and_back_each_once(family, mlm):
    config = config_of(family)
    theirs = family.theirs(config, mlm=mlm)
    assert theirs.keys() == shapes(config, mlm=mlm).keys()
    assert len(set(theirs.values())) == len(theirs)
    arrays = drawn(config, mlm=mlm)
    written = to_theirs(family, config, arrays, mlm=mlm)
    assert len(written) == len(arrays)
    back = to_ours(family, config, in_memory(written), source="memory")
    assert (back.config, back.ignored) == (config, {})
    assert back.tensors.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(back.tensors[name].read(), array)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_row_of_a_table_names_a_tensor_of_ours(family):
    ours = {line.split()[0] for table in TABLES.values() for line in table.strip().splitlines()}
    rows = [line.split() for line in family.tensors.strip().splitlines()]
    assert {row[0] for row in rows} <= ours
    assert all(len(row) == 2 for row in rows)
    assert len({row[0] for row in rows}) == len({row[1] for row in rows}) == len(rows)
    assert set(family.copies.values()) <= ours


@pytest.mark.parametrize("mlm", [False, True])
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_the_names_are_those_of_hugging_faces_classes(family, mlm):
    kind = getattr(transformers, family.mlm_architecture if mlm else family.architecture)
    config = config_of(family, **({"pooler": "first_token"} if mlm else {}))
    keys = {theirs: getattr(config, ours) for theirs, ours in family.keys.used.items()}
    model = kind(kind.config_class(**keys))
    written = to_theirs(family, config, drawn(config, mlm=mlm), mlm=mlm)
    weights = {name: tuple(value.shape) for name, value in model.named_parameters(remove_duplicate=False)}
    tied = family.copies.keys()
    assert {name: shape for name, shape in weights.items() if name not in tied} == {
        name: array.shape for name, array in written.items()
    }


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_heads_name_hugging_faces_classes_and_keys(family):
    assert {kind.task for kind in family.heads} <= {"classify", "tag", "answer"}
    for kind in family.heads:
        config = getattr(transformers, family.head_architecture(kind)).config_class()
        assert config.model_type == family.name
        assert kind.dropout_key is None or kind.dropout_key in family.keys.ignored
        if kind.dropout_key is not None:
            assert getattr(config, kind.dropout_key) == kind.dropout


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_no_key_has_two_fates(family):
    table = family.keys
    fates = [*table.used, *table.fixed, *table.ignored]
    assert len(fates) == len(set(fates))
    assert set(table.required) <= set(table.used)
    assert all(table.ignored.values())


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_hugging_faces_default_config_is_accounted_for(family):
    table = family.keys
    defaults = getattr(transformers, family.architecture).config_class().to_dict()
    unknown = defaults.keys() - {*table.used, *table.fixed, *table.ignored}
    assert not unknown
    assert all(defaults[key] in values for key, values in table.fixed.items() if key in defaults)
