"""wellread export: a module in the form that another stack loads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wellread.cli.options import json_flag, load_module, module_options

if TYPE_CHECKING:
    from wellread.export.parity import Exported

FORMS = "tfhub: SavedModels for tensorflow-hub; huggingface: a directory of floats for transformers and its kin."


@click.command("export")
@click.argument("handle", required=False)
@click.option("--to", "form", type=click.Choice(["tfhub", "huggingface"]), required=True, help=FORMS)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Where the encoder goes.")
@click.option("--preprocessor", type=click.Path(path_type=Path), help="tfhub: where its preprocessor goes.")
@click.option("--dtype", type=click.Choice(["float32", "float16"]), help="huggingface: how weights are stored.")
@click.option("--overwrite", is_flag=True, help="Replace what was exported there.")
@json_flag
@module_options
def command(
    handle: str | None,
    form: str,
    output: Path,
    preprocessor: Path | None,
    dtype: str | None,
    overwrite: bool,
    as_json: bool,
    **loading: Any,
) -> None:
    """Write a module as an artefact, load it back, compare, and say how near it is.

    tfhub is compared with tensorflow-hub, its real consumer. For huggingface the matrices of an int8 module become
    the floats that they stand for, to the bit.

    Nothing is left, and nothing replaced, where it does not agree.
    """
    if form == "huggingface" and preprocessor is not None:
        raise click.UsageError("--preprocessor is for tfhub; a Hugging Face directory has the tokenizer beside it")
    if form == "tfhub" and dtype is not None:
        raise click.UsageError("--dtype is for huggingface; SavedModels hold float32")
    module = load_module(**{**loading, "model": handle or loading["model"]})
    if form == "huggingface":
        from wellread.export.huggingface import export_huggingface

        written = export_huggingface(module, output, dtype=dtype or "float32", overwrite=overwrite)
        if as_json:
            click.echo(json.dumps(asdict(written)))
        else:
            click.echo(f"{output}: {written.tensors} tensors as {written.dtype}, {written.were_int8} of them were int8")
        return
    from wellread.export.tfhub import export_tfhub

    exported = export_tfhub(module, output, preprocessor=preprocessor, overwrite=overwrite)
    if as_json:
        click.echo(json.dumps(asdict(exported), indent=2, ensure_ascii=False))
        return
    for line in report(exported, output, preprocessor):
        click.echo(line)


def report(exported: Exported, encoder: Path, preprocessor: Path | None) -> Iterator[str]:
    """Say in lines what was written and how near it is to its source."""
    near, text = exported.encoder, exported.preprocessor
    yield f"{encoder}: {near.outputs} outputs of {near.batches} batches within {near.largest_difference:.2g} of float64"
    if preprocessor is not None and text is not None:
        yield f"{preprocessor}: the ids of {text.texts:,} texts; {text.ties} of them ties of SentencePiece"
    yield from (f"note: {note}" for note in exported.notes)
