"""Training on a GPU, where there is one: tokens a second, and the share of what its matrix unit can do."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks.learn_workloads import SEED
from wellread.backends.torch import TorchEncoder
from wellread.checkpoints.checkpoint import Checkpoint, in_memory
from wellread.checkpoints.names import shapes
from wellread.config import EncoderConfig
from wellread.learn.init import random_tensors
from wellread.learn.mlm import masked_logits

BASE = EncoderConfig(
    vocab_size=30_522, hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3_072
)
ROWS, LENGTH, STEPS, WARM = 256, 128, 20, 5
MASKED = 0.15
SIDE = 8_192  # of the matrices whose product is the peak


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuRow:
    """Masked words at 12 layers of width 768, in bfloat16."""

    device: str
    tokens_a_second: float
    peak_flops: float  # a second, of a large product in bfloat16
    share: float  # of the peak, that the products of training are


def measure_gpu(config: EncoderConfig = BASE, *, rows: int = ROWS, steps: int = STEPS) -> GpuRow | None:
    """Measure steps on the GPU; None where there is none."""
    if not torch.cuda.is_available():
        return None
    rate = training_rate(config, "cuda", rows=rows, steps=steps)
    peak = product_rate("cuda", SIDE)
    share = rate * flops_a_token(config, LENGTH) / peak
    return GpuRow(device=torch.cuda.get_device_name(), tokens_a_second=rate, peak_flops=peak, share=share)


def flops_a_token(config: EncoderConfig, length: int) -> float:
    """Count the operations of a training step a token: two for every multiplication, forward once, backward twice.

    >>> round(flops_a_token(BASE, 128) / 1e6)
    545
    """
    width, inner = config.hidden_size, config.intermediate_size
    layer = 4 * width * width + 2 * width * inner + 2 * length * width
    head = MASKED * (width * width + width * config.vocab_size)
    return 6.0 * (config.num_hidden_layers * layer + head)


def product_rate(device: str, side: int) -> float:
    """Return the operations a second of a product of two square matrices in bfloat16: the best of several."""
    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    best = min(_seconds(lambda: a @ b, device) for _ in range(STEPS))
    return 2.0 * side**3 / best


def training_rate(config: EncoderConfig, device: str, *, rows: int, steps: int) -> float:
    """Return the tokens a second of training on whole rows of one length."""
    arrays = random_tensors(shapes(config, mlm=True), config.initializer_range, np.random.default_rng(SEED))
    model = TorchEncoder(Checkpoint(family="bert", config=config, tensors=in_memory(arrays))).train().to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    ids = torch.randint(5, config.vocab_size, (rows, LENGTH), device=device)
    positions = torch.randperm(rows * LENGTH, device=device)[: int(MASKED * rows * LENGTH)].sort().values
    inputs = {"input_word_ids": ids, "input_mask": torch.ones_like(ids), "input_type_ids": torch.zeros_like(ids)}

    def step() -> None:
        with torch.autocast(device, torch.bfloat16):
            scores = masked_logits(model, {**inputs, "positions": positions})
            loss = torch.nn.functional.cross_entropy(scores.float(), ids.flatten()[positions])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    for _ in range(WARM):
        step()

    def run() -> None:
        for _ in range(steps):
            step()

    return rows * LENGTH * steps / _seconds(run, device)


def _seconds(work: Callable[[], object], device: str) -> float:
    """Return how long `work` takes, the device's queue included."""
    _wait(device)
    started = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - started


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
