"""RoBERTa (Liu et al. 2019) as Hugging Face stores it, and its like under other names: XLM-RoBERTa, CamemBERT.

The arithmetic is BERT's. Positions begin behind that of padding, the type table has one row in most of them, and the
masked-language-model head has a gelu whatever `hidden_act` says. The tokenizer is no part of the family: KLUE-RoBERTa
and ko-sroberta have BERT's WordPiece.
"""

from wellread.checkpoints.config_keys import BOOKKEEPING, FIXED, PATTERNS
from wellread.checkpoints.families.bert import FAMILY, IGNORED_TENSORS
from wellread.checkpoints.family import OUT_PROJ, Family, HeadClass
from wellread.schema import KeyTable

# model_type -> how the names of its classes begin
CLASSES = {"roberta": "Roberta", "xlm-roberta": "XLMRoberta", "camembert": "Camembert"}


def _family(name: str, begin: str) -> Family:
    return Family(
        name=name,
        prefix="roberta.",
        architecture=f"{begin}Model",
        mlm_architecture=f"{begin}ForMaskedLM",
        heads=(
            HeadClass(
                task="classify",
                dropout_key="classifier_dropout",
                pre_classifier=True,
                pre_activation="tanh",
                pre_dropout=True,
                tensors=OUT_PROJ,
            ),
            HeadClass(task="tag", dropout_key="classifier_dropout"),
            HeadClass(task="answer", dropout=0.0),
        ),
        keys=KeyTable(
            used=FAMILY.keys.used,
            required=FAMILY.keys.required,
            fixed={**FIXED, "model_type": [name]},
            equal={"embedding_size": "hidden_size"},
            ignored=BOOKKEEPING,
            patterns=PATTERNS,
        ),
        constants={"mlm_act": "gelu"},
        defaults={"pad_token_id": 1},
        positions_follow_padding=True,
        tensors="""
            cls.predictions.transform.dense.weight      lm_head.dense.weight
            cls.predictions.transform.dense.bias        lm_head.dense.bias
            cls.predictions.transform.LayerNorm.weight  lm_head.layer_norm.weight
            cls.predictions.transform.LayerNorm.bias    lm_head.layer_norm.bias
            cls.predictions.bias                        lm_head.bias
        """,
        ignored_tensors=IGNORED_TENSORS,
        copies={
            "lm_head.decoder.weight": "embeddings.word_embeddings.weight",
            "lm_head.decoder.bias": "cls.predictions.bias",
        },
    )


FAMILIES = tuple(_family(name, begin) for name, begin in CLASSES.items())
