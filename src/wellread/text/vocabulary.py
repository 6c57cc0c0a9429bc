"""The pieces of a vocabulary, their ids and the special ones."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, field, replace
from pathlib import Path

from wellread.config import TokenizerConfig
from wellread.dataclass import dataclass
from wellread.errors import InputError, TextError


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecialTokens:
    """The ids of the special tokens, each a row of the word table; None for one that a vocabulary does without.

    >>> SpecialTokens(unk=1, pad=0, cls=2, sep=2, mask=None).ids
    (1, 0, 2)
    """

    unk: int | None  # stands for what the vocabulary lacks
    pad: int  # fills a row up to the sequence length; any id where there is no token for it, as it is masked
    cls: int | None  # begins every row
    sep: int | None  # ends every segment
    mask: int | None  # stands for the word to be guessed

    @property
    def ids(self) -> tuple[int, ...]:
        """The ids that are there, each once."""
        return tuple(dict.fromkeys(id for id in asdict(self).values() if id is not None))


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
    special: SpecialTokens
    notes: Mapping[str, str] = field(default_factory=dict)  # what is odd about the file, and what was made of it
    _index: dict[str, int] = field(default_factory=dict, repr=False)  # filled when it is first asked for

    @property
    def index(self) -> dict[str, int]:
        """The id of each piece; of one that stands twice the last."""
        if not self._index:
            self._index.update(_ids_of(self.pieces))
        return self._index

    @classmethod
    def of(cls, pieces: Sequence[str], config: TokenizerConfig, *, source: str = "the vocabulary") -> Vocabulary:
        """Number `pieces` from 0 and find the special tokens that `config` names; the mask token may be missing.

        A piece that stands twice has its last id, as in Hugging Face's tokenizers; an empty one is never found.

        Raises: TextError for no pieces at all, or a special token that is missing.
        """
        if not any(pieces):
            raise TextError(f"a vocabulary was asked of {source}; it holds 0 pieces; give one with a piece a line")
        distinct = set(pieces)
        plain = len(distinct) == len(pieces) and "" not in distinct
        index = {} if plain else _ids_of(pieces)  # made later where nothing is odd
        notes: dict[str, str] = {}
        if not plain:
            twice = [piece for id, piece in enumerate(pieces) if piece and index[piece] != id]
            holes = len(pieces) - len(index) - len(twice)
            notes |= {f"{len(twice)} pieces": f"stand twice; the last id holds: {_some(twice)}"} if twice else {}
            notes |= {f"{holes} ids": "have no piece"} if holes else {}
        names = {name: getattr(config, f"{name}_token") for name in SpecialTokens.__dataclass_fields__}
        ids = {
            name: index.get(token) if not plain else pieces.index(token) if token in distinct else None
            for name, token in names.items()
        }
        missing = [token for name, token in names.items() if ids[name] is None and token and name != "mask"]
        if missing:
            raise TextError(
                f"{source} must hold the special tokens that its rows need; of its {len(pieces)} pieces none is "
                f"{', '.join(missing)}; name the right ones in the tokenizer's configuration"
            )
        if names["mask"] is not None and ids["mask"] is None:
            notes["mask_token"] = f"the vocabulary has no {names['mask']}; nothing can be masked"
        unk, pad, cls_id, sep, mask = (ids[name] for name in ("unk", "pad", "cls", "sep", "mask"))
        special = SpecialTokens(unk=unk, pad=pad or 0, cls=cls_id, sep=sep, mask=mask)
        return cls(pieces=tuple(pieces), special=special, notes=notes, _index=index)

    @classmethod
    def read(cls, path: Path, config: TokenizerConfig) -> Vocabulary:
        r"""Read a file of one piece a line; the id is the line's number from 0; only "\n" and "\r\n" end a line.

        Blank lines at the end are none. In the `hf` dialect, white space at the end of a line is none of its piece, as
        in Hugging Face's tokenizers. A `.json` file is Hugging Face's tokenizer.json, of which the model's vocabulary
        is read.

        Raises: TextError for a file that is missing, too large or not UTF-8, and as `of`.
        """
        text = _text(path)
        if path.suffix == ".json":
            return cls.of(_numbered(text, path), config, source=str(path))
        lines, notes = _lines(text, trims=config.dialect == "hf")
        vocabulary = cls.of(lines, config, source=str(path))
        return replace(
            vocabulary, notes={f"{path.name}, {key}": why for key, why in {**notes, **vocabulary.notes}.items()}
        )

    def __len__(self) -> int:
        return len(self.pieces)

    def ids(self, pieces: Iterable[str]) -> list[int]:
        """Return the id of each piece; an unknown one gets the unknown token's.

        Raises: InputError for an unknown piece where there is no such token.
        """
        pieces = list(pieces)
        unknown = self.special.unk
        if unknown is not None:
            return [self.index.get(piece, unknown) for piece in pieces]
        strangers = [piece for piece in pieces if piece not in self.index]
        if strangers:
            raise InputError(
                f"the ids of {len(pieces)} pieces were asked for; the vocabulary has no {_some(strangers)}, nor a "
                "token for what it lacks; pass pieces that it holds"
            )
        return [self.index[piece] for piece in pieces]

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
        special = self.special.ids
        return [id for id in map(int, ids) if id not in special]


MAX_SIZE = 100_000_000  # bytes of a file of text rules; a million pieces take about half of it
WHITE_SPACE = "\t\n\x0b\x0c\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))


def read_bounded(path: Path, kind: str) -> bytes:
    """Read a file of text rules, `kind` of them. Raises: TextError where it is missing, or larger than MAX_SIZE."""
    try:
        size = path.stat().st_size
        raw = path.read_bytes() if size <= MAX_SIZE else b""
    except OSError as error:
        raise TextError(f"the {kind} {path} was asked for; found none ({error.strerror}); check the path") from error
    if size > MAX_SIZE:
        raise TextError(
            f"the {kind} {path} must have at most {MAX_SIZE:,} bytes; found {size:,}, more than a million pieces take; "
            "fetch the file that belongs to the model"
        )
    return raw


def read_lines(path: Path) -> list[str]:
    """Read the lines of a vocab.txt as Hugging Face's tokenizers do. Raises: as `Vocabulary.read`."""
    return _lines(_text(path), trims=True)[0]


