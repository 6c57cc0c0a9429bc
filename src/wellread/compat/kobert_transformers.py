"""The functions of kobert-transformers, which followed distilkobert, by their names."""

from wellread.compat.distilkobert import (
    get_distilkobert_lm,
    get_distilkobert_model,
    get_kobert_lm,
    get_kobert_model,
    get_tokenizer,
)

__all__ = ["get_distilkobert_lm", "get_distilkobert_model", "get_kobert_lm", "get_kobert_model", "get_tokenizer"]
