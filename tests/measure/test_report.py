"""Reports on tiny modules, with FastText beside them: as a table, as a page, as pictures."""

from __future__ import annotations

import json
import warnings
from dataclasses import asdict, replace

import pytest
from heads import headed_module

from wellread.data.examples import take_examples
from wellread.errors import ConfigError, InputError, MissingExtra
from wellread.measure import render as picture
from wellread.measure.evaluate import evaluate
from wellread.measure.fasttext import FastTextConfig
from wellread.measure.render import as_json, as_table, draw_report, notes, page, size_range, size_ticks, write_report
from wellread.measure.report import EvalSet, Report, ReportConfig, Row, Speed, make_report
from wellread.metrics.metrics import Interval

ROWS = [{"text": f"a {word} runs", "label": label} for word, label in (("man", "good"), ("cat", "bad"))] * 10
EXAMPLES = take_examples(ROWS, text="text", label="label")
EVAL_SET = EvalSet(task="classify", examples=EXAMPLES)
CONFIG = ReportConfig(speed_examples=6, rounds=2, fasttext=FastTextConfig(bucket=530_000, epoch=20, lr=0.5))


@pytest.fixture(scope="module")
def modules(tmp_path_factory):
    files = tmp_path_factory.mktemp("files")
    return {"b|b": headed_module(files, "classify"), "a": headed_module(files, "classify", labels=("bad", "good"))}


@pytest.fixture(scope="module")
def report(modules):
    return make_report(modules, EVAL_SET, train=EXAMPLES, config=CONFIG, machine="a machine")


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


def test_rows_stand_by_size(report, modules):
    assert [one.name for one in report.rows] == ["a", "b|b", "FastText"]
    assert report.rows[0].size_bytes == 4 * modules["a"].checkpoint.num_parameters
    assert report.rows[2].scores["accuracy"].value == 1
    assert [one.training_seconds is None for one in report.rows] == [True, True, False]
    assert [one.settings for one in report.rows] == [None, None, asdict(CONFIG.fasttext)]


def test_every_row_has_the_scores_of_evaluate(report, modules):
    for one in report.rows[:2]:
        assert one.scores == evaluate(modules[one.name], EXAMPLES, task="classify").scores
        assert 0 < one.speed.slowest <= one.speed.rate <= one.speed.fastest


def test_what_was_measured_is_told(report):
    assert (report.task, report.main, report.source, report.unit) == ("classify", "accuracy", "the given rows", "texts")
    assert (report.examples, report.speed_examples, report.rounds, report.machine) == (20, 6, 2, "a machine")


def test_two_texts_are_pairs_and_the_path_is_left_out(tmp_path):
    rows = [{"text": "a man", "pair": other, "score": n} for n, other in enumerate(("a cat", "paris", "the flute"))]
    examples = replace(take_examples(rows, pair="pair", score="score"), source="/somewhere/dev.tsv")
    module = headed_module(tmp_path, "similarity")
    found = make_report({"m": module}, EvalSet(task="similarity", examples=examples), config=CONFIG)
    assert (found.unit, found.main, found.source, found.speed_examples) == ("pairs", "spearman", "dev.tsv", 3)
    assert "pairs/s" in as_table(found)


def test_a_report_takes_modules_with_names_of_their_own(modules):
    with pytest.raises(InputError, match="a report takes one module or more, .*; found none; name a module"):
        make_report({}, EVAL_SET)
    with pytest.raises(InputError, match="none of them called FastText beside the baseline; found FastText"):
        make_report({"FastText": modules["a"]}, EVAL_SET, train=EXAMPLES)
    with pytest.raises(ConfigError, match="measured on 0 examples in 5 rounds; it takes at least 1 of each; give more"):
        ReportConfig(speed_examples=0)
    with pytest.raises(ConfigError, match="1000 examples in 0 rounds"):
        ReportConfig(rounds=0)


def test_the_table_is_one_for_readers_of_plain_text_too():
    lines = as_table(drawn(row("small", 5.94, 0.8412), row("Fast|Text", 1155, 0.865, baseline=True))).splitlines()
    assert len({len(line) for line in lines}) == 1
    cells = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]
    assert cells[0] == ["name", "MB", "parameters", "accuracy", "95 %", "macro_f1", "texts/s", "lowest to highest"]
    assert cells[2] == ["small", "5.9", "1,485,000", "84.12", "83.12 to 85.32", "50.00", "1,234", "1,000 to 2,001"]
    assert cells[3][:3] == ["Fast/Text", "1,155.0", "288,750,000"]


