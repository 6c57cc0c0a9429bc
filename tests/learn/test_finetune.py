"""Fine-tuning from end to end on made examples: every task learns; runs go on; scores, provenance, the best weights."""

from __future__ import annotations

import json
import warnings
from dataclasses import asdict, replace
from itertools import product

import numpy as np
import pytest
import torch
from learn.made_lessons import COLUMNS, made_examples, made_module, made_rows, settings
from learn.test_distributed import TORCHRUN
from learn.tiny_task import assert_bit_equal, finish, start, timeless, weights

import wellread
from wellread.checkpoints.checkpoint import in_memory
from wellread.config import HeadConfig
from wellread.data.examples import read_examples
from wellread.errors import ConfigError, DataError, TrainingError, TrainingWarning, TruncationWarning
from wellread.learn.finetune import BestWeights, finetune
from wellread.learn.init import with_head
from wellread.measure.evaluate import evaluate
from wellread.measure.predictions import TaskScore
from wellread.metrics.metrics import Interval

SHORT = {"num_train_epochs": 1, "logging_steps": 1}


def log_of(directory):
    lines = [json.loads(line) for line in (directory / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if "loss" in line], [line for line in lines if "scores" in line]


@pytest.fixture(autouse=True)
def one_thread():
    """Take one thread: more of them are slower at these sizes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def module(tmp_path):
    return made_module(tmp_path / "files")


# -- every task learns -------------------------------------------------------------------------------------------------

ENOUGH = {"accuracy": 0.95, "f1": 0.9, "pearson": 0.95, "exact_match": 0.9}


LEARNT = [(task, family) for task in COLUMNS if task != "rank" for family in ("bert", "distilbert")]
ALIKE = ("multilabel", "score")  # their heads are that of `classify`; a rank is learnt as a score is


@pytest.mark.parametrize(("task", "family"), [case for case in LEARNT if case not in product(ALIKE, ["distilbert"])])
def test_a_task_is_learnt(tmp_path, task, family):
    """The loss falls, and examples that were never seen are answered, in Python as by what was saved."""
    module, place = made_module(tmp_path / "files", distilbert=family == "distilbert"), tmp_path / "run"
    dev = made_rows(task, 80, seed=9)
    made = finetune(module, made_rows(task, 256), task=task, output_dir=place, config=settings(), dev=dev)
    steps, scored = log_of(place)
    assert steps[-1]["loss"] < 0.1 * steps[0]["loss"]
    scores = made.provenance["scores"]
    assert scored == [{"step": steps[-1]["step"], "scores": scores}]
    assert all(scores[name] > low for name, low in ENOUGH.items() if name in scores)
    made.save(tmp_path / "saved")
    again = wellread.load(tmp_path / "saved", backend="torch")
    assert again.max_seq_length == 32
    found = evaluate(again, made_examples(task, 80, seed=9), task=task)
    for name, score in scores.items():
        assert found.scores[name].value == pytest.approx(score, abs=1e-3)


def test_soft_labels_are_learnt_as_the_shares_they_are(module, tmp_path):
    """Whole shares teach what labels do, bit for bit; halves teach to be unsure."""
    rows = made_rows("classify", 64)
    made = [
        finetune(
            module,
            [{**row, "label": label_of(row["label"])} for row in rows],
            task="classify",
            output_dir=tmp_path / name,
            config=settings(num_train_epochs=2),
        )
        for name, label_of in {
            "labels": lambda label: label,
            "whole": lambda label: {label: 1},
            "halves": lambda label: {"yes": 1, "no": 1},
        }.items()
    ]
    assert_bit_equal(*(made_module.checkpoint.arrays() for made_module in made[:2]))
    unsure = made[2].predict([str(row["text"]) for row in rows])
    assert all(abs(prediction.score - 0.5) < 0.1 for prediction in unsure)


def test_a_reranker_is_trained_further_behind_its_own_sigmoid(tmp_path):
    """What gives probabilities is drawn to numbers from 0 to 1 by their cross-entropy, and keeps its weights."""
    head = HeadConfig(task="rank", labels=("LABEL_0",), activation="sigmoid", dropout=0.0)
    module = made_module(tmp_path / "files")
    module.checkpoint = with_head(module.checkpoint, head, max_seq_length=32, seed=1)
    rows = made_rows("rank", 64)
    made = finetune(module, rows, task="rank", output_dir=tmp_path / "run", config=settings(max_steps=16), dev=rows)
    assert made.checkpoint.head == head
    assert made.provenance["head"] == "continued"
    before, after = (one.predict([(row["text"], row["pair"]) for row in rows]) for one in (module, made))
    truth = np.asarray([row["score"] for row in rows])
    losses = [-(truth * np.log(p) + (1 - truth) * np.log(1 - p)).mean() for p in (before, after)]
    steps, _ = log_of(tmp_path / "run")
    assert 0 < losses[1] < losses[0]
    assert steps[0]["loss"] == pytest.approx(losses[0], rel=0.2)  # of the first batch
    wrong = [{**rows[0], "score": 4}, {**rows[1], "score": 1}]
    match = r"numbers from 0 to 1 were asked of the given rows, .* through sigmoid; 1 of 2 "
    with pytest.raises(DataError, match=match):
        finetune(module, wrong, task="rank", output_dir=tmp_path / "bad", config=settings())


def test_contrastive_pairs_are_learnt(module, tmp_path):
    """Sentences of the same animal belong together; that is all that is told."""
    rows = [row for row in made_rows("similarity", 400) if row["score"] == 5.0]
    rows = [{"text": row["text"], "pair": row["pair"]} for row in rows]
    dev = made_examples("similarity", 80, seed=9)
    config = settings(loss="contrastive", num_train_epochs=4)
    made = finetune(module, rows, task="similarity", output_dir=tmp_path / "run", config=config, dev=dev)
    before = evaluate(module, dev, task="similarity").scores["pearson"].value
    assert made.provenance["scores"]["pearson"] > max(0.8, before + 0.1)
    assert made.provenance["rows"] == len(rows)


# -- what is returned --------------------------------------------------------------------------------------------------


def test_the_module_says_where_it_comes_from(module, tmp_path):
    config = settings(**SHORT)
    rows = made_rows("classify", 48)
    made = finetune(module, rows, task="classify", output_dir=tmp_path / "run", config=config, dev=rows[:9])
    told = dict(made.provenance)
    scores, took = told.pop("scores"), told.pop("time", None)  # of three steps there may be nothing to tell
    assert took is None or took["seconds"] > 0
    assert told == {
        "made_by": "wellread finetune",
        "from": {"handle": "made"},
        "task": "classify",
        "columns": {"text": "text", "label": "label"},
        "rows": 48,
        "steps": 3,
        "labels": ["animal", "person"],
        "head": "fresh",
        "settings": asdict(config),
    }
    assert scores.keys() == {"accuracy", "macro_f1", "matthews"}
    assert made.backend == module.backend


@pytest.mark.filterwarnings("ignore::wellread.errors.TrainingWarning")  # three steps teach it nothing
def test_paths_may_be_strings_and_examples_a_file(module, tmp_path):
    rows = made_rows("classify", 48)
    (tmp_path / "a.csv").write_text("label,text\n" + "".join(f'{row["label"]},"{row["text"]}"\n' for row in rows))
    arguments = {"task": "classify", "config": settings(**SHORT)}
    path = str(tmp_path / "a.csv")
    read = finetune(module, path, output_dir=str(tmp_path / "a"), dev=path, **arguments).checkpoint.arrays()
    taken = finetune(module, rows, output_dir=tmp_path / "b", **arguments).checkpoint.arrays()
    assert all((array == taken[name]).all() for name, array in read.items())


def test_the_module_that_was_given_stays_as_it_is(module, tmp_path):
    before = module.checkpoint
    arrays = before.arrays()
    finetune(module, made_rows("tag", 48), task="tag", output_dir=tmp_path / "run", config=settings(**SHORT))
    assert module.checkpoint is before
    assert_bit_equal(module.checkpoint.arrays(), arrays)


def test_a_fine_tuned_module_is_trained_further(module, tmp_path):
    rows, config = made_rows("classify", 128), settings(num_train_epochs=6)
    first = finetune(module, rows, task="classify", output_dir=tmp_path / "a", config=config)
    again = finetune(first, rows, task="classify", output_dir=tmp_path / "b", config=settings(**SHORT))
    assert again.provenance["head"] == "continued"
    assert again.provenance["from"] == first.provenance
    assert log_of(tmp_path / "b")[0][0]["loss"] < 0.1  # it begins where the other ended
    other = [{**row, "label": f"an {row['label']}"} for row in rows]
    fresh = finetune(again, other, task="classify", output_dir=tmp_path / "c", config=settings(**SHORT))
    assert fresh.provenance["head"] == "fresh"
    assert fresh.checkpoint.head.labels == ("an animal", "an person")


def test_a_similarity_has_no_head(module, tmp_path):
    config = settings(**SHORT)
    made = finetune(module, made_rows("similarity", 32), task="similarity", output_dir=tmp_path / "r", config=config)
    assert made.provenance["head"] == "none"
    assert made.checkpoint.tensors.keys() == module.checkpoint.tensors.keys()


def test_dropout_is_on_in_training_and_off_in_scores(tmp_path):
    module = made_module(tmp_path / "files", hidden_dropout_prob=0.4)
    rows = made_rows("classify", 48)
    runs = [
        finetune(module, rows, task="classify", output_dir=tmp_path / str(rate), config=settings(head_dropout=rate))
        for rate in (0.0, 0.9)
    ]
    noisy, noisier = (log_of(tmp_path / str(rate))[0][0]["loss"] for rate in (0.0, 0.9))
    quiet = finetune(made_module(tmp_path / "q"), rows, task="classify", output_dir=tmp_path / "r", config=settings())
    assert len({noisy, noisier, log_of(tmp_path / "r")[0][0]["loss"]}) == 3
    scores = [evaluate(runs[0], made_examples("classify", 16)).scores["accuracy"].value for _ in range(2)]
    assert scores[0] == scores[1]
    assert quiet.checkpoint.config.hidden_dropout_prob == 0.0


# -- development scores ------------------------------------------------------------------------------------------------


def test_scores_come_every_few_steps_and_at_the_end(module, tmp_path):
    rows = made_rows("classify", 80)
    config = settings(**SHORT, eval_steps=2)
    finetune(module, rows, task="classify", output_dir=tmp_path / "run", config=config, dev=rows[:20])
    assert [line["step"] for line in log_of(tmp_path / "run")[1]] == [2, 4, 5]


def test_without_development_examples_there_are_no_scores(module, tmp_path):
    config = settings(**SHORT, eval_steps=2)
    made = finetune(module, made_rows("tag", 48), task="tag", output_dir=tmp_path / "run", config=config)
    assert made.provenance["scores"] == {}
    assert log_of(tmp_path / "run")[1] == []


@pytest.mark.parametrize("keep_best", [True, False])
def test_the_best_weights_are_kept_where_they_are_asked_for(module, tmp_path, monkeypatch, keep_best):
    """The weights of step 4, if that is said to be the best of five evaluations; else the last ones."""
    told = iter([0.5, 0.75, 0.625, 0.75, 0.25])

    def said(module, examples, **options):
        score = next(told)
        return TaskScore(task="classify", examples=9, scores={"accuracy": Interval(value=score, low=score, high=score)})

    monkeypatch.setattr("wellread.learn.finetune.evaluate", said)
    rows = made_rows("classify", 160)
    config = settings(num_train_epochs=1, eval_steps=2, save_steps=2, save_total_limit=0, keep_best=keep_best)
    made = finetune(module, rows, task="classify", output_dir=tmp_path, config=config, dev=rows[:9])
    chosen, score = (4, 0.75) if keep_best else (10, 0.25)
    assert made.provenance["scores"] == {"accuracy": score}
    assert_bit_equal(made.checkpoint.arrays(), weights(tmp_path / f"checkpoint-{chosen}" / "model.safetensors"))
    assert len(list(tmp_path.glob("best-*"))) == keep_best


def test_the_best_weights_outlive_the_process(tmp_path):
    best = BestWeights(output_dir=tmp_path, main_score="f1")
    assert best.scores() == {}
    for number, score in enumerate((0.5, 0.75, 0.75, 0.25)):
        best.offer({"x": np.full(3, number, np.float32)}, {"f1": score, "recall": 0.0})
    again = BestWeights(output_dir=tmp_path, main_score="f1")
    assert again.scores() == {"f1": 0.75, "recall": 0.0}
    assert again.weights()["x"].tolist() == [1.0, 1.0, 1.0]
    again.remove()
    assert list(tmp_path.iterdir()) == []


def test_best_weights_that_cannot_be_kept_are_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(TrainingError, match="the best weights so far were to be kept; .* was to be written; found"):
        BestWeights(output_dir=tmp_path / "file", main_score="f1").offer({"x": np.zeros(3, np.float32)}, {"f1": 0.5})


@pytest.mark.parametrize(
    ("dev", "eval_steps", "found"), [(True, 0, "eval_steps 0"), (False, 5, "no examples to evaluate on")]
)
def test_the_best_of_no_evaluations_is_refused(module, tmp_path, dev, eval_steps, found):
    rows = made_rows("classify", 16)
    config = settings(keep_best=True, eval_steps=eval_steps)
    with pytest.raises(ConfigError, match=f"best of several evaluations was asked for; found {found}; give dev and"):
        finetune(module, rows, task="classify", output_dir=tmp_path, config=config, dev=rows if dev else None)


# -- runs that were cut short ------------------------------------------------------------------------------------------


def test_a_run_that_is_killed_and_resumed_is_bit_equal(tmp_path):
    finish(start("-m", "learn.finetune_kills", str(tmp_path), "tag", "3"))
    assert_bit_equal(weights(tmp_path / "killed.safetensors"), weights(tmp_path / "reference.safetensors"))


def test_a_resumed_run_has_the_best_weights_of_before(module, tmp_path):
    rows = made_rows("classify", 160)
    config = settings(num_train_epochs=2, eval_steps=5, save_steps=5, save_total_limit=0, keep_best=True)
    given = {"task": "classify", "dev": rows[:40], "config": config}
    whole = finetune(module, rows, **given, output_dir=tmp_path)
    for resumed in (True, tmp_path / "checkpoint-10"):
        again = finetune(module, rows, **given, output_dir=tmp_path, resume_from_checkpoint=resumed)
        assert_bit_equal(again.checkpoint.arrays(), whole.checkpoint.arrays())
        assert timeless(again.provenance) == timeless(whole.provenance)


def test_a_finished_run_that_is_resumed_is_scored(module, tmp_path):
    rows = made_rows("classify", 48)
    given = {"task": "classify", "output_dir": tmp_path, "config": settings(**SHORT, save_steps=3), "dev": rows[:9]}
    whole = finetune(module, rows, **given)
    assert finetune(module, rows, **given, resume_from_checkpoint=True).provenance == whole.provenance


@pytest.mark.parametrize(
    ("rows", "changes", "found"),
    [
        (made_rows("classify", 47), {}, "data is '[0-9a-f]+' and was '[0-9a-f]+'"),
        (made_rows("classify", 48), {"head_dropout": 0.5}, "head.dropout is 0.5 and was 0.0"),
    ],
)
def test_another_run_is_refused(module, tmp_path, rows, changes, found):
    given = {"task": "classify", "output_dir": tmp_path}
    finetune(module, made_rows("classify", 48), **given, config=settings(**SHORT, save_steps=3))
    with pytest.raises(TrainingError, match=found):
        finetune(module, rows, **given, config=settings(**SHORT, **changes), resume_from_checkpoint=True)


# -- several processes -------------------------------------------------------------------------------------------------


def test_two_processes_are_one_with_the_same_rows(tmp_path):
    """The command under torchrun saves once, prints once, and makes the module that one process makes."""
    made_module(tmp_path / "files").save(tmp_path / "module")
    lines = [f"{row['text']}\t{row['label']}\n" for row in made_rows("classify", 160)]
    (tmp_path / "train.tsv").write_text("".join(["text\tlabel\n", *lines]))
    flags = ["classify", str(tmp_path / "train.tsv"), "--label", "label", "-m", str(tmp_path / "module")]
    flags += ["--dev", str(tmp_path / "train.tsv"), "--max-seq-length", "12", "--head-dropout", "0", "--bf16", "false"]
    # some gradients are 0 but for rounding, those of key.bias above all: the epsilon keeps their steps small
    flags += ["--max-steps", "20", "--adam-epsilon", "1e-5", "--learning-rate", "1e-3", "--json"]
    rows = "--per-device-train-batch-size"
    said = [
        finish(start(*how, "wellread.cli.main", "finetune", *flags, "-o", str(tmp_path / name), rows, size))
        for how, name, size in ((TORCHRUN, "both", "8"), (("-m",), "alone", "16"))
    ]
    assert [json.loads(line)["output"] for line in said] == [str(tmp_path / "both"), str(tmp_path / "alone")]
    both, alone = (wellread.load(tmp_path / name).checkpoint.arrays() for name in ("both", "alone"))
    assert both.keys() == alone.keys()
    for name, array in alone.items():
        assert np.abs(array - both[name]).max() < 1e-5, name


# -- bad input ---------------------------------------------------------------------------------------------------------


def test_nothing_is_written_for_examples_that_are_refused(module, tmp_path):
    rows = made_rows("classify", 16)
    unseen = [{"text": "a flute", "label": "thing"}]
    with pytest.raises(DataError, match="1 of 1 are others, line 1: 'thing'"):
        finetune(module, rows, task="classify", output_dir=tmp_path / "run", dev=unseen, config=settings())
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_no_number_stops_the_run(module, tmp_path):
    arrays = module.checkpoint.arrays()
    arrays["embeddings.LayerNorm.bias"] = np.full(24, np.nan, np.float32)
    module.checkpoint = replace(module.checkpoint, tensors=in_memory(arrays))
    with pytest.raises(TrainingError, match=r"step 1 of \d+ was to lower the loss; found nan in epoch 0, rows"):
        finetune(module, made_rows("tag", 16), task="tag", output_dir=tmp_path / "run", config=settings())


def test_rows_that_are_cut_are_told_once(module, tmp_path):
    config = settings(**SHORT, max_seq_length=6)
    with pytest.warns(
        TruncationWarning, match=r"48 rows were too long and lost \d+ tokens; max_seq_length is 6"
    ) as caught:
        finetune(module, made_rows("classify", 48), task="classify", output_dir=tmp_path / "run", config=config)
    assert len(caught) == 1


# -- what a run says at its end ----------------------------------------------------------------------------------------


def test_a_module_that_predicts_one_label_alone_is_told_of(module, tmp_path):
    rows = made_rows("classify", 48)
    config = settings(max_steps=1, learning_rate=1e-9, eval_steps=0)
    message = r"the module predicts '\w+' for all of 40 examples of the given rows, which have 2 labels: .* above 1e-09"
    same = [{**row, "text": "a cat"} for row in rows[:40]]
    with pytest.warns(TrainingWarning, match=message):
        finetune(module, rows, task="classify", output_dir=tmp_path / "run", config=config, dev=same)


def test_examples_whose_largest_shares_are_one_labels_may_have_it_alone(module, tmp_path):
    rows = made_rows("classify", 48)
    first, second = sorted({row["label"] for row in rows})
    config = settings(max_steps=1, learning_rate=1e-9, eval_steps=0)
    same = [{"text": "a cat", "label": {first: 0.9, second: 0.1}}] * 40
    with warnings.catch_warnings():
        warnings.simplefilter("error", TrainingWarning)
        finetune(module, rows, task="classify", output_dir=tmp_path / "run", config=config, dev=same)


def test_a_module_remembers_its_columns(module, tmp_path):
    lines = [f"{row['text']},{row['label']}\n" for row in made_rows("classify", 48)]
    (tmp_path / "a.csv").write_text("".join(["t,y\n", *lines]))
    examples = read_examples(tmp_path / "a.csv", text="t", label="y")
    made = finetune(module, examples, task="classify", output_dir=tmp_path / "run", config=settings(max_steps=1))
    assert made.provenance["columns"] == {"text": "t", "label": "y"}
