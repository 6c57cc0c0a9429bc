"""A teacher's outputs on disk: what they are, when they are computed, what becomes of them."""

from __future__ import annotations

import errno
import hashlib
from dataclasses import replace

import numpy as np
import pytest
from learn.pupils import TEXTS, small_shards, teacher_for, watched
from tiny import tiny_module

from wellread.errors import TrainingError
from wellread.learn.distill import teacher as teachers
from wellread.learn.distill.teacher import (
    MARKS,
    VALUES,
    TeacherCache,
    TeacherOutput,
    fingerprint,
    key_of,
    teacher_backend,
)
from wellread.learn.distributed import Process
from wellread.learn.rows import rows_of

ROWS = np.array([7, 0, 59, 31])


@pytest.fixture
def teacher(tmp_path):
    return teacher_for("vectors", tmp_path / "files")


def output_of(teacher, *, per_token: bool = True, key: str = "k") -> TeacherOutput:
    rows = rows_of(teacher.tokenizer, [TEXTS], max_seq_length=16)
    return TeacherOutput(
        backend=teacher_backend(teacher),
        output="sequence_output" if per_token else "sentence_embedding",
        width=12,
        per_token=per_token,
        lengths=rows.lengths,
        pack=rows.pack,
        key=key,
    )


def kept(teacher, place, *, sets: int = 1, limit: int = 10**9, **options) -> TeacherCache:
    asked = [output_of(teacher, key=f"k{number}", **options) for number in range(sets)]
    return TeacherCache(outputs=asked, directory=place, limit=limit)


@pytest.mark.parametrize("per_token", [True, False])
def test_answers_are_the_teacher_s_in_half_precision(teacher, tmp_path, per_token):
    with small_shards():
        made = kept(teacher, tmp_path / "cache", per_token=per_token).read(ROWS, 0)
    packed = output_of(teacher).pack(ROWS)
    outputs = teacher(dict(packed), outputs=["sequence_output", "sentence_embedding"])
    expected = outputs["sequence_output"][packed.input_mask != 0] if per_token else outputs["sentence_embedding"]
    assert made.dtype == np.float16
    assert made.shape == expected.shape
    assert np.abs(made - expected).max() < 0.1 * np.abs(expected).max()  # the teacher may run in bfloat16
    assert np.abs(made[1:] - expected[:-1]).max() > 0.2 * np.abs(expected).max()


def test_answers_are_asked_for_once(teacher, tmp_path):
    asked = []
    with small_shards(), watched("compute_shard", asked.append):
        first = kept(teacher, tmp_path / "cache").read(ROWS, 0)
        shards = len(asked)
        again = kept(teacher, tmp_path / "cache").read(ROWS, 5)
    assert shards > 5
    assert len(asked) == shards
    assert np.array_equal(first, again)


def test_a_run_that_was_cut_short_goes_on_behind_what_is_marked(teacher, tmp_path):
    whole = kept(teacher, tmp_path / "whole")
    asked = []

    def stop(given: tuple[object, ...]) -> None:
        asked.append(given)
        if len(asked) == 4:
            raise KeyboardInterrupt

    with small_shards():
        whole.prepare(0)
        with pytest.raises(KeyboardInterrupt), watched("compute_shard", stop):
            kept(teacher, tmp_path / "cut").prepare(0)
        shards = len((tmp_path / "cut" / "k0" / MARKS).read_bytes())
        assert (tmp_path / "cut" / "k0" / MARKS).read_bytes() == b"\1\1\1" + bytes(shards - 3)
        asked.clear()
        with watched("compute_shard", asked.append):
            kept(teacher, tmp_path / "cut").prepare(0)
    assert len(asked) == shards - 3
    assert (tmp_path / "cut" / "k0" / VALUES).read_bytes() == (tmp_path / "whole" / "k0" / VALUES).read_bytes()


def test_values_that_are_gone_are_computed_again(teacher, tmp_path):
    with small_shards():
        first = kept(teacher, tmp_path).read(ROWS, 0)
        values = tmp_path / "k0" / VALUES
        values.write_bytes(values.read_bytes()[:-100])
        assert np.array_equal(kept(teacher, tmp_path).read(ROWS, 0), first)


