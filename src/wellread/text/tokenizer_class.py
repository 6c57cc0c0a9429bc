"""The classes of Hugging Face's tokenizers: which text rules each makes, whatever a tokenizer.json says.

Source: the classes of transformers 5, tokenization_{bert,mpnet,roberta,xlm_roberta,camembert,albert}.py and
tokenization_auto.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Any

import tokenizers
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, processors

from wellread.dataclass import dataclass
from wellread.errors import ConfigError

Rows = processors.TemplateProcessing | processors.RobertaProcessing


@dataclass(frozen=True, slots=True, kw_only=True)
class Pieces:
    """What a class takes of its files: the pieces, the merges of a BPE, the map of characters of SentencePiece."""

    vocab: Mapping[str, int] = field(default_factory=dict)
    scores: Sequence[tuple[str, float]] = ()  # of a Unigram, in the order of their ids
    merges: Sequence[tuple[str, str]] = ()
    charsmap: bytes = b""
    symbols: Sequence[AddedToken] = ()  # what SentencePiece's model finds whole in a text


Build = Callable[[Pieces, Mapping[str, Any], Mapping[str, str | None]], tokenizers.Tokenizer]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerClass:
    """One of Hugging Face's classes: names without the ending Fast."""

    names: tuple[str, ...]
    model: str | None = None  # the model that it makes; None: tokenizer.json holds, whatever it has
    special: Mapping[str, str | AddedToken] = field(default_factory=dict)  # its special tokens where no file names them
    rules: Mapping[str, Any] = field(default_factory=dict)  # keys of tokenizer_config.json that its rules go by
    build: Build | None = None
    template: str = "bert"  # of config.TEMPLATES
    ends: tuple[str, str] = ("cls_token", "sep_token")  # what stands around a text
    keeps_rows: bool = False  # the post-processor of tokenizer.json, where it has one, goes before its own

    @property
    def name(self) -> str:
        """The name to speak of it by."""
        return self.names[0]


def _bert(pieces: Pieces, rules: Mapping[str, Any], special: Mapping[str, str | None]) -> tokenizers.Tokenizer:
    fast = tokenizers.Tokenizer(models.WordPiece(dict(pieces.vocab), unk_token=str(special["unk_token"])))
    fast.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=rules["tokenize_chinese_chars"],
        strip_accents=rules["strip_accents"],
        lowercase=rules["do_lower_case"],
    )
    fast.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    fast.decoder = decoders.WordPiece(prefix="##")
    return fast


def _roberta(pieces: Pieces, rules: Mapping[str, Any], special: Mapping[str, str | None]) -> tokenizers.Tokenizer:
    fast = tokenizers.Tokenizer(models.BPE(vocab=dict(pieces.vocab), merges=list(pieces.merges), fuse_unk=False))
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=rules["add_prefix_space"])
    fast.decoder = decoders.ByteLevel()
    return fast


def _unigram(pieces: Pieces, unknown: int, *, prefix: bool, steps: Sequence[Any]) -> tokenizers.Tokenizer:
    """Build a Unigram between white space, "▁" before every word, as SentencePiece's models are read."""
    if unknown >= len(pieces.scores):
        raise ConfigError(f"a Unigram must have more than {unknown} pieces; found {len(pieces.scores)}; fetch it again")
    fast = tokenizers.Tokenizer(models.Unigram(list(pieces.scores), unknown, False))
    own = [*steps, *([normalizers.Precompiled(pieces.charsmap)] if pieces.charsmap else [])]
    if own:
        fast.normalizer = normalizers.Sequence(own)
    scheme = "always" if prefix else "never"
    fast.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement="▁", prepend_scheme=scheme)]
    )
    fast.decoder = decoders.Metaspace(replacement="▁", prepend_scheme=scheme)
    return fast


def _xlm_roberta(pieces: Pieces, rules: Mapping[str, Any], special: Mapping[str, str | None]) -> tokenizers.Tokenizer:
    return _unigram(pieces, 3, prefix=rules["add_prefix_space"], steps=())


def _camembert(pieces: Pieces, rules: Mapping[str, Any], special: Mapping[str, str | None]) -> tokenizers.Tokenizer:
    unknown = next((id for id, (piece, _) in enumerate(pieces.scores) if piece == special["unk_token"]), 0)
    return _unigram(pieces, unknown, prefix=rules["add_prefix_space"], steps=())


def _albert(pieces: Pieces, rules: Mapping[str, Any], special: Mapping[str, str | None]) -> tokenizers.Tokenizer:
    steps: list[Any] = [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]
    steps += [] if rules["keep_accents"] else [normalizers.NFKD(), normalizers.StripAccents()]
    steps += [normalizers.Lowercase()] if rules["do_lower_case"] else []
    return _unigram(pieces, 1, prefix=rules["add_prefix_space"], steps=steps)


