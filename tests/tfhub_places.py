"""Modules in TF Hub's cache, without what is in them."""

from wellread.hub import tfhub_cache

DISTILBERT = "https://tfhub.dev/jeongukjae/distilbert_en_cased_L-6_H-768_A-12/1"
TEXT = "https://tfhub.dev/jeongukjae/distilbert_en_cased_preprocess/1"  # what its page names


def installed(handle, *names):
    """Put files into TF Hub's cache, each with its name in it."""
    place = tfhub_cache.module_dir(handle)
    for name in names:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(name.encode())
    return place
