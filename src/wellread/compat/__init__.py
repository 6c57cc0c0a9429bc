"""The names of packages of before, over wellread: distilkobert, tokenization_kobert, kobert_transformers."""

from wellread.compat.install import install, uninstall

__all__ = ["install", "uninstall"]
