"""A vocabulary of its own: which of the teacher's vectors a student's words begin with, and the way to a module."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import tokenizers
import torch
from click.testing import CliRunner
from encoder_tokenizers import KOBERT, xlm_roberta
from learn.pupils import METHODS, TEXTS, student_for, teacher_for
from tiny import PIECES, tiny_checkpoint, tiny_config, tiny_tokenizer

import wellread
from wellread.cli.main import group
from wellread.config import SentenceConfig, TokenizerConfig
from wellread.errors import ConfigError, TextError, TrainingError
from wellread.learn.distill.distill import distill
from wellread.learn.distill.teacher import fingerprint
from wellread.learn.init import from_teacher_to_vectors, principal_components
from wellread.learn.transfer import old_pieces, transferred_words
from wellread.learn.vocabulary import read_vocabulary
from wellread.module import Module
from wellread.text.tokenizer import load_tokenizer

torch.set_num_threads(1)
CONFIG = METHODS["vectors"]
ONE_STEP = replace(CONFIG, loop=replace(CONFIG.loop, max_steps=1, save_steps=0))
WORDS = "embeddings.word_embeddings.weight"


@pytest.fixture(scope="module")
def xlm(tmp_path_factory):
    """A teacher of SentencePiece, small, and its tokenizer as the tokenizers library has it."""
    place = tmp_path_factory.mktemp("xlm")
    files, size = xlm_roberta({"special": ["<s>", "<pad>", "</s>", "<unk>"], "mask_last": "<mask>"})
    (place / "tokenizer.json").write_bytes(files["tokenizer.json"])
    (place / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "XLMRobertaTokenizer"}))
    config = tiny_config(vocab_size=size, type_vocab_size=1, pad_token_id=1, position_offset=2, mlm_act="gelu")
    checkpoint = tiny_checkpoint(config, SentenceConfig(normalize=True, max_seq_length=32), family="xlm-roberta")
    module = Module(checkpoint=checkpoint, tokenizer=read_vocabulary(place))
    return module, tokenizers.Tokenizer.from_file(str(place / "tokenizer.json"))


def write(place, pieces):
    place.mkdir()
    (place / "vocab.txt").write_text("".join(f"{piece}\n" for piece in pieces), "utf-8")
    return place / "vocab.txt"


def test_a_piece_is_the_mean_of_the_pieces_of_its_text(tmp_path):
    old = tiny_tokenizer(tmp_path / "old")
    own = ["[PAD]", "[CLS]", "[MASK]", "[UNK]", "[SEP]", "cat", "##ing", "guitars", "##ings", "Paris", "##!", "##cat"]
    own += ["한", "cats!", "##한"]
    path = write(tmp_path / "new", own)
    new = load_tokenizer(path.parent, TokenizerConfig(dialect="hf", do_lower_case=False))
    expected = {
        **{name: [name] for name in own[:7]},  # what both have, the special tokens by what they are for
        "guitars": ["guitar", "##s"],
        "##ings": [],  # "ings" by itself is unknown
        "Paris": ["paris"],  # as the old one reads it
        "##!": ["!"],  # by itself even inside a word
        "##cat": ["cat"],  # the old one has it at the begin alone
        "한": [],
        "cats!": ["cat", "##s", "!"],
        "##한": [],
    }
    assert dict(zip(own, map(old.pieces, old_pieces(old, new)), strict=True)) == expected
    table = np.random.default_rng(0).normal(size=(99, 12)).astype(np.float32)
    made = transferred_words(table, old, new)
    at = PIECES.index
    assert np.allclose(made[7], (table[at("guitar")] + table[at("##s")]) / 2)
    assert np.allclose(made[12], table.mean(0))
    assert np.array_equal(made[2], table[at("[MASK]")])


def test_korean_pieces_are_found_in_a_sentencepiece_vocabulary(xlm):
    """Against the tokenizers library: a word as it reads it, an inner piece without the sign of a word's begin."""
    module, library = xlm
    new = read_vocabulary(KOBERT)
    made = dict(zip(new.vocabulary.pieces, old_pieces(module.tokenizer, new), strict=True))
    vocabulary = library.get_vocab()
    seen = {"begins": 0, "inside": 0}
    for piece, pieces in made.items():
        text = piece.removeprefix("▁")
        ids = library.encode(text, add_special_tokens=False).ids
        if not text.isalpha() or text.isascii() or vocabulary["<unk>"] in ids:
            continue
        if piece in vocabulary:
            assert pieces == [vocabulary[piece]]
        elif piece.startswith("▁"):
            seen["begins"] += len(ids) > 1
            assert pieces == ids
        else:
            first = library.id_to_token(ids[0])
            inner = [vocabulary.get(first.removeprefix("▁"), ids[0]), *ids[1:]]
            seen["inside"] += len(ids) > 1
            assert pieces == inner[first == "▁" :]
    assert min(seen.values()) > 50
    special = [("[CLS]", "<s>"), ("[SEP]", "</s>"), ("[PAD]", "<pad>"), ("[UNK]", "<unk>"), ("[MASK]", "<mask>")]
    assert [made[ours] for ours, _ in special] == [[vocabulary[theirs]] for _, theirs in special]
    assert made["!"] == [vocabulary["!"]]


