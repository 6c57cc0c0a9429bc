"""Settings of the loop: what is refused, and what a resumed run may change."""

from __future__ import annotations

from dataclasses import fields
from itertools import pairwise

import pytest
import torch

from wellread.errors import ConfigError
from wellread.learn.loop import schedule, warmup_of
from wellread.learn.settings import ADDED_LATER, BYSTANDERS, SCHEDULES, LoopConfig


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"num_train_epochs": 0, "seed": -1}, "found num_train_epochs of 0; seed of -1; num_train_epochs, per_device"),
        ({"warmup_ratio": 1.5}, "found warmup_ratio of 1.5; .* adam_beta1, adam_beta2 at most 1"),
        ({"learning_rate": float("nan")}, "found learning_rate of nan"),
        (
            {"seed": None, "num_train_epochs": "3"},
            "found num_train_epochs of '3'; seed of None; .* none is a text or below",
        ),
        ({"lr_scheduler_type": "cosin"}, r"found 'cosin' \(did you mean cosine\?\); it is one of linear, cosine"),
        ({"bf16": "yes"}, "bf16 was asked for; found 'yes'; it is one of auto, true, false"),
        ({"report_to": "none, wandbb"}, r"found 'wandbb' \(did you mean wandb\?\); it is one of none, tensorboard"),
    ],
)
def test_settings_of_no_run_are_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        LoopConfig(**given)


def test_every_setting_is_decisive_or_a_bystander():
    config = LoopConfig()
    assert {*config.decisive, *BYSTANDERS, *ADDED_LATER, "bf16"} == {item.name for item in fields(config)}
    assert "ema_decay" in LoopConfig(ema_decay=0.9).decisive
    assert {"average_checkpoints", "save_steps"} <= {*LoopConfig(average_checkpoints=2).decisive}
    assert not {*config.decisive} & {*BYSTANDERS}


@pytest.mark.parametrize("kind", SCHEDULES)
def test_the_rate_rises_to_its_peak_and_never_again(kind):
    shares = [schedule(step, total=20, warmup=5, kind=kind) for step in range(1, 21)]
    assert shares[:6] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])
    assert all(a >= b > 0 for a, b in pairwise(shares[4:]))


@pytest.mark.parametrize("warmup", [0, 5])
@pytest.mark.parametrize("kind", SCHEDULES)
def test_the_rate_falls_as_in_transformers(kind, warmup):
    transformers = pytest.importorskip("transformers")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    peer = transformers.get_scheduler(kind, optimizer, num_warmup_steps=warmup, num_training_steps=20)
    theirs = []
    for _ in range(20):
        theirs.append(peer.get_last_lr()[0])
        optimizer.step()
        peer.step()
    ours = [schedule(step, total=20, warmup=warmup, kind=kind) for step in range(1, 21)]
    assert ours[warmup:] == pytest.approx(theirs[warmup:])


def test_warmup_is_a_number_of_steps_or_a_share():
    assert warmup_of(LoopConfig(warmup_steps=7), 1000) == 7
    assert warmup_of(LoopConfig(warmup_ratio=0.05), 1000) == 50
    assert warmup_of(LoopConfig(warmup_ratio=0.05, warmup_steps=7), 1000) == 7  # steps go before, as in Hugging Face
