"""Distillation from end to end on tiny modules, and its parts."""

from __future__ import annotations

import gzip
import json
import shutil
from dataclasses import asdict, replace

import numpy as np
import pytest
from click.testing import CliRunner
from learn.tiny_task import finish, start, timeless
from tiny import tiny_config, tiny_module

import wellread
from wellread.cli.main import group
from wellread.config import SentenceConfig
from wellread.data.corpus import read_sentences, read_texts, split_sentences
from wellread.errors import ConfigError, DataError, TrainingError
from wellread.learn.checkpoints import checkpoints
from wellread.learn.distill.distill import distill
from wellread.learn.init import fresh_arrays, from_teacher_to_vectors, principal_components
from wellread.learn.settings import BYSTANDERS, DistillConfig, LoopConfig, TextConfig, read_recipe

RNG = np.random.default_rng(0)
WORDS = "a man woman cat is playing the guitar flute runs sleeps paris france of".split()
TEXTS = [" ".join(RNG.choice(WORDS, RNG.integers(4, 9))) for _ in range(300)]
SMALL = DistillConfig(
    num_hidden_layers=1,
    hidden_size=8,
    num_attention_heads=2,
    max_seq_length=16,
    loop=LoopConfig(
        num_train_epochs=8,
        per_device_train_batch_size=32,
        learning_rate=5e-3,
        warmup_steps=5,
        logging_steps=10,
        bf16="false",
    ),
)


@pytest.fixture
def teacher(tmp_path):
    return tiny_module(tmp_path / "teacher", sentence=SentenceConfig(normalize=True, max_seq_length=32))


def test_a_student_learns_the_teachers_vectors(teacher, tmp_path):
    student = distill(teacher, TEXTS, output_dir=tmp_path / "run", config=SMALL)
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert log[-1]["step"] == 8 * 10  # 300 texts in batches of 32, eight times
    assert log[-1]["loss"] < 0.5 * log[0]["loss"]
    assert student.embedding_size == teacher.embedding_size
    cosines = (student.encode(TEXTS[:50]) * teacher.encode(TEXTS[:50])).sum(1)
    assert cosines.mean() > 0.8
    assert student.provenance["texts"] == 300
    student.save(tmp_path / "student", dtype="float16")
    assert wellread.load(tmp_path / "student").max_seq_length == 16


def test_the_same_seed_gives_the_same_student(teacher, tmp_path):
    first, again = (distill(teacher, TEXTS, output_dir=tmp_path / name, config=SMALL) for name in "ab")
    for name, array in first.checkpoint.arrays().items():
        assert np.array_equal(array, again.checkpoint.arrays()[name]), name


def test_no_texts_are_refused(teacher, tmp_path):
    with pytest.raises(TrainingError, match="found 0 texts"):
        distill(teacher, [], output_dir=tmp_path, config=SMALL)


# -- student -----------------------------------------------------------------------------------------------------------


def test_the_word_table_begins_with_the_teachers_principal_components(teacher):
    student = from_teacher_to_vectors(teacher, replace(SMALL, num_hidden_layers=2))
    words = student.tensors["embeddings.word_embeddings.weight"].read()
    theirs = teacher.checkpoint.tensors["embeddings.word_embeddings.weight"].read()
    assert words.shape == (99, 8)
    assert words.std() == pytest.approx(0.02, rel=1e-4)
    expected = principal_components(theirs, 8)
    assert np.allclose(words / words.std(), expected / expected.std(), atol=1e-4)


def test_a_student_wider_than_the_teachers_table_has_drawn_columns_beyond(teacher):
    wide = replace(SMALL, hidden_size=24, num_attention_heads=2)
    table = from_teacher_to_vectors(teacher, wide).tensors["embeddings.word_embeddings.weight"].read()
    theirs = teacher.checkpoint.tensors["embeddings.word_embeddings.weight"].read()
    assert table.shape == (len(theirs), 24)
    assert theirs.shape[1] == np.linalg.matrix_rank(table[:, :12]) == 12
    assert (table[:, 12:].std(0) > 0).all()


