"""Reports on tiny modules, with FastText beside them: as a table, as a page, as pictures."""

from __future__ import annotations

import json
import warnings
from dataclasses import asdict, replace
from itertools import pairwise

import numpy as np
import pytest
from heads import headed_module

from wellread.data.examples import take_examples
from wellread.errors import ConfigError, InputError, MissingExtra
from wellread.measure import figures, plot
from wellread.measure import report as reporting
from wellread.measure.cited import Cited
from wellread.measure.evaluate import evaluate
from wellread.measure.fasttext import FastTextConfig, Trial, Tuned
from wellread.measure.figures import log_range, log_ticks
from wellread.measure.plot import draw_report, front
from wellread.measure.render import as_json, as_table, notes, page, pairs_table, write_report
from wellread.measure.report import Pair, Report, ReportConfig, Row, baselines, make_report
from wellread.measure.speed import Speed
from wellread.measure.systems import EvalSet, module_system
from wellread.metrics.metrics import Interval

ROWS = [{"text": f"a {word} runs", "label": label} for word, label in (("man", "good"), ("cat", "bad"))] * 10
EXAMPLES = take_examples(ROWS, text="text", label="label")
EVAL_SET = EvalSet(task="classify", examples=EXAMPLES)
FAST = FastTextConfig(bucket=530_000, epoch=20, lr=0.5)
CONFIG = ReportConfig(speed_examples=6, rounds=2, tune=False, quantised_megabytes=0.1, fasttext=FAST)
CITED = Cited(name="theirs|", megabytes=40, score=87.5, source="a page", note="test split", parameters=None)


@pytest.fixture(scope="module")
def modules(tmp_path_factory):
    files = tmp_path_factory.mktemp("files")
    return {"b|b": headed_module(files, "classify"), "a": headed_module(files, "classify", labels=("bad", "good"))}


@pytest.fixture(scope="module")
def systems(modules):
    return [module_system(name, module) for name, module in modules.items()]


@pytest.fixture(scope="module")
def report(systems):
    both = [*systems, *baselines(EXAMPLES, "classify", CONFIG)]
    return make_report(both, EVAL_SET, config=CONFIG, teacher="FastText", machine="a machine")


def row(name, megabytes, score, *, baseline=False):
    return Row(
        name=name,
        size_bytes=int(megabytes * 1e6),
        parameters=int(megabytes * 250_000),
        precision="bf16",
        scores={
            "accuracy": Interval(value=score, low=score - 0.01, high=score + 0.012),
            "macro_f1": Interval(value=0.5, low=0, high=1),
        },
        speed=Speed(rate=1234.4, slowest=1000, fastest=2000.9),
        share=None if baseline else Interval(value=0.9876, low=0.98, high=1.001),
        speedup=None if baseline else 12.345,
        training_seconds=4.25 if baseline else None,
        settings={"dim": 16, "bucket": 2_000_000, "lr": 0.1} if baseline else None,
    )


def drawn(*rows):
    return Report(
        task="classify",
        main="accuracy",
        source="dev.tsv",
        examples=15_000,
        unit="texts",
        speed_examples=1_000,
        rounds=5,
        machine="a machine",
        rows=rows,
    )


def test_rows_stand_by_size(report, systems):
    assert [one.name for one in report.rows] == ["a", "b|b", "FastText 0.1 MB", "FastText"]
    assert report.rows[0].size_bytes == systems[1].size_bytes
    assert report.rows[3].scores["accuracy"].value == 1
    assert [one.training_seconds is None for one in report.rows] == [True, True, False, False]
    assert [one.settings for one in report.rows] == [None, None, *[asdict(FAST)] * 2]
    assert [one.precision for one in report.rows[2:]] == ["pq8", "f32"]
    assert [one.tuned for one in report.rows] == [None] * 4


def test_rows_are_a_share_of_the_teacher_and_neighbours_are_compared(report, systems):
    accuracy = [one.scores["accuracy"].value for one in report.rows]
    assert [one.share.value for one in report.rows] == pytest.approx(accuracy)  # the teacher's is 1
    assert [one.speedup for one in report.rows] == [one.speed.rate / report.rows[3].speed.rate for one in report.rows]
    names = [one.name for one in report.rows]
    assert [(pair.first, pair.second) for pair in report.pairs] == list(pairwise(names))
    last = make_report([systems[0]], EVAL_SET, config=CONFIG)
    assert (last.pairs, last.teacher, last.rows[0].share, last.rows[0].speedup) == ((), None, None, None)


