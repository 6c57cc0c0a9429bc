"""BERT (Devlin et al. 2018) as Hugging Face stores it: Google's models, KoBERT, MiniLM, small BERT."""

from wellread.checkpoints.config_keys import BOOKKEEPING, FIXED, PATTERNS
from wellread.checkpoints.family import Family, HeadClass
from wellread.schema import KeyTable

TASK_HEAD = "a task's head; the encoder is read without it"
IGNORED_TENSORS = {
    "embeddings.position_ids": "a buffer: 0, 1, 2 ...",
    "embeddings.token_type_ids": "a buffer of zeros",
    "classifier.*": TASK_HEAD,
    "qa_outputs.*": TASK_HEAD,
}

FAMILY = Family(
    name="bert",
    prefix="bert.",
    layers_student="distilbert",
    tfhub_act="gelu_pytorch_tanh",
    architecture="BertModel",
    mlm_architecture="BertForMaskedLM",
    heads=(
        HeadClass(task="classify", dropout_key="classifier_dropout", needs_pooler=True),
        HeadClass(task="tag", dropout_key="classifier_dropout"),
        HeadClass(task="answer", dropout=0.0),
    ),
    keys=KeyTable(
        used={
            key: key
            for key in (
                *("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"),
                *("hidden_act", "hidden_dropout_prob", "attention_probs_dropout_prob", "max_position_embeddings"),
                *("type_vocab_size", "initializer_range", "layer_norm_eps", "pad_token_id"),
            )
        },
        required=(
            *("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"),
            "max_position_embeddings",
        ),
        nullable=("pad_token_id",),
        fixed={**FIXED, "model_type": ["bert"]},
        equal={
            "emb_size": "hidden_size",  # of TinyBERT
            "embedding_size": "hidden_size",
            "vocab_size_or_config_json_file": "vocab_size",  # of before 2019
        },
        ignored=BOOKKEEPING,
        patterns=PATTERNS,
    ),
    ignored_tensors={
        **IGNORED_TENSORS,
        "cls.seq_relationship.*": "the next-sentence head, which no output needs",
    },
    copies={
        "cls.predictions.decoder.weight": "embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    },
)
