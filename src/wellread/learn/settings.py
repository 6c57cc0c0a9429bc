"""What decides a training run, as frozen data; no framework is needed to read it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopConfig:
    """How to optimise; the names are Hugging Face's."""

    learning_rate: float = 1e-3  # at its peak
    warmup_steps: int = 100  # steps in which the rate rises from 0
    weight_decay: float = 0.01  # decoupled; not on biases and LayerNorm
    max_grad_norm: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillConfig:
    """The student's shape and its training; names are BERT's and Hugging Face's."""

    num_hidden_layers: int = 4
    hidden_size: int = 128
    num_attention_heads: int = 2
    max_seq_length: int = 128  # and rows of the position table
    num_train_epochs: int = 3
    per_device_train_batch_size: int = 256  # texts
    loop: LoopConfig = field(default_factory=LoopConfig)
    seed: int = 0
    logging_steps: int = 50
