"""Write a golden directory: modules, a stopped run of each of two verbs, and losses, as this version makes them.

    PYTHONPATH=src:tests python tools/golden.py DIRECTORY

`tests/data/golden` was written by version 0.1.0, at the commit that added it, and is kept to compare later versions
with; writing it anew with a later one would compare that with itself. DIRECTORY must not exist.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import test_golden
import torch

import wellread

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WHO = ["man", "woman", "boy", "girl", "cat", "dog"]
STEMS = ["play", "sing", "sleep", "read", "walk", "jump"]
PLACES = ["paris", "france", "london", "rome"]
SMALL = ["a", "the", "two", "old", "small", "red", "in", "of", "is", "are", "and", "who", "where", "what", "did", "not"]
THINGS = ["guitar", "song", "book", "garden", "street", "house", "flute", "home", "bridge", "boat"]
ENDINGS = ["##s", "##ing", "##ed", "##er", "##n", "##nn"]
LETTERS = [prefix + chr(code) for prefix in ("", "##") for code in range(ord("a"), ord("z") + 1)]
WORDS = [*SMALL, *WHO, *STEMS, *PLACES, *THINGS, "run", "ran", "loud", "quiet"]
PIECES = [*SPECIAL, *dict.fromkeys([*WORDS, *ENDINGS, *LETTERS]), ".", ",", "?", "!"]

LOOP = "--max-steps 20 --logging-steps 1 --save-steps 0 --bf16 false --max-seq-length 24 --adam-epsilon 1e-4 --seed 7"
DISTILL = f"{LOOP} --backend torch --min-tokens 0 --per-device-train-batch-size 6 --gradient-accumulation-steps 3"
SHAPE = "--num-hidden-layers 2 --hidden-size 8 --num-attention-heads 2"
FINETUNE = f"{LOOP} --per-device-train-batch-size 8 --learning-rate 1e-3"
PRETRAIN = f"{LOOP} --per-device-train-batch-size 8 --learning-rate 1e-3"
RESUMED = {
    "mlm": f"pretrain texts.txt -m encoder {PRETRAIN} --save-steps 10",
    "classify": f"finetune classify classify.tsv -m encoder {FINETUNE} --save-steps 10",
}
MADE = {
    "pair": f"finetune pair pair.tsv -m distilbert {FINETUNE} --max-seq-length 30",
    "similarity": f"finetune similarity similarity.tsv -m encoder {FINETUNE}",
    "tag": f"finetune tag tag.conll -m distilbert {FINETUNE}",
    "answer": f"finetune answer answer.json -m encoder {FINETUNE} --doc-stride 4",
    "sentence": f"distill texts.txt -m encoder --recipe default {DISTILL} {SHAPE} --dtype float16",
}
PAIR = f"{FINETUNE} --max-seq-length 30"
FRESH = "--config shape.json --train-vocab wordpiece --vocab-size 97 --lower-case"
RUNS = {
    "pretrain pieces": f"pretrain texts.txt -m mlm --masking pieces {PRETRAIN}",
    "pretrain words": f"pretrain texts.txt -m mlm --masking words {PRETRAIN}",
    "pretrain smoothed": f"pretrain texts.txt -m mlm --masking smoothed {PRETRAIN}",
    "pretrain fresh": f"pretrain texts.txt {FRESH} {PRETRAIN}",
    "pretrain kobert": f"pretrain korean.txt -m kobert {PRETRAIN}",
    "finetune classify": f"finetune classify classify.tsv -m distilbert {FINETUNE}",
    "finetune pair": f"finetune pair pair.tsv -m encoder {PAIR}",
    "finetune similarity": f"finetune similarity similarity.tsv -m sentence {FINETUNE}",
    "finetune contrastive": f"finetune similarity similarity.tsv -m encoder --loss contrastive --scale 5 {FINETUNE}",
    "finetune tag": f"finetune tag tag.conll -m encoder {FINETUNE}",
    "finetune answer": f"finetune answer answer.json -m distilbert {FINETUNE} --doc-stride 4",
    "distill default": f"distill steady.txt -m encoder --recipe default {DISTILL} {SHAPE}",
    "distill leaf": f"distill steady.txt -m sentence --recipe leaf {DISTILL} {SHAPE}",
    "distill distilbert": f"distill texts.txt -m mlm --recipe distilbert --teacher-layers 0,2 {DISTILL}",
    "distill distilkobert": f"distill korean.txt -m kobert --recipe distilkobert --teacher-layers 0,1 {DISTILL}",
    "distill minilm": f"distill steady.txt -m encoder --recipe minilm --relation-heads 4 {DISTILL} {SHAPE}",
    "distill well-read": f"distill steady.txt -m classify --recipe well-read --student distilbert {DISTILL}",
}


def main() -> None:
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True)  # not where one exists
    test_golden.GOLDEN = directory = directory.resolve()
    write_data(directory)
    write_peers(directory)
    for name, command in RESUMED.items():
        stopped_run(command.split(), directory / name)
    resumed = {name: record(command, directory, name) for name, command in RESUMED.items()}
    for name, command in MADE.items():
        record(command, directory, name)
    write_steady_texts(directory)
    losses = {name: record(command, directory) for name, command in RUNS.items()}
    modules = {name: wellread.load(directory / name) for name in test_golden.MODULES}
    arrays = {
        f"{name}/{key}": array for name in modules for key, array in test_golden.outputs(modules[name], name).items()
    }
    np.savez_compressed(directory / "expected.npz", **arrays)
    judged = {
        name: test_golden.predictions(module, name)
        for name, module in modules.items()
        if "predict" in test_golden.MODULES[name].split()
    }
    for name, value in {"resumed": resumed, "losses": losses, "predictions": judged}.items():
        write_json(directory / f"{name}.json", value)


def write_json(path: Path, value: Mapping[str, object]) -> None:
    """Write a key a line."""
    lines = [f"{json.dumps(key)}: {json.dumps(one, ensure_ascii=False)}" for key, one in value.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")


def record(command: str, directory: Path, name: str | None = None) -> dict[str, object]:
    """Run a verb to its end, and keep its module under a name."""
    scratch = directory / "scratch"
    losses = test_golden.run(command, scratch / "module")
    if name:
        (scratch / "module").rename(directory / name)
    shutil.rmtree(scratch)
    return {"command": command, "losses": losses}


def stopped_run(arguments: list[str], output: Path) -> None:
    """Start a run, and kill it when its first checkpoint is there."""
    command = [sys.executable, "-m", "wellread.cli.main", *arguments, "-o", str(output)]
    run_directory = output.with_name(f"{output.name}-run")
    child = subprocess.Popen(command, cwd=output.parent, env=os.environ)
    while not (run_directory / "checkpoint-10").exists():
        time.sleep(0.0005)
        if child.poll() is not None:
            raise SystemExit(f"{command} was to be stopped; it ended with {child.returncode} before step 10")
    child.send_signal(signal.SIGKILL)
    child.wait()
    if output.exists() or (run_directory / "checkpoint-20").exists():
        raise SystemExit(f"{command} ended before it was stopped; remove the directory and try again")


# -- texts and labelled rows -------------------------------------------------------------------------------------------


def sentence(rng: random.Random, who: str | None = None, place: str | None = None) -> list[str]:
    """Draw 6 to 11 words about somebody somewhere."""
    start = [
        rng.choice(["a", "the"]),
        *rng.sample(["old", "small", "red", "quiet"], rng.randint(0, 2)),
        who or rng.choice(WHO),
    ]
    verb = [rng.choice(STEMS) + rng.choice(["s", "ed"])] if rng.random() < 0.5 else ["is", rng.choice(STEMS) + "ing"]
    return [*start, *verb, "a", rng.choice(THINGS), "in", place or rng.choice(PLACES)]


def write_steady_texts(directory: Path) -> None:
    """Keep texts of which no number that a student learns from lies at the edge between two of half precision.

    A run rounds what the teacher says to float16: there the last bit of a float32, which is the CPU's, would decide.
    """
    rng = random.Random(5)
    texts = list(dict.fromkeys(" ".join(sentence(rng)).capitalize() + "." for _ in range(1500)))
    encoder, *others = [
        wellread.load(directory / name, backend="torch") for name in ("encoder", "sentence", "classify")
    ]
    states = [encoder(text)["encoder_outputs"][-2] for text in texts]  # what enters the last layer
    vectors = [module.encode(texts, precision="f32") for module in (encoder, *others)]
    steady = [
        text
        for text, state, *numbers in zip(texts, states, *vectors, strict=True)
        if min(distance_to_edge(array) for array in (state, *numbers)) > 3e-6
    ]
    (directory / "steady.txt").write_text("\n".join(steady[:36]) + "\n", "utf-8")


def distance_to_edge(array: np.ndarray) -> float:
    """Return how far the nearest number is from where its rounding to float16 would change; tiny ones are left out."""
    half = array.astype(np.float16)
    spacing = np.spacing(np.abs(half)).astype(np.float64)
    distances = spacing / 2 - np.abs(array.astype(np.float64) - half)
    return float(distances[spacing >= 2**-14].min(initial=1))


def write_data(directory: Path) -> None:
    rng = random.Random(3)
    lines = list(dict.fromkeys(" ".join(sentence(rng)).capitalize() + "." for _ in range(36)))
    (directory / "texts.txt").write_text("\n".join(lines) + "\n", "utf-8")
    source = Path(wellread.__file__).parent / "export" / "texts" / "ko.txt.gz"
    with gzip.open(source, "rt", encoding="utf-8", newline="\n") as file:
        korean = [line for line in file.read().split("\n") if 8 <= len(line) <= 20]
    (directory / "korean.txt").write_text("\n".join(korean[:36]) + "\n", "utf-8")
    texts = [(who, sentence(rng, who)) for who in rng.choices(WHO, k=36)]
    kind = {"cat": "animal", "dog": "animal"}
    columns = {
        "classify": [("text", "label"), *((" ".join(text), kind.get(who, "person")) for who, text in texts)],
        "pair": [("text", "pair", "label")],
        "similarity": [("text", "pair", "score")],
    }
    for (who, first), (other, second) in pairwise(texts):
        pair = (" ".join(first), " ".join(second))
        columns["pair"].append((*pair, "same" if who == other else "other"))
        columns["similarity"].append((*pair, str(len({*first} & {*second}) / 2)))
    for name, rows in columns.items():
        (directory / f"{name}.tsv").write_text("".join("\t".join(row) + "\n" for row in rows), "utf-8")
    tags = {**dict.fromkeys(WHO, "B-PER"), **dict.fromkeys(PLACES, "B-LOC")}
    tagged = ["".join(f"{word} {tags.get(word, 'O')}\n" for word in text) for _, text in texts]
    (directory / "tag.conll").write_text("\n".join(tagged), "utf-8")
    write_json(
        directory / "answer.json", {"data": [{"paragraphs": [paragraph(n, text) for n, (_, text) in enumerate(texts)]}]}
    )
    shape = {"vocab_size": 97, "hidden_size": 12, "num_hidden_layers": 1, "num_attention_heads": 3}
    write_json(
        directory / "shape.json",
        {**shape, "intermediate_size": 20, "max_position_embeddings": 31, "type_vocab_size": 2},
    )


def paragraph(number: int, words: list[str]) -> dict[str, object]:
    context, place = " ".join(words), words[-1]
    answers = [{"text": place, "answer_start": context.rindex(place)}]
    return {"context": context, "qas": [{"id": str(number), "question": "where ?", "answers": answers}]}


# -- modules of peers, with drawn weights ------------------------------------------------------------------------------


def write_peers(directory: Path) -> None:
    """Save encoders as transformers makes them, and write them anew as wellread does."""
    from transformers import BertConfig, BertForMaskedLM, BertModel, DistilBertConfig, DistilBertModel

    bert = {"hidden_size": 12, "num_attention_heads": 4, "intermediate_size": 37, "max_position_embeddings": 41}
    distilbert = {"dim": 20, "n_heads": 5, "hidden_dim": 27, "n_layers": 2, "max_position_embeddings": 33}
    drawn = {"initializer_range": 0.25}
    korean = {"vocab_size": 199, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 29}
    korean |= {"max_position_embeddings": 35, "pad_token_id": 1}
    peers = {
        "encoder": (BertModel, BertConfig, {"vocab_size": len(PIECES), **bert, "num_hidden_layers": 3}),
        "distilbert": (DistilBertModel, DistilBertConfig, {"vocab_size": len(PIECES), **distilbert}),
        "kobert": (BertForMaskedLM, BertConfig, {**korean, "num_hidden_layers": 2}),
        "sentencepiece": (BertForMaskedLM, BertConfig, {**korean, "num_hidden_layers": 1}),
    }
    for seed, (name, (kind, config, sizes)) in enumerate(peers.items(), 11):
        torch.manual_seed(seed)
        source = directory / "scratch"
        kind(config(**sizes, **drawn)).save_pretrained(source)
        write_vocabulary(source, name, directory / "korean.txt")
        wellread.load(source).save(directory / name)
        shutil.rmtree(source)


def write_vocabulary(source: Path, name: str, korean: Path) -> None:
    """Write a vocab.txt, a SentencePiece model with the special tokens inside, or both as KoBERT has them."""
    if name in ("encoder", "distilbert"):
        (source / "vocab.txt").write_text("".join(f"{piece}\n" for piece in PIECES), "utf-8")
        write_json(source / "tokenizer_config.json", {"do_lower_case": True})
        return
    import sentencepiece

    special = ["[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]"]
    model = io.BytesIO()
    own = {"unk_id": 0, "unk_piece": "[UNK]", "bos_id": -1, "eos_id": -1, "user_defined_symbols": special[1:]}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(korean.read_text("utf-8").splitlines()),
        model_writer=model,
        vocab_size=195,
        character_coverage=0.98,
        normalization_rule_name="identity",
        minloglevel=2,
        **(own if name == "sentencepiece" else {}),
    )
    (source / "tiny.model").write_bytes(model.getvalue())
    if name == "kobert":
        processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
        pieces = [processor.id_to_piece(number) for number in range(3, processor.get_piece_size())]
        (source / "vocab.txt").write_text("\n".join([*special, *pieces[::-1]]), "utf-8")


if __name__ == "__main__":
    main()
