"""How the memory of a process that works on many pictures is kept, set up once by its entry point."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
"""Parameters of ``mallopt`` (malloc.h of the GNU C library)."""
KEPT_BYTES = 32 * 1024 * 1024
"""Most freed bytes at the end of each thread's memory that stay with the process: what portraits need, again and again."""
LARGE_BYTES = 32 * 1024 * 1024
"""From this size on, memory is asked of the system and given back at once: the most that the library allows here."""


def keep_freed_memory() -> bool:
    """Let freed memory be used again instead of giving it back after each picture; return whether that can be set.

    By default the GNU C library gives back what a picture needed once it is done, and the next one gets it anew from the
    system, a page at a time: 8,000 page faults and some 20 ms of processor time for each portrait. Other C libraries
    are left as they are.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES) and mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES))
