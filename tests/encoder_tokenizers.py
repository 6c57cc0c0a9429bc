"""Tokenizers of each kind that tests/data/encoders.toml names, trained on a few lines: the files that the hub holds."""

from __future__ import annotations

import functools
import gzip
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import sentencepiece
from tokenizers import (
    AddedToken,
    ByteLevelBPETokenizer,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from wellread.formats.sentencepiece_model import read_sentencepiece

ROOT = Path(__file__).parent
KOBERT = ROOT / "data" / "kobert"
TEXTS = ROOT.parent / "src" / "wellread" / "export" / "texts"
PIECES = 500
FAST = "tokenizer.json"
KEYS = ("kind", "lower", "strip_accents", "special", "mask_last", "padded")  # what a trained tokenizer depends on
Files = dict[str, bytes]
Pieces = list[tuple[str, float]]


def write_tokenizer_files(directory: Path, row: Mapping[str, Any], settings: Mapping[str, Any]) -> int:
    """Write the files that `row` of [tokenizers] names, with `settings`, and return how many pieces there are."""
    files, size = trained(json.dumps({key: row.get(key) for key in KEYS}))
    held = {name: content for name, content in files.items() if name in row["files"]}
    if "tokenizer_config.json" in row["files"]:
        added = {}
        if row.get("added"):  # as transformers 4.34 and later put them there
            tokens = json.loads(files[FAST])["added_tokens"]
            added = {"added_tokens_decoder": {str(token.pop("id")): token for token in tokens}}
        held["tokenizer_config.json"] = json.dumps({**added, **settings}).encode()
    if "special_tokens_map.json" in row["files"]:
        held["special_tokens_map.json"] = json.dumps(row["map"]).encode()
    for name, content in held.items():
        (directory / name).write_bytes(content)
    return size


@functools.cache
def trained(row: str) -> tuple[Files, int]:
    """Train a kind of tokenizer once: every file that its directories may hold, and the number of its pieces."""
    return KINDS[json.loads(row)["kind"]](json.loads(row))


@functools.cache
def lines() -> list[str]:
    """Return 400 English and 400 Korean lines."""
    texts = (gzip.decompress((TEXTS / f"{name}.txt.gz").read_bytes()).decode("utf-8") for name in ("en", "ko"))
    return [line for text in texts for line in text.splitlines()[:400]]


def wordpiece(row: Mapping[str, Any]) -> tuple[Files, int]:
    """BERT's; or MPNet's, whose special tokens are RoBERTa's and whose mask token is the last piece."""
    learner = _bert_rules(models.WordPiece(unk_token="[UNK]"), row)
    special, mask_last = row["special"], row["mask_last"]
    trainer = trainers.WordPieceTrainer(vocab_size=PIECES, special_tokens=special, show_progress=False)
    learner.train_from_iterator(lines(), trainer)
    ids = learner.get_vocab()
    pieces = sorted(ids, key=ids.__getitem__) + ([mask_last] if mask_last else [])
    model = models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]")
    tokenizer = _bert_rules(model, row)  # the learner holds every special token as one that was added
    tokenizer.decoder = decoders.WordPiece()
    tokens = [piece for piece in special if not piece.startswith("[unused")]
    if mask_last:
        _fairseq_template(tokenizer, tokens, mask_last)
        tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    else:
        _bert_template(tokenizer, tokens)
    if row["padded"]:  # as it was left after training; no peer heeds it
        tokenizer.enable_truncation(19)
        tokenizer.enable_padding(length=19, pad_id=pieces.index(tokens[1] if mask_last else "[PAD]"))
    text = "".join(f"{piece}\n" for piece in pieces)
    return {"vocab.txt": text.encode(), FAST: tokenizer.to_str().encode()}, len(pieces)


def _bert_rules(model: models.Model, row: Mapping[str, Any]) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=row["lower"], strip_accents=row["strip_accents"])
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def bpe(row: Mapping[str, Any]) -> tuple[Files, int]:
    """RoBERTa's: byte-level BPE, the mask token last."""
    trainer = ByteLevelBPETokenizer()
    trainer.train_from_iterator(lines(), vocab_size=PIECES, special_tokens=row["special"], show_progress=False)
    model = json.loads(trainer.to_str())["model"]
    vocabulary = {**model["vocab"], row["mask_last"]: len(model["vocab"])}
    merges = [tuple(merge) for merge in model["merges"]]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    _fairseq_template(tokenizer, row["special"], row["mask_last"])
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    files = {
        "vocab.json": json.dumps(vocabulary, ensure_ascii=False),
        "merges.txt": "#version: 0.2\n" + "".join(f"{left} {right}\n" for left, right in merges),
        FAST: tokenizer.to_str(),
    }
    return {name: text.encode() for name, text in files.items()}, len(vocabulary)


