"""KoBertTokenizer, by the name and with the calls of the class that was copied from one project to the next.

Its text rules are those of the `kobert` dialect. Two faults of distilkobert 0.1.0 are not reproduced: in a pair, [CLS]
had the type id 2, which KoBERT has no row for, and the special-tokens mask had both special tokens at the end.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wellread.checkpoints.native import read_manifest
from wellread.compat.encoding import LENGTHS, BatchEncoding, Ids, Layout, check_options, lay_out, layout_of
from wellread.config import TokenizerConfig
from wellread.errors import InputError, TextError
from wellread.files import MANIFEST
from wellread.hub.resolve import resolve
from wellread.text.kobert import KoBertEngine
from wellread.text.tokenizer import load_tokenizer, whole
from wellread.text.tokenizer_files import SPECIAL, write_tokenizer
from wellread.text.tokenizer_reader import read_tokenizer

MODEL_NAME, VOCABULARY_NAME = "tokenizer_78b3253a26.model", "vocab.txt"
MAX_LENGTH = 512  # tokens, special ones included
FETCHING = ("cache_dir", "revision", "token", "local_files_only")

Text = str | Sequence[str] | Ids  # a text, its pieces, or their ids


class KoBertTokenizer:
    """Text to the ids of KoBERT and DistilKoBERT, and back.

    `unk_token`, `pad_token`, `cls_token`, `sep_token` and `mask_token` are attributes, and with `_id` behind them the
    ids: 0, 1, 2, 3, 4. It is pickled whole, so that it needs no file where it is unpickled.
    """

    unk_token: str
    pad_token: str
    cls_token: str
    sep_token: str
    mask_token: str
    unk_token_id: int
    pad_token_id: int
    cls_token_id: int
    sep_token_id: int
    mask_token_id: int

    padding_side = truncation_side = "right"
    model_input_names = ("input_ids", "token_type_ids", "attention_mask")

    def __init__(
        self,
        vocab_file: str | os.PathLike[str],
        vocab_txt: str | os.PathLike[str],
        do_lower_case: bool = False,
        **options: Any,
    ) -> None:
        """Load a SentencePiece model, `vocab_file`, and the vocabulary of a piece a line, `vocab_txt`.

        `options`: the special tokens by their names, `model_max_length` (or `max_len`, its older name), and
        `remove_space` and `keep_accents`, which can only be what KoBERT was trained with.

        Raises: TextError for a file that is missing or damaged; InputError for an unknown option.
        """
        check_options(options)
        config = TokenizerConfig(
            dialect="kobert",
            model_file=os.path.abspath(vocab_file),
            vocab_file=os.path.abspath(vocab_txt),
            do_lower_case=do_lower_case,
            **{name: options[name] for name in SPECIAL if name in options},
        )
        self.tokenizer = load_tokenizer(Path(), config)
        self.model_max_length = next((int(options[name]) for name in LENGTHS if name in options), MAX_LENGTH)
        for name in SPECIAL:
            setattr(self, name, getattr(config, name))
            setattr(self, f"{name}_id", getattr(self.tokenizer.special, name.removesuffix("_token")))

    @classmethod
    def from_pretrained(cls, name_or_path: str | os.PathLike[str], **options: Any) -> KoBertTokenizer:
        """Load the tokenizer of a directory, or of a Hugging Face id such as monologg/kobert.

        `options`: those of the constructor, and `cache_dir`, `revision`, `token`, `local_files_only`.

        Raises: HandleError, DownloadError, CheckpointError and its kin; TextError for a tokenizer of another kind.
        """
        fetching = {name: options.pop(name) for name in FETCHING if name in options}
        directory = resolve(name_or_path, **fetching).directory
        if (directory / MANIFEST).is_file():  # its tokenizer.json is for other libraries
            manifest = read_manifest(directory)
            config, length = manifest.tokenizer, manifest.sentence.max_seq_length
        else:
            files = read_tokenizer(directory)
            config, length = files.config, files.max_length or MAX_LENGTH
        if config.dialect != "kobert" or config.vocab_file is None:
            raise TextError(
                f"a KoBERT tokenizer was asked of {name_or_path}; found one of the {config.dialect} dialect, not "
                "a SentencePiece model beside vocab.txt; pass monologg/kobert, or let wellread.load read it"
            )
        stored = {name: getattr(config, name) for name in ("do_lower_case", *SPECIAL)}
        stored |= {"model_max_length": length} if not set(LENGTHS) & set(options) else {}
        return cls(directory / str(config.model_file), directory / VOCABULARY_NAME, **{**stored, **options})

    def __reduce__(self) -> tuple[Any, ...]:
        settings = {name: getattr(self, name) for name in ("do_lower_case", "model_max_length", *SPECIAL)}
        return _restored, (self.tokenizer.model_bytes(), self.tokenizer.vocabulary.pieces, settings)

    def __repr__(self) -> str:
        return f"KoBertTokenizer(vocab_size={self.vocab_size}, model_max_length={self.model_max_length})"

    # -- what it is ------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return self.vocab_size

    @property
    def vocab_size(self) -> int:
        """The number of pieces."""
        return self.tokenizer.vocab_size

    @property
    def do_lower_case(self) -> bool:
        """Whether text is put in lower case."""
        return self.tokenizer.config.do_lower_case

    @property
    def max_len(self) -> int:
        """The older name of `model_max_length`."""
        return self.model_max_length

    @property
    def max_len_single_sentence(self) -> int:
        """The tokens of one text that fit beside the special ones."""
        return self.model_max_length - self.num_special_tokens_to_add()

    @property
    def max_len_sentences_pair(self) -> int:
        """The tokens of two texts that fit beside the special ones."""
        return self.model_max_length - self.num_special_tokens_to_add(pair=True)

    @property
    def special_tokens_map(self) -> dict[str, str]:
        """The special tokens by their names."""
        return {name: getattr(self, name) for name in SPECIAL}

    @property
    def all_special_tokens(self) -> list[str]:
        """The special tokens."""
        return list(self.special_tokens_map.values())

    @property
    def all_special_ids(self) -> list[int]:
        """Their ids."""
        return self.tokenizer.ids(self.all_special_tokens)

    def get_vocab(self) -> dict[str, int]:
        """Return the id of every piece."""
        return dict(self.tokenizer.vocabulary.index)

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """Return how many special tokens stand around one text, or two."""
        return len(self.build_inputs_with_special_tokens([], [] if pair else None))

    # -- text to pieces and ids, and back --------------------------------------------------------------------------

    def preprocess_text(self, inputs: str) -> str:
        """Apply the text rules: collapse white space, straighten quotes, decompose, drop combining marks."""
        return self._engine.simplified(whole(inputs))

    def tokenize(self, text: str) -> list[str]:
        """Cut a text into pieces as SentencePiece spells them; special tokens in it are recognised whole."""
        parts = self._engine.pattern.split(whole(text))  # every other part is a special token
        numbers = self._engine.numbers  # pieces like "1,", which become several
        tokens: list[str] = []
        for i, part in enumerate(parts):
            if i % 2:
                tokens.append(part)
                continue
            text = self.preprocess_text(part)
            mapping = self._engine.inner.processor.encode(text, return_type="offset_mapping")
            for id, piece in zip(mapping["ids"], mapping["pieces"], strict=True):
                tokens += self.tokenizer.pieces(numbers[id]) if id in numbers else [piece]
        return tokens

    @property
    def _engine(self) -> KoBertEngine:
        engine: Any = self.tokenizer.engine
        return engine

    def convert_tokens_to_ids(self, tokens: str | Sequence[str]) -> Any:
        """Return the id of a piece, or those of several; what the vocabulary lacks is unknown, 0."""
        return self.tokenizer.ids([tokens])[0] if isinstance(tokens, str) else self.tokenizer.ids(tokens)

    def convert_ids_to_tokens(self, ids: int | Sequence[int], skip_special_tokens: bool = False) -> Any:
        """Return the piece of an id, or those of several. Raises: InputError for an id outside the vocabulary."""
        if not isinstance(ids, Sequence):
            return self.tokenizer.pieces([ids])[0]
        return self.tokenizer.pieces(self.tokenizer.vocabulary.without_special(ids) if skip_special_tokens else ids)

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        """Join pieces into a text."""
        return self.tokenizer.engine.join(list(tokens))

    def decode(self, token_ids: Any, skip_special_tokens: bool = False) -> str:
        """Join the pieces of ids, a list or an array, into a text."""
        return self.tokenizer.decode([int(id) for id in token_ids], skip_special_tokens)

    def batch_decode(self, sequences: Any, skip_special_tokens: bool = False) -> list[str]:
        """Do as `decode` for every row."""
        return [self.decode(row, skip_special_tokens) for row in sequences]

    # -- a model's inputs ------------------------------------------------------------------------------------------

    def __call__(self, text: Any, text_pair: Any = None, **options: Any) -> BatchEncoding:
        """Turn one text, or a list of texts or of pairs, into a model's inputs.

        `options`: those of `Layout`, and the older `pad_to_max_length` and `truncation_strategy`. Of one text the
        values are lists, of several lists of lists; with `return_tensors` always [B, T].

        Raises: InputError for an option that is unknown or leaves no room.
        """
        if isinstance(text, str):
            return self.encode_plus(text, text_pair, **options)
        return self.batch_encode_plus(text if text_pair is None else list(zip(text, text_pair, strict=True)), **options)

    def encode_plus(self, text: Text, text_pair: Text | None = None, **options: Any) -> BatchEncoding:
        """Turn one text, or a pair, into a model's inputs; each may be a text, its pieces or their ids."""
        layout = layout_of(options)
        second = None if text_pair is None else [self._ids(text_pair)]
        inputs = self._lay_out([self._ids(text)], second, layout)
        return inputs if layout.return_tensors else BatchEncoding({name: rows[0] for name, rows in inputs.items()})

    def batch_encode_plus(self, texts: Sequence[Any], **options: Any) -> BatchEncoding:
        """Turn texts, or pairs of texts, into a model's inputs."""
        paired = {isinstance(text, tuple) for text in texts}
        if len(paired) > 1:
            raise InputError("texts must be all single or all pairs; found both; encode the two kinds apart")
        segments = list(zip(*texts, strict=True)) if True in paired else [tuple(texts)]
        rows = [[self._ids(text) for text in segment] for segment in segments]
        return self._lay_out(rows[0], rows[1] if len(rows) > 1 else None, layout_of(options))

    def encode(self, text: Text, text_pair: Text | None = None, **options: Any) -> Any:
        """Return the `input_ids` of `encode_plus`."""
        return self.encode_plus(text, text_pair, **options)["input_ids"]

    def _lay_out(self, first: Sequence[Ids], second: Sequence[Ids] | None, layout: Layout) -> BatchEncoding:
        return lay_out(first, second, layout, special=self.tokenizer.special, max_length=self.model_max_length)

    def _ids(self, text: Text) -> list[int]:
        """Take a text, its pieces or their ids."""
        if isinstance(text, str):
            return self.tokenizer.tokenize([text])[0].tolist()
        return [self.convert_tokens_to_ids(item) if isinstance(item, str) else int(item) for item in text]

    def build_inputs_with_special_tokens(self, token_ids_0: Ids, token_ids_1: Ids | None = None) -> list[int]:
        """Return [CLS] A [SEP], or [CLS] A [SEP] B [SEP]."""
        behind = [] if token_ids_1 is None else [*token_ids_1, self.sep_token_id]
        return [self.cls_token_id, *token_ids_0, self.sep_token_id, *behind]

    def get_special_tokens_mask(
        self, token_ids_0: Ids, token_ids_1: Ids | None = None, already_has_special_tokens: bool = False
    ) -> list[int]:
        """Return 1 for each special token of `build_inputs_with_special_tokens`, 0 for the others.

        With `already_has_special_tokens`, `token_ids_0` holds them, and every special id counts.
        """
        if not already_has_special_tokens:
            behind = [] if token_ids_1 is None else [*[0] * len(token_ids_1), 1]
            return [1, *[0] * len(token_ids_0), 1, *behind]
        if token_ids_1 is not None:
            raise InputError(
                "already_has_special_tokens=True takes one row that holds both texts; found two; join them"
            )
        return [int(id in (self.cls_token_id, self.sep_token_id)) for id in token_ids_0]

    def create_token_type_ids_from_sequences(self, token_ids_0: Ids, token_ids_1: Ids | None = None) -> list[int]:
        """Return 0 for the first text and its special tokens, 1 for the second and its own."""
        behind = [] if token_ids_1 is None else [1] * (len(token_ids_1) + 1)
        return [0] * (len(token_ids_0) + 2) + behind

    # -- files -----------------------------------------------------------------------------------------------------

    def save_vocabulary(self, save_directory: str | os.PathLike[str]) -> tuple[str, str]:
        """Write the model and the vocabulary under their legacy names; return their paths."""
        directory = Path(save_directory)
        directory.mkdir(parents=True, exist_ok=True)
        return _write(directory, self.tokenizer.model_bytes(), self.tokenizer.vocabulary.pieces)

    def save_pretrained(self, save_directory: str | os.PathLike[str]) -> None:
        """Write a directory from which `from_pretrained` and `wellread.load` read this tokenizer."""
        directory = Path(save_directory)
        directory.mkdir(parents=True, exist_ok=True)
        write_tokenizer(directory, self.tokenizer, max_length=self.model_max_length)


def _write(directory: Path, model: bytes, pieces: Sequence[str]) -> tuple[str, str]:
    (directory / MODEL_NAME).write_bytes(model)
    (directory / VOCABULARY_NAME).write_bytes("".join(f"{piece}\n" for piece in pieces).encode("utf-8"))
    return str(directory / MODEL_NAME), str(directory / VOCABULARY_NAME)


def _restored(model: bytes, pieces: Sequence[str], settings: Mapping[str, Any]) -> KoBertTokenizer:
    """Make a tokenizer of what a pickle holds."""
    with tempfile.TemporaryDirectory() as directory:
        return KoBertTokenizer(*_write(Path(directory), model, pieces), **settings)
