"""What stands under the distilkobert names against transformers: outputs, gradients, state dicts, laid-out inputs."""

import copy

import numpy as np
import pytest
import torch
import transformers

from wellread.compat.distilkobert import (
    get_distilkobert_lm,
    get_distilkobert_model,
    get_kobert_lm,
    get_kobert_model,
    get_nsmc_model,
)
from wellread.compat.encoding import Layout, lay_out
from wellread.errors import InputError
from wellread.text.vocabulary import SpecialTokens

SIZES = {"vocab_size": 99, "max_position_embeddings": 41, "attn_implementation": "eager"}  # uniform where all is masked
BERT = transformers.BertConfig(
    **SIZES, hidden_size=12, num_hidden_layers=3, num_attention_heads=4, intermediate_size=37, pad_token_id=1
)
DISTILBERT = transformers.DistilBertConfig(**SIZES, dim=12, n_layers=3, n_heads=4, hidden_dim=37, pad_token_id=1)
PEERS = {
    "DistilBertModel": (DISTILBERT, get_distilkobert_model),
    "DistilBertForMaskedLM": (DISTILBERT, get_distilkobert_lm),
    "DistilBertForSequenceClassification": (DISTILBERT, get_nsmc_model),
    "BertModel": (BERT, get_kobert_model),
    "BertForMaskedLM": (BERT, get_kobert_lm),
}
IDS = torch.arange(5, 26).reshape(3, 7)
MASK = (torch.arange(7) < torch.tensor([[7], [4], [0]])).long()
TYPES = IDS % 2


@pytest.fixture(params=PEERS)
def pair(request, tmp_path):
    """A model of transformers with weights far from zeros and ones, and ours of its files."""
    config, ours = PEERS[request.param]
    torch.manual_seed(0)
    theirs = getattr(transformers, request.param)(config).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3)
    theirs.save_pretrained(tmp_path)
    return theirs, ours(cachedir=tmp_path, no_cuda=True)


def arguments(theirs):
    """What both models take by position; a classifier's third argument is its labels, and left out here."""
    return (IDS, MASK, TYPES) if theirs.config.model_type == "bert" else (IDS, MASK)


def expected(theirs):
    """Run a model of transformers; return what ours must, in its order."""
    out = theirs(*arguments(theirs), output_hidden_states=True)
    if "pooler_output" in out:
        return [out.last_hidden_state, out.pooler_output]
    return [out[0], out.hidden_states]


def flat(results):
    return [tensor for result in results for tensor in (result if isinstance(result, tuple) else (result,))]


def test_the_outputs_are_those_of_transformers(pair):
    theirs, ours = pair
    wanted, made = expected(theirs), ours(*arguments(theirs))
    assert len(made) == len(wanted) == 2
    assert isinstance(made, tuple)
    for found, right in zip(flat(made), flat(wanted), strict=True):
        assert found.shape == right.shape
        assert torch.allclose(found, right, rtol=0, atol=1e-5)


def test_hidden_states_begin_with_the_embeddings_and_end_with_the_last_layer(pair):
    theirs, ours = pair
    if theirs.config.model_type == "distilbert":
        made = ours(IDS, MASK)
        assert len(made.hidden_states) == 4
        if "last_hidden_state" in made._fields:
            assert made.hidden_states[-1] is made.last_hidden_state


def test_without_mask_and_types_nothing_is_masked_and_all_are_of_type_0(pair):
    theirs, ours = pair
    more = (torch.zeros_like(IDS),) if theirs.config.model_type == "bert" else ()
    for found, right in zip(flat(ours(IDS)), flat(ours(IDS, torch.ones_like(IDS), *more)), strict=True):
        assert torch.equal(found, right)


def test_the_gradients_are_those_of_transformers(pair):
    theirs, ours = pair
    for model, made in ((theirs, expected(theirs)), (ours, ours(*arguments(theirs)))):
        loss = sum(tensor.square().mean() for tensor in flat(made))
        loss.backward()
        assert loss.grad_fn is not None, model
    gradients = {name: p.grad for name, p in theirs.named_parameters()}
    by_name = dict(zip(ours.state_dict(), ours.state_dict(keep_vars=True).values(), strict=True))
    for name, right in gradients.items():
        found = by_name[name].grad
        assert torch.allclose(found, right, rtol=0, atol=1e-5 * max(1.0, float(right.abs().max()))), name


def test_state_dicts_load_both_ways(pair):
    theirs, ours = pair
    saved = {name: value + 1 for name, value in ours.state_dict().items()}
    assert saved.keys() == theirs.state_dict().keys()
    theirs.load_state_dict(saved)
    assert all(torch.equal(value, saved[name]) for name, value in theirs.state_dict().items())
    fresh = copy.deepcopy(ours)
    fresh.load_state_dict(theirs.state_dict())
    assert all(torch.equal(value, saved[name]) for name, value in fresh.state_dict().items())
    assert not torch.equal(fresh(IDS, MASK)[0], ours(IDS, MASK)[0])  # a copy has its own parameters


