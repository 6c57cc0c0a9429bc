"""What decides a training run, as frozen data; no framework is needed to read it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from wellread.errors import ConfigError, nearest
from wellread.measure.spans import RULES
from wellread.tasks.masking import KINDS

SCHEDULES = ("linear", "cosine", "constant")
PRECISIONS = ("auto", "true", "false")
REPORTERS = ("none", "tensorboard", "wandb")
METHODS = ("layers", "labels", "relations", "vectors")
PLACES = ("all", "masked")
LOSSES = ("cosine", "contrastive")  # of a similarity
POSITIVE = ("num_train_epochs", "per_device_train_batch_size", "gradient_accumulation_steps", "ddp_timeout")
SHARES = ("warmup_ratio", "adam_beta1", "adam_beta2")
# These decide what is kept and shown of a run, not what it computes: a resumed run may change them.
BYSTANDERS = ("logging_steps", "eval_steps", "save_steps", "save_total_limit", "report_to", "ddp_timeout")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopConfig:
    """How to train; the names are Hugging Face's. One step takes `gradient_accumulation_steps` batches a process."""

    num_train_epochs: int = 3  # times that every row is seen
    max_steps: int = 0  # steps, over as many epochs as they take; 0: those of num_train_epochs
    per_device_train_batch_size: int = 256  # rows of a batch, at most
    tokens_per_batch: int = 0  # rows of a batch times its longest, at most; 0: no such limit
    gradient_accumulation_steps: int = 1  # batches that a process adds up in a step
    learning_rate: float = 1e-3  # at its peak
    lr_scheduler_type: str = "cosine"  # how it falls: linear, cosine or constant
    warmup_steps: int = 0  # steps in which the rate rises from 0
    warmup_ratio: float = 0.0  # the same as a share of all steps
    weight_decay: float = 0.01  # decoupled; not on biases and LayerNorm
    adam_beta1: float = 0.9  # decay of the mean of gradients
    adam_beta2: float = 0.999  # and of their squares
    adam_epsilon: float = 1e-8  # beside the root of the squares
    max_grad_norm: float = 1.0  # longer gradients are cut to it; 0: none is
    bf16: str = "auto"  # autocast: true, false, or auto, which is where the machine computes in it
    seed: int = 0  # of order, masks, dropout and fresh weights
    logging_steps: int = 50  # a line of the log every so many steps; 0: only the last
    eval_steps: int = 0  # held-out scores every so many steps; 0: only those that a verb gives at the end
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
class LayersConfig:
    """DistilBERT: a student of some of the teacher's layers learns its word scores and its hidden states."""

    teacher_layers: str = "0, 2, 4, 7, 9, 11"  # that the student begins with, counted from 0
    vocab_transform: bool = True  # the teacher's transform of the word scores is taken too; false: drawn anew
    fold_types: bool = False  # the vector of type 0, which the teacher always adds, goes into the positions
    freeze_positions: bool = False  # the position table stays as the teacher has it
    kl_weight: float = 5.0  # of the divergence from the teacher's word scores
    mlm_weight: float = 2.0  # of the masked language model's own loss
    cosine_weight: float = 1.0  # of 1 - cosine of the last hidden states
    kl_positions: str = "all"  # where word scores are compared: all, or masked
    masking: str = "smoothed"  # as in pretraining: pieces, words or smoothed
    mlm_probability: float = 0.15  # share of the tokens that are masked
    mask_sets: int = 3  # masks of every row; epoch e sees set e modulo this, so the teacher answers once for each

    def __post_init__(self) -> None:
        """Refuse what is no list of layers, and places that nobody knows."""
        _refuse_unknown("kl_positions", [self.kl_positions], PLACES)
        if self.mask_sets < 1 or not all(part.strip().isdecimal() for part in self.teacher_layers.split(",")):
            raise ConfigError(
                f"teacher_layers are numbers with commas, as 0, 4, 8, and mask_sets at least 1; found "
                f"{self.teacher_layers!r} and {self.mask_sets}; correct them"
            )

    @property
    def chosen(self) -> list[int]:
        """The teacher's layers, counted from 0."""
        return [int(part) for part in self.teacher_layers.split(",")]


