"""Against sentence-transformers: every module and setting of its directories, and every call, in both directions."""

import json
import shutil
import warnings

import numpy as np
import pytest
import tokenizers
import torch
import transformers
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Dropout, LayerNorm, Pooling

import wellread
from wellread.encode import ELSEWHERE
from wellread.errors import CheckpointError, ConfigError, InputError, TruncationWarning

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"word{i}" for i in range(90)), "Word", "W", "##ord", "x"]
TEXTS = ["word1 word2 word3", "WORD4 Word [MASK]", "", " ".join(f"word{i}" for i in range(60)), "no such words"]
SIZES = {
    "vocab_size": 99,
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "max_position_embeddings": 41,
}


@pytest.fixture(scope="module")
def body(tmp_path_factory):
    """A BERT with its tokenizer, as transformers saves them; weights are far from zero."""
    directory = tmp_path_factory.mktemp("body")
    torch.manual_seed(0)
    bert = transformers.BertModel(transformers.BertConfig(**SIZES))
    with torch.no_grad():
        for parameter in bert.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3)
    bert.save_pretrained(directory)
    (directory / "vocab.txt").write_text("\n".join(PIECES))
    transformers.BertTokenizer(vocab=str(directory / "vocab.txt"), do_lower_case=False).save_pretrained(directory)
    return directory


def lively(module):
    """Draw weights, those of a LayerNorm included, far from ones and zeros."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.5)
    return module


def peer_of(body, pooling, steps=(), **options):
    torch.manual_seed(1)
    encoder = Transformer(str(body), max_seq_length=23)
    pooled = Pooling(12, pooling, include_prompt=options.pop("include_prompt", True))
    return SentenceTransformer(modules=[encoder, pooled, *map(lively, (step() for step in steps))], **options)


def encode(module, texts=TEXTS, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TruncationWarning)
        return module.encode(texts, precision="f32", **options)


def assert_close(found, expected):
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * max(1, np.abs(expected).max()))


def both_ways(peer, directory, **options):
    """Compare what wellread makes of the peer's directory, and the peer of ours, with the peer itself."""
    peer.save(str(directory / "theirs"))
    module = wellread.load(directory / "theirs")
    expected = peer.encode(TEXTS, **options)
    assert_close(encode(module, **options), expected)
    module.save(directory / "ours")
    opened = SentenceTransformer(str(directory / "ours"), device="cpu")
    assert_close(opened.encode(TEXTS, **options), expected)
    again = wellread.load(directory / "ours")
    assert again.checkpoint.sentence == module.checkpoint.sentence
    assert_close(encode(again, **options), expected)
    return module, opened


@pytest.mark.parametrize(
    "pooling",
    [
        *("max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"),
        ("cls", "mean"),
        ("mean", "cls", "max"),  # not in the order of the switches
        ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"),
    ],
)
def test_poolings(body, tmp_path, pooling):
    module, opened = both_ways(peer_of(body, pooling, [Normalize]), tmp_path)
    assert (
        module.embedding_size
        == opened.get_embedding_dimension()
        == 12 * (1 if isinstance(pooling, str) else len(pooling))
    )


ACTIVATIONS = ("Identity", "Tanh", "ReLU", "GELU", "Sigmoid", "SiLU", "LeakyReLU", "ELU", "Softplus", "Mish")
ACTIVATIONS += ("SELU", "ReLU6", "Softsign", "Hardtanh", "Hardswish")
STEPS = {
    "normalize before a map": [Normalize, lambda: Dense(12, 7)],
    "LayerNorm and dropout": [lambda: Dropout(0.3), lambda: LayerNorm(12), lambda: Dropout(0.3), Normalize],
    "residual maps": [
        lambda: Dense(12, 12, activation_function=torch.nn.GELU(), use_residual=True),
        lambda: Dense(12, 5, bias=False, use_residual=True),
    ],
    "everything twice": [
        *(Normalize, Normalize, lambda: LayerNorm(12), Dropout, lambda: Dense(12, 9), Normalize),
        *(lambda: Dense(9, 9), lambda: LayerNorm(9), Normalize, Dropout, Normalize),
    ],
    **{name: [lambda name=name: Dense(12, 9, activation_function=getattr(torch.nn, name)())] for name in ACTIVATIONS},
}


