"""wellread verify: whether the files of modules are still what they were, and whether vectors belong to a module."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from wellread.cli.options import json_flag


@click.command("verify")
@click.argument("module", required=False)
@click.option("--revision", help="Branch, tag or commit of a Hugging Face id.")
@click.option("--canary", metavar="FILE", help="Vectors of wellread embed: say whether MODULE made them.")
@json_flag
def command(module: str | None, revision: str | None, canary: str | None, as_json: bool) -> None:
    """Hash every file of MODULE, or of all that ship with wellread or were pulled; exit 3 where one is damaged.

    Files are held against what was recorded when they were pulled, and a native module's against its wellread.json.
    With --canary MODULE (default, if none is named) encodes the texts whose vectors FILE keeps; exit 3 where it makes
    others now.
    """
    if canary is not None:
        check_vectors(canary, module or "default", revision, as_json)
        return
    from wellread.hub.pull import refuse_damaged, verify

    modules = verify(module, revision=revision)
    for one in modules:
        if as_json:
            click.echo(json.dumps(described(one.handle, one.directory, one.stamps, one.faults), ensure_ascii=False))
        else:
            click.echo("\n".join(table(one.handle, one.directory, one.stamps, one.faults)))
    refuse_damaged(modules)


def check_vectors(file: str, handle: str, revision: str | None, as_json: bool) -> None:
    """Say whether the vectors of a file belong to a module. Raises: DataError where they do not."""
    import wellread
    from wellread.corpus.canary import SAME, check_canary
    from wellread.errors import DataError

    found = check_canary(wellread.load(handle, revision=revision), file)
    if as_json:
        click.echo(json.dumps({**asdict(found), "same": found.same}))
    else:
        click.echo(
            f"{file}  module {found.stored_fingerprint}\n{handle}  module {found.fingerprint}\n"
            f"cosine of the canary's texts: {found.least_cosine:.6f} at least"
        )
    if not found.same:
        raise DataError(
            f"vectors of {handle} ({found.fingerprint}) were asked of {file}; found those of "
            f"{found.stored_fingerprint}, whose canary has a cosine of {found.least_cosine:.4f} and not of {SAME} at "
            "least; embed the texts again, or name the module that made them"
        )


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
