"""The steps of deploy/Dockerfile without Docker: wheel, environment, read-only root, another user, the health check."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parent.parent.parent
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
AT = "/mnt"  # where the image's directories are, in a mount namespace of their own

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not hasattr(os, "geteuid") or os.geteuid() != 0 or not (shutil.which("unshare") and shutil.which("setpriv")),
        reason="mounts and users as Docker's want root, unshare and setpriv",
    ),
]


def instructions(name: str) -> list[str]:
    """Return what stands behind an instruction, each time that it comes."""
    return re.findall(rf"^\s*{name}\s+(.*)$", DOCKERFILE, re.MULTILINE)


def placed(words: str) -> str:
    """Return words with the paths of the image below AT."""
    return re.sub(r"(?<![\w./])/(?=(source|wheels|opt)\b)", f"{AT}/", words)


def in_image(image: Path, script: str, **options) -> subprocess.Popen:
    """Start a shell that sees `image` at AT, and whose mounts no one else sees."""
    return subprocess.Popen(
        ["unshare", "--mount", "sh", "-euc", f"mount --bind {image} {AT}\n{script}"], text=True, **options
    )


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """Copy what the first stage copies, and run what it runs once a compiler is there."""
    image = tmp_path_factory.mktemp("image")
    image.chmod(0o755)
    for line in instructions("COPY"):
        *sources, target = line.split()
        for source in sources if not line.startswith("--from") else ():
            place = Path(f"{image}{target}")
            if (ROOT / source).is_dir():
                shutil.copytree(
                    ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__", "libwellread.*", "*.pyc")
                )
            else:
                place.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / source, place)
    (build,) = (step for step in instructions("RUN") if step.startswith("pip wheel"))
    python = Path(sys.executable).parent
    with in_image(image, f"export PATH={python}:$PATH\ncd /\n{placed(build)}", stderr=subprocess.PIPE) as done:
        assert done.wait() == 0, done.stderr.read()
    return image


def test_the_image_s_server_is_healthy_as_another_user_on_a_root_that_is_not_written_to(image):
    (user,), (variables,) = instructions("USER"), instructions("ENV")
    ((entry,), (command,)) = ([json.loads(line) for line in instructions(name)] for name in ("ENTRYPOINT", "CMD"))
    (health,) = (json.loads(line.partition("CMD ")[2]) for line in instructions("HEALTHCHECK"))
    port = free_port()
    user_of = f"setpriv --reuid={user} --regid={user} --clear-groups --no-new-privs --bounding-set=-all"
    script = f"""
        mount -t tmpfs tmpfs /tmp
        mount -o remount,bind,ro {AT}
        mount -o remount,bind,ro /
        cd /
        export HOME=/tmp {placed(variables)}
        {user_of} sh -c 'touch {AT}/opt/x /x 2>/dev/null' && exit 9
        exec {user_of} {shlex.join(entry + command)}
    """.replace("8080", str(port))
    plain = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    with in_image(image, script, stderr=subprocess.PIPE, env=plain) as server:
        try:
            check = [str(image / "opt" / "wellread" / "bin" / "python"), *health[1:-1]]
            check.append(health[-1].replace("8080", str(port)))
            until(lambda: server.poll() is not None or subprocess.run(check, capture_output=True).returncode == 0)
            assert server.poll() is None, server.stderr.read()
            status = Path(f"/proc/{server.pid}/status").read_text()
            assert re.search(rf"^Uid:\s+{user}\s", status, re.MULTILINE)
            url = f"http://127.0.0.1:{port}"
            assert len(httpx.post(f"{url}/embed", json={"inputs": "a guitar"}).json()[0]) == 384
            resident = int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{server.pid}/status").read_text())[1])
            server.send_signal(signal.SIGTERM)
            assert server.wait(20) == 0
        finally:
            server.kill()
    print(f"{resident / 1000:.0f} MB of memory")


def test_the_environment_is_as_large_as_the_guide_says(image):
    sizes = {
        path.name: sum(file.lstat().st_size for file in path.rglob("*") if file.is_file()) / 1e6
        for path in (image / "opt" / "wellread").glob("lib/python*/site-packages/*")
    }
    total = sum(sizes.values())
    print(round(total), sorted(((round(size), name) for name, size in sizes.items()), reverse=True)[:8])
    said = re.search(r"takes about ([\d.]+) GB", (ROOT / "docs/guide/deploy.md").read_text("utf-8"))
    assert total == pytest.approx(float(said[1]) * 1000, rel=0.1)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.2)
