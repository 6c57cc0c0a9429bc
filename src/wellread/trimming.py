"""Trim a module: drop from its vocabulary and its word table what a corpus, a language or a list does not need.

Sources of the idea: Abdaoui, Pradel and Sigel 2020, Load What You Need: Smaller Versions of Multilingual BERT; of
dropping layers, Sajjad et al. 2020, On the Effect of Dropping Layers of Pre-trained Transformer Models
(arXiv:2004.03844).
"""

from __future__ import annotations

import random
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Regex, normalizers

from wellread.catalog.modules import language_tag
from wellread.checkpoints.checkpoint import Checkpoint, in_memory
from wellread.checkpoints.names import in_layer, rows, shapes
from wellread.data.corpus import stream_texts, total_bytes
from wellread.data.formats import STDIN
from wellread.encode import WINDOW
from wellread.errors import ConfigError, DataError, nearest
from wellread.formats.arrays import Array, StoredTensor
from wellread.formats.int8 import Int8Matrix
from wellread.module import Module
from wellread.progress import transfer
from wellread.text.batch import Ragged
from wellread.text.texts import as_texts, text_rows
from wellread.text.tokenizer import Tokenizer
from wellread.text.trim import letter_ids, needed, subset

HELD_OUT_EVERY = 20  # of a corpus, each so-many-th text is held out
HELD_OUT = 10_000  # texts that are held out, at most
UNUSED = re.compile(r"\[unused\d+\]")  # room in BERT's vocabularies, of no language
NEUTRAL = r"\p{Common}\p{Inherited}"  # digits, punctuation, symbols, marks: of every language
LATIN = (
    *("af", "az", "ca", "cs", "cy", "da", "de", "es", "et", "eu", "fi", "fr", "ga", "gl", "hr", "hu", "id", "is", "it"),
    *("lt", "lv", "ms", "nl", "no", "pl", "pt", "ro", "sk", "sl", "sq", "sv", "sw", "tl", "tr", "uz", "vi"),
)
# Language -> the letters that it is written in, as the inside of a regular expression's brackets.
LANGUAGES = {
    "en": "A-Za-z",
    **dict.fromkeys(LATIN, r"\p{Latin}"),
    **dict.fromkeys(("be", "bg", "kk", "ky", "mk", "mn", "ru", "sr", "uk"), r"\p{Cyrillic}"),
    **dict.fromkeys(("ar", "fa", "ur"), r"\p{Arabic}"),
    **dict.fromkeys(("hi", "mr", "ne"), r"\p{Devanagari}"),
    **{"ko": r"\p{Hangul}", "ja": r"\p{Hiragana}\p{Katakana}\p{Han}", "zh": r"\p{Han}\p{Bopomofo}"},
    **{"el": r"\p{Greek}", "he": r"\p{Hebrew}", "hy": r"\p{Armenian}", "ka": r"\p{Georgian}", "th": r"\p{Thai}"},
    **{
        "bn": r"\p{Bengali}",
        "gu": r"\p{Gujarati}",
        "kn": r"\p{Kannada}",
        "ml": r"\p{Malayalam}",
        "pa": r"\p{Gurmukhi}",
    },
    **{"ta": r"\p{Tamil}", "te": r"\p{Telugu}", "si": r"\p{Sinhala}", "km": r"\p{Khmer}", "lo": r"\p{Lao}"},
    **{"my": r"\p{Myanmar}", "am": r"\p{Ethiopic}"},
}
Texts = Iterable[str] | Path | Sequence[Path]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trimmed:
    """What trimming made of a module."""

    rows_before: int  # of the word table
    rows_after: int
    layers: list[int] | None = None  # of the module, counted from 0, that were kept; None: all
    parameters_before: int
    parameters_after: int
    megabytes_before: float  # of all tensors in float32
    megabytes_after: float
    counted_texts: int
    held_out_texts: int  # that were not counted, and are compared
    held_out_tokens: int
    texts_kept: float | None  # share of the held-out texts that keep all their pieces; None where there is no text
    tokens_kept: float | None  # share of their tokens whose piece is kept


