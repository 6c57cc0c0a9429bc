"""Tiny modules as SavedModels of TF Hub."""

from dataclasses import dataclass
from pathlib import Path

from own_ids import own_tokenizer
from tiny import tiny_checkpoint, tiny_config

from wellread.config import TokenizerConfig
from wellread.export.dialect import tfhub_tokenizer
from wellread.export.parity import Exported
from wellread.export.tfhub import _write, export_tfhub
from wellread.module import Module
from wellread.text.tokenizer import load_tokenizer

KOBERT = Path(__file__).parent / "data" / "kobert"
KOBERT_CONFIG = TokenizerConfig(dialect="kobert", model_file="tokenizer_78b3253a26.model")


@dataclass(frozen=True, kw_only=True)
class Export:
    module: Module
    encoder: Path
    preprocessor: Path | None
    found: Exported | None


def kobert_module(**changes: int) -> Module:
    config = tiny_config(vocab_size=8002, type_vocab_size=0, pooler="first_token", pad_token_id=1, **changes)
    return Module(checkpoint=tiny_checkpoint(config, mlm=False), tokenizer=load_tokenizer(KOBERT, KOBERT_CONFIG))


def own_ids_module(place: Path, **changes: int) -> Module:
    tokenizer = own_tokenizer(place)
    config = tiny_config(vocab_size=1500, type_vocab_size=0, pooler="first_token", pad_token_id=1, **changes)
    return Module(checkpoint=tiny_checkpoint(config, mlm=False), tokenizer=tokenizer)


def exported(module: Module, place: Path, *, bare: bool = False) -> Export:
    """Export an encoder, and its preprocessor unless `bare`."""
    encoder, preprocessor = place / "encoder", None if bare else place / "preprocessor"
    return Export(
        module=module,
        encoder=encoder,
        preprocessor=preprocessor,
        found=export_tfhub(module, encoder, preprocessor=preprocessor),
    )


def written(module: Module, place: Path) -> Export:
    """Write what `exported` writes without its comparison in a process of its own, for those who read the files."""
    encoder, preprocessor = place / "encoder", place / "preprocessor"
    _write(module, tfhub_tokenizer(module.tokenizer), encoder, preprocessor)
    return Export(module=module, encoder=encoder, preprocessor=preprocessor, found=None)
