"""Vocabularies that are read, and those that are trained: they load again and cut as their libraries do."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
import sentencepiece
import tokenizers
from tiny import PIECES, tiny_module, tiny_tokenizer

import wellread
from wellread.errors import ConfigError, DataError, TextError
from wellread.learn import vocabulary
from wellread.learn.vocabulary import (
    MODEL,
    SPECIAL,
    learn_wordpiece,
    read_vocabulary,
    sample,
    trained_vocabulary,
)

RNG = np.random.default_rng(0)
SYLLABLES = "ka no ri ta so mé 유리 창 ba lu Xi de".split()
WORDS = ["".join(RNG.choice(SYLLABLES, RNG.integers(1, 5))) for _ in range(150)]
TEXTS = [" ".join(RNG.choice(WORDS, RNG.integers(3, 12))) + RNG.choice([".", "!", ", or?", ""]) for _ in range(400)]
UNSEEN = ["kanorita mélu, 유리창!", "unseen: qqq 좋다", "", "XIDE [SEP] kasoso"]


@pytest.fixture
def path(tmp_path):
    (tmp_path / "a.txt").write_text("".join(f"{text}\n" for text in TEXTS), "utf-8")
    return tmp_path / "a.txt"


def trained(path, tmp_path, kind, **options):
    return trained_vocabulary([path], **{"kind": kind, "size": 120, "cache": tmp_path / "cache", **options})


@pytest.mark.parametrize("lower_case", [False, True])
@pytest.mark.parametrize("kind", vocabulary.KINDS)
def test_a_trained_vocabulary_is_saved_and_loads_again(path, tmp_path, kind, lower_case):
    tokenizer = trained(path, tmp_path, kind, lower_case=lower_case)
    assert tokenizer.pieces(range(5)) == list(SPECIAL)
    assert tokenizer.vocab_size == 120
    module = tiny_module(tmp_path / "files", config=tiny_120())
    module = wellread.Module(checkpoint=module.checkpoint, tokenizer=tokenizer)
    module.save(tmp_path / "saved")
    again = wellread.load(tmp_path / "saved").tokenizer
    assert again.tokenize(UNSEEN + TEXTS).to_list() == tokenizer.tokenize(UNSEEN + TEXTS).to_list()
    upper, lower = tokenizer.tokenize(["KANO", "kano"]).to_list()
    assert (upper == lower) == lower_case


def tiny_120():
    from tiny import tiny_config

    return tiny_config(vocab_size=120)


@pytest.mark.parametrize("lower_case", [False, True])
def test_a_wordpiece_vocabulary_cuts_as_the_library_does(path, tmp_path, lower_case):
    tokenizer = trained(path, tmp_path, "wordpiece", lower_case=lower_case)
    (file,) = (tmp_path / "cache").glob("*/vocab.txt")
    theirs = tokenizers.BertWordPieceTokenizer(str(file), lowercase=lower_case)
    for text in UNSEEN + TEXTS:
        assert tokenizer.tokenize([text])[0].tolist() == theirs.encode(text, add_special_tokens=False).ids
    known = tokenizer.tokenize(TEXTS).values
    assert (known == 1).mean() < 0.01
    assert any(piece.startswith("##") and len(piece) > 4 for piece in tokenizer.vocabulary.pieces)


def test_a_sentencepiece_vocabulary_cuts_as_the_library_does(path, tmp_path):
    tokenizer = trained(path, tmp_path, "sentencepiece")
    (file,) = (tmp_path / "cache").glob(f"*/{MODEL}")
    theirs = sentencepiece.SentencePieceProcessor(model_file=str(file))
    for text in UNSEEN + TEXTS:
        assert tokenizer.tokenize([text])[0].tolist() == theirs.encode(text)
    assert (theirs.bos_id(), theirs.eos_id(), theirs.piece_to_id("[MASK]")) == (2, 3, 4)


@pytest.mark.parametrize("kind", vocabulary.KINDS)
def test_the_same_text_gives_the_same_vocabulary_in_every_process(path, tmp_path, kind):
    """Hash tables of the tokenizers library have another order in every process."""
    code = (
        "import sys, pathlib; from wellread.learn.vocabulary import trained_vocabulary as train\n"
        "made = train([pathlib.Path(sys.argv[1])], kind=sys.argv[2], size=120, cache=pathlib.Path(sys.argv[3]))\n"
        "print('|'.join(made.vocabulary.pieces))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code, str(path), kind, str(tmp_path / f"cache{i}")],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for i in range(3)
    }
    assert len(said) == 1
    assert said.pop().startswith("|".join(SPECIAL))


def test_a_vocabulary_is_trained_once(path, tmp_path, monkeypatch):
    first = trained(path, tmp_path, "wordpiece")
    monkeypatch.setattr(vocabulary, "learn", None)
    assert trained(path, tmp_path, "wordpiece").vocabulary.pieces == first.vocabulary.pieces
    with pytest.raises(TypeError):
        trained(path, tmp_path, "wordpiece", size=100)


def test_frequent_characters_have_a_quarter_of_the_pieces(path):
    pieces = learn_wordpiece(TEXTS, size=60, lower_case=False)
    single = {piece.removeprefix("##") for piece in pieces[5:] if len(piece.removeprefix("##")) == 1}
    assert len(single) == 15
    counts = Counter("".join(TEXTS).replace(" ", ""))
    assert single == {letter for letter, _ in counts.most_common(15)}
    assert "##," not in pieces


def test_a_sample_is_bounded_even_and_always_the_same():
    drawn = sample(map(str, range(10_000)), 1_000)
    assert len(set(drawn)) == 1_000
    assert drawn == sample(map(str, range(10_000)), 1_000)
    assert abs(np.mean([int(text) for text in drawn]) - 5_000) < 300
    assert sample(["a", " ", "b"], 2) == ["a", "b"]


def test_long_texts_are_learned_from_too(tmp_path):
    (tmp_path / "a.txt").write_text(" ".join(TEXTS) * 30, "utf-8")
    assert (tmp_path / "a.txt").stat().st_size > 1 << 19
    assert trained(tmp_path / "a.txt", tmp_path, "sentencepiece").vocab_size == 120


def test_more_pieces_than_the_text_has_are_refused(path, tmp_path):
    message = "of 9000 pieces was to be trained; from 400 texts SentencePiece makes none: .*; ask for another size, or"
    with pytest.raises(TextError, match=message):
        trained(path, tmp_path, "sentencepiece", size=9000)
    assert not list((tmp_path / "cache").iterdir())


def test_fewer_pieces_than_were_asked_for_are_told(path, tmp_path):
    with pytest.warns(UserWarning, match=r"a vocabulary of 9000 pieces was asked for; the texts give \d+"):
        made = trained(path, tmp_path, "wordpiece", size=9000)
    assert 5 < made.vocab_size < 9000


def test_fewer_pieces_than_the_texts_have_letters_are_refused(path, tmp_path):
    with pytest.raises(
        TextError, match=r"of 6 pieces was to be trained; 400 texts have \d+ letters and special tokens"
    ):
        trained(path, tmp_path, "wordpiece", size=6)
    assert not list((tmp_path / "cache").iterdir())


def test_no_text_makes_no_vocabulary(tmp_path):
    (tmp_path / "a.txt").write_text("\n \n")
    with pytest.raises(TextError, match="a vocabulary was to be trained; found 0 texts that hold anything; give other"):
        trained(tmp_path / "a.txt", tmp_path, "wordpiece")
    with pytest.raises(DataError, match="found no .*b.txt"):
        trained(tmp_path / "b.txt", tmp_path, "wordpiece")


def test_an_unknown_kind_is_refused(path, tmp_path):
    message = (
        r"of the kind 'wordpieces' was asked for; wellread trains wordpiece and sentencepiece; choose one \(did you"
    )
    with pytest.raises(ConfigError, match=message):
        trained(path, tmp_path, "wordpieces")


def test_a_vocabulary_of_a_file_has_the_case_that_is_asked_for(tmp_path):
    tiny_tokenizer(tmp_path)
    upper, lower = (
        read_vocabulary(tmp_path / "vocab.txt", lower_case=yes).tokenize(["A man"]).to_list() for yes in (False, True)
    )
    assert (upper, lower) == ([[1, 6]], [[5, 6]])


def test_a_vocabulary_of_a_module_or_of_its_tokenizers_files(path, tmp_path):
    module = tiny_module(tmp_path / "files")
    module.save(tmp_path / "saved")
    assert read_vocabulary(tmp_path / "saved").vocabulary.pieces == tuple(PIECES)
    (tmp_path / "saved" / "config.json").unlink()
    assert read_vocabulary(tmp_path / "saved").vocabulary.pieces == tuple(PIECES)
    trained(path, tmp_path, "sentencepiece")
    (file,) = (tmp_path / "cache").glob(f"*/{MODEL}")
    assert read_vocabulary(file).pieces([4]) == ["[MASK]"]


def test_lower_case_is_no_choice_elsewhere(tmp_path):
    tiny_module(tmp_path / "files").save(tmp_path / "saved")
    with pytest.raises(ConfigError, match="lower case was asked for with the vocabulary .*saved; found that it is no"):
        read_vocabulary(tmp_path / "saved", lower_case=True)
