"""Is an exported artefact the module it was made of? It is loaded by its real consumer and compared with float64."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wellread.backends.backend import load_backend
from wellread.checkpoints.checkpoint import Checkpoint
from wellread.data.corpus import stream_texts
from wellread.encoder.encoder import INPUTS
from wellread.encoder.heads import LOGITS_OUTPUT, MLM_INPUT, MLM_OUTPUT
from wellread.encoder.inputs import DEFAULT_OUTPUTS as OUTPUTS
from wellread.errors import ExportError
from wellread.export.dialect import SEQ_LENGTH
from wellread.text.batch import Ragged, bert_pack_inputs
from wellread.text.sentencepiece import SentencePieceEngine
from wellread.text.tokenizer import Tokenizer

Array = NDArray[Any]
TOLERANCE = 1e-5  # of the largest number of the reference, or of 1 where that is larger
EVERY = 10  # the consumer does on every tenth text what it need not do on all
MAX_TIES = 0.015  # share of texts that SentencePiece's builds may cut differently, scores being equal
SAME_SCORE = 1e-3  # log-probabilities of whole texts, in float32
TIMEOUT = 1800  # seconds: a consumer that takes longer hangs
LANGUAGES = ("en", "ko")
HOSTILE = (
    "",
    " ",
    "\t\r\n \u00a0\u3000",
    "\0",
    "a\0b\x01c\x7fd\x97e",
    "[CLS] [SEP] [MASK] [PAD] [UNK] ##ing [unused1]",
    "...., ??!! ---- ====",
    "İstanbul ΟΔΥΣΣΕΥΣ Straße ǅ ﷺ ｱﾞ ㌔ ™ ½ ² ﬁ …",
    "e\u0323\u0301 é \u0301x Å \u212b",
    "a\u200bb\u200cc\u200dd\u00ade\ufefff\ufffdg",
    "👩‍👩‍👧‍👦 🇰🇷 👍🏽 🤷🏽‍♀️",
    "שלום עולם \u202eabc\u202c مرحبا ١٢٣",
    "漢字かな交じり文 カタカナ ㈱ ①",
    "한국어 모델을 공유합니다.",
    "\u1112\u1161\u11ab\u1100\u116e\u11a8\u110b\u1165",  # Hangul, decomposed
    "ㅋㅋㅋㅋ ㅠㅠ ㅎㅎ ᄒᆞᆫ글",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𐍈 \U000e0041 \ue000",
    "x" * 100 + " " + "x" * 101 + " " + "é" * 50 + " " + "é" * 51,
    "word " * 2000,
    "y" * 20_000,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderParity:
    """How near the exported encoder is to the reference."""

    batches: int
    outputs: int  # arrays compared
    largest_difference: float  # over max(1, the largest number of the reference array)
    loss: tuple[float, float]  # before and after one training step


@dataclass(frozen=True, slots=True, kw_only=True)
class PreprocessorParity:
    """How near the exported preprocessor is to our own text rules."""

    texts: int
    ties: int  # texts cut differently at exactly the same score


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written, and how it was found to agree."""

    encoder: EncoderParity
    preprocessor: PreprocessorParity | None = None
    notes: tuple[str, ...] = ()


def read_lines(language: str) -> list[str]:
    """Return the 10,000 lines of a language; `texts/README.md` says where they come from."""
    return list(stream_texts([Path(__file__).parent / "texts" / f"{language}.txt.gz"]))


def all_texts() -> list[str]:
    """Return the lines of every language, then the hostile strings.

    >>> len(all_texts()) >= 20_000
    True
    """
    return [line for language in LANGUAGES for line in read_lines(language)] + list(HOSTILE)


# -- the encoder -----------------------------------------------------------------------------------------------------


def trial_batches(checkpoint: Checkpoint, tokenizer: Tokenizer, texts: list[str]) -> list[dict[str, Array]]:
    """Make what the encoder is tried on: real texts, random ids under random masks, a text as long as can be.

    A long row of random ids would say little: float32 itself may be further from float64 there than a text is.
    """
    config, rng = checkpoint.config, np.random.default_rng(0)
    longest = config.max_length
    real = tokenizer.tokenize(texts[:3] + texts[10_000:10_003])
    long = tokenizer.tokenize([" ".join(texts[:longest])])
    packed = dict(tokenizer.template.pack([real], seq_length=min(48, longest)))
    packed_long = dict(tokenizer.template.pack([long], seq_length=longest))
    shape = (3, min(17, longest))
    lengths = np.arange(3)[:, None] * shape[1] // 2  # the first: no token
    drawn = {
        "input_word_ids": rng.integers(0, config.vocab_size, shape),
        "input_mask": np.broadcast_to(np.arange(shape[1]) < lengths, shape),
        "input_type_ids": rng.integers(0, max(config.type_vocab_size, 1), shape),
    }
    batches = [packed, {name: np.ascontiguousarray(drawn[name], np.int32) for name in INPUTS}, packed_long]
    if checkpoint.has_mlm:
        for batch in batches:
            rows, tokens = batch["input_word_ids"].shape
            batch[MLM_INPUT] = rng.integers(0, tokens, (rows, 5)).astype(np.int32)
    return batches


