"""wellread verify: whether the files of modules are still what they were."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from wellread.cli.options import json_flag


@click.command("verify")
@click.argument("module", required=False)
@click.option("--revision", help="Branch, tag or commit of a Hugging Face id.")
@json_flag
def command(module: str | None, revision: str | None, as_json: bool) -> None:
    """Hash every file of MODULE, or of all that ship with wellread or were pulled; exit 3 where one is damaged.

    Files are held against what was recorded when they were pulled, and a native module's against its wellread.json.
    """
    from wellread.hub.pull import refuse_damaged, verify

    modules = verify(module, revision=revision)
    for one in modules:
        if as_json:
            click.echo(json.dumps(described(one.handle, one.directory, one.stamps, one.faults), ensure_ascii=False))
        else:
            click.echo("\n".join(table(one.handle, one.directory, one.stamps, one.faults)))
    refuse_damaged(modules)


def table(handle: str, directory: Path, stamps: Mapping[str, Any], faults: Mapping[str, str]) -> list[str]:
    """Write the files of a module as lines: name, bytes, the start of the SHA-256, and what is wrong."""
    names = sorted({*stamps, *faults})
    width = max(map(len, names), default=0)
    lines = [f"{handle}  {directory}"]
    for name in names:
        stamp = stamps.get(name)
        size, digest = (f"{stamp.size:,}", stamp.sha256[:12]) if stamp else ("-", "-")
        lines.append(f"  {name:<{width}}  {size:>15}  {digest:<12}  {faults.get(name, 'ok')}")
    return lines


def described(
    handle: str, directory: Path, stamps: Mapping[str, Any], faults: Mapping[str, str], **more: Any
) -> dict[str, Any]:
    """Return the same for programs."""
    files = [
        {
            "name": name,
            "size": stamps[name].size if name in stamps else None,
            "sha256": stamps[name].sha256 if name in stamps else None,
            "fault": faults.get(name),
        }
        for name in sorted({*stamps, *faults})
    ]
    return {"handle": handle, "directory": str(directory), **more, "ok": not faults, "files": files}
