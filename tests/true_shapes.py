"""The modules that the documents are about, of their true architectures and with random weights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from exports import KOBERT, KOBERT_CONFIG

from wellread.checkpoints.checkpoint import Checkpoint, in_memory
from wellread.checkpoints.names import shapes
from wellread.config import EncoderConfig, TokenizerConfig
from wellread.module import Module
from wellread.text.tokenizer import Tokenizer, load_tokenizer

BLOCKS = Path(__file__).parent / "documents" / "blocks.py"
VOCABULARIES = KOBERT.parent / "vocab"
ENGLISH = ["A man is playing a guitar.", "It rains, and the street is wet; nobody minds.", "Well read?"]
KOREAN = ["한국어 모델을 공유합니다.", "나 보기가 역겨워", "가실 때에는 말없이 고이 보내 드리오리다"]


@dataclass(frozen=True, kw_only=True)
class Document:
    """What a document is about: its handles and the shape of its encoder."""

    encoder: str
    preprocessor: str
    layers: int
    hidden: int
    heads: int
    vocabulary: str  # cased, uncased or kobert
    distilled: bool = False

    @property
    def config(self) -> EncoderConfig:
        family = {"type_vocab_size": 0, "pooler": "first_token"} if self.distilled else {}
        korean = self.vocabulary == "kobert"
        return EncoderConfig(
            vocab_size={"cased": 28996, "uncased": 30522, "kobert": 8002}[self.vocabulary],
            hidden_size=self.hidden,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            intermediate_size=4 * self.hidden,
            hidden_act="gelu" if self.distilled else "gelu_pytorch_tanh",
            pad_token_id=1 if korean else 0,
            **family,
        )

    def module(self) -> Module:
        """Draw weights as before a training; BERT gets its masked-language-model head."""
        rng = np.random.default_rng(0)
        arrays = {}
        for name, shape in shapes(self.config, mlm=not self.distilled).items():
            drawn = rng.normal(0, 0.02, shape).astype(np.float32)
            arrays[name] = drawn + 1 if name.endswith("LayerNorm.weight") else drawn
        family = "distilbert" if self.distilled else "bert"
        checkpoint = Checkpoint(family=family, config=self.config, tensors=in_memory(arrays))
        return Module(checkpoint=checkpoint, tokenizer=self.tokenizer())

    def tokenizer(self) -> Tokenizer:
        if self.vocabulary == "kobert":
            return load_tokenizer(KOBERT, KOBERT_CONFIG)
        file = f"bert-base-{self.vocabulary}-vocab.txt"
        rules = TokenizerConfig(dialect="hf", vocab_file=file, do_lower_case=self.vocabulary == "uncased")
        return load_tokenizer(VOCABULARIES, rules)

    def request(self, blocks: list[str]) -> dict[str, Any]:
        """Say to `blocks.py` what to run, and what it must find."""
        return {
            "blocks": blocks,
            "preprocessor": self.preprocessor,
            "encoder": self.encoder,
            "texts": KOREAN if self.vocabulary == "kobert" else ENGLISH,
            "hidden_size": self.hidden,
            "num_hidden_layers": self.layers,
            "vocab_size": self.config.vocab_size,
            "trainable": 16 * self.layers + (4 if self.distilled else 7),
        }


TFHUB = "https://tfhub.dev/"
DOCUMENTS = {
    "000": Document(
        encoder=TFHUB + "jeongukjae/distilkobert_cased_L-3_H-768_A-12/1",
        preprocessor=TFHUB + "jeongukjae/distilkobert_cased_preprocess/1",
        layers=3,
        hidden=768,
        heads=12,
        vocabulary="kobert",
        distilled=True,
    ),
    "001": Document(
        encoder=TFHUB + "jeongukjae/distilbert_en_cased_L-6_H-768_A-12/1",
        preprocessor=TFHUB + "jeongukjae/distilbert_en_cased_preprocess/1",
        layers=6,
        hidden=768,
        heads=12,
        vocabulary="cased",
        distilled=True,
    ),
    "003": Document(
        encoder=TFHUB + "tensorflow/small_bert/bert_en_uncased_L-12_H-512_A-8/1",
        preprocessor=TFHUB + "tensorflow/bert_en_uncased_preprocess/3",
        layers=12,
        hidden=512,
        heads=8,
        vocabulary="uncased",
    ),
}

ON_HUGGING_FACE = Document(
    encoder="Dimitre/bert_en_cased_L-12_H-768_A-12",
    preprocessor="Dimitre/bert_en_cased_preprocess",
    layers=12,
    hidden=768,
    heads=12,
    vocabulary="cased",
)


def run_blocks(world: str, request: dict[str, Any], **environment: str) -> dict[str, Any]:
    """Run blocks in a process of their own."""
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(BLOCKS), world, json.dumps(request)],
        env={**os.environ, **quiet, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])