def test_pairs_part_where_their_interval_leaves_0_out(systems, modules):
    asked = [("a", "b|b"), ("a", "a")]
    first, same = make_report(systems, EVAL_SET, config=CONFIG, compare=asked).pairs
    found = {name: evaluate(module, EXAMPLES).scores["accuracy"].value for name, module in modules.items()}
    assert first.difference.value == pytest.approx(found["a"] - found["b|b"])
    assert first.parts == (not first.difference.low <= 0 <= first.difference.high)
    assert (same.difference.low, same.difference.high, same.parts) == (0, 0, False)


def test_every_row_has_the_scores_of_evaluate(report, modules):
    for one in report.rows[:2]:
        assert one.scores == evaluate(modules[one.name], EXAMPLES, task="classify").scores
        assert 0 < one.speed.slowest <= one.speed.rate <= one.speed.fastest


def test_what_was_measured_is_told(report):
    assert (report.task, report.main, report.source, report.unit) == ("classify", "accuracy", "the given rows", "texts")
    assert (report.examples, report.speed_examples, report.rounds, report.machine) == (20, 6, 2, "a machine")


def test_the_baseline_has_the_best_settings_of_the_grid(monkeypatch):
    tuned = Tuned(config=replace(FAST, epoch=21), held_out=2, trials=())
    monkeypatch.setattr(reporting, "tune_fasttext", lambda train, task, config: tuned)
    full, small = baselines(EXAMPLES, "classify", replace(CONFIG, tune=True))
    assert (full.settings["epoch"], full.tuned.config, len(full.tuned.quantised)) == (21, tuned.config, 2)
    assert (small.name, small.settings, small.tuned) == ("FastText 0.1 MB", full.settings, None)
    (alone,) = baselines(EXAMPLES, "classify", replace(CONFIG, tune=True, quantised_megabytes=0))
    assert alone.tuned == tuned


def test_two_texts_are_pairs_and_the_path_is_left_out(tmp_path):
    rows = [{"text": "a man", "pair": other, "score": n} for n, other in enumerate(("a cat", "paris", "the flute"))]
    examples = replace(take_examples(rows, pair="pair", score="score"), source="/somewhere/dev.tsv")
    module = headed_module(tmp_path, "similarity")
    found = make_report([module_system("m", module)], EvalSet(task="similarity", examples=examples), config=CONFIG)
    assert (found.unit, found.main, found.source, found.speed_examples) == ("pairs", "spearman", "dev.tsv", 3)
    assert "pairs/s" in as_table(found)


def test_a_report_takes_systems_with_names_of_their_own(systems):
    with pytest.raises(InputError, match="a report takes one system or more, .*; found none; name a module"):
        make_report([], EVAL_SET)
    with pytest.raises(InputError, match="each with a name of its own; found a, a; name a module, or call it"):
        make_report([systems[1]] * 2, EVAL_SET)
    for asked in ({"teacher": "aa"}, {"compare": [("a", "aa")]}):
        with pytest.raises(InputError, match="aa was asked for as a teacher or to be compared; the report has b|b, a"):
            make_report(systems, EVAL_SET, **asked)
    with pytest.raises(ConfigError, match="measured on 0 examples in 5 rounds; it takes at least 1 of each; give more"):
        ReportConfig(speed_examples=0)
    with pytest.raises(ConfigError, match="1000 examples in 0 rounds"):
        ReportConfig(rounds=0)
    with pytest.raises(ConfigError, match="a quantised FastText of -1 MB was asked for; it has 0 .none. to 1,000"):
        ReportConfig(quantised_megabytes=-1)


SPEED, FASTEST = ["texts/s", "lowest to highest", "in"], ["1,000 to 2,001", "bf16"]


def cells_of(table):
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in table.splitlines()]


def test_the_table_is_one_for_readers_of_plain_text_too():
    lines = as_table(drawn(row("small", 5.94, 0.8412), row("Fast|Text", 1155, 0.865, baseline=True))).splitlines()
    assert len({len(line) for line in lines}) == 1
    cells = cells_of("\n".join(lines))
    assert cells[0] == ["name", "MB", "parameters", "accuracy", "95 %", "macro_f1", *SPEED]
    assert cells[2] == ["small", "5.9", "1,485,000", "84.12", "83.12 to 85.32", "50.00", "1,234", *FASTEST]
    assert cells[3][:3] == ["Fast/Text", "1,155.0", "288,750,000"]


