"""wellread: compact BERT-family text encoders, in whatever format they survive.

>>> import wellread
>>> module = wellread.load("default")
>>> module.encode("A man is playing a guitar.").shape
(384,)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from wellread.version import __version__

if TYPE_CHECKING:
    from wellread.corpus.batches import EncodeBatch as EncodeBatch
    from wellread.corpus.embed import EmbeddedCorpus as EmbeddedCorpus
    from wellread.corpus.embed import embed_corpus as embed_corpus
    from wellread.data.examples import read_examples as read_examples
    from wellread.data.examples import take_examples as take_examples
    from wellread.encoder.inputs import EncoderOutput as EncoderOutput
    from wellread.errors import WellreadError as WellreadError
    from wellread.export.certify import Certificate as Certificate
    from wellread.export.certify import certify as certify
    from wellread.hub.pull import Pulled as Pulled
    from wellread.hub.pull import Verified as Verified
    from wellread.hub.pull import pull as pull
    from wellread.hub.pull import verify as verify
    from wellread.learn.distill.distill import distill as distill
    from wellread.learn.finetune import finetune as finetune
    from wellread.learn.pretrain import pretrain as pretrain
    from wellread.learn.settings import DistillConfig as DistillConfig
    from wellread.learn.settings import ElectraConfig as ElectraConfig
    from wellread.learn.settings import FinetuneConfig as FinetuneConfig
    from wellread.learn.settings import LoopConfig as LoopConfig
    from wellread.learn.settings import PretrainConfig as PretrainConfig
    from wellread.measure.evaluate import evaluate as evaluate
    from wellread.measure.quantise import quantise as quantise
    from wellread.module import Module as Module
    from wellread.module import from_pretrained as from_pretrained
    from wellread.module import load as load
    from wellread.module import push as push
    from wellread.shrinking.settings import ShrinkConfig as ShrinkConfig
    from wellread.shrinking.shrink import Shrunk as Shrunk
    from wellread.shrinking.shrink import shrink as shrink
    from wellread.trimming import trim as trim

# Public names by where they live, each loaded when it is first asked for, so that `import wellread` is instant.
_PUBLIC = {
    "wellread.corpus.batches": ("EncodeBatch",),
    "wellread.corpus.embed": ("EmbeddedCorpus", "embed_corpus"),
    "wellread.encoder.inputs": ("EncoderOutput",),
    "wellread.errors": ("WellreadError",),
    "wellread.export.certify": ("Certificate", "certify"),
    "wellread.hub.pull": ("Pulled", "Verified", "pull", "verify"),
    "wellread.learn.distill.distill": ("distill",),
    "wellread.learn.finetune": ("finetune",),
    "wellread.learn.pretrain": ("pretrain",),
    "wellread.learn.settings": ("DistillConfig", "ElectraConfig", "FinetuneConfig", "LoopConfig", "PretrainConfig"),
    "wellread.measure.evaluate": ("evaluate",),
    "wellread.measure.quantise": ("quantise",),
    "wellread.data.examples": ("read_examples", "take_examples"),
    "wellread.module": ("Module", "from_pretrained", "load", "push"),
    "wellread.shrinking.settings": ("ShrinkConfig",),
    "wellread.shrinking.shrink": ("Shrunk", "shrink"),
    "wellread.trimming": ("trim",),
}
_HOMES = {name: home for home, names in _PUBLIC.items() for name in names}
__all__ = [
    "Certificate",
    "DistillConfig",
    "ElectraConfig",
    "EmbeddedCorpus",
    "EncodeBatch",
    "EncoderOutput",
    "FinetuneConfig",
    "LoopConfig",
    "Module",
    "PretrainConfig",
    "Pulled",
    "ShrinkConfig",
    "Shrunk",
    "Verified",
    "WellreadError",
    "__version__",
    "certify",
    "distill",
    "embed_corpus",
    "evaluate",
    "finetune",
    "from_pretrained",
    "load",
    "pretrain",
    "pull",
    "push",
    "quantise",
    "read_examples",
    "shrink",
    "take_examples",
    "trim",
    "verify",
]


if not TYPE_CHECKING:  # a type checker takes the names from above, and misses no wrong one

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module 'wellread' has no attribute {name!r}")
        if name in ("Shrunk", "distill", "finetune", "pretrain", "shrink"):
            importlib.import_module("wellread.errors").require_extra("torch", extra="train")
        return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
