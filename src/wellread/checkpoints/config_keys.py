"""Keys of config.json that no family owns: fixed to what wellread computes, ignored for a reason, told by a pattern."""

from typing import Any

_GENERATION = "for text generation"
_TOKENS = "the tokenizer's files tell the ids of special tokens"
_TOKENIZER = "the tokenizer has its own files"
_OUTPUTS = "outputs are asked for by name"
_TRAINING = "a setting of training runs"
_KERNELS = "a choice of kernels, not of arithmetic"
_NOTE = "a note"
_HEADS = "for task heads"
_DECODERS = "for decoders"
_ADAPTERS = "a note of adapters; what they compute lies in tensors, which are accounted for by name"

# What any config.json may carry that says nothing about the arithmetic, as transformers 1 to 5 and others wrote it.
BOOKKEEPING: dict[str, str] = {
    "_attn_implementation": _KERNELS,
    "_attn_implementation_autoset": _KERNELS,
    "_commit_hash": _NOTE,
    "_experts_implementation": _KERNELS,
    "_name_or_path": "says where the weights came from",
    "_num_labels": _HEADS,
    "_flash_attn_2_enabled": _KERNELS,
    "adapter_fusion": _ADAPTERS,
    "adapter_fusion_models": _ADAPTERS,
    "adapters": _ADAPTERS,
    "architectures": "names classes, which are never resolved",
    "attn_implementation": _KERNELS,
    "auto_map": "names code in the repository, which is never run",
    "base_model": _NOTE,
    "chunk_size_feed_forward": "computes the same in smaller steps",
    "classifier_activation": _HEADS,
    "classifier_bias": _HEADS,
    "classifier_dropout": "for fine-tuning a classifier in Hugging Face",
    "classifier_dropout_prob": "for fine-tuning a classifier in Hugging Face",
    "classifier_pooling": _HEADS,
    "custom_pipelines": "names code in the repository, which is never run",
    "directionality": "a note of the TensorFlow 1 release",
    "dtype": "every tensor names its own type",
    "finetuning_task": _NOTE,
    "fp16": _TRAINING,
    "fusion_config": _ADAPTERS,
    "fusion_models": _ADAPTERS,
    "generation_config": _GENERATION,
    "gradient_checkpointing": _TRAINING,
    "id2label": _HEADS,
    "initializer_factor": "of fresh weights",
    "keys_to_ignore_at_inference": _OUTPUTS,
    "label2id": "id2label tells the labels",
    "language": _NOTE,
    "model_max_length": _TOKENIZER,
    "model_name": _NOTE,
    "model_name_or_path": _NOTE,
    "name": _NOTE,
    "num_labels": _HEADS,
    "output_attentions": _OUTPUTS,
    "output_hidden_states": _OUTPUTS,
    "output_past": _DECODERS,
    "pooler_fc_size": "a note of Google's multilingual release; its pooler is the usual one",
    "pooler_num_attention_heads": "a note of Google's multilingual release; its pooler is the usual one",
    "pooler_num_fc_layers": "a note of Google's multilingual release; its pooler is the usual one",
    "pooler_size_per_head": "a note of Google's multilingual release; its pooler is the usual one",
    "pooler_type": "a note of Google's multilingual release; its pooler is the usual one",
    "projection_dim": "of a map behind the encoder; its tensor is accounted for by name",
    "prefix": "what some pipelines put before a text; see the prompts of sentence-transformers",
    "problem_type": _HEADS,
    "return_dict": "outputs are always named",
    "sbert_ce_default_activation_function": _HEADS,
    "sentence_transformers": _HEADS,
    "summary_activation": _HEADS,
    "summary_last_dropout": _HEADS,
    "summary_type": _HEADS,
    "summary_use_proj": _HEADS,
    "task_specific_params": "settings of pipelines",
    "tf_legacy_loss": _TRAINING,
    "tokenizer_class": _TOKENIZER,
    "torch_dtype": "every tensor names its own type",
    "torchscript": "a setting of exports",
    "transformers_version": _NOTE,
    "use_bfloat16": "a setting of TensorFlow runs",
    "unpad_inputs": _KERNELS,
    "use_cache": _DECODERS,
    "use_flash_attention": _KERNELS,
    "use_flash_attn": _KERNELS,
    "use_memory_efficient_attention": _KERNELS,
    "vocab_file": "the vocabulary is found by its name",
    "vocab_path": "the vocabulary is found by its name",
    "with_prediction_heads": _ADAPTERS,
    "xla_device": "a setting of TPU runs",
    **dict.fromkeys(("classifier_layers", "num_classes", "num_class", "num_tags", "label_list", "labels"), _HEADS),
    **dict.fromkeys(("adam_epsilon", "max_grad_norm"), _TRAINING),
    **dict.fromkeys("bos_token cls_token eos_token mask_token pad_token sep_token unk_token".split(), _TOKENIZER),
    **dict.fromkeys(("is_composition", "sub_configs", "attribute_map", "has_no_defaults_at_init"), _NOTE),
    **dict.fromkeys(
        """
        bos_token_id cls_token_id eos_token_id eos_token_ids mask_token_id sep_token_id unk_token_id
        decoder_start_token_id
        """.split(),
        _TOKENS,
    ),
    **dict.fromkeys(
        """
        bad_words_ids begin_suppress_tokens diversity_penalty do_sample early_stopping
        encoder_no_repeat_ngram_size exponential_decay_length_penalty forced_bos_token_id
        forced_eos_token_id length_penalty max_length max_new_tokens min_length no_repeat_ngram_size
        num_beam_groups num_beams num_return_sequences output_scores remove_invalid_values
        repetition_penalty return_dict_in_generate suppress_tokens temperature tie_encoder_decoder top_k
        top_p typical_p
        """.split(),
        _GENERATION,
    ),
}
# What touches the arithmetic, with the values that wellread computes.
FIXED: dict[str, list[Any]] = {
    "add_cross_attention": [False, None],
    "attention_bias": [True],
    "cross_attention_hidden_size": [None],
    "inner_group_num": [1],
    "is_decoder": [False, None],
    "is_encoder_decoder": [False, None],
    "mlp_bias": [True],
    "norm_bias": [True],
    "num_hidden_groups": [1],
    "pos_att_type": [None, [], ""],
    "position_biased_input": [True],
    "position_embedding_type": ["absolute", None],
    "pruned_heads": [{}, None],
    "quantization_config": [None],
    "relative_attention": [False, None],
    "scale_attn_weights": [True],
    "tie_word_embeddings": [True, False],  # where it is false, the head of the words has a table that is not read
    "use_bias": [True],
    "use_position_embeddings": [True],
}
# A pattern of keys that nobody knows -> why they have no effect here; no reason: the arithmetic may depend on them.
# Of several that match, the first counts.
PATTERNS: dict[str, str | None] = {
    **dict.fromkeys(("*dropout*", "*layerdrop*", "*pdrop*"), "a rate of training"),
    **dict.fromkeys(("*initializer*", "init_*", "*_init", "*_init_*"), "of fresh weights"),
    **dict.fromkeys(("*loss*", "*train*", "*optimizer*", "*learning*", "*epoch*", "*_steps", "seed"), _TRAINING),
    **dict.fromkeys(("*label*", "*classifier*", "*summary*", "*task*"), _HEADS),
    **dict.fromkeys(("tokenizer*", "*_token", "*_token_id", "*_token_ids", "*_tokens"), _TOKENIZER),
    **dict.fromkeys(
        """
        *attention* *attn* *head* *position* pos_* *_pos *relative* *rotary* *rope* *alibi* *norm* *_eps
        *epsilon* act_* *_act *_act_* *activation* *gelu* *glu* *gate* *feed* *ffn* *_ff *_ff_* *mlp*
        *hidden* *inner* *intermediate* *embed* emb_* *_emb *vocab* dim dim_* *_dim *width* *depth* *layer*
        *block* *_model conv_* *kernel* *residual* *bias* *scale* *scaling* *moe* *expert* *router* *window*
        *sliding* *sparse* *causal* *decoder* *cross* *quant* *bits* *lora* tie_* *tied* *share* *group*
        *recurren* *theta* *prun* *type_*
        """.split(),
        None,
    ),
}
# Why wellread computes no model of a type: what its arithmetic has that no encoder here has.
OTHER_TYPES: dict[str, str] = {
    **dict.fromkeys(("modernbert", "nomic_bert", "eurobert", "new", "roformer", "neobert"), "rotary positions"),
    **dict.fromkeys(("deberta", "deberta-v2"), "attention to content and relative positions apart"),
    **dict.fromkeys(("longformer", "big_bird", "led", "nystromformer", "xlnet", "funnel"), "attention of its own kind"),
    **dict.fromkeys(("t5", "mt5", "bart", "mbart", "marian", "pegasus", "m2m_100"), "a decoder beside its encoder"),
    **dict.fromkeys(
        """
        gpt2 gpt_neo gpt_neox llama mistral qwen2 qwen3 gemma gemma2 gemma3_text phi phi3 opt bloom falcon
        """.split(),
        "a decoder",
    ),
    **dict.fromkeys(("clip", "siglip", "layoutlm", "layoutlmv2", "layoutlmv3", "vit"), "inputs beside text"),
    **dict.fromkeys(("mobilebert", "squeezebert", "fnet", "convbert", "ibert", "rembert"), "layers of its own kind"),
}
