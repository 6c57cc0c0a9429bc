"""Document 002, the distilkobert package, runs as written after `wellread.compat.install()`."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from exports import KOBERT, KOBERT_CONFIG
from hub_server import ReadableHub, serving

from wellread.backends.backend import load_backend
from wellread.checkpoints.checkpoint import Checkpoint, in_memory
from wellread.checkpoints.families.distilbert import FAMILY
from wellread.checkpoints.family import to_theirs
from wellread.checkpoints.names import shapes
from wellread.config import EncoderConfig
from wellread.module import Module
from wellread.text.tokenizer import load_tokenizer

BLOCKS = Path(__file__).parent / "package_blocks.py"
SIZES = {"vocab_size": 8002, "hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072}
TEACHER = EncoderConfig(**SIZES, num_hidden_layers=12, pad_token_id=1)
STUDENT = EncoderConfig(**SIZES, num_hidden_layers=3, pad_token_id=1, type_vocab_size=0, pooler="first_token")
PUBLISHED = {  # config.json of monologg/distilkobert
    **{"model_type": "distilbert", "architectures": ["DistilBertForMaskedLM"], "activation": "gelu"},
    **{"vocab_size": 8002, "dim": 768, "n_layers": 3, "n_heads": 12, "hidden_dim": 3072, "pad_token_id": 1},
    **{"dropout": 0.1, "attention_dropout": 0.1, "qa_dropout": 0.1, "seq_classif_dropout": 0.2},
    **{"max_position_embeddings": 512, "initializer_range": 0.02, "sinusoidal_pos_embds": False, "tie_weights_": True},
}
PRINTED = [
    ["[CLS]", "▁한국", "어", "▁모델", "을", "▁공유", "합니다", ".", "[SEP]"],
    [2, 4958, 6855, 2046, 7088, 1050, 7843, 54, 3],
]


def drawn(config: EncoderConfig, *, mlm: bool = False) -> dict[str, np.ndarray]:
    """Draw weights as before a training."""
    rng = np.random.default_rng(0)
    wanted = shapes(config, mlm=mlm).items()
    scaled = {name: rng.standard_normal(shape, np.float32) * np.float32(0.02) for name, shape in wanted}
    return {name: array + np.float32(name.endswith("LayerNorm.weight")) for name, array in scaled.items()}


@pytest.fixture(scope="module")
def student() -> dict[str, np.ndarray]:
    return drawn(STUDENT, mlm=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory, student):
    """What the blocks print, beside `kobert` and with a hub that holds DistilKoBERT as it is published."""
    place = tmp_path_factory.mktemp("002")
    tokenizer = load_tokenizer(KOBERT, KOBERT_CONFIG)
    checkpoint = Checkpoint(family="bert", config=TEACHER, tensors=in_memory(drawn(TEACHER)))
    Module(checkpoint=checkpoint, tokenizer=tokenizer).save(place / "kobert")
    hub = type("Hub", (ReadableHub,), {"repositories": {"monologg/distilkobert": published(place, student)}})
    with serving(hub) as address:
        printed = run(place, HF_ENDPOINT=address)
    yield {**printed, "fetched": [request["path"] for request in hub.seen if request["method"] == "GET"]}
    shutil.rmtree(place)  # 480 MB


def published(place: Path, student: dict[str, np.ndarray]) -> dict[str, bytes | Path]:
    """Lay the repository out: a file of torch's, with the output table beside the word table that it is tied to."""
    named = to_theirs(FAMILY, STUDENT, student, mlm=True)
    named["vocab_projector.weight"] = named["distilbert.embeddings.word_embeddings.weight"]
    torch.save({name: torch.from_numpy(array) for name, array in named.items()}, place / "pytorch_model.bin")
    return {
        "config.json": json.dumps(PUBLISHED).encode(),
        "pytorch_model.bin": place / "pytorch_model.bin",
        "tokenizer_config.json": json.dumps({"do_lower_case": False, "max_len": 512}).encode(),
        "tokenizer_78b3253a26.model": KOBERT / "tokenizer_78b3253a26.model",
        "vocab.txt": KOBERT / "vocab.txt",
        "tokenization_kobert.py": b"raise SystemExit('no code of a repository runs')",
    }


def run(place: Path, **environment: str):
    """Run the blocks in a process with a home of its own."""
    own = {name: str(place / name) for name in ("HOME", "HF_HOME", "WELLREAD_CACHE")}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(BLOCKS)],
        cwd=place,
        env={**os.environ, **own, "NO_PROXY": "127.0.0.1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_kobert_opens_in_transformers_and_gives_what_ours_gives(made):
    assert max(made["kobert_in_transformers"]) < 1e-5


@pytest.mark.parametrize("block", ["kobert_s_tokenizer", "distilkobert_s_tokenizer"])
def test_pieces_and_ids_are_the_printed_ones(made, block):
    assert made[block] == PRINTED


def test_distilkobert_gives_its_hidden_states(made, student):
    """Against the float64 reference; the printed numbers are of weights that were replaced in 2019."""
    found, parameters, *states = made["distilkobert"]
    assert found == [[2, 3, 768]] * 4
    assert parameters == 27_803_904
    arrays = {name: student[name] for name in shapes(STUDENT)}
    checkpoint = Checkpoint(family="distilbert", config=STUDENT, tensors=in_memory(arrays))
    inputs = {"input_word_ids": [[31, 51, 99], [15, 5, 0]], "input_mask": [[1, 1, 1], [1, 1, 0]]}
    batch = {name: np.array(rows, np.int32) for name, rows in inputs.items()}
    reference = load_backend("numpy", checkpoint).run(batch, ["embedding_output", "encoder_outputs"])
    expected = [reference["embedding_output"], *reference["encoder_outputs"]]
    for state, right in zip(states, expected, strict=True):
        assert np.allclose(state, right.ravel()[::97], rtol=0, atol=1e-5)


def test_the_weights_are_fetched_once_and_no_code(made):
    files = [path.rpartition("/")[2] for path in made["fetched"] if "/resolve/" in path]
    assert files.count("pytorch_model.bin") == 1
    assert "tokenization_kobert.py" not in files
