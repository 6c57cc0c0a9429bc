"""ELECTRA (Clark et al. 2020) as Hugging Face stores it: discriminators and generators, KoELECTRA, KcELECTRA.

The arithmetic is BERT's without pooler, behind embeddings that may be narrower. The discriminator's head, which tells
replaced tokens, is not computed. The generator's is that of a masked language model, with a gelu whatever `hidden_act`
says.
"""

from wellread.checkpoints.config_keys import BOOKKEEPING, FIXED, PATTERNS
from wellread.checkpoints.families.bert import FAMILY as BERT
from wellread.checkpoints.families.bert import IGNORED_TENSORS, TASK_HEAD
from wellread.checkpoints.family import OUT_PROJ, Family, HeadClass
from wellread.schema import KeyTable

FAMILY = Family(
    name="electra",
    prefix="electra.",
    architecture="ElectraModel",
    mlm_architecture="ElectraForMaskedLM",
    heads=(
        HeadClass(
            task="classify",
            dropout_key="classifier_dropout",
            pre_classifier=True,
            pre_activation="gelu",
            pre_dropout=True,
            tensors=OUT_PROJ,
        ),
        HeadClass(task="tag", dropout_key="classifier_dropout"),
        HeadClass(task="answer", dropout=0.0),
    ),
    keys=KeyTable(
        used={**BERT.keys.used, "embedding_size": "embedding_size"},
        required=BERT.keys.required,
        nullable=BERT.keys.nullable,
        fixed={**FIXED, "model_type": ["electra"]},
        ignored=BOOKKEEPING,
        patterns=PATTERNS,
    ),
    constants={"pooler": "first_token", "mlm_act": "gelu"},
    defaults={"embedding_size": 128},
    tensors="""
        cls.predictions.transform.dense.weight      generator_predictions.dense.weight
        cls.predictions.transform.dense.bias        generator_predictions.dense.bias
        cls.predictions.transform.LayerNorm.weight  generator_predictions.LayerNorm.weight
        cls.predictions.transform.LayerNorm.bias    generator_predictions.LayerNorm.bias
        cls.predictions.bias                        generator_lm_head.bias
    """,
    ignored_tensors={
        **IGNORED_TENSORS,
        "discriminator_predictions.*": "the discriminator's head, which tells replaced tokens; no output needs it",
        "sequence_summary.*": TASK_HEAD,
    },
    copies={"generator_lm_head.weight": "embeddings.word_embeddings.weight"},
)
