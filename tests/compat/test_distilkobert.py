"""get_distilkobert_model and its kin: what they load from where, what can be done with it, what they refuse."""

import inspect
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hub_server import ReadableHub, serving
from tiny import tiny_checkpoint, tiny_config
from torch.nn import functional

from wellread.checkpoints.families import FAMILIES
from wellread.checkpoints.family import to_theirs
from wellread.compat import distilkobert, kobert_transformers
from wellread.compat.distilkobert import (
    get_distilkobert_lm,
    get_distilkobert_model,
    get_kobert_lm,
    get_kobert_model,
    get_nsmc_model,
    get_tokenizer,
)
from wellread.errors import HandleError, InputError, MissingExtra, TextError, WeightsError
from wellread.formats.safetensors import write_safetensors

KOBERT = Path(__file__).parent.parent / "data" / "kobert"
LOADERS = [get_distilkobert_model, get_distilkobert_lm, get_kobert_model, get_kobert_lm, get_nsmc_model]
DISTILLED = tiny_config(type_vocab_size=0, pooler="first_token", pad_token_id=1)
IDS = torch.arange(5, 26).reshape(3, 7)
MASK = (torch.arange(7) < torch.tensor([[7], [4], [1]])).long()


def write(place, config=DISTILLED, *, mlm=True, head=None, **keys):
    """Write a tiny model as Hugging Face does, with further tensors and keys."""
    place.mkdir(parents=True, exist_ok=True)
    checkpoint = tiny_checkpoint(config, mlm=mlm)
    family = FAMILIES[checkpoint.family]
    said = {theirs: getattr(config, ours) for theirs, ours in family.keys.used.items()}
    (place / "config.json").write_text(json.dumps({"model_type": family.name, **said, **keys}))
    arrays = to_theirs(family, config, checkpoint.arrays(), mlm=mlm)
    write_safetensors(place / "model.safetensors", {**arrays, **(head or {})})
    return place


def linear(name, rows, seed=1):
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(rows, 13, generator=generator).numpy()
    return {f"{name}.weight": drawn[:, :12].copy(), f"{name}.bias": drawn[:, 12].copy()}


HEADS = {
    "of distilkobert 0.3.0": linear("label_classifier.linear", 2),
    "of one map": linear("classifier", 2),
    "of Hugging Face": {**linear("pre_classifier", 12), **linear("classifier", 2, seed=2)},
}


# -- what is loaded --------------------------------------------------------------------------------------------------


def test_cachedir_comes_first_and_no_cuda_second():
    for get in LOADERS:
        assert list(inspect.signature(get).parameters) == ["cachedir", "no_cuda"]
        assert [p.default for p in inspect.signature(get).parameters.values()] == [None, False]
    assert list(inspect.signature(get_tokenizer).parameters) == ["cachedir"]


def test_kobert_transformers_gives_the_same_functions():
    for name in kobert_transformers.__all__:
        assert getattr(kobert_transformers, name) is getattr(distilkobert, name)


def test_a_model_unpacks_into_two_and_is_in_eval_mode(tmp_path):
    model = get_distilkobert_model(write(tmp_path), no_cuda=True)
    last_layer_hidden_state, hidden_states = model(IDS, MASK)
    assert last_layer_hidden_state.shape == (3, 7, 12)
    assert isinstance(hidden_states, tuple)
    assert len(hidden_states) == 4
    assert not model.training
    assert last_layer_hidden_state.requires_grad
    assert torch.equal(model(IDS, MASK)[0], last_layer_hidden_state)


def test_dropout_acts_in_training_mode_alone(tmp_path):
    model = get_distilkobert_model(write(tmp_path), no_cuda=True)
    calm = model(IDS, MASK)[0]
    torch.manual_seed(0)
    assert not torch.equal(model.train()(IDS, MASK)[0], calm)
    assert torch.equal(model.eval()(IDS, MASK)[0], calm)


