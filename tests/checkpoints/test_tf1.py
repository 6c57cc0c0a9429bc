"""TF1 checkpoints that TensorFlow wrote: the same module as Hugging Face's directory of the same weights."""

import json
import shutil

import numpy as np
import pytest
import tf_made
from tiny import tiny_checkpoint, tiny_config, tiny_inputs

import wellread
from wellread.checkpoints.directory import read_directory
from wellread.checkpoints.tf1 import find_checkpoint
from wellread.checkpoints.tf_variables import TF1
from wellread.errors import CheckpointError, ConfigError, TextError, WeightsError

INPUTS = tiny_inputs()
HEADS = {"cls/seq_relationship/output_weights": (2, 12), "cls/seq_relationship/output_bias": (2,)}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A checkpoint as it is released, one as training leaves it, and their peer."""
    place = tmp_path_factory.mktemp("tf1")
    checkpoint = tiny_checkpoint(tf_made.BERT)
    arrays = tf_made.variables(TF1, checkpoint)
    heads = {name: np.ones(shape, np.float32) for name, shape in HEADS.items()}
    tf_made.write_huggingface(place / "hf", checkpoint)
    tf_made.write_tf1(place / "released", arrays | heads)
    tf_made.write_tf1(place / "trained", arrays, name="model.ckpt-20", trained=True)
    return place


@pytest.fixture
def copy(made, tmp_path):
    return tf_made.copied(made / "released", tmp_path / "copy")


def change(directory, **keys):
    path = directory / "bert_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **keys}))


@pytest.mark.parametrize("kind", ["released", "trained"])
def test_it_is_the_module_of_the_hugging_face_directory(made, kind):
    ours, peer = wellread.load(made / kind, backend="numpy"), wellread.load(made / "hf", backend="numpy")
    inputs = {**INPUTS, "masked_lm_positions": [[0, 3], [2, 1], [6, 6]]}
    a, b = ours.mlm(inputs), peer.mlm(inputs)
    for name in ("pooled_output", "sequence_output", "mlm_logits"):
        assert np.abs(a[name] - b[name]).max() <= 1e-6
    texts = ["A man is playing the guitar.", "paris, france!"]
    assert ours.tokenize(texts).to_list() == peer.tokenize(texts).to_list()
    assert np.abs(ours.encode(texts) - peer.encode(texts)).max() <= 1e-6
    assert (ours.max_seq_length, ours.tokenizer.config.dialect) == (41, "hf")


def test_what_training_left_is_counted(made):
    assert read_directory(made / "trained").checkpoint.ignored == {
        "directionality": "a note of the TensorFlow 1 release",
        "*/Adam, */Adam_1, */adam_m, */adam_v": "122 variables: what an optimizer kept of each tensor",
        "beta1_power, beta2_power": "2 variables: where an optimizer stood",
        "global_step": "1 variables: how long it was trained",
    }
    released = read_directory(made / "released").checkpoint.ignored
    assert released["cls/seq_relationship/*"] == "2 variables: the next-sentence head, which no output needs"


def test_what_no_file_states_is_said(made):
    checkpoint = read_directory(made / "released").checkpoint
    assert checkpoint.config == tf_made.BERT
    assert checkpoint.inferred == {
        "hidden_act": "gelu_pytorch_tanh, which google-research/bert computes under the name of gelu",
        "layer_norm_eps": "1e-12, as google-research/bert has it",
        "pad_token_id": "0, the id of [PAD]",
        "tokenizer.do_lower_case": "True: the vocabulary holds no upper-case letter",
    }


def test_what_a_file_states_is_taken(copy):
    change(copy, hidden_act="relu", layer_norm_eps=1e-5, pad_token_id=7, do_lower_case=False)
    source = read_directory(copy)
    assert source.checkpoint.inferred == {}
    config = tiny_config(hidden_act="relu", layer_norm_eps=1e-5, pad_token_id=7)
    assert (source.checkpoint.config, source.tokenizer.config.do_lower_case) == (config, False)


@pytest.mark.parametrize(("said", "inferred"), [({"do_lower_case": False}, False), ({"model_max_length": 32}, True)])
def test_the_case_may_stand_in_hugging_faces_file(copy, said, inferred):
    (copy / "tokenizer_config.json").write_text(json.dumps(said))
    source = read_directory(copy)
    assert source.tokenizer.config.do_lower_case is inferred
    assert ("tokenizer.do_lower_case" in source.checkpoint.inferred) is inferred


def test_a_checkpoint_without_pooler_and_head_gives_position_0(tmp_path):
    checkpoint = tiny_checkpoint(tiny_config(pooler="first_token"), mlm=False)
    tf_made.write_tf1(tmp_path / "bare", tf_made.variables(TF1, checkpoint))
    module = wellread.load(tmp_path / "bare", backend="numpy")
    assert module.info()["inferred"]["pooler"] == "first_token, the checkpoint has no pooler"
    assert not module.checkpoint.has_mlm
    out = module(INPUTS)
    assert np.array_equal(out["pooled_output"], out["sequence_output"][:, 0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bert/strange": np.zeros(3)}, "found that bert/strange is surplus"),
        ({"bert/pooler/dense/bias": None}, "found that bert/pooler/dense/bias is missing"),
        (
            {"bert/encoder/layer_1/intermediate/dense/kernel": np.zeros((37, 12))},
            r"found that bert/encoder/layer_1/intermediate/dense/kernel has shape \[37, 12\] where the configuration "
            r"says \[12, 37\]",
        ),
        (
            {"bert/pooler/dense/bias": np.zeros(12, np.int32)},
            "found that bert/pooler/dense/bias holds int32 where wellread computes",
        ),
        ({"bert/words": np.array(["a", "b"])}, "found that bert/words is surplus"),
        (
            {f"bert/x{i}": np.zeros(1) for i in range(50)},
            "found that bert/x0 is surplus.* bert/x26 is surplus, there are 30 more faults; fetch",
        ),
    ],
)
def test_every_variable_is_accounted_for(tmp_path, change, message):
    arrays = {**tf_made.variables(TF1, tiny_checkpoint(tf_made.BERT)), **change}
    kept = {name: array for name, array in arrays.items() if array is not None}
    tf_made.write_tf1(tmp_path / "tf1", kept)
    with pytest.raises(WeightsError, match=f"must be those of 3 layers of TF1's BERT; {message}"):
        wellread.load(tmp_path / "tf1")


@pytest.mark.parametrize(
    ("keys", "error", "message"),
    [
        ({"embedding_size": 7}, ConfigError, "embedding_size is 7, and wellread computes only hidden_size, 12"),
        ({"num_hidden_layers": 10**9}, WeightsError, "1000000000 layers were asked of .*; found 60 variables in all;"),
        (
            {"intermediate_size": 10**30, "vocab_size": 2**31},
            ConfigError,
            f"must be below 2147483648; found vocab_size 2147483648, intermediate_size {10**30}; correct",
        ),
        ({"num_attention_heads": 5}, ConfigError, "must be a multiple of num_attention_heads; found 12 and 5"),
        ({"hidden_act": "mish"}, ConfigError, "hidden_act was given as 'mish'"),
        (
            {"do_lower_case": "yes"},
            ConfigError,
            "bert_config.json must be true or false; found 'yes'; correct the file",
        ),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(copy, keys, error, message):
    change(copy, **keys)
    with pytest.raises(error, match=message):
        wellread.load(copy)


def test_a_key_may_be_passed_over(copy):
    change(copy, embedding_size=7)
    assert wellread.load(copy, ignore=["embedding_size"]).checkpoint.config == tf_made.BERT


def test_files_that_are_missing_are_named(copy):
    (copy / "vocab.txt").rename(copy / "words.txt")
    with pytest.raises(
        TextError, match=r"a vocabulary was asked of .*; found none of vocab.txt, .*; put the vocab.txt"
    ):
        wellread.load(copy)
    (copy / "words.txt").rename(copy / "vocab.txt")
    (copy / "bert_model.ckpt.data-00000-of-00001").unlink()
    with pytest.raises(CheckpointError, match=r"bert_model\.ckpt\.data-00000-of-00001"):
        wellread.load(copy)
    (copy / "bert_model.ckpt.index").unlink()
    with pytest.raises(CheckpointError, match="found bert_config.json and no .index file beside it; fetch"):
        wellread.load(copy)


def test_an_index_without_configuration_says_what_is_missing(copy):
    (copy / "bert_config.json").unlink()
    with pytest.raises(CheckpointError, match=r"bert_config\.json was to be read; found no such file"):
        wellread.load(copy)


def test_of_several_checkpoints_the_noted_one_is_taken(copy):
    for path in list(copy.glob("bert_model.ckpt.*")):
        shutil.copy(path, copy / path.name.replace("bert_model.ckpt", "model.ckpt-7"))
    assert find_checkpoint(copy) == "bert_model.ckpt"  # TensorFlow's own note
    state = copy / "checkpoint"
    state.write_text('model_checkpoint_path: "/elsewhere/run\\\\model.ckpt-7"\nall_model_checkpoint_paths: "x"\n')
    assert find_checkpoint(copy) == "model.ckpt-7"
    for note in ("", 'model_checkpoint_path: "model.ckpt-8"', "\n" * 200_000):
        state.write_text(note)
        with pytest.raises(CheckpointError, match=r"found 2: bert_model.ckpt, model.ckpt-7, and no file `checkpoint`"):
            find_checkpoint(copy)


def test_hugging_faces_files_go_before_tensorflows(made, copy):
    for name in ("config.json", "model.safetensors", "tokenizer_config.json"):
        shutil.copy(made / "hf" / name, copy)
    assert read_directory(copy).checkpoint.inferred == {}


def test_it_is_saved_as_what_transformers_computes_the_same_with(made, tmp_path):
    import torch
    from transformers import BertModel

    module = wellread.load(made / "trained", backend="numpy")
    module.save(tmp_path / "saved")
    config = json.loads((tmp_path / "saved" / "config.json").read_text())
    assert config["hidden_act"] == "gelu_pytorch_tanh"
    peer = BertModel.from_pretrained(tmp_path / "saved").eval()
    inputs = {name: array[:2] for name, array in INPUTS.items()}  # not the row that is masked everywhere
    names = dict(zip(INPUTS, ("input_ids", "attention_mask", "token_type_ids"), strict=True))
    with torch.no_grad():
        theirs = peer(**{names[name]: torch.tensor(array) for name, array in inputs.items()})
    ours = module(inputs)
    assert np.abs(ours["pooled_output"] - theirs.pooler_output.numpy()).max() <= 1e-5
    assert np.abs(ours["sequence_output"] - theirs.last_hidden_state.numpy()).max() <= 1e-5
    again = wellread.load(tmp_path / "saved", backend="numpy")
    assert np.array_equal(again(inputs)["pooled_output"], ours["pooled_output"])