def test_processes_share_the_work(teacher, tmp_path, monkeypatch):
    """Without a group to wait in: the first finds the share of the second not done, and does it."""
    monkeypatch.setattr(teachers, "wait", lambda process, what: None)
    shares = []
    with small_shards():
        for rank in (0, 1):
            asked = []
            with watched("write_output", lambda given, asked=asked: asked.append(given[2])):
                kept(teacher, tmp_path / str(rank)).prepare(0, Process(rank=rank, count=2))
            assert [process.rank for process in asked] == [rank, 0]
            shares.append((tmp_path / str(rank) / "k0" / VALUES).read_bytes())
    assert shares[0] == shares[1]


def test_what_does_not_fit_is_asked_for_every_batch(teacher, tmp_path):
    asked = kept(teacher, tmp_path / "cache", limit=100)
    assert not asked.is_on_disk
    asked.prepare(0)
    made = asked.read(ROWS, 0)
    assert not (tmp_path / "cache").exists()
    assert made.dtype == np.float16
    assert np.abs(made - kept(teacher, tmp_path / "cache").read(ROWS, 0)).max() < 0.1


def test_sets_that_are_needed_last_give_way_and_come_back_the_same(teacher, tmp_path):
    size = kept(teacher, tmp_path).outputs[0].size
    asked = kept(teacher, tmp_path / "cache", sets=3, limit=2 * size + 1)
    (tmp_path / "cache" / "other").mkdir(parents=True)
    for name in (VALUES, MARKS):
        (tmp_path / "cache" / "other" / name).write_bytes(bytes(size))
    there = []
    first = {}
    for epoch in range(6):
        made = asked.read(ROWS, epoch)
        assert np.array_equal(first.setdefault(epoch % 3, made), made)
        there.append(sorted(path.name for path in (tmp_path / "cache").iterdir()))
    assert there == [
        ["k0", "other"],
        ["k0", "k1"],
        ["k0", "k2"],  # k1 is needed after k0
        ["k0", "k2"],
        ["k1", "k2"],
        ["k1", "k2"],
    ]


def test_a_full_disk_is_told(teacher, tmp_path, monkeypatch):
    def full(*given: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.pwrite", full)
    with pytest.raises(
        TrainingError, match=r"were to be kept in .*cache; found that .*No space .*lower teacher_cache_gb"
    ):
        kept(teacher, tmp_path / "cache").prepare(0)


def test_what_half_precision_cannot_hold_is_refused(teacher):
    asked = output_of(teacher)
    made = np.full((1, 3, 12), 7e4, np.float32)
    with pytest.raises(
        TrainingError, match="sequence_output was to be taken in half .* found 70000, where that ends at"
    ):
        asked.to_half(made, np.ones((1, 3), np.int32))
    with pytest.raises(TrainingError, match="found nan"):
        asked.to_half(np.full((1, 3, 12), np.nan, np.float32), np.ones((1, 3), np.int32))


def test_what_is_written_is_written_whole(tmp_path, monkeypatch):
    """A disk may take less than it is given."""
    import os

    pwrite = os.pwrite
    monkeypatch.setattr("os.pwrite", lambda file, data, offset: pwrite(file, data[:7], offset))
    descriptor = os.open(tmp_path / "f", os.O_RDWR | os.O_CREAT)
    teachers._write(descriptor, np.arange(20, dtype=np.int64), 3)
    os.close(descriptor)
    assert (tmp_path / "f").read_bytes() == bytes(3) + np.arange(20, dtype=np.int64).tobytes()


def test_a_teacher_is_known_by_all_that_its_outputs_depend_on(tmp_path):
    teacher = teacher_for("labels", tmp_path / "a")
    same = teacher_for("labels", tmp_path / "b")
    assert fingerprint(teacher) == fingerprint(same)
    checkpoint = teacher.checkpoint
    head = replace(checkpoint.head, labels=("x", "y", "z"))
    changed = [
        replace(checkpoint, config=replace(checkpoint.config, hidden_act="relu")),
        replace(checkpoint, head=head),
        replace(checkpoint, sentence=replace(checkpoint.sentence, pooling="cls")),
    ]
    hashes = {fingerprint(replace(teacher, checkpoint=other)) for other in changed}
    assert len(hashes | {fingerprint(teacher), fingerprint(tiny_module(tmp_path / "c", seed=1))}) == 5


def test_rows_are_known_by_ids_and_length(teacher):
    def digest(texts, length):
        return rows_of(teacher.tokenizer, [texts], max_seq_length=length).digest()

    assert len({digest(TEXTS, 16), digest(TEXTS, 9), digest(TEXTS[1:], 16), digest(TEXTS[::-1], 16)}) == 4
    assert key_of("a", 1) != key_of("a", 2)
    assert key_of("a") == hashlib.sha256(b'["a"]').hexdigest()
