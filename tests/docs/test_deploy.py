"""What stands in deploy/: it names files that are there, and a command that the verb takes."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from wellread.cli.main import group

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text("utf-8")


def arguments_of_serve(words: list[str]) -> dict[str, object]:
    """Parse a command line of wellread serve; what it does not take raises."""
    assert words[0].rpartition("/")[2] == "wellread"
    assert words[1] == "serve"
    command = group.get_command(click.Context(group), "serve")
    return command.make_context("serve", words[2:], parent=click.Context(group)).params


def test_the_image_copies_what_is_there_and_ignores_the_rest():
    copied = [
        path for line in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE) for path in line.split()
    ]
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text("utf-8")
    assert set(re.findall(r"^!(\S+)", ignored, re.MULTILINE)) == set(copied)
    assert all((DEPLOY.parent / path).exists() for path in copied)


def test_the_image_serves_as_another_than_root():
    entry, command = (
        json.loads(re.search(rf"^{name} (.*)", DOCKERFILE, re.MULTILINE)[1]) for name in ("ENTRYPOINT", "CMD")
    )
    params = arguments_of_serve(entry + command)
    assert (params["host"], params["port"], params["modules"]) == ("0.0.0.0", 8080, ("default",))
    assert re.search(r"^USER 10001$", DOCKERFILE, re.MULTILINE)
    assert "http://127.0.0.1:8080/health" in DOCKERFILE


def test_the_unit_starts_the_verb():
    unit = (DEPLOY / "wellread.service").read_text("utf-8")
    params = arguments_of_serve(shlex.split(re.search(r"^ExecStart=(.*)", unit, re.MULTILINE)[1]))
    assert (params["modules"], params["local_files_only"]) == (("default",), True)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="apt-get install systemd")
def test_systemd_finds_no_fault_in_the_unit(tmp_path):
    unit = (DEPLOY / "wellread.service").read_text("utf-8")
    copy = tmp_path / "wellread.service"
    copy.write_text(unit.replace("/opt/wellread/bin/wellread", sys.executable), "utf-8")
    done = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    copy.write_text(unit.replace("/opt/wellread/bin/wellread", sys.executable).replace("DynamicUser", "DynamikUser"))
    assert "DynamikUser" in subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True).stderr


def test_compose_runs_the_image_with_a_root_that_is_not_written_to():
    yaml = pytest.importorskip("yaml")
    service = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))["services"]["wellread"]
    assert (service["read_only"], service["cap_drop"], service["ports"]) == (True, ["ALL"], ["8080:8080"])
    assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).samefile(DEPLOY / "Dockerfile")
