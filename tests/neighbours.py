"""Tiny modules of every family and dialect, saved by wellread, for the libraries that should open them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from own_ids import own_tokenizer
from tiny import tiny_checkpoint, tiny_config

from wellread.config import DenseConfig, SentenceConfig, TokenizerConfig
from wellread.export.parity import HOSTILE, read_lines
from wellread.module import Module
from wellread.text.batch import Batch
from wellread.text.tokenizer import Tokenizer, load_tokenizer

DATA = Path(__file__).parent / "data"
KOBERT = {"model_file": "tokenizer_78b3253a26.model"}
UNCASED = {"vocab_file": "bert-base-uncased-vocab.txt", "do_lower_case": True}
CASED = {"vocab_file": "bert-base-cased-vocab.txt"}


def words(directory: Path, dialect: str, **settings: object) -> Tokenizer:
    """Load one of BERT's vocabularies."""
    return load_tokenizer(DATA / "vocab", TokenizerConfig(dialect=dialect, **settings))


def korean(directory: Path, dialect: str) -> Tokenizer:
    """Load KoBERT's model and vocabulary."""
    return load_tokenizer(DATA / "kobert", TokenizerConfig(dialect=dialect, **KOBERT))


# name -> its tokenizer; the names begin with the dialect
TOKENIZERS: dict[str, Callable[[Path], Tokenizer]] = {
    "hf, uncased": lambda place: words(place, "hf", **UNCASED),
    "hf, cased": lambda place: words(place, "hf", **CASED),
    "tfhub, uncased": lambda place: words(place, "tfhub", **UNCASED),
    "tfhub, cased": lambda place: words(place, "tfhub", **CASED),
    "kobert": lambda place: korean(place, "kobert"),
    "spm, a vocabulary": lambda place: korean(place, "spm"),
    "spm, own ids": own_tokenizer,
}
SENTENCES = {
    "mean": SentenceConfig(max_seq_length=23),
    "cls, a map, normalised": SentenceConfig(
        pooling="cls",
        dense=(DenseConfig(in_features=12, out_features=5, activation="tanh"),),
        normalize=True,
        max_seq_length=29,
    ),
    "mean, two maps, prompts": SentenceConfig(
        dense=(DenseConfig(in_features=12, out_features=7), DenseConfig(in_features=7, out_features=5, bias=False)),
        prompts={"query": "질의: ", "document": ""},
        default_prompt_name="query",
        max_seq_length=31,
    ),
}
FAMILIES = {"bert": {}, "distilbert": {"type_vocab_size": 0, "pooler": "first_token"}}


def neighbour(place: Path, name: str, *, family: str = "bert", sentence: str = "mean", mlm: bool = True) -> Module:
    """Make a module whose vocabulary and id of padding are the tokenizer's."""
    place.mkdir(parents=True, exist_ok=True)
    tokenizer = TOKENIZERS[name](place)
    sizes = {"vocab_size": tokenizer.vocab_size, "pad_token_id": tokenizer.special.pad}
    config = tiny_config(**sizes, **FAMILIES[family])
    return Module(checkpoint=tiny_checkpoint(config, SENTENCES[sentence], mlm=mlm), tokenizer=tokenizer)


def texts() -> list[str]:
    """Return lines of unlike lengths, and strange ones; none that holds a special token."""
    return [*read_lines("ko")[:12], *read_lines("en")[:12], *(text for text in HOSTILE if "[CLS]" not in text)]


def given(module: Module, packed: Batch) -> dict[str, np.ndarray]:
    """Leave out the type ids where the encoder takes none."""
    names = ["input_word_ids", "input_mask", *(["input_type_ids"] if module.checkpoint.config.type_vocab_size else [])]
    return {name: packed[name] for name in names}


def assert_same(module: Module, found: dict[str, np.ndarray]) -> None:
    """Compare what `opened` made of a saved module with the module: ids, padding, outputs."""
    lines = texts()
    length = found["input_ids"].shape[1]
    packed = module.bert_pack_inputs([module.tokenize(lines)], seq_length=length, on_long="truncate")
    pair = module.bert_pack_inputs([module.tokenize(lines[:1]), module.tokenize(lines[1:2])], seq_length=40)
    assert found["length"] == module.max_seq_length == length
    np.testing.assert_array_equal(found["input_ids"], packed["input_word_ids"])
    np.testing.assert_array_equal(found["attention_mask"], packed["input_mask"])
    assert ("token_type_ids" in found) == bool(module.checkpoint.config.type_vocab_size)
    assert found["pair"][0] == pair["input_word_ids"][0][0]
    assert list(found["pair"]).count(module.tokenizer.special.sep) == 2
    outputs = ["sequence_output", *(["pooled_output"] if "pooled_output" in found else [])]
    expected = dict(module(given(module, packed), outputs=outputs))
    few = {name: array[: len(found["mlm_logits"])] for name, array in given(module, packed).items()}
    positions = np.tile(np.arange(length, dtype=np.int32), (len(found["mlm_logits"]), 1))
    expected |= module.mlm({**few, "masked_lm_positions": positions}, outputs=["mlm_logits"])
    for name, value in expected.items():
        allowed = 1e-5 * max(1, np.abs(value).max())
        np.testing.assert_allclose(found[name], value, rtol=0, atol=allowed, err_msg=name)
