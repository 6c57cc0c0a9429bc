"""Vocabularies: taken from a file or another module, or trained from text; the same text gives the same one."""

from __future__ import annotations

import hashlib
import io
import json
import random
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from wellread.config import TokenizerConfig
from wellread.data.corpus import stream_texts, total_bytes
from wellread.errors import ConfigError, TextError, nearest
from wellread.files import sha256, whole_directory
from wellread.learn.distributed import Process
from wellread.module import load
from wellread.text.tokenizer import Tokenizer, load_tokenizer, whole
from wellread.text.tokenizer_reader import open_tokenizer, read_tokenizer

KINDS = ("wordpiece", "sentencepiece")
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")  # in BERT's order, as ids 0 to 4
SAMPLE = 1_000_000  # texts from which a vocabulary is trained, at most
THREADS = 4  # SentencePiece's result depends on their number, so it is fixed
LONGEST = 1 << 16  # bytes of a text that SentencePiece learns from
MODEL = "vocabulary.model"


def read_vocabulary(source: str | Path, *, lower_case: bool = False) -> Tokenizer:
    """Return the tokenizer of a file (vocab.txt with `lower_case`, tokenizer.json, SentencePiece model) or a module.

    A module is a directory, which may hold the tokenizer's files alone, or any handle.

    Raises: TextError, ConfigError; what `wellread.load` raises for a handle.
    """
    path = Path(source)
    if path.is_file() and path.suffix == ".txt":
        return load_tokenizer(
            path.parent, TokenizerConfig(dialect="hf", vocab_file=path.name, do_lower_case=lower_case)
        )
    if lower_case:
        raise ConfigError(
            f"lower case was asked for with the vocabulary {source}; found that it is no vocab.txt, and has its own "
            "rule; leave lower case out"
        )
    if path.is_file() and path.name == "tokenizer.json":
        return open_tokenizer(path.parent, read_tokenizer(path.parent))
    if path.is_file():
        return load_tokenizer(path.parent, TokenizerConfig(dialect="spm", vocab_file=None, model_file=path.name))
    if path.is_dir() and not (path / "config.json").is_file():
        return open_tokenizer(path, read_tokenizer(path))
    return load(source).tokenizer


def trained_vocabulary(
    paths: Sequence[Path],
    *,
    kind: str,
    size: int,
    cache: Path,
    lower_case: bool = False,
    column: str | None = None,
    file_kind: str | None = None,
    process: Process | None = None,
) -> Tokenizer:
    """Train a vocabulary of `size` pieces from files, as `stream_texts` reads them, unless it lies in `cache` already.

    `kind` is one of KINDS; `column` and `file_kind` are those of the files.

    It is learned from a million texts at most, drawn evenly. Of several processes the first trains it.

    Raises: ConfigError for an unknown kind; DataError; TextError where the text does not give so many pieces.
    """
    if kind not in KINDS:
        raise ConfigError(
            f"a vocabulary of the kind {kind!r} was asked for; wellread trains {' and '.join(KINDS)}; choose one"
            f"{nearest(kind, KINDS)}"
        )
    total_bytes(paths)
    files = [["".join(path.suffixes), sha256(path)] for path in paths]
    recipe = json.dumps([kind, size, lower_case, column or "text", files, *([file_kind] if file_kind else [])])
    directory = cache / f"vocabulary-{hashlib.sha256(recipe.encode()).hexdigest()[:32]}"

    def train() -> None:
        if not directory.exists():
            texts = sample(stream_texts(paths, column=column, kind=file_kind), SAMPLE)
            with whole_directory(directory) as partial:
                learn(texts, partial, kind=kind, size=size, lower_case=lower_case)

    (process or Process()).run_once(train, "the vocabulary was to be trained by the first process")
    return load_tokenizer(directory, config_of(kind, lower_case=lower_case))


def config_of(kind: str, *, lower_case: bool) -> TokenizerConfig:
    """Return how a trained vocabulary is read."""
    if kind == "wordpiece":
        return TokenizerConfig(dialect="hf", do_lower_case=lower_case)
    return TokenizerConfig(dialect="spm", vocab_file=None, model_file=MODEL)  # the case rule is inside the model


def sample(texts: Iterable[str], limit: int) -> list[str]:
    """Draw `limit` of the texts that hold anything, each as probable as any other, in bounded memory; always the same.

    >>> sample(["a", "", "b"], 5)
    ['a', 'b']
    """
    rng, kept = random.Random(0), list[str]()
    for number, text in enumerate(text for text in texts if text.strip()):
        place = rng.randint(0, number) if number >= limit else number
        if number < limit:
            kept.append(text)
        elif place < limit:
            kept[place] = text
    return kept


