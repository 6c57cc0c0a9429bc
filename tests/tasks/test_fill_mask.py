"""Masks under a tokenizer of the tokenizers library, as transformers' pipeline fills them."""

from __future__ import annotations

import pytest
import transformers
from bodies import body
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

import wellread

TEXTS = ["a man is playing the guitar", "a woman runs", "the cat sleeps in paris", "파리의 고양이"]
SPECIAL = {"bos": "<s>", "eos": "</s>", "cls": "<s>", "sep": "</s>", "pad": "<pad>", "unk": "<unk>"}


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """A RoBERTa of transformers' whose mask takes the space before it along, with more word rows than tokens."""
    directory = tmp_path_factory.mktemp("roberta")
    mask = AddedToken("<mask>", lstrip=True, special=True)
    rules = Tokenizer(models.BPE(unk_token="<unk>"))
    rules.pre_tokenizer, rules.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>", mask]
    rules.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=90, special_tokens=special, show_progress=False))
    rules.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    names = {f"{name}_token": token for name, token in SPECIAL.items()}
    peer = transformers.PreTrainedTokenizerFast(tokenizer_object=rules, mask_token=mask, **names)
    peer.save_pretrained(directory)
    body("roberta").save_pretrained(directory)
    return directory


@pytest.mark.parametrize("text", ["a man is <mask> the guitar", "<mask> cat", "the cat <mask>", "파리의<mask>"])
def test_a_mask_is_filled_as_transformers_fills_it(directory, text):
    module = wellread.load(directory, backend="numpy")
    assert module.tokenizer.vocab_size < module.checkpoint.config.vocab_size
    guesses = module.fill_mask(text, top_k=9)[0]
    peer = transformers.pipeline("fill-mask", model=str(directory), top_k=30)
    theirs = [guess for guess in peer(text) if guess["token"] < module.tokenizer.vocab_size][:9]
    assert [guess.token for guess in guesses] == [guess["token"] for guess in theirs]
    assert [guess.token_str for guess in guesses] == [guess["token_str"] for guess in theirs]
    for ours, other in zip(guesses, theirs, strict=True):
        assert ours.score == pytest.approx(other["score"], rel=1e-4)
        if ours.token > 4:  # transformers leaves special tokens out of the text
            assert ours.sequence == other["sequence"]
