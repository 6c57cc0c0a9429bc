"""A system in its own process: how it is loaded, and what it does when asked.

Everyone gets all cores and the module's sequence length; frameworks are imported when they are needed.
Run by `harness.Worker` as `python -m benchmarks.encode_worker SYSTEM MODEL_DIR WORK_DIR`.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import serve
from benchmarks.systems import INT8, SYSTEMS, System
from wellread.checkpoints.directory import read_directory
from wellread.encoder.encoder import INPUTS
from wellread.encoder.heads import SENTENCE_OUTPUT
from wellread.errors import InputError
from wellread.text.batch import token_budget_batches

TOKENS_A_BATCH = 1024  # for ONNX Runtime too; 512 was no faster
ARRIVAL_ROWS = 256  # fastembed's default batch
ST_INT8 = "openvino/openvino_model_qint8_quantized.xml"  # as sentence-transformers names it
HF_NAMES = dict(zip(INPUTS, ("input_ids", "attention_mask", "token_type_ids"), strict=True))

Vectors = NDArray[np.floating]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A system, ready to work."""

    encode: Callable[[list[str]], Any]  # N texts to vectors [N, E]
    precision: str  # what it says that it computes in
    module: Any = None  # wellread's own


def prepare_wellread(
    model_dir: Path, work_dir: Path, *, backend: str, precision: str | None, module: str = "given"
) -> None:
    """Quantise the module where its int8 form is asked for."""
    if module == "int8" and not (work_dir / INT8).exists():
        import wellread

        wellread.quantise(wellread.load(model_dir), show_progress_bar=False).save(work_dir / INT8)


def load_wellread(
    model_dir: Path, work_dir: Path, *, backend: str, precision: str | None, module: str = "given"
) -> Loaded:
    """Load wellread as its users do: the `given` module, its `int8` form, or the packaged `default`."""
    import wellread

    loaded = wellread.load({"given": model_dir, "int8": work_dir / INT8}.get(module, module), backend=backend)

    def encode(texts: list[str]) -> Any:
        return loaded.encode(texts, precision=precision, show_progress_bar=False)

    return Loaded(encode=encode, precision=loaded.running(precision).precision, module=loaded)


