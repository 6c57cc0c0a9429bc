"""Against transformers: its checkpoints are read in every form and give its numbers; ours open in it."""

import json

import numpy as np
import pytest
import torch
import transformers

import wellread
from wellread.backends.backend import load_backend
from wellread.checkpoints.huggingface import read_encoder, read_huggingface
from wellread.checkpoints.native import write_native
from wellread.config import TokenizerConfig
from wellread.text.tokenizer import load_tokenizer

BERT = {
    "vocab_size": 99,
    "hidden_size": 12,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "max_position_embeddings": 41,
    "type_vocab_size": 2,
}
DISTILBERT = {
    "vocab_size": 99,
    "dim": 12,
    "n_layers": 3,
    "n_heads": 4,
    "hidden_dim": 37,
    "max_position_embeddings": 41,
}
CLASSES = {
    "BertModel": {},
    "BertModel without pooler": {"add_pooling_layer": False},
    "BertForMaskedLM": {},
    "BertForPreTraining": {},
    "BertForSequenceClassification": {},
    "DistilBertModel": {},
    "DistilBertForMaskedLM": {},
    "DistilBertForSequenceClassification": {},
}
ACTIVATIONS = ["gelu_new", "gelu_pytorch_tanh", "relu", "silu"]
CASES = [(name, "gelu") for name in CLASSES]
CASES += [(name, activation) for name in ("BertForPreTraining", "DistilBertForMaskedLM") for activation in ACTIVATIONS]
BACKENDS = {"numpy": "f64", "openvino": "f32", "torch": "f32"}
WORDS = [f"word{i}" for i in range(40)]
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *(f"##{i}" for i in range(54))]


def make(name, *, activation="gelu"):
    """Make a model whose weights are far from their zeros and ones, so that none can be swapped or left out."""
    torch.manual_seed(0)
    kind = getattr(transformers, name.split()[0])
    if name.startswith("Distil"):
        config = transformers.DistilBertConfig(**DISTILBERT, activation=activation)
    else:
        config = transformers.BertConfig(**BERT, hidden_act=activation)
    model = kind(config, **CLASSES[name]).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3)
    return model


def batch():
    """Three rows of 7 tokens, two of them padded; each has two positions to guess."""
    rng = np.random.default_rng(0)
    mask = np.arange(7) < np.array([[7], [4], [1]])
    return {
        "input_word_ids": (rng.integers(5, 99, (3, 7)) * mask).astype(np.int32),
        "input_mask": mask.astype(np.int32),
        "input_type_ids": (rng.integers(0, 2, (3, 7)) * mask).astype(np.int32),
        "masked_lm_positions": np.array([[0, 6], [3, 1], [0, 0]], np.int32),
    }


def theirs(model, inputs):
    """Run a model of transformers; return its outputs under our names."""
    given = {"input_ids": inputs["input_word_ids"], "attention_mask": inputs["input_mask"]}
    if model.config.model_type == "bert":
        given["token_type_ids"] = inputs["input_type_ids"]
    with torch.no_grad():
        given = {name: torch.from_numpy(array).long() for name, array in given.items()}
        out = model(**given, output_hidden_states=True)
        base = model if model.base_model is model else model.base_model
        pooled = getattr(base(**given), "pooler_output", None)
    made = {
        "embedding_output": out.hidden_states[0].numpy(),
        "encoder_outputs": [layer.numpy() for layer in out.hidden_states[1:]],
        "sequence_output": out.hidden_states[-1].numpy(),
        "pooled_output": out.hidden_states[-1][:, 0].numpy() if pooled is None else pooled.numpy(),
    }
    logits = getattr(out, "prediction_logits", out.logits if "MaskedLM" in type(model).__name__ else None)
    if logits is not None:
        made["mlm_logits"] = np.take_along_axis(logits.numpy(), inputs["masked_lm_positions"][:, :, None], 1)
    return made


