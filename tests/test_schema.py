"""records: JSON becomes a dataclass of exactly the declared types, or is refused with every fault."""

import dataclasses
import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wellread.config import POOLINGS, DenseConfig, EncoderConfig, SentenceConfig
from wellread.errors import ConfigError
from wellread.schema import record

SIZES = {
    "vocab_size": 99,
    "hidden_size": 12,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "max_position_embeddings": 41,
}
WRONG = ["12", None, True, [12], {"a": 12}, 12.5, 1e400, float("nan")]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Book:
    """A record of every kind of field."""

    title: str
    pages: int = 1
    price: float = 0.0
    isbn: str | None = None
    notes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    maps: tuple[DenseConfig, ...] = ()
    cover: DenseConfig | None = None


def test_every_kind_of_field_is_made():
    data = {"title": "t", "pages": 7, "price": 3, "isbn": None, "notes": {"a": "b"}}
    maps = [{"in_features": 12, "out_features": 7, "bias": False}]
    assert record(Book, {**data, "maps": maps}, source="x") == Book(
        **data, maps=(DenseConfig(in_features=12, out_features=7, bias=False),)
    )


def test_a_dataclass_may_be_absent():
    cover = {"in_features": 12, "out_features": 7}
    assert record(Book, {"title": "t", "cover": cover}, source="x").cover == DenseConfig(in_features=12, out_features=7)
    assert record(Book, {"title": "t", "cover": None}, source="x").cover is None
    with pytest.raises(ConfigError, match="found that cover is 7, not "):
        record(Book, {"title": "t", "cover": 7}, source="x")
    with pytest.raises(ConfigError, match=r"found that cover\.in_features is missing; cover\.out_features is '7', not"):
        record(Book, {"title": "t", "cover": {"out_features": "7"}}, source="x")


@pytest.mark.parametrize("field", ["notes", "maps"])
@pytest.mark.parametrize("value", ["a", None, 7, [7], {"a": 7}])
def test_no_collection_of_another_kind_passes(field, value):
    with pytest.raises(ConfigError, match=f"found that {field}.* is .*, not "):
        record(Book, {"title": "t", field: value}, source="x")


def test_all_faults_are_listed_at_once():
    data = {"titel": "t", "pages": True, "price": 1e400, "isbn": 7, "notes": {"a": 1}, "maps": [{"in_features": "12"}]}
    with pytest.raises(ConfigError) as error:
        record(Book, data, source="book.json")
    assert str(error.value) == (
        "book.json must describe a Book; found that titel is unknown (did you mean title?); title is missing; "
        "pages is True, not int; price is inf, not float; isbn is 7, not str | None; notes.a is 1, not str; "
        "maps.0.out_features is missing; maps.0.in_features is '12', not int; correct the file"
    )


@pytest.mark.parametrize("field", SIZES)
@pytest.mark.parametrize("value", WRONG)
def test_no_size_of_another_type_passes(field, value):
    with pytest.raises(
        ConfigError, match=f"config.json must describe a EncoderConfig; found that {field} is .*, not int"
    ):
        record(EncoderConfig, {**SIZES, field: value}, source="config.json")


@pytest.mark.parametrize("field", ["layer_norm_eps", "initializer_range", "hidden_dropout_prob"])
@pytest.mark.parametrize("value", ["0.1", None, True, 1e400, 10**400, [0.1]])
def test_no_rate_of_another_type_passes(field, value):
    with pytest.raises(ConfigError, match=f"{field} is .*, not float"):
        record(EncoderConfig, {**SIZES, field: value}, source="config.json")


def test_what_the_class_finds_wrong_names_the_file_too():
    with pytest.raises(
        ConfigError, match=r"^config\.json: hidden_size must be a multiple of num_attention_heads; found 13"
    ):
        record(EncoderConfig, {**SIZES, "hidden_size": 13}, source="config.json")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([field.name for field in dataclasses.fields(SentenceConfig)]), JSON))
def test_any_json_becomes_a_record_or_one_named_error(data):
    try:
        made = record(SentenceConfig, json.loads(json.dumps(data)), source="x")
    except ConfigError:
        return
    assert set(made.poolings) <= set(POOLINGS)
    assert type(made.max_seq_length) is int
