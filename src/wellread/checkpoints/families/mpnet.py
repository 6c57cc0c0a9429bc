"""MPNet (Song et al. 2020) as Hugging Face stores it: mpnet-base, all-mpnet-base-v2.

Attention has a bias by relative position, one table for all layers. There is no type table. Padding is the id 1 in its
positions, whatever `pad_token_id` says, and the masked-language-model head has a gelu whatever `hidden_act` says.
"""

from wellread.checkpoints.config_keys import BOOKKEEPING, FIXED, PATTERNS
from wellread.checkpoints.families.bert import FAMILY as BERT
from wellread.checkpoints.families.bert import IGNORED_TENSORS
from wellread.checkpoints.family import OUT_PROJ, Family, HeadClass
from wellread.schema import KeyTable

BUCKETS = 32  # transformers computes with as many, whatever relative_attention_num_buckets says

FAMILY = Family(
    name="mpnet",
    prefix="mpnet.",
    architecture="MPNetModel",
    mlm_architecture="MPNetForMaskedLM",
    heads=(
        HeadClass(task="classify", pre_classifier=True, pre_activation="tanh", pre_dropout=True, tensors=OUT_PROJ),
        HeadClass(task="tag"),
        HeadClass(task="answer", dropout=0.0),
    ),
    keys=KeyTable(
        used={theirs: ours for theirs, ours in BERT.keys.used.items() if theirs != "type_vocab_size"},
        required=BERT.keys.required,
        nullable=BERT.keys.nullable,
        fixed={**FIXED, "model_type": ["mpnet"], "relative_attention_num_buckets": [BUCKETS]},
        ignored=BOOKKEEPING,
        patterns=PATTERNS,
    ),
    constants={
        "type_vocab_size": 0,
        "position_offset": 2,
        "relative_attention_num_buckets": BUCKETS,
        "mlm_act": "gelu",
    },
    defaults={"pad_token_id": 1},
    tensors="""
        embeddings.relative_attention_bias.weight            encoder.relative_attention_bias.weight
        encoder.layer.{i}.attention.self.query.weight        encoder.layer.{i}.attention.attn.q.weight
        encoder.layer.{i}.attention.self.query.bias          encoder.layer.{i}.attention.attn.q.bias
        encoder.layer.{i}.attention.self.key.weight          encoder.layer.{i}.attention.attn.k.weight
        encoder.layer.{i}.attention.self.key.bias            encoder.layer.{i}.attention.attn.k.bias
        encoder.layer.{i}.attention.self.value.weight        encoder.layer.{i}.attention.attn.v.weight
        encoder.layer.{i}.attention.self.value.bias          encoder.layer.{i}.attention.attn.v.bias
        encoder.layer.{i}.attention.output.dense.weight      encoder.layer.{i}.attention.attn.o.weight
        encoder.layer.{i}.attention.output.dense.bias        encoder.layer.{i}.attention.attn.o.bias
        encoder.layer.{i}.attention.output.LayerNorm.weight  encoder.layer.{i}.attention.LayerNorm.weight
        encoder.layer.{i}.attention.output.LayerNorm.bias    encoder.layer.{i}.attention.LayerNorm.bias
        cls.predictions.transform.dense.weight               lm_head.dense.weight
        cls.predictions.transform.dense.bias                 lm_head.dense.bias
        cls.predictions.transform.LayerNorm.weight           lm_head.layer_norm.weight
        cls.predictions.transform.LayerNorm.bias             lm_head.layer_norm.bias
        cls.predictions.bias                                 lm_head.bias
    """,
    ignored_tensors=IGNORED_TENSORS,
    copies={
        "lm_head.decoder.weight": "embeddings.word_embeddings.weight",
        "lm_head.decoder.bias": "cls.predictions.bias",
    },
)
