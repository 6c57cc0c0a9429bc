"""adapters: what PEFT merges, merged at load; what it is not is named."""

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import peft
import pytest
import torch
import transformers
from tiny import PIECES, tiny_inputs, tiny_module

import wellread
from wellread.errors import CheckpointError, ConfigError, HandleError, UnusedTensorsWarning, WeightsError
from wellread.formats.safetensors import read_safetensors, write_safetensors

SIZES = {"vocab_size": 99, "hidden_size": 12, "num_hidden_layers": 3, "num_attention_heads": 4}
SIZES |= {"intermediate_size": 37, "max_position_embeddings": 41, "initializer_range": 0.3}
OF_DISTILBERT = {"dim": 12, "n_layers": 3, "n_heads": 4, "hidden_dim": 37, "vocab_size": 99}
OF_DISTILBERT |= {"max_position_embeddings": 41, "initializer_range": 0.3}
QUERY = "base_model.model.encoder.layer.1.attention.self.query"


def write_base(directory: Path, model) -> Path:
    model.save_pretrained(directory)
    (directory / "vocab.txt").write_text("".join(f"{piece}\n" for piece in PIECES), "utf-8")
    return directory


def bert(head: str = "Model", **options):
    torch.manual_seed(0)
    return getattr(transformers, f"Bert{head}")(transformers.BertConfig(**SIZES, **options)).eval()


