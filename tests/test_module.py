"""Module: what a user holds."""

from __future__ import annotations

import inspect
import json
import re
import shutil
import subprocess
import sys
import warnings
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from near import NEEDS_NATIVE, cosines, exact
from sentence_transformers import SentenceTransformer
from tiny import NATIVE, PIECES, tiny_config, tiny_inputs, tiny_module

import wellread
from wellread.backends.backend import BACKENDS
from wellread.checkpoints.checkpoint import in_memory
from wellread.config import DenseConfig, SentenceConfig, TokenizerConfig
from wellread.encode import warn_unreadable
from wellread.errors import (
    CheckpointError,
    HandleError,
    InputError,
    TextError,
    TruncationWarning,
    VocabularyWarning,
    WeightsError,
)
from wellread.text.tokenizer import load_tokenizer

TEXTS = ["A man is playing the guitar.", "", "A cat sleeps!", "The woman runs.", "A man is playing the guitar."]
LONG = "the cat runs . " * 20  # 80 tokens


@pytest.fixture
def module(tmp_path):
    return tiny_module(tmp_path)


def test_call_on_texts_and_on_inputs_agree(module):
    out = module(TEXTS)
    assert list(out) == ["pooled_output", "sequence_output", "encoder_outputs"]
    assert out["pooled_output"].shape == (5, 12)
    assert out.sequence_output is out["sequence_output"]
    packed = module.bert_pack_inputs([module.tokenize(TEXTS)], seq_length=32)
    again = module(packed)
    width = out["sequence_output"].shape[1]
    assert np.allclose(again["pooled_output"], out["pooled_output"], atol=1e-5)
    assert np.allclose(again["sequence_output"][:, :width], out["sequence_output"], atol=1e-5)


def test_call_is_float32_and_agrees_with_the_reference(module, tmp_path):
    reference = tiny_module(tmp_path / "numpy", backend="numpy")(TEXTS)
    out = module(TEXTS)
    assert out["pooled_output"].dtype == np.float32
    assert np.abs(out["sequence_output"] - reference["sequence_output"]).max() < 1e-5


def test_a_pair_of_segments(module):
    segments = [module.tokenize(["A man runs."]), module.tokenize(["The cat sleeps."])]
    inputs = module.bert_pack_inputs(segments, seq_length=16)
    assert inputs["input_type_ids"].sum() == 5  # the second segment and its [SEP]
    assert module(inputs)["pooled_output"].shape == (1, 12)


def test_an_unknown_output_is_refused_by_name(module):
    with pytest.raises(InputError, match="outputs pooled were asked for; wellread makes pooled_output"):
        module(TEXTS, outputs=["pooled"])


