"""A tokenizer inside an ONNX graph: its ids on odd texts, modules exported with it, and what is refused."""

import io
import random
import unicodedata
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import sentencepiece
import tokenizers
from exports import KOBERT, KOBERT_CONFIG, kobert_module
from headed import headed_checkpoint
from kobert_rules import SPECIAL, TEXTS
from piece_models import train
from tiny import tiny_checkpoint, tiny_config, tiny_module, tiny_tokenizer

import wellread
from wellread.config import SentenceConfig, TokenizerConfig
from wellread.errors import ExportError, TruncationWarning
from wellread.export import text_parity, text_tables
from wellread.export.certify import certify
from wellread.export.onnx import export_onnx
from wellread.export.onnx_graph import build_graph
from wellread.export.parity import HOSTILE, all_texts
from wellread.export.text_parity import check_text, expected_rows, ranges, text_part, tokenizer_alone
from wellread.export.text_tables import Trie
from wellread.formats.sentencepiece_model import read_charsmap, read_sentencepiece
from wellread.module import Module
from wellread.text.fast import of_library
from wellread.text.tokenizer import load_tokenizer

ODD = [
    *"aBé\u0301\u0323 \t\u3000\n`'#▁한글ᄒᆞᆫ\u11a8１ﬁ½İΣ👍\u200d漢,.\u302e",
    "[CLS]",
    "[MASK]",
    "</s>",
    "``",
    "''",
    "1,",
    " 20,",
]


@pytest.fixture
def few(monkeypatch):
    """Ask fewer characters, and prove the ids of fewer lines: those of all take seconds each."""
    lines = [*all_texts()[: -len(HOSTILE) : 300], *(text[:300] for text in HOSTILE)]
    met = {ord(character) for character in "".join([*lines, *ODD, *TEXTS])}
    codes = sorted(met | {*range(0x1200), *range(0x2000, 0x3200), *range(0xAC00, 0xAE00), *range(0xFF00, 0xFF60)})
    monkeypatch.setattr(text_tables, "CODES", codes)
    monkeypatch.setattr(text_parity, "CODES", codes[::7])
    monkeypatch.setattr(text_parity, "all_texts", lambda: lines)


def odd_texts(count=200):
    rng = random.Random(0)
    return ["".join(rng.choices(ODD, k=rng.randrange(12))) for _ in range(count)]


def graph_ids(tokenizer, texts, **changes):
    """What ONNX Runtime makes of texts with the part of a graph that is the tokenizer's."""
    checkpoint = tiny_checkpoint(tiny_config(vocab_size=tokenizer.vocab_size), mlm=False)
    part = replace(text_part(checkpoint, tokenizer), **changes)
    model = tokenizer_alone(build_graph(checkpoint, metadata={}, text=part))
    runs = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    ids, mask = runs.run(None, {"text": np.array(texts, object)})
    return [row[kept > 0].tolist() for row, kept in zip(ids, mask, strict=True)], part


def library(model, normalizer, cutter, special=()):
    made = tokenizers.Tokenizer(model)
    made.normalizer, made.pre_tokenizer = normalizer, cutter
    made.add_special_tokens(list(special))
    return of_library(made, {"unk_token": "[UNK]"})


def numbered(place):
    """KoBERT's rules over a model with pieces such as "1,"."""
    place.mkdir()
    rows = ["1, 20, 1, x1, 20, 3 20,y 1,", "1,1,1, 20,20 2"] * 40
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(rows),
        model_writer=model,
        vocab_size=20,
        split_by_unicode_script=False,
        split_by_number=False,
        hard_vocab_limit=False,
        normalization_rule_name="identity",
        minloglevel=2,
    )
    (place / "x.model").write_bytes(model.getvalue())
    pieces = [piece.text for piece in read_sentencepiece((place / "x.model").read_bytes()).pieces]
    (place / "vocab.txt").write_text("\n".join([*SPECIAL, *pieces[::-1]]), encoding="utf-8")
    tokenizer = load_tokenizer(place, TokenizerConfig(dialect="kobert", model_file="x.model"))
    assert tokenizer.engine.numbers
    return tokenizer


