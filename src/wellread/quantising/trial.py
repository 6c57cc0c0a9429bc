"""A checkpoint tried with int8 matrices for some of its weights: vectors and predictions beside float32's."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from wellread.checkpoints.checkpoint import Checkpoint
from wellread.encode import TOKENS_A_BATCH, Packer, encode_texts, prompt_of
from wellread.errors import TruncationWarning, VocabularyWarning, WeightsError
from wellread.formats.int8 import Int8Matrix
from wellread.metrics.similarity import unit
from wellread.quantising.simulate import Floats, Simulation, Watch
from wellread.tasks.predict import predict_all
from wellread.tasks.registry import task_named
from wellread.tasks.task import Inputs, Predictor
from wellread.text.tokenizer import Tokenizer

Matrices = Mapping[str, Int8Matrix]
Array = NDArray[np.float64]


class Trial:
    """A checkpoint, its weights in float32, texts held out and their vectors."""

    def __init__(self, checkpoint: Checkpoint, tokenizer: Tokenizer, held_out: list[str], *, show: bool) -> None:
        """Read the weights; compute the vectors of `held_out` [N, E]."""
        self.checkpoint, self.tokenizer = checkpoint, tokenizer
        self.weights: dict[str, Floats] = {
            name: np.asarray(array, np.float32) for name, array in checkpoint.arrays().items()
        }
        damaged = [name for name, array in self.weights.items() if not np.isfinite(array).all()]
        if damaged:
            raise WeightsError(
                f"weights that are quantised must be finite; found NaN or infinity in {', '.join(damaged[:5])}; the "
                "weights of this module are damaged: fetch it again"
            )
        self.held_out = held_out
        self.reference = self.vectors(held_out, {}, show=show)

    def simulation(self, matrices: Matrices, *, watch: Watch | None = None) -> Simulation:
        """Return the backend that computes with `matrices` in int8; `watch` sees what maps are given."""
        return Simulation(self.checkpoint, self.weights, matrices, watch=watch)

    def vectors(self, texts: list[str], matrices: Matrices, *, watch: Watch | None = None, show: bool = False) -> Array:
        """Return the vectors [N, E] of texts with `matrices` in int8, of length 1; `watch` sees what maps are given."""
        sentence = self.checkpoint.sentence
        packer = Packer(template=self.tokenizer.template, sentence=sentence, max_rows=TOKENS_A_BATCH)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", VocabularyWarning)  # whose texts they are, the caller knows
            vectors, _ = encode_texts(
                texts,
                self.simulation(matrices, watch=watch),
                self.tokenizer,
                packer,
                width=self.checkpoint.embedding_size,
                prompt=prompt_of(sentence, None, None),
                show=show,
            )
        return np.asarray(unit(vectors.astype(np.float64)))

    def cosines(self, matrices: Matrices, *, first: int | None = None, show: bool = False) -> Array:
        """Return the cosine to float32 of the held-out texts, or of the first of them."""
        vectors = self.vectors(self.held_out[:first], matrices, show=show)
        return np.asarray((vectors * self.reference[:first]).sum(1))

    def neighbours_kept(self, vectors: Array) -> float:
        """Return the share of the held-out texts whose nearest other has stayed the same."""
        nearest = []
        for each in (self.reference, vectors):
            alike = each @ each.T
            np.fill_diagonal(alike, -np.inf)
            nearest.append(alike.argmax(1))
        return float((nearest[0] == nearest[1]).mean())

    def predictions_kept(self, matrices: Matrices) -> float | None:
        """Return the share of equal predictions for the held-out texts, for numbers their correlation; None: no head.

        A head for pairs is given each text with the next.
        """
        head = self.checkpoint.head
        if head is None or not head.outputs:
            return None
        task = task_named(head.task)
        pairs = [*self.held_out[1:], self.held_out[0]] if task.takes_pairs == "yes" else None
        inputs = Inputs(texts=self.held_out, pairs=pairs)
        predictors = [
            Predictor(
                checkpoint=self.checkpoint,
                head=head,
                tokenizer=self.tokenizer,
                backend=self.simulation(int8),
                options=task.options() if task.options else None,
                truncation=task.truncation,
            )
            for int8 in ({}, matrices)
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TruncationWarning)
            before, after = (predict_all(predictor, inputs, show=False) for predictor in predictors)
        if task.in_array:
            flat = np.stack([np.ravel(before), np.ravel(after)]).astype(np.float64)
            if min(map(np.std, flat)) == 0:
                return float((flat[0] == flat[1]).mean())
            return float(np.asarray(np.corrcoef(flat))[0, 1])
        same = [task.scored(a) == task.scored(b) for a, b in zip(before, after, strict=True)]
        return sum(same) / len(same)
