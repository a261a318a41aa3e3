"""Where servers of tests keep what is lost with them."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

_MEMORY = Path("/dev/shm")  # noqa: S108
_ROOM = 2 << 30
"""Bytes that must be free in memory: containers are often given 64 MiB."""


def passing_folder(name: str) -> Path:
    """Make a folder that other users reach by a short path: in memory where there is room.

    Databases are made by copying a thousand files, which costs a disk ten times as much as memory.
    """
    roomy = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free >= _ROOM
    return Path(tempfile.mkdtemp(prefix=f"facecraft-{name}-", dir=_MEMORY if roomy else "/tmp"))  # noqa: S108
