"""wellread doctor: what is installed, what this machine computes in, where modules lie, and what is wrong."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from wellread.cli.options import json_flag

if TYPE_CHECKING:
    from wellread.doctor.examine import Examination


@click.command("doctor")
@json_flag
def command(as_json: bool) -> None:
    """Examine this installation, this machine and the caches; end with what is wrong and what to do about it.

    Nothing is changed and no socket is opened. Exit 0 where all works, 3 where something is broken.
    """
    from wellread.doctor.examine import examine

    examination = examine()
    for line in [json.dumps(asdict(examination), ensure_ascii=False, default=str)] if as_json else lines(examination):
        click.echo(line)
    if any(problem.broken for problem in examination.problems):
        sys.exit(3)


def lines(examination: Examination) -> Iterator[str]:
    """Say in lines what was found."""
    yield f"wellread {examination.wellread}, Python {examination.python}"
    if (cpu := examination.processor) is not None:
        yield f"\ncpu         {cpu.name}, {cpu.cores} cores for this process"
        sets = ", ".join(cpu.sets) or "instruction sets not told"
        yield f"            {sets}; OpenVINO: {', '.join(cpu.capabilities)}"
        yield f"            encode computes in {cpu.precisions[0]}, a call of the module in f32"
    if (gpu := examination.graphics) is not None:
        yield f"gpu         {', '.join(gpu.names) or 'none'} (PyTorch {gpu.torch}, CUDA {gpu.cuda or 'none'})"
    native = examination.native
    yield f"native      {native.built or 'built'}" if native.variants else f"native      not used: {native.refusal}"
    yield from (f"  {variant.name:<12}{variant.note}" for variant in native.variants)
    yield "\nbackends"
    for test in examination.backends:
        result = f"cosine {test.cosine:.7f} to float64, {test.seconds:.2f} s" if test.cosine is not None else test.note
        yield f"  {test.backend:<12}{test.precision or '':<6}{result}"
    if examination.modules:
        yield "\nmodules     that ship with wellread"
    for module in examination.modules:
        yield f"  {module.name:<18}{module.size / 1e6:.1f} MB{', damaged' if module.faults else ''}"
    if examination.choices:
        yield "\nchoices     for many texts, by texts of 32 tokens a second; WELLREAD_CHOICE=off goes without"
    for choice in examination.choices:
        rates = ", ".join(str(measured) for measured in choice.measured)
        yield f"  {choice.setting.module} in {choice.setting.precision}: {choice.chosen}; measured: {rates}"
    yield "\npackages"
    for extra in dict.fromkeys(package.extra for package in examination.packages):
        names = [f"{p.name} {p.version or '(not installed)'}" for p in examination.packages if p.extra == extra]
        yield f"  {extra or 'always':<12}{', '.join(names)}"
    yield "\nenvironment"
    yield from (f"  {name:<20}{value}" for name, value in (examination.environment or {"nothing": "is set"}).items())
    yield "\ncaches"
    for cache in examination.caches:
        room = f"{cache.size / 1e6:,.1f} MB in {cache.files:,} files, {cache.free / 1e9:,.0f} GB free"
        yield f"  {cache.name:<18}{cache.path}: {room}{'' if cache.writable else ', cannot be written'}"
    yield "" if examination.problems else "\nnothing is wrong"
    for problem in examination.problems:
        yield f"{'broken' if problem.broken else 'advice'}: {problem.found}; {problem.advice}"
