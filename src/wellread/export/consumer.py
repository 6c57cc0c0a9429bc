"""The other side of an export: a process that knows tensorflow-hub alone, loads what was written and uses it.

Run as `python -m wellread.export.consumer DIRECTORY`. The directory holds `request.json` (where the SavedModels lie,
what to ask of them), `batches.npz` and `texts.json`; results go there: `outputs.npz`, `tokens.npz`, `report.json`.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    gc.disable()  # among what imports make there is no garbage, and looking for it takes a fifth of their time
    for name in ("matplotlib", "sklearn"):  # for plots and wrappers of Keras: a quarter of it
        sys.modules[name] = None  # type: ignore[assignment]  # as if it were not installed

import numpy as np
import tensorflow as tf
import tensorflow_hub as hub
import tensorflow_text  # noqa: F401 - registers the ops of preprocessors

STEP = 1e-3  # length of a training step: small against the curvature, far above rounding
DRAWS = 4  # calls with dropout on


def main(directory: Path) -> None:
    """Answer the request that lies in `directory`."""
    request = json.loads((directory / "request.json").read_text("utf-8"))
    report: dict[str, Any] = {}
    if request["encoder"]:
        report |= use_encoder(hub.load(request["encoder"]), directory)
    if request["preprocessor"]:
        report |= use_preprocessor(hub.load(request["preprocessor"]), directory, every=request["every"])
    (directory / "report.json").write_text(json.dumps(report), "utf-8")


def use_encoder(encoder: Any, directory: Path) -> dict[str, Any]:
    """Run every batch every way that there is, and train a step."""
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    batches: dict[str, dict[str, tf.Tensor]] = {}
    with np.load(directory / "batches.npz", allow_pickle=False) as file:
        for key in file:
            index, name = key.split("/")
            batches.setdefault(index, {})[name] = tf.constant(file[key])
    for index, batch in batches.items():
        inputs = {name: x for name, x in batch.items() if name != "masked_lm_positions"}
        arrays |= _flat(f"{index}/call", encoder(inputs))
        if len(batch) > len(inputs):
            arrays |= _flat(f"{index}/mlm", encoder.mlm(batch))
        named = encoder.signatures["named"]
        signature = {name: inputs[name] for name in named.structured_input_signature[1]}
        arrays |= _flat(f"{index}/own", encoder(signature))
        arrays |= _flat(f"{index}/named", named(**signature))
        arrays |= _flat(f"{index}/serving_default", encoder.signatures["serving_default"](**signature))
    np.savez(directory / "outputs.npz", allow_pickle=False, **arrays)
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
    """Take one step down the gradient of a loss; say the loss before and after, and how far dropout moves the outputs.

    The loss takes part of every weight: the mean square to noise of pooled_output, of mlm_logits or sequence_output,
    and of the logits of a task's head.
    """
    name = "mlm_logits" if "masked_lm_positions" in inputs else "sequence_output"
    rng, outputs = np.random.default_rng(0), layer(inputs)
    keys = [key for key in (name, "pooled_output", "logits") if key in outputs]
    targets = {key: rng.normal(size=outputs[key].shape).astype(np.float32) for key in keys}

    def loss() -> tf.Tensor:
        outputs = layer(inputs)
        return tf.add_n([tf.reduce_mean(tf.square(outputs[key] - target)) for key, target in targets.items()])

    with tf.GradientTape() as tape:
        before = loss()
    sparse = tape.gradient(before, layer.trainable_variables)
    gradients = [None if gradient is None else tf.convert_to_tensor(gradient) for gradient in sparse]
    length = tf.linalg.global_norm([gradient for gradient in gradients if gradient is not None])
    pairs = list(zip(layer.trainable_variables, gradients, strict=True))
    for variable, gradient in pairs:
        if gradient is not None:
            variable.assign_sub(STEP / length * gradient)
    after = loss()
    draws = [layer(inputs, training=True)[name].numpy() for _ in range(DRAWS)]
    return {
        "loss": [float(before), float(after)],
        "without_gradient": [variable.name for variable, gradient in pairs if gradient is None],
        "dropout_spread": float(np.std(draws, axis=0).max()),
    }


def use_preprocessor(preprocessor: Any, directory: Path, *, every: int) -> dict[str, Any]:
    """Tokenize every text, pack each with its mirror image; on some, all in one call, and offsets."""
    texts = tf.constant(json.loads((directory / "texts.json").read_text("utf-8")))
    rows = preprocessor.tokenize(texts)
    pair = [rows, tf.gather(rows, tf.range(len(texts))[::-1])]
    arrays = _flat("some", preprocessor(texts[::every]))
    arrays |= _flat("pair", preprocessor.bert_pack_inputs(pair, seq_length=64))
    flat = rows.merge_dims(1, -1) if rows.shape.rank > 2 else rows
    with_offsets = preprocessor.tokenize_with_offsets(texts[::every])[0]
    arrays |= {"values": flat.values.numpy(), "splits": flat.row_splits.numpy()}
    arrays["some_values"] = with_offsets.flat_values.numpy()
    np.savez(directory / "tokens.npz", allow_pickle=False, **arrays)
    special = preprocessor.tokenize.get_special_tokens_dict()
    return {"special_tokens": {name: int(id) for name, id in special.items()}}


def _flat(call: str, outputs: Mapping[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """Name the outputs of one call; those that are a list one by one."""
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    for name, value in outputs.items():
        if isinstance(value, tf.Tensor):
            arrays[f"{call}/{name}"] = value.numpy()
        else:
            arrays |= {f"{call}/{name}_{i}": x.numpy() for i, x in enumerate(value)}
    return arrays


if __name__ == "__main__":
    gc.enable()
    main(Path(sys.argv[1]))
