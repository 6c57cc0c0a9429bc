"""What `wellread export` prints of what it made."""

import json

import pytest
from click.testing import CliRunner

from wellread.cli.export import command
from wellread.export import tfhub
from wellread.export.parity import EncoderParity, Exported, PreprocessorParity

ENCODER = EncoderParity(batches=3, outputs=90, largest_difference=2.5e-07, loss=(2.0, 1.5))
FOUND = Exported(encoder=ENCODER, preprocessor=PreprocessorParity(texts=20022, ties=7), notes=("there is no .mlm",))


@pytest.fixture
def asked(monkeypatch):
    """Keep what the exporter is asked for; the exporter itself has its own tests."""
    asked = []

    def export(module, directory, *, preprocessor=None, overwrite=False):
        asked.append((module.embedding_size, str(directory), str(preprocessor), *(["overwrite"] if overwrite else [])))
        return FOUND

    monkeypatch.setattr(tfhub, "export_tfhub", export)
    return asked


def test_lines(asked):
    made = CliRunner().invoke(command, ["default", "--to", "tfhub", "-o", "e", "--preprocessor", "p"])
    assert made.exit_code == 0
    assert asked == [(384, "e", "p")]
    assert made.output.splitlines() == [
        "e: 90 outputs of 3 batches within 2.5e-07 of float64",
        "p: the ids of 20,022 texts; 7 of them ties of SentencePiece",
        "note: there is no .mlm",
    ]


def test_json(asked):
    made = CliRunner().invoke(command, ["--to", "tfhub", "-o", "e", "--json", "--overwrite"])
    assert made.exit_code == 0
    assert asked == [(384, "e", "None", "overwrite")]
    printed = json.loads(made.output)
    assert printed["encoder"]["largest_difference"] == 2.5e-07
    assert printed["preprocessor"] == {"texts": 20022, "ties": 7}