@pytest.mark.parametrize("steps", STEPS)
def test_steps(body, tmp_path, steps):
    module, _ = both_ways(peer_of(body, "mean", STEPS[steps]), tmp_path)
    assert ("2_Dropout" in module.info()["ignored"]) == (steps == "LayerNorm and dropout")


def test_prompts_that_are_not_pooled(body, tmp_path):
    prompts = {"query": "word7 word8 ", "document": "", "long": "word1 " * 30}
    peer = peer_of(body, ("cls", "weightedmean", "mean"), prompts=prompts, include_prompt=False)
    module, _ = both_ways(peer, tmp_path, prompt_name="query")
    assert_close(encode(module), peer.encode(TEXTS))  # without a prompt every token is pooled
    assert_close(encode(module, prompt="word9"), peer.encode(TEXTS, prompt="word9"))
    assert np.isfinite(encode(module, prompt_name="long")).all()  # nothing is left to pool
    chunked = encode(module, prompt_name="query", on_long="chunk")
    assert_close(chunked[:3], peer.encode(TEXTS[:3], prompt_name="query"))
    assert not np.allclose(chunked[3], encode(module, prompt_name="query")[3], atol=1e-3)


@pytest.mark.parametrize("name", ["cosine", "dot", "euclidean", "manhattan"])
def test_similarity_is_that_of_the_module(body, tmp_path, name):
    peer = peer_of(body, "mean", similarity_fn_name=name)
    module, opened = both_ways(peer, tmp_path)
    assert (
        module.similarity_fn_name
        == opened.similarity_fn_name
        == module.info()["sentence_embedding"]["similarity_fn_name"]
    )
    vectors = peer.encode(TEXTS)
    for a, b in ((vectors, vectors[1:4]), (vectors[0], vectors), (torch.from_numpy(vectors), list(vectors))):
        assert_close(module.similarity(a, b), peer.similarity(a, b))
    assert_close(
        module.similarity_pairwise(vectors, vectors[::-1]), peer.similarity_pairwise(vectors, vectors[::-1].copy())
    )
    assert module.similarity(vectors[:0], vectors).shape == (0, 5)
    tensors = torch.from_numpy(vectors)
    assert torch.is_tensor(module.similarity(tensors, tensors))
    assert torch.is_tensor(module.similarity_pairwise(list(tensors), tensors))


@pytest.mark.parametrize(("width", "kept"), [(5, 5), (12, 12), (400, 12)])
def test_truncation_is_kept(body, tmp_path, width, kept):
    module, opened = both_ways(
        peer_of(body, "mean", [Normalize], truncate_dim=width), tmp_path, normalize_embeddings=True
    )
    assert module.embedding_size == opened.get_embedding_dimension() == kept
    assert encode(module).shape == (5, kept)
    assert_close(encode(module, truncate_dim=3), opened.encode(TEXTS, truncate_dim=3))  # and may be overridden
    assert opened.truncate_dim == width


def edit(path, **changes):
    data = json.loads(path.read_text()) if path.is_file() else {}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({**data, **changes}))