def test_a_state_dict_of_a_part_goes_by_its_prefix(pair):
    theirs, ours = pair
    whole, other = torch.nn.ModuleDict({"body": ours}), torch.nn.ModuleDict({"body": theirs})
    assert whole.state_dict().keys() == other.state_dict().keys()
    whole.load_state_dict(other.state_dict())


def test_the_loss_of_a_classifier_is_that_of_transformers(tmp_path):
    torch.manual_seed(0)
    theirs = transformers.DistilBertForSequenceClassification(DISTILBERT).eval()
    theirs.save_pretrained(tmp_path)
    ours, labels = get_nsmc_model(tmp_path, no_cuda=True), torch.tensor([1, 0, 1])
    loss, logits, hidden_states = ours(IDS, MASK, labels)
    assert torch.allclose(loss, theirs(IDS, MASK, labels=labels).loss, atol=1e-6)
    assert torch.equal(logits, ours(IDS, MASK, None).logits)
    assert len(hidden_states) == 4


# -- inputs ----------------------------------------------------------------------------------------------------------

SPECIAL = SpecialTokens(unk=0, pad=1, cls=2, sep=3, mask=4)
LENGTHS = [(3, 2), (1, 6), (6, 1), (5, 5), (0, 4), (4, 0), (7, 6), (6, 7), (0, 0)]


class Words(transformers.PreTrainedTokenizer):
    """A tokenizer in Python, as KoBertTokenizer was one, whose words are the numbers from 5 on."""

    model_input_names = ("input_ids", "token_type_ids", "attention_mask")

    def __init__(self):
        self.index = {f"[{name}]": id for id, name in enumerate(("UNK", "PAD", "CLS", "SEP", "MASK"))}
        self.index |= {str(id): id for id in range(5, 30)}
        names = {f"{name}_token": f"[{name.upper()}]" for name in ("unk", "pad", "cls", "sep", "mask")}
        super().__init__(model_max_length=11, special_tokens_pattern="cls_sep", **names)

    @property
    def vocab_size(self):
        return len(self.index)

    def get_vocab(self):
        return self.index

    def _tokenize(self, text):
        return text.split()

    def _convert_token_to_id(self, token):
        return self.index[token]

    def _convert_id_to_token(self, index):
        return list(self.index)[index]


@pytest.fixture(scope="module")
def words():
    return Words()


def text(row):
    return " ".join(map(str, row))


@pytest.mark.filterwarnings("ignore:`max_length` is ignored")  # theirs
@pytest.mark.parametrize("padding", [False, True, "longest", "max_length", "do_not_pad"])
@pytest.mark.parametrize("truncation", [False, True, "longest_first", "only_first", "only_second", "do_not_truncate"])
@pytest.mark.parametrize("max_length", [None, 7, 30])
@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("add_special_tokens", [True, False])
def test_inputs_are_laid_out_as_by_transformers(words, padding, truncation, max_length, paired, add_special_tokens):
    first = [list(range(5, 5 + a)) for a, _ in LENGTHS]
    second = [list(range(15, 15 + b)) for _, b in LENGTHS] if paired else None
    options = {
        "padding": padding,
        "truncation": truncation,
        "max_length": max_length,
        "add_special_tokens": add_special_tokens,
        "return_token_type_ids": True,
        "return_special_tokens_mask": True,
    }
    try:
        made = lay_out(first, second, Layout(**options), special=SPECIAL, max_length=11)
    except InputError:
        assert truncation in ("only_first", "only_second")  # transformers only logs that it could not cut
        return
    texts = [text(row) for row in first], second and [text(row) for row in second]
    wanted = dict(words(*texts, **options))
    if (
        paired and not add_special_tokens
    ):  # 0 and 1 in transformers 2 and in fast tokenizers, 0 alone in slow ones since
        wanted["token_type_ids"] = made["token_type_ids"]
    assert made == wanted


def test_tensors_are_those_of_transformers(words):
    rows = [[5, 6, 7], [8]]
    for kind, type_ in (("np", np.ndarray), ("pt", torch.Tensor)):
        options = {"padding": True, "return_tensors": kind, "return_token_type_ids": True}
        made = lay_out(rows, None, Layout(**options), special=SPECIAL, max_length=11)
        wanted = words([text(row) for row in rows], **options)
        for name, value in wanted.items():
            assert type(made[name]) is type_
            assert made[name].dtype == value.dtype
            assert (made[name] == value).all()