def test_every_parameter_takes_part(tmp_path):
    """The head of masked words is left away, so that no parameter is without gradient."""
    model = get_distilkobert_model(write(tmp_path), no_cuda=True)
    model(IDS, MASK)[0].square().sum().backward()
    assert sum(1 for _ in model.parameters()) == 16 * 3 + 4
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_training_lowers_a_loss(tmp_path):
    torch.manual_seed(0)
    model = get_distilkobert_model(write(tmp_path), no_cuda=True).train()
    classifier, labels = torch.nn.Linear(12, 2), torch.tensor([0, 1, 1])
    optimizer = torch.optim.Adam([*model.parameters(), *classifier.parameters()], lr=1e-2)
    before, losses = model.state_dict()["embeddings.word_embeddings.weight"].clone(), []
    for _ in range(100):
        loss = functional.cross_entropy(classifier(model(IDS, MASK)[0][:, 0]), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-10:]) < sum(losses[:10]) / 2  # dropout makes single ones jump
    assert not torch.equal(model.state_dict()["embeddings.word_embeddings.weight"], before)


@pytest.mark.parametrize("change", [lambda model: model.to(torch.float64), lambda model: model.double()])
def test_a_model_moves_as_modules_do(tmp_path, change):
    model = change(get_distilkobert_model(write(tmp_path), no_cuda=True))
    assert model(IDS, MASK)[0].dtype == torch.float64


def test_a_model_is_pickled_with_its_names(tmp_path):
    model = get_distilkobert_lm(write(tmp_path), no_cuda=True)
    again = pickle.loads(pickle.dumps(model))
    assert torch.equal(again(IDS, MASK).logits, model(IDS, MASK).logits)
    again.load_state_dict(model.state_dict())


@pytest.mark.gpu
def test_a_gpu_is_taken_where_there_is_one(tmp_path):
    write(tmp_path)
    on_gpu, on_cpu = get_distilkobert_model(tmp_path), get_distilkobert_model(tmp_path, no_cuda=True)
    assert {p.device.type for p in on_gpu.parameters()} == {"cuda"}
    assert {p.device.type for p in on_cpu.parameters()} == {"cpu"}
    assert torch.allclose(on_gpu(IDS.cuda(), MASK.cuda())[0].cpu(), on_cpu(IDS, MASK)[0], atol=1e-4)


@pytest.mark.parametrize("no_cuda", [False, True])
def test_no_cuda_keeps_a_model_on_the_cpu(tmp_path, monkeypatch, no_cuda):
    moved = []
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr(torch.nn.Module, "to", lambda module, device: moved.append(device) or module)
    get_distilkobert_model(write(tmp_path), no_cuda=no_cuda)
    assert moved == ["cpu" if no_cuda else "cuda"]


# -- from where ------------------------------------------------------------------------------------------------------

FROM_THE_HUB = """
import sys
import torch
from wellread.compat import kobert_transformers

ids = torch.LongTensor([[31, 51, 99]])
for name in sys.argv[2:]:
    model = getattr(kobert_transformers, name)(sys.argv[1], True)
    print(name, list(model(ids)[0].shape))
print(kobert_transformers.get_tokenizer(sys.argv[1]).encode("한국어 모델을 공유합니다."))
"""


