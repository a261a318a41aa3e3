"""The memory of GPUs, asked of a driver library with the real functions and two cards."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from facecraft.inference.device_memory import DeviceMemoryReader

# The signatures of nvml.h; the second card does not answer.
LIBRARY = r"""
typedef struct { unsigned long long total, free, used; } nvmlMemory_t;
static int cards[2] = {0, 1};
int nvmlInit_v2(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned int *count) { *count = 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **card) { *card = &cards[index]; return 0; }
int nvmlDeviceGetMemoryInfo(void *card, nvmlMemory_t *memory) {
    if (*(int *)card == 1) return 15;
    memory->total = 80ULL << 30; memory->free = 60ULL << 30; memory->used = 20ULL << 30;
    return 0;
}
"""
ASK = "from facecraft.inference.device_memory import DeviceMemoryReader as R; print(*R()(), sep='\\n')"


@pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None, reason="needs a C compiler: apt-get install gcc"
)
def test_cards_are_read_through_the_library_of_the_driver(tmp_path: Path) -> None:
    (tmp_path / "nvml.c").write_text(LIBRARY)
    made = tmp_path / "libnvidia-ml.so.1"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", made, tmp_path / "nvml.c"], check=True, timeout=60)
    environment = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", ASK], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines() == [f"DeviceMemory(name='cuda:0', used_bytes={20 << 30}, size_bytes={80 << 30})"]


def test_without_a_driver_there_is_no_gpu_to_tell_of() -> None:
    read = DeviceMemoryReader()
    assert all(0 <= device.used_bytes <= device.size_bytes for device in (*read(), *read()))
