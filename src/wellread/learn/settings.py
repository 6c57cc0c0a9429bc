"""What decides a training run, as frozen data; no framework is needed to read it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from wellread.errors import ConfigError, nearest
from wellread.metrics.spans import RULES
from wellread.text.masking import KINDS

SCHEDULES = ("linear", "cosine", "constant")
PRECISIONS = ("auto", "true", "false")
REPORTERS = ("none", "tensorboard", "wandb")
OBJECTIVES = ("mlm", "electra")
METHODS = ("layers", "labels", "relations", "vectors")
PLACES = ("all", "masked")
LOSSES = ("cosine", "contrastive")  # of a similarity
POSITIVE = ("num_train_epochs", "per_device_train_batch_size", "gradient_accumulation_steps", "ddp_timeout")
SHARES = ("warmup_ratio", "adam_beta1", "adam_beta2")
# These decide what is kept and shown of a run, not what it computes: a resumed run may change them.
TEXTS = ("lr_scheduler_type", "bf16", "report_to")
ADDED_LATER = ("ema_decay", "average_checkpoints")
BYSTANDERS = ("logging_steps", "eval_steps", "save_steps", "save_total_limit", "report_to", "ddp_timeout")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopConfig:
    """How to train; the names are Hugging Face's. One step takes `gradient_accumulation_steps` batches a process."""

    num_train_epochs: Annotated[int, "times that every row is seen"] = 3
    max_steps: Annotated[int, "steps, over as many epochs as they take; 0: those of num_train_epochs"] = 0
    per_device_train_batch_size: Annotated[int, "rows of a batch, at most"] = 256
    tokens_per_batch: Annotated[int, "rows of a batch times its longest, at most; 0: no such limit"] = 0
    gradient_accumulation_steps: Annotated[int, "batches that a process adds up in a step"] = 1
    learning_rate: Annotated[float, "learning rate at its peak"] = 1e-3
    lr_scheduler_type: Annotated[str, "how the learning rate falls: linear, cosine or constant"] = "cosine"
    warmup_steps: Annotated[int, "steps in which the learning rate rises from 0; 0: those of warmup_ratio"] = 0
    warmup_ratio: Annotated[float, "steps in which the rate rises from 0, as a share of all"] = 0.0
    weight_decay: Annotated[float, "AdamW's; biases and LayerNorm have none"] = 0.01
    adam_beta1: Annotated[float, "decay of the mean of gradients"] = 0.9
    adam_beta2: Annotated[float, "decay of the mean of their squares"] = 0.999
    adam_epsilon: Annotated[float, "what Adam adds to the root of that mean"] = 1e-8
    max_grad_norm: Annotated[float, "longer gradients are cut to it; 0: none is"] = 1.0
    # Polyak and Juditsky 1992; Tarvainen and Valpola 2017 (arXiv:1703.01780)
    ema_decay: Annotated[float, "decay of a moving average of the weights, which the module gets; 0: none"] = 0.0
    # Vaswani et al. 2017, section 6.1
    average_checkpoints: Annotated[
        int, "the module gets the mean of the weights at the last so many checkpoints; 0: the last weights"
    ] = 0
    bf16: Annotated[str, "autocast to bfloat16: true, false, or auto, which is where products gain by it"] = "auto"
    seed: Annotated[int, "of order, masks, dropout and fresh weights"] = 0
    logging_steps: Annotated[int, "a line of the log every so many steps; 0: only the last"] = 50
    eval_steps: Annotated[int, "held-out scores every so many steps; 0: only those that a verb gives at the end"] = 0
    save_steps: Annotated[int, "a checkpoint every so many steps and at the end; 0: none"] = 500
    save_total_limit: Annotated[int, "checkpoints that are kept; 0: all"] = 2
    report_to: Annotated[str, "beside log.jsonl: tensorboard, wandb, or both with a comma"] = "none"
    ddp_timeout: Annotated[int, "seconds that a process waits for the others"] = 600

    def __post_init__(self) -> None:
        """Refuse what no run can be made of, all faults at once."""
        faults = [f"{name} of {value!r}" for name, value in asdict(self).items() if _is_bad(name, value)]
        if faults:
            raise ConfigError(f"a training run was asked for; found {'; '.join(faults)}; {_ALLOWED}")
        for name, known in (("lr_scheduler_type", SCHEDULES), ("bf16", PRECISIONS)):
            _refuse_unknown(name, [getattr(self, name)], known)
        _refuse_unknown("report_to", self.reporters, REPORTERS)
        self._check_averages()

    def _check_averages(self) -> None:
        """Refuse averages that cannot be taken."""
        count, limit = self.average_checkpoints, self.save_total_limit
        faults = {
            "ema_decay must be below 1": self.ema_decay >= 1,
            "ema_decay and average_checkpoints are two ways, of which one is taken": bool(self.ema_decay and count),
            "average_checkpoints needs some, so save_steps above 0": bool(count and not self.save_steps),
            "average_checkpoints is at most save_total_limit, or that is 0": 0 < limit < count,
        }
        if any(faults.values()):
            raise ConfigError(
                f"an average of the weights was asked for; found ema_decay {self.ema_decay}, average_checkpoints "
                f"{count}, save_steps {self.save_steps}, save_total_limit {limit}; "
                f"{'; '.join(rule for rule, broken in faults.items() if broken)}"
            )

    @property
    def reporters(self) -> list[str]:
        """The names in `report_to`."""
        return [name.strip() for name in self.report_to.split(",")]

    @property
    def decisive(self) -> dict[str, Any]:
        """The settings that the result depends on, by name; `bf16` is left out, for the machine decides it too."""
        left_out = [*BYSTANDERS, "bf16"]
        left_out += [name for name in ADDED_LATER if not getattr(self, name)]  # as runs have it that began before
        if self.average_checkpoints:
            left_out.remove("save_steps")
        return {name: value for name, value in asdict(self).items() if name not in left_out}