def learn(texts: Sequence[str], directory: Path, *, kind: str, size: int, lower_case: bool) -> None:
    """Train a vocabulary and write its file into `directory`."""
    if not texts:
        raise TextError("a vocabulary was to be trained; found 0 texts that hold anything; give other files")
    if kind == "wordpiece":
        pieces = learn_wordpiece(texts, size=size, lower_case=lower_case)
        (directory / "vocab.txt").write_bytes("".join(f"{piece}\n" for piece in pieces).encode())
    else:
        (directory / MODEL).write_bytes(learn_sentencepiece(texts, size=size, lower_case=lower_case))


def learn_wordpiece(texts: Sequence[str], *, size: int, lower_case: bool) -> list[str]:
    """Train WordPiece: the special tokens, then characters, then what is joined of them, the most frequent first.

    The trainer of the tokenizers library breaks ties by ids, and gives continuing characters theirs in the order of a
    hash table; so they are numbered here, before it begins. A character may take two pieces, so a quarter of the size
    is given to the most frequent ones.

    Raises: TextError where the texts give fewer pieces than `size`, or their characters more.
    """
    from tokenizers import Tokenizer as Library
    from tokenizers import models, normalizers, pre_tokenizers, trainers

    rules = normalizers.BertNormalizer(lowercase=lower_case)
    cut = pre_tokenizers.BertPreTokenizer()
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(rules.normalize_str(whole(text)))
    letters = sorted(counts.keys() - {" "}, key=lambda letter: (-counts[letter], letter))[: max(1, size // 4)]
    inner = [letter for letter in sorted(letters) if len(cut.pre_tokenize_str(f"a{letter}a")) == 1]
    library = Library(models.WordPiece(unk_token=SPECIAL[1]))
    library.normalizer, library.pre_tokenizer = rules, cut
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        special_tokens=[*SPECIAL, *sorted(letters), *(f"##{letter}" for letter in inner)],
        initial_alphabet=letters,
        limit_alphabet=len(letters),
        show_progress=False,
    )
    library.train_from_iterator(map(whole, texts), trainer)
    index = library.get_vocab()
    pieces = sorted(index, key=index.__getitem__)
    if len(pieces) > size:
        raise TextError(
            f"a vocabulary of {size} pieces was to be trained; {len(texts)} texts have {len(pieces)} letters and "
            "special tokens alone; ask for more pieces"
        )
    if len(pieces) < size:  # the trainer counts a piece that two pairs of others make twice
        warnings.warn(f"a vocabulary of {size} pieces was asked for; the texts give {len(pieces)}", stacklevel=2)
    return pieces


def learn_sentencepiece(texts: Sequence[str], *, size: int, lower_case: bool) -> bytes:
    """Train a SentencePiece unigram model with BERT's special tokens, and return the content of its file.

    Raises: TextError where the texts do not give `size` pieces.
    """
    import sentencepiece

    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=_short(texts),
            model_writer=model,
            vocab_size=size,
            normalization_rule_name="nmt_nfkc_cf" if lower_case else "nmt_nfkc",
            num_threads=THREADS,
            max_sentence_length=LONGEST,
            minloglevel=2,
            **_special_ids(),
        )
    except RuntimeError as error:
        raise TextError(
            f"a vocabulary of {size} pieces was to be trained; from {len(texts)} texts SentencePiece makes none: "
            f"{str(error).splitlines()[0]}; ask for another size, or give more text"
        ) from error
    return model.getvalue()


def _special_ids() -> dict[str, Any]:
    """Put the special tokens at 0 to 4; SentencePiece calls the third and fourth the begin and end of a sentence."""
    names = dict(zip(("pad", "unk", "bos", "eos"), SPECIAL, strict=False))
    ids = {f"{name}_id": id for id, name in enumerate(names)}
    return {**ids, **{f"{name}_piece": piece for name, piece in names.items()}, "control_symbols": [SPECIAL[4]]}


def _short(texts: Iterable[str]) -> Iterator[str]:
    """Cut what SentencePiece would pass over for its length; a character takes 4 bytes at most."""
    part = LONGEST // 4 - 1
    for text in map(whole, texts):
        yield from (text[begin : begin + part] for begin in range(0, len(text), part))
