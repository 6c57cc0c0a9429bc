"""keys: every key of a file is used, ignored for a reason or refused; all faults at once."""

import math
import re

import pytest

from wellread.errors import CheckpointError, ConfigError
from wellread.schema import Keys, KeyTable, account_for, read_json, write_json

TABLE = KeyTable(
    used={"dim": "hidden_size", "n_layers": "num_hidden_layers"},
    required=("dim",),
    fixed={"is_decoder": [False], "pruned_heads": [{}, None]},
    ignored={"use_cache": "for decoders"},
)


def sort(data, **options):
    return account_for(data, TABLE, source="config.json", **options)


def test_keys_are_renamed_and_reasons_kept():
    data = {"dim": 12, "is_decoder": False, "pruned_heads": None, "use_cache": True}
    assert sort(data) == Keys(used={"hidden_size": 12}, ignored={"use_cache": "for decoders"})


def test_all_faults_are_listed_at_once():
    with pytest.raises(ConfigError) as error:
        sort({"dimm": 12, "zzz": 1, "is_decoder": True, "pruned_heads": {"0": [1]}})
    assert str(error.value) == (
        "every key of config.json must be accounted for; found that dimm is unknown (did you mean dim?); "
        "zzz is unknown; dim is missing; is_decoder is True, and wellread computes only False; "
        "pruned_heads is {'0': [1]}, and wellread computes only {}, None; "
        "correct the file, or name keys that may be passed over with ignore="
    )


def test_what_the_caller_passes_over_is_kept_with_that_reason():
    data = {"dim": 12, "zzz": 1, "is_decoder": True, "use_cache": True}
    found = sort(data, ignore=["zzz", "is_decoder", "use_cache"])
    asked = "passed over as the caller asked"
    assert found.ignored == {"use_cache": "for decoders", "zzz": asked, "is_decoder": asked}


def test_a_missing_or_used_key_cannot_be_passed_over():
    with pytest.raises(ConfigError, match="dim is missing"):
        sort({}, ignore=["dim"])
    assert sort({"dim": 12}, ignore=["dim"]).used == {"hidden_size": 12}


OPEN = KeyTable(
    used={"dim": "hidden_size", "pad_token_id": "pad_token_id"},
    required=("dim",),
    nullable=("pad_token_id",),
    fixed={"is_decoder": [False]},
    equal={"width": "dim"},
    ignored={"use_cache": "for decoders"},
    patterns={"*dropout*": "a rate of training", "*norm*": None, "*layer*": None},
)


def test_an_open_table_ignores_what_nobody_knows_and_says_so():
    data = {"dim": 12, "author": "me", "norm_dropout": 0.5, "layers_from": None, "norm_first": False, "width": 12}
    assert account_for(data, OPEN, source="config.json") == Keys(
        used={"hidden_size": 12},
        ignored={
            "author": "unknown; nothing that wellread computes is known to depend on it",
            "norm_dropout": "unknown; a rate of training, by its name",
            "layers_from": "unknown, and switched off",
            "norm_first": "unknown, and switched off",
        },
    )


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"pad_tokn_id": 0}, r"pad_tokn_id is unknown \(did you mean pad_token_id\?\)"),
        ({"is_decodr": False}, r"is_decodr is unknown \(did you mean is_decoder\?\)"),
        ({"PreNorm": True}, "PreNorm is True, which is unknown, and by its name may touch what wellread computes"),
        ({"width": 7}, "width is 7, and wellread computes only dim, 12"),
        ({"is_decoder": True}, "is_decoder is True, and wellread computes only False"),
        ({"pad_token_id": None, "dim": None}, None),
    ],
)
def test_an_open_table_refuses_what_may_touch_the_arithmetic(change, found):
    data = {"dim": 12, **change}
    if found is None:
        keys = account_for(data, OPEN, source="config.json")
        assert keys == Keys(used={"hidden_size": None}, ignored={"pad_token_id": "null, as if it were absent"})
        return
    with pytest.raises(ConfigError, match=f"found that {found}; correct the file"):
        account_for(data, OPEN, source="config.json")
    asked = account_for(data, OPEN, source="config.json", ignore=["*"])
    assert asked.ignored == dict.fromkeys(change, "passed over as the caller asked")


def test_keys_are_passed_over_by_pattern():
    assert list(sort({"dim": 12, "zzz": 1, "zzy": 2}, ignore=["zz?"]).ignored) == ["zzz", "zzy"]


def test_a_long_value_is_shortened_in_the_message():
    with pytest.raises(ConfigError) as error:
        sort({"dim": 12, "is_decoder": "x" * 10_000})
    assert len(str(error.value)) < 300


def test_json_is_read(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"a": "가"}', "utf-8")
    assert read_json(path) == {"a": "가"}


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (b"[7]", "it holds a list, not an object"),
        (b'{"a": 1, "a": 2}', "the key 'a' stands twice"),
        (b'{"a": NaN}', "it holds NaN, which is not JSON"),
        (b"{", "Expecting property name"),
        (b"\xff", "codec can't decode"),
        (b'{"a": ' + b"[" * 100_000, "it is nested too deep"),
        (b'{"a": ' + b"9" * 5000 + b"}", "Exceeds the limit"),
    ],
)
def test_json_that_is_no_object_is_named(tmp_path, raw, found):
    path = tmp_path / "config.json"
    path.write_bytes(raw)
    with pytest.raises(CheckpointError, match=f"was to be read as a JSON object; found that .*{re.escape(found)}"):
        read_json(path)


@pytest.mark.parametrize(("name", "why"), [("gone.json", "No such file"), ("", "Is a directory")])
def test_a_file_that_is_missing_is_named(tmp_path, name, why):
    with pytest.raises(CheckpointError, match=rf"was to be read; found no such file \({why}.*\); check the path"):
        read_json(tmp_path / name)


def test_json_is_written_for_people_and_read_back(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": ["가", 1.5, None]})
    assert path.read_bytes() == '{\n  "a": [\n    "가",\n    1.5,\n    null\n  ]\n}\n'.encode()
    assert read_json(path) == {"a": ["가", 1.5, None]}


@pytest.mark.parametrize("value", [math.nan, math.inf, {1, 2}, "\ud800"])
def test_what_json_cannot_hold_is_refused_and_nothing_is_written(tmp_path, value):
    path = tmp_path / "a.json"
    with pytest.raises(
        CheckpointError, match=r"a\.json was to be written; found what JSON cannot hold: .*; write texts"
    ):
        write_json(path, {"a": value})
    assert not path.exists()
