"""The well-read student's way: the loss, other vocabularies and shapes, pairs, and teachers that cannot teach."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from learn.pupils import LOOP, METHODS, TEXTS, lively, student_for, teacher_for
from tiny import PIECES, tiny_checkpoint, tiny_config

import wellread
from wellread.config import HeadConfig, TokenizerConfig
from wellread.errors import DataError, TrainingError, TruncationWarning
from wellread.learn.distill.distill import distill
from wellread.learn.distill.soft_labels import labels_student
from wellread.learn.distill.student import DistillInputs, Teacher
from wellread.learn.distributed import Process
from wellread.module import Module
from wellread.text.tokenizer import load_tokenizer

torch.set_num_threads(1)
OTHERS = TEXTS[::-1]


def inputs_for(place, *, task="classify", pairs=None, config=METHODS["labels"], **changes) -> DistillInputs:
    teacher = changes.pop("teacher", None) or teacher_for("labels", place / "teacher", task=task)
    given = {
        "teachers": [Teacher(module=teacher, sha256="h")],
        "student": student_for("labels", place / "student"),
        "texts": TEXTS,
        **changes,
    }
    return DistillInputs(**given, pairs=pairs, config=config, output_dir=place, process=Process())


def teacher_logits(teacher: Module, rows: list[int], pairs: list[str] | None) -> np.ndarray:
    segments = [teacher.tokenize([texts[row] for row in rows]) for texts in [TEXTS, *([pairs] if pairs else [])]]
    packed = teacher.bert_pack_inputs(segments, seq_length=32)
    return teacher.running("f32").run(packed, ["logits"])["logits"]


@pytest.mark.parametrize(("task", "pairs"), [("classify", None), ("pair", OTHERS)])
def test_the_loss_is_the_divergence_at_a_temperature(tmp_path, task, pairs):
    made = inputs_for(tmp_path, task=task, pairs=pairs, config=replace(METHODS["labels"], max_seq_length=32))
    task = labels_student(made)
    rows = [3, 41, 0]
    inputs = task.collate(np.array(rows), 0)
    theirs = inputs["theirs"].float()
    assert np.abs(theirs.numpy() - teacher_logits(made.teacher, rows, pairs)).max() < 0.1
    ours = task.model.eval()(inputs, ["logits"])["logits"]
    expected = torch.nn.KLDivLoss(reduction="batchmean")((ours / 2).log_softmax(-1), (theirs / 2).softmax(-1)) * 4
    loss = task.loss(inputs)
    assert loss.count == 3
    assert loss.total.item() / 3 == pytest.approx(expected.item(), rel=1e-5)


def test_its_gradient_is_that_of_cross_entropy_with_soft_labels(tmp_path):
    task = labels_student(inputs_for(tmp_path, config=replace(METHODS["labels"], temperature=1.0)))
    task.model.eval()
    inputs = task.collate(np.arange(8), 0)
    gradients = []
    for sort in ("ours", "paper's"):
        task.model.zero_grad()
        if sort == "ours":
            task.loss(inputs).total.backward()
        else:
            made = task.model(inputs, ["logits"])["logits"]
            soft = inputs["theirs"].float().softmax(-1)
            torch.nn.functional.cross_entropy(made, soft, reduction="sum").backward()
        gradients.append(task.model.get_parameter("classifier.weight").grad.clone())
    assert (gradients[0] - gradients[1]).abs().max() < 1e-5


def other_student(place) -> Module:
    """A student of another vocabulary, width, number of layers, without types: a DistilBERT."""
    place.mkdir()
    (place / "vocab.txt").write_text("".join(f"{piece}\n" for piece in [*PIECES[:5], *PIECES[59:4:-1]]))
    tokenizer = load_tokenizer(place, TokenizerConfig(dialect="hf", do_lower_case=True))
    config = tiny_config(
        vocab_size=60,
        hidden_size=8,
        num_attention_heads=2,
        num_hidden_layers=1,
        type_vocab_size=0,
        pooler="first_token",
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return Module(checkpoint=lively(tiny_checkpoint(config, seed=2)), tokenizer=tokenizer)


@pytest.mark.filterwarnings("ignore::wellread.errors.TruncationWarning")
@pytest.mark.parametrize(("task", "pairs"), [("classify", None), ("pair", OTHERS)])
def test_a_student_of_another_vocabulary_learns_to_judge_as_the_teacher(tmp_path, task, pairs):
    made = inputs_for(tmp_path, task=task, pairs=pairs)
    config = replace(
        METHODS["labels"], temperature=1.0, loop=replace(LOOP, num_train_epochs=60, save_steps=0, learning_rate=5e-3)
    )
    student = distill(
        made.teacher,
        TEXTS,
        pairs=pairs,
        student=other_student(tmp_path / "o"),
        output_dir=tmp_path / "r",
        config=config,
    )
    assert student.checkpoint.head == replace(made.teacher.checkpoint.head, pre_classifier=True)
    log = (tmp_path / "r/log.jsonl").read_text().splitlines()
    losses = [float(line.split('"loss": ')[1].split(",")[0]) for line in log]
    assert np.mean(losses[-4:]) < 0.5 * np.mean(losses[:4])
    student.save(tmp_path / "saved")
    again = wellread.load(tmp_path / "saved")
    assert again.checkpoint.head.labels == ("bad", "good", "so so")
    assert again.checkpoint.config.vocab_size == 60


def test_rows_that_are_cut_are_counted(tmp_path):
    with pytest.warns(
        TruncationWarning, match=r"60 of 60 rows were too long and lost \d+ tokens; max_seq_length is 5; raise it"
    ):
        labels_student(inputs_for(tmp_path, config=replace(METHODS["labels"], max_seq_length=5)))


@pytest.mark.parametrize(
    ("checkpoint", "found"),
    [
        (tiny_checkpoint(), "found that it is not fine-tuned for the task: it has no head; fine-tune it first"),
        (
            replace(tiny_checkpoint(), head=HeadConfig(task="tag", labels=("O", "B"))),
            "not fine-tuned for the task: it has one for tag",
        ),
        (
            replace(tiny_checkpoint(), head=HeadConfig(task="rank", labels=("score",))),
            "not fine-tuned for the task: it has one for rank",
        ),
    ],
)
def test_a_teacher_that_is_not_fine_tuned_is_refused(tmp_path, checkpoint, found):
    teacher = Module(checkpoint=checkpoint, tokenizer=teacher_for("labels", tmp_path / "t").tokenizer)
    with pytest.raises(TrainingError, match=found):
        labels_student(inputs_for(tmp_path, teacher=teacher))


def test_a_student_is_asked_for(tmp_path):
    with pytest.raises(TrainingError, match="teaches a module that is pre-trained; found no student; name one"):
        labels_student(inputs_for(tmp_path, student=None))


def test_pairs_and_texts_are_not_mistaken_for_each_other(tmp_path):
    with pytest.raises(DataError, match="fine-tuned for classify; found texts with a second one; leave the second out"):
        labels_student(inputs_for(tmp_path, pairs=OTHERS))
    with pytest.raises(DataError, match=r"fine-tuned for pair; found texts without a second one; name its column"):
        labels_student(inputs_for(tmp_path, task="pair"))


def test_files_are_refused_where_texts_are_needed(tmp_path):
    with pytest.raises(TrainingError, match="the method 'labels' learns from texts; found 1 paths of files; read them"):
        labels_student(inputs_for(tmp_path, texts=[tmp_path / "a.txt"]))
