"""tables: one row that stands for many."""

import pytest

from wellread.catalog.modules import HERE, expanded, families, table


def test_every_list_of_a_row_is_an_axis():
    row = {"handle": "{a}-{b}", "a": [1, 2], "b": ["x", "y"], "mlm": True}
    made = list(expanded(row))
    assert [one["handle"] for one in made] == ["1-x", "1-y", "2-x", "2-y"]
    assert [one["a"] for one in made] == [1, 1, 2, 2]
    assert all(one["mlm"] is True for one in made)


def test_texts_are_filled_with_the_facts_beside_the_row():
    assert list(expanded({"handle": "{name}/{version}", "version": [3]}, name="bert")) == [
        {"handle": "bert/3", "version": 3}
    ]
    with pytest.raises(KeyError):
        list(expanded({"handle": "{nobody}"}))


def test_a_row_without_lists_stands_for_itself():
    assert list(expanded({"handle": "a", "version": 1})) == [{"handle": "a", "version": 1}]


def test_a_family_is_a_file():
    assert families() == ["bert", "distilbert", "kobert", "minilm", "small_bert"]
    assert all((HERE / "families" / f"{family}.toml").is_file() for family in families())
    assert table("families/bert") is table("families/bert")  # read once
