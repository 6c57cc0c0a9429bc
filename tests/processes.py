"""What the tests of processes start: a module that was used, and forks, spawns and pools around it."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from pathlib import Path

import numpy as np

import wellread
from wellread.module import Module

TEXTS = ["a man is playing the guitar", "a cat sleeps", "paris, france!", "한국 기타"] * 12
TOLERANCE = {"native": 0}  # backend -> the most that vectors may differ by


def outputs(module: Module) -> list[np.ndarray]:
    """Compute by every way that a module has: in bulk, one batch, its head, its tokenizer."""
    precision = None if module.backend == "numpy" else "f32"
    return [
        module.encode(TEXTS, precision=precision),
        module(TEXTS[:5]).pooled_output,
        np.array([found.score for found in module.predict(TEXTS[:3], precision=precision)]),
        module.tokenize(TEXTS).values,
    ]


def check(module: Module, expected: list[np.ndarray]) -> None:
    for found, right in zip(outputs(module), expected, strict=True):
        assert np.abs(found - right).max() <= TOLERANCE.get(module.backend, 1e-5)


def fork(work, *, status: int) -> None:
    """Do `work` in a forked child, which ends as Python does, and see that it ends so."""
    child = os.fork()
    if not child:
        signal.alarm(40)  # a child that hangs must not outlive the test
        work()
        sys.exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == status


def forks(directory: str, backend: str) -> None:
    """A server that warms its model before it forks, a child that forks, and graphs that were freed before."""
    module = wellread.load(directory, backend=backend)
    expected = outputs(module)
    outputs(wellread.load(directory, backend=backend))  # freed at once

    def child() -> None:
        check(module, expected)
        check(wellread.load(directory, backend=backend), expected)
        fork(lambda: check(module, expected), status=5)

    for _ in range(2):
        check(module, expected)
        fork(child, status=7)
    fork(lambda: None, status=3)
    check(module, expected)


def threads(directory: str, backend: str) -> None:
    """Sixteen threads that use a module first at the same time, and forks meanwhile."""
    from concurrent.futures import ThreadPoolExecutor

    expected = outputs(wellread.load(directory, backend=backend))
    module = wellread.load(directory, backend=backend)
    with ThreadPoolExecutor(16) as pool:
        futures = [pool.submit(check, module, expected) for _ in range(48)]
        for _ in range(3):
            fork(lambda: check(module, expected), status=0)
        for future in futures:
            future.result()


def spawned(directory: str, backend: str) -> None:
    """Processes that begin anew and get the module as an argument."""
    import multiprocessing

    module = wellread.load(directory, backend=backend)
    expected = outputs(module)
    process = multiprocessing.get_context("spawn").Process(target=check, args=(module, expected))
    process.start()
    process.join(60)
    assert process.exitcode == 0


def pooled(directory: str, backend: str) -> None:
    """joblib's workers, and a pool of multiprocessing's under fork."""
    import multiprocessing

    from joblib import Parallel, delayed

    module = wellread.load(directory, backend=backend)
    expected = outputs(module)
    Parallel(n_jobs=2)(delayed(check)(module, expected) for _ in range(3))
    with multiprocessing.get_context("fork").Pool(2) as pool:
        pool.starmap(check, [(module, expected)] * 3)


def data_loader(directory: str, backend: str) -> None:
    """Workers of a DataLoader whose collate function encodes."""
    from torch.utils.data import DataLoader

    module = wellread.load(directory, backend=backend)
    expected = outputs(module)[0]
    warnings.filterwarnings("ignore", "This DataLoader will create 2 worker", UserWarning)  # where there is one core
    loader = DataLoader(
        TEXTS, batch_size=16, num_workers=2, collate_fn=lambda texts: module.encode(texts, precision="f32"), timeout=60
    )
    assert np.abs(np.concatenate(list(loader)) - expected).max() <= TOLERANCE.get(backend, 1e-5)


if __name__ == "__main__":
    globals()[sys.argv[1]](str(Path(sys.argv[2])), sys.argv[3])
    print("done")
