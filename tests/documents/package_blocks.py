"""What document 002 shows, block by block; run as `python package_blocks.py`, it prints what came out as JSON.

It runs where `kobert` is a directory of KoBERT, and the hub that HF_ENDPOINT names holds DistilKoBERT.
"""

import json

import torch

import wellread.compat

wellread.compat.install()  # the one line that the document does not have

SENTENCE = "[CLS] 한국어 모델을 공유합니다. [SEP]"
IDS = [[31, 51, 99], [15, 5, 0]]
MASK = [[1, 1, 1], [1, 1, 0]]


def pieces_and_ids(tokenizer):
    pieces = tokenizer.tokenize(SENTENCE)
    return [pieces, tokenizer.convert_tokens_to_ids(pieces)]


def numbers(tensor):
    return [round(float(x), 6) for x in tensor.detach().flatten()[::97]]


def kobert_in_transformers():
    """ "KoBERT for transformers library": BertModel of a directory; wellread's model of it gives the same."""
    from kobert_transformers import get_kobert_model
    from transformers import BertModel

    model = BertModel.from_pretrained("kobert")
    inputs = torch.LongTensor(IDS), torch.LongTensor(MASK), torch.LongTensor([[0, 0, 1], [0, 1, 0]])
    with torch.no_grad():
        theirs = model(*inputs, return_dict=False)
        ours = get_kobert_model("kobert")(*inputs)
    assert ours[0].shape == (2, 3, 768)
    assert ours[1].shape == (2, 768)
    return [float((a - b).abs().max()) for a, b in zip(ours, theirs, strict=True)]


def kobert_s_tokenizer():
    """The same section: the tokenizer, whose file is copied in the document."""
    from tokenization_kobert import KoBertTokenizer

    return pieces_and_ids(KoBertTokenizer.from_pretrained("kobert"))


def distilkobert():
    """ "How to use": the model."""
    from distilkobert import get_distilkobert_model

    model = get_distilkobert_model()
    input_ids, attention_mask = torch.LongTensor(IDS), torch.LongTensor(MASK)
    last_layer_hidden_state, hidden_states = model(input_ids, attention_mask)
    assert last_layer_hidden_state.grad_fn is not None
    assert not model.training
    assert torch.equal(hidden_states[-1], last_layer_hidden_state)
    shapes = [list(state.shape) for state in hidden_states]
    return [shapes, sum(p.numel() for p in model.parameters()), *map(numbers, hidden_states)]


def distilkobert_s_tokenizer():
    """The same section: the tokenizer."""
    from distilkobert import get_tokenizer

    return pieces_and_ids(get_tokenizer())


BLOCKS = (kobert_in_transformers, kobert_s_tokenizer, distilkobert, distilkobert_s_tokenizer)

if __name__ == "__main__":
    print(json.dumps({block.__name__: block() for block in BLOCKS}))