def test_every_model_is_fetched_under_its_id_and_kept_in_cachedir(tmp_path):
    student = tiny_config(vocab_size=8002, type_vocab_size=0, pooler="first_token")
    teacher = tiny_config(vocab_size=8002, hidden_size=16)
    made = {
        "monologg/distilkobert": write(tmp_path / "student", student),
        "monologg/kobert": write(tmp_path / "teacher", teacher, mlm=False),
        "monologg/kobert-lm": write(tmp_path / "lm", teacher),
    }
    places = {name: [*place.iterdir(), *KOBERT.iterdir()] for name, place in made.items()}
    repositories = {name: {path.name: path for path in paths} for name, paths in places.items()}
    own = {name: str(tmp_path / name) for name in ("HOME", "HF_HOME", "WELLREAD_CACHE")}
    with serving(type("Hub", (ReadableHub,), {"repositories": repositories})) as address:
        done = subprocess.run(
            [sys.executable, "-c", FROM_THE_HUB, str(tmp_path / "kept"), *kobert_transformers.__all__[:-1]],
            env={**os.environ, **own, "HF_ENDPOINT": address, "NO_PROXY": "127.0.0.1"},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.stdout.splitlines() == [
        "get_distilkobert_lm [1, 3, 8002]",
        "get_distilkobert_model [1, 3, 12]",
        "get_kobert_lm [1, 3, 8002]",
        "get_kobert_model [1, 3, 16]",
        "[2, 4958, 6855, 2046, 7088, 1050, 7843, 54, 3]",
    ], done.stderr[-3000:]
    assert len(list((tmp_path / "kept").rglob("model.safetensors"))) == 3


def test_what_lies_in_cachedir_is_not_fetched(tmp_path, monkeypatch):
    shutil.copytree(KOBERT, tmp_path / "files")
    monkeypatch.setattr(distilkobert, "resolve", None)
    write(tmp_path / "files", tiny_config(vocab_size=8002, type_vocab_size=0, pooler="first_token"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(get_distilkobert_model("~/files", no_cuda=True)(IDS)) == 2
    assert get_tokenizer(tmp_path / "files").vocab_size == 8002


# -- the classifier of film reviews ----------------------------------------------------------------------------------


@pytest.mark.parametrize("head", HEADS)
def test_a_head_of_every_kind_gives_logits(tmp_path, head):
    model = get_nsmc_model(write(tmp_path, mlm=False, head=HEADS[head]), no_cuda=True)
    first = model(IDS, MASK).hidden_states[-1][:, 0]
    maps = {name: torch.from_numpy(array) for name, array in HEADS[head].items()}
    if "pre_classifier.weight" in maps:
        first = functional.relu(functional.linear(first, maps["pre_classifier.weight"], maps["pre_classifier.bias"]))
    last = next(name.removesuffix(".weight") for name in reversed(maps) if name.endswith(".weight"))
    expected = functional.linear(first, maps[f"{last}.weight"], maps[f"{last}.bias"])
    assert torch.equal(model(IDS, MASK)[0], expected)
    assert model(IDS, MASK, None).logits.shape == (3, 2)
    assert set(maps) <= set(model.state_dict())


@pytest.mark.parametrize(
    ("head", "keys", "rate"),
    [
        ("of distilkobert 0.3.0", {"dropout": 0.25}, 0.25),
        ("of one map", {"dropout": 0.25, "seq_classif_dropout": 0.5}, 0.25),
        ("of Hugging Face", {"seq_classif_dropout": 0.5}, 0.5),
        ("of Hugging Face", {}, 0.2),
    ],
)
def test_the_dropout_of_a_head(tmp_path, head, keys, rate):
    assert get_nsmc_model(write(tmp_path, mlm=False, head=HEADS[head], **keys), no_cuda=True).dropout == rate


def test_a_classifier_learns(tmp_path):
    torch.manual_seed(0)
    model = get_nsmc_model(write(tmp_path, mlm=False, head=HEADS["of one map"]), no_cuda=True)
    optimizer, labels = torch.optim.SGD(model.parameters(), lr=0.1), torch.tensor([1, 0, 0])
    losses = []
    for _ in range(10):
        loss, *_ = model(IDS, MASK, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("cachedir", [None, "nowhere"])
def test_the_lost_classifier_names_what_is_living(cachedir):
    with pytest.raises(HandleError, match=r"NSMC model .*; found no config.json .* gone .*; .* monologg/distilkobert"):
        get_nsmc_model(cachedir)


@pytest.mark.parametrize(
    ("head", "fault"),
    [
        ({}, r"label_classifier\.linear\.weight is missing"),
        (linear("classifier", 3), r"classifier\.weight has shape \[3, 12\] where .* \[2, 12\]"),
        (linear("pre_classifier", 12), r"pre_classifier\.weight is surplus"),
    ],
)
def test_another_head_is_refused(tmp_path, head, fault):
    with pytest.raises(WeightsError, match=rf"classifier of 2 classes .*; found that .*{fault}.*; pass the directory"):
        get_nsmc_model(write(tmp_path, mlm=False, head=head), no_cuda=True)


# -- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("get", [get_kobert_model, get_kobert_lm])
def test_a_model_of_another_family_is_refused(tmp_path, get):
    with pytest.raises(WeightsError, match=r"a bert model was asked of .*; found a distilbert one; pass another"):
        get(write(tmp_path))


def test_a_bert_without_pooler_is_refused(tmp_path):
    write(tmp_path, tiny_config(pooler="first_token"))
    with pytest.raises(WeightsError, match=r"BERT with its pooler .*; found none of .*; take monologg/kobert"):
        get_kobert_model(tmp_path)


@pytest.mark.parametrize(("get", "living"), [(get_distilkobert_lm, "distilkobert"), (get_kobert_lm, "kobert-lm")])
def test_a_model_without_head_is_refused(tmp_path, get, living):
    write(tmp_path, tiny_config() if get is get_kobert_lm else DISTILLED, mlm=False)
    with pytest.raises(WeightsError, match=rf"head was asked of .*; found the encoder alone; take monologg/{living}$"):
        get(tmp_path)


@pytest.mark.parametrize("get", LOADERS)
def test_a_flag_in_the_place_of_cachedir_is_refused(get):
    with pytest.raises(InputError, match=r"cachedir must be a path; found True; pass other arguments by name"):
        get(True)


@pytest.mark.parametrize("get", LOADERS)
def test_models_need_torch_and_say_so(monkeypatch, tmp_path, get):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r'needs torch, .* pip install "wellread\[train\]"'):
        get(tmp_path)


def test_a_cachedir_with_a_vocabulary_of_another_kind_is_refused(tmp_path):
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n")
    with pytest.raises(TextError, match=r"KoBERT tokenizer was asked of .*; found one of the hf dialect.*; pass"):
        get_tokenizer(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((IDS[0], MASK[0]), r"one shape \[batch, tokens\]; found \[7\], \[7\], \[7\]; pad"),
        ((IDS, MASK[:, :4]), r"one shape .*; found \[3, 7\], \[3, 4\], \[3, 7\]; pad"),
        ((IDS[:, :0], None), r"1 to 41 tokens, the rows of the position table; found 0; cut"),
        ((IDS[:, :1].expand(3, 42), None), r"1 to 41 tokens, the rows of the position table; found 42; cut"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(tmp_path, arguments, message):
    model = get_distilkobert_model(write(tmp_path), no_cuda=True)
    with pytest.raises(InputError, match=message):
        model(*arguments)


def test_types_are_refused_where_there_is_no_table(tmp_path):
    model = get_distilkobert_lm(write(tmp_path), no_cuda=True)
    with pytest.raises(
        InputError, match=r"token_type_ids were given; DistilBERT has no table of types; leave them out"
    ):
        model(IDS, MASK, torch.zeros_like(IDS))


def test_an_output_table_of_its_own_is_not_loaded_silently(tmp_path):
    model = get_distilkobert_lm(write(tmp_path), no_cuda=True)
    state = model.state_dict()
    state["vocab_projector.weight"] = state["vocab_projector.weight"] + 1
    with pytest.raises(RuntimeError, match=r"vocab_projector.weight must be a copy .*; found that it differs; tie"):
        model.load_state_dict(state)
    del state["vocab_projector.weight"]
    model.load_state_dict(state)
