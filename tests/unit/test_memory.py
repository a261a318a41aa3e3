"""Memory that a picture needed is there for the next one."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

COUNT = """
import resource, sys
import numpy as np
if sys.argv[1] == "kept":
    from facecraft.memory import keep_freed_memory
    assert keep_freed_memory()
def picture():
    return sum(float(np.ones(400_000, np.float32).sum()) for _ in range(3)), [np.ones(1_000_000, np.float32) for _ in range(5)]
for _ in range(5):
    picture()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    picture()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", COUNT, how], capture_output=True, text=True, check=True, timeout=60)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only the GNU C library can be told")
def test_memory_is_used_again() -> None:
    assert faults("kept") < 100