def adapted(base: Path, place: Path, head: str = "Model", *, model=None, **options):
    """Put a LoRA of random weights on a base as PEFT does, save it, and return PEFT's merged model."""
    torch.manual_seed(7)
    if model is None:
        model = getattr(transformers, f"Bert{head}").from_pretrained(base)
    settings = {"r": 3, "lora_alpha": 5, "target_modules": ["query", "value"]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT calls what transformers will take away
        wrapped = peft.get_peft_model(model, peft.LoraConfig(**{**settings, **options})).eval()
        with torch.no_grad():
            for name, parameter in wrapped.named_parameters():
                if parameter.requires_grad or "lora_" in name:
                    parameter.add_(0.2 * torch.randn_like(parameter))
        wrapped.save_pretrained(place)
        merged = wrapped.merge_and_unload()
    change(place, base_model_name_or_path=str(base))
    return merged


INPUTS = {name: array[:2] for name, array in tiny_inputs().items()}


def states(model):
    types = {} if model.config.model_type == "distilbert" else {"token_type_ids": INPUTS["input_type_ids"]}
    arrays = {"input_ids": INPUTS["input_word_ids"], "attention_mask": INPUTS["input_mask"], **types}
    with torch.no_grad():
        return model(**{name: torch.tensor(array).long() for name, array in arrays.items()})


def difference(module, model) -> float:
    theirs = states(model)[0].numpy()
    mask = INPUTS["input_mask"].astype(bool)
    return float(np.abs(module(INPUTS)["sequence_output"][mask] - theirs[mask]).max() / max(1, np.abs(theirs).max()))


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return write_base(tmp_path_factory.mktemp("base"), bert())


@pytest.fixture(scope="module")
def plain(base, tmp_path_factory):
    place = tmp_path_factory.mktemp("plain") / "adapter"
    adapted(base, place)
    return place


@pytest.fixture
def place(plain, tmp_path):
    """An adapter of the plainest kind, to be damaged."""
    return Path(shutil.copytree(plain, tmp_path / "adapter"))


def change(place: Path, **changes) -> None:
    path = place / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


KINDS = {
    "a list of modules": {},
    "a regular expression": {"target_modules": r".*\.(query|dense)", "r": 2},
    "every map": {"target_modules": "all-linear", "use_rslora": True},
    "patterns": {
        "target_modules": ["query", "key", "dense"],
        "rank_pattern": {"query": 5, "layer.1.attention.output.dense": 2},
        "alpha_pattern": {r"layer\.\d+\.output\.dense": 9, "key": 1},
    },
    "fan_in_fan_out": {"fan_in_fan_out": True},
    "biases": {"bias": "all"},
    "biases of its own maps": {"bias": "lora_only"},
    "embeddings": {"target_modules": ["word_embeddings", "query"]},
    "a module saved whole": {"modules_to_save": ["pooler", "LayerNorm"]},
    "some layers": {"layers_to_transform": [1]},
    "a bias of B": {"lora_bias": True},
}


@pytest.mark.parametrize("kind", KINDS)
def test_it_computes_what_pefts_merged_model_computes(base, tmp_path, kind):
    merged = adapted(base, tmp_path, **KINDS[kind])
    module = wellread.load(tmp_path)
    assert difference(module, merged) <= 1e-5
    assert difference(wellread.load(base), merged) > 1e-2
    assert module.info()["inferred"]["adapter"].startswith("LoRA of rank ")
    assert module.info()["inferred"]["adapter"].endswith(f"merged into {base}")


@pytest.mark.parametrize("family", ["DistilBert", "Roberta", "Albert", "Electra"])
def test_other_families_are_merged_by_their_own_names(tmp_path, family):
    torch.manual_seed(0)
    kind = getattr(transformers, f"{family}Model")
    sizes = OF_DISTILBERT if family == "DistilBert" else {**SIZES, "embedding_size": 12}
    sizes = {**sizes, "pad_token_id": 0, "hidden_act": "gelu"} if family != "DistilBert" else sizes
    model = kind(kind.config_class(**sizes)).eval()
    write_base(tmp_path / "base", model)
    if family in ("Roberta", "Albert"):  # under BERT's tokenizer
        tokens = dict(zip(("pad", "unk", "cls", "sep", "mask"), PIECES, strict=False))
        settings = {f"{name}_token": piece for name, piece in tokens.items()}
        (tmp_path / "base" / "tokenizer_config.json").write_text(
            json.dumps({**settings, "tokenizer_class": "BertTokenizer"})
        )
    targets = ["q_lin", "lin1"] if family == "DistilBert" else ["query", "dense"]
    merged = adapted(tmp_path / "base", tmp_path / "adapter", model=model, target_modules=targets)
    assert difference(wellread.load(tmp_path / "adapter"), merged) <= 1e-5


@pytest.mark.parametrize(
    ("task", "head"),
    [
        ("SEQ_CLS", "ForSequenceClassification"),
        ("TOKEN_CLS", "ForTokenClassification"),
        ("QUESTION_ANS", "ForQuestionAnswering"),
    ],
)
def test_the_head_of_its_task_comes_with_it(base, tmp_path, task, head):
    torch.manual_seed(3)
    options = {} if task == "QUESTION_ANS" else {"num_labels": 4}
    model = getattr(transformers, f"Bert{head}").from_pretrained(base, **options)
    merged = adapted(base, tmp_path, model=model, task_type=task)
    module = wellread.load(tmp_path)
    assert module.checkpoint.head is not None
    theirs = merged.state_dict()["qa_outputs.weight" if task == "QUESTION_ANS" else "classifier.weight"]
    np.testing.assert_array_equal(
        module.checkpoint.tensors[f"{module.checkpoint.head.row.tensors}.weight"].read(), theirs
    )
    if task == "SEQ_CLS":
        [found] = module.predict(["a man is playing"])
        assert found.label in {f"LABEL_{i}" for i in range(4)}


def test_bin_files_and_names_with_the_adapters_name_are_read(base, place):
    stored = {
        name: torch.tensor(tensor.read())
        for name, tensor in read_safetensors(place / "adapter_model.safetensors").items()
    }
    named = {name.replace(".weight", ".default.weight"): tensor for name, tensor in stored.items()}
    torch.save(named, place / "adapter_model.bin")
    expected = wellread.load(place, backend="numpy")(INPUTS)["sequence_output"]
    (place / "adapter_model.safetensors").unlink()
    np.testing.assert_array_equal(wellread.load(place, backend="numpy")(INPUTS)["sequence_output"], expected)


@pytest.mark.parametrize("form", ["huggingface", "native"])
def test_an_adapter_beside_a_whole_model_is_merged_into_that(base, place, tmp_path, form):
    expected = wellread.load(place, backend="numpy")(INPUTS)["sequence_output"]
    if form == "huggingface":
        shutil.copytree(base, tmp_path / "both")
    else:
        wellread.load(base).save(tmp_path / "both")
    shutil.copytree(place, tmp_path / "both", dirs_exist_ok=True)
    change(tmp_path / "both", base_model_name_or_path="nobody/nothing")
    module = wellread.load(tmp_path / "both", backend="numpy")
    np.testing.assert_array_equal(module(INPUTS)["sequence_output"], expected)
    assert module.info()["inferred"]["adapter"].endswith("merged into the model beside it")


def test_any_module_may_be_the_base(place, tmp_path):
    tiny_module(tmp_path / "text").save(tmp_path / "native")
    change(place, base_model_name_or_path=str(tmp_path / "native"))
    module = wellread.load(place)
    assert module.checkpoint.has_mlm
    module.save(tmp_path / "saved")
    again = wellread.load(tmp_path / "saved", backend="numpy")
    np.testing.assert_allclose(
        again(INPUTS)["sequence_output"], wellread.load(place, backend="numpy")(INPUTS)["sequence_output"], atol=1e-6
    )
    assert again.info()["provenance"]["base"] == "native"


def test_sentence_modules_and_tokenizer_are_the_adapters_where_it_has_them(place, tmp_path, base):
    assert wellread.load(place).checkpoint.sentence.pooling == "mean"
    (place / "1_Pooling").mkdir()
    (place / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_cls_token": True}))
    chain = [("", "Transformer"), ("1_Pooling", "Pooling")]
    modules = [
        {"idx": i, "path": path, "type": f"sentence_transformers.models.{kind}"} for i, (path, kind) in enumerate(chain)
    ]
    (place / "modules.json").write_text(json.dumps(modules))
    (place / "sentence_bert_config.json").write_text('{"max_seq_length": 17}')
    (place / "vocab.txt").write_text("\n".join([*PIECES[:-1], "other"]), "utf-8")
    module = wellread.load(place)
    assert (module.checkpoint.sentence.pooling, module.max_seq_length) == ("cls", 17)
    expected = module(INPUTS)["sequence_output"]
    assert module.tokenizer.vocabulary.pieces[98] == "other"
    plain = wellread.load(place, tokenizer=base)
    assert plain.tokenizer.vocabulary.pieces[98] == PIECES[98]
    # as sentence-transformers laid it out before
    for name in ("adapter_config.json", "adapter_model.safetensors", "vocab.txt", "sentence_bert_config.json"):
        (place / "0_Transformer").mkdir(exist_ok=True)
        shutil.move(place / name, place / "0_Transformer" / name)
    modules[0]["path"] = "0_Transformer"
    (place / "modules.json").write_text(json.dumps(modules))
    again = wellread.load(place)
    np.testing.assert_array_equal(again(INPUTS)["sequence_output"], expected)
    assert again.checkpoint.sentence.pooling == "cls"


def test_what_it_holds_and_no_output_needs_is_told(place):
    stored = {name: tensor.read() for name, tensor in read_safetensors(place / "adapter_model.safetensors").items()}
    stored["base_model.model.crf.transitions"] = np.zeros((3, 3), np.float32)
    write_safetensors(place / "adapter_model.safetensors", stored)
    with pytest.warns(UnusedTensorsWarning, match=r"crf.transitions of .*adapter is not used"):
        module = wellread.load(place)
    assert module.info()["ignored"]["crf.transitions"].startswith("no tensor of the encoder")
    wellread.load(place, ignore=["crf.*"])


@pytest.mark.parametrize(
    ("changes", "error", "found"),
    [
        (
            {"peft_type": "IA3"},
            ConfigError,
            "a LoRA adapter was asked of .*; found one of IA3; merge it with the library",
        ),
        ({"peft_type": "PREFIX_TUNING"}, ConfigError, "found one of PREFIX_TUNING"),
        ({"peft_type": "ADALORA"}, ConfigError, "found one of ADALORA"),
        ({"peft_type": None}, ConfigError, "found no peft_type, as in files of adapter-transformers"),
        ({"use_dora": True}, ConfigError, "use_dora is True, and wellread computes only False"),
        ({"init_lora_weights": "pissa"}, ConfigError, "init_lora_weights is 'pissa', and wellread computes only"),
        ({"layer_replication": [[0, 1]]}, ConfigError, "layer_replication is .*which is unknown, and by its name may"),
        ({"r": 0}, ConfigError, "must be above 0, and its patterns simple; found rank 0"),
        ({"r": "3"}, ConfigError, "r is '3', not int"),
        ({"rank_pattern": {"(a+)+b": 3}}, ConfigError, r"found the pattern '\(a\+\)\+b'"),
        ({"alpha_pattern": {"(": 3}}, ConfigError, r"found the pattern '\('"),
        ({"r": 4}, WeightsError, r"query has matrices of \[3, 12\] and \[12, 3\] where rank 4 .* make \[4, 12\] and"),
        (
            {"base_model_name_or_path": None},
            ConfigError,
            "found no base_model_name_or_path in adapter_config.json; put",
        ),
        (
            {"base_model_name_or_path": "/gone/bert"},
            HandleError,
            "the base of the adapter .*, /gone/bert, was to be opened",
        ),
    ],
)
def test_what_is_not_merged_is_named(place, changes, error, found):
    change(place, **changes)
    with pytest.raises(error, match=found):
        wellread.load(place)


def test_the_adapter_of_another_base_is_refused(place, tmp_path):
    wide = transformers.BertModel(transformers.BertConfig(**{**SIZES, "hidden_size": 16}))
    write_base(tmp_path / "wide", wide)
    change(place, base_model_name_or_path=str(tmp_path / "wide"))
    with pytest.raises(WeightsError, match=r"must fit its base .*wide; found that .*query has matrices of \[3, 12\]"):
        wellread.load(place)
    thin = transformers.BertModel(transformers.BertConfig(**{**SIZES, "num_hidden_layers": 1}))
    write_base(tmp_path / "thin", thin)
    change(place, base_model_name_or_path=str(tmp_path / "thin"))
    with pytest.raises(
        WeightsError, match="found that the base has no encoder.layer.1.attention.self.query; the base has"
    ):
        wellread.load(place)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (f"{QUERY}.lora_magnitude_vector.weight", "lora_magnitude_vector.weight is none of a LoRA's matrices"),
        (f"{QUERY}.lora_A.second.weight", "is of a second adapter"),
        (f"{QUERY}.lora_A.bias", "lora_A.bias is none of a LoRA's matrices"),
        ("base_model.model.pooler.dense.lora_A.weight", "pooler.dense has one matrix of two"),
    ],
)
def test_tensors_that_are_no_loras_are_refused(place, name, found):
    stored = {key: tensor.read() for key, tensor in read_safetensors(place / "adapter_model.safetensors").items()}
    write_safetensors(place / "adapter_model.safetensors", {**stored, name: np.zeros((3, 12), np.float32)})
    with pytest.raises(WeightsError, match=f"the matrices of one LoRA were asked of .*{found}"):
        wellread.load(place)


