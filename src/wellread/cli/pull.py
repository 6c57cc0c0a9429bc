"""wellread pull: have a module on this machine."""

from __future__ import annotations

import json

import click

from wellread.cli.options import json_flag
from wellread.cli.verify import described, table


@click.command("pull")
@click.argument("handle")
@click.option("--revision", help="Branch, tag or commit of a Hugging Face id.")
@click.option("--force", is_flag=True, help="Fetch what is there already, too.")
@json_flag
def command(handle: str, revision: str | None, force: bool, as_json: bool) -> None:
    """Fetch what is new of the module that HANDLE names, and check every file against its source's checksums.

    Loading it then needs no network. Tokens come from HF_TOKEN or hf auth login.
    """
    import wellread

    module = wellread.pull(handle, revision=revision, force=force)
    if as_json:
        more = {"commit": module.commit, "fetched": module.fetched, "size": module.size, "notes": module.notes}
        click.echo(json.dumps(described(module.handle, module.directory, module.files, {}, **more), ensure_ascii=False))
        return
    click.echo("\n".join(table(module.handle, module.directory, module.files, {})))
    at = f" at commit {module.commit}" if module.commit else ""
    click.echo(f"{'fetched' if module.fetched else 'nothing new'}{at}; {module.size:,} bytes")
    for note in module.notes:
        click.echo(note)
