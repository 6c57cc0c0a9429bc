"""The REST routes of TensorFlow Serving: a module's outputs under TF Hub's names, of strings or of packed inputs."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from starlette.responses import Response

from wellread.dataclass import dataclass
from wellread.encoder.encoder import INPUTS
from wellread.encoder.heads import MLM_INPUT, MLM_OUTPUT, SENTENCE_OUTPUT
from wellread.encoder.inputs import DEFAULT_OUTPUTS, OUTPUTS, checked_inputs, checked_mlm_inputs
from wellread.serving.call import Call, unknown
from wellread.serving.faults import Fault
from wellread.serving.lanes import Outputs
from wellread.serving.openai import described
from wellread.serving.predict import answers
from wellread.serving.routes import Routes
from wellread.serving.served import Served
from wellread.text.batch import Ragged

routes = Routes("TensorFlow Serving")

VERSION = "1"  # of every module
DEFAULT_SIGNATURE = "serving_default"
B64 = {"b64"}  # the key of an object that stands for bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictBody:
    """A request of :predict, a row an instance or a column an input."""

    signature_name: str | None = None  # or the name of one output, which then comes without its name
    instances: Any = None
    inputs: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifyBody:
    """A request of :classify."""

    signature_name: str | None = None
    examples: list[Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Packed:
    """Inputs of the encoder, int32 [B, T] each, and masked_lm_positions [B, P] where they were given."""

    arrays: Mapping[str, Any]
    sizes: list[int]  # tokens of each row, padding included


@routes.post("/v1/models/{name}:predict", "/v1/models/{name}/versions/{version}:predict", body=PredictBody)
async def predict(call: Call, name: str, version: str = VERSION) -> Response:
    """Compute a module's outputs: of rows, or of columns."""
    served = served_by(call, name, version)
    body = await call.parse(PredictBody)
    if (body.instances is None) == (body.inputs is None):
        found = "both" if body.inputs is not None else "neither"
        raise Fault(f"instances (rows) or inputs (columns) were expected; found {found}; send one of them")
    in_rows = body.inputs is None
    columns = _columns(body.instances) if in_rows else body.inputs
    packed = await _packed(call, served, columns)
    outputs = _outputs(body.signature_name, with_mlm=MLM_INPUT in packed.arrays)
    rows = await _computed(call, served, packed, outputs)
    if in_rows:
        single = outputs[0] if len(outputs) == 1 else None
        return call.answer({"predictions": [row[single] if single else row for row in rows]})
    values = {output: _column([row[output] for row in rows]) for output in outputs}
    return call.answer({"outputs": values[outputs[0]] if len(outputs) == 1 else values})


def served_by(call: Call, name: str, version: str) -> Served:
    """Return the module of a name and a version. Raises: Unknown."""
    if name not in call.server.modules.names:
        raise unknown("the module", name, call.server.modules.names)
    if version != VERSION:
        raise unknown(f"version of {name}", version, [VERSION])
    return call.served(name)


def _columns(instances: Any) -> Any:
    """Return rows as columns: texts as they are, and a list for each name of the rows' inputs."""
    if not isinstance(instances, list) or not instances:
        raise Fault("instances must be a list of texts or of rows of inputs; found none; send at least one")
    if not all(isinstance(row, dict) and row.keys() != B64 for row in instances):
        return instances
    names = instances[0].keys()
    if any(row.keys() != names for row in instances):
        raise Fault(f"instances must have one set of inputs; found others than {', '.join(names)}; send them apart")
    return {name: [row[name] for row in instances] for name in names}