def compare_encoder(
    checkpoint: Checkpoint, batches: list[dict[str, Array]], outputs: Mapping[str, Array], report: Mapping[str, Any]
) -> EncoderParity:
    """Compare what the consumer's calls gave, and its training step. Raises: ExportError that lists the faults."""
    reference = load_backend("numpy", checkpoint)
    head = checkpoint.head
    names = [*OUTPUTS, *([MLM_OUTPUT] if checkpoint.has_mlm else [])]
    names += [LOGITS_OUTPUT] if head is not None and head.outputs else []
    differences: dict[str, float] = {}
    for index, batch in enumerate(batches):
        expected: dict[str, Array] = {}
        for name, value in reference.run(batch, names).items():
            expected |= {f"{name}_{i}": x for i, x in enumerate(value)} if isinstance(value, list) else {name: value}
        for where, source in _sources(checkpoint, expected):
            differences[f"{index}/{where}"] = difference(outputs.get(f"{index}/{where}"), expected[source])
    faults = [f"{where} differs by {by:.3g}" for where, by in differences.items() if not by <= TOLERANCE]
    faults += [f"{where} is surplus" for where in sorted(outputs.keys() - differences.keys())]
    labels, exported = list(head.labels) if head is not None else [], report.get("labels", [])
    faults += [] if exported == labels else [f"the labels are {exported} where the module has {labels}"]
    faults += _training_faults(checkpoint, report)
    if faults:
        raise ExportError(
            f"the exported encoder must agree with the module within {TOLERANCE:g} of its largest numbers; found that "
            f"{'; '.join(faults[:8])}{f' and {len(faults) - 8} more' if len(faults) > 8 else ''}; nothing was kept"
        )
    before, after = report["encoder_training"]["loss"]
    return EncoderParity(
        batches=len(batches),
        outputs=len(differences),
        largest_difference=max(differences.values()),
        loss=(before, after),
    )


def _sources(checkpoint: Checkpoint, expected: Mapping[str, Array]) -> list[tuple[str, str]]:
    """Pair every array that a call gives with the reference that it must equal."""
    from wellread.export.graphs import layer_name  # TensorFlow's door; a parity check has passed it by now

    encoder = [name for name in expected if name != MLM_OUTPUT]
    extra = [("default", "pooled_output")] if checkpoint.family == "bert" else []
    named = [*((name, name) for name in encoder), *extra]
    pairs = [(f"{where}/{name}", source) for where in ("call", "own", "named") for name, source in named]
    if checkpoint.has_mlm:
        pairs += [(f"mlm/{name}", name) for name in expected if name != LOGITS_OUTPUT]
    layer = layer_name(checkpoint)
    numbered = [pair for pair in named if pair[0] != LOGITS_OUTPUT]
    pairs += [(f"serving_default/{name}", name) for name in expected if name == LOGITS_OUTPUT]
    # by key, and encoder_outputs_10 behind encoder_outputs_9
    in_order = sorted(numbered, key=lambda pair: (re.sub(r"_\d+$", "", pair[0]), len(pair[0]), pair[0]))
    pairs += [(f"serving_default/{f'{layer}_{i}' if i else layer}", source) for i, (_, source) in enumerate(in_order)]
    return pairs


def difference(output: Array | None, expected: Array) -> float:
    """Return the largest difference over max(1, the largest number expected); infinite where shapes differ, or of NaN.

    >>> difference(np.array([1.0, 2.5]), np.array([1.0, 2.0])), difference(np.array([np.nan]), np.array([1.0]))
    (0.25, inf)
    """
    if output is None or output.shape != expected.shape:
        return float("inf")
    found = float(np.abs(output - expected).max(initial=0) / max(1.0, np.abs(expected).max(initial=0)))
    return float("inf") if np.isnan(found) else found  # a NaN is passed over by Python's max, and would seem to agree


def _training_faults(checkpoint: Checkpoint, report: Mapping[str, Any]) -> list[str]:
    config = checkpoint.config
    drops = max(config.hidden_dropout_prob, config.attention_probs_dropout_prob) > 0
    faults = []
    for name in ("encoder_training", "mlm_training"):
        if name in report:
            step = report[name]
            before, after = step["loss"]
            if not after < before:
                faults.append(f"a training step took the loss from {before:.6g} to {after:.6g}")
            faults += [f"{variable} gets no gradient" for variable in step["without_gradient"]]
            if bool(step["dropout_spread"]) != drops:
                faults.append(f"dropout moves the outputs by {step['dropout_spread']}")
    return faults


# -- the preprocessor ------------------------------------------------------------------------------------------------


