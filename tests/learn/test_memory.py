"""What the C library holds of freed memory, before and after it is given back."""

import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, sys
from pathlib import Path
from wellread.backends.backend import give_back

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

blocks = [ctypes.create_string_buffer(b"x" * 100_000) for _ in range(2_000)]
del blocks[:-1]  # the last one keeps all the others' pages
before = resident()
give_back()
print(before - resident(), len(blocks))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_freed_memory_goes_back_to_the_system():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    freed, kept = map(int, done.stdout.split())
    assert freed > 150_000_000
    assert kept == 1
