"""What decides a training run, as frozen data; no framework is needed to read it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from wellread.errors import ConfigError, nearest

SCHEDULES = ("linear", "cosine", "constant")
PRECISIONS = ("auto", "true", "false")
REPORTERS = ("none", "tensorboard", "wandb")
POSITIVE = ("num_train_epochs", "per_device_train_batch_size", "gradient_accumulation_steps", "ddp_timeout")
SHARES = ("warmup_ratio", "adam_beta1", "adam_beta2")
# These decide what is kept and shown of a run, not what it computes: a resumed run may change them.
BYSTANDERS = ("logging_steps", "eval_steps", "save_steps", "save_total_limit", "report_to", "ddp_timeout")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopConfig:
    """How to train; the names are Hugging Face's. One step takes `gradient_accumulation_steps` batches a process."""

    num_train_epochs: int = 3
    max_steps: int = 0  # steps, over as many epochs as they take; 0: those of num_train_epochs
    per_device_train_batch_size: int = 256  # rows of a batch, at most
    tokens_per_batch: int = 0  # rows of a batch times its longest, at most; 0: no such limit
    gradient_accumulation_steps: int = 1
    learning_rate: float = 1e-3  # at its peak
    lr_scheduler_type: str = "cosine"  # how it falls: linear, cosine or constant
    warmup_steps: int = 0  # steps in which the rate rises from 0
    warmup_ratio: float = 0.0  # the same as a share of all steps
    weight_decay: float = 0.01  # decoupled; not on biases and LayerNorm
    adam_beta1: float = 0.9
    adam_beta2: float = 0.999
    adam_epsilon: float = 1e-8
    max_grad_norm: float = 1.0  # longer gradients are cut to it; 0: none is
    bf16: str = "auto"  # autocast: true, false, or auto, which is where the machine computes in it
    seed: int = 0
    logging_steps: int = 50  # 0: only the last step
    eval_steps: int = 0  # 0: never
    save_steps: int = 500  # a checkpoint every so many steps and at the end; 0: none
    save_total_limit: int = 2  # checkpoints that are kept; 0: all
    report_to: str = "none"  # beside log.jsonl: tensorboard, wandb, or both with a comma
    ddp_timeout: int = 600  # seconds that a process waits for the others

    def __post_init__(self) -> None:
        """Refuse what no run can be made of, all faults at once."""
        faults = [f"{name} of {value}" for name, value in asdict(self).items() if _is_bad(name, value)]
        if faults:
            raise ConfigError(f"a training run was asked for; found {'; '.join(faults)}; {_ALLOWED}")
        if self.warmup_steps and self.warmup_ratio:
            raise ConfigError(
                f"one length of the warm-up was asked for; found warmup_steps {self.warmup_steps} and warmup_ratio "
                f"{self.warmup_ratio}; set one of them to 0"
            )
        for name, known in (("lr_scheduler_type", SCHEDULES), ("bf16", PRECISIONS)):
            _refuse_unknown(name, [getattr(self, name)], known)
        _refuse_unknown("report_to", self.reporters, REPORTERS)

    @property
    def reporters(self) -> list[str]:
        """The names in `report_to`."""
        return [name.strip() for name in self.report_to.split(",")]

    @property
    def decisive(self) -> dict[str, Any]:
        """The settings that the result depends on, by name; `bf16` is left out, for the machine decides it too."""
        return {name: value for name, value in asdict(self).items() if name not in (*BYSTANDERS, "bf16")}


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillConfig:
    """The student's shape, in BERT's names, and its training."""

    num_hidden_layers: int = 4
    hidden_size: int = 128
    num_attention_heads: int = 2
    max_seq_length: int = 128  # and rows of the position table
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(warmup_steps=100))


_ALLOWED = f"{', '.join(POSITIVE)} are at least 1, {', '.join(SHARES)} at most 1, and no number is below 0"


def _is_bad(name: str, value: Any) -> bool:
    if isinstance(value, str):
        return False
    return not (1 if name in POSITIVE else 0) <= value <= (1 if name in SHARES else float("inf"))


def _refuse_unknown(name: str, given: list[str], known: tuple[str, ...]) -> None:
    unknown = [f"{value!r}{nearest(value, known)}" for value in given if value not in known]
    if unknown:
        raise ConfigError(f"{name} was asked for; found {', '.join(unknown)}; it is one of {', '.join(known)}")