def compare_preprocessor(
    tokenizer: Tokenizer, texts: list[str], arrays: Mapping[str, Array], report: Mapping[str, Any]
) -> PreprocessorParity:
    """Compare what the consumer tokenized and packed. Raises: ExportError that lists the faults."""
    ours = tokenizer.tokenize(texts)
    theirs = Ragged(values=arrays["values"], splits=arrays["splits"])
    different = {i for i, (a, b) in enumerate(zip(ours, theirs, strict=True)) if not np.array_equal(a, b)}
    ties = {i for i in different if _is_tie(tokenizer, ours[i], theirs[i])}
    faults = [
        f"{texts[i][:40]!r} became {theirs[i].tolist()[:8]}, not {ours[i].tolist()[:8]}" for i in different - ties
    ]
    if len(ties) > MAX_TIES * len(texts):
        faults.append(f"{len(ties)} of {len(texts)} texts were cut differently at the same score")
    if report["special_tokens"] != tokenizer.get_special_tokens_dict():
        faults.append(f"the special tokens are {report['special_tokens']}, not {tokenizer.get_special_tokens_dict()}")
    if not np.array_equal(arrays["some_values"], theirs.take(range(0, len(texts), EVERY)).values):
        faults.append("tokenize_with_offsets gives other tokens than tokenize")
    faults += _packing_faults(tokenizer, theirs, arrays)
    if faults:
        raise ExportError(
            f"the exported preprocessor must give the ids of the {tokenizer.config.dialect} dialect on {len(texts)} "
            f"texts; found {len(faults)} faults: {'; '.join(faults[:4])}; nothing was kept"
        )
    return PreprocessorParity(texts=len(texts), ties=len(ties))


def _packing_faults(tokenizer: Tokenizer, rows: Ragged, arrays: Mapping[str, Array]) -> list[str]:
    """Compare what was packed of these very rows, alone and in pairs."""
    backwards = rows.take(np.arange(len(rows))[::-1])
    some = bert_pack_inputs([rows.take(range(0, len(rows), EVERY))], special=tokenizer.special, seq_length=SEQ_LENGTH)
    pair = bert_pack_inputs([rows, backwards], special=tokenizer.special, seq_length=64)
    faults = []
    for where, batch in (("some", some), ("pair", pair)):
        names = [name for name in INPUTS if f"{where}/{name}" in arrays]
        wrong = [name for name in names if not np.array_equal(arrays[f"{where}/{name}"], batch[name])]
        faults += [f"{name} of {where} texts is packed otherwise" for name in wrong]
        faults += [] if names[:2] == list(INPUTS[:2]) else [f"{where} texts lack ids or mask"]
    return faults


def _is_tie(tokenizer: Tokenizer, ours: Array, theirs: Array) -> bool:
    """Say whether two segmentations are of the same text at the same score, so that neither is the better."""
    engine = tokenizer.engine
    if not isinstance(engine, SentencePieceEngine):
        return False
    pieces = [tokenizer.pieces(ids.tolist()) for ids in (ours, theirs)]
    scores = [sum(engine.processor.get_score(engine.processor.piece_to_id(p)) for p in row) for row in pieces]
    return "".join(pieces[0]) == "".join(pieces[1]) and abs(scores[0] - scores[1]) <= SAME_SCORE


# -- both, in the consumer's process ---------------------------------------------------------------------------------


def check_export(
    checkpoint: Checkpoint, tokenizer: Tokenizer, *, encoder: Path, preprocessor: Path | None = None
) -> Exported:
    """Load SavedModels with tensorflow-hub in a fresh process and compare them with `checkpoint` and `tokenizer`.

    The encoder on random and real batches, against the NumPy backend; by its call, its signatures, its `.mlm`; one
    training step must lower a loss. The preprocessor on 20,000 English and Korean lines and hostile strings.

    Raises: ExportError that says what differs, and by how much.
    """
    texts = all_texts()
    batches = trial_batches(checkpoint, tokenizer, texts)
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        request = {"encoder": str(encoder), "preprocessor": str(preprocessor) if preprocessor else None, "every": EVERY}
        (directory / "request.json").write_text(json.dumps(request), "utf-8")
        (directory / "texts.json").write_text(json.dumps(texts), "utf-8")
        inputs = {f"{i}/{name}": x for i, batch in enumerate(batches) for name, x in batch.items()}
        np.savez(directory / "batches.npz", allow_pickle=False, **inputs)
        _consume(directory)
        report = json.loads((directory / "report.json").read_text("utf-8"))
        parity = compare_encoder(checkpoint, batches, _load(directory / "outputs.npz"), report)
        arrays = _load(directory / "tokens.npz") if preprocessor else {}
        text = compare_preprocessor(tokenizer, texts, arrays, report) if preprocessor else None
    return Exported(encoder=parity, preprocessor=text)


def _consume(directory: Path) -> None:
    """Run the consumer; the last line of its stderr says what went wrong."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "",
    }
    command = [sys.executable, "-W", "ignore", "-m", "wellread.export.consumer", str(directory)]
    process = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=TIMEOUT)
    if process.returncode:
        last = process.stderr.strip().splitlines()[-1:] or [""]
        raise ExportError(
            f"the SavedModel was to be loaded back with tensorflow-hub; its process ended with code "
            f"{process.returncode}: {last[0]}; check that the packages of wellread[tf] are of one release"
        )


def _load(path: Path) -> dict[str, Array]:
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)