def trim(
    module: Module,
    texts: Texts | None = None,
    *,
    keep: Iterable[str] | Path = (),
    language: str | Collection[str] = (),
    min_count: int = 1,
    layers: Collection[int] = (),
    held_out: Texts | None = None,
    column: str | None = None,
    kind: str | None = None,
    format: str | None = None,
) -> Module:
    """Return a module with the pieces that `texts`, `keep` or `language` need, and without the others' rows.

    `texts` are texts, or paths of files; a piece that occurs `min_count` times in them is kept. `keep` is a list of
    pieces, or the path of one, a piece a line. A `language`, of LANGUAGES, keeps every piece that is written in its
    letters, with digits, punctuation and symbols, and the single characters of ASCII. Special tokens, and whatever the
    vocabulary needs to find the kept pieces as before, stay in any case. `column`, `kind` and `format` say how files
    are read.

    A text all of whose pieces are kept has the same vector as before. `provenance["trim"]` holds a `Trimmed`: each
    twentieth text is not counted, unless `held_out` names other texts, and it says how many of these keep their pieces.

    `layers`, counted from 0, are the only ones that stay, in ascending order: then vectors are others, and the module
    is where a student begins (`distill` with `student=`, or `finetune`). Without anything else the vocabulary stays.

    Raises: ConfigError where nothing says what to keep, for an unknown language, a piece that the vocabulary lacks, or
        layers that the module lacks; DataError for files, or where there is no text; InputError for what is no text.

    >>> import wellread
    >>> small = wellread.trim(wellread.load("default"), ["A man is playing a guitar."], keep=["paris"])
    >>> small.tokenizer.vocab_size < 200
    True
    """
    tokenizer, checkpoint = module.tokenizer, module.checkpoint
    reading = {"column": column, "kind": kind, "format": format}
    languages = [language_tag(name) for name in ([language] if isinstance(language, str) else language)]
    wanted = _language_ids(tokenizer, languages) | _listed_ids(tokenizer, keep)
    if texts is None and not wanted:
        wanted = _every_id(tokenizer, layers)
    if min_count < 1:
        raise ConfigError(f"min_count must be at least 1; found {min_count}; raise it")
    counts = _Counts.of(tokenizer, _stream(() if texts is None else texts, reading), hold_out=held_out is None)
    if texts is not None and not counts.texts:
        raise DataError("a module was to be trimmed to what texts need; found 0 texts that hold anything; give others")
    wanted |= {*np.flatnonzero(counts.occurrences >= min_count).tolist(), *_module_ids(module)}
    kept = needed(tokenizer, wanted, spelled=np.flatnonzero(counts.occurrences).tolist())
    fewer = _with_layers(checkpoint, layers) if layers else checkpoint
    smaller = Module(checkpoint=_smaller(fewer, kept), tokenizer=subset(tokenizer, kept), backend=module.backend)
    sample = counts.held_out if held_out is None else _stream(held_out, reading)
    report = Trimmed(
        rows_before=checkpoint.config.vocab_size,
        rows_after=len(kept),
        layers=sorted(set(layers)) or None,
        parameters_before=(before := checkpoint.num_parameters),
        parameters_after=(after := smaller.checkpoint.num_parameters),
        megabytes_before=round(before * 4e-6, 1),
        megabytes_after=round(after * 4e-6, 1),
        counted_texts=counts.texts,
        **_compared(tokenizer, smaller.tokenizer, kept, sample),
    )
    smaller.provenance = {"made_by": "wellread trim", "from": {**module.provenance}, "trim": asdict(report)}
    return smaller