def test_an_adapter_on_an_adapter_is_refused(place, tmp_path):
    shutil.copytree(place, tmp_path / "second")
    change(tmp_path / "second", base_model_name_or_path=str(place))
    with pytest.raises(ConfigError, match="must be a whole model; found an adapter; merge that with PEFT"):
        wellread.load(tmp_path / "second")


def test_missing_and_empty_weights_are_named(place):
    write_safetensors(place / "adapter_model.safetensors", {})
    with pytest.raises(WeightsError, match="found that it has none"):
        wellread.load(place)
    (place / "adapter_model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="found none of adapter_model.safetensors, adapter_model.bin; fetch"):
        wellread.load(place)


def test_an_adapter_in_a_folder_beside_a_model_is_told(base, place, tmp_path):
    shutil.copytree(base, tmp_path / "model")
    shutil.copytree(place, tmp_path / "model" / "lora")
    with pytest.warns(UnusedTensorsWarning, match=r"lora/adapter_config.json of .*: an adapter in a folder of its own"):
        module = wellread.load(tmp_path / "model")
    assert "lora/adapter_config.json" in module.info()["ignored"]
    assert wellread.load(tmp_path / "model" / "lora").info()["inferred"]["adapter"]


def test_the_head_of_setfit_is_told_and_never_opened(base, tmp_path):
    shutil.copytree(base, tmp_path / "setfit")
    (tmp_path / "setfit" / "model_head.pkl").write_bytes(b"cos\nsystem\n(S'touch /tmp/pwned'\ntR.")
    (tmp_path / "setfit" / "config_setfit.json").write_text('{"labels": ["a", "b"], "normalize_embeddings": false}')
    with pytest.warns(
        UnusedTensorsWarning, match=r"model_head.pkl of .*: SetFit's head, in a pickle, which is never op"
    ):
        module = wellread.load(tmp_path / "setfit")
    assert module.info()["ignored"]["model_head.pkl"].startswith("SetFit's head")
    wellread.load(tmp_path / "setfit", ignore=["model_head.pkl"])  # without a word
    np.testing.assert_array_equal(module(INPUTS)["sequence_output"], wellread.load(base)(INPUTS)["sequence_output"])