# Settings that stand in directories of the hub: the file, what it says, and what of that is ignored by name.
SETTINGS = [
    ("config_sentence_transformers.json", {"similarity_fn_name": "euclidean"}, ()),
    ("config_sentence_transformers.json", {"similarity_fn_name": None}, ()),
    ("config_sentence_transformers.json", {"truncate_dim": 6}, ()),
    ("config_sentence_transformers.json", {"truncate_dim": None}, ()),
    ("config_sentence_transformers.json", {"prompts": {"query": None, "x": "word3 "}}, ()),
    ("config_sentence_transformers.json", {"prompts": {}, "default_prompt_name": "query"}, ()),
    ("config_sentence_transformers.json", {"prompts": {"x": "word3 "}, "default_prompt_name": "x"}, ()),
    ("config_sentence_transformers.json", {"requirements": [], "base_model": "bert", "zzz": 1}, ("base_model", "zzz")),
    ("sentence_bert_config.json", {"do_lower_case": True}, ()),
    ("sentence_bert_config.json", {"do_lower_case": None}, ()),
    ("sentence_bert_config.json", {"max_seq_length": 9, "do_lower_case": False}, ()),
    ("sentence_bert_config.json", {"max_seq_length": None}, ()),
    ("sentence_bert_config.json", {"model_args": {}, "tokenizer_args": {}, "config_args": {}}, ("model_args",)),
    (
        "sentence_bert_config.json",
        {"model_args": {"attn_implementation": "eager"}},
        ("model_args.attn_implementation",),
    ),
    ("sentence_bert_config.json", {"model_kwargs": {"device_map": "cpu"}}, ("model_kwargs.device_map",)),
    ("sentence_bert_config.json", {"tokenizer_args": {"use_fast": True}}, ("tokenizer_args.use_fast",)),
    ("sentence_bert_config.json", {"config_args": {"output_attentions": False}}, ("config_args.output_attentions",)),
    ("sentence_bert_config.json", {"tokenizer_args": {"model_max_length": 8}, "max_seq_length": 30}, ()),
    ("2_Dense/config.json", {"made_by": "a peer"}, ("made_by",)),
    ("2_Dense/config.json", {"activation_function": "torch.nn.Sigmoid"}, ()),
]


@pytest.fixture(scope="module")
def saved(body, tmp_path_factory):
    directory = tmp_path_factory.mktemp("saved")
    peer_of(body, "mean", [lambda: Dense(12, 9), Normalize]).save(str(directory / "theirs"))
    return directory / "theirs"


@pytest.mark.parametrize(("file", "settings", "ignored"), SETTINGS)
def test_settings(saved, tmp_path, file, settings, ignored):
    theirs = shutil.copytree(saved, tmp_path / "theirs")
    edit(theirs / file, **settings)
    peer = SentenceTransformer(str(theirs), device="cpu")
    module = wellread.load(theirs)
    expected = peer.encode(TEXTS)
    assert_close(encode(module), expected)
    assert module.max_seq_length == peer.max_seq_length
    assert set(ignored) <= module.info()["ignored"].keys()
    module.save(tmp_path / "ours")
    assert_close(SentenceTransformer(str(tmp_path / "ours"), device="cpu").encode(TEXTS), expected)


@pytest.mark.parametrize("rules", [[], [tokenizers.normalizers.NFC()], [tokenizers.normalizers.Lowercase()]])
def test_lower_case_of_a_tokenizer_of_any_rules(saved, tmp_path, rules):
    theirs = shutil.copytree(saved, tmp_path / "theirs")
    library = tokenizers.Tokenizer.from_file(str(theirs / "tokenizer.json"))
    library.normalizer = tokenizers.normalizers.Sequence(rules) if rules else None
    library.save(str(theirs / "tokenizer.json"))
    edit(theirs / "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")
    edit(theirs / "sentence_bert_config.json", do_lower_case=True)
    expected = SentenceTransformer(str(theirs), device="cpu").encode(TEXTS)
    module = wellread.load(theirs)
    assert module.tokenizer.config.dialect == "fast"
    assert_close(encode(module), expected)
    module.save(tmp_path / "ours")
    assert_close(encode(wellread.load(tmp_path / "ours")), expected)
    assert_close(SentenceTransformer(str(tmp_path / "ours"), device="cpu").encode(TEXTS), expected)