def test_beside_a_teacher_the_table_has_shares():
    header, _, first = cells_of(as_table(replace(drawn(row("small", 6, 0.84)), teacher="big|one")))
    assert header[-2:] == ["share of big/one", "its speed"]
    assert first[-2:] == ["98.76 (98.00 to 100.10)", "x 12.35"]
    assert "The share is that of t's accuracy" in notes(replace(drawn(row("t", 6, 0.84)), teacher="t"))


def test_what_is_cited_is_marked_in_the_table_and_its_source_told():
    found = replace(drawn(row("small", 6, 0.84), row("big", 60, 0.9)), cited=(CITED,))
    lines = cells_of(as_table(found))
    assert [line[0] for line in lines[2:]] == ["small", "theirs/ †", "big"]
    assert lines[3] == ["theirs/ †", "40.0", "–", "87.50", *["–"] * 5]
    assert "† was not measured here, but is cited: theirs/, 87.50: a page (test split)." in notes(found)
    assert json.loads(as_json(found))["cited"][0]["score"] == 87.5


def test_pairs_are_a_table():
    difference = Interval(value=-0.012, low=-0.02, high=-0.001)
    found = replace(drawn(row("a", 6, 0.84)), pairs=(Pair(first="a", second="b", difference=difference, parts=True),))
    assert cells_of(pairs_table(found))[2] == ["a", "b", "-1.20", "-2.00 to -0.10", "yes"]
    assert pairs_table(found) in page(found)
    assert "(Efron & Tibshirani 1993; Koehn 2004)" in notes(found)


def test_notes_say_how_it_was_measured():
    said = notes(drawn(row("small", 5, 0.8), row("FastText", 150, 0.8, baseline=True)))
    assert "Texts a second: the median of 5 rounds in turn over 1,000 examples, on a machine; the column" in said
    assert "FastText was trained in this run, in 4.2 s on one core: dim 16, bucket 2,000,000, lr 0.1." in said
    assert "over 1,000 examples; the" in notes(replace(drawn(row("small", 5, 0.8)), machine=""))
    trials = tuple(Trial(settings={"dim": 16}, accuracy=accuracy) for accuracy in (0.84, 0.8612, None))
    tuned = Tuned(config=FAST, held_out=1_000, trials=trials)
    said = notes(drawn(replace(row("FastText", 150, 0.8, baseline=True), tuned=tuned)))
    assert "Its quantised form" not in said
    both = tuple(Trial(settings={"retrain": again}, accuracy=accuracy) for again, accuracy in ((0, 0.85), (1, 0.84)))
    tuned = replace(tuned, retrain=False, quantised=both)
    cut = notes(drawn(replace(row("FastText", 150, 0.8, baseline=True), tuned=tuned)))
    assert "was not trained once more after rows were cut: on the held-out rows it has 84.00 with that and 85" in cut
    assert "are the best of 3 on 1,000 held-out rows of the training file: 86.12, the others from 84.00 on" in said


def test_all_files_are_written_and_agree(report, tmp_path):
    write_report(report, tmp_path)
    pictures = [f"report{end}" for end in ("-speed.png", "-speed.svg", ".json", ".md", ".png", ".svg")]
    assert sorted(path.name for path in tmp_path.iterdir()) == pictures
    assert (tmp_path / "report.md").read_text() == page(report)
    assert as_table(report) in page(report)
    for against, name in (("size", "report.png"), ("speed", "report-speed.png")):
        assert f"![accuracy against {against}: classify, 20 examples of the given rows]({name})" in page(report)
    data = json.loads((tmp_path / "report.json").read_text())
    assert data["rows"][3]["scores"]["accuracy"]["value"] == 1
    assert json.loads(as_json(report)) == data
    assert (tmp_path / "report.png").read_bytes().startswith(b"\x89PNG")


NEAR = [row(f"a name of {n} words", 17.5 + n / 10, 0.84 - n / 500) for n in range(8)] + [
    row("FastText", 21, 0.82, baseline=True)
]


def test_the_same_report_gives_the_same_pictures(tmp_path):
    for name in ("a", "b"):
        draw_report(drawn(*NEAR), "size", tmp_path / f"{name}.svg", tmp_path / f"{name}.png")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert "<dc:date>" not in (tmp_path / "a.svg").read_text()


SPREAD = [replace(one, speed=Speed(rate=50.0 * 2**n, slowest=1, fastest=9_999)) for n, one in enumerate(NEAR)]


