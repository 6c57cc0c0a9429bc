"""DistilBERT (Sanh et al. 2019) as Hugging Face stores it: no type table, no pooler, other names. Also DistilKoBERT."""

from wellread.checkpoints.config_keys import BOOKKEEPING, FIXED, PATTERNS
from wellread.checkpoints.families.bert import IGNORED_TENSORS, TASK_HEAD
from wellread.checkpoints.family import Family, HeadClass
from wellread.schema import KeyTable

FAMILY = Family(
    name="distilbert",
    prefix="distilbert.",
    tfhub_act="gelu",
    architecture="DistilBertModel",
    mlm_architecture="DistilBertForMaskedLM",
    heads=(
        HeadClass(task="classify", dropout_key="seq_classif_dropout", dropout=0.2, pre_classifier=True),
        HeadClass(task="tag"),
        HeadClass(task="answer", dropout_key="qa_dropout", dropout=0.1),
    ),
    keys=KeyTable(
        used={
            "vocab_size": "vocab_size",
            "dim": "hidden_size",
            "n_layers": "num_hidden_layers",
            "n_heads": "num_attention_heads",
            "hidden_dim": "intermediate_size",
            "activation": "hidden_act",
            "dropout": "hidden_dropout_prob",
            "attention_dropout": "attention_probs_dropout_prob",
            "max_position_embeddings": "max_position_embeddings",
            "initializer_range": "initializer_range",
            "pad_token_id": "pad_token_id",
        },
        required=("vocab_size", "dim", "n_layers", "n_heads", "hidden_dim", "max_position_embeddings"),
        nullable=("pad_token_id",),
        fixed={**FIXED, "model_type": ["distilbert"], "tie_weights_": [True]},
        ignored={
            **BOOKKEEPING,
            "qa_dropout": "for task heads",
            "seq_classif_dropout": "for task heads",
            "sinusoidal_pos_embds": "how the position table began; the table itself is in the file",
        },
        patterns=PATTERNS,
    ),
    constants={"type_vocab_size": 0, "pooler": "first_token", "layer_norm_eps": 1e-12},
    tensors="""
        encoder.layer.{i}.attention.self.query.weight        transformer.layer.{i}.attention.q_lin.weight
        encoder.layer.{i}.attention.self.query.bias          transformer.layer.{i}.attention.q_lin.bias
        encoder.layer.{i}.attention.self.key.weight          transformer.layer.{i}.attention.k_lin.weight
        encoder.layer.{i}.attention.self.key.bias            transformer.layer.{i}.attention.k_lin.bias
        encoder.layer.{i}.attention.self.value.weight        transformer.layer.{i}.attention.v_lin.weight
        encoder.layer.{i}.attention.self.value.bias          transformer.layer.{i}.attention.v_lin.bias
        encoder.layer.{i}.attention.output.dense.weight      transformer.layer.{i}.attention.out_lin.weight
        encoder.layer.{i}.attention.output.dense.bias        transformer.layer.{i}.attention.out_lin.bias
        encoder.layer.{i}.attention.output.LayerNorm.weight  transformer.layer.{i}.sa_layer_norm.weight
        encoder.layer.{i}.attention.output.LayerNorm.bias    transformer.layer.{i}.sa_layer_norm.bias
        encoder.layer.{i}.intermediate.dense.weight          transformer.layer.{i}.ffn.lin1.weight
        encoder.layer.{i}.intermediate.dense.bias            transformer.layer.{i}.ffn.lin1.bias
        encoder.layer.{i}.output.dense.weight                transformer.layer.{i}.ffn.lin2.weight
        encoder.layer.{i}.output.dense.bias                  transformer.layer.{i}.ffn.lin2.bias
        encoder.layer.{i}.output.LayerNorm.weight            transformer.layer.{i}.output_layer_norm.weight
        encoder.layer.{i}.output.LayerNorm.bias              transformer.layer.{i}.output_layer_norm.bias
        cls.predictions.transform.dense.weight               vocab_transform.weight
        cls.predictions.transform.dense.bias                 vocab_transform.bias
        cls.predictions.transform.LayerNorm.weight           vocab_layer_norm.weight
        cls.predictions.transform.LayerNorm.bias             vocab_layer_norm.bias
        cls.predictions.bias                                 vocab_projector.bias
    """,
    ignored_tensors={**IGNORED_TENSORS, "pre_classifier.*": TASK_HEAD, "label_classifier.*": TASK_HEAD},
    copies={"vocab_projector.weight": "embeddings.word_embeddings.weight"},
)
