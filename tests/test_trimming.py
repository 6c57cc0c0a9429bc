"""trim: a smaller module gives the vectors of the whole one for texts whose pieces are kept, here and elsewhere."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers
from bodies import SIZES, body
from headed import head_of, headed
from sentence_transformers import SentenceTransformer
from tiny import tiny_module, tiny_tokenizer
from trims import KINDS, corpus, fast, of_kind

import wellread
from wellread.checkpoints.huggingface import read_encoder
from wellread.config import SentenceConfig
from wellread.errors import ConfigError, DataError, InputError
from wellread.module import Module
from wellread.trimming import HELD_OUT_EVERY, LANGUAGES

pytestmark = pytest.mark.filterwarnings("ignore::wellread.errors.TruncationWarning")
FEW = [*corpus()[:30], "[unseen] ▁ ##"]  # texts that are compared


def vectors(module, lines):
    return module.encode(lines, precision="f32")


@pytest.fixture(scope="module", params=KINDS)
def pair(request, tmp_path_factory):
    """A module, and the same trimmed to a few texts."""
    whole = of_kind(tmp_path_factory.mktemp("whole"), request.param)
    return whole, wellread.trim(whole, FEW, held_out=FEW)


def test_texts_keep_their_vectors(pair):
    whole, small = pair
    report = small.provenance["trim"]
    assert report["rows_before"] == whole.checkpoint.config.vocab_size
    assert report["rows_after"] == small.tokenizer.vocab_size == small.checkpoint.config.vocab_size
    assert report["rows_after"] < report["rows_before"] * 0.8
    assert (report["texts_kept"], report["tokens_kept"], report["held_out_texts"]) == (1.0, 1.0, len(FEW))
    np.testing.assert_allclose(vectors(small, FEW), vectors(whole, FEW), rtol=0, atol=1e-6)


def test_sizes_are_those_of_the_modules(pair):
    whole, small = pair
    report = small.provenance["trim"]
    parameters = [module.checkpoint.num_parameters for module in pair]
    assert [report["parameters_before"], report["parameters_after"]] == parameters
    assert [report["megabytes_before"], report["megabytes_after"]] == [round(n * 4 / 1e6, 1) for n in parameters]
    rows = report["rows_before"] - report["rows_after"]
    assert parameters[0] - parameters[1] == rows * (whole.checkpoint.config.hidden_size + 1)  # word table and MLM bias


def test_masks_are_filled_with_the_same_logits(pair):
    whole, small = pair
    before, after = (module(FEW[:3])["sequence_output"] for module in pair)
    np.testing.assert_allclose(before, after, rtol=0, atol=1e-6)
    logits = []
    for module in pair:
        packed = module.bert_pack_inputs([module.tokenize(FEW[:3])], seq_length=9)
        positions = np.tile(np.arange(9, dtype=np.int32), (3, 1))
        logits.append(module.mlm({**packed, "masked_lm_positions": positions})["mlm_logits"])
    kept = [whole.tokenizer.vocabulary.pieces.index(piece) for piece in small.tokenizer.vocabulary.pieces]
    np.testing.assert_allclose(logits[0][..., kept], logits[1], rtol=0, atol=1e-5)


def test_other_libraries_open_what_is_saved(pair, tmp_path):
    whole, small = pair
    small.save(tmp_path / "small")
    again = wellread.load(tmp_path / "small")
    assert again.tokenize(FEW).to_list() == small.tokenize(FEW).to_list()
    assert again.provenance["trim"] == small.provenance["trim"]
    expected = vectors(whole, FEW)
    np.testing.assert_allclose(vectors(again, FEW), expected, rtol=0, atol=1e-6)
    peer = SentenceTransformer(str(tmp_path / "small"), device="cpu")
    np.testing.assert_allclose(peer.encode(FEW), expected, rtol=0, atol=1e-5)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "small")
    lengths = [len(row) for row in small.tokenize(FEW)]
    fitting = [text for text, length in zip(FEW, lengths, strict=True) if length < 19]
    packed = small.bert_pack_inputs([small.tokenize(fitting)], seq_length=21)
    batch = tokenizer(fitting, padding="max_length", max_length=21, return_tensors="pt")
    np.testing.assert_array_equal(batch["input_ids"], packed["input_word_ids"])
    model = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path / "small").eval()
    with torch.no_grad():
        assert model(**batch).logits.shape[-1] == small.tokenizer.vocab_size


@pytest.mark.parametrize("task", ["classify", "tag"])
def test_heads_stay(tmp_path, task):
    module = tiny_module(tmp_path)
    module.checkpoint = headed(module.checkpoint, head_of(task))
    small = wellread.trim(module, ["a man is playing the guitar"])
    assert small.checkpoint.head == module.checkpoint.head
    assert small.predict(["a man is playing"], precision="f32") == module.predict(["a man is playing"], precision="f32")


@pytest.mark.parametrize("name", ["roberta", "electra", "albert", "mpnet"])
def test_every_family_is_trimmed(tmp_path, name):
    """RoBERTa and MPNet count positions from the id of padding on, so it must not move."""
    tokenizer = fast("fast, bytes")
    pad = tokenizer.special.pad
    model = body(name, keys={"vocab_size": tokenizer.vocab_size, "pad_token_id": pad})
    model.save_pretrained(tmp_path / "whole")
    checkpoint = replace(read_encoder(tmp_path / "whole"), sentence=SentenceConfig(max_seq_length=19))
    whole = Module(checkpoint=checkpoint, tokenizer=tokenizer)
    small = wellread.trim(whole, FEW[:5], held_out=FEW[:5])
    assert small.provenance["trim"]["texts_kept"] == 1.0
    if whole.checkpoint.config.position_offset:
        assert small.checkpoint.config.pad_token_id == pad
    np.testing.assert_allclose(vectors(small, FEW[:5]), vectors(whole, FEW[:5]), rtol=0, atol=1e-6)
    small.save(tmp_path / "small")
    before, after = (packed(module, FEW[:5]) for module in (whole, small))
    again = transformers.AutoModel.from_pretrained(tmp_path / "small").eval()
    with torch.no_grad():
        expected = model.base_model(**before).last_hidden_state
        np.testing.assert_allclose(again(**after).last_hidden_state, expected, rtol=0, atol=1e-5)


def packed(module, lines):
    """Pack rows of one length, as transformers takes them."""
    rows = module.bert_pack_inputs([module.tokenize(lines)], seq_length=19, on_long="truncate")
    names = {"input_ids": "input_word_ids", "attention_mask": "input_mask"}
    return {name: torch.from_numpy(rows[ours]).long() for name, ours in names.items()}


def test_prompts_keep_their_pieces(tmp_path):
    module = of_kind(tmp_path, "hf, cased")
    sentence = SentenceConfig(prompts={"query": "Guitar question: ", "none": ""}, max_seq_length=23)
    module.checkpoint = replace(module.checkpoint, sentence=sentence)
    small = wellread.trim(module, ["a man"])
    asked = [each.encode("a man", prompt_name="query", precision="f32") for each in (module, small)]
    np.testing.assert_allclose(*asked, rtol=0, atol=1e-6)


def test_each_twentieth_text_is_held_out(tmp_path):
    module = tiny_module(tmp_path)
    texts = ["a man runs" if number % HELD_OUT_EVERY != 19 else "paris sleeps" for number in range(47)]
    report = wellread.trim(module, [*texts, "", " "]).provenance["trim"]
    assert (report["counted_texts"], report["held_out_texts"], report["held_out_tokens"]) == (45, 2, 4)
    assert (report["texts_kept"], report["tokens_kept"]) == (0.0, 0.0)
    report = wellread.trim(module, texts, held_out=["a man", "paris"]).provenance["trim"]
    assert (report["counted_texts"], report["texts_kept"]) == (47, 1.0)
    report = wellread.trim(module, texts[:7]).provenance["trim"]
    assert (report["held_out_texts"], report["texts_kept"], report["tokens_kept"]) == (0, None, None)


def test_rare_pieces_go_with_min_count(tmp_path):
    module = of_kind(tmp_path, "hf, cased")
    texts = ["guitar guitar flute"]
    pieces = wellread.trim(module, texts, min_count=2).tokenizer.vocabulary.pieces
    assert "guitar" in pieces
    assert "flute" not in pieces
    assert {"f", "##f", "l", "##l", "u"} <= set(pieces)  # a single character of a text stays


def test_a_list_of_pieces_is_kept(tmp_path):
    module = of_kind(tmp_path, "hf, cased")
    (tmp_path / "pieces.txt").write_text("guitar\n##ing\n\n")
    for keep in (["guitar", "##ing"], tmp_path / "pieces.txt"):
        pieces = wellread.trim(module, keep=keep).tokenizer.vocabulary.pieces
        assert {"guitar", "##ing", "[CLS]", "[SEP]", "[MASK]", "[UNK]", "[PAD]", "g", "##g"} <= set(pieces)
        assert len(pieces) < 40


@pytest.mark.parametrize(
    ("kind", "language", "stay", "go"),
    [
        ("fast, Unigram", ["ko"], "한국 이 . 1 a Z ?", "▁the ing"),
        ("fast, Unigram", "en", "▁the ing s . 1", "이 는"),
        ("fast, Unigram", ["en", "ko"], "▁the ing 이 는", "é"),
        ("fast, bytes", ["en"], "Ġthe ing s . 1", "ìĿ´"),
        ("fast, bytes", ["ko"], "ìĿ´ . 1", "Ġthe ing"),
        ("hf, cased", ["fr"], "é café the ##ing", "я の"),
        ("hf, cased", ["ru"], "я ##и 7 a", "the é の [unused7]"),
    ],
)
def test_a_language_keeps_what_is_written_in_its_letters(tmp_path, kind, language, stay, go):
    module = of_kind(tmp_path, kind)
    before = set(module.tokenizer.vocabulary.pieces)
    after = set(wellread.trim(module, language=language).tokenizer.vocabulary.pieces)
    assert {piece for piece in stay.split() if piece in before} <= after
    assert len(before & set(stay.split())) > 1
    assert not after & set(go.split())


def test_every_language_can_be_asked_for(tmp_path):
    module = tiny_module(tmp_path)
    wellread.trim(module, language=list(LANGUAGES))


def test_files_are_read(tmp_path):
    module = tiny_module(tmp_path / "files")
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"body": "paris", "n": 1}) + "\n" for _ in range(3)))
    (tmp_path / "b.csv").write_text("body,n\na man,1\n")
    held_out = tmp_path / "held-out.txt"
    held_out.write_text("paris\na lute\n")
    small = wellread.trim(module, [tmp_path / "a.jsonl", tmp_path / "b.csv"], column="body", held_out=held_out)
    pieces = set(small.tokenizer.vocabulary.pieces)
    assert {"paris", "man"} <= pieces
    assert "guitar" not in pieces
    report = small.provenance["trim"]
    assert (report["counted_texts"], report["held_out_texts"], report["texts_kept"]) == (4, 2, 1.0)


def test_the_card_says_what_was_trimmed(tmp_path):
    card = wellread.trim(tiny_module(tmp_path), ["a man"]).model_card()
    assert "| `rows_before` | `99` |" in card
    assert "- `made_by`: `wellread trim`" in card


@pytest.mark.parametrize(
    ("options", "error", "found"),
    [
        ({}, ConfigError, "found nothing that says what to keep; pass texts, keep=, language= or layers="),
        ({"texts": []}, DataError, "found 0 texts that hold anything; give others"),
        ({"texts": ["", " "], "language": ["en"]}, DataError, "found 0 texts that hold anything"),
        ({"texts": ["a", None]}, InputError, "NoneType in row 1"),
        ({"texts": {"text": ["a"]}}, InputError, "texts were expected"),
        ({"keep": None}, InputError, "found None"),
        ({"keep": [7]}, InputError, "int in row 0"),
        ({"language": ["kr"]}, ConfigError, r"found 'kr'; name others, or give texts instead"),
        ({"keep": ["guitar", "lute", "harp"]}, ConfigError, "of 3 it lacks 2: 'lute', 'harp'; write them as wellread"),
        ({"keep": "guitar"}, ConfigError, "must be a list of pieces, or a Path of one; found the str 'guitar'; wrap"),
        (
            {"layers": [0, 7]},
            ConfigError,
            "the layers 0, 7 were to be kept; found an encoder of the layers 0 to 2; choose",
        ),
        ({"layers": [-1]}, ConfigError, "found an encoder of the layers 0 to"),
        ({"texts": ["a"], "min_count": 0}, ConfigError, "min_count must be at least 1; found 0; raise it"),
    ],
)
def test_what_cannot_be_trimmed_is_refused(tmp_path, options, error, found):
    with pytest.raises(error, match=found):
        wellread.trim(tiny_module(tmp_path), **options)


def test_texts_are_a_column_of_any_kind_and_no_table(tmp_path):
    module = tiny_module(tmp_path)
    texts = np.array(["paris of france"] * 3)
    assert wellread.trim(module, texts).tokenizer.vocab_size == wellread.trim(module, list(texts)).tokenizer.vocab_size
    with pytest.raises(InputError, match="pass one of its columns, text"):
        wellread.trim(module, {"text": ["paris"]})


def test_files_that_are_missing_are_named(tmp_path):
    module = tiny_module(tmp_path)
    with pytest.raises(DataError, match=r"found no .*none\.txt; check the paths"):
        wellread.trim(module, [tmp_path / "none.txt"])
    with pytest.raises(DataError, match=r"none\.txt"):
        wellread.trim(module, keep=tmp_path / "none.txt")


@pytest.mark.parametrize("layers", [[1], [2, 0], (0, 1, 2)])
def test_layers_that_are_kept_are_those_of_a_peer_that_drops_the_others(tmp_path, layers):
    torch.manual_seed(0)
    model = transformers.BertModel(transformers.BertConfig(**SIZES))
    model.save_pretrained(tmp_path)
    whole = Module(checkpoint=read_encoder(tmp_path), tokenizer=tiny_tokenizer(tmp_path))
    small = wellread.trim(whole, layers=layers)
    assert small.checkpoint.config.num_hidden_layers == len(layers)
    assert small.tokenizer.vocab_size == whole.tokenizer.vocab_size
    assert small.provenance["trim"]["layers"] == sorted(layers)
    ids = torch.tensor([[5, 9, 4], [7, 3, 6]])
    peer = model.eval()
    peer.encoder.layer = torch.nn.ModuleList(peer.encoder.layer[layer] for layer in sorted(layers))
    with torch.no_grad():
        expected = peer(input_ids=ids).last_hidden_state
    inputs = {"input_word_ids": ids, "input_mask": torch.ones_like(ids), "input_type_ids": torch.zeros_like(ids)}
    ours = small({name: tensor.numpy().astype(np.int32) for name, tensor in inputs.items()})["sequence_output"]
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-5)


def test_layers_that_share_their_weights_are_fewer_passes(tmp_path):
    body("albert").save_pretrained(tmp_path)
    module = Module(checkpoint=read_encoder(tmp_path), tokenizer=tiny_tokenizer(tmp_path))
    small = wellread.trim(module, layers=[0])
    assert small.checkpoint.config.num_hidden_layers == 1
    assert small.checkpoint.num_parameters == module.checkpoint.num_parameters
