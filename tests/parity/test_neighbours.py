"""Every family with every tokenizer, saved by wellread: transformers and sentence-transformers open it, and back."""

import warnings

import numpy as np
import pytest
import torch
import transformers
from neighbours import FAMILIES, SENTENCES, TOKENIZERS, assert_same, given, neighbour, texts
from opened import opened
from sentence_transformers import SentenceTransformer

import wellread
from wellread.errors import TruncationWarning
from wellread.export.parity import read_lines

WORDPIECE = [name for name in TOKENIZERS if name.startswith(("hf", "tfhub"))]
SENTENCEPIECE = [name for name in TOKENIZERS if name not in WORDPIECE]

# Texts of many languages go through each vocabulary.
pytestmark = pytest.mark.filterwarnings("ignore::wellread.errors.VocabularyWarning")


def encode(module, lines, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TruncationWarning)
        return module.encode(lines, precision="f32", **options)


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("family", FAMILIES)
def test_transformers_opens_it_by_its_auto_classes(tmp_path, family, name):
    module = neighbour(tmp_path / "files", name, family=family)
    module.save(tmp_path / "ours")
    config = transformers.AutoConfig.from_pretrained(tmp_path / "ours")
    assert (config.model_type, config.pad_token_id) == (family, module.tokenizer.special.pad)
    assert_same(module, opened(tmp_path / "ours", texts()))


@pytest.mark.parametrize("name", TOKENIZERS)
def test_its_tokenizer_knows_the_special_tokens(tmp_path, name):
    module = neighbour(tmp_path / "files", name, mlm=False)
    module.save(tmp_path / "ours")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "ours")
    special = module.tokenizer.special
    found = [getattr(tokenizer, f"{name}_token_id") for name in ("unk", "pad", "cls", "sep", "mask")]
    assert found == [special.unk, special.pad, special.cls, special.sep, special.mask]
    assert (tokenizer.padding_side, tokenizer.model_max_length) == ("right", module.max_seq_length)
    assert tokenizer("[MASK]")["input_ids"] == [special.cls, special.mask, special.sep]
    pair = tokenizer("[MASK]", "[PAD]")
    assert pair["input_ids"] == [special.cls, special.mask, special.sep, special.pad, special.sep]
    assert pair["token_type_ids"] == [0, 0, 0, 1, 1]
    assert tokenizer.decode(pair["input_ids"], skip_special_tokens=True) == ""
    assert len(tokenizer) == module.tokenizer.vocab_size


@pytest.mark.parametrize("name", ["hf, uncased", "tfhub, cased", "kobert", "spm, own ids"])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("sentence", SENTENCES)
def test_sentence_transformers_gives_its_vectors(tmp_path, family, name, sentence):
    module = neighbour(tmp_path / "files", name, family=family, sentence=sentence)
    module.save(tmp_path / "ours")
    peer = SentenceTransformer(str(tmp_path / "ours"), device="cpu")
    assert peer.max_seq_length == module.max_seq_length
    assert peer.default_prompt_name == module.checkpoint.sentence.default_prompt_name
    np.testing.assert_allclose(peer.encode(texts()), encode(module, texts()), rtol=0, atol=1e-5)
    for prompt in SENTENCES[sentence].prompts:
        expected = encode(module, texts()[:9], prompt_name=prompt)
        np.testing.assert_allclose(peer.encode(texts()[:9], prompt_name=prompt), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", WORDPIECE)
@pytest.mark.parametrize("family", FAMILIES)
def test_what_transformers_saves_of_it_comes_back(tmp_path, family, name):
    """transformers keeps neither vocab.txt nor wellread.json: the dialect stands in tokenizer.json."""
    module = neighbour(tmp_path / "files", name, family=family)
    module.save(tmp_path / "ours")
    for kind in ("AutoTokenizer", "AutoModelForMaskedLM"):
        getattr(transformers, kind).from_pretrained(tmp_path / "ours").save_pretrained(tmp_path / "theirs")
    assert not {"vocab.txt", "wellread.json"} & {path.name for path in (tmp_path / "theirs").iterdir()}
    again = wellread.load(tmp_path / "theirs")
    assert (again.tokenizer.config.dialect, again.max_seq_length) == (name.split(",")[0], module.max_seq_length)
    assert again.tokenize(texts()).to_list() == module.tokenize(texts()).to_list()
    packed = module.bert_pack_inputs([module.tokenize(texts())], seq_length=23, on_long="truncate")
    inputs = given(module, packed)
    np.testing.assert_array_equal(again(inputs)["sequence_output"], module(inputs)["sequence_output"])


@pytest.mark.parametrize("name", SENTENCEPIECE)
def test_what_other_libraries_save_without_the_model_is_read_by_its_tokenizer_json(tmp_path, name):
    neighbour(tmp_path / "files", name).save(tmp_path / "ours")
    peer = SentenceTransformer(str(tmp_path / "ours"), device="cpu")
    peer.save(str(tmp_path / "theirs"))
    module = wellread.load(tmp_path / "theirs")
    assert module.tokenizer.config.dialect == "fast"
    np.testing.assert_allclose(peer.encode(texts()), encode(module, texts()), rtol=0, atol=1e-5)
    for path in (*(tmp_path / "ours").glob("*.model"), *(tmp_path / "ours").glob("vocab.txt")):
        (tmp_path / "theirs" / path.name).write_bytes(path.read_bytes())
    again, module = wellread.load(tmp_path / "theirs"), wellread.load(tmp_path / "ours")
    if name != "spm, a vocabulary":  # without wellread.json it is taken for KoBertTokenizer's
        np.testing.assert_array_equal(encode(again, texts()), encode(module, texts()))


@pytest.mark.parametrize("name", WORDPIECE)
def test_what_sentence_transformers_saves_of_it_comes_back(tmp_path, name):
    module = neighbour(tmp_path / "files", name, sentence="cls, a map, normalised")
    module.save(tmp_path / "ours")
    SentenceTransformer(str(tmp_path / "ours"), device="cpu").save(str(tmp_path / "theirs"))
    again = wellread.load(tmp_path / "theirs")
    assert again.tokenizer.config.dialect == name.split(",")[0]
    np.testing.assert_allclose(encode(again, texts()), encode(module, texts()), rtol=0, atol=1e-6)


def test_the_row_of_padding_is_the_tokenizers(tmp_path):
    """KoBERT pads with 1; transformers gives the row of padding no gradient."""
    neighbour(tmp_path / "files", "kobert").save(tmp_path / "ours")
    model = transformers.AutoModel.from_pretrained(tmp_path / "ours")
    assert model.get_input_embeddings().padding_idx == 1
    model(torch.tensor([[2, 0, 1, 3]])).last_hidden_state.sum().backward()
    assert model.get_input_embeddings().weight.grad[:2].abs().sum(1).gt(0).tolist() == [True, False]


def test_masks_are_filled_alike(tmp_path):
    module = neighbour(tmp_path / "files", "kobert")
    module.save(tmp_path / "ours")
    fill = transformers.pipeline("fill-mask", model=str(tmp_path / "ours"), device="cpu")
    line = f"{read_lines('ko')[1]} [MASK]"
    found = [guess["token"] for guess in fill(line, top_k=3)]
    assert found == [guess.token for guess in module.fill_mask(line, top_k=3)[0]]
