"""Made examples of the tasks that a tiny module can learn, and the module.

Sentences are drawn from a few words, and what is to be answered follows from them: whether a cat is there, whether two
sentences name the same animal, how many words two share, which words are places, and who is asked for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from tiny import tiny_config, tiny_tokenizer

from wellread.checkpoints.checkpoint import Checkpoint, in_memory
from wellread.config import SentenceConfig
from wellread.data.examples import Examples, take_examples
from wellread.learn.init import fresh_arrays
from wellread.learn.settings import FinetuneConfig, LoopConfig
from wellread.module import Module

WHO = ("man", "woman", "cat")
PLACES = ("paris", "france")
WORDS = "a is playing the guitar flute runs sleeps of".split()
COLUMNS = {
    "classify": {"label": "label"},
    "pair": {"pair": "pair", "label": "label"},
    "similarity": {"pair": "pair", "score": "score"},
    "tag": {"tags": "tags"},
    "answer": {"pair": "pair", "answers": "answers"},
    "multilabel": {"label_set": "label_set"},
    "score": {"score": "score"},
    "rank": {"pair": "pair", "score": "score"},
}


def made_module(directory: Path, *, distilbert: bool = False, seed: int = 0, **changes: Any) -> Module:
    """Make a BERT of one layer without dropout, or the same of the DistilBERT family; V 99, D 24, H 4, F 48, P 41."""
    shape = {"hidden_size": 24, "num_hidden_layers": 1, "intermediate_size": 48, "initializer_range": 0.2}
    family = {"type_vocab_size": 0, "pooler": "first_token"} if distilbert else {}
    off = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config = tiny_config(**{**shape, **family, **off, **changes})
    sentence = SentenceConfig(max_seq_length=32)
    checkpoint = Checkpoint(
        family="distilbert" if distilbert else "bert",
        config=config,
        sentence=sentence,
        tensors=in_memory(fresh_arrays(config, sentence, seed=seed)),
    )
    tokenizer, provenance = tiny_tokenizer(directory), {"handle": "made"}
    return Module(checkpoint=checkpoint, tokenizer=tokenizer, backend="torch", provenance=provenance)


def made_rows(task: str, count: int, *, seed: int = 0) -> list[dict[str, object]]:
    """Draw `count` examples of a task."""
    rng = np.random.default_rng(seed)
    return [MAKERS[task](rng) for _ in range(count)]


def made_examples(task: str, count: int, *, seed: int = 0) -> Examples:
    return take_examples(made_rows(task, count, seed=seed), **COLUMNS[task])


def settings(**loop: Any) -> FinetuneConfig:
    """Return settings that suit the made module; what is given goes to the loop, or to the config."""
    own = {key: loop.pop(key) for key in [*loop] if key in FinetuneConfig.__dataclass_fields__}
    plain = {"num_train_epochs": 12, "per_device_train_batch_size": 16, "learning_rate": 5e-3, "logging_steps": 10}
    whole = {"lr_scheduler_type": "linear", "warmup_ratio": 0.1, "save_steps": 0, "bf16": "false", **plain, **loop}
    config = {"max_seq_length": 32, "head_dropout": 0.0, "doc_stride": 4, **own}
    return FinetuneConfig(**config, loop=LoopConfig(**whole))


def _words(rng: np.random.Generator) -> list[str]:
    return [str(word) for word in rng.choice(WORDS, rng.integers(3, 8))]


def _sentence(rng: np.random.Generator, who: str) -> str:
    words = _words(rng)
    return " ".join([*words[:2], who, *words[2:]])


def _classify(rng: np.random.Generator) -> dict[str, object]:
    who = str(rng.choice(["cat", "man"]))
    return {"text": _sentence(rng, who), "label": "animal" if who == "cat" else "person"}


def _pair(rng: np.random.Generator) -> dict[str, object]:
    first, second = (str(word) for word in rng.choice(["cat", "man"], 2))
    return {"text": _sentence(rng, first), "pair": _sentence(rng, second), "label": int(first == second)}


def _similarity(rng: np.random.Generator) -> dict[str, object]:
    first, second = (str(word) for word in rng.choice(WHO, 2))
    score = 5.0 if first == second else 1.0
    return {"text": _sentence(rng, first), "pair": _sentence(rng, second), "score": score}


def _tag(rng: np.random.Generator) -> dict[str, object]:
    words = _sentence(rng, str(rng.choice(WHO))).split()
    words.insert(int(rng.integers(len(words))), str(rng.choice(PLACES)))
    tags = {**dict.fromkeys(PLACES, "B-LC"), **dict.fromkeys(WHO, "B-PS")}
    return {"text": words, "tags": [tags.get(word, "O") for word in words]}


def _answer(rng: np.random.Generator) -> dict[str, object]:
    words = _words(rng)
    words.insert(int(rng.integers(len(words))), place := str(rng.choice(PLACES)))
    context = " ".join(words)
    answers = [{"text": place, "answer_start": context.index(place)}]
    return {"text": "a man of", "pair": context, "answers": answers}


def _multilabel(rng: np.random.Generator) -> dict[str, object]:
    words = _sentence(rng, str(rng.choice(["cat", "man"]))).split()
    words += [str(rng.choice(PLACES))] if rng.random() < 0.5 else []
    kinds = {"animal": {"cat"}, "place": {*PLACES}}
    return {"text": " ".join(words), "label_set": [kind for kind, names in kinds.items() if names & {*words}]}


def _score(rng: np.random.Generator) -> dict[str, object]:
    count = int(rng.integers(4))
    words = [*_words(rng), *["cat"] * count]
    return {"text": " ".join(map(str, rng.permutation(words))), "score": count / 2}


def _rank(rng: np.random.Generator) -> dict[str, object]:
    row = _pair(rng)
    return {"text": row["text"], "pair": row["pair"], "score": float(row["label"] == 1)}


MAKERS = {"classify": _classify, "pair": _pair, "similarity": _similarity, "tag": _tag, "answer": _answer}
MAKERS |= {"multilabel": _multilabel, "score": _score, "rank": _rank}