def old_layout(saved, directory, folder, *, root, config="sentence_bert_config.json", kind="Transformer"):
    """Lay a directory out as sentence-transformers did before version 2: the body in a folder, tensors of torch."""
    theirs = shutil.copytree(saved, directory / "theirs")
    for stray in ("config_sentence_transformers.json", "README.md"):
        (theirs / stray).unlink()
    (theirs / folder).mkdir()
    for path in list(theirs.iterdir()):
        if path.is_file() and path.name != "modules.json":
            path.rename(theirs / folder / path.name)
    (theirs / folder / "sentence_bert_config.json").unlink()
    edit(theirs / folder / config, max_seq_length=17, do_lower_case=False)
    weights = transformers.AutoModel.from_pretrained(theirs / folder).state_dict()
    torch.save(weights, theirs / folder / "pytorch_model.bin")
    (theirs / folder / "model.safetensors").unlink()
    if root is not None:
        (theirs / "config.json").write_text(json.dumps(root))
    modules = json.loads((theirs / "modules.json").read_text())
    for entry in modules:
        entry["type"] = "sentence_transformers.models." + entry["type"].rsplit(".", 1)[-1]
    modules[0] |= {"path": folder, "type": f"sentence_transformers.models.{kind}"}
    (theirs / "modules.json").write_text(json.dumps(modules))
    switches = dict.fromkeys(("pooling_mode_cls_token", "pooling_mode_max_tokens"), False)
    (theirs / "1_Pooling" / "config.json").write_text(
        json.dumps({"word_embedding_dimension": 12, **switches, "pooling_mode_mean_tokens": True})
    )
    dense = theirs / "2_Dense"
    named = json.loads((dense / "config.json").read_text())
    kept = {key: named[key] for key in ("in_features", "out_features", "bias", "activation_function")}
    (dense / "config.json").write_text(json.dumps(kept))
    torch.save({f"linear.{k}": v for k, v in peer_linear(dense).items()}, dense / "pytorch_model.bin")
    (dense / "model.safetensors").unlink()
    return theirs


def peer_linear(folder):
    return Dense.load(str(folder)).linear.state_dict()


@pytest.mark.parametrize(
    ("folder", "root", "config"),
    [
        ("0_Transformer", {"__version__": "0.3.9"}, "sentence_bert_config.json"),
        ("0_BERT", None, "sentence_bert_config.json"),
        ("0_RoBERTa", {"__version__": "0.2.5"}, "sentence_roberta_config.json"),
        ("0_DistilBERT", {}, "sentence_distilbert_config.json"),
        ("0_XLMRoBERTa", None, "sentence_xlm-roberta_config.json"),
    ],
)
def test_old_layouts(saved, tmp_path, folder, root, config):
    theirs = old_layout(saved, tmp_path, folder, root=root, config=config)
    expected = SentenceTransformer(str(theirs), device="cpu").encode(TEXTS)
    module = wellread.load(theirs)
    assert module.max_seq_length == 17
    assert_close(encode(module), expected)
    # today's package has no class BERT any more; its files say the same
    modules = json.loads((theirs / "modules.json").read_text())
    modules[0]["type"] = f"sentence_transformers.models.{folder[2:]}"
    (theirs / "modules.json").write_text(json.dumps(modules))
    assert_close(encode(wellread.load(theirs)), expected)
    module.save(tmp_path / "ours")
    assert_close(SentenceTransformer(str(tmp_path / "ours"), device="cpu").encode(TEXTS), expected)