def own_rules(place):
    """SentencePiece under its own ids, as it is, without normalisation."""
    place.mkdir()
    options = {"bos_id": -1, "control_symbols": ["[CLS]", "[SEP]", "[PAD]", "[MASK]"], "vocab_size": 600}
    (place / "x.model").write_bytes(train(**options, unk_piece="[UNK]", normalization_rule_name="identity"))
    return load_tokenizer(place, TokenizerConfig(dialect="spm", vocab_file=None, model_file="x.model"))


def words(place, **settings):
    tiny_tokenizer(place)
    return load_tokenizer(place, TokenizerConfig(**{"dialect": "hf", **settings}))


TOKENIZERS = {
    "uncased": lambda place: words(place, do_lower_case=True),
    "cased": words,
    "no-ideographs": lambda place: words(place, do_lower_case=True, strip_accents=False, tokenize_chinese_chars=False),
    "tfhub": lambda place: words(place, dialect="tfhub", do_lower_case=True),
    "kobert": lambda place: load_tokenizer(KOBERT, KOBERT_CONFIG),
    "kobert-lower": lambda place: load_tokenizer(KOBERT, replace(KOBERT_CONFIG, do_lower_case=True)),
    "numbers": numbered,
    "spm": lambda place: load_tokenizer(KOBERT, replace(KOBERT_CONFIG, dialect="spm")),
    "own-ids": own_rules,
    "unigram": lambda place: wellread.load("default-ko").tokenizer,
}


SLOW = ("no-ideographs", "kobert-lower", "spm")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in TOKENIZERS]
)
def test_the_ids_are_the_tokenizers(tmp_path, few, name):
    tokenizer = TOKENIZERS[name](tmp_path / "words")
    texts = [*odd_texts(), *text_parity.all_texts(), *TEXTS]
    ids, part = graph_ids(tokenizer, texts, seq_length=3000)
    refused = {character for some in part.tables.refused.values() for character in some}
    rows = zip(texts, ids, expected_rows(tokenizer, part, texts), strict=True)
    assert [text for text, a, b in rows if a != b and refused.isdisjoint(text)] == []


def test_rows_are_cut(tmp_path, few):
    tokenizer = words(tmp_path / "words", do_lower_case=True)
    ids, _ = graph_ids(tokenizer, ["a man a man a man", "", "a"], seq_length=5)
    assert ids == [[2, 5, 6, 5, 3], [2, 3], [2, 5, 3]]


