"""From the start of a process to its end, every tensor of a checkpoint read and held against its checksum."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from wellread.bench.process import died, environment
from wellread.bench.startup import Program
from wellread.config import EncoderConfig

READ = "read a checkpoint"  # the name of the work
L12_H768 = EncoderConfig(
    vocab_size=30522, hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072
)
# Programs whose argument is a bundle's prefix; they print how many tensors and bytes there were.
READERS = (
    Program(
        name="wellread reader",
        code="""
import json, sys
from pathlib import Path
from wellread.formats.tensor_bundle import read_bundle
bundle = read_bundle(Path(sys.argv[1]))
sizes = [tensor.read().nbytes for tensor in bundle.tensors.values()]
sizes += [sum(map(len, strings.read())) for strings in bundle.strings.values()]
print(json.dumps([len(sizes), sum(sizes)]))
""",
    ),
    Program(
        name="tf.train.load_checkpoint",
        code="""
import json, sys
import tensorflow as tf
reader = tf.train.load_checkpoint(sys.argv[1])
tensors = (reader.get_tensor(name) for name in reader.get_variable_to_shape_map())
sizes = [len(tensor) if isinstance(tensor, bytes) else tensor.nbytes for tensor in tensors]
print(json.dumps([len(sizes), sum(sizes)]))
""",
        needs=("tensorflow",),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadLap:
    """One run of one reader."""

    seconds: float  # of the process, imports included
    tensors: int
    bytes: int


def read_lap(program: Program, prefix: Path) -> ReadLap:
    """Run a reader on the bundle of `prefix`. Raises: BenchError when it fails."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", program.code, str(prefix)], capture_output=True, env=environment(), check=False
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        raise died(program.name, "read a checkpoint", done.returncode, done.stderr)
    tensors, size = json.loads(done.stdout)
    return ReadLap(seconds=seconds, tensors=tensors, bytes=size)
