"""Bars on stderr, one display for work inside other work."""

from __future__ import annotations

from wellread.progress import LONG, progress, rows_progress


def test_work_inside_other_work_shows_beside_it_and_goes_away(capsys):
    with progress(3, show=True, label="steps") as outer:
        for _ in range(3):
            with progress(2, show=True, label="teacher") as inner:
                inner(2)
            outer(1)
    shown = capsys.readouterr()
    assert "3/3" in shown.err
    assert "steps" in shown.err
    assert "teacher" not in shown.err.splitlines()[-1]
    assert not shown.out


def test_a_display_that_failed_is_not_taken_for_an_open_one(capsys):
    for _ in range(2):
        try:
            with progress(3, show=True):
                raise ValueError
        except ValueError:
            pass
    with progress(1, show=True, label="after") as advance:
        advance(1)
    assert "after" in capsys.readouterr().err


def test_nothing_is_shown_where_nobody_looks(capsys):
    with progress(10 * LONG) as advance:
        advance(1)
    assert capsys.readouterr() == ("", "")


def test_rows_are_told_with_their_rate_and_those_that_were_there_do_not_count_for_it(capsys):
    with rows_progress(5_000, show=True) as advance:
        advance(4_000, 0.8, skipped=True)
        advance(1_000, 1.0)
    said = capsys.readouterr().err
    assert "5,000 of 5,000 rows" in said
    assert "rows/s" in said
    with rows_progress(None, show=False) as advance:
        advance(1, 0.5)
    assert capsys.readouterr() == ("", "")