def test_a_module_with_its_tokenizer_inside(tmp_path, few, capfd):
    module = tiny_module(tmp_path / "words", sentence=SentenceConfig(max_seq_length=9, normalize=True), mlm=True)
    texts = ["a man is playing the guitar , the cat sleeps", "", "[MASK] Flutes"]
    found = export_onnx(module, tmp_path / "made", with_tokenizer=True, mlm=True, texts=texts)
    path = tmp_path / "made" / "onnx" / "model.onnx"
    onnx.checker.check_model(onnx.load(path))
    runs = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [(each.name, each.type, each.shape) for each in runs.get_inputs()] == [
        ("text", "tensor(string)", ["batch_size"])
    ]
    names = ["last_hidden_state", "pooler_output", "sentence_embedding", "mlm_logits", "input_ids", "attention_mask"]
    assert [each.name for each in runs.get_outputs()] == names
    vectors, ids = runs.run(["sentence_embedding", "input_ids"], {"text": texts})
    assert capfd.readouterr().err == ""  # ONNX Runtime has nothing to warn of
    exact = replace(module, backend="numpy", _automatic="")
    with pytest.warns(TruncationWarning, match="1 of 3 texts"):
        expected = exact.encode(texts, precision="f64", show_progress_bar=False)
    np.testing.assert_allclose(vectors, expected, atol=2e-6)
    assert ids[:, 0].tolist() == [2, 2, 2]
    assert ids.shape == (3, 9)
    metadata = runs.get_modelmeta().custom_metadata_map
    assert metadata["takes"] == "text"
    assert metadata["refused_characters"].startswith("marks that normalisation may put in another order: U+")
    card = (tmp_path / "made" / "README.md").read_text("utf-8")
    assert "takes strings `text` [batch_size] and gives `last_hidden_state`" in card
    assert "Refused, for their ids may differ: marks that" in card
    again = wellread.load(tmp_path / "made")
    assert again.fingerprint == found.fingerprint == module.fingerprint
    assert again.checkpoint.has_mlm
    assert (found.refused_texts, found.notes) == (0, ())
    assert found.texts > 500
    certificate = certify(module, tmp_path / "made", texts=["a man is playing the flute", "the cat"])
    assert certificate.holds
    assert certificate.by.endswith("its tokenizer inside")
    assert (certificate.other_ids, [*certificate.logits]) == (0, ["mlm_logits"])
    other = certify(Module(checkpoint=tiny_checkpoint(seed=1), tokenizer=module.tokenizer), path, texts=["a man"])
    assert other.logits["mlm_logits"] > 0.1
    assert not other.holds


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float16", marks=pytest.mark.slow)])
def test_logits_of_a_masked_language_model(tmp_path, dtype):
    module = tiny_module(tmp_path / "words")
    export_onnx(module, tmp_path / "made", mlm=True, dtype=dtype)
    path = tmp_path / "made" / "onnx" / "model.onnx"
    runs = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    ids = np.array([[2, 5, 4, 7, 3], [2, 5, 3, 0, 0]])
    feed = {"input_ids": ids, "attention_mask": (ids > 0).astype(np.int64), "token_type_ids": np.zeros_like(ids)}
    logits = runs.run(["mlm_logits"], feed)[0]
    batch = {"input_word_ids": ids, "input_mask": feed["attention_mask"], "input_type_ids": feed["token_type_ids"]}
    positions = {"masked_lm_positions": np.tile(np.arange(5), (2, 1))}
    stored = replace(wellread.load(tmp_path / "made"), backend="numpy", _automatic="")
    expected = stored.mlm({name: np.asarray(x, np.int32) for name, x in {**batch, **positions}.items()})["mlm_logits"]
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    assert [constant.name for constant in onnx.load(path).graph.initializer].count("embeddings.word_embeddings.weight")
    found = certify(
        module, tmp_path / "made", texts=["a man is playing"], tolerance=1e-5 if dtype == "float32" else 0.1
    )
    assert found.holds
    assert found.logits["mlm_logits"] < (1e-5 if dtype == "float32" else 0.1)


def pairs(tmp_path):
    return Module(checkpoint=headed_checkpoint("pair"), tokenizer=tiny_tokenizer(tmp_path / "words"))


def masked_prompt(tmp_path):
    sentence = SentenceConfig(max_seq_length=9, include_prompt=False, prompts={"query": "a "})
    return tiny_module(tmp_path / "words", sentence=sentence)


def library_module(model, normalizer=None, cutter=None, **changes):
    def make(tmp_path):
        tokenizer = library(model(), normalizer, cutter)
        config = tiny_config(vocab_size=tokenizer.vocab_size)
        return Module(checkpoint=tiny_checkpoint(config, mlm=False), tokenizer=tokenizer)

    return make


BPE = library_module(lambda: tokenizers.models.BPE({"[UNK]": 0, "a": 1}, [], unk_token="[UNK]"))
LEVEL = tokenizers.models.WordLevel({"[UNK]": 0, "a": 1}, unk_token="[UNK]")
UNIGRAM = library_module(
    lambda: tokenizers.models.Unigram([("[UNK]", 0.0), ("a", -1.0)], unk_id=0),
    tokenizers.normalizers.NFKC(),
    tokenizers.pre_tokenizers.Metaspace(),
)


