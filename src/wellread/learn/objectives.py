"""What a fine-tuned module learns: the loss of each task."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from wellread.backends.torch import TorchEncoder
from wellread.data.examples import Examples, LabelMap
from wellread.encoder.heads import SENTENCE_OUTPUT
from wellread.errors import DataError, TruncationWarning
from wellread.learn.rows import Rows
from wellread.learn.settings import FinetuneConfig
from wellread.learn.step import Inputs, Loss, tensors
from wellread.learn.training_examples import LabelledTask, hexdigest, label_loss, span_loss
from wellread.tasks.answers import Windows, span_positions, windows
from wellread.tasks.tags import align, piece_labels
from wellread.text.batch import Ragged
from wellread.text.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairingTask:
    """Move the sentence vectors of N pairs.

    With `targets`, float32 [N], the loss is the squared difference of a pair's cosine and its target (Reimers and
    Gurevych 2019, arXiv:1908.10084, section 3). Without, every first text is to find its second one among those of
    its batch: the cross-entropy of cosines times `scale` (Henderson et al. 2017, arXiv:1705.00652). A batch is then
    what one process takes at a time, so these negatives depend on the number of processes and accumulated batches.
    """

    model: TorchEncoder
    rows: Rows  # [2N]: all first texts, then all second ones
    targets: NDArray[np.float32] | None
    scale: float
    settings: Mapping[str, Any]

    @property
    def pairs(self) -> int:
        """N."""
        return len(self.rows) // 2

    def lengths(self, epoch: int) -> NDArray[np.int64]:
        """Return the tokens of both texts of every pair together."""
        lengths = self.rows.lengths
        total: NDArray[np.int64] = lengths[: self.pairs] + lengths[self.pairs :]
        return total

    def collate(self, rows: NDArray[np.int64], epoch: int) -> Inputs:
        """Pack the first texts of B pairs, then their second ones, [2B, T]; put targets beside them, if any."""
        inputs = tensors(self.rows.pack(np.concatenate([rows, rows + self.pairs])))
        return inputs if self.targets is None else {**inputs, "targets": torch.from_numpy(self.targets[rows])}

    def loss(self, inputs: Inputs) -> Loss:
        """Sum the losses of the pairs."""
        vectors = self.model(inputs, [SENTENCE_OUTPUT])[SENTENCE_OUTPUT]
        assert isinstance(vectors, Tensor)
        with torch.autocast(vectors.device.type, enabled=False):  # small differences of cosines matter
            first, second = functional.normalize(vectors.float(), dim=-1, eps=1e-12).chunk(2)
            if self.targets is not None:
                total = ((first * second).sum(-1) - inputs["targets"]).square().sum()
            else:
                own = torch.arange(len(first), device=first.device)
                total = functional.cross_entropy(self.scale * first @ second.T, own, reduction="sum")
        return Loss(total=total, count=len(first))

    def identity(self) -> dict[str, Any]:
        """Name the data by their hash, and what the loss depends on."""
        if self.targets is None:
            own: dict[str, Any] = {"loss": "contrastive", "scale": self.scale}
        else:
            own = {"loss": "cosine", "targets": hexdigest(self.targets)}
        return {"data": self.rows.digest(), **own, **self.settings}


Exercise = LabelledTask | PairingTask


def exercise(
    task: str, model: TorchEncoder, tokenizer: Tokenizer, examples: Examples, config: FinetuneConfig
) -> Exercise:
    """Tokenize the examples, and put beside each what the model's head is to answer.

    Raises: DataError for texts that the vocabulary has no pieces for.
    """
    return MAKERS[task](model, tokenizer, examples, config)


def _judging(model: TorchEncoder, tokenizer: Tokenizer, examples: Examples, config: FinetuneConfig) -> LabelledTask:
    """Make rows of a text, or of two where there are pairs, each with a label."""
    sides = [examples.texts] if examples.pairs is None else [examples.texts, examples.pairs]
    return LabelledTask(
        model=model,
        rows=_rows(model, [tokenizer.tokenize(side) for side in sides], tokenizer, examples, config),
        targets=LabelMap(names=_head(model).labels).ids(examples.labels or []),
        losing=label_loss,
        settings=_shape(model, tokenizer),
    )


def _tagging(model: TorchEncoder, tokenizer: Tokenizer, examples: Examples, config: FinetuneConfig) -> LabelledTask:
    """Make rows of a text whose tokens' first pieces have labels."""
    places = {name: place for place, name in enumerate(_head(model).labels)}
    aligned = align(tokenizer, examples.texts, examples.spans)
    return LabelledTask(
        model=model,
        rows=_rows(model, [aligned.rows], tokenizer, examples, config),
        targets=piece_labels(aligned, [[places[tag] for tag in row] for row in examples.tags or []]),
        losing=label_loss,
        settings=_shape(model, tokenizer),
    )


