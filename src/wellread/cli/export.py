"""wellread export: a module in the form that another stack loads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wellread.cli.options import json_flag, load_named, module_options

if TYPE_CHECKING:
    from wellread.export.onnx import ExportedGraph
    from wellread.export.parity import Exported

FORMS = (
    "tfhub: SavedModels for tensorflow-hub; huggingface: a directory of floats for transformers and its kin; "
    "onnx: a graph for ONNX Runtime; openvino: one for OpenVINO."
)
DTYPES = {
    "huggingface": ("float32", "float16"),
    "onnx": ("float32", "float16", "int8"),
    "openvino": ("float32", "float16", "int8"),
}


@click.command("export")
@click.argument("handle", required=False)
@click.option(
    "--to", "form", type=click.Choice(["tfhub", "huggingface", "onnx", "openvino"]), required=True, help=FORMS
)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Where the encoder goes.")
@click.option("--preprocessor", type=click.Path(path_type=Path), help="tfhub: where its preprocessor goes.")
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float16", "int8"]),
    help="huggingface, onnx, openvino: how weights are stored; int8 is for the latter two.",
)
@click.option("--opset", type=int, help="onnx: the version of its operators, 20 by default.")
@click.option("--with-tokenizer", is_flag=True, help="onnx: the tokenizer inside; the graph takes texts.")
@click.option("--texts", type=click.Path(path_type=Path), help="onnx --with-tokenizer: texts whose ids are proved too.")
@click.option("--mlm", is_flag=True, help="onnx: mlm_logits as an output too, of a masked language model.")
@click.option("--overwrite", is_flag=True, help="Replace what was exported there.")
@json_flag
@module_options
def command(
    handle: str | None,
    form: str,
    output: Path,
    preprocessor: Path | None,
    dtype: str | None,
    opset: int | None,
    with_tokenizer: bool,
    texts: Path | None,
    mlm: bool,
    overwrite: bool,
    as_json: bool,
    **loading: Any,
) -> None:
    """Write a module as an artefact, load it back, compare, and say how near it is.

    tfhub is compared with tensorflow-hub, its real consumer, and onnx and openvino with their
    runtimes. For huggingface the matrices of an int8 module become the floats that they stand for, to the bit.

    Nothing is left, and nothing replaced, where it does not agree.
    """
    _refuse_options(form, preprocessor=preprocessor, dtype=dtype, opset=opset)
    _refuse_parts(form, with_tokenizer=with_tokenizer, texts=texts, mlm=mlm)
    module = load_named(handle, **loading)
    if form == "onnx":
        from wellread.data.corpus import stream_texts
        from wellread.export.onnx import export_onnx

        graph = export_onnx(
            module,
            output,
            dtype=dtype or "float32",
            opset=opset,
            with_tokenizer=with_tokenizer,
            texts=[] if texts is None else list(stream_texts([texts])),
            mlm=mlm,
            overwrite=overwrite,
        )
        _say(graph, graph_report(graph, output), as_json)
        return
    if form == "openvino":
        from wellread.export.openvino import export_openvino

        graph = export_openvino(module, output, dtype=dtype or "float32", overwrite=overwrite)
        _say(graph, graph_report(graph, output), as_json)
        return
    if form == "huggingface":
        from wellread.export.huggingface import export_huggingface

        written = export_huggingface(module, output, dtype=dtype or "float32", overwrite=overwrite)
        line = f"{output}: {written.tensors} tensors as {written.dtype}, {written.were_int8} of them were int8"
        _say(written, [line], as_json)
        return
    from wellread.export.tfhub import export_tfhub

    exported = export_tfhub(module, output, preprocessor=preprocessor, overwrite=overwrite)
    _say(exported, report(exported, output, preprocessor), as_json)


def _refuse_options(form: str, *, preprocessor: Path | None, dtype: str | None, opset: int | None) -> None:
    """Refuse options of other forms."""
    if form != "tfhub" and preprocessor is not None:
        raise click.UsageError(f"--preprocessor is for tfhub; in a directory of {form} the tokenizer stands beside")
    if form == "tfhub" and dtype is not None:
        raise click.UsageError("--dtype is for huggingface, onnx and openvino; SavedModels hold float32")
    if dtype is not None and dtype not in DTYPES[form]:
        raise click.UsageError(f"--dtype {dtype} is for graphs; {form} takes {' and '.join(DTYPES[form])}")
    if form != "onnx" and opset is not None:
        raise click.UsageError(f"--opset is for onnx; {form} has no such version")


def _refuse_parts(form: str, *, with_tokenizer: bool, texts: Path | None, mlm: bool) -> None:
    """Refuse parts that only graphs of ONNX have."""
    if form == "openvino" and with_tokenizer:
        raise click.UsageError("--with-tokenizer is for onnx; openvino_tokenizers make other ids (docs/guide/onnx.md)")
    if form != "onnx" and (with_tokenizer or mlm):
        raise click.UsageError(f"--with-tokenizer and --mlm are for onnx; found --to {form}")
    if texts is not None and not with_tokenizer:
        raise click.UsageError("--texts are proved with --with-tokenizer; pass both, or neither")


def _say(written: Any, lines: Iterable[str], as_json: bool) -> None:
    """Print what was written: as JSON, or in lines."""
    if as_json:
        click.echo(json.dumps(asdict(written), indent=2, ensure_ascii=False))
        return
    for line in lines:
        click.echo(line)


def graph_report(graph: ExportedGraph, output: Path) -> Iterator[str]:
    """Say in lines what was written as a graph and how near it is to its source."""
    yield (
        f"{output / graph.graph}: opset {graph.opset}, weights as {graph.dtype}, {graph.megabytes} MB, fingerprint "
        f"{graph.fingerprint}"
    )
    yield (
        f"{graph.outputs} outputs of {graph.batches} batches within {graph.largest_difference:.2g} of float64; storing "
        f"the weights so moved them by {graph.rounding:.2g}"
    )
    if graph.texts:
        yield f"the tokenizer is inside: the ids of {graph.texts:,} texts are equal{_refused(graph.refused_texts)}"
    yield from (f"note: {note}" for note in graph.notes)


def _refused(count: int) -> str:
    return f", those of {count:,} are not, which hold characters that the card names" if count else ""


def report(exported: Exported, encoder: Path, preprocessor: Path | None) -> Iterator[str]:
    """Say in lines what was written and how near it is to its source."""
    near, text = exported.encoder, exported.preprocessor
    yield f"{encoder}: {near.outputs} outputs of {near.batches} batches within {near.largest_difference:.2g} of float64"
    if preprocessor is not None and text is not None:
        yield f"{preprocessor}: the ids of {text.texts:,} texts; {text.ties} of them ties of SentencePiece"
    yield from (f"note: {note}" for note in exported.notes)
