"""What computes: the name of the processor, and how many cores this process may use."""

from __future__ import annotations

import math
import os
from functools import cache
from pathlib import Path, PurePosixPath

from wellread.errors import InputError

THREADS = "WELLREAD_THREADS"  # names how many cores computing may take
CPU_INFO = Path("/proc/cpuinfo")


def cpu_count(root: str | os.PathLike[str] = "/") -> int:
    """Count the cores that this process may use: the least of what sets a limit.

    That is its affinity, its cgroup's quota (rounded up), OMP_NUM_THREADS and WELLREAD_THREADS. `root` is where /proc
    and /sys/fs/cgroup lie.

    Raises: InputError for a WELLREAD_THREADS that is no number of threads.
    """
    process_cpu_count = getattr(os, "process_cpu_count", None)  # of Python 3.13, which heeds PYTHON_CPU_COUNT too
    if process_cpu_count is not None:
        cores = process_cpu_count() or 1
    else:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limits = [cores, math.ceil(cpu_quota(os.fspath(root)) or cores)]
    threads = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()  # joblib sets it in its workers
    if threads.isascii() and threads.isdigit():
        limits.append(int(threads))
    if own := os.environ.get(THREADS, "").strip():
        limits.append(int(own) if own.isascii() and own.isdigit() else 0)
        if not limits[-1]:
            raise InputError(
                f"{THREADS} is a number of threads, at least 1; found {own!r}; set it to such as 4, or unset it"
            )
    return max(1, min(limits))


def cpu_name() -> str:
    """Return what the processor is called."""
    import platform

    return next(iter(cpu_info("model name")), "") or platform.processor() or platform.machine()


def cpu_info(name: str) -> list[str]:
    """Return what the system says of the first core under a name; nothing where it has no such file or line."""
    lines = CPU_INFO.read_text("utf-8").splitlines() if CPU_INFO.exists() else []
    return [line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == name][:1]


@cache
def cpu_quota(root: str = "/") -> float | None:
    """Return how many cores' time the cgroups of this process allow it, of version 2 or 1; None: as much as there is.

    Source: cgroup-v2.rst (cpu.max) and sched-bwc.rst (cpu.cfs_quota_us) of the Linux kernel.
    """
    quotas = []
    for line in _words(Path(root, "proc/self/cgroup"), "\n"):
        number, controllers, path = (*line.split(":", 2), "", "")[:3]
        here = PurePosixPath("/", path).relative_to("/")
        for folder in (here, *here.parents):  # a limit of a parent holds too; in a container the path may be the host's
            if number == "0" and not controllers:
                quotas.append(_words(Path(root, "sys/fs/cgroup", folder, "cpu.max")))
            elif "cpu" in controllers.split(","):
                for mount in ("cpu", controllers):
                    group = Path(root, "sys/fs/cgroup", mount, folder)
                    quotas.append([*_words(group / "cpu.cfs_quota_us"), *_words(group / "cpu.cfs_period_us")])
    pairs = [words for words in quotas if len(words) == 2 and all(map(str.isdecimal, words))]  # neither "max" nor -1
    return min((int(quota) / int(period) for quota, period in pairs if int(quota) and int(period)), default=None)


def _words(path: Path, separator: str | None = None) -> list[str]:
    try:
        return path.read_text("ascii", "replace").split(separator)
    except OSError:
        return []