def test_a_missing_output_attribute_names_what_is_there(module):
    with pytest.raises(AttributeError, match=r"mlm_logits is not among the outputs pooled_output, sequence_output"):
        module(TEXTS).mlm_logits  # noqa: B018


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"input_word_ids": [[2, 99, 3]]},
            r"input_word_ids must lie in 0 to 98, the rows of the word table; found 99 at \[0, 1\]",
        ),
        ({"input_word_ids": [[2, -1, 3]]}, "input_word_ids must lie in 0 to .*; found -1"),
        ({"input_word_ids": [[2, 2**40, 3]]}, "input_word_ids must lie in .* int32; found 1099511627776"),
        ({"input_type_ids": [[0, 2, 0]]}, "input_type_ids must lie in 0 to 1, the rows of the type table; found 2"),
        ({"input_mask": [[1, 2, 1]]}, "input_mask must lie in 0 to 1, the values of a mask; found 2"),
        ({"input_mask": [[1, 1]]}, r"the inputs must have one shape; found .*input_mask \[1, 2\]"),
        (
            {"input_word_ids": [2, 5, 3]},
            r"input_word_ids must be whole numbers of shape \[batch, tokens\]; found int64 of shape \[3\]",
        ),
        ({"input_word_ids": [[0.5, 1, 2]]}, "input_word_ids must be whole numbers .*; found float64"),
        ({"ids": [[1, 2, 3]]}, "the encoder takes .*; found .*ids; remove ids"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(module, change, message):
    good = {"input_word_ids": [[2, 5, 3]], "input_mask": [[1, 1, 1]], "input_type_ids": [[0, 0, 0]]}
    with pytest.raises(InputError, match=message):
        module({**good, **change})


def test_missing_inputs_are_named(module):
    with pytest.raises(InputError, match="found input_word_ids; add input_mask, input_type_ids"):
        module({"input_word_ids": [[2, 3]]})


def test_a_sequence_beyond_the_position_table_is_refused(module):
    wide = {name: np.ones((1, 42), np.int32) for name in tiny_inputs()}
    with pytest.raises(InputError, match="must have 1 to 41 tokens, .*; found 42"):
        module(wide)
    with pytest.raises(InputError, match="a sequence of 50 tokens was asked for; the position table has 41"):
        module(TEXTS, seq_length=50)
    with pytest.raises(InputError, match="seq_length=5 is for texts; found packed inputs"):
        module(tiny_inputs(), seq_length=5)


def test_a_family_without_types_takes_two_inputs_or_three(tmp_path):
    from tiny import tiny_checkpoint

    module = tiny_module(tmp_path)
    module.checkpoint = tiny_checkpoint(tiny_config(type_vocab_size=0, pooler="first_token"))
    two = {name: array for name, array in tiny_inputs().items() if name != "input_type_ids"}
    assert np.array_equal(module(two)["pooled_output"], module(tiny_inputs())["pooled_output"])


# -- encode ------------------------------------------------------------------------------------------------------------


def test_encode_a_list_a_string_and_nothing(module):
    vectors = module.encode(TEXTS)
    assert vectors.shape == (5, 12)
    assert vectors.dtype == np.float32
    assert module.encode(TEXTS[0]).shape == (12,)
    assert module.encode([]).shape == (0, 12)
    assert isinstance(module.encode(TEXTS, convert_to_numpy=False), list)


def test_encode_is_the_mean_over_the_tokens(module):
    out = module(TEXTS, outputs=["sequence_output"])
    mask = module.bert_pack_inputs([module.tokenize(TEXTS)], seq_length=out["sequence_output"].shape[1]).input_mask
    mean = (out["sequence_output"] * mask[:, :, None]).sum(1) / mask.sum(1, keepdims=True)
    assert np.allclose(module.encode(TEXTS, precision="f32"), mean, atol=1e-5)


def test_the_vector_does_not_depend_on_its_neighbours(module):
    together = module.encode(TEXTS * 50, precision="f32")
    alone = np.stack([module.encode(text, precision="f32") for text in TEXTS])
    assert np.abs(together[:5] - alone).max() <= 1e-5
    assert np.abs(together[:5] - together[-5:]).max() <= 1e-5
    assert np.abs(module.encode(TEXTS, batch_size=1, precision="f32") - alone).max() <= 1e-5


def test_encode_normalises_and_truncates(module):
    vectors = module.encode(TEXTS, normalize_embeddings=True, truncate_dim=5)
    assert vectors.shape == (5, 5)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    for wrong in (0, 13):
        with pytest.raises(InputError, match=f"truncate_dim must be 1 to 12; found {wrong}"):
            module.encode(TEXTS, truncate_dim=wrong)


def test_embed_is_lazy_and_in_order(module):
    def texts():
        yield from TEXTS
        raise AssertionError("read too far")

    module.encode(TEXTS)
    with pytest.raises(AssertionError, match="read too far"):
        list(module.embed(texts()))
    vectors = np.stack(list(module.embed(iter(TEXTS), precision="f32")))
    assert np.allclose(vectors, module.encode(TEXTS, precision="f32"), atol=1e-6)


def test_similarity_is_the_cosine(module):
    vectors = module.encode(TEXTS, precision="f32")
    scores = module.similarity(vectors, vectors[:2])
    assert scores.shape == (5, 2)
    assert scores[0, 0] == pytest.approx(1, abs=1e-6)
    assert scores[4, 0] == pytest.approx(1, abs=1e-5)


def test_truncation_is_counted_refused_or_chunked_away(module):
    with pytest.warns(TruncationWarning, match="1 of 2 texts were too long and lost at least 30 tokens"):
        cut = module.encode([LONG, "a cat"], on_long="truncate", precision="f32")
    with pytest.raises(
        TextError, match="a sequence length of 32 leaves room for 30 tokens a row; 1 of 2 rows are longer: row 1 of 80"
    ):
        module.encode(["a cat", LONG], on_long="error")
    chunked = module.encode([LONG, "a cat"], on_long="chunk", precision="f32")
    assert np.allclose(chunked[1], cut[1], atol=1e-5)
    parts = [" ".join(LONG.split()[i : i + 30]) for i in (0, 30, 60)]
    mean = np.average(module.encode(parts, precision="f32"), axis=0, weights=[30, 30, 20])
    assert np.allclose(chunked[0], mean, atol=1e-5)
    with pytest.raises(InputError, match="on_long='cut' is unknown"):
        module.encode(TEXTS, on_long="cut")


@pytest.mark.parametrize(
    ("words", "lost"), [(31, "lost 1"), (59, "lost 29"), (60, "lost at least 30"), (80, "lost at least 30")]
)
def test_tokens_that_are_cut_are_counted_as_far_as_texts_are_read(module, words, lost):
    text = " ".join(LONG.split()[:words])
    with pytest.warns(TruncationWarning, match=f"1 of 1 texts were too long and {lost} tokens"):
        module.encode(text)
    with pytest.warns(TruncationWarning, match=f"1 of 1 texts were too long and lost {words - 30} tokens"):
        module.encode(text, output_value="token_embeddings")


def test_a_text_that_fits_in_is_no_warning(module):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        module.encode(" ".join(LONG.split()[:30]))


def test_chunks_of_a_normalising_module_are_normalised_again(tmp_path):
    module = tiny_module(tmp_path, sentence=SentenceConfig(normalize=True, max_seq_length=32))
    assert np.linalg.norm(module.encode([LONG], on_long="chunk")) == pytest.approx(1, abs=1e-6)


def test_call_warns_of_truncation(module):
    with pytest.warns(TruncationWarning, match="1 of 1 texts were too long and lost 75 tokens"):
        assert module(LONG, seq_length=7)["sequence_output"].shape == (1, 7, 12)


def test_prompts(tmp_path):
    sentence = SentenceConfig(max_seq_length=32, prompts={"query": "the man ", "none": ""}, default_prompt_name="query")
    module = tiny_module(tmp_path, sentence=sentence)
    prompted = module.encode("cat", prompt="the man ", precision="f32")
    assert np.allclose(module.encode("cat", precision="f32"), prompted)
    assert np.allclose(module.encode("cat", prompt_name="query", precision="f32"), prompted)
    assert np.allclose(module.encode("the man cat", prompt_name="none", precision="f32"), prompted)
    with pytest.raises(
        InputError, match=r"the prompt 'qeury' was asked for; this module has query, none; .*mean query"
    ):
        module.encode("cat", prompt_name="qeury")


@pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "native"])
def test_every_backend_encodes(tmp_path, backend, module):
    vectors = tiny_module(tmp_path, backend=backend).encode(TEXTS, precision=exact(backend))
    assert np.allclose(vectors, module.encode(TEXTS, precision="f32"), atol=1e-5)