def _answering(model: TorchEncoder, tokenizer: Tokenizer, examples: Examples, config: FinetuneConfig) -> LabelledTask:
    """Make windows of a question and part of its context, each with the places where its answer begins and ends."""
    length, stride = config.max_seq_length, config.doc_stride
    found = windows(tokenizer, examples.texts, examples.pairs or [], max_seq_length=length, stride=stride)
    first = [row[0] if row else None for row in examples.answers or []]
    starts = np.asarray([answer.start if answer else 0 for answer in first])
    limits = starts + [len(answer.text) if answer else 0 for answer in first]
    targets = span_positions(found, starts, limits)
    _warn_unseen(found, targets, limits > 0, config)
    return LabelledTask(
        model=model,
        rows=_rows(model, [found.questions, found.parts], tokenizer, examples, config),
        targets=targets,
        losing=span_loss,
        settings=_shape(model, tokenizer),
    )


def _warn_unseen(
    found: Windows, targets: NDArray[np.int64], answered: NDArray[np.bool_], config: FinetuneConfig
) -> None:
    """Say how many questions were cut, and how many answers are in no window."""
    seen = np.bincount(found.source, weights=targets[:, 0] > 0, minlength=len(answered)) > 0
    cut, unseen = np.count_nonzero(found.truncated), np.count_nonzero(answered & ~seen)
    if cut or unseen:
        warnings.warn(
            f"{cut} of {len(answered)} questions were cut, and the answers of {unseen} stand whole in no window of "
            f"max_seq_length {config.max_seq_length}, which is taught as no answer; raise it where that matters",
            TruncationWarning,
            stacklevel=2,
        )


def _pairing(model: TorchEncoder, tokenizer: Tokenizer, examples: Examples, config: FinetuneConfig) -> PairingTask:
    """Make pairs, with a cosine to be reached or without."""
    targets = None
    if config.loss == "cosine":
        head = _head(model)
        targets = ((np.asarray(examples.scores) - head.low) / (head.high - head.low)).astype(np.float32)
    return PairingTask(
        model=model,
        rows=_rows(
            model, [tokenizer.tokenize([*examples.texts, *(examples.pairs or [])])], tokenizer, examples, config
        ),
        targets=targets,
        scale=config.scale,
        settings=_shape(model, tokenizer),
    )


def _head(model: TorchEncoder) -> Any:
    return model.head_config


def _shape(model: TorchEncoder, tokenizer: Tokenizer) -> dict[str, Any]:
    """Say what the model computes, for its weights do not, and which ids are put around the texts."""
    parts = (model.encoder_config, model.sentence_config, model.head_config, tokenizer.special)
    names = ("config", "sentence", "head", "special")
    told = {name: asdict(part) for name, part in zip(names, parts, strict=True) if part}
    return {f"{name}.{key}": value for name, part in told.items() for key, value in part.items()}


def _rows(
    model: TorchEncoder, segments: list[Ragged], tokenizer: Tokenizer, examples: Examples, config: FinetuneConfig
) -> Rows:
    """Join segments to rows. Raises: DataError where the vocabulary has none of their pieces."""
    if all((segment.values == tokenizer.special.unk).all() for segment in segments):
        pieces = sum(len(segment.values) for segment in segments)
        raise DataError(
            f"texts in the module's vocabulary were asked of {examples.source}; found that none of their {pieces} "
            "pieces is in it; take a module of their language, or check the column"
        )
    types = model.encoder_config.type_vocab_size
    template = tokenizer.template.for_types(types)
    rows = Rows(segments=segments, template=template, max_seq_length=config.max_seq_length)
    rows.warn_cut()
    return rows


MAKERS: dict[str, Callable[[TorchEncoder, Tokenizer, Examples, FinetuneConfig], Exercise]] = {
    "classify": _judging,
    "pair": _judging,
    "similarity": _pairing,
    "tag": _tagging,
    "answer": _answering,
}
