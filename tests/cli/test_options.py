"""Flags made of a dataclass."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import click
from click.testing import CliRunner

from wellread.cli.options import gather, options_of


@dataclass(frozen=True, kw_only=True)
class Inner:
    rate: float = 0.5
    steps: int = 3


@dataclass(frozen=True, kw_only=True)
class Outer:
    kind: str = "plain"
    loud: bool = True
    inner: Inner = field(default_factory=lambda: Inner(steps=7))


def ask(*arguments):
    @click.command()
    @options_of(Outer)
    def command(**given):
        click.echo(gather(Outer(), given))

    return CliRunner().invoke(command, arguments).output


def test_help_shows_what_a_nested_dataclass_is_made_with_and_not_what_its_class_says():
    shown = ask("--help")
    assert re.search(r"--steps INTEGER +\[default: 7\]", shown)
    assert re.search(r"--rate FLOAT +\[default: 0.5\]", shown)


def test_what_is_given_goes_to_its_place_and_the_rest_stays():
    assert ask("--rate", "0.25").strip() == str(Outer(inner=Inner(rate=0.25, steps=7)))


def test_what_is_true_or_false_is_switched_on_and_off():
    assert ask("--no-loud").strip() == str(Outer(loud=False))
    assert ask("--loud").strip() == str(Outer())
