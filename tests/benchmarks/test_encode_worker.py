"""What the loaders decide: which tokenizer, which batches, which padding."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tokenizers.implementations import BertWordPieceTokenizer

from benchmarks import encode_worker
from benchmarks.encode_worker import _pad, _plan, load_fast_tokenizer
from wellread.checkpoints.checkpoint import Checkpoint, in_memory
from wellread.checkpoints.huggingface import Source
from wellread.config import EncoderConfig, SentenceConfig, TokenizerConfig
from wellread.errors import InputError
from wellread.learn.init import fresh_arrays

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "e", "É", "##a"]
ROWS = [np.arange(length, dtype=np.int32) for length in (300, 2, 2, 500)]


def place(directory: Path, monkeypatch: pytest.MonkeyPatch, tokenizer: TokenizerConfig) -> None:
    """Put a vocabulary in `directory`, and have it read as a module of 5 tokens with that tokenizer."""
    (directory / "vocab.txt").write_text("".join(f"{piece}\n" for piece in PIECES), "utf-8")
    config = EncoderConfig(
        vocab_size=9, hidden_size=12, num_hidden_layers=1, num_attention_heads=4, intermediate_size=37
    )
    sentence = SentenceConfig(max_seq_length=5)
    arrays = in_memory(fresh_arrays(config, sentence, seed=0))
    checkpoint = Checkpoint(family="bert", config=config, sentence=sentence, tensors=arrays)
    named = SimpleNamespace(config=tokenizer)
    source = Source(directory=directory, checkpoint=checkpoint, tokenizer=named)
    monkeypatch.setattr(encode_worker, "read_directory", lambda _: source)


@pytest.mark.parametrize(("lower", "ids"), [(True, [2, 6, 5, 8, 3]), (False, [2, 7, 5, 8, 3])])
def test_a_vocabulary_is_read_under_the_module_s_rules_and_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lower: bool, ids: list[int]
) -> None:
    place(tmp_path, monkeypatch, TokenizerConfig(dialect="hf", do_lower_case=lower))
    encodings = load_fast_tokenizer(tmp_path).encode_batch(["É aa aa", "a"])
    assert [encoding.ids for encoding in encodings] == [ids, [2, 5, 3]]


def test_tokenizer_json_comes_first_without_its_own_padding_and_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(tmp_path, monkeypatch, TokenizerConfig(dialect="hf", do_lower_case=True))
    stored = BertWordPieceTokenizer(str(tmp_path / "vocab.txt"), lowercase=False)
    stored.enable_padding(length=9)
    stored.enable_truncation(3)
    stored.save(str(tmp_path / "tokenizer.json"))
    assert json.loads((tmp_path / "tokenizer.json").read_text("utf-8"))["padding"]
    (encoding,) = load_fast_tokenizer(tmp_path).encode_batch(["É a"])
    assert encoding.ids == [2, 7, 5, 3]


def test_refuses_a_module_without_a_word_piece_vocabulary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place(tmp_path, monkeypatch, TokenizerConfig(dialect="spm", model_file="a.model"))
    with pytest.raises(InputError, match=r"found neither for the spm dialect in .*; leave them out"):
        load_fast_tokenizer(tmp_path)


def test_sorted_batches_bound_their_tokens_and_others_come_as_they_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [chosen.tolist() for chosen in _plan(ROWS, arrival_order=False)] == [[3, 0], [1, 2]]
    monkeypatch.setattr(encode_worker, "ARRIVAL_ROWS", 3)
    assert [chosen.tolist() for chosen in _plan(ROWS, arrival_order=True)] == [[0, 1, 2], [3]]


def test_rows_are_padded_to_the_longest() -> None:
    made = _pad([np.array([2, 3], np.int32), np.array([2, 5, 0, 3], np.int32)])
    assert made["input_word_ids"].tolist() == [[2, 3, 0, 0], [2, 5, 0, 3]]
    assert made["input_mask"].tolist() == [[1, 1, 0, 0], [1, 1, 1, 1]]
    assert made["input_type_ids"].tolist() == [[0] * 4] * 2
    assert {array.dtype for array in made.values()} == {np.dtype(np.int32)}
