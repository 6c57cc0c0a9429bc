"""SentencePiece (Kudo and Richardson 2018): a model's pieces, under its own ids or those of a vocabulary."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import sentencepiece
from numpy.typing import NDArray

from wellread.config import TokenizerConfig
from wellread.dataclass import dataclass
from wellread.errors import TextError
from wellread.text.batch import Ragged
from wellread.text.tokenizer import Spans, Tokenizer, places
from wellread.text.vocabulary import Vocabulary

SPACE = "▁"  # U+2581, what SentencePiece writes for a space


def load(directory: Path, config: TokenizerConfig) -> Tokenizer:
    """Load the model, and the vocabulary if `config` names one, from `directory`.

    Raises: TextError for a file that is missing or damaged, or lacks a special token.
    """
    vocabulary, engine = load_parts(directory, config)
    return Tokenizer(config=config, vocabulary=vocabulary, engine=engine)


def load_parts(directory: Path, config: TokenizerConfig) -> tuple[Vocabulary, SentencePieceEngine]:
    """Do as `load`, for a dialect that puts text rules before the model."""
    path = directory / str(config.model_file)
    try:
        processor = _processor(path.read_bytes(), source=str(path))
    except OSError as error:
        raise TextError(
            f"the SentencePiece model {path} was asked for; found none ({error.strerror}); check the path"
        ) from error
    if config.vocab_file is None:
        return _under_own_ids(processor, config, source=str(path))
    vocabulary = Vocabulary.read(directory / config.vocab_file, config)
    return vocabulary, SentencePieceEngine.of(processor, vocabulary)


def load_model(model: bytes, config: TokenizerConfig, *, source: str) -> Tokenizer:
    """Load a model that lies in no file of its own, under its own ids; `source` says where it comes from.

    Raises: TextError for a model that is damaged or lacks a special token.
    """
    vocabulary, engine = _under_own_ids(_processor(model, source=source), config, source=source)
    return Tokenizer(config=config, vocabulary=vocabulary, engine=engine)


def _under_own_ids(
    processor: sentencepiece.SentencePieceProcessor, config: TokenizerConfig, *, source: str
) -> tuple[Vocabulary, SentencePieceEngine]:
    try:
        vocabulary = Vocabulary.of(_pieces(processor), config, source=source)
    except TextError as error:
        raise TextError(
            f"{error}, or the class whose ids the model has: tokenizer_class in tokenizer_config.json, such as "
            "XLMRobertaTokenizer, CamembertTokenizer or AlbertTokenizer"
        ) from None
    return vocabulary, SentencePieceEngine.of(processor, vocabulary)


def _pieces(processor: sentencepiece.SentencePieceProcessor) -> list[str]:
    return [processor.id_to_piece(id) for id in range(processor.get_piece_size())]


def _processor(model: bytes, *, source: str) -> sentencepiece.SentencePieceProcessor:
    try:
        processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    except RuntimeError as error:
        raise TextError(
            f"{source} was read as a SentencePiece model; its {len(model)} bytes are none; fetch the file again"
        ) from error
    if not processor.get_piece_size():
        raise TextError(
            f"{source} was read as a SentencePiece model; its {len(model)} bytes hold 0 pieces; fetch the file again"
        )
    return processor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SentencePieceEngine:
    """A SentencePiece model whose ids are renumbered. A token's span begins with the space that its "▁" stands for."""

    processor: sentencepiece.SentencePieceProcessor
    renumbering: NDArray[np.int32]  # the model's id -> ours

    @classmethod
    def of(cls, processor: sentencepiece.SentencePieceProcessor, vocabulary: Vocabulary) -> SentencePieceEngine:
        """Renumber the pieces of a model as a vocabulary does."""
        renumbering = np.array(vocabulary.ids(_pieces(processor)), np.int32)
        if vocabulary.special.unk is not None:
            renumbering[processor.unk_id()] = vocabulary.special.unk  # whatever the model calls it
        return cls(processor=processor, renumbering=renumbering)

    def encode(self, texts: list[str], limit: int | None = None) -> Ragged:
        """Turn B texts into B rows of ids."""
        rows = Ragged.from_rows(self.processor.encode(texts, return_type="numpy"))
        return Ragged(values=self.renumbering[rows.values], splits=rows.splits)

    def spans(self, text: str) -> Spans:
        """Turn one text into ids and tell where they come from."""
        encoding = self.processor.encode(text, return_type="offset_mapping")
        starts, limits = places(encoding["offsets"]).T
        return Spans(ids=self.renumbering[np.array(encoding["ids"], np.int64)], starts=starts, limits=limits)

    def join(self, pieces: list[str]) -> str:
        """Turn pieces into a text."""
        return "".join(pieces).replace(SPACE, " ").strip()

    def model_bytes(self) -> bytes:
        """Return the model as its file holds it."""
        return bytes(self.processor.serialized_model_proto())
