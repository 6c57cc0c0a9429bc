"""ALBERT (Lan et al. 2020) as Hugging Face stores it: albert-base-v2, albert-kor.

Every layer has the weights of one block, and a linear map takes the embeddings, however wide, to the block's width.
Several groups of blocks, or several blocks of a group, are refused. The head of sentence order is not computed.
"""

from wellread.checkpoints.config_keys import BOOKKEEPING, FIXED, PATTERNS
from wellread.checkpoints.families.bert import FAMILY as BERT
from wellread.checkpoints.families.bert import IGNORED_TENSORS
from wellread.checkpoints.family import Family, HeadClass
from wellread.schema import KeyTable

LAYER = "encoder.albert_layer_groups.0.albert_layers.0"
RELEASE = "a setting of Google's release that its code never used"

FAMILY = Family(
    name="albert",
    prefix="albert.",
    architecture="AlbertModel",
    mlm_architecture="AlbertForMaskedLM",
    heads=(
        HeadClass(task="classify", dropout_key="classifier_dropout_prob", dropout=0.1, needs_pooler=True),
        HeadClass(task="tag", dropout_key="classifier_dropout_prob", dropout=0.1),
        HeadClass(task="answer", dropout=0.0),
    ),
    keys=KeyTable(
        used={**BERT.keys.used, "embedding_size": "embedding_size"},
        required=BERT.keys.required,
        nullable=BERT.keys.nullable,
        fixed={**FIXED, "model_type": ["albert"]},
        ignored={
            **BOOKKEEPING,
            **dict.fromkeys(("down_scale_factor", "gap_size", "net_structure_type", "num_memory_blocks"), RELEASE),
        },
        patterns=PATTERNS,
    ),
    constants={"shared_layers": True},
    defaults={
        "embedding_size": 128,
        "hidden_act": "gelu_new",
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    },
    tensors=f"""
        embeddings_project.weight                            encoder.embedding_hidden_mapping_in.weight
        embeddings_project.bias                              encoder.embedding_hidden_mapping_in.bias
        encoder.layer.{{i}}.attention.self.query.weight        {LAYER}.attention.query.weight
        encoder.layer.{{i}}.attention.self.query.bias          {LAYER}.attention.query.bias
        encoder.layer.{{i}}.attention.self.key.weight          {LAYER}.attention.key.weight
        encoder.layer.{{i}}.attention.self.key.bias            {LAYER}.attention.key.bias
        encoder.layer.{{i}}.attention.self.value.weight        {LAYER}.attention.value.weight
        encoder.layer.{{i}}.attention.self.value.bias          {LAYER}.attention.value.bias
        encoder.layer.{{i}}.attention.output.dense.weight      {LAYER}.attention.dense.weight
        encoder.layer.{{i}}.attention.output.dense.bias        {LAYER}.attention.dense.bias
        encoder.layer.{{i}}.attention.output.LayerNorm.weight  {LAYER}.attention.LayerNorm.weight
        encoder.layer.{{i}}.attention.output.LayerNorm.bias    {LAYER}.attention.LayerNorm.bias
        encoder.layer.{{i}}.intermediate.dense.weight          {LAYER}.ffn.weight
        encoder.layer.{{i}}.intermediate.dense.bias            {LAYER}.ffn.bias
        encoder.layer.{{i}}.output.dense.weight                {LAYER}.ffn_output.weight
        encoder.layer.{{i}}.output.dense.bias                  {LAYER}.ffn_output.bias
        encoder.layer.{{i}}.output.LayerNorm.weight            {LAYER}.full_layer_layer_norm.weight
        encoder.layer.{{i}}.output.LayerNorm.bias              {LAYER}.full_layer_layer_norm.bias
        pooler.dense.weight                                  pooler.weight
        pooler.dense.bias                                    pooler.bias
        cls.predictions.transform.dense.weight               predictions.dense.weight
        cls.predictions.transform.dense.bias                 predictions.dense.bias
        cls.predictions.transform.LayerNorm.weight           predictions.LayerNorm.weight
        cls.predictions.transform.LayerNorm.bias             predictions.LayerNorm.bias
        cls.predictions.bias                                 predictions.bias
    """,
    ignored_tensors={**IGNORED_TENSORS, "sop_classifier.*": "the head of sentence order, which no output needs"},
    copies={
        "predictions.decoder.weight": "embeddings.word_embeddings.weight",
        "predictions.decoder.bias": "cls.predictions.bias",
    },
)
