"""The outputs of an exported encoder beside those of the NumPy backend, and what its training step showed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wellread.backends.backend import load_backend
from wellread.encoder.encoder import INPUTS
from wellread.encoder.heads import LOGITS_OUTPUT, MLM_INPUT, MLM_OUTPUT
from wellread.errors import ExportError
from wellread.module import DEFAULT_OUTPUTS as OUTPUTS
from wellread.text.pack import bert_pack_inputs
from wellread.text.tokenizer import Tokenizer
from wellread.weights.checkpoint import Checkpoint

Array = NDArray[Any]
TOLERANCE = 1e-5  # of the largest number of the reference, or of 1 where that is larger


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderParity:
    """How near the exported encoder is to the reference."""

    batches: int
    outputs: int  # arrays compared
    largest_difference: float  # over max(1, the largest number of the reference array)
    loss: tuple[float, float]  # before and after one training step


def trial_batches(checkpoint: Checkpoint, tokenizer: Tokenizer, texts: list[str]) -> list[dict[str, Array]]:
    """Make what the encoder is tried on: real texts, random ids under random masks, one as long as can be."""
    config, rng = checkpoint.config, np.random.default_rng(0)
    longest = config.max_position_embeddings
    real = tokenizer.tokenize(texts[:3] + texts[10_000:10_003])
    packed = dict(bert_pack_inputs([real], special=tokenizer.special, seq_length=min(48, longest)))
    batches: list[dict[str, Array]] = [packed]
    for rows, tokens in ((3, min(17, longest)), (1, longest)):
        shape = (rows, tokens)
        lengths = np.arange(rows)[:, None] * tokens // max(rows - 1, 1) if rows > 1 else tokens  # the first: no token
        batch = {
            "input_word_ids": rng.integers(0, config.vocab_size, shape),
            "input_mask": np.broadcast_to(np.arange(tokens) < lengths, shape),
            "input_type_ids": rng.integers(0, max(config.type_vocab_size, 1), shape),
        }
        batches.append({name: np.ascontiguousarray(batch[name], np.int32) for name in INPUTS})
    if checkpoint.has_mlm:
        for batch in batches:
            rows, tokens = batch["input_word_ids"].shape
            batch[MLM_INPUT] = rng.integers(0, tokens, (rows, 5)).astype(np.int32)
    return batches


def compare_encoder(
    checkpoint: Checkpoint, batches: list[dict[str, Array]], made: Mapping[str, Array], report: Mapping[str, Any]
) -> EncoderParity:
    reference = load_backend("numpy", checkpoint)
    judges = checkpoint.head is not None and checkpoint.head.outputs > 0
    wanted = [*OUTPUTS, *([MLM_OUTPUT] if checkpoint.has_mlm else []), *([LOGITS_OUTPUT] if judges else [])]
    differences: dict[str, float] = {}
    for index, batch in enumerate(batches):
        expected = _flat(reference.run(batch, wanted))
        for where, source in _sources(checkpoint, expected):
            differences[f"{index}/{where}"] = _difference(made.get(f"{index}/{where}"), expected[source])
    wrong = {where: difference for where, difference in differences.items() if not difference <= TOLERANCE}
    surplus = made.keys() - differences.keys()
    faults = [f"{where} differs by {difference:.3g}" for where, difference in wrong.items()]
    faults += [f"{where} is surplus" for where in sorted(surplus)]
    faults += _label_faults(checkpoint, report)
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
    from wellread.export.encoder_graph import LAYER_NAMES  # TensorFlow's door; a parity check has passed it by now

    encoder = [name for name in expected if name != MLM_OUTPUT]
    extra = [("default", "pooled_output")] if checkpoint.family == "bert" else []
    named = [*((name, name) for name in encoder), *extra]
    pairs = [(f"{where}/{name}", source) for where in ("call", "own", "named") for name, source in named]
    if checkpoint.has_mlm:
        pairs += [(f"mlm/{name}", name) for name in expected if name != LOGITS_OUTPUT]
    layer = LAYER_NAMES[checkpoint.family]
    numbered = [pair for pair in named if pair[0] != LOGITS_OUTPUT]
    pairs += [(f"serving_default/{name}", name) for name in expected if name == LOGITS_OUTPUT]
    in_order = sorted(numbered, key=lambda pair: _by_key(pair[0]))
    pairs += [(f"serving_default/{f'{layer}_{i}' if i else layer}", source) for i, (_, source) in enumerate(in_order)]
    return pairs


def _by_key(name: str) -> tuple[str, int]:
    """Sort `encoder_outputs_10` behind `encoder_outputs_9`."""
    if name.startswith("encoder_outputs_"):
        return "encoder_outputs", int(name.removeprefix("encoder_outputs_"))
    return name, 0


def _flat(outputs: Mapping[str, Any]) -> dict[str, Array]:
    """Name the arrays of a list one by one."""
    flat: dict[str, Array] = {}
    for name, value in outputs.items():
        flat |= {f"{name}_{i}": x for i, x in enumerate(value)} if isinstance(value, list) else {name: value}
    return flat


def _difference(made: Array | None, expected: Array) -> float:
    """Return the largest difference over max(1, the largest number expected); infinite where shapes differ."""
    if made is None or made.shape != expected.shape:
        return float("inf")
    return float(np.abs(made - expected).max(initial=0) / max(1.0, np.abs(expected).max(initial=0)))


def _label_faults(checkpoint: Checkpoint, report: Mapping[str, Any]) -> list[str]:
    labels = list(checkpoint.head.labels) if checkpoint.head is not None else []
    told = report.get("labels", [])
    return [] if told == labels else [f"the labels are {told} where the module has {labels}"]


def _training_faults(checkpoint: Checkpoint, report: Mapping[str, Any]) -> list[str]:
    config = checkpoint.config
    drops = max(config.hidden_dropout_prob, config.attention_probs_dropout_prob) > 0
    faults = []
    for name in ("encoder_training", "mlm_training"):
        if name in report:
            found = report[name]
            before, after = found["loss"]
            if not after < before:
                faults.append(f"a training step took the loss from {before:.6g} to {after:.6g}")
            faults += [f"{variable} gets no gradient" for variable in found["without_slope"]]
            if bool(found["dropout_spread"]) != drops:
                faults.append(f"dropout moves the outputs by {found['dropout_spread']}")
    return faults
