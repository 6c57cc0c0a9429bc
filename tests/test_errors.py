"""The tree of errors, extras that are missing, and progress."""

from __future__ import annotations

import inspect

import pytest

from wellread import errors
from wellread.errors import MissingExtra, WellreadError, nearest, require_extra
from wellread.progress import LONG, progress

TREE = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, WellreadError)]


@pytest.mark.parametrize("kind", TREE)
def test_every_error_is_in_the_tree_and_in_its_drawing(kind):
    assert issubclass(kind, WellreadError)
    assert kind.__name__ in errors.__doc__
    assert kind.__doc__


def test_a_missing_extra_says_how_to_get_it():
    require_extra("numpy", extra="train")
    with pytest.raises(MissingExtra, match=r'this needs no_such_package, .*pip install "wellread\[tf\]"'):
        require_extra("no_such_package", extra="tf")


def test_nearest_says_nothing_where_nothing_is_near():
    assert nearest("xyz", ["hidden_size"]) == ""


def test_progress_is_shown_on_stderr_when_asked_for(capsys):
    with progress(3, show=True, label="rows") as advance:
        advance(3)
    shown = capsys.readouterr()
    assert "rows" in shown.err
    assert "3/3" in shown.err
    assert shown.out == ""


@pytest.mark.parametrize("show", [None, False])
def test_progress_is_quiet_where_no_person_looks(show, capsys):
    with progress(LONG + 1, show=show) as advance:
        advance(1)
    assert capsys.readouterr().err == ""
