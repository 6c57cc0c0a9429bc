"""wellread serve: modules behind HTTP, for the clients of others."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from wellread.cli.help import Setting
from wellread.cli.options import BACKENDS, gather, options_of
from wellread.errors import require_extra
from wellread.serving.settings import ServeSettings

if TYPE_CHECKING:
    from wellread.serving.modules import Loader

OF_MODULES: dict[str, Any] = {"cls": Setting, "section": "The modules"}
LOADING = ("backend", "local_files_only", "ignore")
KEY = "WELLREAD_API_KEY"  # the variable that an api_key may stand in, for others see command lines


@click.command("serve")
@click.argument("modules", nargs=-1, metavar="[NAME=]MODULE...")
@options_of(ServeSettings)
@click.option("--backend", default="auto", show_default=True, help=BACKENDS, **OF_MODULES)
@click.option("--local-files-only", is_flag=True, help="Use the cache and make no network call.", **OF_MODULES)
@click.option("--ignore", multiple=True, metavar="NAME", help="Pass over this key or tensor; * matches.", **OF_MODULES)
def command(modules: tuple[str, ...], **options: Any) -> None:
    """Serve modules over HTTP: paths or handles, each under its last part or the NAME that stands before it.

    Clients of OpenAI, text-embeddings-inference, Cohere, Jina, TensorFlow Serving and Weaviate are answered; a request
    whose model has none of these names gets the first. It ends at SIGTERM, when all was answered that was asked.
    """
    for package in ("starlette", "uvicorn", "orjson"):
        require_extra(package, extra="serve")
    import wellread
    from wellread.serving.server import serve

    loading = {name: options.pop(name) for name in LOADING}
    settings = gather(ServeSettings(), options)
    if not settings.api_key:
        settings = replace(settings, api_key=os.environ.get(KEY, ""))
    named = named_handles(modules or ("default",))

    def ready(url: str) -> None:
        click.echo(f"wellread: {', '.join(named)} at {url}", err=True)

    loaders: dict[str, Loader] = {name: partial(wellread.load, handle, **loading) for name, handle in named.items()}
    serve(loaders, settings, on_ready=ready)


def named_handles(modules: Sequence[str]) -> dict[str, str]:
    """Return handles by the names that requests know them by. Raises: UsageError for a name that comes twice.

    >>> named_handles(["default", "ko=default-ko", "google/bert_uncased_L-2_H-128_A-2"])
    {'default': 'default', 'ko': 'default-ko', 'bert_uncased_L-2_H-128_A-2': 'google/bert_uncased_L-2_H-128_A-2'}
    """
    named: dict[str, str] = {}
    for given in modules:
        name, equals, handle = given.partition("=")
        if not equals or "/" in name or not name:
            name, handle = given.rstrip("/").rpartition("/")[2], given
        if name in named:
            raise click.UsageError(
                f"{name}: a name for each module; found {named[name]} and {handle}; name one NAME=MODULE"
            )
        named[name] = handle
    return named