async def _packed(call: Call, served: Served, columns: Any) -> Packed:
    """Return texts, or the arrays of packed inputs, as the encoder takes them."""
    module = served.module
    if isinstance(columns, dict) and columns.keys() & {*INPUTS}:
        arrays = {name: _array(name, value) for name, value in columns.items()}
        check = checked_mlm_inputs if MLM_INPUT in arrays else checked_inputs
        checked = check(module.checkpoint.config, arrays)
        rows, length = checked["input_word_ids"].shape
        if rows > call.server.settings.max_texts:
            raise Fault(
                f"at most {call.server.settings.max_texts} rows a request were asked for; found {rows}; send fewer"
            )
        return Packed(arrays=checked, sizes=[length] * rows)
    if isinstance(columns, dict) and columns.keys() != B64:
        if len(columns) != 1:
            raise Fault(f"one input of texts, or {', '.join(INPUTS)}, were expected; found {', '.join(columns)}")
        columns = next(iter(columns.values()))
    texts = call.texts([*map(_text, columns)] if isinstance(columns, list) else _text(columns), name="instances")
    read = await call.read(partial(served.read, texts), sum(map(len, texts)))
    ids = Ragged.from_rows([np.frombuffer(row, np.int32) for row in read.rows])
    batch = module.tokenizer.template.for_types(module.checkpoint.config.type_vocab_size).pack(
        [ids], seq_length=module.max_seq_length, pad_to_longest=True
    )
    return Packed(arrays=dict(batch), sizes=[batch.input_mask.shape[1]] * len(texts))


def _text(value: Any) -> Any:
    """Return the text of an object that holds its bytes in base64; what is none as it is. Raises: Fault."""
    if not isinstance(value, dict) or value.keys() != B64:
        return value
    try:
        return b64decode(value["b64"], validate=True).decode("utf-8")
    except (TypeError, ValueError):
        raise Fault("b64 must be the base64 of a text in UTF-8; found other bytes; send the text itself") from None


def _array(name: str, value: Any) -> Any:
    """Return a list of rows as an array; the encoder's own checks say what of it does not fit."""
    try:
        return np.array(value)
    except ValueError:
        raise Fault(f"{name} must have rows of one length; found others; pad them") from None


def _outputs(signature: str | None, *, with_mlm: bool) -> tuple[str, ...]:
    """Name the outputs of a signature. Raises: Fault for an unknown one, and for MLM logits without positions."""
    if signature in (None, DEFAULT_SIGNATURE):
        return (*DEFAULT_OUTPUTS, *((MLM_OUTPUT,) if with_mlm else ()))
    if signature not in (*OUTPUTS, MLM_OUTPUT):
        known = ", ".join((DEFAULT_SIGNATURE, *OUTPUTS, MLM_OUTPUT))
        raise Fault(f"the signature {str(signature)[:100]!r} was asked for; there are {known}; name one of these")
    if signature == MLM_OUTPUT and not with_mlm:
        raise Fault(f"{MLM_OUTPUT} were asked for; found no {MLM_INPUT}; send packed inputs with {MLM_INPUT}")
    return (str(signature),)


