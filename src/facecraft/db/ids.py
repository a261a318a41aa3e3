"""Identifiers that the server makes for its rows."""

from __future__ import annotations

import os
import time
from uuid import UUID


def new_id() -> str:
    """Return a new UUIDv7 (RFC 9562): 62 random bits behind the time.

    The 12 bits behind the milliseconds are a fraction of the millisecond (the RFC's method 3), so that rows which
    one process makes one after the other sort in that order.
    """
    stamp, rest = divmod(time.time_ns(), 1_000_000)
    random = int.from_bytes(os.urandom(8))
    value = (
        (stamp & (1 << 48) - 1) << 80
        | 0x7 << 76
        | (rest * 4096 // 1_000_000) << 64
        | 0b10 << 62
        | random & (1 << 62) - 1
    )
    return str(UUID(int=value))


def parse_id(text: str) -> str | None:
    """Return the canonical form of an identifier that a caller sent, or None when it is not one."""
    try:
        parsed = str(UUID(text))
    except ValueError:
        return None
    return parsed if parsed == text.lower() else None