def prepare_sentence_transformers(
    model_dir: Path, work_dir: Path, *, backend: str = "torch", dtype: str = "float32"
) -> None:
    """Export the model where the backend wants an exported one, and quantise it as its documentation does."""
    exported = work_dir / backend
    if backend != "torch" and not exported.exists():
        from sentence_transformers import SentenceTransformer

        SentenceTransformer(str(model_dir), device="cpu", backend=backend).save_pretrained(str(exported))
    if dtype == "int8" and not (exported / ST_INT8).exists():
        from sentence_transformers import SentenceTransformer, export_static_quantized_openvino_model

        from wellread.doctor.speed import packaged_texts

        data = work_dir / "calibration"  # its own default, SST-2, would be downloaded
        data.mkdir(exist_ok=True)
        (data / "train.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in packaged_texts()))
        where = {"dataset_name": str(data), "dataset_config_name": "default", "dataset_split": "train"}
        model = SentenceTransformer(str(exported), device="cpu", backend=backend)
        export_static_quantized_openvino_model(model, None, str(exported), column_name="text", **where)


def load_sentence_transformers(
    model_dir: Path, work_dir: Path, *, backend: str = "torch", dtype: str = "float32"
) -> Loaded:
    """Load sentence-transformers as its users do; all that is set is what must be equal for all."""
    from sentence_transformers import SentenceTransformer

    directory = model_dir if backend == "torch" else work_dir / backend
    kwargs = {"file_name": ST_INT8} if dtype == "int8" else {"dtype": dtype}
    options = {} if dtype == "float32" else {"model_kwargs": kwargs}
    model = SentenceTransformer(str(directory), device="cpu", backend=backend, **options)
    model.max_seq_length = read_directory(model_dir).checkpoint.sentence.max_seq_length

    def encode(texts: list[str]) -> Any:
        return model.encode(texts, show_progress_bar=False)

    return Loaded(encode=encode, precision="int8" if dtype == "int8" else _precision_of(model, backend))


def _precision_of(model: Any, backend: str) -> str:
    """Ask a SentenceTransformer what it computes in; ONNX Runtime computes in what the graph holds, float32."""
    if backend == "torch":
        return {"torch.float32": "f32", "torch.bfloat16": "bf16"}[str(next(model.parameters()).dtype)]
    if backend == "openvino":  # which takes bfloat16 by itself where the CPU has it
        return str(model[0].auto_model.request.get_property("INFERENCE_PRECISION_HINT").get_type_name())
    return "f32"


def prepare_onnxruntime(model_dir: Path, work_dir: Path, *, precision: str, arrival_order: bool) -> None:
    """Write the graph of our ONNX backend, and quantise it where that is asked for."""
    import onnx

    from wellread.backends.onnx import build

    exact = work_dir / "f32.onnx"
    if not exact.exists():
        onnx.save(build(read_directory(model_dir).checkpoint, [SENTENCE_OUTPUT]), exact)
    if precision == "int8" and not (work_dir / "int8.onnx").exists():
        from onnx import TensorProto
        from onnxruntime.quantization import quantize_dynamic

        # A scale a column is more exact at the same speed (all-MiniLM-L6-v2: mean cosine 0.991, else 0.955), and seven
        # bits keep the sums of CPUs without VNNI from overflowing, as ONNX Runtime's documentation advises.
        # The types behind MultiHeadAttention, which is no operator of ONNX itself, cannot be inferred: all are float32.
        types = {"DefaultTensorType": TensorProto.FLOAT}
        quantize_dynamic(exact, work_dir / "int8.onnx", per_channel=True, reduce_range=True, extra_options=types)


def load_onnxruntime(model_dir: Path, work_dir: Path, *, precision: str, arrival_order: bool) -> Loaded:
    """Load a graph that was prepared; texts go through `tokenizers`, in sorted batches or as they arrive."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = int(os.environ["OMP_NUM_THREADS"])
    file = work_dir / f"{precision}.onnx"
    session = onnxruntime.InferenceSession(str(file), settings, providers=["CPUExecutionProvider"])
    names = {value.name for value in session.get_inputs()}
    tokenizer = load_fast_tokenizer(model_dir)
    width = read_directory(model_dir).checkpoint.embedding_size

    def encode(texts: list[str]) -> Vectors:
        rows = [np.array(encoding.ids, np.int32) for encoding in tokenizer.encode_batch(texts)]
        vectors = np.empty((len(texts), width), np.float32)
        for indices in _plan(rows, arrival_order):
            inputs = _pad([rows[i] for i in indices])
            (vectors[indices],) = session.run(None, {name: inputs[name] for name in names})
        return vectors

    return Loaded(encode=encode, precision=precision)


def load_transformers(model_dir: Path, work_dir: Path) -> Loaded:
    """Load the encoder in PyTorch; texts go through `tokenizers`, in sorted batches, and give the pooler's output."""
    import torch
    from transformers import AutoModel

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    model = AutoModel.from_pretrained(str(model_dir)).eval()
    tokenizer = load_fast_tokenizer(model_dir)

    def encode(texts: list[str]) -> Vectors:
        rows = [np.array(encoding.ids, np.int32) for encoding in tokenizer.encode_batch(texts)]
        vectors = np.empty((len(texts), model.config.hidden_size), np.float32)
        for indices in _plan(rows, arrival_order=False):
            inputs = {HF_NAMES[name]: torch.from_numpy(x) for name, x in _pad([rows[i] for i in indices]).items()}
            with torch.inference_mode():
                vectors[indices] = model(**inputs).pooler_output.numpy()
        return vectors

    return Loaded(encode=encode, precision="f32")


def load_fast_tokenizer(model_dir: Path) -> Any:
    """Load `tokenizer.json`, or else `vocab.txt` under BERT's rules, cutting at the module's sequence length.

    Raises: InputError for a module without either.
    """
    from tokenizers import Tokenizer
    from tokenizers.implementations import BertWordPieceTokenizer

    source = read_directory(model_dir)
    config = source.tokenizer.config
    if (model_dir / "tokenizer.json").is_file():
        tokenizer = Tokenizer.from_file(str(model_dir / "tokenizer.json"))
    elif config.dialect == "hf":
        tokenizer = BertWordPieceTokenizer(
            str(model_dir / str(config.vocab_file)),
            lowercase=config.do_lower_case,
            strip_accents=config.strip_accents,
            handle_chinese_chars=config.tokenize_chinese_chars,
        )
    else:
        raise InputError(
            f"ONNX Runtime's systems tokenise by tokenizer.json or vocab.txt; found neither for the "
            f"{config.dialect} dialect in {model_dir}; leave them out"
        )
    tokenizer.no_padding()
    tokenizer.enable_truncation(source.checkpoint.sentence.max_seq_length)
    return tokenizer


def _plan(rows: Sequence[NDArray[np.int32]], arrival_order: bool) -> list[NDArray[np.int64]]:
    if arrival_order:
        return np.split(np.arange(len(rows)), range(ARRIVAL_ROWS, len(rows), ARRIVAL_ROWS))
    return token_budget_batches([len(row) for row in rows], max_tokens=TOKENS_A_BATCH, max_rows=TOKENS_A_BATCH)


def _pad(rows: Sequence[NDArray[np.int32]]) -> dict[str, NDArray[np.int32]]:
    """Pad B rows of ids to the longest: the encoder's three inputs, int32 [B, T]."""
    lengths = np.array([len(row) for row in rows])
    mask = (np.arange(lengths.max()) < lengths[:, None]).astype(np.int32)
    ids = np.zeros_like(mask)
    ids[mask == 1] = np.concatenate(rows)
    return dict(zip(INPUTS, (ids, mask, np.zeros_like(mask)), strict=True))


LOADERS: dict[str, Callable[..., Loaded]] = {
    "wellread": load_wellread,
    "sentence-transformers": load_sentence_transformers,
    "onnxruntime": load_onnxruntime,
    "transformers": load_transformers,
}
# what is made once, ahead of time, in a process whose time and memory do not count
PREPARATIONS: dict[str, Callable[..., None]] = {
    "wellread": prepare_wellread,
    "sentence-transformers": prepare_sentence_transformers,
    "onnxruntime": prepare_onnxruntime,
}
FIRST_TEXT = "A man is playing a guitar."


class Answers:
    """What a worker does when asked; each method is one request, its return value the answer."""

    def __init__(self, system: System, model_dir: Path, work_dir: Path) -> None:
        """Do nothing yet."""
        self.system = system
        self.paths = (model_dir, work_dir)
        self.loaded: Loaded
        self.texts: list[str]
        self.result: Any = None

    def prepare(self) -> dict[str, Any]:
        """Make what a user of this system would have made ahead of time."""
        if self.system.loader in PREPARATIONS:
            PREPARATIONS[self.system.loader](*self.paths, **self.system.options)
        return {}

    def load(self) -> dict[str, Any]:
        """Load the model and make a first vector, so that nothing is put off."""
        self.loaded = LOADERS[self.system.loader](*self.paths, **self.system.options)
        self.loaded.encode([FIRST_TEXT])
        return {"precision": self.loaded.precision}

    def take(self, texts: list[str]) -> dict[str, Any]:
        """Keep the texts of the measurement."""
        self.texts = texts
        return {}

    def encode(self, count: int | None = None) -> dict[str, Any]:
        """Encode all texts, or `count` of them taken round and round; tell the seconds and the peak memory so far."""
        texts = list(islice(cycle(self.texts), count)) if count else self.texts
        self.result = None  # the vectors of the last round are no part of this one's memory
        started = time.perf_counter()
        self.result = self.loaded.encode(texts)
        seconds = time.perf_counter() - started
        from wellread.doctor.speed import peak_bytes  # after the clock, and after what `load` is timed for

        return {"seconds": seconds, "peak_bytes": peak_bytes()}

    def latencies(self, calls: int) -> dict[str, Any]:
        """Encode one short text so many times; tell the seconds of each."""
        seconds = []
        for _ in range(calls):
            started = time.perf_counter()
            self.loaded.encode([FIRST_TEXT])
            seconds.append(time.perf_counter() - started)
        return {"seconds": seconds}

    def products(self) -> dict[str, Any]:
        """Tell what the native products alone do a second, and what the texts need of them; nothing where they rest."""
        module = self.loaded.module
        if module is None:
            return {}
        from benchmarks.products import product_rate, useful_operations

        rate = product_rate(module.running(self.system.options["precision"]))
        if rate is None:
            return {}
        template, limit = module.tokenizer.template, module.max_seq_length
        lengths = np.minimum(module.tokenize(self.texts).lengths + template.overhead(), limit)
        return {"rate": rate, "operations": useful_operations(module.checkpoint.config, lengths)}

    def vectors(self, rows: list[int]) -> dict[str, Any]:
        """Return some vectors of the last round."""
        return {"vectors": self.result[rows].tolist()}


if __name__ == "__main__":
    serve(lambda name, model_dir, work_dir: Answers(SYSTEMS[name], model_dir, work_dir))
