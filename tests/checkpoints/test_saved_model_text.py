"""The tokenizers of TF Hub's preprocessors, read from SavedModels that tensorflow-text is in."""

import shutil

import pytest
import tensorflow as tf
import tensorflow_text
import tf_made
from tiny import PIECES, tiny_checkpoint

from wellread.checkpoints.saved_model import read_preprocessor
from wellread.checkpoints.tf_variables import TFHUB
from wellread.config import TokenizerConfig
from wellread.errors import CheckpointError, TextError
from wellread.text.tokenizer import load_tokenizer

KOBERT = tf_made.DATA / "kobert"
MODEL = KOBERT / "tokenizer_78b3253a26.model"
TEXTS = ["A man is playing the Guitar.", "paris, France!", "", "Ünkнown \u200b."]
KOREAN = ["한국어 모델을 공유합니다.", "쌀밥/잡곡밥 오징어찌개", "ㅋ a\u3000b"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("text")


@pytest.fixture(scope="module")
def model(place):
    """KoBERT's pieces with the special tokens among them, as its later model has them."""
    import sentencepiece

    lines = (tf_made.DATA / "kobert" / "vocab.txt").read_text("utf-8").split("\n")
    corpus = iter([" ".join(lines[i : i + 50]) for i in range(5, 3000, 50)])
    with (place / "special.model").open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=corpus,
            model_writer=file,
            vocab_size=1500,
            hard_vocab_limit=False,
            character_coverage=1.0,
            unk_id=0,
            bos_id=-1,
            eos_id=-1,
            unk_piece="[UNK]",
            user_defined_symbols=["[PAD]", "[CLS]", "[SEP]", "[MASK]"],
            minloglevel=2,
        )
    return place / "special.model"


@pytest.mark.parametrize("lower_case", [True, False])
def test_wordpiece_with_its_case_from_the_graph(place, lower_case):
    theirs = tf_made.wordpiece(place / f"words_{lower_case}", lower_case=lower_case)
    text = read_preprocessor(tf_made.write_preprocessor(place / f"wordpiece_{lower_case}", theirs))
    config = text.tokenizer.config
    assert (config.dialect, config.vocab_file, config.do_lower_case) == ("tfhub", "assets/vocab.txt", lower_case)
    assert text.inferred == {}
    expected = theirs.tokenize(TEXTS).merge_dims(1, 2).to_list()
    assert text.tokenizer.tokenize(TEXTS).to_list() == expected
    assert len(set(map(tuple, expected))) == len(TEXTS)


def test_a_sentencepiece_model_inside_the_graph(place, model):
    theirs = tensorflow_text.SentencepieceTokenizer(model.read_bytes())
    text = read_preprocessor(tf_made.write_preprocessor(place / "inside", theirs))
    assert (text.tokenizer.config.dialect, text.tokenizer.special.pad) == ("spm", 1)
    assert text.tokenizer.tokenize(KOREAN).to_list() == theirs.tokenize(KOREAN).to_list()
    assert text.tokenizer.model_bytes() == model.read_bytes()


@pytest.mark.parametrize("name", ["kobert.model", "kobert.spiece"])
def test_a_sentencepiece_model_among_the_assets_with_its_vocabulary(tmp_path, name):
    shutil.copy(MODEL, tmp_path / name)
    root = tf.train.Checkpoint()
    root.model = tf.saved_model.Asset(str(tmp_path / name))
    root.vocab_file = tf.saved_model.Asset(str(KOBERT / "vocab.txt"))
    tf.saved_model.save(root, str(tmp_path / "saved"))
    text = read_preprocessor(tmp_path / "saved")
    assert text.tokenizer.tokenize(KOREAN[:1]).to_list() == [[4958, 6855, 2046, 7088, 1050, 7843, 54]]
    assert text.tokenizer.special.pad == 1
    expected = load_tokenizer(KOBERT, TokenizerConfig(dialect="spm", model_file=MODEL.name))
    assert text.tokenizer.tokenize(KOREAN).to_list() == expected.tokenize(KOREAN).to_list()