@NEEDS_NATIVE
def test_the_native_backend_encodes(tmp_path):
    module = tiny_module(tmp_path, backend="native", config=tiny_config(**NATIVE))
    expected = replace(module, backend="numpy").encode(TEXTS)
    assert np.allclose(module.encode(TEXTS, precision="f32"), expected, atol=1e-5)


@pytest.mark.parametrize(
    "text",
    ["\0", "a\0man", "\ud800 man", "man " * 100_000, "x" * 1_000_000, "🎸👩‍🎤", "한국어", "שלום"],
    ids=[
        "NUL",
        "NUL inside",
        "surrogate",
        "many words",
        "one long word",
        "emoji",
        "decomposed Hangul",
        "right to left",
    ],
)
@pytest.mark.filterwarnings("ignore::wellread.errors.TruncationWarning")
def test_hostile_texts_get_finite_vectors(module, text):
    assert np.isfinite(module.encode([text, "a man"])).all()


def test_texts_that_are_none_are_refused(module):
    with pytest.raises(InputError, match="each of 2 texts must be a str; 1 are not: int in row 1"):
        module.encode(["a man", 3])
    with pytest.raises(InputError, match="must be a str"):
        module.encode([b"a man"])
    with pytest.raises(InputError, match="2 are not: NaN in row 1, NoneType in row 3"):
        module.encode(["a man", float("nan"), "a cat", None])