BERT_RULES = {"do_lower_case": True, "strip_accents": None, "tokenize_chinese_chars": True}
BERT_SPECIAL: dict[str, str | AddedToken] = {
    **{"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]", "mask_token": "[MASK]"}
}
FAIRSEQ: dict[str, str | AddedToken] = {
    **{"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "sep_token": "</s>", "pad_token": "<pad>"},
    **{"cls_token": "<s>", "mask_token": "<mask>"},
}
BERT = TokenizerClass(
    names=(
        *("BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer", "ConvBertTokenizer", "MobileBertTokenizer"),
        *("LayoutLMTokenizer", "SqueezeBertTokenizer", "LxmertTokenizer", "DPRQuestionEncoderTokenizer"),
        *("DPRContextEncoderTokenizer", "DPRReaderTokenizer"),
    ),
    model="WordPiece",
    special=BERT_SPECIAL,
    rules=BERT_RULES,
    build=_bert,
)
MPNET = TokenizerClass(
    names=("MPNetTokenizer",),
    model="WordPiece",
    special={**FAIRSEQ, "unk_token": "[UNK]", "mask_token": AddedToken("<mask>", lstrip=True, special=True)},
    rules=BERT_RULES,
    build=_bert,
    template="roberta",
)
ROBERTA = TokenizerClass(
    names=("RobertaTokenizer", "BartTokenizer", "LongformerTokenizer"),
    model="BPE",
    special=FAIRSEQ,
    rules={"add_prefix_space": False, "trim_offsets": True},
    build=_roberta,
    template="roberta",
)
XLM_ROBERTA = TokenizerClass(
    names=("XLMRobertaTokenizer",),
    model="Unigram",
    special=FAIRSEQ,
    rules={"add_prefix_space": True},
    build=_xlm_roberta,
    template="roberta",
    ends=("bos_token", "eos_token"),
)
CAMEMBERT = TokenizerClass(
    names=("CamembertTokenizer",),
    model="Unigram",
    special={
        **FAIRSEQ,
        "mask_token": AddedToken("<mask>", lstrip=True, special=True, normalized=False),
    },
    rules={"add_prefix_space": True},
    build=_camembert,
    template="roberta",
    ends=("bos_token", "eos_token"),
)
ALBERT = TokenizerClass(
    names=("AlbertTokenizer",),
    model="Unigram",
    special={**BERT_SPECIAL, "unk_token": "<unk>", "pad_token": "<pad>", "bos_token": "[CLS]", "eos_token": "[SEP]"},
    rules={"do_lower_case": True, "keep_accents": False, "add_prefix_space": True, "trim_offsets": True},
    build=_albert,
    keeps_rows=True,
)
# SKT's and monologg's classes; the files of skt/kobert-base-v1 name XLNet's, whose text rules they keep.
KOBERT = TokenizerClass(
    names=("KoBertTokenizer", "KoBERTTokenizer", "XLNetTokenizer"),
    model="SentencePiece",
    rules={"do_lower_case": False},
)
AT_VALUE = TokenizerClass(
    names=("PreTrainedTokenizerFast", "TokenizersBackend", "PreTrainedTokenizer", "PythonBackend")
)
CLASSES = (BERT, MPNET, ROBERTA, XLM_ROBERTA, CAMEMBERT, ALBERT, KOBERT, AT_VALUE)
# The class of a model_type of config.json where no file names one.
OF_MODEL_TYPE = {
    **dict.fromkeys(("bert", "distilbert", "electra", "convbert", "layoutlm", "squeezebert", "lxmert"), BERT),
    **dict.fromkeys(("roberta", "data2vec-text", "longformer", "roberta-prelayernorm"), ROBERTA),
    **{"xlm-roberta": XLM_ROBERTA, "camembert": CAMEMBERT, "albert": ALBERT, "mpnet": MPNET},
}
# Classes whose text rules are code in Python: a tokenizer.json beside them is not what they compute.
IN_PYTHON = {
    "BertJapaneseTokenizer": "MeCab's or Sudachi's words of Japanese",
    "PhobertTokenizer": "words of Vietnamese that another program has cut",
    "BertweetTokenizer": "a normaliser of tweets",
    **dict.fromkeys(("XLMTokenizer", "FlaubertTokenizer"), "the words of Moses"),
    **dict.fromkeys(("CanineTokenizer", "ByT5Tokenizer"), "code points or bytes instead of pieces"),
    **dict.fromkeys(("TapasTokenizer", "EsmTokenizer", "RoCBertTokenizer", "BertTokenizerLegacy"), "rules of its own"),
    **dict.fromkeys(("BartphoTokenizer", "BertGenerationTokenizer"), "SentencePiece under ids of its own"),
}


def rows_of(
    kind: TokenizerClass,
    rules: Mapping[str, Any],
    special: Mapping[str, str | None],
    token_to_id: Callable[[str], int | None],
) -> Rows:
    """Build the post-processor of a class: where its special tokens stand.

    Raises: ConfigError for special tokens that have no id.
    """
    begin, end = (special.get(key) for key in kind.ends)
    first, last = (None if token is None else token_to_id(token) for token in (begin, end))
    if begin is None or end is None or first is None or last is None:
        raise ConfigError(
            f"{kind.name} puts {' and '.join(kind.ends)} around a text; found {begin!r} and {end!r} with the ids "
            f"{first} and {last}; name tokens of the vocabulary in tokenizer_config.json"
        )
    if kind in (MPNET, ROBERTA):
        trim, prefix = rules.get("trim_offsets", True), rules.get("add_prefix_space", False)
        return processors.RobertaProcessing((end, last), (begin, first), trim, prefix)
    pair = ["$A", end, end, "$B", end]
    if kind.template == "bert":
        pair = ["$A:0", f"{end}:0", "$B:1", f"{end}:1"]
    return processors.TemplateProcessing(
        single=[begin, "$A", end], pair=[begin, *pair], special_tokens=[(begin, first), (end, last)]
    )
