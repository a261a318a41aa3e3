"""How full the memory of the GPUs is, asked of the driver's own library (NVML), which comes with every driver.

Two of its functions are called through ctypes; no package is needed for that. Where there is no driver, there is no
GPU to tell of. https://docs.nvidia.com/deploy/nvml-api/
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

_LIBRARIES = ("libnvidia-ml.so.1", "nvml.dll")
_SUCCESS = 0


@dataclass(frozen=True, slots=True)
class DeviceMemory:
    """The memory of one GPU."""

    name: str
    """``cuda:N``, in the order of the driver."""
    used_bytes: int
    """By all processes."""
    size_bytes: int


class _Memory(ctypes.Structure):
    """``nvmlMemory_t``."""

    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


class DeviceMemoryReader:
    """Asks the driver for the memory of every GPU. The library is loaded when it is first asked, and kept."""

    def __init__(self) -> None:
        self._library: ctypes.CDLL | None = None
        self._tried = False

    def __call__(self) -> tuple[DeviceMemory, ...]:
        """Return the memory of every GPU that the driver shows; none where there is no driver."""
        library = self._loaded()
        if library is None:
            return ()
        count = ctypes.c_uint()
        if library.nvmlDeviceGetCount_v2(ctypes.byref(count)) != _SUCCESS:
            return ()
        return tuple(found for index in range(count.value) if (found := _memory(library, index)) is not None)

    def _loaded(self) -> ctypes.CDLL | None:
        if not self._tried:
            self._tried = True
            for name in _LIBRARIES:
                try:
                    library = ctypes.CDLL(name)
                except OSError:
                    continue
                if library.nvmlInit_v2() == _SUCCESS:
                    self._library = library
                    break
        return self._library


def _memory(library: ctypes.CDLL, index: int) -> DeviceMemory | None:
    handle, memory = ctypes.c_void_p(), _Memory()
    if library.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(index), ctypes.byref(handle)) != _SUCCESS:
        return None
    if library.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory)) != _SUCCESS:
        return None
    return DeviceMemory(f"cuda:{index}", memory.used, memory.total)