def _stream(texts: Texts, reading: Mapping[str, str | None]) -> Iterator[str]:
    """Yield texts that hold anything, of files or as they are given, and show how far long files are read."""
    given: Iterable[Any] = [texts] if isinstance(texts, str | Path) else texts
    if isinstance(given, Sequence) and given and all(isinstance(text, Path) for text in given):
        paths: list[Path] = list(given)
        files = [path for path in paths if path != Path(STDIN)]
        whole = len(files) == len(paths)  # of a pipe no one knows the size
        with transfer(total_bytes(files), show=None if whole else False, label="texts") as moved:
            yield from filter(str.strip, stream_texts(paths, moved=moved if whole else None, **reading))
        return
    rest, first_row = iter(text_rows(given)), 0
    while window := list(islice(rest, WINDOW)):
        yield from filter(str.strip, as_texts(window, first_row=first_row))
        first_row += len(window)


@dataclass(slots=True, kw_only=True, eq=False)
class _Counts:
    """How often the pieces of a vocabulary of V occur in texts, and the texts that were not counted."""

    occurrences: NDArray[np.int64]  # [V]
    texts: int  # that were counted
    held_out: list[str]

    @classmethod
    def of(cls, tokenizer: Tokenizer, texts: Iterator[str], *, hold_out: bool) -> _Counts:
        """Count the pieces of `texts`, a window of them at a time."""
        counts = cls(occurrences=np.zeros(tokenizer.vocab_size, np.int64), texts=0, held_out=[])
        rng, others = random.Random(0), 0
        while window := list(islice(texts, WINDOW - WINDOW % HELD_OUT_EVERY)):
            apart = window[HELD_OUT_EVERY - 1 :: HELD_OUT_EVERY] if hold_out else []
            if hold_out:
                del window[HELD_OUT_EVERY - 1 :: HELD_OUT_EVERY]
            counts.texts += len(window)
            counts.occurrences += np.bincount(tokenizer.tokenize(window).values, minlength=tokenizer.vocab_size)
            for text in apart:  # each as probable as any other to be among those that stay
                place = others if others < HELD_OUT else rng.randint(0, others)
                if place < HELD_OUT:
                    counts.held_out[place : place + 1] = [text]
                others += 1
        return counts


def _language_ids(tokenizer: Tokenizer, languages: Collection[str]) -> set[int]:
    """Return the ids of pieces that are written in the letters of `languages`, and of ASCII's single characters."""
    unknown = [language for language in languages if language not in LANGUAGES]
    if unknown:
        raise ConfigError(
            f"language= must name one whose letters wellread knows: {', '.join(sorted(LANGUAGES))}; found "
            f"{', '.join(map(repr, unknown))}{nearest(str(unknown[0]), LANGUAGES)}; name others, or give texts instead"
        )
    if not languages:
        return set()
    letters = "".join(dict.fromkeys(LANGUAGES[language] for language in languages))
    known = normalizers.Replace(Regex(f"[{NEUTRAL}{letters}]+"), "")
    pieces = enumerate(tokenizer.vocabulary.pieces)
    texts = {id: tokenizer.engine.join([piece]) for id, piece in pieces if piece and not UNUSED.fullmatch(piece)}
    within = {id for id, text in texts.items() if "\ufffd" not in text and not known.normalize_str(text)}
    return within | letter_ids(tokenizer, map(chr, range(0x21, 0x7F)))


def _every_id(tokenizer: Tokenizer, layers: Collection[int]) -> set[int]:
    """Return all ids, where layers alone are trimmed. Raises: ConfigError where nothing says what to keep."""
    if not layers:
        raise ConfigError(
            "a module was to be trimmed; found nothing that says what to keep; pass texts, keep=, language= or layers="
        )
    return set(range(tokenizer.vocab_size))


def _listed_ids(tokenizer: Tokenizer, keep: Iterable[str] | Path) -> set[int]:
    """Return the ids of listed pieces. Raises: ConfigError that names those that the vocabulary lacks; DataError."""
    if isinstance(keep, str):
        raise ConfigError(f"keep= must be a list of pieces, or a Path of one; found the str {keep!r:.60}; wrap it")
    pieces = list(filter(None, stream_texts([keep], kind="txt"))) if isinstance(keep, Path) else as_texts(keep)
    index = tokenizer.vocabulary.index
    unknown = [piece for piece in pieces if piece not in index]
    if unknown:
        raise ConfigError(
            f"keep= must name pieces of the vocabulary; of {len(pieces)} it lacks {len(unknown)}: "
            f"{', '.join(map(repr, unknown[:5]))}; write them as wellread tokenize shows them, or give texts instead"
        )
    return {index[piece] for piece in pieces}


