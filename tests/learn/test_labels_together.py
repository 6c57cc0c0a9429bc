"""Soft labels of several teachers, and rows that have a label of their own."""

from __future__ import annotations

import gzip
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from learn.pupils import METHODS, TEXTS, headed, lively, student_for, teacher_for, watched
from learn.test_soft_labels import OTHERS, other_student
from learn.tiny_task import assert_bit_equal
from tiny import tiny_checkpoint, tiny_config

import wellread
from wellread.cli.main import group
from wellread.config import HeadConfig
from wellread.data.examples import take_examples
from wellread.errors import ConfigError, DataError
from wellread.learn.distill.distill import distill
from wellread.learn.distill.soft_labels import labels_student
from wellread.learn.distill.student import DistillInputs, Teacher
from wellread.learn.distill.teacher import fingerprint
from wellread.learn.distributed import Process
from wellread.module import Module

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore::wellread.errors.TruncationWarning")
CONFIG = METHODS["labels"]
LABELLED = [
    {"text": "a cat sleeps", "label": "good"},
    {"text": "paris", "label": "bad"},
    {"text": "the flute", "label": "so so"},
]


def second_teacher(place, *, labels=("so so", "bad", "good"), task="classify") -> Module:
    """A teacher of another vocabulary and width, whose labels stand in another order."""
    checkpoint = lively(tiny_checkpoint(tiny_config(vocab_size=60, hidden_size=20, num_attention_heads=4), seed=8))
    head = HeadConfig(task=task, labels=labels)
    return Module(checkpoint=headed(checkpoint, head), tokenizer=other_student(place).tokenizer)


@pytest.fixture
def teachers(tmp_path):
    return [teacher_for("labels", tmp_path / "first"), second_teacher(tmp_path / "second")]


def inputs_for(place, teachers, *, examples=None, config=CONFIG, **changes) -> DistillInputs:
    given = {"texts": TEXTS, "pairs": None, **changes}
    return DistillInputs(
        teachers=[Teacher(module=module, sha256=fingerprint(module)) for module in teachers],
        student=student_for("labels", place / "student"),
        config=config,
        output_dir=place / "run",
        process=Process(),
        examples=None if examples is None else take_examples(examples),
        **given,
    )


def logits_of(module: Module, texts: list[str], order: tuple[str, ...]) -> np.ndarray:
    """Ask a teacher in float32, and bring its logits to an order of labels."""
    packed = module.bert_pack_inputs([module.tokenizer.tokenize(texts)], seq_length=32)
    logits = module.running("f32").run(packed, ["logits"])["logits"]
    return logits[:, [module.checkpoint.head.labels.index(label) for label in order]]


def log_softmax(x):
    x = x - x.max(1, keepdims=True)
    return x - np.log(np.exp(x).sum(1, keepdims=True))


def test_the_loss_is_the_divergence_from_the_mean_of_logits_and_cross_entropy_of_labels(tmp_path, teachers):
    """Against NumPy; rows 60 to 62 are the labelled ones."""
    config = replace(CONFIG, temperature=2.0, hard_label_weight=0.3, max_seq_length=32)
    task = labels_student(inputs_for(tmp_path, teachers, examples=LABELLED, config=config))
    assert len(task.rows) == 63
    rows = np.array([61, 3, 60, 41])
    inputs = task.collate(rows, 0)
    assert inputs["labels"].tolist() == [0, -1, 1, -1]  # of bad, good, so so
    texts = ["paris", TEXTS[3], "a cat sleeps", TEXTS[41]]
    order = ("bad", "good", "so so")
    theirs = np.mean([logits_of(module, texts, order) for module in teachers], axis=0)
    task.model.eval()
    with torch.no_grad():
        ours = task.model(inputs, ["logits"])["logits"].numpy()
        loss = task.loss(inputs)
    target, made = log_softmax(theirs / 2), log_softmax(ours / 2)
    soft = (np.exp(target) * (target - made)).sum() * 4
    hard = -(log_softmax(ours)[0, 0] + log_softmax(ours)[2, 1])
    assert loss.count == 4
    assert hard > 1
    assert loss.total.item() == pytest.approx(soft + 0.3 * hard, rel=0.02)  # the logits are in half precision


def test_labelled_pairs_stand_behind_the_others(tmp_path):
    teacher = teacher_for("labels", tmp_path / "t", task="pair")
    rows = [{"text": "a cat", "pair": "sleeps", "label": "good"}]
    inputs = inputs_for(tmp_path, [teacher], examples=rows, pairs=OTHERS, config=replace(CONFIG, hard_label_weight=1.0))
    task = labels_student(inputs)
    batch = task.rows.pack(np.array([60]))
    assert teacher.tokenizer.pieces(batch["input_word_ids"][0]) == ["[CLS]", "a", "cat", "[SEP]", "sleeps", "[SEP]"]
    with pytest.raises(DataError, match="is fine-tuned for pair; found labelled examples without a second one; name"):
        labels_student(replace(inputs, examples=take_examples(LABELLED)))