class Table:
    """What a DataFrame of pandas or polars shows of itself."""

    columns = property(lambda self: np.array(["id", "text"]))

    def __iter__(self):
        return iter(self.columns)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "found None; pass a str or a list of str"),
        (5, "found a int; pass a str or a list of str"),
        (np.array("a man"), "found a ndarray; pass a str or a list of str"),
        (b"a man", r'found a bytes; decode them: given.decode\("utf-8"\)'),
        (Path("a.txt"), "found a PosixPath; read the file and pass its lines"),
        ({"text": ["a man"]}, r"found a dict; pass one of its columns, text: given\['text'\]"),
        (pa.table({"id": [1], "text": ["a man"]}), r"found a Table; pass one of its columns, id, text: given\['id'\]"),
        (Table(), r"found a Table; pass one of its columns, id, text: given\['id'\]"),
    ],
)
def test_what_is_no_list_of_texts_is_refused_with_what_to_pass(module, given, message):
    for use in (module.encode, module.embed):
        with pytest.raises(InputError, match=f"texts were expected: a str, or an iterable of str; {message}"):
            use(given)
    if not isinstance(given, dict | bytes):  # a mapping is packed inputs; bytes have a message of their own
        for use in (module, module.tokenize, module.tokenize_with_offsets):
            with pytest.raises(InputError, match=message):
                use(given)


def test_a_column_of_any_library_is_texts(module):
    expected = module.encode(TEXTS, precision="f32")
    column = pa.array(TEXTS)
    for texts in (column, pa.chunked_array([column[:2], column[2:]]), list(column), tuple(TEXTS), np.array(TEXTS)):
        assert np.array_equal(module.encode(texts, precision="f32"), expected)
        assert np.allclose(list(module.embed(texts, precision="f32")), expected, atol=1e-6)
        assert module.tokenize(texts).to_list() == module.tokenize(TEXTS).to_list()


def test_embed_refuses_a_bare_text_and_counts_rows_over_its_windows(module, monkeypatch):
    with pytest.raises(InputError, match="an iterable of texts was expected; found one str, 'abc'; wrap it in a list"):
        module.embed("abc")
    monkeypatch.setattr("wellread.module.WINDOW", 2)
    with pytest.raises(InputError, match="NoneType in row 4"):
        list(module.embed([*TEXTS[:4], None]))


def test_encode_takes_the_first_arguments_of_sentence_transformers_in_its_order_and_by_its_names(tmp_path):
    names = list(inspect.signature(SentenceTransformer.encode).parameters)[1:6]
    assert names == ["inputs", "prompt_name", "prompt", "batch_size", "show_progress_bar"]
    module = tiny_module(tmp_path, sentence=SentenceConfig(max_seq_length=32, prompts={"query": "the man "}))
    expected = module.encode("the man cat", precision="f32")
    assert np.array_equal(module.encode("cat", "query", None, 8, False, precision="f32"), expected)
    assert np.array_equal(module.encode("cat", None, "the man ", precision="float32"), expected)
    assert np.array_equal(module.encode(inputs="the man cat", precision="f32"), expected)
    with pytest.raises(InputError, match="found sentences= and inputs=, its second name; pass one of them"):
        module.encode("cat", inputs="cat")


def test_a_prompt_of_a_module_without_prompts_says_what_to_do(module):
    message = "this module has none; choose one, leave prompt_name= out, or pass the words themselves as prompt="
    with pytest.raises(InputError, match=message):
        module.encode("cat", prompt_name="query")


@pytest.mark.parametrize("number", [0, -1])
def test_a_batch_of_no_texts_is_refused(module, number):
    with pytest.raises(InputError, match=f"batch_size= must be at least 1; found {number}; raise it, or leave it out"):
        module.encode(TEXTS, batch_size=number)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": "8"}, "batch_size= must be a whole number; found '8'"),
        ({"truncate_dim": 4.0}, "truncate_dim must be 1 to 12; found 4.0"),
        ({"truncate_dim": True}, "truncate_dim must be 1 to 12; found True"),
        ({"prompt": ["a"]}, "a prompt for all texts was expected: one str; found a list"),
        ({"prompt_name": 5}, "takes the name of one prompt; found 5"),
        ({"on_long": None}, "on_long=None is unknown"),
    ],
)
def test_settings_of_other_types_are_refused(module, options, message):
    with pytest.raises(InputError, match=message):
        module.encode(TEXTS, **options)


def test_numbers_of_numpy_are_numbers_and_names_come_in_lists(module):
    assert module.encode(TEXTS, batch_size=np.int64(2), truncate_dim=np.int64(4)).shape == (5, 4)
    with pytest.raises(InputError, match="outputs= takes a list of names; found 'pooled_output'"):
        module(TEXTS, outputs="pooled_output")
    with pytest.raises(InputError, match="seq_length= must be a whole number; found '8'"):
        module(TEXTS, seq_length="8")
    with pytest.raises(InputError, match="seq_length= must be a whole number; found None"):
        module.bert_pack_inputs([[[1]]], None)


