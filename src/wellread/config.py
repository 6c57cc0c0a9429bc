"""What a module is, as frozen data: its encoder, its tokenizer, its sentence vector."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import field, replace

from wellread.dataclass import dataclass
from wellread.errors import ConfigError, nearest

# Hugging Face's names of activations, and the primitive that computes each.
ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}
POOLERS = ("dense_tanh", "first_token")
# What makes one vector of a text's, under sentence-transformers' names; `pooled_output` is the encoder's own.
POOLINGS = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken", "pooled_output")
DIALECTS = ("hf", "tfhub", "spm", "kobert", "fast")
DENSE_ACTIVATIONS = (
    *("identity", "tanh", "relu", "gelu", "sigmoid", "silu"),
    *("leaky_relu", "elu", "selu", "relu6", "softplus", "mish", "softsign", "hardtanh", "hardswish"),
)
STEPS = ("dense", "layer_norm", "normalize")
SIMILARITIES = ("cosine", "dot", "euclidean", "manhattan")
TEMPLATES = ("bert", "roberta")
MOST_RELATIVE = 4096  # positions of an encoder with biases by relative position
# Of a field that files name only where it is not at its default, so that what older versions wrote stays the same.
ADDED_LATER = {"omit_default": True}


def _one_of(field: str, value: str, known: Collection[str]) -> None:
    if value not in known:
        raise ConfigError(
            f"{field} was given as {value!r}; wellread knows {', '.join(known)}; "
            f"choose one of these{nearest(str(value), known)}"
        )


def _positive(owner: object, *fields: str) -> None:
    for name in fields:
        value = getattr(owner, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ConfigError(
                f"{name} must be a whole number of at least 1; found {value!r}; correct the configuration"
            )


def _rate(owner: object, *fields: str) -> None:
    for name in fields:
        value = getattr(owner, name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
            raise ConfigError(f"{name} must be a rate in [0, 1); found {value!r}; correct the configuration")


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderConfig:
    """The shape and arithmetic of an encoder, under BERT's own key names (Devlin et al. 2018, `bert_config.json`)."""

    vocab_size: int  # V, rows of the word table
    hidden_size: int  # D, width of the residual stream
    num_hidden_layers: int  # L
    num_attention_heads: int  # H; the head width is K = D / H
    intermediate_size: int  # F, width of the feed-forward layer
    hidden_act: str = "gelu"  # a key of ACTIVATIONS
    hidden_dropout_prob: float = 0.1  # training only
    attention_probs_dropout_prob: float = 0.1  # training only
    max_position_embeddings: int = 512  # rows of the position table
    type_vocab_size: int = 2  # rows of the type table; 0: the family has none
    initializer_range: float = 0.02  # standard deviation of fresh weights
    layer_norm_eps: float = 1e-12
    pad_token_id: int = 0
    pooler: str = "dense_tanh"  # of POOLERS: what `pooled_output` is
    # the row of the position table that the first token has: RoBERTa's begin behind that of padding, at 2
    position_offset: int = field(default=0, metadata=ADDED_LATER)
    # W, width of the embeddings, which a linear map takes to hidden_size (ALBERT, ELECTRA); None: they are of one width
    embedding_size: int | None = field(default=None, metadata=ADDED_LATER)
    # every layer has the weights of the first, and a map to hidden_size stands behind embeddings of any width (ALBERT)
    shared_layers: bool = field(default=False, metadata=ADDED_LATER)
    # a key of ACTIVATIONS, in the masked-language-model head; None: hidden_act (BERT)
    mlm_act: str | None = field(default=None, metadata=ADDED_LATER)
    # rows of the table of attention biases by relative position (MPNet); 0: the family has none
    relative_attention_num_buckets: int = field(default=0, metadata=ADDED_LATER)

    def __post_init__(self) -> None:
        """Refuse a shape that no encoder can have."""
        _positive(
            self,
            *("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads"),
            *("intermediate_size", "max_position_embeddings"),
        )
        _rate(self, "hidden_dropout_prob", "attention_probs_dropout_prob")
        _one_of("hidden_act", self.hidden_act, ACTIVATIONS)
        _one_of("mlm_act", self.mlm_act or self.hidden_act, ACTIVATIONS)
        _one_of("pooler", self.pooler, POOLERS)
        if self.hidden_size % self.num_attention_heads:
            raise ConfigError(
                f"hidden_size must be a multiple of num_attention_heads; found {self.hidden_size} and "
                f"{self.num_attention_heads}; correct one of them"
            )
        if not isinstance(self.type_vocab_size, int) or self.type_vocab_size < 0:
            raise ConfigError(f"type_vocab_size must be 0 or more; found {self.type_vocab_size!r}; correct it")
        for name in ("layer_norm_eps", "initializer_range"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"{name} must be above 0 and finite; found {getattr(self, name)!r}; correct it")
        if self.embedding_size is not None:
            _positive(self, "embedding_size")
        if type(self.position_offset) is not int or not 0 <= self.position_offset < self.max_position_embeddings:
            raise ConfigError(
                f"position_offset must be a row of the position table; found {self.position_offset!r} of "
                f"{self.max_position_embeddings}; correct it"
            )
        buckets = self.relative_attention_num_buckets
        if type(buckets) is not int or buckets < 0 or buckets % 4:
            raise ConfigError(
                f"relative_attention_num_buckets must be a multiple of 4, half of them for either direction; found "
                f"{buckets!r}; correct it"
            )
        if buckets and self.max_position_embeddings > MOST_RELATIVE:
            raise ConfigError(
                f"relative positions are computed for at most {MOST_RELATIVE} positions, a bias for each pair of them; "
                f"found max_position_embeddings {self.max_position_embeddings}; correct it"
            )
        if not 0 <= self.pad_token_id < self.vocab_size:
            raise ConfigError(
                f"pad_token_id must be a row of the word table; found {self.pad_token_id} of {self.vocab_size}; "
                "correct it"
            )

    @property
    def max_length(self) -> int:
        """The longest sequence, in tokens: the rows of the position table from the first token's on."""
        return self.max_position_embeddings - self.position_offset

    @property
    def embedding_width(self) -> int:
        """W, the width of the embeddings."""
        return self.hidden_size if self.embedding_size is None else self.embedding_size

    @property
    def stored_layers(self) -> int:
        """How many layers have weights of their own."""
        return 1 if self.shared_layers else self.num_hidden_layers

    @property
    def reads_types(self) -> bool:
        """Whether the type of a token tells anything: not where the type table has one row, or none."""
        return self.type_vocab_size > 1

    @property
    def has_projection(self) -> bool:
        """Whether a linear map takes the embeddings to hidden_size."""
        return self.shared_layers or self.embedding_width != self.hidden_size

    @property
    def activation(self) -> str:
        """The primitive behind `hidden_act`: gelu, gelu_tanh, relu or silu."""
        return ACTIVATIONS[self.hidden_act]

    @property
    def mlm_activation(self) -> str:
        """The primitive behind `mlm_act`."""
        return ACTIVATIONS[self.mlm_act or self.hidden_act]


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateConfig:
    """Where special tokens stand in a row that no name of TEMPLATES covers: pieces, and None for a segment's tokens.

    >>> TemplateConfig(single=("[CLS]", None), pair=("[CLS]", None, None), pair_types=(0, 0, 1)).single_types
    (0, 0)
    """

    single: tuple[str | None, ...]  # a row of one segment
    pair: tuple[str | None, ...]  # of two
    single_types: tuple[int, ...] = ()  # the type id of each entry; none: 0 everywhere
    pair_types: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Refuse rows without their segments, or with types that are not theirs; fill in types that are left out."""
        for name, segments in (("single", 1), ("pair", 2)):
            row, types = getattr(self, name), getattr(self, f"{name}_types")
            if not types:
                object.__setattr__(self, f"{name}_types", (0,) * len(row))
            elif len(types) != len(row) or any(not 0 <= type_id < 1 << 31 for type_id in types):
                raise ConfigError(
                    f"the template's {name}_types must be one type id for each of {len(row)} entries; found "
                    f"{len(types)}: {', '.join(map(str, types[:9]))}; correct them"
                )
            if row.count(None) != segments:
                raise ConfigError(
                    f"the template's {name} must hold {segments} segment(s); found {row.count(None)}; correct it"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerConfig:
    """How text becomes ids.

    Dialects: `hf` (BertTokenizer of Hugging Face), `tfhub` (BertTokenizer of tensorflow-text, as TF Hub's preprocessors
    use it), `spm` (SentencePiece as it is), `kobert` (SentencePiece behind KoBertTokenizer's text rules), `fast`
    (whatever a `tokenizer.json` of the tokenizers library holds). A special token that is None is not there.
    """

    dialect: str  # of DIALECTS
    vocab_file: str | None = "vocab.txt"  # one piece a line; None: the ids are the SentencePiece model's own
    model_file: str | None = None  # the SentencePiece model, for spm and kobert
    do_lower_case: bool = False
    strip_accents: bool | None = None  # hf only; None: as do_lower_case
    tokenize_chinese_chars: bool = True  # hf only; tfhub always splits ideographs
    unk_token: str | None = "[UNK]"
    pad_token: str | None = "[PAD]"
    cls_token: str | None = "[CLS]"
    sep_token: str | None = "[SEP]"
    mask_token: str | None = "[MASK]"
    # of TEMPLATES, or written out: where special tokens stand in a row
    template: str | TemplateConfig = field(default="bert", metadata=ADDED_LATER)

    def __post_init__(self) -> None:
        """Refuse a dialect that is unknown or lacks its file."""
        _one_of("dialect", self.dialect, DIALECTS)
        if isinstance(self.template, str):
            _one_of("template", self.template, TEMPLATES)
        needed = "model_file" if self.dialect in ("spm", "kobert") else "vocab_file"
        if getattr(self, needed) is None:
            raise ConfigError(f"the {self.dialect} dialect needs {needed}; found none; name the file")
        if self.dialect != "hf" and (self.strip_accents is not None or not self.tokenize_chinese_chars):
            raise ConfigError(
                f"strip_accents={self.strip_accents}, tokenize_chinese_chars={self.tokenize_chinese_chars} were given; "
                f"the {self.dialect} dialect has its own rules for both; leave them out, or use hf"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseConfig:
    """A step behind the pooling: a linear map with its activation, a LayerNorm, or a scaling to unit length.

    The weights of the i-th are `sentence.{i}.weight` and `.bias`.
    """

    in_features: int
    out_features: int
    bias: bool = True
    activation: str = "identity"  # of DENSE_ACTIVATIONS
    kind: str = field(default="dense", metadata=ADDED_LATER)  # of STEPS
    # what goes in is added to what comes out, through `sentence.{i}.residual.weight` where the widths differ
    residual: bool = field(default=False, metadata=ADDED_LATER)

    def __post_init__(self) -> None:
        """Refuse a step without width or with an unknown activation."""
        _positive(self, "in_features", "out_features")
        _one_of("activation", self.activation, DENSE_ACTIVATIONS)
        _one_of("kind", self.kind, STEPS)
        plain = (self.in_features, True, "identity", False)
        if self.kind != "dense" and plain != (self.out_features, self.bias, self.activation, self.residual):
            raise ConfigError(
                f"a {self.kind} keeps the width and has no activation; found {self}; give it as a dense map"
            )

    @property
    def has_weights(self) -> bool:
        """Whether the step has tensors."""
        return self.kind != "normalize"


@dataclass(frozen=True, slots=True, kw_only=True)
class SentenceConfig:
    """How a sentence vector is made of the encoder's outputs: pooling, the steps behind it, normalisation."""

    pooling: str = "mean"  # of POOLINGS; several joined by +, as in cls+mean, stand side by side in that order
    dense: tuple[DenseConfig, ...] = ()
    normalize: bool = False  # last of all, to unit length
    max_seq_length: int = 128  # tokens of one text, special tokens included
    prompts: Mapping[str, str] = field(default_factory=dict)  # name -> what is put before each text
    default_prompt_name: str | None = None
    include_prompt: bool = field(default=True, metadata=ADDED_LATER)  # False: a prompt's tokens are not pooled
    similarity_fn_name: str = field(default="cosine", metadata=ADDED_LATER)  # of SIMILARITIES
    truncate_dim: int | None = field(default=None, metadata=ADDED_LATER)  # numbers of a vector that are kept

    def __post_init__(self) -> None:
        """Refuse an unknown pooling, steps that do not join or a default prompt that is not there."""
        for pooling in self.poolings:
            _one_of("pooling", pooling, POOLINGS)
        if len(self.poolings) > 1 and "pooled_output" in self.poolings:
            raise ConfigError(f"pooled_output stands alone; found the pooling {self.pooling}; use cls, or leave it out")
        _one_of("similarity_fn_name", self.similarity_fn_name, SIMILARITIES)
        if self.truncate_dim is not None:
            _positive(self, "truncate_dim")
        if self.default_prompt_name is not None and not self.prompts:
            raise ConfigError(
                f"default_prompt_name is {self.default_prompt_name!r}, and there are no prompts; add the prompt, or "
                "leave its name out"
            )
        if self.default_prompt_name is not None:
            _one_of("default_prompt_name", self.default_prompt_name, self.prompts)
        if self.max_seq_length < 3:
            raise ConfigError(
                f"max_seq_length must hold [CLS], a token and [SEP]; found {self.max_seq_length}; give 3 or more"
            )
        for before, after in zip(self.dense, self.dense[1:], strict=False):
            if before.out_features != after.in_features:
                raise ConfigError(
                    f"a dense map of {before.out_features} features is followed by one that takes "
                    f"{after.in_features}; the two must be equal; correct one of them"
                )

    @property
    def poolings(self) -> tuple[str, ...]:
        """The poolings whose vectors stand side by side."""
        return tuple(self.pooling.split("+"))


# What Hugging Face's class for whole texts computes, by config.json's `problem_type`: a softmax over labels, numbers as
# they are, a sigmoid for each label.
SINGLE, REGRESSION, MULTIPLE = "single_label_classification", "regression", "multi_label_classification"
PRE_ACTIVATIONS = ("relu", "tanh", "gelu")  # DistilBERT's, RoBERTa's and MPNet's, ELECTRA's
SCORE_ACTIVATIONS = ("identity", "sigmoid", "tanh", "relu", "softplus", "softmax")


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadKind:
    """The arithmetic of a head: what its last map reads, what that is called, and how many logits it gives."""

    reads: str | None  # the encoder's output that the logits come from; None: there are no logits
    tensors: str  # the last map is `{tensors}.weight` and `{tensors}.bias`
    huggingface: str | None  # how the names of Hugging Face's classes end; None: it has no such class
    logits: int | None = None  # of a row or a token; None: one a label
    problem_type: str | None = None  # of Hugging Face's class, where that computes several
    fewest_labels: int = 2  # where there is a logit for each

    @property
    def on_text(self) -> bool:
        """Whether it judges a whole text, or a pair: such heads differ in what is made of their logits."""
        return self.problem_type is not None


_TEXT = HeadKind(
    reads="pooled_output", tensors="classifier", huggingface="ForSequenceClassification", problem_type=SINGLE
)
_SCORE = replace(_TEXT, problem_type=REGRESSION, fewest_labels=1)
# By the task that a head of the kind is for where a configuration names no other. Hugging Face's do not tell a text
# from a pair.
HEADS = {
    "classify": _TEXT,
    "pair": _TEXT,
    "score": _SCORE,
    "rank": _SCORE,
    "multilabel": replace(_TEXT, problem_type=MULTIPLE, fewest_labels=1),
    "similarity": HeadKind(reads=None, tensors="", huggingface=None, logits=0),
    "tag": HeadKind(reads="sequence_output", tensors="classifier", huggingface="ForTokenClassification"),
    "answer": HeadKind(reads="sequence_output", tensors="qa_outputs", huggingface="ForQuestionAnswering", logits=2),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadConfig:
    """What a fine-tuned module predicts, and the head that it has for it."""

    task: str  # a row of `wellread.tasks`
    labels: tuple[str, ...] = ()  # C of them, in the order of the logits; of numbers their names
    pre_classifier: bool = False  # of a whole text: a dense map before the last, on position 0 instead of the pooler
    dropout: float = 0.1  # before the last map; training only
    low: float = 0.0  # similarity: the score that a cosine of 0 stands for
    high: float = 1.0  # and a cosine of 1
    kind: str | None = field(default=None, metadata=ADDED_LATER)  # of HEADS; None: that of the task's own name
    activation: str = field(default="identity", metadata=ADDED_LATER)  # score, rank: of SCORE_ACTIVATIONS, on logits
    pre_activation: str = field(default="relu", metadata=ADDED_LATER)  # of PRE_ACTIVATIONS, behind that map
    pre_dropout: bool = field(default=False, metadata=ADDED_LATER)  # whether dropout stands before that map too
    # score, rank: what config.json states of it, for Hugging Face's training; None: nothing
    problem_type: str | None = field(default=None, metadata=ADDED_LATER)

    def __post_init__(self) -> None:
        """Refuse a head that cannot predict anything."""
        _one_of("task" if self.kind is None else "kind", self.kind or self.task, HEADS)
        _rate(self, "dropout")
        labelled = self.row.logits is None
        distinct = len(set(self.labels)) == len(self.labels) and all(isinstance(label, str) for label in self.labels)
        fewest = self.row.fewest_labels
        if labelled != bool(self.labels) or (labelled and len(self.labels) < fewest) or not distinct:
            wanted = f"{('one', 'two')[fewest - 1]} or more distinct labels" if labelled else "no labels"
            raise ConfigError(
                f"a head for {self.task} needs {wanted}; found {', '.join(map(repr, self.labels)) or 'none'}; "
                "correct them"
            )
        if self.pre_classifier and not self.row.on_text:
            kinds = ", ".join(name for name, row in HEADS.items() if row.on_text)
            raise ConfigError(f"pre_classifier is for {kinds}; found it with {self.task}; leave it out")
        _one_of("pre_activation", self.pre_activation, PRE_ACTIVATIONS)
        if (self.pre_activation, self.pre_dropout) != ("relu", False) and not self.pre_classifier:
            raise ConfigError(
                f"pre_activation and pre_dropout belong to pre_classifier; found {self.pre_activation} and "
                f"{self.pre_dropout} without it; leave them out"
            )
        if not -math.inf < self.low < self.high < math.inf:
            raise ConfigError(
                f"low must be below high, both finite; found {self.low} and {self.high}; correct one of them"
            )
        _one_of("activation", self.activation, SCORE_ACTIVATIONS)
        stated = (self.activation, self.problem_type) != ("identity", None)
        if self.problem_type not in (None, SINGLE, REGRESSION, MULTIPLE) or (
            stated and self.row.problem_type != REGRESSION
        ):
            raise ConfigError(
                f"activation and problem_type are for heads that give numbers; found {self.activation} and "
                f"{self.problem_type!r} with {self.task}; leave them out"
            )

    @property
    def row(self) -> HeadKind:
        """The row of HEADS that says what the head computes."""
        return HEADS[self.kind or self.task]

    @property
    def first_map(self) -> tuple[bool, str, bool]:
        """What stands before the last map: whether there is one, its activation, and whether dropout is before it."""
        return self.pre_classifier, self.pre_activation, self.pre_dropout

    @property
    def outputs(self) -> int:
        """Logits of a row or a token: C, 2 for the begin and end of a span, 0 where there are none."""
        return len(self.labels) if self.row.logits is None else self.row.logits
