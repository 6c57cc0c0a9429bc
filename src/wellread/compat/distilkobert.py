"""The functions of the distilkobert package, and of kobert-transformers which followed it.

Google Drive, where the weights of distilkobert 0.1.0 to 0.3.0 lay, holds them no more: DistilKoBERT and KoBERT are
fetched from Hugging Face. In all functions `cachedir` is a directory in which the files lie already, and then nothing
is fetched, or else the one to keep what is downloaded; `no_cuda` keeps a model on the CPU where there is a GPU. Models
are `torch.nn.Module`s in eval mode; their state dicts bear the names of Hugging Face's.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wellread.checkpoints.checkpoint import Array, Checkpoint
from wellread.checkpoints.huggingface import is_huggingface, read_encoder, read_weights
from wellread.checkpoints.names import mismatches, shapes
from wellread.compat.tokenization_kobert import KoBertTokenizer
from wellread.config import EncoderConfig
from wellread.errors import HandleError, InputError, WeightsError, require_extra
from wellread.hub.resolve import resolve
from wellread.schema import read_json

if TYPE_CHECKING:
    from wellread.compat.torch_models import Bert, Classifier, DistilBert, MaskedLM

# The linear maps of each kind of head: name -> letters of its weight's shape (C classes, D hidden), its bias the first.
KINDS = (
    {"label_classifier.linear": "CD"},
    {"pre_classifier": "DD", "classifier": "CD"},
    {"classifier": "CD"},
)
CLASSES = 2


def read_head(directory: Path, config: EncoderConfig) -> tuple[dict[str, Array], float]:
    """Read the head of a classifier of two classes: its weights and biases by the file's names, and its dropout.

    Dropout is the encoder's, but in Hugging Face's head of two maps, which has its own. Raises: WeightsError for none,
    or one of other shapes.
    """
    names = {name for kind in KINDS for name in kind}
    stored = {key: tensor for key, tensor in read_weights(directory).items() if key.rpartition(".")[0] in names}
    sizes = {"C": CLASSES, "D": config.hidden_size}
    kind = next((kind for kind in KINDS if all(f"{name}.weight" in stored for name in kind)), KINDS[0])
    expected: dict[str, tuple[int, ...]] = {}
    for name, letters in kind.items():
        expected[f"{name}.weight"] = tuple(sizes[letter] for letter in letters)
        expected[f"{name}.bias"] = expected[f"{name}.weight"][:1]
    faults = mismatches(expected, stored)
    if faults:
        raise WeightsError(
            f"a classifier of {CLASSES} classes was asked of {directory}; found that {'; '.join(faults)}; pass the "
            f"directory of a fine-tuned model, with {' or '.join(' and '.join(kind) for kind in KINDS)}"
        )
    dropout = config.hidden_dropout_prob
    if "pre_classifier" in kind:
        dropout = read_json(directory / "config.json").get("seq_classif_dropout", 0.2)  # Hugging Face's default
    return {name: tensor.read() for name, tensor in stored.items()}, dropout


DISTILKOBERT, KOBERT, KOBERT_LM = "monologg/distilkobert", "monologg/kobert", "monologg/kobert-lm"
VOCABULARY = "vocab.txt"

Cachedir = str | os.PathLike[str] | None


def get_distilkobert_model(cachedir: Cachedir = None, no_cuda: bool = False) -> DistilBert:
    """Load DistilKoBERT, called `model(input_ids, attention_mask)`.

    It returns the last hidden state [B, T, 768] and a tuple of all four, the embedding output first.

    Raises: MissingExtra without torch; DownloadError, HandleError, CheckpointError and its kin.
    """
    model: DistilBert = _load("DistilBert", DISTILKOBERT, "distilbert", cachedir, no_cuda=no_cuda)
    return model


def get_distilkobert_lm(cachedir: Cachedir = None, no_cuda: bool = False) -> MaskedLM:
    """Load DistilKoBERT under its masked-language-model head; it returns logits [B, T, 8002] and all hidden states.

    Raises: as `get_distilkobert_model`.
    """
    model: MaskedLM = _load("MaskedLM", DISTILKOBERT, "distilbert", cachedir, no_cuda=no_cuda)
    return model


def get_kobert_model(cachedir: Cachedir = None, no_cuda: bool = False) -> Bert:
    """Load KoBERT, called `model(input_ids, attention_mask, token_type_ids)`.

    It returns the last hidden state [B, T, 768] and the pooled output [B, 768].

    Raises: as `get_distilkobert_model`.
    """
    model: Bert = _load("Bert", KOBERT, "bert", cachedir, no_cuda=no_cuda)
    return model


def get_kobert_lm(cachedir: Cachedir = None, no_cuda: bool = False) -> MaskedLM:
    """Load KoBERT under its masked-language-model head; it returns logits [B, T, 8002] and all hidden states.

    Raises: as `get_distilkobert_model`.
    """
    model: MaskedLM = _load("MaskedLM", KOBERT_LM, "bert", cachedir, no_cuda=no_cuda)
    return model


def get_nsmc_model(cachedir: Cachedir = None, no_cuda: bool = False) -> Classifier:
    """Load a DistilKoBERT that judges film reviews (0 negative, 1 positive) from `cachedir`.

    Its weights lay on Google Drive and are gone; a directory of one's own takes their place: the head of distilkobert
    0.3.0 (`label_classifier.linear`), one linear map (`classifier`), or that of Hugging Face's
    DistilBertForSequenceClassification. `model(input_ids, attention_mask)` returns logits [B, 2] and all hidden
    states; `model(input_ids, attention_mask, labels)` puts the loss before them.

    Raises: HandleError without such a directory; else as `get_distilkobert_model`.
    """
    require_extra("torch", extra="train")
    directory = _path(cachedir)
    if directory is None or not is_huggingface(directory):
        raise HandleError(
            f"the NSMC model was asked for with cachedir={cachedir!r}; found no config.json with weights there, and "
            "those of distilkobert 0.3.0 are gone from Google Drive; pass a directory that holds such a model, or "
            f"fine-tune {DISTILKOBERT}, which get_distilkobert_model loads"
        )
    checkpoint = _read_encoder(directory, "distilbert")
    head, dropout = read_head(directory, checkpoint.config)
    from wellread.compat.torch_models import Classifier, to_best_device

    return to_best_device(Classifier(checkpoint, head, dropout), no_cuda=no_cuda)


def get_tokenizer(cachedir: Cachedir = None) -> KoBertTokenizer:
    """Load the tokenizer that KoBERT and DistilKoBERT share, from the repository of the smaller.

    Raises: DownloadError, HandleError, CheckpointError and its kin, TextError.
    """
    directory = _path(cachedir)
    if directory is not None and (directory / VOCABULARY).is_file():
        return KoBertTokenizer.from_pretrained(directory)
    return KoBertTokenizer.from_pretrained(DISTILKOBERT, cache_dir=directory)


def _load(kind: str, handle: str, family: str, cachedir: Cachedir, *, no_cuda: bool) -> Any:
    """Make a model of `compat.torch_models`, whose files are fetched where they are not in `cachedir` already."""
    require_extra("torch", extra="train")
    directory = _path(cachedir)
    if directory is None or not is_huggingface(directory):
        directory = resolve(handle, cache_dir=directory).directory
    checkpoint = _read_encoder(directory, family, heads=kind == "MaskedLM")
    if kind == "MaskedLM" and not checkpoint.has_mlm:
        raise WeightsError(
            f"a masked-language-model head was asked of {directory}; found the encoder alone; take {handle}"
        )
    if kind == "Bert" and checkpoint.config.pooler != "dense_tanh":
        raise WeightsError(
            f"a BERT with its pooler was asked of {directory}; found none of pooler.dense.weight, pooler.dense.bias; "
            f"take {handle}"
        )
    from wellread.compat import torch_models

    return torch_models.to_best_device(getattr(torch_models, kind)(checkpoint), no_cuda=no_cuda)


def _read_encoder(directory: Path, family: str, *, heads: bool = False) -> Checkpoint:
    """Read a directory; without `heads`, so that every parameter takes part in what the encoder returns."""
    checkpoint = read_encoder(directory)
    if checkpoint.family != family:
        raise WeightsError(
            f"a {family} model was asked of {directory}; found a {checkpoint.family} one; pass another cachedir"
        )
    if heads:
        return checkpoint
    return replace(checkpoint, tensors={name: checkpoint.tensors[name] for name in shapes(checkpoint.config)})


def _path(cachedir: Cachedir) -> Path | None:
    """Take `cachedir` as a path. Raises: InputError for what is none, such as a `no_cuda` in its place."""
    if cachedir is not None and not isinstance(cachedir, str | os.PathLike):
        raise InputError(f"cachedir must be a path; found {cachedir!r}; pass other arguments by name, as no_cuda=True")
    return None if cachedir is None else Path(cachedir).expanduser()
