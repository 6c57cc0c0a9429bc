"""Against sentence-transformers: its directories, old and new, give its vectors; ours open in it and give ours."""

import json

import numpy as np
import pytest
import torch
import transformers
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling

import wellread

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"word{i}" for i in range(94))]
TEXTS = [
    "word1 word2 word3",
    "WORD4",
    "",
    " ".join(f"word{i}" for i in range(60)),  # longer than any module here
    "no such words",
]
SIZES = {
    "vocab_size": 99,
    "hidden_size": 12,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "max_position_embeddings": 41,
}
CHAINS = {
    "mean": [],
    "cls": [],
    "mean, normalised": [Normalize],
    "cls, two maps, normalised": [
        lambda: Dense(12, 7),
        lambda: Dense(7, 5, activation_function=None, bias=False),
        Normalize,
    ],
    "mean, identity": [lambda: Dense(12, 5, activation_function=torch.nn.Identity())],
}


@pytest.fixture(params=CHAINS)
def peer(request, tmp_path):
    """A model of sentence-transformers, whose weights are far from zero."""
    torch.manual_seed(0)
    bert = transformers.BertModel(transformers.BertConfig(**SIZES))
    with torch.no_grad():
        for parameter in bert.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3)
    bert.save_pretrained(tmp_path / "bert")
    (tmp_path / "vocab.txt").write_text("\n".join(PIECES))
    transformers.BertTokenizer(vocab=str(tmp_path / "vocab.txt")).save_pretrained(tmp_path / "bert")
    encoder = Transformer(str(tmp_path / "bert"), max_seq_length=23)
    rest = [make() for make in CHAINS[request.param]]
    modules = [encoder, Pooling(12, request.param.split(",")[0]), *rest]
    return SentenceTransformer(modules=modules, device="cpu", prompts={"query": "word7 ", "document": ""})


def encode(module, texts=TEXTS, **options):
    with pytest.warns(
        wellread.errors.TruncationWarning, match="1 of 5 texts were too long and lost at least 21 tokens"
    ):
        return module.encode(texts, precision="f32", **options)


def assert_close(found, expected):
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * max(1, np.abs(expected).max()))


def test_its_directory_gives_its_vectors(peer, tmp_path):
    peer.save(str(tmp_path / "theirs"))
    assert "pooling_mode" in json.loads((tmp_path / "theirs" / "1_Pooling" / "config.json").read_text())  # the new keys
    module = wellread.load(tmp_path / "theirs")
    assert module.max_seq_length == 23
    assert_close(encode(module), peer.encode(TEXTS))
    assert_close(
        module.encode(TEXTS[:2], prompt_name="query", precision="f32"), peer.encode(TEXTS[:2], prompt_name="query")
    )


def test_its_older_directory_gives_its_vectors(peer, tmp_path):
    """The same model under the keys, types and weights of sentence-transformers 2."""
    peer.save(str(tmp_path / "theirs"), safe_serialization=False)
    modules = json.loads((tmp_path / "theirs" / "modules.json").read_text())
    for entry in modules:
        entry["type"] = "sentence_transformers.models." + entry["type"].rsplit(".", 1)[-1]
    (tmp_path / "theirs" / "modules.json").write_text(json.dumps(modules))
    pooling = tmp_path / "theirs" / "1_Pooling" / "config.json"
    mode = json.loads(pooling.read_text())["pooling_mode"]
    switches = {"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens", "sqrt": "mean_sqrt_len_tokens"}
    old = {f"pooling_mode_{switch}": name == mode for name, switch in switches.items()}
    pooling.write_text(json.dumps({"word_embedding_dimension": 12, **old}))
    (tmp_path / "theirs" / "sentence_bert_config.json").write_text('{"max_seq_length": 23, "do_lower_case": false}')
    for folder in (tmp_path / "theirs").glob("*_Dense"):
        config = json.loads((folder / "config.json").read_text())
        kept = {key: config[key] for key in ("in_features", "out_features", "bias", "activation_function")}
        (folder / "config.json").write_text(json.dumps(kept))
    assert_close(encode(wellread.load(tmp_path / "theirs")), peer.encode(TEXTS))


def test_what_wellread_saves_opens_in_it_and_gives_the_same_vectors(peer, tmp_path):
    peer.save(str(tmp_path / "theirs"))
    module = wellread.load(tmp_path / "theirs")
    module.save(tmp_path / "ours")
    opened = SentenceTransformer(str(tmp_path / "ours"), device="cpu")
    assert opened.max_seq_length == 23
    assert opened.prompts == {"query": "word7 ", "document": ""}
    expected = peer.encode(TEXTS)
    assert_close(opened.encode(TEXTS), expected)
    assert_close(encode(wellread.load(tmp_path / "ours")), expected)


@pytest.mark.parametrize("peer", ["cls, two maps, normalised"], indirect=True)
def test_half_precision_is_near(peer, tmp_path):
    peer.save(str(tmp_path / "theirs"))
    wellread.load(tmp_path / "theirs").save(tmp_path / "ours", dtype="float16")
    opened = SentenceTransformer(str(tmp_path / "ours"), device="cpu", model_kwargs={"dtype": "float32"})
    np.testing.assert_allclose(encode(wellread.load(tmp_path / "ours")), peer.encode(TEXTS), atol=5e-3)
    np.testing.assert_allclose(opened.encode(TEXTS), peer.encode(TEXTS), atol=5e-3)