@pytest.mark.parametrize("do_lower_case", [True, False])
def test_an_encoder_gives_its_vocabulary_too(tmp_path, do_lower_case):
    vocabulary = tf_made.write_vocabulary(tmp_path / "words")
    arrays = tf_made.variables(TFHUB, tiny_checkpoint(tf_made.BERT))
    tf_made.write_saved_model(tmp_path / "encoder", arrays, vocabulary=vocabulary, do_lower_case=do_lower_case)
    text = read_preprocessor(tmp_path / "encoder")
    assert (text.tokenizer.config.do_lower_case, text.inferred) == (do_lower_case, {})
    assert list(text.tokenizer.vocabulary.pieces) == PIECES


def test_a_vocabulary_alone_has_its_case_inferred(tmp_path):
    root = tf.train.Checkpoint()
    root.vocab_file = tf.saved_model.Asset(str(tf_made.write_vocabulary(tmp_path / "words")))
    tf.saved_model.save(root, str(tmp_path / "multi_cased"))
    assert read_preprocessor(tmp_path / "multi_cased").inferred == {
        "do_lower_case": "False: the directory is named cased"
    }


def test_a_bool_that_is_a_list_is_no_case(tmp_path):
    root = tf.train.Checkpoint()
    root.do_lower_case = tf.Variable([True, False])
    root.vocab_file = tf.saved_model.Asset(str(tf_made.write_vocabulary(tmp_path / "words")))
    tf.saved_model.save(root, str(tmp_path / "saved"))
    assert "do_lower_case" in read_preprocessor(tmp_path / "saved").inferred


def test_without_a_vocabulary_it_is_no_preprocessor(tmp_path):
    tf.saved_model.save(tf.train.Checkpoint(), str(tmp_path))
    with pytest.raises(
        TextError, match="found no vocabulary in its assets/ and no SentencePiece model in its saved_mod"
    ):
        read_preprocessor(tmp_path)


def test_what_is_no_saved_model_is_no_preprocessor(tmp_path):
    tf_made.write_vocabulary(tmp_path)
    with pytest.raises(CheckpointError, match="was to be read as a SavedModel; found no such file"):
        read_preprocessor(tmp_path)


def test_a_second_vocabulary_or_model_is_refused(place, tmp_path, model):
    directory = tf_made.copied(
        tf_made.write_preprocessor(tmp_path / "a", tf_made.wordpiece(tmp_path / "w", lower_case=True)), tmp_path / "b"
    )
    (directory / "assets" / "other.txt").write_text("x\n")
    with pytest.raises(
        TextError, match=r"must hold one file of the kind \*\.txt; found other\.txt, vocab\.txt; remove"
    ):
        read_preprocessor(directory)

    class Two(tf.Module):
        def __init__(self):
            super().__init__()
            contents = (model.read_bytes(), MODEL.read_bytes())
            self.both = [tensorflow_text.SentencepieceTokenizer(content) for content in contents]

        @tf.function(input_signature=[tf_made.TEXTS])
        def __call__(self, texts):
            return [each.tokenize(texts) for each in self.both]

    tf.saved_model.save(Two(), str(tmp_path / "two"))
    with pytest.raises(TextError, match="must hold one SentencePiece model; found 2; pass another"):
        read_preprocessor(tmp_path / "two")


def test_rules_that_are_not_computed_are_refused(tmp_path):
    words = tf_made.wordpiece(tmp_path / "w", lower_case=False, normalization_form="NFC")
    with pytest.raises(
        TextError, match="found NormalizeUTF8 without CaseFoldUTF8, which wellread does not compute; pass"
    ):
        read_preprocessor(tf_made.write_preprocessor(tmp_path / "nfc", words))

    class Folded:
        def __init__(self):
            self.pieces = tensorflow_text.SentencepieceTokenizer(MODEL.read_bytes())

        def tokenize(self, texts):
            return self.pieces.tokenize(tensorflow_text.case_fold_utf8(texts))

    folded = tf.Module()
    folded.inner = Folded()
    folded.pieces = folded.inner.pieces
    folded.tokenize = folded.inner.tokenize
    with pytest.raises(TextError, match="found CaseFoldUTF8 beside a SentencePiece model, which wellread does not"):
        read_preprocessor(tf_made.write_preprocessor(tmp_path / "folded", folded))


def test_a_model_without_the_special_tokens_is_refused(tmp_path):
    theirs = tensorflow_text.SentencepieceTokenizer(MODEL.read_bytes())
    directory = tf_made.write_preprocessor(tmp_path / "bare", theirs)
    with pytest.raises(
        TextError, match=r"the model in .*saved_model\.pb must hold the special tokens that its rows need"
    ):
        read_preprocessor(directory)
