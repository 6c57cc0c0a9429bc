"""What a parity check says of outputs that are missing, surplus, wrong or untrained, and of texts cut otherwise."""

from dataclasses import replace

import numpy as np
import pytest
from exports import KOBERT, KOBERT_CONFIG
from headed import LABELS, head_of, headed
from own_ids import own_tokenizer
from tiny import tiny_checkpoint, tiny_config, tiny_tokenizer

from wellread.backends.backend import load_backend
from wellread.config import TokenizerConfig
from wellread.errors import ExportError
from wellread.export.dialect import tfhub_tokenizer
from wellread.export.parity import EVERY, OUTPUTS, all_texts, compare_encoder, compare_preprocessor, trial_batches
from wellread.text.batch import Ragged, bert_pack_inputs
from wellread.text.tokenizer import load_tokenizer

CHECKPOINT = tiny_checkpoint(tiny_config(num_hidden_layers=1), mlm=False)
TRAINED = {"loss": [2.0, 1.0], "without_gradient": [], "dropout_spread": 0.1}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """Batches, and what a perfect encoder makes of them."""
    tokenizer = tfhub_tokenizer(tiny_tokenizer(tmp_path_factory.mktemp("words")))
    batches = trial_batches(CHECKPOINT, tokenizer, all_texts())
    reference = load_backend("numpy", CHECKPOINT)
    made = {}
    for index, batch in enumerate(batches):
        out = reference.run(batch, list(OUTPUTS))
        flat = {"pooled_output": out["pooled_output"], "sequence_output": out["sequence_output"]}
        flat |= {"encoder_outputs_0": out["encoder_outputs"][0], "default": out["pooled_output"]}
        for where in ("call", "own", "named"):
            made |= {f"{index}/{where}/{name}": array for name, array in flat.items()}
        order = ["default", "encoder_outputs_0", "pooled_output", "sequence_output"]
        names = ["bert_encoder", *(f"bert_encoder_{i}" for i in range(1, 4))]
        made |= {f"{index}/serving_default/{name}": flat[source] for name, source in zip(names, order, strict=True)}
    return batches, made


def test_an_equal_encoder_passes(encoder):
    batches, made = encoder
    found = compare_encoder(CHECKPOINT, batches, made, {"encoder_training": TRAINED})
    assert found.largest_difference == 0
    assert found.outputs == len(made) == 4 * 4 * len(batches)
    assert {batch["input_word_ids"].shape[1] for batch in batches} == {41, 17}
    assert any((batch["input_mask"].sum(1) == 0).any() for batch in batches)


@pytest.mark.parametrize(
    ("changes", "training", "found"),
    [
        ({"0/call/default": None}, {}, "0/call/default differs by inf"),
        ({"1/named/pooled_output": np.zeros((1, 1))}, {}, "1/named/pooled_output differs by inf"),
        ({"0/call/pooled_output": 3e-5}, {}, "0/call/pooled_output differs by 3e-05"),
        ({"0/call/sequence_output": np.nan}, {}, "0/call/sequence_output differs by inf"),
        ({"0/call/attention": np.zeros(3)}, {}, "0/call/attention is surplus"),
        ({}, {"loss": [1.0, 1.0]}, "a training step took the loss from 1 to 1"),
        ({}, {"without_gradient": ["pooler_transform/bias:0"]}, "pooler_transform/bias:0 gets no gradient"),
        ({}, {"dropout_spread": 0.0}, "dropout moves the outputs by 0.0"),
    ],
)
def test_a_fault_is_named(encoder, changes, training, found):
    batches, made = encoder
    changed = dict(made)
    for name, change in changes.items():
        if isinstance(change, float):
            largest = max(1.0, np.abs(made[name]).max())
            changed[name] = made[name] + change * largest
        elif change is None:
            del changed[name]
        else:
            changed[name] = change
    report = {"encoder_training": {**TRAINED, **training}}
    with pytest.raises(ExportError, match=f"must agree with the module within 1e-05 .*{found}.*; nothing was kept"):
        compare_encoder(CHECKPOINT, batches, changed, report)


