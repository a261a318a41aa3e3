"""Ports that nobody listens on."""

from __future__ import annotations

import random
import socket

_FIRST, _LAST = 10_000, 32_000
"""Below the ports that systems hand out by themselves (Linux from 32768, others from 49152): so nobody's outgoing
connection takes a port between the question and the start of a server."""


def free_port() -> int:
    """Return a port of the loopback address that was free a moment ago."""
    for _ in range(100):
        port = random.randint(_FIRST, _LAST)  # noqa: S311
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")
