"""wellread certify: how near a backend, an export or a running server comes to a module in float64."""

from __future__ import annotations

from pathlib import Path

import click

from wellread.cli.options import BACKENDS


@click.command("certify")
@click.argument("module")
@click.argument("artefact", metavar="ARTEFACT|URL")
@click.option("--texts", default=128, show_default=True, help="How many of the packaged English and Korean lines.")
@click.option("--tolerance", default=1e-5, show_default=True, help="The largest difference that is allowed.")
@click.option("--backend", default="auto", show_default=True, help=f"Of a directory that wellread loads: {BACKENDS}")
@click.option("--model-name", default="default", show_default=True, help="By which a server knows the module.")
@click.option("--api-key", envvar="WELLREAD_API_KEY", show_envvar=True, help="Of a server.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A file for it: JSON if it ends so, or Markdown.")
@click.option("--overwrite", is_flag=True, help="Replace what stands there.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of Markdown.")
def command(
    module: str,
    artefact: str,
    texts: int,
    tolerance: float,
    backend: str,
    model_name: str,
    api_key: str | None,
    output: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Compare the ids and vectors of ARTEFACT with those of MODULE in float64; exit 3 where they differ by too much.

    ARTEFACT is a backend (native, native:int8, openvino, ...), a directory or handle that wellread loads, an ONNX graph
    or a directory with one, a SavedModel of TF Hub, or the address of a server that answers at /v1/embeddings as
    OpenAI's does. Differences are of one number, over the largest number of the reference or 1.
    """
    import wellread
    from wellread.cli.texts import check_output
    from wellread.export import certify as certificates
    from wellread.files import whole_file

    if output is not None:
        check_output(output)
        if output.exists() and not overwrite:
            raise click.UsageError(f"{output} exists; choose another name, or pass --overwrite")
    found = certificates.certify(
        wellread.load(module),
        artefact,
        texts=texts,
        tolerance=tolerance,
        backend=backend,
        model_name=model_name,
        api_key=api_key,
    )
    written = {True: certificates.as_json, False: certificates.as_markdown}
    if output is not None:
        with whole_file(output) as file:
            file.write(written[output.suffix == ".json"](found).encode("utf-8"))
    click.echo(written[as_json](found), nl=False)
    certificates.refuse_beyond(found)