def test_one_name_to_ignore_is_no_list_of_letters(module, tmp_path):
    module.save(tmp_path / "saved")
    (tmp_path / "saved" / "wellread.json").unlink()  # which holds the digests of what it stands beside
    config = json.loads((tmp_path / "saved" / "config.json").read_text())
    (tmp_path / "saved" / "config.json").write_text(json.dumps({**config, "is_decoder": True}))
    with pytest.raises(CheckpointError, match="is_decoder"):
        wellread.load(tmp_path / "saved", ignore="crf.*")
    with pytest.raises(InputError, match="ignore= takes names of keys and tensors; found 5"):
        wellread.load(tmp_path / "saved", ignore=[5])


KOREAN = ["그 영화는 정말 재미있었고 다시 보고 싶다.", "오늘 날씨가 좋아서 공원에 갔다.", "이 책은 너무 어렵다."]


@pytest.mark.parametrize(
    "texts",
    [
        TEXTS,
        [f"{number * 37} {number}.5" for number in range(64)],
        ["🎸👩‍🎤", "😀 😀 😀", "👍👍👍"] * 9,
        ["naïve café, El Niño", "Größere Bäume müssen öfter geschnitten werden."],
        ["Ω"],
    ],
    ids=["English", "numbers", "emoji", "accents", "one letter"],
)
def test_texts_that_the_default_reads_get_no_warning(texts):
    wellread.load("default").encode(texts)


def test_korean_through_an_english_vocabulary_is_warned_of_and_through_kobert_s_not(tmp_path):
    default = wellread.load("default")
    message = "over 70 % of the tokens of the first texts .3 looked at. are unknown or letters inside a word"
    with pytest.warns(VocabularyWarning, match=message) as caught:
        default.encode(KOREAN)
    assert [warning.filename for warning in caught] == [__file__]
    with pytest.warns(VocabularyWarning, match="load a module of that language"):
        list(default.embed(KOREAN))
    for file in (Path(__file__).parent / "data" / "kobert").iterdir():
        shutil.copy(file, tmp_path)
    config = TokenizerConfig(dialect="kobert", do_lower_case=False, model_file="tokenizer_78b3253a26.model")
    warn_unreadable(load_tokenizer(tmp_path, config), KOREAN)


def test_weights_that_are_no_numbers_are_an_error(tmp_path):
    module = tiny_module(tmp_path)
    arrays = module.checkpoint.arrays()
    arrays["embeddings.word_embeddings.weight"] = arrays["embeddings.word_embeddings.weight"] * np.float32("nan")
    from dataclasses import replace

    module.checkpoint = replace(module.checkpoint, tensors=in_memory(arrays))
    for run in (module.encode, module):
        with pytest.raises(
            WeightsError, match="must be finite; found NaN or infinity; the weights of this module are damaged"
        ):
            run(TEXTS)


def test_a_vocabulary_larger_than_the_word_table_is_refused(tmp_path):
    with pytest.raises(InputError, match="found 99 pieces and 98 rows"):
        tiny_module(tmp_path, config=tiny_config(vocab_size=98))


# -- mlm ---------------------------------------------------------------------------------------------------------------


def test_mlm_scores_every_piece(module):
    inputs = module.bert_pack_inputs([module.tokenize(TEXTS)], seq_length=16)
    out = module.mlm({**inputs, "masked_lm_positions": np.zeros((5, 2), np.int32)})
    assert out["mlm_logits"].shape == (5, 2, 99)
    assert {"pooled_output", "sequence_output", "encoder_outputs"} < set(out)


def test_mlm_refuses_positions_outside(module):
    inputs = tiny_inputs()
    with pytest.raises(
        InputError, match="masked_lm_positions must lie in 0 to 6, the positions of the sequence; found 7"
    ):
        module.mlm({**inputs, "masked_lm_positions": [[7], [0], [0]]})
    with pytest.raises(InputError, match="must have a row for each of 3 texts; found 1"):
        module.mlm({**inputs, "masked_lm_positions": [[1]]})
    with pytest.raises(InputError, match="add masked_lm_positions"):
        module.mlm(inputs)