def test_principal_components_agree_with_svd():
    table = RNG.normal(size=(40, 9)).astype(np.float32)
    centred = table - table.mean(0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    expected = np.abs(centred @ directions[:4].T)
    assert np.allclose(np.abs(principal_components(table, 4)), expected, atol=1e-4)


def test_fresh_weights_are_as_bert_draws_them():
    arrays = fresh_arrays(tiny_config(), SentenceConfig(), seed=0)
    assert (arrays["encoder.layer.0.output.LayerNorm.weight"] == 1).all()
    assert (arrays["encoder.layer.0.output.LayerNorm.bias"] == 0).all()
    table = arrays["embeddings.word_embeddings.weight"]
    assert np.abs(table).max() <= 0.04 + 1e-6
    assert 0.015 < table.std() < 0.02


def test_a_distilbert_teacher_gives_a_student_that_can_be_saved(tmp_path):
    teacher = tiny_module(tmp_path / "t", config=tiny_config(type_vocab_size=0, pooler="first_token"))
    student = from_teacher_to_vectors(teacher, SMALL)
    assert student.family == "distilbert"


# -- runs that were cut short ------------------------------------------------------------------------------------------


def test_a_run_goes_on_from_its_checkpoint(teacher, tmp_path):
    config = replace(SMALL, loop=replace(SMALL.loop, save_steps=30))
    whole = distill(teacher, TEXTS, output_dir=tmp_path / "run", config=config)
    log = (tmp_path / "run" / "log.jsonl").read_text()
    again = distill(
        teacher,
        TEXTS,
        output_dir=tmp_path / "run",
        config=config,
        resume_from_checkpoint=tmp_path / "run/checkpoint-60",
    )
    for name, array in whole.checkpoint.arrays().items():
        assert np.array_equal(array, again.checkpoint.arrays()[name]), name
    assert timeless(again.provenance) == timeless(whole.provenance)
    lines = [[json.loads(line)[key] for key in ("step", "loss")] for line in log.splitlines()]
    logged = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert [[json.loads(line)[key] for key in ("step", "loss")] for line in logged] == lines


@pytest.mark.parametrize(
    ("texts", "changes", "found"),
    [
        (TEXTS[:-1], {}, "data is '[0-9a-f]+' and was '[0-9a-f]+'"),
        (TEXTS, {"max_seq_length": 15}, "max_seq_length is 15 and was 16; model is"),
        (TEXTS, {"hidden_size": 4}, "found that hidden_size is 4 and was 8; model is '[0-9a-f]+' and was"),
    ],
)
def test_another_run_is_refused(teacher, tmp_path, texts, changes, found):
    config = replace(SMALL, loop=replace(SMALL.loop, max_steps=2))
    distill(teacher, TEXTS, output_dir=tmp_path / "run", config=config)
    with pytest.raises(TrainingError, match=found):
        distill(
            teacher, texts, output_dir=tmp_path / "run", config=replace(config, **changes), resume_from_checkpoint=True
        )


# -- sentences ---------------------------------------------------------------------------------------------------------


def test_sentences_of_txt_tsv_and_gz(tmp_path):
    (tmp_path / "a.txt").write_text("It was a dark night. The cat slept on it.\nToo short.\n", "utf-8")
    (tmp_path / "b.tsv").write_text('label\ttext\n1\tHe said " no more of this .\n', "utf-8")
    with gzip.open(tmp_path / "c.txt.gz", "wt", encoding="utf-8") as file:
        file.write("The cat slept on it.\n")
    found = read_sentences([tmp_path / name for name in ("a.txt", "b.tsv", "c.txt.gz")])
    assert found == ["It was a dark night.", "The cat slept on it.", 'He said " no more of this .']


def test_tokenised_text_is_cut_at_marks_between_spaces():
    assert split_sentences("it is a film . you know the one ! yes it is that") == [
        "it is a film .",
        "you know the one !",
        "yes it is that",
    ]


def test_a_limit_draws_a_sample_that_depends_on_the_seed_alone(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(
        "".join(f"This is sentence number {i}, which has two clauses of words.\n" for i in range(50)), "utf-8"
    )
    first = read_sentences([path], limit=10, clauses=0.5, seed=1)
    assert len(first) == 10
    assert first == read_sentences([path], limit=10, clauses=0.5, seed=1)
    assert first != read_sentences([path], limit=10, clauses=0.5, seed=2)
    assert any(text.startswith("which has") for text in read_sentences([path], clauses=1.0))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.doc", b"text", "wellread knows files that end in .txt, .*, all also with .gz"),
        ("a.txt", b"\xff\xfe\xff", "line 1 is not UTF-8"),
        (
            "a.tsv",
            b"id\tlabel\n1\t2\n",
            "column of texts was asked of .*; found 0 among id, label; name one with column=",
        ),
        ("a.txt", b"short\n", "sentences of 4 to 90 words were asked of 1 files; found none"),
        ("a.txt.gz", b"not gzip", "cannot be read: Not a gzipped file"),
    ],
)
def test_bad_text_files_are_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_sentences([tmp_path / name])


def test_a_missing_text_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        list(read_texts(tmp_path / "none.txt"))