async def _computed(call: Call, served: Served, packed: Packed, outputs: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the outputs of each row, and refuse more numbers than an answer may have."""
    config = served.module.checkpoint.config
    names = tuple(packed.arrays)
    length = packed.arrays["input_word_ids"].shape[1]
    positions = packed.arrays[MLM_INPUT].shape[1] if MLM_INPUT in names else 0
    layers = {"encoder_outputs": config.num_hidden_layers}
    numbers = {name: layers.get(name, 1) * length * config.hidden_size for name in outputs}
    numbers |= {name: config.hidden_size for name in outputs if name in ("pooled_output", "cls_output")}
    numbers |= {SENTENCE_OUTPUT: served.module.embedding_size} if SENTENCE_OUTPUT in outputs else {}
    numbers |= {MLM_OUTPUT: positions * config.vocab_size} if MLM_OUTPUT in outputs else {}
    total = len(packed.sizes) * sum(numbers.values())
    call.will_answer(total, advice="send fewer rows, or name one output as signature_name")
    items = list(zip(*([row.tobytes() for row in packed.arrays[name].astype(np.int32)] for name in names), strict=True))
    lane = Outputs(
        name=served.name, inputs=names, outputs=outputs, length=length, positions=positions, module=served.module
    )
    weight = 1 + sum(layers.get(name, 0) for name in outputs)  # of what a batch holds
    return await call.compute(lane, items, [size * weight for size in packed.sizes])


def _column(values: list[Any]) -> Any:
    """Return the values of rows as one array [B, ...]; of layers, a list of such arrays."""
    if isinstance(values[0], list):
        return [np.stack(layer) for layer in zip(*values, strict=True)]
    return np.stack(values)


@routes.post("/v1/models/{name}:classify", "/v1/models/{name}/versions/{version}:classify", body=ClassifyBody)
async def classify(call: Call, name: str, version: str = VERSION) -> Response:
    """Answer as a module was fine-tuned to: labels with scores, the best first, of each example."""
    served = served_by(call, name, version)
    body = await call.parse(ClassifyBody)
    rows = [list(row.values()) if isinstance(row, dict) else [row] for row in body.examples]
    counts = {len(row) for row in rows}
    if counts not in ({1}, {2}):
        raise Fault(f"an example has one text, or two; found {sorted(counts) or 'none'}; send them apart")
    firsts = call.texts([_text(row[0]) for row in rows], name="examples")
    seconds = call.texts([_text(row[1]) for row in rows], name="examples") if counts == {2} else None
    found = await answers(call, served, firsts, seconds, raw=False, whole=False)
    if any("label" not in each for row in found for each in row):
        raise Fault(f"labels of whole texts were asked for; {name} gives others; ask /predict")
    return call.answer({"result": [[[each["label"], each["score"]] for each in row] for row in found]})


@routes.get("/v1/models/{name}", "/v1/models/{name}/versions/{version}")
async def status(call: Call, name: str, version: str = VERSION) -> Response:
    """Say whether a module is there, to TensorFlow Serving's clients and to OpenAI's."""
    if call.server.modules.ready or name not in call.server.modules.names:
        served_by(call, name, version)
    state = "AVAILABLE" if call.server.modules.ready else "LOADING"
    row = {"version": VERSION, "state": state, "status": {"error_code": "OK", "error_message": ""}}
    return call.answer({**described(call, name), "model_version_status": [row]})


@routes.get("/v1/models/{name}/metadata", "/v1/models/{name}/versions/{version}/metadata")
async def metadata(call: Call, name: str, version: str = VERSION) -> Response:
    """Describe the signatures of a module."""
    served = served_by(call, name, version)
    config = served.module.checkpoint.config
    inputs: dict[str, Any] = {name: _tensor(name, "DT_INT32", -1, -1) for name in INPUTS}
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(OUTPUTS, (-1, -1, config.hidden_size))
    shapes |= dict.fromkeys(("pooled_output", "cls_output"), (-1, config.hidden_size))
    shapes[SENTENCE_OUTPUT] = (-1, served.module.embedding_size)
    outputs = {output: _tensor(output, "DT_FLOAT", *shape) for output, shape in shapes.items()}
    signatures = {DEFAULT_SIGNATURE: {output: outputs[output] for output in DEFAULT_OUTPUTS}}
    signatures |= {output: {output: outputs[output]} for output in OUTPUTS}
    described_signatures = {
        signature: {"inputs": inputs, "outputs": given, "method_name": "tensorflow/serving/predict"}
        for signature, given in signatures.items()
    }
    return call.answer(
        {
            "model_spec": {"name": name, "signature_name": "", "version": VERSION},
            "metadata": {"signature_def": {"signature_def": described_signatures}},
        }
    )


def _tensor(name: str, dtype: str, *shape: int) -> dict[str, Any]:
    dims = [{"size": str(size), "name": ""} for size in shape]
    return {"dtype": dtype, "tensor_shape": {"dim": dims, "unknown_rank": False}, "name": name}
