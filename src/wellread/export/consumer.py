"""The other side of an export: a process that knows tensorflow-hub alone, loads what was written and uses it.

Run as `python -m wellread.export.consumer PLACE`. PLACE holds `request.json` (where the SavedModels lie, what to ask of
them), `batches.npz` and `texts.json`; what came out is left there as `outputs.npz`, `tokens.npz` and `report.json`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_hub as hub
import tensorflow_text  # noqa: F401 - registers the ops of preprocessors

Arrays = Mapping[str, np.ndarray[Any, Any]]
STEP = 1e-3  # length of a training step: small against the curvature, far above rounding
DRAWS = 4  # calls with dropout on


def main(place: Path) -> None:
    """Answer the request that lies in `place`."""
    request = json.loads((place / "request.json").read_text("utf-8"))
    report: dict[str, Any] = {}
    if request["encoder"]:
        report |= use_encoder(hub.load(request["encoder"]), place)
    if request["preprocessor"]:
        report |= use_preprocessor(hub.load(request["preprocessor"]), place, every=request["every"])
    (place / "report.json").write_text(json.dumps(report), "utf-8")


def use_encoder(encoder: Any, place: Path) -> dict[str, Any]:
    """Run every batch every way that there is, and train a step."""
    made: dict[str, np.ndarray[Any, Any]] = {}
    batches = _batches(place)
    for index, batch in batches.items():
        inputs = {name: x for name, x in batch.items() if name != "masked_lm_positions"}
        _keep(made, f"{index}/call", encoder(inputs))
        if len(batch) > len(inputs):
            _keep(made, f"{index}/mlm", encoder.mlm(batch))
        named = encoder.signatures["named"]
        own = {name: inputs[name] for name in named.structured_input_signature[1]}
        _keep(made, f"{index}/own", encoder(own))
        _keep(made, f"{index}/named", named(**own))
        _keep(made, f"{index}/serving_default", encoder.signatures["serving_default"](**own))
    np.savez(place / "outputs.npz", allow_pickle=False, **made)
    batch = next(iter(batches.values()))
    inputs = {name: x for name, x in batch.items() if name != "masked_lm_positions"}
    report: dict[str, Any] = {"encoder_training": train(encoder, inputs)}
    report |= {"variables": [v.name for v in encoder.variables]}
    if hasattr(encoder, "labels"):
        report["labels"] = [label.decode("utf-8") for label in encoder.labels.numpy().tolist()]
    if len(batch) > len(inputs):
        report["mlm_training"] = train(encoder.mlm, batch)
    return report


def train(layer: Any, inputs: Mapping[str, tf.Tensor]) -> dict[str, Any]:
    """Take one step down the slope of a loss; tell the loss before and after, and how far dropout moves the outputs.

    The loss takes part of every weight: the mean square to noise of pooled_output, of mlm_logits or sequence_output,
    and of the logits of a task's head.
    """
    name = "mlm_logits" if "masked_lm_positions" in inputs else "sequence_output"
    rng, given = np.random.default_rng(0), layer(inputs)
    keys = [key for key in (name, "pooled_output", "logits") if key in given]
    targets = {key: rng.normal(size=given[key].shape).astype(np.float32) for key in keys}

    def loss() -> tf.Tensor:
        made = layer(inputs)
        return tf.add_n([tf.reduce_mean(tf.square(made[key] - target)) for key, target in targets.items()])

    with tf.GradientTape() as tape:
        before = loss()
    slopes = tape.gradient(before, layer.trainable_variables)
    dense = [None if slope is None else tf.convert_to_tensor(slope) for slope in slopes]
    length = tf.linalg.global_norm([slope for slope in dense if slope is not None])
    for variable, slope in zip(layer.trainable_variables, dense, strict=True):
        if slope is not None:
            variable.assign_sub(STEP / length * slope)
    after = loss()
    draws = [layer(inputs, training=True)[name].numpy() for _ in range(DRAWS)]
    return {
        "loss": [float(before), float(after)],
        "without_slope": [v.name for v, slope in zip(layer.trainable_variables, dense, strict=True) if slope is None],
        "dropout_spread": float(np.std(draws, axis=0).max()),
    }


def use_preprocessor(preprocessor: Any, place: Path, *, every: int) -> dict[str, Any]:
    """Tokenize every text, pack each with its mirror image; on some, all in one call, and offsets."""
    texts = tf.constant(json.loads((place / "texts.json").read_text("utf-8")))
    rows = preprocessor.tokenize(texts)
    pair = [rows, tf.gather(rows, tf.range(len(texts))[::-1])]
    made: dict[str, np.ndarray[Any, Any]] = {}
    _keep(made, "some", preprocessor(texts[::every]))
    _keep(made, "pair", preprocessor.bert_pack_inputs(pair, seq_length=64))
    flat = rows.merge_dims(1, -1) if rows.shape.rank > 2 else rows
    with_offsets = preprocessor.tokenize_with_offsets(texts[::every])[0]
    made |= {"values": flat.values.numpy(), "splits": flat.row_splits.numpy()}
    made["some_values"] = with_offsets.flat_values.numpy()
    np.savez(place / "tokens.npz", allow_pickle=False, **made)
    special = preprocessor.tokenize.get_special_tokens_dict()
    return {"special_tokens": {name: int(id) for name, id in special.items()}}


def _batches(place: Path) -> dict[str, dict[str, tf.Tensor]]:
    """Read the batches: `index/name` in the file."""
    found: dict[str, dict[str, tf.Tensor]] = {}
    with np.load(place / "batches.npz", allow_pickle=False) as arrays:
        for key in arrays:
            index, name = key.split("/")
            found.setdefault(index, {})[name] = tf.constant(arrays[key])
    return found


def _keep(made: dict[str, np.ndarray[Any, Any]], where: str, outputs: Mapping[str, Any]) -> None:
    """Keep the outputs of one call; those that are a list one by one."""
    for name, value in outputs.items():
        if isinstance(value, tf.Tensor):
            made[f"{where}/{name}"] = value.numpy()
        else:
            made |= {f"{where}/{name}_{i}": x.numpy() for i, x in enumerate(value)}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