def test_fill_mask_sorts_its_guesses(module):
    guesses = module.fill_mask("A man is [MASK] the [MASK].", top_k=3)
    assert [len(each) for each in guesses] == [3, 3]
    scores = [guess.score for guess in guesses[0]]
    assert scores == sorted(scores, reverse=True)
    assert guesses[0][0].token_str in PIECES
    assert "[MASK]" in guesses[0][0].sequence  # the other one
    whole = sum(guess.score for guess in module.fill_mask("A [MASK].", top_k=99)[0])
    assert whole == pytest.approx(1, abs=1e-6)


def test_fill_mask_refuses_a_text_without_mask_and_a_module_without_head(module, tmp_path):
    with pytest.raises(InputError, match=r"a text with \[MASK\] was asked for; found none in 'A man.'"):
        module.fill_mask("A man.")
    with pytest.raises(InputError, match="this module has no masked-language-model head"):
        tiny_module(tmp_path, mlm=False).fill_mask("A [MASK].")


# -- what it shows of itself -------------------------------------------------------------------------------------------


def test_repr_is_a_line_and_notebooks_get_a_table(module, tmp_path):
    line = "<wellread.Module (in memory), bert, 3 layers of 12, 12 dimensions, 6,990 parameters, 0.0 MB, openvino>"
    assert repr(module) == line
    assert re.fullmatch(
        "<wellread.Module default, bert, .* 384 dimensions, .* 11.. MB, (native|openvino)>", repr(wellread.load())
    )
    module.provenance = {"handle": "a<b>"}
    table = module._repr_html_()
    assert table.startswith("<table><tr><th>module</th><td>a&lt;b&gt;</td></tr><tr><th>family</th><td>bert</td></tr>")
    assert table.count("<tr>") == 7


def test_a_module_can_be_referred_to_weakly(module):
    assert weakref.ref(module)() is module


def test_an_unknown_backend_is_refused_before_anything_is_read():
    message = (
        "backend 'cuda' is unknown; wellread has auto, native, openvino, .*; .* "
        'backend="torch" runs on a GPU where there is one'
    )
    with pytest.raises(InputError, match=message):
        wellread.load("no/such/module", backend="cuda")


# -- load and save -----------------------------------------------------------------------------------------------------


def test_save_and_load_give_the_same_numbers(module, tmp_path):
    module.save(tmp_path / "saved")
    again = wellread.load(tmp_path / "saved")
    assert np.array_equal(again(TEXTS)["sequence_output"], module(TEXTS)["sequence_output"])
    assert np.array_equal(again.encode(TEXTS, precision="f32"), module.encode(TEXTS, precision="f32"))
    assert again.fill_mask("A [MASK].") == module.fill_mask("A [MASK].")


def test_save_in_half_precision_is_near(tmp_path):
    sentence = SentenceConfig(dense=(DenseConfig(in_features=12, out_features=9),), normalize=True, max_seq_length=32)
    module = tiny_module(tmp_path, sentence=sentence)
    module.save(tmp_path / "half", dtype="float16")
    again = wellread.load(tmp_path / "half")
    assert again.embedding_size == 9
    assert cosines(again.encode(TEXTS, precision="f32"), module.encode(TEXTS, precision="f32")).min() > 0.9999
    assert again.info()["stored_as"] == ["float16"]


def test_a_module_that_is_saved_over_its_own_files_keeps_its_numbers(module, tmp_path):
    module.save(tmp_path / "module")
    loaded = wellread.load(tmp_path / "module")  # its tensors lie in the files that go
    before = loaded.checkpoint.tensors
    with pytest.raises(CheckpointError, match="exists; remove it or choose another name, or pass overwrite=True"):
        loaded.save(tmp_path / "module")
    loaded.save(tmp_path / "module", dtype="float16", overwrite=True)
    assert loaded.checkpoint.tensors.keys() == before.keys()
    assert np.array_equal(loaded(TEXTS)["pooled_output"], module(TEXTS)["pooled_output"])
    half = wellread.load(tmp_path / "module")
    assert half.info()["stored_as"] == ["float16"]


def test_the_names_of_hugging_face(module, tmp_path):
    module.save_pretrained(save_directory=tmp_path / "module", dtype="float16")
    for load in (wellread.from_pretrained, wellread.Module.from_pretrained):
        loaded = load(pretrained_model_name_or_path=tmp_path / "module", backend="numpy")
        assert loaded.backend == "numpy"
        assert loaded.info()["stored_as"] == ["float16"]


