"""The names of packages of before, over wellread: distilkobert, tokenization_kobert, kobert_transformers."""

from wellread.compat.names import install, uninstall

__all__ = ["install", "uninstall"]