def test_labels_that_differ_are_a_fault(encoder):
    batches, made = encoder
    judge = headed(CHECKPOINT, head_of("classify"))
    reference = load_backend("numpy", judge)
    for index, batch in enumerate(batches):
        logits = reference.run(batch, ["logits"])["logits"]
        made = made | {f"{index}/{where}/logits": logits for where in ("call", "own", "named", "serving_default")}
    report = {"encoder_training": TRAINED}
    assert compare_encoder(judge, batches, made, {**report, "labels": list(LABELS)}).largest_difference < 1e-12
    for labels in ({}, {"labels": list(LABELS[::-1])}):
        with pytest.raises(ExportError, match=r"the labels are \[.*\] where the module has \['no', 'yes', .*; nothing"):
            compare_encoder(judge, batches, made, {**report, **labels})


def test_without_dropout_rates_nothing_may_move(encoder):
    batches, made = encoder
    config = replace(CHECKPOINT.config, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    with pytest.raises(ExportError, match="dropout moves the outputs by 0.1"):
        compare_encoder(replace(CHECKPOINT, config=config), batches, made, {"encoder_training": TRAINED})


@pytest.fixture(scope="module")
def spm(tmp_path_factory):
    return own_tokenizer(tmp_path_factory.mktemp("own"))


TEXTS = ["한국어 모델을 공유합니다.", "...", "가나다", "오늘 날씨가 좋다"]


def perfect(tokenizer, rows):
    """What a perfect preprocessor makes, if it cuts the texts into `rows`."""
    some = rows.take(range(0, len(rows), EVERY))
    backwards = rows.take(list(range(len(rows)))[::-1])
    made = {"values": rows.values, "splits": rows.splits, "some_values": some.values}
    packed = {
        "some": bert_pack_inputs([some], special=tokenizer.special, seq_length=128),
        "pair": bert_pack_inputs([rows, backwards], special=tokenizer.special, seq_length=64),
    }
    return made | {f"{where}/{name}": array for where, batch in packed.items() for name, array in batch.items()}


def test_equal_texts_pass(spm):
    report = {"special_tokens": spm.get_special_tokens_dict()}
    found = compare_preprocessor(spm, TEXTS, perfect(spm, spm.tokenize(TEXTS)), report)
    assert (found.texts, found.ties) == (4, 0)


@pytest.mark.parametrize(
    ("changes", "special", "found"),
    [
        ({"some_values": np.zeros(1, np.int32)}, {}, "tokenize_with_offsets gives other tokens than tokenize"),
        ({"pair/input_mask": np.zeros((4, 64), np.int32)}, {}, "input_mask of pair texts is packed otherwise"),
        ({}, {"mask_id": 99}, "the special tokens are .*99"),
    ],
)
def test_a_fault_of_a_preprocessor_is_named(spm, changes, special, found):
    made = {**perfect(spm, spm.tokenize(TEXTS)), **changes}
    report = {"special_tokens": {**spm.get_special_tokens_dict(), **special}}
    with pytest.raises(ExportError, match=f"must give the ids of the spm dialect .*{found}.*; nothing was kept"):
        compare_preprocessor(spm, TEXTS, made, report)


def test_a_text_cut_into_worse_pieces_is_no_tie(spm):
    rows = spm.tokenize(TEXTS).to_list()
    rows[0] = spm.ids(["▁", *"한국어"]) + rows[0][2:]
    made = perfect(spm, Ragged.from_rows(rows))
    with pytest.raises(ExportError, match=r"found 1 faults: '한국어 모델을 공유합니다\.' became"):
        compare_preprocessor(spm, TEXTS, made, {"special_tokens": spm.get_special_tokens_dict()})


def test_too_many_ties_are_refused():
    """The same pieces in another order have the same score: a tie, if they spell the same text."""
    kobert = load_tokenizer(KOBERT, TokenizerConfig(dialect="spm", model_file=KOBERT_CONFIG.model_file))
    dots = ["...."] * 10
    ours = ["▁", ".", "..."]
    assert kobert.pieces(kobert.tokenize(dots)[0].tolist()) == ours
    made = perfect(kobert, Ragged.from_rows([kobert.ids(["▁", "...", "."])] * 10))
    with pytest.raises(ExportError, match="10 of 10 texts were cut differently at the same score"):
        compare_preprocessor(kobert, dots, made, {"special_tokens": kobert.get_special_tokens_dict()})