def test_info_says_what_the_module_is(module):
    facts = json.loads(json.dumps(module.info()))
    assert facts["config"]["hidden_size"] == 12
    assert facts["pooled_output"] == "tanh of a dense map of position 0"
    assert facts["tokenizer"]["mask_id"] == 4
    assert facts["parameters"] == sum(array.size for array in module.checkpoint.arrays().values())
    assert (facts["ignored"], facts["inferred"]) == ({}, {})


@pytest.fixture(scope="module")
def saved_models(tmp_path_factory):
    """An encoder without a vocabulary, and a preprocessor that does not lower-case."""
    import tf_made
    from tiny import tiny_checkpoint

    from wellread.checkpoints.tf_variables import TFHUB

    place = tmp_path_factory.mktemp("saved")
    arrays = tf_made.variables(TFHUB, tiny_checkpoint(tf_made.DISTILBERT))
    tf_made.write_saved_model(place / "encoder", arrays)
    tf_made.write_preprocessor(place / "preprocessor", tf_made.wordpiece(place / "words", lower_case=False))
    return place


def test_a_saved_model_takes_its_tokenizer_from_a_preprocessor(saved_models):
    encoder, preprocessor = saved_models / "encoder", saved_models / "preprocessor"
    with pytest.raises(TextError, match="pass the directory or handle of its preprocessor as tokenizer="):
        wellread.load(encoder)
    module = wellread.load(str(encoder), tokenizer=str(preprocessor), backend="numpy")
    facts = json.loads(json.dumps(module.info()))
    assert facts["inferred"]["vocab_size"] == "99, from word_embeddings/embeddings"
    assert facts["ignored"] == {"save_counter": "1 variables: how often it was saved"}
    assert (facts["handle"], facts["tokenizer"]["dialect"]) == ("encoder", "tfhub")
    assert module.tokenize(["a A"]).to_list() == [[5, 1]]
    assert module.encode("a man").shape == (12,)


def test_a_preprocessor_may_replace_the_tokenizer_of_any_module(saved_models, module, tmp_path):
    module.save(tmp_path / "native")
    loaded = wellread.load(tmp_path / "native", tokenizer=saved_models / "preprocessor")
    assert loaded.tokenize(["a A"]).to_list() == [[5, 1]]
    assert module.tokenize(["a A"]).to_list() == [[5, 5]]


def test_a_preprocessor_that_is_nowhere_is_refused(module, tmp_path):
    module.save(tmp_path / "native")
    with pytest.raises(HandleError, match="there is nothing at it"):
        wellread.load(tmp_path / "native", tokenizer="no/such/place")


@pytest.mark.parametrize("handle", [None, 5, b"default"])
def test_a_handle_that_is_no_text_is_refused(handle):
    with pytest.raises(InputError, match="a module is named by a str or an os.PathLike; found"):
        wellread.load(handle)


def test_remote_code_is_refused():
    with pytest.raises(InputError, match="trust_remote_code=True was given; wellread runs no code of a repository"):
        wellread.load("default", trust_remote_code=True)


OFFLINE = """
import socket
def refuse(*args, **kwargs): raise AssertionError("a socket was asked for")
socket.socket = socket.create_connection = socket.getaddrinfo = refuse
import sys
import warnings
from wellread.cli.main import main
sys.argv = ["wellread", "embed", "A man is playing a guitar."]
main()
import threading
assert threading.active_count() == 1, threading.enumerate()
assert not [name for name in sys.modules if name.startswith("openvino_telemetry.")]
"""


def test_the_default_needs_no_socket_no_home_and_sends_no_telemetry(tmp_path):
    environment = {"PATH": "", "HOME": str(tmp_path / "home")}  # empty, and neither CI nor caches are set
    (tmp_path / "home").mkdir()
    done = subprocess.run([sys.executable, "-c", OFFLINE], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) == 384
    written = [path.relative_to(tmp_path / "home") for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert [path.parent.as_posix() for path in written] == [".cache/wellread/verified"]  # when the module was hashed


def test_the_process_ends_well_after_a_stream(tmp_path):
    tiny_module(tmp_path / "files").save(tmp_path / "saved")
    code = (
        f"import wellread; m = wellread.load({str(tmp_path / 'saved')!r}); [m.encode(['a man'] * 9) for _ in range(8)]"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