def _lines(text: str, *, trims: bool) -> tuple[list[str], dict[str, str]]:
    """Return the pieces of a vocab.txt, white space behind them off if it `trims`, and what is odd about them."""
    lines = (text.replace("\r\n", "\n") if "\r" in text else text).removesuffix("\n").split("\n")
    notes: dict[str, str] = {}
    if trims and any(space in text for space in WHITE_SPACE if space != "\n"):  # most files have none: quicker so
        trimmed = [line.rstrip(WHITE_SPACE) for line in lines]
        count = sum(map(str.__ne__, lines, trimmed))
        notes |= {f"white space behind {count} pieces": "is none of theirs"} if count else {}
        lines = trimmed
    last = next((number for number in range(len(lines), 0, -1) if lines[number - 1]), 0)
    notes |= {f"{len(lines) - last} blank lines at the end": "are no pieces"} if last < len(lines) else {}
    return lines[:last], notes


def _text(path: Path) -> str:
    try:
        return read_bounded(path, "vocabulary").decode("utf-8")
    except UnicodeDecodeError as error:
        raise TextError(
            f"the vocabulary {path} must be UTF-8; byte {error.start} of {len(error.object)} is not; "
            "store the file in UTF-8"
        ) from error


def _numbered(text: str, path: Path) -> list[str]:
    """Return the pieces of a tokenizer.json in the order of their ids."""
    try:
        ids = json.loads(text)["model"]["vocab"]
        return by_id(ids, source=path)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise TextError(
            f"a vocabulary was asked of {path}; it holds no model.vocab of pieces and ids: {error!r}; fetch it again"
        ) from None


def by_id(ids: Mapping[str, int], *, source: object) -> list[str]:
    """Return pieces in the order of their ids, an empty one where an id has none.

    Raises: TextError for ids that are no whole numbers from 0 on, stand twice, or leave more than half of them out.
    """
    wrong = [piece for piece, id in ids.items() if type(id) is not int or id < 0]
    last = max((id for id in ids.values() if type(id) is int), default=-1)
    if wrong or len(set(ids.values())) != len(ids) or last >= 2 * len(ids) + 100:
        fault = f"{_some(wrong)} have others" if wrong else f"found {len(set(ids.values()))} ids up to {last}"
        raise TextError(
            f"the {len(ids)} pieces of {source} must each have an id of their own, numbered from 0; {fault}; "
            "fetch the file again"
        )
    pieces = [""] * (last + 1)
    for piece, id in ids.items():
        pieces[id] = piece
    return pieces


def _ids_of(pieces: Sequence[str]) -> dict[str, int]:
    """Return the id of each piece that is not empty; of one that stands twice the last."""
    return {piece: id for id, piece in enumerate(pieces) if piece}


def _some(items: Sequence[object], limit: int = 5) -> str:
    """List the first few items and count the others."""
    first = ", ".join(repr(item) for item in items[:limit])
    return first if len(items) <= limit else f"{first} and {len(items) - limit} more"