@dataclass(frozen=True, slots=True, kw_only=True)
class RelationsConfig:
    """MiniLMv2: the student's last layer relates its tokens to each other as a layer of the teacher does."""

    relation_layer: int = -1  # the teacher's, counted from 0; -1: its last
    relation_heads: int = 12  # parts that queries, keys and values are split into, of both


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorsConfig:
    """LEAF: the student's sentence vectors come to lie where the teacher's do."""

    contrastive_weight: float = 0.0  # of telling the teacher's vector of a text from those of its batch; 0: none
    contrastive_temperature: float = 0.05  # that cosines are divided by before the softmax


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillConfig:
    """What a student learns of its teacher and how; its shape, in BERT's names, where it is made anew."""

    method: str = "vectors"  # layers, labels, relations or vectors
    num_hidden_layers: int = 4  # shape: for vectors and relations, where no student is given
    hidden_size: int = 128  # of a student that is made anew
    num_attention_heads: int = 2  # of one that is
    max_seq_length: int = 128  # and rows of a fresh student's position table
    min_tokens: int = 0  # for layers and relations: shorter rows are left out; [CLS] and [SEP] are counted
    temperature: float = 2.0  # that labels and word scores are compared at
    teacher_cache_gb: float = 16.0  # of the teacher's outputs on disk; what does not fit is computed in every epoch
    layers: LayersConfig = field(default_factory=LayersConfig)
    relations: RelationsConfig = field(default_factory=RelationsConfig)
    vectors: VectorsConfig = field(default_factory=VectorsConfig)
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(warmup_steps=100))

    def __post_init__(self) -> None:
        """Refuse a method that nobody knows, and a temperature that divides by nothing."""
        _refuse_unknown("method", [self.method], METHODS)
        for name, value in (
            ("temperature", self.temperature),
            ("contrastive_temperature", self.vectors.contrastive_temperature),
        ):
            if not value > 0:
                raise ConfigError(f"{name} must be above 0; found {value}; raise it")


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneConfig:
    """How a module is fine-tuned for a task; what another task would need is passed over."""

    max_seq_length: int = 128  # tokens of a row, special ones included; the module keeps it
    head_dropout: float = 0.1  # before the head's last map; training only
    loss: str = "cosine"  # similarity: cosine, to a scaled score, or contrastive, among the pairs of a batch
    scale: float = 20.0  # contrastive: what cosines are multiplied by before the softmax
    doc_stride: int = 64  # answer: pieces by which the window moves over a context
    rules: str = "squad"  # answer: how answers are compared at an evaluation, squad or korquad
    keep_best: bool = False  # take the weights of the best evaluation instead of the last
    # epochs, rows and rate: Devlin et al. 2018, appendix A.3; decay and warm-up: google-research/bert's run_classifier
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(
            per_device_train_batch_size=32, learning_rate=5e-5, lr_scheduler_type="linear", warmup_ratio=0.1
        )
    )

    def __post_init__(self) -> None:
        """Refuse what no task can be trained with."""
        _refuse_unknown("loss", [self.loss], LOSSES)
        _refuse_unknown("rules", [self.rules], tuple(RULES))
        sound = {
            "max_seq_length": self.max_seq_length >= 5,  # [CLS], a piece, [SEP], a piece, [SEP]
            "head_dropout": 0 <= self.head_dropout < 1,
            "scale": self.scale > 0,
            "doc_stride": self.doc_stride >= 1,
        }
        faults = [f"{name} of {getattr(self, name)}" for name, is_sound in sound.items() if not is_sound]
        if faults:
            raise ConfigError(
                f"a module was to be fine-tuned; found {'; '.join(faults)}; max_seq_length is at least 5, head_dropout "
                "in [0, 1), scale above 0 and doc_stride at least 1"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainConfig:
    """How a masked language model is trained on plain text."""

    max_seq_length: int = 128  # tokens of a row, special ones included; longer texts make several rows
    masking: str = "pieces"  # pieces, words (all pieces of a word together) or smoothed (rare pieces more often)
    mlm_probability: float = 0.15  # share of the tokens that are to be guessed
    freeze: str = ""  # tensors that stay as they are: names or beginnings of them, with commas between
    # 0.01 of decay, the linear fall and the epsilon: Devlin et al. 2018, appendix A.2, and google-research/bert
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(
            num_train_epochs=1,
            tokens_per_batch=8192,
            learning_rate=1e-4,
            lr_scheduler_type="linear",
            warmup_ratio=0.05,
            adam_epsilon=1e-6,
        )
    )

    def __post_init__(self) -> None:
        """Refuse what no masked language model can be trained with."""
        _refuse_unknown("masking", [self.masking], KINDS)
        if self.max_seq_length < 3 or not 0 < self.mlm_probability < 1:
            raise ConfigError(
                f"a masked language model was to be trained; found max_seq_length {self.max_seq_length} and "
                f"mlm_probability {self.mlm_probability}; the first is at least 3, the second between 0 and 1"
            )

    @property
    def frozen(self) -> list[str]:
        """The names in `freeze`."""
        return [name.strip() for name in self.freeze.split(",") if name.strip()]


_ALLOWED = f"{', '.join(POSITIVE)} are at least 1, {', '.join(SHARES)} at most 1, and no number is below 0"


def _is_bad(name: str, value: Any) -> bool:
    if isinstance(value, str):
        return False
    return not (1 if name in POSITIVE else 0) <= value <= (1 if name in SHARES else float("inf"))


def _refuse_unknown(name: str, given: list[str], known: tuple[str, ...]) -> None:
    unknown = [f"{value!r}{nearest(value, known)}" for value in given if value not in known]
    if unknown:
        raise ConfigError(f"{name} was asked for; found {', '.join(unknown)}; it is one of {', '.join(known)}")
