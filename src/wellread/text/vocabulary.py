"""The pieces of a vocabulary, their ids and the five special ones."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from wellread.config import TokenizerConfig
from wellread.errors import InputError, TextError


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecialTokens:
    """The ids of the special tokens, each a row of the word table."""

    unk: int  # stands for what the vocabulary lacks
    pad: int  # fills a row up to the sequence length
    cls: int  # begins every row
    sep: int  # ends every segment
    mask: int  # stands for the word to be guessed


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Vocabulary:
    """Pieces in the order of their ids.

    >>> from wellread.config import TokenizerConfig
    >>> pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "guitar"]
    >>> vocabulary = Vocabulary.of(pieces, TokenizerConfig(dialect="hf"))
    >>> vocabulary.ids(["guitar", "lute"]), vocabulary.lookup([5])
    ([5, 1], ['guitar'])
    """

    pieces: tuple[str, ...]
    index: dict[str, int]  # piece -> id
    special: SpecialTokens

    @classmethod
    def of(cls, pieces: Sequence[str], config: TokenizerConfig, *, source: str = "the vocabulary") -> Vocabulary:
        """Number `pieces` from 0 and find the special tokens that `config` names.

        Raises: TextError for no pieces at all, a piece that stands twice, a special token that is missing.
        """
        if not pieces:
            raise TextError(f"a vocabulary was asked of {source}; it holds 0 pieces; give one with a piece a line")
        index = {piece: id for id, piece in enumerate(pieces)}
        if len(index) != len(pieces):
            twice = [piece for id, piece in enumerate(pieces) if index[piece] != id]
            raise TextError(
                f"every piece of {source} must stand once; of {len(pieces)} only {len(index)} are distinct, repeated: "
                f"{_some(twice)}; remove the repetitions without moving the other lines"
            )
        names = {name: getattr(config, f"{name}_token") for name in SpecialTokens.__dataclass_fields__}
        missing = [token for token in names.values() if token not in index]
        if missing:
            raise TextError(
                f"{source} must hold the {len(names)} special tokens; of its {len(pieces)} pieces none is "
                f"{', '.join(missing)}; name the right ones in the tokenizer's configuration"
            )
        special = SpecialTokens(**{name: index[token] for name, token in names.items()})
        return cls(pieces=tuple(pieces), index=index, special=special)

    @classmethod
    def read(cls, path: Path, config: TokenizerConfig) -> Vocabulary:
        r"""Read a file of one piece a line; the id is the line's number from 0; only "\n" and "\r\n" end a line.

        A `.json` file is Hugging Face's tokenizer.json, of which the model's vocabulary is read.

        Raises: TextError for a file that is missing or not UTF-8, and as `of`.
        """
        try:
            text = path.read_bytes().decode("utf-8")
        except OSError as error:
            raise TextError(
                f"the vocabulary {path} was asked for; found none ({error.strerror}); check the path"
            ) from error
        except UnicodeDecodeError as error:
            raise TextError(
                f"the vocabulary {path} must be UTF-8; byte {error.start} of {len(error.object)} is not; "
                "store the file in UTF-8"
            ) from error
        if path.suffix == ".json":
            return cls.of(_numbered(text, path), config, source=str(path))
        lines = text.replace("\r\n", "\n").split("\n")
        return cls.of(lines[:-1] if lines[-1] == "" else lines, config, source=str(path))

    def __len__(self) -> int:
        return len(self.pieces)

    def ids(self, pieces: Iterable[str]) -> list[int]:
        """Return the id of each piece; an unknown one gets the unknown token's."""
        return [self.index.get(piece, self.special.unk) for piece in pieces]

    def lookup(self, ids: Iterable[int]) -> list[str]:
        """Return the piece of each id. Raises: InputError for an id outside the vocabulary."""
        ids = [int(id) for id in ids]
        wrong = [id for id in ids if not 0 <= id < len(self.pieces)]
        if wrong:
            raise InputError(
                f"the pieces of {len(ids)} ids were asked for; the vocabulary has {len(self.pieces)}, and "
                f"{_some(wrong)} lie outside; pass ids of 0 to {len(self.pieces) - 1}"
            )
        return [self.pieces[id] for id in ids]

    def without_special(self, ids: Iterable[int]) -> list[int]:
        """Return the ids that are no special token."""
        special = asdict(self.special).values()
        return [id for id in map(int, ids) if id not in special]


def _numbered(text: str, path: Path) -> list[str]:
    """Return the pieces of a tokenizer.json in the order of their ids, which must be 0, 1, 2 ..."""
    try:
        ids = json.loads(text)["model"]["vocab"]
        pieces = sorted(ids, key=ids.__getitem__)
        whole = [ids[piece] for piece in pieces] == list(range(len(pieces)))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise TextError(
            f"a vocabulary was asked of {path}; it holds no model.vocab of pieces and ids: {error!r}; fetch it again"
        ) from None
    if not whole:
        raise TextError(
            f"the ids of {path} must run from 0 without gaps; found {len(pieces)} pieces under others; fetch it again"
        )
    return pieces


def _some(items: Sequence[object], limit: int = 5) -> str:
    """List the first few items and count the others."""
    first = ", ".join(repr(item) for item in items[:limit])
    return first if len(items) <= limit else f"{first} and {len(items) - limit} more"