def test_a_body_deep_in_folders_and_types_of_every_year(saved, tmp_path):
    theirs = old_layout(saved, tmp_path, "0_Transformer", root=None)
    (theirs / "parts").mkdir()
    shutil.move(theirs / "0_Transformer", theirs / "parts" / "body")
    modules = json.loads((theirs / "modules.json").read_text())
    modules[0]["path"] = "parts/body"
    for home in ("models.{0}", "models.{0}.{0}", "{1}.{0}"):
        for entry, file in zip(modules, ("transformer", "pooling", "dense", "normalize"), strict=True):
            package = "sentence_transformer" if file == "pooling" else "base"
            kind = {"transformer": "Transformer", "pooling": "Pooling", "dense": "Dense", "normalize": "Normalize"}[
                file
            ]
            entry["type"] = "sentence_transformers." + home.format(kind, f"{package}.modules.{file}")
        (theirs / "modules.json").write_text(json.dumps(modules))
        assert_close(encode(wellread.load(theirs)), SentenceTransformer(str(theirs), device="cpu").encode(TEXTS))


def test_an_encoder_is_not_taken_out_of_its_chain(saved, tmp_path):
    theirs = old_layout(saved, tmp_path, "0_Transformer", root=None)
    (theirs / "0_Transformer").rename(theirs / "1_Body")  # modules.json names another folder
    with pytest.raises(CheckpointError, match="found a configuration without weights"):
        wellread.load(theirs)


def test_a_normalize_before_the_pooling_changes_nothing(saved, tmp_path):
    theirs = shutil.copytree(saved, tmp_path / "theirs")
    first, *rest = json.loads((theirs / "modules.json").read_text())
    early = {"name": "early", "path": "early_Normalize", "type": rest[-1]["type"]}
    (theirs / "modules.json").write_text(json.dumps([{**e, "idx": i} for i, e in enumerate([first, early, *rest])]))
    assert_close(encode(wellread.load(theirs)), SentenceTransformer(str(theirs), device="cpu").encode(TEXTS))


def test_modules_stand_in_the_order_of_the_list(saved, tmp_path):
    theirs = shutil.copytree(saved, tmp_path / "theirs")
    *chain, last = json.loads((theirs / "modules.json").read_text())
    mixed = [*chain[:2], {**last, "name": "first", "idx": 9}, *chain[2:]]
    (theirs / "modules.json").write_text(json.dumps(mixed))
    assert_close(encode(wellread.load(theirs)), SentenceTransformer(str(theirs), device="cpu").encode(TEXTS))


@pytest.mark.parametrize("form", ["gztar", "zip"])
def test_an_archive_of_an_old_layout_is_opened(saved, tmp_path, monkeypatch, form):
    monkeypatch.setenv("WELLREAD_CACHE", str(tmp_path / "cache"))
    theirs = old_layout(saved, tmp_path, "0_Transformer", root={"__version__": "0.3.9"})
    archive = shutil.make_archive(str(tmp_path / "KR-SBERT"), form, root_dir=tmp_path, base_dir="theirs")
    assert_close(encode(wellread.load(archive)), SentenceTransformer(str(theirs), device="cpu").encode(TEXTS))


def test_code_in_the_repository_is_refused_by_name(saved, tmp_path):
    theirs = shutil.copytree(saved, tmp_path / "theirs")
    modules = json.loads((theirs / "modules.json").read_text())
    modules[1]["type"] = "mycode.Pooling"
    (theirs / "modules.json").write_text(json.dumps(modules))
    (theirs / "mycode.py").write_text("raise SystemExit('this ran')")
    with pytest.raises(
        ConfigError, match=r"names the module 'mycode.Pooling'; .* code of the repository .* never runs"
    ):
        wellread.load(theirs)


def test_an_empty_folder_of_normalize_is_no_fault(saved, tmp_path):
    """Version 2 wrote the folder and nothing in it."""
    theirs = shutil.copytree(saved, tmp_path / "theirs")
    (theirs / "3_Normalize" / "config.json").unlink()
    assert_close(encode(wellread.load(theirs)), SentenceTransformer(str(theirs), device="cpu").encode(TEXTS))