def test_notes_say_how_it_was_measured():
    said = notes(drawn(row("small", 5, 0.8), row("FastText", 150, 0.8, baseline=True)))
    assert "Texts a second (bf16): the median of 5 rounds in turn over 1,000 examples, on a machine." in said
    assert "FastText was trained in this run, in 4.2 s on one core: dim 16, bucket 2,000,000, lr 0.1." in said
    assert "over 1,000 examples.\n" in notes(replace(drawn(row("small", 5, 0.8)), machine="")) + "\n"


def test_all_files_are_written_and_agree(report, tmp_path):
    write_report(report, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.json", "report.md", "report.png", "report.svg"]
    assert (tmp_path / "report.md").read_text() == page(report)
    assert as_table(report) in page(report)
    assert "![accuracy against size: classify, 20 examples of the given rows](report.png)" in page(report)
    data = json.loads((tmp_path / "report.json").read_text())
    assert data["rows"][2]["scores"]["accuracy"]["value"] == 1
    assert json.loads(as_json(report)) == data
    assert (tmp_path / "report.png").read_bytes().startswith(b"\x89PNG")


NEAR = [row(f"a name of {n} words", 17.5 + n / 10, 0.84 - n / 500) for n in range(8)] + [
    row("FastText", 21, 0.82, baseline=True)
]


def test_the_same_report_gives_the_same_pictures(tmp_path):
    for name in ("a", "b"):
        draw_report(drawn(*NEAR), tmp_path / f"{name}.svg", tmp_path / f"{name}.png")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert "<dc:date>" not in (tmp_path / "a.svg").read_text()


@pytest.mark.parametrize("rows", [NEAR, NEAR[:1], NEAR[:2], [row("a", 5, 0.5), row("b", 500, 0.9)]], ids=len)
def test_names_in_the_picture_do_not_overlap_and_all_are_there(rows):
    with picture.styled():
        figure = picture.report_figure(drawn(*rows))
        canvas = picture.import_module("matplotlib.backends.backend_agg").FigureCanvasAgg(figure)
        canvas.draw()
        (panel,) = figure.axes
        named = {text.get_text(): text.get_window_extent() for text in panel.texts if text.get_text()}
    assert set(named) == {one.name for one in rows}
    boxes = list(named.values())
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    frame = panel.get_window_extent().padded(1)
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 for box in boxes)


def test_points_and_bars_stand_where_the_scores_are():
    with picture.styled():
        (panel,) = picture.report_figure(drawn(row("a", 5, 0.8), row("b", 50, 0.9, baseline=True))).axes
    marks = [line for line in panel.lines if line.get_marker() in ("o", "D")]
    assert [line.get_color() for line in marks] == ["#0072B2", "#D55E00"]
    assert [line.get_xydata()[0].tolist() for line in marks] == [pytest.approx([5, 80]), pytest.approx([50, 90])]
    bars = [segment for bar in panel.collections for segment in bar.get_segments()]
    assert [bar[:, 1].tolist() for bar in bars] == [pytest.approx([79, 81.2]), pytest.approx([89, 91.2])]
    assert panel.get_xscale() == "log"


def test_dollars_in_a_name_are_no_formula(tmp_path):
    draw_report(drawn(row("a$x^$b$", 5, 0.8)), tmp_path / "a.png")


def test_the_settings_of_others_stay_as_they_were():
    matplotlib = picture.import_module("matplotlib")
    before = {name: matplotlib.rcParams[name] for name in (*picture.SETTINGS, "font.family")}
    with picture.styled():
        assert matplotlib.rcParams["svg.hashsalt"] == "wellread"
    assert {name: matplotlib.rcParams[name] for name in before} == before


def test_sizes_on_the_axis_are_round_and_enough():
    for low, high in ((17, 18), (5, 400), (0.02, 160), (99, 101)):
        ends = size_range([low, high])
        ticks = size_ticks(*ends)
        assert 3 <= len(ticks) <= 12
        assert ends[0] < low <= high < ends[1]
        assert ends[0] <= ticks[0] < ticks[-1] <= ends[1]


def test_without_matplotlib_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r'this needs matplotlib, .*pip install "wellread\[report\]"'):
        draw_report(drawn(row("a", 5, 0.8)), tmp_path / "a.png")


def test_a_report_without_pictures_is_whole(tmp_path):
    write_report(drawn(row("a", 5, 0.8)), tmp_path, pictures=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.json", "report.md"]
    assert "![" not in (tmp_path / "report.md").read_text("utf-8")


def test_a_font_that_is_not_there_is_not_asked_for(tmp_path, caplog):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_report(drawn(row("a", 5, 0.8)), tmp_path / "a.svg")
    assert not caplog.records