# -- recipes -----------------------------------------------------------------------------------------------------------


def test_the_default_recipe_is_read():
    recipe = read_recipe("default")
    assert recipe.distill.hidden_size == 256
    assert recipe.text.limit == 1_000_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[distil]\n", "unknown keys: distil.*did you mean distill"),
        ("[distill]\nhiden_size = 8\n", r"unknown keys: distill\.hiden_size \(did you mean hidden_size"),
        ('[distill]\nhidden_size = "8"\n', "distill.hidden_size must be int; found '8'"),
        ("[distill]\nseed = 1\n", r"unknown keys: distill\.seed \(it belongs in \[distill\.loop\]\)"),
        ("[distill.loop]\nsave_steps = true\n", "distill.loop.save_steps must be int; found True"),
        ("[distill.loop]\nnum_train_epochs = 0\n", "r.toml: a training run was asked for; found num_train_epochs of 0"),
        ("[distill\n", "is none of default, .* and no TOML file"),
    ],
)
def test_bad_recipes_are_refused(tmp_path, content, message):
    (tmp_path / "r.toml").write_text(content)
    with pytest.raises(ConfigError, match=message):
        read_recipe(str(tmp_path / "r.toml"))


def test_what_a_recipe_leaves_out_is_as_distillation_has_it(tmp_path):
    (tmp_path / "r.toml").write_text("[distill.loop]\nseed = 7\n")
    assert read_recipe(str(tmp_path / "r.toml")).distill.loop == replace(DistillConfig().loop, seed=7)
    assert DistillConfig().loop.warmup_steps == 100


def test_the_default_recipe_has_the_settings_of_the_packaged_default():
    """But for steps, rate and student, which proofs/default.sh gives, and what the machine decides."""
    settings = wellread.load("default").provenance["from"]["settings"]  # before STS-B
    told = {**settings, **settings["loop"]}
    recipe = read_recipe("default").distill
    ours = {**asdict(recipe), **asdict(recipe.loop)}
    of_the_student = {"num_hidden_layers", "hidden_size", "num_attention_heads"}
    passed_over = {"loop", "max_steps", "learning_rate", "bf16", *of_the_student, *BYSTANDERS}
    assert (told["max_steps"], told["learning_rate"]) == (6000, 6e-4)
    for name in told.keys() - passed_over:
        expected = {key: ours[name][key] for key in told[name]} if isinstance(told[name], dict) else ours[name]
        assert told[name] == expected, name


def test_a_recipe_refuses_an_output_that_exists_before_any_work(teacher, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "kept").touch()
    command = ["distill", str(tmp_path / "none.txt"), "-m", "none", "-o", str(tmp_path / "out")]
    done = CliRunner().invoke(group, command)
    assert done.exit_code == 3
    assert "found that it exists; remove it or choose another name, or overwrite it (--overwrite)" in done.output
    assert [path.name for path in tmp_path.iterdir() if path.name != "teacher"] == ["out"]


SHAPE = "--num-hidden-layers 1 --hidden-size 8 --num-attention-heads 2 --max-seq-length 16 --warmup-steps 2".split()


@pytest.fixture
def files(teacher, tmp_path):
    """What the command is given: a saved teacher and a file of texts."""
    teacher.save(tmp_path / "saved")
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS), "utf-8")
    return [str(tmp_path / "texts.txt"), "-m", str(tmp_path / "saved"), *SHAPE]


def run_command(*arguments: str) -> str:
    return finish(start("-m", *arguments))


def test_the_command_distills_and_resumes(files, tmp_path):
    output = ["-o", str(tmp_path / "student"), "--per-device-train-batch-size", "32", "--logging-steps", "1"]
    steps = "--num-train-epochs 1 --save-steps 2".split()
    out = run_command("wellread.cli.main", "distill", *files, *output, *steps)
    assert f"student: {tmp_path / 'student'}" in out
    student = wellread.load(tmp_path / "student")
    assert student.checkpoint.config.hidden_size == 8
    assert str(tmp_path) not in (tmp_path / "student" / "wellread.json").read_text()
    (tmp_path / "student").rename(tmp_path / "first")
    shutil.rmtree(max(checkpoints(tmp_path / "student-run")))  # the run was killed before its last checkpoint
    run_command("wellread.cli.main", "distill", *files, *output, *steps, "--resume")
    again = wellread.load(tmp_path / "student").checkpoint.arrays()
    for name, array in student.checkpoint.arrays().items():
        assert np.array_equal(array, again[name]), name


def test_text_config_defaults_take_everything():
    assert TextConfig().clauses == 0
