"""Texts that a vocabulary cannot spell are told once, at every entry; texts that it can are not, whatever its kind."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import tokenizers
from headed import headed_checkpoint
from tiny import tiny_tokenizer
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from wellread.encode import warn_unreadable
from wellread.errors import TruncationWarning, VocabularyWarning
from wellread.export.parity import read_lines
from wellread.learn.finetune import finetune
from wellread.learn.settings import FinetuneConfig, LoopConfig
from wellread.measure.evaluate import evaluate
from wellread.module import Module
from wellread.text.fast import of_library
from wellread.text.tokenizer import Tokenizer

ENGLISH, KOREAN = read_lines("en")[:1000], read_lines("ko")[:1000]
LINES = {"en": ENGLISH, "ko": KOREAN, "both": [*ENGLISH, *KOREAN]}
SPECIAL = ["<unk>", "<pad>", "<s>", "</s>"]


def byte_level(lines: list[str]) -> Tokenizer:
    library = tokenizers.Tokenizer(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=2500, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    library.train_from_iterator(lines, trainer)
    return of_library(library, {"unk_token": "<unk>", "pad_token": "<pad>"})


def unigram(lines: list[str]) -> Tokenizer:
    library = tokenizers.Tokenizer(models.Unigram())
    library.normalizer, library.pre_tokenizer = normalizers.NFKC(), pre_tokenizers.Metaspace()
    library.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=1500, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False)
    library.train_from_iterator(lines, trainer)
    return of_library(library, {"unk_token": "<unk>", "pad_token": "<pad>"})


@contextmanager
def no_warning() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", VocabularyWarning)
        yield


@pytest.mark.parametrize("kind", [byte_level, unigram])
@pytest.mark.parametrize("language", ["en", "ko", "both"])
def test_vocabularies_of_other_kinds(kind, language: str) -> None:
    tokenizer = kind(LINES[language])
    with no_warning():
        warn_unreadable(tokenizer, ENGLISH[:64])
    for texts in (KOREAN[:64], KOREAN[500:503]):
        if language == "en":
            with pytest.warns(VocabularyWarning, match=r"over [6-9]0 % of the tokens"):
                warn_unreadable(tokenizer, texts)
        else:
            with no_warning():
                warn_unreadable(tokenizer, texts)


RUSSIAN = ["Сегодня хорошая погода cat", "Мы пошли гулять в парк cat"]
ROWS = [{"text": text, "label": label} for text, label in zip(RUSSIAN * 12, ["no", "yes"] * 12, strict=True)]


def test_every_entry_tells_it_once(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer(tmp_path / "files")
    tagger, pairs = (
        Module(checkpoint=headed_checkpoint(task), tokenizer=tokenizer, backend="torch")
        for task in ("classify", "pair")
    )
    config = FinetuneConfig(loop=LoopConfig(max_steps=1, learning_rate=1e-9), max_seq_length=16)
    entries = {
        "encode": lambda: tagger.encode(RUSSIAN),
        "predict": lambda: tagger.predict(RUSSIAN),
        "pairs": lambda: pairs.predict(["a man"] * 2, RUSSIAN),
        "evaluate": lambda: evaluate(tagger, ROWS),
        "finetune": lambda: finetune(
            tagger, ROWS, task="classify", output_dir=tmp_path / "run", config=config, dev=ROWS, labels=("no", "yes")
        ),
    }
    for name, entry in entries.items():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            entry()
        told = [warning for warning in caught if warning.category is VocabularyWarning]
        assert len(told) == 1, name
        assert told[0].filename == __file__, name
        assert not [warning for warning in caught if warning.category is TruncationWarning]
