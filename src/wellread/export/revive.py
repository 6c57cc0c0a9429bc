"""A dead TF Hub handle that works again: a module of the same shape, exported to where tensorflow-hub looks first."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from wellread.catalog.modules import ModuleEntry, Publication, find_page, known_page, pages
from wellread.config import ACTIVATIONS
from wellread.errors import ExportError, HandleError
from wellread.hub.tfhub_cache import Staged, described, install, module_dir, refuse_installed, staging
from wellread.module import Module

if TYPE_CHECKING:
    from wellread.export.parity import Exported

# What a module must have in common with its page, beside the family and the text rules.
SHAPE = (
    *("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size", "vocab_size", "pooler"),
    *("max_position_embeddings", "layer_norm_eps"),
)
GELUS = ("gelu", "gelu_tanh")  # weights trained with one may run with the other
WORDPIECE = ("hf", "tfhub")


@dataclass(frozen=True, slots=True, kw_only=True)
class Revived:
    """What was installed, and where tensorflow-hub finds it."""

    handle: str
    directory: Path
    preprocessor: str  # its handle
    preprocessor_directory: Path
    exported: Exported
    notes: tuple[str, ...]


def revive(handle: str, module: Module, *, preprocessor: str | None = None, overwrite: bool = False) -> Revived:
    """Export `module` and its preprocessor, and install both in TF Hub's cache under the handles of the page.

    The page is that of the catalog, and the module must be of its family, shape and vocabulary; it is exported with
    the activation that the page's module computes. `preprocessor` names another handle for the preprocessor; with it,
    `handle` may be an address that the catalog does not know, and the module is exported as it is. A preprocessor that
    is there with the same vocabulary, or that tensorflow-hub downloaded, stays, since encoders share it.

    Raises: HandleError for a handle of another interface or that tensorflow-hub looks for elsewhere; ExportError that
        lists how the module differs, for what is installed, and for an artefact that does not agree with its source.
    """
    from wellread.export.tfhub import export_tfhub

    entry, page = (find_page(handle) if preprocessor is None else known_page(handle)) or (None, None)
    handle = page.handle if page else handle
    text_handle = preprocessor or (page.preprocessor if page else None) or ""
    _refuse_handles(handle, text_handle)
    vocabulary = _checksum(module)
    keeps = not overwrite and _stays(text_handle, vocabulary)
    if not overwrite:
        refuse_installed([handle])
    if entry and page and (faults := list(_differences(entry, page, module))):
        raise ExportError(
            f"{page.handle} was to be revived; found a module whose {'; '.join(faults)}; choose the module of that "
            "page, or the page of that module"
        )
    notes = list(_notes(page, module, text_handle if keeps else None))
    with staging() as directory:
        encoder, text = directory / "encoder", directory / "preprocessor"
        exported = export_tfhub(_with_activation(page, module), encoder, preprocessor=None if keeps else text)
        modules = [Staged(handle=handle, directory=encoder)]
        modules += [] if keeps else [Staged(handle=text_handle, directory=text, vocabulary=vocabulary)]
        install(modules, overwrite=overwrite)
    return Revived(
        handle=handle,
        directory=module_dir(handle),
        preprocessor=text_handle,
        preprocessor_directory=module_dir(text_handle),
        exported=exported,
        notes=(*notes, *exported.notes),
    )


def _refuse_handles(encoder: str, preprocessor: str) -> None:
    """Refuse what tensorflow-hub would not look up in its cache, and one handle for both."""
    strange = [handle for handle in (encoder, preprocessor) if not handle.startswith(("https://", "http://"))]
    if strange or not preprocessor.isprintable() or not encoder.isprintable() or encoder == preprocessor:
        raise HandleError(
            f"{encoder!r} and {preprocessor!r} were to be revived; tensorflow-hub looks in its cache for addresses "
            "that begin with https://, one for each, and for anything else elsewhere; name two such, or write "
            "directories with wellread export --to tfhub"
        )


def _stays(handle: str, vocabulary: str) -> bool:
    """Say whether a preprocessor is installed already. Raises: ExportError where it has another vocabulary."""
    there = described(handle)
    if there and there.vocabulary and there.vocabulary != vocabulary:
        raise ExportError(
            f"the preprocessor {handle} was to be installed; found it in {there.directory} with another "
            "vocabulary, case or number of outputs; remove it first (wellread revive --remove), or pass overwrite=True "
            "(--overwrite)"
        )
    return there is not None


def _checksum(module: Module) -> str:
    """Return a checksum of what decides a preprocessor: vocabulary, case, and whether it makes type ids."""
    tokenizer = module.tokenizer
    rules = f"{tokenizer.config.do_lower_case} {module.checkpoint.config.reads_types}"
    text = "\n".join([rules, *tokenizer.vocabulary.pieces]).encode("utf-8", "surrogatepass")
    return hashlib.sha256(text + b"\0" + tokenizer.engine.model_bytes()).hexdigest()


def _differences(entry: ModuleEntry, page: Publication, module: Module) -> Iterator[str]:
    """Say where a module is not what the page describes."""
    config, tokenizer, text = module.checkpoint.config, module.tokenizer, entry.vocabulary
    if module.checkpoint.family != entry.architecture:
        yield f"family is {module.checkpoint.family}, not {entry.architecture}"
    shape = entry.config(page.hidden_act)
    for name in SHAPE:
        if getattr(config, name) != getattr(shape, name):
            yield f"{name} is {getattr(config, name)}, not {getattr(shape, name)}"
    if config.activation not in GELUS:
        yield f"hidden_act is {config.hidden_act}, not {page.hidden_act}"
    if tokenizer.vocab_size != text.pieces:
        yield f"tokenizer has {tokenizer.vocab_size} pieces, not {text.pieces}"
    if (tokenizer.config.dialect in WORDPIECE) != (page.dialect in WORDPIECE):
        yield f"dialect is {tokenizer.config.dialect}, not {page.dialect}"
    if text.do_lower_case not in (None, tokenizer.config.do_lower_case):
        yield f"do_lower_case is {tokenizer.config.do_lower_case}, not {text.do_lower_case}"


def _with_activation(page: Publication | None, module: Module) -> Module:
    """Return the module with the activation of the page."""
    config = module.checkpoint.config
    if page is None or ACTIVATIONS[page.hidden_act] == config.activation:
        return module
    checkpoint = replace(module.checkpoint, config=replace(config, hidden_act=page.hidden_act))
    return replace(module, checkpoint=checkpoint, _backends={})  # the old ones compute the old activation


def _notes(page: Publication | None, module: Module, kept: str | None) -> Iterator[str]:
    """Say what was decided on the way; `kept` is the handle of a preprocessor that stays."""
    config, has_mlm = module.checkpoint.config, module.checkpoint.has_mlm
    if kept:
        yield f"{kept} is installed, and stays as it is"
    if page is None:
        yield f"the catalog has {len(pages())} encoders, and not this one: the module was compared with no page"
        return
    if ACTIVATIONS[page.hidden_act] != config.activation:
        yield f"hidden_act {config.hidden_act} became {page.hidden_act}, which the module of that page computes"
    if has_mlm != bool(page.mlm):
        yield f"the module {'has' if has_mlm else 'lacks'} a masked-language-model head; the page's .mlm: {not has_mlm}"
    if page.note:
        yield page.note