def _module_ids(module: Module) -> set[int]:
    """Return the ids that the module itself needs: its prompts', the padding's.

    Where positions begin behind those of padding, as RoBERTa's and MPNet's do, the ids of padding must not move: all
    before them stay.
    """
    config = module.checkpoint.config
    prompts = [prompt for prompt in module.checkpoint.sentence.prompts.values() if prompt]
    first = range(max(config.position_offset, config.pad_token_id + 1) if config.position_offset else 0)
    return {*module.tokenizer.tokenize(prompts).values.tolist(), config.pad_token_id, *first}


def _smaller(checkpoint: Checkpoint, kept: NDArray[np.int64]) -> Checkpoint:
    """Take the rows `kept` of every tensor that has one for each piece."""
    config = checkpoint.config
    of_pieces = [row.name for row in rows(config, mlm=checkpoint.has_mlm) if row.letters[0] == "V"]
    taken = {name: _taken(checkpoint.tensors[name], kept) for name in of_pieces}
    padding = kept.tolist().index(config.pad_token_id)
    return replace(
        checkpoint,
        config=replace(config, vocab_size=len(kept), pad_token_id=padding),
        tensors={**checkpoint.tensors, **in_memory(taken)},
    )


def _with_layers(checkpoint: Checkpoint, layers: Collection[int]) -> Checkpoint:
    """Keep `layers` alone. Raises: ConfigError for those that the encoder lacks."""
    config, kept = checkpoint.config, sorted(set(layers))
    if not 0 <= kept[0] <= kept[-1] < config.num_hidden_layers:
        raise ConfigError(
            f"the layers {', '.join(map(str, kept))} were to be kept; found an encoder of the layers 0 to "
            f"{config.num_hidden_layers - 1}; choose among them"
        )
    smaller = replace(config, num_hidden_layers=len(kept))
    gone = shapes(config).keys() - shapes(smaller).keys()
    moved = {name: in_layer(name, [0] if config.shared_layers else kept) for name in shapes(smaller)}
    tensors = {name: checkpoint.tensors[moved.get(name, name)] for name in checkpoint.tensors if name not in gone}
    return replace(checkpoint, config=smaller, tensors=tensors)


def _taken(tensor: StoredTensor, kept: NDArray[np.int64]) -> Array | Int8Matrix:
    """Take rows of a tensor; an int8 table stays one."""
    return tensor.read()[kept] if tensor.int8 is None else tensor.int8().take(kept)


def _compared(before: Tokenizer, after: Tokenizer, kept: NDArray[np.int64], texts: Iterable[str]) -> dict[str, Any]:
    """Say of how many texts, and of how many of their tokens, the pieces stay, as fields of `Trimmed`."""
    numbers = np.full(before.vocab_size, -1, np.int32)
    numbers[kept] = np.arange(len(kept))
    num_texts, num_tokens, same_texts, same_tokens, stream = 0, 0, 0, 0, iter(texts)
    while window := list(islice(stream, WINDOW)):
        old, new = before.tokenize(window), after.tokenize(window)
        expected = Ragged(values=numbers[old.values], splits=old.splits)
        same_texts += sum(map(np.array_equal, expected, new))
        same_tokens += int((expected.values >= 0).sum())
        num_texts, num_tokens = num_texts + len(window), num_tokens + len(old.values)
    return {
        "held_out_texts": num_texts,
        "held_out_tokens": num_tokens,
        "texts_kept": same_texts / num_texts if num_texts else None,
        "tokens_kept": same_tokens / num_tokens if num_tokens else None,
    }