def test_a_run_of_several_with_labels_goes_on_to_the_same_weights(tmp_path, teachers):
    """And asks the teachers once, whatever the number of epochs."""
    config = replace(CONFIG, hard_label_weight=0.5)
    student = student_for("labels", tmp_path / "student")
    options = {"student": student, "output_dir": tmp_path / "run", "examples": LABELLED}

    asked = []
    with watched("compute_shard", asked.append):
        whole = distill(teachers, TEXTS, config=config, **options)
        assert len(asked) == 2  # of three epochs
        shutil.rmtree(tmp_path / "run" / "checkpoint-12")
        again = distill(teachers, TEXTS, config=config, resume_from_checkpoint=True, **options)
        assert len(asked) == 2
    assert_bit_equal(again.checkpoint.arrays(), whole.checkpoint.arrays())
    told = whole.provenance
    assert (told["texts"], told["labelled"]) == (60, 3)
    assert told["further_teachers"]["2"]["sha256"] == fingerprint(teachers[1])
    assert "`labelled`: `3`" in whole.model_card()


def test_labels_alone_teach_without_other_texts(tmp_path, teachers):
    loop = replace(CONFIG.loop, num_train_epochs=60, save_steps=0, learning_rate=2e-2)
    config, student = replace(CONFIG, hard_label_weight=20.0, loop=loop), other_student(tmp_path / "student")
    made = distill(teachers[:1], [], student=student, output_dir=tmp_path / "run", examples=LABELLED, config=config)
    predicted = [answer.label for answer in made.predict([row["text"] for row in LABELLED])]
    assert predicted == [row["label"] for row in LABELLED]


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"labels": ("bad", "good", "fine")}, "classify with bad, good, so so, and number 2 for classify with bad, go"),
        ({"labels": ("bad", "good")}, "number 2 for classify with bad, good; leave one out, or fine-tune it on the"),
        ({"task": "pair"}, "the first is fine-tuned for classify with bad, good, so so, and number 2 for pair with"),
    ],
)
def test_teachers_of_other_labels_are_refused(tmp_path, teachers, changes, found):
    others = [teachers[0], second_teacher(tmp_path / "third", **changes)]
    with pytest.raises(ConfigError, match=found):
        labels_student(inputs_for(tmp_path, others))


def test_labels_that_count_for_nothing_or_are_not_there_are_refused(tmp_path, teachers):
    with pytest.raises(ConfigError, match="found 3 labelled examples and hard_label_weight 0; give both, or neither"):
        labels_student(inputs_for(tmp_path, teachers, examples=LABELLED))
    weighty = replace(CONFIG, hard_label_weight=0.5)
    with pytest.raises(ConfigError, match="found no labelled examples and hard_label_weight 0.5; give both"):
        labels_student(inputs_for(tmp_path, teachers, config=weighty))
    with pytest.raises(DataError, match="the labels bad, good, so so were asked of .*; 1 of 1 are others, .* 'awful'"):
        labels_student(inputs_for(tmp_path, teachers, examples=[{"text": "a", "label": "awful"}], config=weighty))
    with pytest.raises(DataError, match="labels were asked of .*; found none; name their column, or the file's format"):
        labels_student(inputs_for(tmp_path, teachers, examples=[{"text": "a"}], config=weighty))
    with pytest.raises(ConfigError, match="labelled examples are for the method 'labels'; found 'vectors'; leave them"):
        distill(teachers[0], TEXTS, output_dir=tmp_path / "r", config=METHODS["vectors"], examples=LABELLED)
    for weight in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="hard_label_weight is a number of 0 or more; found"):
            replace(CONFIG, hard_label_weight=weight)


def test_the_command_takes_whole_lines_and_a_labelled_file(tmp_path):
    """Of a .txt.gz, whole with --no-split, for a student of another vocabulary; labels of a file in NSMC's format."""
    for number, labels in enumerate((("0", "1"), ("1", "0"))):
        second_teacher(tmp_path / f"files{number}", labels=labels).save(tmp_path / f"t{number}")
    student_for("labels", tmp_path / "files").save(tmp_path / "student")
    with gzip.open(tmp_path / "texts.txt.gz", "wt", encoding="utf-8") as file:
        file.write("a cat\nparis. The man runs.\n" * 10)
    (tmp_path / "train.txt").write_text("id\tdocument\tlabel\n7\tthe cat\t1\n8\tthe man\t0\n", "utf-8")
    models = ["-m", str(tmp_path / "t0"), "-m", str(tmp_path / "t1"), "--student", str(tmp_path / "student")]
    command = ["distill", str(tmp_path / "texts.txt.gz"), *models, "-o", str(tmp_path / "out"), "--method", "labels"]
    command += ["--no-split", "--max-seq-length", "16", "--max-steps", "2", "--bf16", "false"]
    labelled = ["--labelled", str(tmp_path / "train.txt"), "--format", "nsmc", "--hard-label-weight", "0.5"]
    done = CliRunner().invoke(group, [*command, *labelled], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "out" / "wellread.json").read_text())["provenance"]
    assert (told["texts"], told["labelled"]) == (20, 2)
    assert told["settings"]["hard_label_weight"] == 0.5
    assert told["further_teachers"]["2"]["handle"] == "t1"
    assert wellread.load(tmp_path / "out").checkpoint.head.labels == ("0", "1")


def test_the_command_refuses_what_it_has_no_use_for(tmp_path):
    done = CliRunner().invoke(group, ["distill", "-o", str(tmp_path / "out")])
    assert done.exit_code == 2
    assert "name files of texts, or labelled rows (--labelled); found neither" in done.output
    done = CliRunner().invoke(group, ["distill", "a.txt", "-o", str(tmp_path / "out"), "--format", "nsmc"])
    assert done.exit_code == 2
    assert "--label and --format say how --labelled is read; found none; name its file" in done.output
