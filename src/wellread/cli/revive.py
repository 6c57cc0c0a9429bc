"""wellread revive: make a dead TF Hub handle work again."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click

from wellread.catalog.modules import living_handles
from wellread.cli.export import report
from wellread.cli.options import json_flag, load_module
from wellread.hub import tfhub_cache

LEGACY_KERAS = "TF_USE_LEGACY_KERAS"  # TensorFlow reads it when it is imported


@click.command("revive")
@click.argument("handle", required=False)
@click.option("--from", "source", metavar="MODULE", help="The module to install: a path or a handle.")
@click.option("--preprocessor", metavar="HANDLE", help="Its preprocessor's handle, if not the one of HANDLE's page.")
@click.option("--overwrite", is_flag=True, help="Replace what is installed.")
@click.option("--list", "listing", is_flag=True, help="Show what is installed.")
@click.option("--remove", metavar="HANDLE", help="Take an encoder or a preprocessor out.")
@click.option("--tokenizer", metavar="HANDLE", help="The preprocessor whose tokenizer MODULE takes, if it has none.")
@click.option("--revision", help="Branch, tag or commit of a Hugging Face id.")
@click.option("--local-files-only", is_flag=True, help="Use the cache and make no network call.")
@json_flag
def command(
    handle: str | None, source: str | None, listing: bool, remove: str | None, as_json: bool, **options: Any
) -> None:
    """Install a module and its preprocessor where tensorflow-hub looks first, under HANDLE and the one its page names.

    Code that loads https://tfhub.dev/... then runs unchanged and offline, where the settings that are printed are made.
    """
    if [handle is not None, listing, remove is not None].count(True) != 1 or (handle is None) != (source is None):
        living = " or ".join(living_handles(handle)) if handle is not None and source is None else ""
        hint = f"; the same weights are those of --from {living}" if living else ""
        raise click.UsageError(f"give HANDLE --from MODULE, or --list, or --remove HANDLE{hint}")
    if handle is not None and source is not None:
        from wellread.export.revive import revive

        keywords = {name: options.pop(name) for name in ("preprocessor", "overwrite")}
        revived = revive(handle, load_module(source, **options), **keywords)
        if as_json:
            _echo_json({**asdict(revived), "setting": tfhub_cache.setting(), "keras_setting": _keras_setting()})
        else:
            click.echo(f"encoder: {revived.handle}\npreprocessor: {revived.preprocessor}")
            exported = replace(revived.exported, notes=revived.notes)
            click.echo("\n".join(report(exported, revived.directory, revived.preprocessor_directory)))
    else:
        for module in [tfhub_cache.remove(remove)] if remove is not None else tfhub_cache.installed():
            if as_json:
                _echo_json(asdict(module))
            else:
                owner = module.handle or "(nothing says whose)"
                click.echo(f"{owner}\n  {module.directory}  {module.size / 1e6:.1f} MB")
    if not as_json:
        click.echo(_advice())


def _echo_json(values: dict[str, Any]) -> None:
    click.echo(json.dumps(values, ensure_ascii=False, default=str))


def _advice() -> str:
    """Say what to set, and whether it is set."""
    if os.environ.get(tfhub_cache.VARIABLE):
        advice = f"tensorflow-hub finds these where this is set, as it is here:\n{tfhub_cache.setting()}"
    else:
        advice = (
            f"{tfhub_cache.VARIABLE} is not set: tensorflow-hub would look in a temporary directory and find none; "
            f"set it before Python starts:\n{tfhub_cache.setting()}"
        )
    if keras := _keras_setting():
        advice += (
            f"\nhub.KerasLayer refuses Keras 3, which is here; with tf_keras it runs where this is set too:\n{keras}"
        )
    return advice


def _keras_setting() -> str | None:
    """Return the line for a shell that has tf.keras be Keras 2; None where it is, or where Keras is not installed."""
    try:
        legacy = os.environ.get(LEGACY_KERAS, "").lower() in ("1", "true") or int(version("keras").split(".")[0]) < 3
    except PackageNotFoundError:
        legacy = True
    return None if legacy else f"export {LEGACY_KERAS}=1"