def assert_close(found, expected):
    for name, value in expected.items():
        pairs = zip(found[name], value, strict=True) if isinstance(value, list) else [(found[name], value)]
        for ours, other in pairs:
            assert ours.shape == other.shape
            np.testing.assert_allclose(ours, other, rtol=0, atol=1e-5 * max(1, np.abs(other).max()), err_msg=name)


def save_whole(model, directory):
    model.save_pretrained(directory)


def save_sharded(model, directory):
    model.save_pretrained(directory, max_shard_size="5KB")
    assert (directory / "model.safetensors.index.json").exists()


def save_zip(model, directory):
    model.config.save_pretrained(directory)
    torch.save(model.state_dict(), directory / "pytorch_model.bin")


def save_legacy(model, directory):
    model.config.save_pretrained(directory)
    torch.save(model.state_dict(), directory / "pytorch_model.bin", _use_new_zipfile_serialization=False)


SAVERS = [save_whole, save_sharded, save_zip, save_legacy]


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("save", SAVERS, ids=lambda save: save.__name__)
@pytest.mark.parametrize("name", CLASSES)
def test_every_tensor_is_read_as_it_was_saved(tmp_path, name, save, dtype):
    model = make(name).to(getattr(torch, dtype))
    save(model, tmp_path)
    checkpoint = read_encoder(tmp_path)
    assert {tensor.dtype for tensor in checkpoint.tensors.values()} == {dtype}
    prefix = f"{checkpoint.family}."
    ignored = {key.removeprefix(prefix) for key in checkpoint.ignored}
    written = {key.removeprefix(prefix): value for key, value in model.named_parameters()}  # each of the tied ones once
    expected = [value.detach().float().numpy().tobytes() for key, value in written.items() if key not in ignored]
    assert sorted(array.tobytes() for array in checkpoint.arrays().values()) == sorted(expected)
    assert checkpoint.has_mlm == ("MaskedLM" in name or "PreTraining" in name)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("name", "activation"), CASES)
def test_the_numbers_are_those_of_transformers(tmp_path, name, activation, backend):
    model = make(name, activation=activation)
    save_whole(model, tmp_path)
    expected, inputs = theirs(model, batch()), batch()
    checkpoint = read_encoder(tmp_path)
    assert ("mlm_logits" in expected) == checkpoint.has_mlm
    if not checkpoint.has_mlm:
        del inputs["masked_lm_positions"]
    running = load_backend(backend, checkpoint, precision=BACKENDS[backend])
    assert_close(running.run(inputs, list(expected)), expected)


@pytest.fixture
def vocabulary(tmp_path):
    (tmp_path / "vocab.txt").write_text("".join(f"{piece}\n" for piece in PIECES))
    return tmp_path / "vocab.txt"


def saved_by_wellread(name, tmp_path, vocabulary):
    """Save a model with transformers, read it, and save it with wellread."""
    model = make(name)
    model.save_pretrained(tmp_path / "theirs")
    (tmp_path / "theirs" / "vocab.txt").write_bytes(vocabulary.read_bytes())
    source = read_huggingface(tmp_path / "theirs")
    tokenizer = source.tokenizer
    write_native(tmp_path / "ours", source.checkpoint, tokenizer, provenance={})
    return model, tmp_path / "ours"


