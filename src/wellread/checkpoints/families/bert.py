"""BERT (Devlin et al. 2018) as Hugging Face stores it: Google's models, KoBERT, MiniLM, small BERT."""

from typing import Any

from wellread.checkpoints.family import Family, HeadClass
from wellread.schema import KeyTable

# What any config.json may carry that says nothing about the arithmetic.
BOOKKEEPING = {
    "_name_or_path": "says where the weights came from",
    "_attn_implementation_autoset": "a choice of kernels, not of arithmetic",
    "attn_implementation": "a choice of kernels, not of arithmetic",
    "architectures": "names classes, which are never resolved",
    "auto_map": "names code in the repository, which is never run",
    "bos_token_id": "for text generation",
    "classifier_dropout": "for fine-tuning a classifier in Hugging Face",
    "directionality": "a note of the TensorFlow 1 release",
    "dtype": "every tensor names its own type",
    "eos_token_id": "for text generation",
    "finetuning_task": "a note",
    "gradient_checkpointing": "a setting of training runs",
    "id2label": "for task heads",
    "label2id": "id2label tells the labels",
    "num_labels": "for task heads",
    "output_attentions": "outputs are asked for by name",
    "output_hidden_states": "outputs are asked for by name",
    "output_past": "for decoders",
    "problem_type": "for task heads",
    "return_dict": "outputs are always named",
    "torch_dtype": "every tensor names its own type",
    "torchscript": "a setting of exports",
    "transformers_version": "a note",
    "use_bfloat16": "a setting of TensorFlow runs",
    "use_cache": "for decoders",
    "vocab_file": "the vocabulary is found by its name",
}
FIXED: dict[str, list[Any]] = {
    "is_decoder": [False],
    "is_encoder_decoder": [False],
    "add_cross_attention": [False],
    "cross_attention_hidden_size": [None],
    "chunk_size_feed_forward": [0],
    "pruned_heads": [{}, None],
    "quantization_config": [None],
    "tie_word_embeddings": [True],
}
TASK_HEAD = "a task's head; the encoder is read without it"
IGNORED_TENSORS = {
    "embeddings.position_ids": "a buffer: 0, 1, 2 ...",
    "embeddings.token_type_ids": "a buffer of zeros",
    "classifier.*": TASK_HEAD,
    "qa_outputs.*": TASK_HEAD,
}
POOLER_NOTE = "a note of Google's multilingual release; its pooler is the usual one"

FAMILY = Family(
    name="bert",
    prefix="bert.",
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
        fixed={**FIXED, "model_type": ["bert"], "position_embedding_type": ["absolute"]},
        ignored={
            **BOOKKEEPING,
            "pooler_fc_size": POOLER_NOTE,
            "pooler_num_attention_heads": POOLER_NOTE,
            "pooler_num_fc_layers": POOLER_NOTE,
            "pooler_size_per_head": POOLER_NOTE,
            "pooler_type": POOLER_NOTE,
        },
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