def xlm_roberta(row: Mapping[str, Any]) -> tuple[Files, int]:
    """XLM-R's: SentencePiece's ids moved by one behind fairseq's four special tokens, the mask token last."""
    model = _sentencepiece(unk_id=0, bos_id=1, eos_id=2, pad_id=-1)
    pieces = [*((piece, 0.0) for piece in row["special"]), *_scored(model)[3:], (row["mask_last"], 0.0)]
    tokenizer = _unigram(model, pieces, unk_id=3)
    _fairseq_template(tokenizer, row["special"], row["mask_last"])
    return {"sentencepiece.bpe.model": model, FAST: tokenizer.to_str().encode()}, len(pieces)


def camembert(row: Mapping[str, Any]) -> tuple[Files, int]:
    """CamemBERT's: SentencePiece's ids moved by four, which makes <s> 5 and </s> 6."""
    model = _sentencepiece(unk_id=0, bos_id=1, eos_id=2, pad_id=-1)
    first = [*((piece, 0.0) for piece in row["special"]), ("<unk>NOTUSED", -100.0)]
    pieces = [*first, *_scored(model)[1:], (row["mask_last"], 0.0)]
    tokenizer = _unigram(model, pieces, unk_id=3)
    _fairseq_template(tokenizer, ["<s>", "<pad>", "</s>", "<unk>"], row["mask_last"])
    return {"sentencepiece.bpe.model": model, FAST: tokenizer.to_str().encode()}, len(pieces)


def albert(row: Mapping[str, Any]) -> tuple[Files, int]:
    """ALBERT's: SentencePiece's own ids, the case lowered before."""
    model = _sentencepiece(pad_id=0, unk_id=1, bos_id=-1, eos_id=-1, control_symbols=row["special"][2:])
    pieces = _scored(model)
    lower = [normalizers.Replace("``", '"'), normalizers.Replace("''", '"'), normalizers.NFKD()]
    lower += [normalizers.StripAccents(), normalizers.Lowercase()]
    tokenizer = _unigram(model, pieces, unk_id=1, before=lower)
    _bert_template(tokenizer, row["special"])
    return {"spiece.model": model, FAST: tokenizer.to_str().encode()}, len(pieces)


def kobert(row: Mapping[str, Any]) -> tuple[Files, int]:
    """KoBertTokenizer's own files."""
    names = ("tokenizer_78b3253a26.model", "vocab.txt")
    return {name: (KOBERT / name).read_bytes() for name in names}, 8002


def kobert_v1(row: Mapping[str, Any]) -> tuple[Files, int]:
    """SKT's: a model alone, whose ids are the encoder's."""
    special = {"unk_piece": "[UNK]", "pad_piece": "[PAD]", "control_symbols": row["special"][2:]}
    model = _sentencepiece(unk_id=0, pad_id=1, bos_id=-1, eos_id=-1, **special)
    return {"spiece.model": model}, len(_scored(model))


KINDS: dict[str, Callable[[Mapping[str, Any]], tuple[Files, int]]] = {
    "wordpiece": wordpiece,
    "mpnet": wordpiece,
    "bpe": bpe,
    "xlm-roberta": xlm_roberta,
    "camembert": camembert,
    "albert": albert,
    "kobert": kobert,
    "kobert-v1": kobert_v1,
}


def _sentencepiece(**options: Any) -> bytes:
    """Train a Unigram of SentencePiece's own."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines()),
        model_writer=model,
        vocab_size=PIECES,
        character_coverage=0.98,
        hard_vocab_limit=False,
        minloglevel=2,
        **options,
    )
    return model.getvalue()


def _scored(model: bytes) -> Pieces:
    """Return the pieces of a SentencePiece model in the order of their ids, with their scores."""
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    return [(processor.id_to_piece(i), processor.get_score(i)) for i in range(len(processor))]


def _unigram(model: bytes, pieces: Pieces, *, unk_id: int, before: list[normalizers.Normalizer] = ()) -> Tokenizer:  # type: ignore[assignment]
    """Make the tokenizers library's form of a SentencePiece model, as transformers converted it."""
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=unk_id))
    after = [normalizers.Precompiled(read_sentencepiece(model).charsmap), normalizers.Replace(Regex(" {2,}"), " ")]
    tokenizer.normalizer = normalizers.Sequence([*before, *after])
    metaspace = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), metaspace])
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    return tokenizer


def _bert_template(tokenizer: Tokenizer, special: list[str]) -> None:
    """Put [CLS] A [SEP] B [SEP], the second segment of type 1."""
    tokenizer.add_special_tokens(special)
    ends = [(piece, tokenizer.token_to_id(piece)) for piece in ("[CLS]", "[SEP]")]
    pair = "[CLS] $A [SEP] $B:1 [SEP]:1"
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", pair, ends)


def _fairseq_template(tokenizer: Tokenizer, special: list[str], mask: str) -> None:
    """Put <s> A </s></s> B </s>, all of type 0."""
    tokenizer.add_special_tokens([*special, AddedToken(mask, lstrip=True, special=True)])
    ends = [(piece, tokenizer.token_to_id(piece)) for piece in ("<s>", "</s>")]
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A </s>", "<s> $A </s> </s> $B </s>", ends)
