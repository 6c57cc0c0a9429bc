"""benchmark hub: real jobs of a small size, and what is made of their laps."""

import json
from dataclasses import replace

import pytest

from benchmarks.hub import HubRow, run_hub
from benchmarks.report import as_json, render
from wellread.errors import BenchError, InputError


@pytest.fixture(scope="module")
def result():
    """A run over 9 MB: large enough for the way that large files take."""
    return run_hub(size=9_000_000, rounds=1, show_progress=False)


def test_every_job_is_done(result):
    assert [row.job for row in result.rows] == ["plain_file", "pull_file", "plain_archive", "pull_archive"]
    assert all(row.median > 0 for row in result.rows)
    assert result.machine.versions.keys() == {"huggingface-hub", "urllib3"}


def test_what_was_pulled_opens_at_once_and_without_the_network(result):
    assert result.connections == 0
    assert set(result.opening) == {"file", "archive", "load"}
    assert all(0 < seconds < 0.5 for seconds in result.opening.values())


def test_a_ratio_is_over_the_plain_download_of_the_same(result):
    jobs = {"plain_file": (1.0, 3.0, 2.0), "pull_file": (4.0,), "plain_archive": (3.0,), "pull_archive": (1.5,)}
    made = replace(result, rows=tuple(HubRow(job=job, seconds=laps) for job, laps in jobs.items()), size=400_000_000)
    assert [made.ratio(row) for row in made.rows] == [1.0, 0.5, 1.0, 2.0]
    text = render(made)
    assert text.startswith(
        "a module of 400 MB from a server on this machine, median of 1 rounds in turn; once pulled, resolved"
    )
    assert "| Hugging Face id: wellread pull               |    4.00 | 4.00 to 4.00 |    0.50 |" in text
    assert [row["ratio"] for row in json.loads(as_json(made))["rows"]] == [1.0, 0.5, 1.0, 2.0]


@pytest.mark.parametrize("wrong", [{"size": 0}, {"rounds": 0}])
def test_nothing_cannot_be_measured(wrong):
    with pytest.raises(InputError, match="at least 1 byte and 1 round are measured; found"):
        run_hub(**wrong)


def test_a_job_that_fails_is_named(monkeypatch):
    monkeypatch.setattr("benchmarks.hub.WHAT", {"no_such_job": ("a", "b")})
    with pytest.raises(BenchError, match="no_such_job was asked to run; its process ended with code 1: KeyError"):
        run_hub(size=1, rounds=1, show_progress=False)
