"""Tiny checkpoints and tokenizers of odd, distinct sizes: B 3, T 7, D 12, H 4, F 37, V 99, L 3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from wellread.checkpoints.checkpoint import Checkpoint, in_memory
from wellread.checkpoints.names import sentence_shapes, shapes
from wellread.config import EncoderConfig, SentenceConfig, TokenizerConfig
from wellread.module import Module
from wellread.text.tokenizer import Tokenizer, load_tokenizer

WORDS = """
a man woman cat is playing the guitar flute runs sleeps . , ! ##s ##ing paris france of
""".split()
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
PIECES += [f"word{i}" for i in range(99 - len(PIECES))]


NATIVE = {"hidden_size": 96, "num_attention_heads": 3, "intermediate_size": 160}  # sizes that the native kernel takes


def tiny_config(**changes: Any) -> EncoderConfig:
    sizes = {"vocab_size": 99, "hidden_size": 12, "num_hidden_layers": 3, "num_attention_heads": 4}
    return EncoderConfig(**{**sizes, "intermediate_size": 37, "max_position_embeddings": 41, **changes})


def tiny_checkpoint(
    config: EncoderConfig | None = None,
    sentence: SentenceConfig | None = None,
    *,
    mlm: bool = True,
    seed: int = 0,
    family: str | None = None,
) -> Checkpoint:
    """Draw weights far from zeros and ones, so that none can be swapped or left out unseen."""
    config = config or tiny_config()
    sentence = sentence or SentenceConfig(max_seq_length=32)
    rng = np.random.default_rng(seed)
    wanted = shapes(config, mlm=mlm) | sentence_shapes(sentence)
    arrays = {name: rng.normal(0, 0.3, shape).astype(np.float32) for name, shape in wanted.items()}
    family = family or ("bert" if config.type_vocab_size else "distilbert")
    return Checkpoint(family=family, config=config, sentence=sentence, tensors=in_memory(arrays))


def tiny_inputs(seed: int = 0) -> dict[str, np.ndarray]:
    """Three rows of 7 tokens: a whole one, a padded one, and one that is masked everywhere."""
    rng = np.random.default_rng(seed)
    mask = (np.arange(7) < np.array([[7], [4], [0]])).astype(np.int32)
    ids = rng.integers(5, 99, (3, 7)).astype(np.int32)
    return {"input_word_ids": ids, "input_mask": mask, "input_type_ids": (ids % 2).astype(np.int32)}


def tiny_tokenizer(directory: Path) -> Tokenizer:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "vocab.txt").write_text("".join(f"{piece}\n" for piece in PIECES), "utf-8")
    return load_tokenizer(directory, TokenizerConfig(dialect="hf", do_lower_case=True))


def tiny_module(directory: Path, *, backend: str = "openvino", **options: Any) -> Module:
    return Module(checkpoint=tiny_checkpoint(**options), tokenizer=tiny_tokenizer(directory), backend=backend)