@pytest.mark.parametrize("against", ["size", "speed"])
@pytest.mark.parametrize("rows", [NEAR, SPREAD, NEAR[:1], [row("a", 5, 0.5), row("b", 500, 0.9)]], ids=range(4))
def test_names_in_the_picture_do_not_overlap_and_all_are_there(rows, against):
    with figures.styled():
        figure = plot.report_figure(drawn(*rows), against)
        canvas = plot.import_module("matplotlib.backends.backend_agg").FigureCanvasAgg(figure)
        canvas.draw()
        (panel,) = figure.axes
        named = {text.get_text(): text.get_window_extent() for text in panel.texts if text.get_text()}
    assert set(named) == {one.name for one in rows}
    boxes = list(named.values())
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    frame = panel.get_window_extent().padded(1)
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 for box in boxes)


def test_points_and_bars_stand_where_the_scores_are():
    report = replace(drawn(row("a", 5, 0.8), row("b", 50, 0.9, baseline=True)), cited=(CITED,), teacher="a")
    with figures.styled():
        (panel,) = plot.report_figure(report).axes
    marks = [line for line in panel.lines if line.get_marker() in ("o", "D", "s")]
    assert [line.get_color() for line in marks] == ["#0072B2", "#D55E00", "#6e6e6e"]
    points = [[5, 80], [50, 90], [40, 87.5]]
    assert [line.get_xydata()[0].tolist() for line in marks] == [pytest.approx(point) for point in points]
    assert [line.get_markerfacecolor() for line in marks][2] == "white"  # hollow: measured elsewhere
    assert {text.get_text() for text in panel.texts} >= {"a (teacher)", "b", "theirs|"}
    bars = [segment for bar in panel.collections for segment in bar.get_segments()]
    assert [bar[:, 1].tolist() for bar in bars] == [pytest.approx([79, 81.2]), pytest.approx([89, 91.2])]
    assert panel.get_xscale() == "log"


def test_the_front_is_a_staircase_of_what_no_other_row_beats():
    rows = [row("a", 5, 0.8), row("b", 20, 0.79), row("c", 50, 0.9)]
    speeds = [
        replace(one, speed=Speed(rate=rate, slowest=1, fastest=1))
        for one, rate in zip(rows, (900, 20, 40), strict=True)
    ]
    report = replace(drawn(*speeds), cited=(replace(CITED, megabytes=4, score=99),))
    with figures.styled():
        lines = {against: plot.report_figure(report, against).axes[0].lines[-1] for against in ("size", "speed")}
    ends = {against: line.axes.get_xlim() for against, line in lines.items()}
    assert lines["size"].get_xydata() == pytest.approx(np.array([[5, 80], [50, 80], [50, 90], [ends["size"][1], 90]]))
    left = ends["speed"][0]
    assert lines["speed"].get_xydata() == pytest.approx(np.array([[900, 80], [40, 80], [40, 90], [left, 90]]))


def test_of_equal_points_one_is_on_the_front():
    assert front([(5, 0.8), (5, 0.8), (5, 0.9), (9, 0.9)]) == [2]
    assert front([]) == []


def test_dollars_in_a_name_are_no_formula(tmp_path):
    draw_report(drawn(row("a$x^$b$", 5, 0.8)), "size", tmp_path / "a.png")


def test_the_settings_of_others_stay_as_they_were():
    matplotlib = figures.import_module("matplotlib")
    before = {name: matplotlib.rcParams[name] for name in (*figures.SETTINGS, "font.family")}
    with figures.styled():
        assert matplotlib.rcParams["svg.hashsalt"] == "wellread"
    assert {name: matplotlib.rcParams[name] for name in before} == before


def test_sizes_on_the_axis_are_round_and_enough():
    for low, high in ((17, 18), (5, 400), (0.02, 160), (99, 101)):
        ends = log_range([low, high])
        ticks = log_ticks(*ends)
        assert 3 <= len(ticks) <= 12
        assert ends[0] < low <= high < ends[1]
        assert ends[0] <= ticks[0] < ticks[-1] <= ends[1]


def test_without_matplotlib_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r'this needs matplotlib, .*pip install "wellread\[report\]"'):
        draw_report(drawn(row("a", 5, 0.8)), "size", tmp_path / "a.png")


def test_a_report_without_pictures_is_whole(tmp_path):
    write_report(drawn(row("a", 5, 0.8)), tmp_path, pictures=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.json", "report.md"]
    assert "![" not in (tmp_path / "report.md").read_text("utf-8")


def test_a_font_that_is_not_there_is_not_asked_for(tmp_path, caplog):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_report(drawn(row("a", 5, 0.8)), "speed", tmp_path / "a.svg")
    assert not caplog.records
