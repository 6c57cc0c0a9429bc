"""What a student learns from: changed copies of texts, read alike by student and teachers."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from encoder_tokenizers import KOBERT, xlm_roberta
from learn.pupils import METHODS, TEXTS, student_for, teacher_for
from learn.test_labels_together import LABELLED, second_teacher
from learn.tiny_task import assert_bit_equal
from tiny import tiny_tokenizer

from wellread.cli.main import group
from wellread.data.augment import MASK
from wellread.data.examples import take_examples
from wellread.errors import ConfigError
from wellread.learn.distill.distill import distill
from wellread.learn.distill.soft_labels import labels_student
from wellread.learn.distill.student import DistillInputs, Teacher
from wellread.learn.distill.transfer_set import transfer_set
from wellread.learn.distributed import Process
from wellread.learn.rows import rows_of
from wellread.learn.settings import TextConfig
from wellread.learn.vocabulary import read_vocabulary
from wellread.text.tokenizer import Tokenizer

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore::wellread.errors.TruncationWarning")
COPIES = TextConfig(split=False, augment_copies=2, augment_mask=0.2, augment_span=0.2, augment_splice=0.2)


def set_of(texts=TEXTS, *, text=COPIES, method="labels", **options):
    return transfer_set(texts, text=text, method=method, **options)


def tokenizer_of(kind: str, place) -> Tokenizer:
    place.mkdir()
    if kind == "hf":
        return tiny_tokenizer(place)
    if kind == "kobert":
        return read_vocabulary(KOBERT)
    files, _ = xlm_roberta({"special": ["<s>", "<pad>", "</s>", "<unk>"], "mask_last": "<mask>"})
    (place / "tokenizer.json").write_bytes(files["tokenizer.json"])
    (place / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "XLMRobertaTokenizer"}))
    return read_vocabulary(place)


@pytest.mark.parametrize("kind", ["hf", "kobert", "fast"])
def test_a_masked_word_is_the_mask_token_of_whoever_reads(tmp_path, kind):
    """What stands beside it is read as without it."""
    tokenizer = tokenizer_of(kind, tmp_path / kind)
    rows = rows_of(tokenizer, [[f"the cat {MASK} {MASK}, a man", "a man", f"{MASK} cat"]], max_seq_length=32)
    mask = tokenizer.special.mask
    ids = [row.tolist() for row in rows.segments[0]]
    assert [row.count(mask) for row in ids] == [2, 0, 1]
    left, right = tokenizer.tokenize(["the cat", ", a man"]).to_list()
    assert ids[0][: len(left) + 2] == [*left, mask, mask]
    assert [id for id in ids[0][len(left) + 2 :] if id != tokenizer.special.unk][-2:] == right[-2:]
    assert ids[1:] == [tokenizer.tokenize(["a man"])[0].tolist(), [mask, *tokenizer.tokenize(["cat"])[0].tolist()]]


def test_a_vocabulary_without_a_mask_is_refused(tmp_path):
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\ncat\n")
    tokenizer = read_vocabulary(tmp_path / "vocab.txt")
    with pytest.raises(ConfigError, match="1 of 2 texts with masks were to be read; found a vocabulary without a mask"):
        rows_of(tokenizer, [["cat", f"cat {MASK}"]], max_seq_length=8)


def test_copies_stand_behind_the_texts_and_those_of_examples_have_no_label():
    given = set_of()
    assert given.texts[:60] == TEXTS
    assert given.counts == {"texts": 60, "augmented": len(given.texts) - 60}
    assert 60 < given.copies <= 120
    assert set_of().texts == given.texts
    assert set_of(text=replace(COPIES, text_seed=1)).texts != given.texts
    labelled = set_of([], examples=LABELLED, text=replace(COPIES, augment_splice=1.0))
    assert (len(labelled.examples), labelled.counts["texts"], labelled.counts["labelled"]) == (3, 0, 3)
    assert 3 < len(labelled.texts) == labelled.copies
    pairs = set_of(pairs=TEXTS[::-1])
    assert len(pairs.pairs) == len(pairs.texts) > 100
    assert "augmented" not in set_of(text=TextConfig()).counts


def test_student_and_teachers_read_one_text(tmp_path):
    """Every row of every reader has as many masks."""
    given = set_of(text=replace(COPIES, augment_mask=0.4))
    teachers = [teacher_for("labels", tmp_path / "a"), second_teacher(tmp_path / "b")]
    task = labels_student(
        DistillInputs(
            teachers=[Teacher(module=module, sha256="h") for module in teachers],
            student=student_for("labels", tmp_path / "s"),
            texts=given.texts,
            pairs=None,
            config=replace(METHODS["labels"], max_seq_length=32),
            output_dir=tmp_path / "run",
            process=Process(),
        )
    )
    rows = np.arange(60, len(given.texts))
    masks = np.array([given.texts[row].split().count(MASK) for row in rows])
    assert masks.max() > 1
    for pack, tokenizer in [
        (task.rows.pack, task.tokenizer),
        *((c.outputs[0].pack, t.tokenizer) for c, t in zip(task.caches, teachers, strict=True)),
    ]:
        assert ((pack(rows)["input_word_ids"] == tokenizer.special.mask).sum(1) == masks).all()


@pytest.mark.parametrize("method", ["labels", "vectors"])
def test_a_run_with_copies_goes_on_to_the_same_weights(tmp_path, method):
    config = replace(METHODS[method], loop=replace(METHODS[method].loop, max_steps=4, save_steps=2))
    options = {"student": student_for(method, tmp_path / "s"), "config": config, "text": COPIES}
    teacher = teacher_for(method, tmp_path / "t")
    whole = distill(teacher, TEXTS[:20], output_dir=tmp_path / "run", **options)
    shutil.rmtree(tmp_path / "run" / "checkpoint-4")
    again = distill(teacher, TEXTS[:20], output_dir=tmp_path / "run", resume_from_checkpoint=True, **options)
    assert_bit_equal(again.checkpoint.arrays(), whole.checkpoint.arrays())
    assert whole.provenance["texts"] == 20
    assert whole.provenance["augmented"] > 20


def test_the_command_makes_copies_of_the_texts_of_files(tmp_path):
    teacher_for("vectors", tmp_path / "t").save(tmp_path / "saved")
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS), "utf-8")
    shape = "--num-hidden-layers 1 --hidden-size 8 --num-attention-heads 2 --max-seq-length 16 --max-steps 2".split()
    command = ["distill", str(tmp_path / "texts.txt"), "-m", str(tmp_path / "saved"), "-o", str(tmp_path / "out")]
    copies = "--no-split --augment-copies 1 --augment-mask 0.3".split()
    done = CliRunner().invoke(group, [*command, *shape, *copies], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "out" / "wellread.json").read_text())["provenance"]
    assert told["texts"] == 60
    assert 30 < told["augmented"] <= 60
    assert told["text"]["augment_mask"] == 0.3


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"augment_copies": 1}, "found copies 1, augment_mask 0.0, augment_span 0.0, augment_splice 0.0; shares are"),
        ({"augment_mask": 0.1}, "found copies 0, augment_mask 0.1"),
        ({"augment_copies": 1, "augment_mask": 1.5}, "found augment_mask of 1.5; shares are at least 0 and at most 1"),
        ({"augment_copies": 1, "augment_splice": float("nan")}, "found augment_splice of nan"),
        ({"augment_copies": -1, "augment_span": 0.5, "augment_span_words": 0}, "augment_span_words of 0; augment_copi"),
    ],
)
def test_copies_that_cannot_be_made_are_refused(changes, found):
    with pytest.raises(ConfigError, match=found):
        TextConfig(**changes)


def test_copies_are_refused_where_they_do_not_belong():
    with pytest.raises(ConfigError, match=r"\(augment_copies\) are for labels and vectors; found 'relations', which"):
        set_of(method="relations")
    mixed = set_of(pairs=TEXTS, examples=take_examples(LABELLED))
    assert mixed.copies == 0  # the method says what is wrong
