"""Pre-training from end to end on tiny modules: what it learns, keeps, resumes and refuses."""

from __future__ import annotations

import json
import shutil
import signal
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from learn.tiny_task import assert_bit_equal, finish, start
from tiny import tiny_config, tiny_module

import wellread
from wellread.config import DenseConfig, SentenceConfig
from wellread.errors import ConfigError, DataError, TrainingError
from wellread.learn.checkpoints import checkpoints
from wellread.learn.pretrain import pretrain
from wellread.learn.settings import LoopConfig, PretrainConfig

RNG = np.random.default_rng(0)
WORDS = "a man woman cat is playing the guitar flute runs sleeps paris france of".split()
TEXTS = [" ".join(np.roll(WORDS, -RNG.integers(14))[: RNG.integers(4, 12)]) for _ in range(200)]
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m")
QUICK = LoopConfig(
    max_steps=12,
    per_device_train_batch_size=16,
    learning_rate=1e-2,
    lr_scheduler_type="linear",
    logging_steps=1,
    save_steps=4,
    save_total_limit=0,
    adam_epsilon=1e-6,
    bf16="false",
)
SMALL = PretrainConfig(max_seq_length=16, loop=QUICK)


@pytest.fixture(autouse=True)
def one_thread():
    """Sum in the order in which the other processes do."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def no_dropout():
    return tiny_config(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)


@pytest.fixture
def module(tmp_path):
    return tiny_module(tmp_path / "files")


@pytest.fixture
def path(tmp_path):
    (tmp_path / "texts.txt").write_text("".join(f"{text}\n" for text in TEXTS))
    return tmp_path / "texts.txt"


def lines(directory):
    return [json.loads(line) for line in (directory / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("masking", ["pieces", "words", "smoothed"])
def test_words_are_learned(module, tmp_path, masking):
    config = replace(SMALL, masking=masking, loop=replace(QUICK, max_steps=40, eval_steps=4, save_steps=0))
    made = pretrain(module, TEXTS, output_dir=tmp_path / "run", config=config, dev=TEXTS[:40])
    log = lines(tmp_path / "run")
    losses = [line["loss"] for line in log if "loss" in line]
    assert np.mean(losses[-5:]) < 0.75 * np.mean(losses[:3])
    first, *_, last = (line["scores"]["masked_perplexity"] for line in log if "scores" in line)
    assert last < 0.75 * first
    assert made.provenance["held_out"]["masked_perplexity"] == last
    assert made.provenance["texts"] == 200
    assert made.provenance["steps"] == 40
    assert made.provenance["settings"]["masking"] == masking


def test_what_gets_no_gradient_stays_and_the_names_too(tmp_path):
    sentence = SentenceConfig(dense=(DenseConfig(in_features=12, out_features=5),), max_seq_length=32)
    module = tiny_module(tmp_path / "files", sentence=sentence)
    config = replace(SMALL, freeze="embeddings.position_embeddings, encoder.layer.0")
    made = pretrain(module, TEXTS, output_dir=tmp_path / "run", config=config)
    before, after = module.checkpoint.arrays(), made.checkpoint.arrays()
    assert before.keys() == after.keys()
    same = {name for name in before if np.array_equal(before[name], after[name])}
    kept = ("pooler.", "sentence.", "embeddings.position_embeddings.", "encoder.layer.0.")
    assert same == {name for name in before if name.startswith(kept)}
    assert made.checkpoint.sentence == sentence


def test_other_libraries_open_the_result(module, tmp_path):
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    made = pretrain(module, TEXTS, output_dir=tmp_path / "run", config=SMALL)
    made.save(tmp_path / "saved")
    theirs = AutoModelForMaskedLM.from_pretrained(tmp_path / "saved").eval()
    given = AutoTokenizer.from_pretrained(tmp_path / "saved")("the [MASK] is playing", return_tensors="pt")
    logits = theirs(**given).logits[0, 2].detach().numpy()
    guesses = wellread.load(tmp_path / "saved").fill_mask("the [MASK] is playing")[0]
    assert guesses[0].token == logits.argmax()


def test_a_module_without_head_gets_one(tmp_path):
    module = tiny_module(tmp_path / "files", mlm=False)
    made = pretrain(module, TEXTS, output_dir=tmp_path / "run", config=SMALL)
    assert made.checkpoint.has_mlm
    assert not module.checkpoint.has_mlm
    made.save(tmp_path / "saved")
    assert wellread.load(tmp_path / "saved").fill_mask("a [MASK]")


def test_every_epoch_masks_anew_and_a_second_run_is_the_same(module, tmp_path):
    config = replace(SMALL, loop=replace(QUICK, learning_rate=0.0, weight_decay=0.0, max_steps=26, save_steps=0))
    module.checkpoint = replace(module.checkpoint, config=no_dropout())
    for name in ("first", "second"):
        pretrain(module, TEXTS, output_dir=tmp_path / name, config=config)
    losses = [[line["loss"] for line in lines(tmp_path / name)] for name in ("first", "second")]
    assert losses[0] == losses[1]
    assert not np.isclose(sum(losses[0][:13]), sum(losses[0][13:]), rtol=1e-6)  # 13 steps see every text once


def test_held_out_texts_are_scored_once_where_no_steps_are_named(module, tmp_path):
    made = pretrain(module, TEXTS, output_dir=tmp_path / "run", config=SMALL, dev=TEXTS[:9])
    assert made.provenance["held_out"].keys() == {"masked_perplexity", "masked_accuracy"}
    assert not any("scores" in line for line in lines(tmp_path / "run"))


def test_a_killed_run_that_is_resumed_is_the_run_that_was_not(module, path, tmp_path):
    module.save(tmp_path / "saved")
    whole = pretrain(wellread.load(tmp_path / "saved"), [path], output_dir=tmp_path / "whole", config=SMALL)
    flags = f"-m {tmp_path / 'saved'} -o {tmp_path / 'out'} --max-seq-length 16 --bf16 false --max-steps 12".split()
    flags += "--per-device-train-batch-size 16 --tokens-per-batch 0 --learning-rate 0.01 --warmup-ratio 0".split()
    flags += "--num-train-epochs 3 --save-steps 4 --save-total-limit 0".split()
    command = ("-m", "wellread.cli.main", "pretrain", str(path), *flags)
    process = start(*command)
    while process.poll() is None and not checkpoints(tmp_path / "out-run"):
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    for late in checkpoints(tmp_path / "out-run")[1:]:  # it may have come further before the signal did
        shutil.rmtree(late)
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    finish(start(*command, "--resume"))
    assert lines(tmp_path / "out-run")[-1]["step"] == 12
    resumed = wellread.load(tmp_path / "out").checkpoint.arrays()
    assert_bit_equal(whole.checkpoint.arrays(), resumed)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"masking": "words"}, "masking is 'words' and was 'pieces'"),
        ({"mlm_probability": 0.2}, "mlm_probability is 0.2 and was 0.15"),
        ({"freeze": "pooler"}, "model is "),
    ],
)
def test_a_run_of_other_settings_or_texts_is_not_resumed(module, tmp_path, changes, named):
    pretrain(module, TEXTS, output_dir=tmp_path / "run", config=SMALL)
    options = {"output_dir": tmp_path / "run", "resume_from_checkpoint": True}
    with pytest.raises(TrainingError, match=named):
        pretrain(module, TEXTS, config=replace(SMALL, **changes), **options)
    with pytest.raises(TrainingError, match="found that data is "):
        pretrain(module, TEXTS[1:], config=SMALL, **options)


def test_two_processes_are_one_with_the_same_rows(tmp_path, path):
    tiny_module(tmp_path / "files", config=no_dropout()).save(tmp_path / "saved")
    common = f"-m {tmp_path / 'saved'} -o {tmp_path / 'both'} --max-seq-length 16 --bf16 false --max-steps 20".split()
    common += "--per-device-train-batch-size 8 --tokens-per-batch 0 --learning-rate 0.01 --warmup-ratio 0".split()
    said = finish(start(*TORCHRUN, "wellread.cli.main", "pretrain", str(path), *common, "--dev", str(path)))
    assert said.count("module: ") == 1
    config = replace(SMALL, loop=replace(QUICK, max_steps=20))
    alone = pretrain(wellread.load(tmp_path / "saved"), [path], output_dir=tmp_path / "alone", config=config)
    both = wellread.load(tmp_path / "both").checkpoint.arrays()
    for name, array in alone.checkpoint.arrays().items():
        assert np.abs(array - both[name]).max() < 1e-5, name


def test_a_run_of_another_is_overwritten_where_that_is_asked_for(module, tmp_path):
    first = pretrain(module, TEXTS, output_dir=tmp_path / "run", config=SMALL)
    with pytest.raises(TrainingError, match=r"found checkpoint-12 of another; .* overwrite=True \(--overwrite\), or"):
        pretrain(module, TEXTS, output_dir=tmp_path / "run", config=SMALL)
    again = pretrain(module, TEXTS, output_dir=str(tmp_path / "run"), config=SMALL, overwrite=True)
    assert_bit_equal(first.checkpoint.arrays(), again.checkpoint.arrays())
    short = replace(SMALL, loop=replace(QUICK, max_steps=2))
    pretrain(module, TEXTS, output_dir=tmp_path / "run", config=short, overwrite=True)
    assert [path.name for path in checkpoints(tmp_path / "run")] == ["checkpoint-2"]
    assert [line["step"] for line in lines(tmp_path / "run")] == [1, 2]


def test_rows_beyond_the_position_table_are_refused(module, tmp_path):
    message = "rows of max_seq_length 42 were asked for; the position table has 41; ask for less"
    with pytest.raises(ConfigError, match=message):
        pretrain(module, TEXTS, output_dir=tmp_path / "run", config=replace(SMALL, max_seq_length=42))


def test_texts_without_words_are_refused(module, tmp_path):
    with pytest.raises(DataError, match="found 2 texts and in them no token that the vocabulary knows"):
        pretrain(module, ["[SEP]", ""], output_dir=tmp_path / "run", config=SMALL)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"masking": "word"}, r"masking was asked for; found 'word' \(did you mean words\?\); it is one of pieces"),
        ({"max_seq_length": 2}, "found max_seq_length 2 and mlm_probability 0.15; the first is at least 3, the second"),
        ({"mlm_probability": 1.0}, "found max_seq_length 128 and mlm_probability 1.0; the first"),
    ],
)
def test_settings_that_train_nothing(given, found):
    with pytest.raises(ConfigError, match=found):
        PretrainConfig(**given)