@dataclass(frozen=True, slots=True, kw_only=True)
class LayersConfig:
    """DistilBERT: a student of some of the teacher's layers learns its MLM logits and its hidden states."""

    teacher_layers: Annotated[str, "the teacher's layers that the student begins with, counted from 0"] = (
        "0, 2, 4, 7, 9, 11"
    )
    vocab_transform: Annotated[bool, "the teacher's transform before MLM logits is taken too; false: drawn anew"] = True
    fold_types: Annotated[bool, "the vector of type 0, which the teacher always adds, goes into the positions"] = False
    freeze_positions: Annotated[bool, "the position table stays as the teacher has it"] = False
    kl_weight: Annotated[float, "weight of the divergence from the teacher's MLM logits"] = 5.0
    mlm_weight: Annotated[float, "weight of the masked language model's own loss"] = 2.0
    cosine_weight: Annotated[float, "weight of 1 - cosine of the last hidden states"] = 1.0
    kl_positions: Annotated[str, "where MLM logits are compared: all, or masked"] = "all"
    masking: Annotated[str, "pieces, words (all of a word together) or smoothed (rare pieces more often)"] = "smoothed"
    mlm_probability: Annotated[float, "share of the tokens that are masked"] = 0.15
    mask_sets: Annotated[int, "masks of every row, epochs take them in turn; the teacher answers once for each"] = 3

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

    relation_layer: Annotated[int, "the teacher's, counted from 0; -1: its last"] = -1
    relation_heads: Annotated[int, "parts that queries, keys and values are split into, of both"] = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorsConfig:
    """LEAF: the student's sentence vectors come to lie where the teacher's do."""

    contrastive_weight: Annotated[
        float, "weight of telling the teacher's vector of a text from its batch's; 0: none"
    ] = 0.0
    contrastive_temperature: Annotated[float, "what cosines are divided by before the softmax"] = 0.05
    weights: Annotated[str, "weights of the losses of several teachers, with commas between; empty: 1 each"] = ""
    prompts: Annotated[str, "what teachers read before every text, with commas between; empty: their own default"] = ""

    def __post_init__(self) -> None:
        """Refuse weights that are no numbers above 0."""
        try:
            wrong = [weight for weight in self.teacher_weights if not 0 < weight < float("inf")]
        except ValueError:
            wrong = [float("nan")]
        if wrong:
            raise ConfigError(
                f"weights are numbers above 0 with commas between, as 1, 0.5; found {self.weights!r}; correct them"
            )

    @property
    def teacher_weights(self) -> list[float]:
        """The numbers in `weights`."""
        return [float(part) for part in self.weights.split(",")] if self.weights else []


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillConfig:
    """What a student learns of its teacher and how; its shape, in BERT's names, where it is made anew."""

    method: Annotated[str, "layers, labels, relations or vectors"] = "vectors"
    num_hidden_layers: Annotated[int, "layers of a student that is made for vectors and relations"] = 4
    hidden_size: Annotated[int, "width of a student that is made anew"] = 128
    num_attention_heads: Annotated[int, "attention heads of one that is"] = 2
    max_seq_length: Annotated[int, "tokens of a row, special ones included; a fresh student has as many positions"] = (
        128
    )
    min_tokens: Annotated[int, "for layers and relations: shorter rows are left out; [CLS] and [SEP] are counted"] = 0
    temperature: Annotated[float, "temperature at which soft labels and MLM logits are compared"] = 2.0
    hard_label_weight: Annotated[
        float, "for labels: weight of the cross-entropy with the labels of labelled examples (Hinton et al. 2015)"
    ] = 0.0
    teacher_cache_gb: Annotated[float, "of the teacher's outputs on disk; the rest is computed every epoch"] = 16.0
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
        if not 0 <= self.hard_label_weight < float("inf"):
            raise ConfigError(f"hard_label_weight is a number of 0 or more; found {self.hard_label_weight}; correct it")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextConfig:
    """Which texts are taken from the files."""

    split: Annotated[
        bool, "texts are cut into sentences of 4 to 90 words without repetitions; false: they stay whole"
    ] = True
    clauses: Annotated[float, "share of sentences of which one clause is taken too"] = 0.0
    limit: Annotated[int, "texts at most, drawn from all; 0: all"] = 1_000_000
    text_seed: Annotated[int, "of the draw of texts"] = 0
    text_column: Annotated[str, "column of the texts; empty: text, or the only one of texts"] = ""
    pair_column: Annotated[str, "column of the second text, where the teacher judges pairs"] = ""
    kind: Annotated[str, "kind of the files, where their endings do not say it"] = ""
    augment_copies: Annotated[int, "for labels and vectors: changed copies of every text beside it; 0: none"] = 0
    augment_mask: Annotated[float, "share of a copy's words that the mask token replaces (Tang et al. 2019: 0.1)"] = 0.0
    augment_span: Annotated[float, "share of copies that are cut to a random span (Tang et al. 2019: 0.25)"] = 0.0
    augment_span_words: Annotated[int, "words of such a span, at most (Tang et al. 2019: 5)"] = 5
    augment_splice: Annotated[float, "share of copies that are the begin of a text and the end of another"] = 0.0

    def __post_init__(self) -> None:
        """Refuse shares that are none, copies that nothing changes, and changes of no copies."""
        shares = {name: getattr(self, name) for name in ("augment_mask", "augment_span", "augment_splice")}
        wrong = [f"{name} of {share}" for name, share in shares.items() if not 0 <= share <= 1]
        wrong += [f"augment_span_words of {self.augment_span_words}"] if self.augment_span_words < 1 else []
        wrong += [f"augment_copies of {self.augment_copies}"] if self.augment_copies < 0 else []
        if wrong or bool(self.augment_copies) != any(shares.values()):
            what = ", ".join(f"{name} {value}" for name, value in {"copies": self.augment_copies, **shares}.items())
            raise ConfigError(
                f"changed copies of texts take augment_copies and what changes them; found {'; '.join(wrong) or what}; "
                "shares are at least 0 and at most 1, one of them above 0; augment_span_words is at least 1"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The text, and the student's shape and training."""

    text: TextConfig = field(default_factory=TextConfig)
    distill: DistillConfig = field(default_factory=DistillConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneConfig:
    """How a module is fine-tuned for a task; what another task would need is passed over."""

    max_seq_length: Annotated[int, "tokens of a row, special ones included; the module keeps it"] = 128
    head_dropout: Annotated[float, "before the head's last map; training only"] = 0.1
    loss: Annotated[str, "similarity: cosine, to a scaled score, or contrastive, among the pairs of a batch"] = "cosine"
    scale: Annotated[float, "contrastive: what cosines are multiplied by before the softmax"] = 20.0
    doc_stride: Annotated[int, "answer: pieces by which the window moves over a context"] = 64
    rules: Annotated[str, "answer: how answers are compared at an evaluation, squad or korquad"] = "squad"
    keep_best: Annotated[bool, "take the weights of the best evaluation instead of the last"] = False
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
class ElectraConfig:
    """ELECTRA: a generator replaces masked tokens, and the encoder learns to tell which; for the objective electra."""

    # Clark et al. 2020: size 1/4 of a small discriminator, layers as in section 3.2, weight and temperature in
    # appendix A; google-research/electra has the same
    generator_size: Annotated[float, "the generator's width, inner width and heads, as a share of the encoder's"] = 0.25
    generator_layers: Annotated[int, "the generator's layers; 0: as many as the encoder's"] = 0
    discriminator_weight: Annotated[float, "weight of telling replaced tokens; that of the generator's loss is 1"] = (
        50.0
    )
    sampling_temperature: Annotated[float, "what the generator's logits are divided by before it draws a token"] = 1.0

    def __post_init__(self) -> None:
        """Refuse what no generator can be made of, all faults at once."""
        sound = {
            "generator_size": 0 < self.generator_size <= 1,
            "generator_layers": self.generator_layers >= 0,
            "discriminator_weight": 0 < self.discriminator_weight < float("inf"),
            "sampling_temperature": 0 < self.sampling_temperature < float("inf"),
        }
        faults = [f"{name} of {getattr(self, name)}" for name, is_sound in sound.items() if not is_sound]
        if faults:
            raise ConfigError(
                f"replaced tokens were to be told; found {'; '.join(faults)}; generator_size is above 0 and at most 1, "
                "generator_layers at least 0, discriminator_weight and sampling_temperature are above 0 and finite"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainConfig:
    """How an encoder is trained on plain text."""

    objective: Annotated[str, "what is learned: mlm, to guess masked tokens; electra, to tell replaced ones"] = "mlm"
    max_seq_length: Annotated[int, "tokens of a row, special ones included; longer texts make several rows"] = 128
    masking: Annotated[str, "pieces, words (all of a word together) or smoothed (rare pieces more often)"] = "pieces"
    mlm_probability: Annotated[float, "share of the tokens that are to be guessed"] = 0.15
    freeze: Annotated[str, "tensors that stay as they are: names or beginnings of them, with commas between"] = ""
    electra: ElectraConfig = field(default_factory=ElectraConfig)
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
        _refuse_unknown("objective", [self.objective], OBJECTIVES)
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


_ALLOWED = f"{', '.join(POSITIVE)} are at least 1, {', '.join(SHARES)} at most 1, and none is a text or below 0"


def _is_bad(name: str, value: Any) -> bool:
    if name in TEXTS:
        return not isinstance(value, str | bool)  # what a text may be is said by name
    if not isinstance(value, int | float) or isinstance(value, bool):
        return True
    return not (1 if name in POSITIVE else 0) <= value <= (1 if name in SHARES else float("inf"))


def _refuse_unknown(name: str, given: list[str], known: tuple[str, ...]) -> None:
    unknown = [f"{value!r}{nearest(value, known)}" for value in given if value not in known]
    if unknown:
        raise ConfigError(f"{name} was asked for; found {', '.join(unknown)}; it is one of {', '.join(known)}")


SHIPPED = Path(__file__).parent / "distill" / "recipes"
RECIPES = tuple(sorted(path.stem for path in SHIPPED.glob("*.toml")))


def read_recipe(name: str | Path) -> Recipe:
    """Read a recipe of distillation that ships with wellread, or a TOML file.

    Raises: ConfigError that names unknown keys.
    """
    path = SHIPPED / f"{name}.toml" if name in RECIPES else Path(name)
    return Recipe(**read_tables(path, {"text": TextConfig(), "distill": DistillConfig()}, among=RECIPES))


def read_finetune_recipe(path: str | Path, defaults: FinetuneConfig | None = None) -> FinetuneConfig:
    """Read the tables [finetune] and [finetune.loop] of a TOML file. Raises: ConfigError that names unknown keys."""
    config: FinetuneConfig = read_tables(Path(path), {"finetune": defaults or FinetuneConfig()})["finetune"]
    return config


def read_tables(path: Path, defaults: Mapping[str, Any], *, among: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return dataclasses by the names of their tables in a TOML file; what it leaves out is as in `defaults`.

    Raises: ConfigError for keys that are unknown or of another type; `among` are the names that stand for files.
    """
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        known = f"none of {', '.join(among)} and " if among else ""
        name = path.stem if path.parent == SHIPPED else str(path)
        raise ConfigError(f"the recipe {name!r} was asked for; it is {known}no TOML file: {error}; check it") from None
    return {**defaults, **_values(defaults, data, path, "")}


def _values(defaults: Mapping[str, Any], table: dict[str, Any], path: Path, prefix: str) -> dict[str, Any]:
    """Return the values of a table, nested ones as dataclasses; the type of a default is the type of its key."""
    unknown = [key for key in table if key not in defaults]
    if unknown:
        hints = [prefix + key + (_nested_in(key, defaults, prefix) or nearest(key, defaults)) for key in unknown]
        raise ConfigError(f"{path} has unknown keys: {', '.join(hints)}; remove or correct them")
    values: dict[str, Any] = {}
    for key, value in table.items():
        default = defaults[key]
        if is_dataclass(default) and isinstance(value, dict):
            nested = _values(_by_name(default), value, path, f"{prefix}{key}.")
            try:
                values[key] = replace(default, **nested)  # type: ignore[type-var]
            except ConfigError as error:
                raise ConfigError(f"{path}: {error}") from None
        elif type(value) is type(default) or (isinstance(default, float) and type(value) is int):
            values[key] = value
        else:
            raise ConfigError(f"{path}: {prefix}{key} must be {type(default).__name__}; found {value!r}; correct it")
    return values


def _by_name(config: Any) -> dict[str, Any]:
    return {item.name: getattr(config, item.name) for item in fields(config)}


def _nested_in(key: str, defaults: Mapping[str, Any], prefix: str) -> str:
    """Say that a key stands one table further down, as those of the loop do."""
    tables = [name for name, value in defaults.items() if is_dataclass(value) and hasattr(value, key)]
    return f" (it belongs in [{prefix}{tables[0]}])" if tables else ""