@pytest.fixture(scope="module")
def dropped_in(body, tmp_path_factory):
    """A peer with prompts, and the module of the same directory."""
    directory = tmp_path_factory.mktemp("dropped")
    prompts = {"query": "word7 ", "document": "word8 ", "passage": "word9 "}
    peer = peer_of(body, "mean", prompts=prompts, default_prompt_name="passage")
    peer.save(str(directory / "theirs"))
    return peer, wellread.load(directory / "theirs")


CALLS = {
    "positional": lambda m, **o: m.encode(TEXTS, "query", **o),
    "queries": lambda m, **o: m.encode_query(TEXTS, **o),
    "documents": lambda m, **o: m.encode_document(TEXTS, **o),
    "queries of another prompt": lambda m, **o: m.encode_query(TEXTS, "passage", **o),
    "queries by name": lambda m, **o: m.encode_query(inputs=TEXTS, **o),
    "a prompt of its own": lambda m, **o: m.encode_query(TEXTS, prompt="word3 ", **o),
    "a name of its own": lambda m, **o: m.encode_document(TEXTS, prompt_name="passage", **o),
    "one text": lambda m, **o: m.encode_query(TEXTS[0], **o),
    "options": lambda m, **o: m.encode(
        TEXTS,
        batch_size=2,
        show_progress_bar=False,
        convert_to_numpy=True,
        normalize_embeddings=True,
        device="cpu",
        **o,
    ),
    "torch's device": lambda m, **o: m.encode(TEXTS, device=torch.device("cpu"), **o),
}


@pytest.mark.parametrize("call", CALLS)
def test_calls(dropped_in, call):
    peer, module = dropped_in
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TruncationWarning)
        assert_close(CALLS[call](module, precision="float32"), CALLS[call](peer, precision="float32"))


def test_tensors(dropped_in):
    peer, module = dropped_in
    found, expected = (m.encode(TEXTS[:2], convert_to_tensor=True, precision="float32") for m in (module, peer))
    assert isinstance(found, torch.Tensor)
    assert found.dtype == expected.dtype
    assert_close(found, expected)
    assert isinstance(module.encode(TEXTS[0], convert_to_tensor=True), torch.Tensor)
    assert_close(module.similarity(found, expected), peer.similarity(expected, expected))


def test_states_of_tokens(dropped_in):
    peer, module = dropped_in
    found, expected = (
        encode(module, output_value="token_embeddings"),
        peer.encode(TEXTS, output_value="token_embeddings"),
    )
    assert [len(states) for states in found] == [len(states) for states in expected]
    for ours, theirs in zip(found, expected, strict=True):
        assert_close(ours, theirs)
    assert_close(encode(module, TEXTS[0], output_value="token_embeddings"), expected[0])


def test_lengths_and_widths(dropped_in):
    peer, module = dropped_in
    assert (
        module.get_sentence_embedding_dimension() == module.get_embedding_dimension() == peer.get_embedding_dimension()
    )
    assert module.get_max_seq_length() == peer.get_max_seq_length() == 23
    assert module.prompts == peer.prompts
    peer.max_seq_length = module.max_seq_length = 8
    try:
        assert module.get_max_seq_length() == 8
        assert_close(encode(module), peer.encode(TEXTS))
    finally:
        peer.max_seq_length = module.max_seq_length = 23


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"device": "cuda"},
            "device='cuda' was asked for; the openvino backend computes on cpu here; load .*\"torch\"",
        ),
        ({"device": ["cpu", "cuda:1"]}, "device='cuda:1' was asked for; the openvino backend computes on cpu here"),
        ({"output_value": None}, r"output_value is .*; found None; module\(texts, outputs="),
        (
            {"precision": "int8"},
            "found 'int8', which is a form of vectors; .* sentence_transformers.quantize_embeddings",
        ),
        ({"pool": {}}, "pool= is for processes of sentence-transformers; found dict; encode uses every core"),
        ({"output_value": "token_embeddings", "on_long": "chunk"}, 'are of whole texts; found on_long="chunk"'),
    ],
)
def test_calls_that_have_another_name(dropped_in, options, message):
    with pytest.raises(InputError, match=message):
        dropped_in[1].encode(TEXTS, **options)


