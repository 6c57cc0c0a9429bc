"""One encoder in every format that it survives in: the same outputs from each, where TensorFlow cannot be imported."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tf_made
from tiny import tiny_checkpoint, tiny_inputs

import wellread
from wellread.checkpoints.tf_variables import TF1, TFHUB
from wellread.errors import CheckpointError

CODE = """
import sys
sys.modules["tensorflow"] = None  # importing it raises
import json
import numpy as np
import wellread
inputs = {name: np.array(rows, np.int32) for name, rows in json.loads(sys.argv[1]).items()}
for place in sys.argv[2:]:
    module = wellread.load(place, backend="numpy")
    out = module.mlm({**inputs, "masked_lm_positions": inputs["input_mask"][:, :2]})
    print(json.dumps({name: out[name].tolist() for name in ("pooled_output", "sequence_output", "mlm_logits")}))
"""


@pytest.fixture(scope="module")
def formats(tmp_path_factory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("formats")
    checkpoint = tiny_checkpoint(tf_made.BERT)
    vocabulary = tf_made.write_vocabulary(place / "words")
    made = {
        "huggingface": tf_made.write_huggingface(place / "huggingface", checkpoint),
        "tf1": tf_made.write_tf1(place / "tf1", tf_made.variables(TF1, checkpoint)),
        "saved_model": tf_made.write_saved_model(
            place / "saved_model", tf_made.variables(TFHUB, checkpoint), vocabulary=vocabulary
        ),
    }
    for name, kind, suffix in (("saved_model", "gztar", ".tar.gz"), ("tf1", "zip", ".zip")):
        made[name + suffix] = Path(shutil.make_archive(str(place / name), kind, made[name]))
    return made


def test_every_format_gives_the_same_outputs(formats, tmp_path, monkeypatch):
    monkeypatch.setenv("WELLREAD_CACHE", str(tmp_path))
    inputs = json.dumps({name: array.tolist() for name, array in tiny_inputs().items()})
    command = [sys.executable, "-c", CODE, inputs, *map(str, formats.values())]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    reference, *others = map(json.loads, done.stdout.splitlines())
    assert len(others) == 4
    for made in others:
        for name, expected in reference.items():
            assert np.abs(np.subtract(made[name], expected)).max() <= 1e-6


def test_what_is_damaged_in_an_archive_is_named_and_leaves_nothing(formats, tmp_path, monkeypatch):
    monkeypatch.setenv("WELLREAD_CACHE", str(tmp_path / "cache"))
    content = bytearray(formats["saved_model.tar.gz"].read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "damaged.tar.gz").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"damaged\.tar\.gz .*; .*; "):
        wellread.load(tmp_path / "damaged.tar.gz")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