@pytest.mark.parametrize(
    ("name", "opener", "unexpected"),
    [
        ("BertModel", "AutoModel", ""),
        ("DistilBertModel", "AutoModel", ""),
        ("BertForMaskedLM", "AutoModelForMaskedLM", ""),
        ("DistilBertForMaskedLM", "AutoModelForMaskedLM", ""),
        ("BertForPreTraining", "AutoModelForMaskedLM", "bert.pooler."),  # a class without pooler
        ("BertForPreTraining", "AutoModel", "cls.predictions."),  # a class without head
    ],
)
def test_what_wellread_saves_opens_in_transformers(tmp_path, vocabulary, name, opener, unexpected):
    model, saved = saved_by_wellread(name, tmp_path, vocabulary)
    opened, report = getattr(transformers, opener).from_pretrained(saved, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["mismatched_keys"]
    assert all(key.startswith(unexpected) and unexpected for key in report["unexpected_keys"])
    expected, found = theirs(model, batch()), theirs(opened.eval(), batch())
    shared = expected.keys() & found.keys()
    if "pooler" in unexpected:
        shared -= {"pooled_output"}
    for key in shared:
        np.testing.assert_array_equal(found[key], expected[key])


@pytest.mark.parametrize("name", ["BertForPreTraining", "DistilBertForMaskedLM", "BertModel without pooler"])
def test_a_saved_module_gives_the_same_outputs(tmp_path, vocabulary, name):
    model, saved = saved_by_wellread(name, tmp_path, vocabulary)
    module = wellread.load(saved)
    expected, inputs = theirs(model, batch()), batch()
    if name.startswith("Distil"):
        del inputs["input_type_ids"]
    positions = inputs.pop("masked_lm_positions")
    if module.checkpoint.has_mlm:
        found = module.mlm({**inputs, "masked_lm_positions": positions}, outputs=list(expected))
    else:
        found = module(inputs, outputs=list(expected))
    assert_close(found, expected)


@pytest.mark.parametrize(
    "settings", [{}, {"do_lower_case": False}, {"strip_accents": False}, {"tokenize_chinese_chars": False}]
)
@pytest.mark.parametrize("form", ["tokenizer.json", "vocab.txt"])
def test_a_tokenizer_of_transformers_gives_the_same_ids(tmp_path, vocabulary, settings, form):
    pieces = [*PIECES[:90], "é", "e", "中", "文", "中文", "É", "E", "##é", "word0é"]
    vocabulary.write_text("".join(f"{piece}\n" for piece in pieces))
    tokenizer = transformers.BertTokenizer(vocab=str(vocabulary), **settings)
    model = make("BertModel")
    model.save_pretrained(tmp_path / "theirs")
    tokenizer.save_pretrained(tmp_path / "theirs")
    assert not (tmp_path / "theirs" / "vocab.txt").exists()  # transformers 5 writes tokenizer.json alone
    if form == "vocab.txt":
        (tmp_path / "theirs" / "vocab.txt").write_bytes(vocabulary.read_bytes())
        (tmp_path / "theirs" / "tokenizer.json").unlink()
    source = read_huggingface(tmp_path / "theirs")
    assert source.tokenizer.config.vocab_file == form
    ours = source.tokenizer
    texts = ["word1 word2", "WORD3 É é E", "中文 word4", "word0é", "nothing [MASK] known", "word5\u0301"]
    assert ours.tokenize(texts).to_list() == tokenizer(texts, add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize("do_lower_case", [False, True])
def test_transformers_reads_the_tokenizer_that_wellread_writes(tmp_path, vocabulary, do_lower_case):
    model = make("BertModel")
    model.save_pretrained(tmp_path / "theirs")
    config = TokenizerConfig(dialect="hf", do_lower_case=do_lower_case)
    tokenizer = load_tokenizer(vocabulary.parent, config)
    (tmp_path / "theirs" / "vocab.txt").write_bytes(vocabulary.read_bytes())
    write_native(tmp_path / "ours", read_huggingface(tmp_path / "theirs").checkpoint, tokenizer, provenance={})
    theirs_again = transformers.AutoTokenizer.from_pretrained(tmp_path / "ours")
    texts = ["word1 WORD2 [MASK]", "unknown"]
    assert theirs_again(texts, add_special_tokens=False)["input_ids"] == tokenizer.tokenize(texts).to_list()
    assert json.loads((tmp_path / "ours" / "tokenizer_config.json").read_text())["do_lower_case"] is do_lower_case