def test_settings_may_be_set(saved):
    peer, module = SentenceTransformer(str(saved), device="cpu"), wellread.load(saved)
    for model in (peer, module):
        model.prompts = {"x": "word7 "}
        model.prompts["y"] = "word8 word9 "
        model.default_prompt_name = "y"
        model.similarity_fn_name = "manhattan"
        model.truncate_dim = 4
    expected = peer.encode(TEXTS)
    assert_close(encode(module), expected)
    assert_close(module.similarity(expected, expected), peer.similarity(expected, expected))
    module.truncate_dim = module.default_prompt_name = None
    assert encode(module).shape == (5, 9)
    for name, value in {
        "truncate_dim": 0,
        "similarity_fn_name": "cos",
        "default_prompt_name": "z",
        "prompts": 7,
    }.items():
        with pytest.raises(ConfigError, match=f"{name} "):
            setattr(module, name, value)
    assert module.similarity_fn_name == "manhattan"


def test_a_module_has_no_parts(dropped_in):
    with pytest.raises(InputError, match=r"a part of the module, \[0\], was asked for; .* module.max_seq_length"):
        dropped_in[1][0].max_seq_length = 7


def test_what_frameworks_ask_of_a_model(dropped_in):
    peer, module = dropped_in
    assert module.device == str(peer.device) == "cpu"
    assert module.to("cpu") is module
    assert module.to(torch.device("cpu")) is module
    with pytest.raises(InputError, match="device='cuda:0' was asked for; the openvino backend computes on cpu here"):
        module.to("cuda:0")
    with pytest.raises(AttributeError, match="no encode_multi_process; encode uses every core that it may: call it"):
        module.encode_multi_process(TEXTS, {})
    with pytest.raises(AttributeError, match=r"a Module has no encode_querry \(did you mean encode_query\?\)"):
        _ = module.encode_querry
    assert all(hasattr(peer, name) for name in ELSEWHERE if name not in ("smart_batching_collate", "auto_model"))
    assert not any(hasattr(module, name) for name in ELSEWHERE)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused(dropped_in):
    module = wellread.Module(checkpoint=dropped_in[1].checkpoint, tokenizer=dropped_in[1].tokenizer, backend="torch")
    assert module.device == "cpu"
    with pytest.raises(InputError, match="the torch backend computes on cpu here; leave device= out"):
        module.encode(TEXTS[:1], device="cuda")
    assert_close(module.encode(TEXTS[:1], device="cpu", prompt=""), dropped_in[0].encode(TEXTS[:1], prompt=""))


@pytest.mark.parametrize("length", [2, 42, None, "8", True])
def test_impossible_lengths_are_refused(dropped_in, length):
    with pytest.raises(InputError, match="max_seq_length must be 3 to 41, this module's positions; found"):
        dropped_in[1].max_seq_length = length


def test_vectors_that_cannot_be_compared_are_refused(dropped_in):
    module = dropped_in[1]
    with pytest.raises(InputError, match="vectors of one width were expected; found 3 and 4 numbers"):
        module.similarity(np.zeros((2, 3)), np.zeros((2, 4)))
    with pytest.raises(InputError, match=r"equally many vectors; found \[2, 3\] and \[1, 3\]"):
        module.similarity_pairwise(np.zeros((2, 3)), np.zeros((1, 3)))
    with pytest.raises(InputError, match="vectors were expected, as encode returns them; could not convert"):
        module.similarity(["a"], ["b"])
    with pytest.raises(InputError, match=r"found an array of shape \[1, 1, 1\]"):
        module.similarity([[[1.0]]], [1.0])