def test_the_student_is_a_bert_whose_words_are_principal_components(xlm):
    module, _ = xlm
    new = read_vocabulary(KOBERT)
    student = from_teacher_to_vectors(module, CONFIG, tokenizer=new)
    config = student.config
    assert (student.family, config.vocab_size, config.pad_token_id) == ("bert", 8002, new.special.pad)
    assert (config.position_offset, config.type_vocab_size, config.max_length) == (0, 2, 16)
    table = module.checkpoint.tensors[WORDS].read()
    words = student.tensors[WORDS].read()
    expected = principal_components(transferred_words(table, module.tokenizer, new), 8)
    assert np.allclose(words, expected * (0.02 / expected.std()), atol=1e-6)
    wider = from_teacher_to_vectors(module, replace(CONFIG, hidden_size=20), tokenizer=new).tensors[WORDS].read()
    assert wider.shape == (8002, 20)
    assert np.abs(wider[:, 12:]).max() <= 0.04 + 1e-6  # drawn: the teacher has 12 alone
    assert wider[:, 12:].std() > 0.01


@pytest.mark.filterwarnings("ignore::wellread.errors.TruncationWarning")
def test_the_command_makes_a_module_of_another_vocabulary(xlm, tmp_path):
    """It reads as KoBERT's tokenizer does, and is loaded again."""
    module, _ = xlm
    module.save(tmp_path / "teacher")
    (tmp_path / "texts.txt").write_text("이 영화는 정말 재미있다\n배우가 좋다\n" * 20, "utf-8")
    shape = "--num-hidden-layers 1 --hidden-size 8 --num-attention-heads 2 --max-seq-length 16 --max-steps 3".split()
    command = ["distill", str(tmp_path / "texts.txt"), "-m", str(tmp_path / "teacher"), "-o", str(tmp_path / "out")]
    done = CliRunner().invoke(group, [*command, *shape, "--no-split", "--vocab", str(KOBERT)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    made = wellread.load(tmp_path / "out")
    assert made.provenance["vocabulary"] == "kobert"
    text = "이 영화는 정말 재미있다"
    assert made.tokenizer.tokenize([text]).to_list() == read_vocabulary(KOBERT).tokenize([text]).to_list()
    assert made.encode(text).shape == (12,)


def test_a_tokenizer_may_be_given_and_a_file_has_its_rule(tmp_path):
    teacher = teacher_for("vectors", tmp_path / "t")
    path = write(tmp_path / "new", [*PIECES[:5], "cat", "Cat", "man", "the"])
    options = {"output_dir": tmp_path / "run", "config": ONE_STEP, "overwrite": True}
    cased = distill(teacher, TEXTS, vocab=path, **options)
    lower = distill(teacher, TEXTS, vocab=str(path), lower_case=True, **options)
    given = distill(teacher, TEXTS, vocab=lower.tokenizer, **options)
    assert cased.tokenizer.tokenize(["Cat"]).to_list() == [[6]]
    assert lower.tokenizer.tokenize(["Cat"]).to_list() == [[5]]
    assert given.tokenizer is lower.tokenizer
    assert (cased.provenance["vocabulary"], "vocabulary" in given.provenance) == ("vocab.txt", False)


def test_another_vocabulary_is_another_run(tmp_path):
    teacher = teacher_for("vectors", tmp_path / "t")
    config = replace(CONFIG, loop=replace(CONFIG.loop, max_steps=2, save_steps=1))
    distill(teacher, TEXTS, output_dir=tmp_path / "run", config=config)
    path = write(tmp_path / "new", PIECES[:60])
    with pytest.raises(TrainingError, match="found that model is '[0-9a-f]+' and was"):
        distill(teacher, TEXTS, vocab=path, output_dir=tmp_path / "run", config=config, resume_from_checkpoint=True)


@pytest.mark.parametrize(
    ("method", "why"),
    [
        ("layers", "takes the teacher's word table as it is"),
        ("labels", "is pre-trained and has one"),
        ("relations", "is compared with the teacher token by token"),
    ],
)
def test_methods_whose_student_has_a_vocabulary_refuse_one(tmp_path, method, why):
    teacher = teacher_for(method, tmp_path / "t")
    with pytest.raises(ConfigError, match=rf"was given for the student of '{method}'; found that it {why}; leave the"):
        distill(teacher, TEXTS, vocab=KOBERT, output_dir=tmp_path / "run", config=METHODS[method])


def test_what_is_no_vocabulary_of_a_fresh_student_is_refused(tmp_path):
    teacher = teacher_for("vectors", tmp_path / "t")
    options = {"output_dir": tmp_path / "run", "config": CONFIG}
    with pytest.raises(ConfigError, match="found that it has its own; leave the vocabulary out"):
        distill(teacher, TEXTS, student=student_for("labels", tmp_path / "s"), vocab=KOBERT, **options)
    with pytest.raises(ConfigError, match="lower case was asked for; found no vocabulary that it is the rule of; name"):
        distill(teacher, TEXTS, lower_case=True, **options)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "vocab.txt").write_text("one\ntwo\n")
    with pytest.raises(TextError):
        distill(teacher, TEXTS, vocab=tmp_path / "bad" / "vocab.txt", **options)
    assert not (tmp_path / "run").exists()


def test_a_fresh_student_begins_with_the_layers_of_an_encoder_of_its_shape(tmp_path):
    teacher = teacher_for("vectors", tmp_path / "t")
    options = {"output_dir": tmp_path / "run", "config": ONE_STEP, "overwrite": True}
    source = distill(teacher, TEXTS, **options)
    path = write(tmp_path / "new", PIECES[:60])
    still = replace(ONE_STEP, loop=replace(ONE_STEP.loop, learning_rate=1e-12))
    begun = distill(teacher, TEXTS, vocab=path, layers_from=source, **{**options, "config": still})
    ours, theirs = begun.checkpoint.arrays(), source.checkpoint.arrays()
    name = "encoder.layer.0.attention.self.query.weight"
    np.testing.assert_allclose(ours[name], theirs[name], atol=1e-9)
    words = "embeddings.word_embeddings.weight"
    assert (len(ours[words]), ours[words].std()) == (60, pytest.approx(theirs[words].std(), rel=1e-5))
    assert begun.provenance["layers"]["sha256"] == fingerprint(source)
    wider = replace(ONE_STEP, hidden_size=16)
    with pytest.raises(ConfigError, match=r"were to begin as another encoder's; found .*name one of the same shape"):
        distill(teacher, TEXTS, layers_from=source, **{**options, "config": wider})
    with pytest.raises(ConfigError, match=r"found a student that is given; that is for a fresh student"):
        distill(teacher, TEXTS, student=source, layers_from=source, **options)