@pytest.mark.parametrize(
    ("make", "options", "found"),
    [
        (
            pairs,
            {"with_tokenizer": True},
            "found a module that takes two texts; export without the tokenizer: the graph",
        ),
        (masked_prompt, {"with_tokenizer": True}, "found a module that takes a mask of what is pooled beside the text"),
        (BPE, {"with_tokenizer": True}, "found a model of the kind BPE, .*which no graph of wellread's computes"),
        (UNIGRAM, {"with_tokenizer": True}, "found the normaliser NFKC, the pre-tokenizer"),
        (UNIGRAM, {"mlm": True}, "found a module without a masked-language-model head; load one that has it"),
        (UNIGRAM, {"texts": ["a"]}, "1 texts were given, .* found with_tokenizer=False; pass with_tokenizer=True"),
        (UNIGRAM, {"texts": "a", "with_tokenizer": True}, "texts= takes a list of texts; found 'a'"),
    ],
)
def test_what_does_not_go_in(tmp_path, few, make, options, found):
    with pytest.raises(ExportError, match=found):
        export_onnx(make(tmp_path), tmp_path / "made", **options)
    assert not (tmp_path / "made").exists()


def test_other_ids_are_not_kept(tmp_path, few, monkeypatch):
    module = tiny_module(tmp_path / "words")
    part = text_part(module.checkpoint, module.tokenizer)
    other = replace(part.tables, unknown=7)
    monkeypatch.setattr(text_parity, "text_tables", lambda tokenizer: other)
    with pytest.raises(ExportError, match=r"must make its ids of \d+ texts; found others of \d+, such as .*was kept"):
        export_onnx(module, tmp_path / "made", with_tokenizer=True)
    assert not (tmp_path / "made").exists()


@pytest.mark.slow
def test_texts_of_ones_own_may_hold_no_refused_character(few):
    """A cluster of a letter and two marks is what the tokenizers library takes for its first two."""
    tokenizer = wellread.load("default-ko").tokenizer
    checkpoint = tiny_checkpoint(tiny_config(vocab_size=tokenizer.vocab_size), mlm=False)
    part = text_part(checkpoint, tokenizer)
    model = build_graph(checkpoint, metadata={}, text=part)
    found = check_text(tokenizer, part, model)
    assert 0 < found.refused < 5
    with pytest.raises(ExportError, match=r"found others of 1, such as 'e\u0323\u0301'; leave these texts out"):
        check_text(tokenizer, part, model, ["e\u0323\u0301"])


def test_a_trie_of_strings_that_stand_twice():
    trie = Trie.of([((1, 2), 7), ((1, 2), 9), ((), 3)], width=4)
    assert (trie.edges, trie.values.tolist(), trie.longest) == ({1: 1, 6: 2}, [-1, -1, 9, -1], 2)


@pytest.mark.slow
def test_a_map_of_characters_is_read_whole():
    model = read_sentencepiece((KOBERT / str(KOBERT_CONFIG.model_file)).read_bytes())
    read = read_charsmap(model.charsmap)
    processor = load_tokenizer(KOBERT, KOBERT_CONFIG).engine.inner.processor
    for key in list(read)[::97]:
        if not any(character.isspace() for character in read[key] + key):
            assert processor.normalize(key).removeprefix("▁") == read[key]
    assert read["ｶﾞ"] == unicodedata.normalize("NFKC", "ｶﾞ")
    with pytest.raises(ValueError, match="a map of characters of"):
        read_charsmap(model.charsmap[:100])


def test_code_points_are_named_together():
    assert ranges("cab\U0001f600x") == ["U+0061-0063", "U+0078", "U+1F600"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["default", "default-ko", "kobert"])
def test_twenty_thousand_lines_and_every_character_of_the_plane(tmp_path, name):
    module = kobert_module() if name == "kobert" else wellread.load(name)
    found = export_onnx(module, tmp_path / "made", with_tokenizer=True)
    assert found.texts + found.refused_texts == len(all_texts()) + 2 * (0x10000 - 0x800)
    assert found.refused_texts == (1 if name == "default-ko" else 0)
