"""What the connection of a request knows that the request does not say: whether the client has got its answer."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any

from starlette.types import Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

try:
    import fcntl
    import termios
except ImportError:  # not on Windows, where what the system still holds cannot be asked
    fcntl = termios = None  # type: ignore[assignment]

_STATE = "facecraft.connection"
LOOK_SECONDS = 0.02
SILENCE_SECONDS = 30.0
"""A client that takes no byte for so long is not waited for."""


class Connection(H11Protocol):
    """A connection of the server, which every request finds in its scope. Uvicorn makes it."""

    _lost = False
    _missed: int | None = None
    """Of a client that is gone: how many bytes it had not got then."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as Uvicorn has it
        """Let the requests find this connection."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, _STATE: self}

    def eof_received(self) -> None:
        """Note what was missing: a client that ends the connection has acknowledged all that it got before."""
        self._missed = self._owed()
        super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that nothing arrives any more. A reset means that the client threw away what it had not read."""
        self._lost = True
        if self._missed is None or exc is not None:
            self._missed = max(1, self._missed or 0)
        super().connection_lost(exc)

    async def settled(self) -> bool:
        """Wait until the client has got all that was written; return whether it has.

        Known is what its system has acknowledged, not what the program behind it has read; behind a proxy the client
        is the proxy.
        """
        owed, moved = self._owed(), 0.0
        while self._missed is None and not self._lost:
            if owed == 0:
                return True
            await asyncio.sleep(LOOK_SECONDS)
            now = self._owed()
            owed, moved = now, (0.0 if now < owed else moved + LOOK_SECONDS)
            if moved >= SILENCE_SECONDS:
                return False
        return self._missed == 0

    def _owed(self) -> int:
        """Return how many bytes were written and not yet acknowledged."""
        return int(self.transport.get_write_buffer_size()) + _unacknowledged(self.transport.get_extra_info("socket"))


def _unacknowledged(found: socket.socket | None) -> int:
    """Return how many sent bytes the system still holds (SIOCOUTQ of tcp(7)); 0 where it does not say."""
    if found is None or fcntl is None:
        return 0
    try:
        return int(struct.unpack("i", fcntl.ioctl(found.fileno(), termios.TIOCOUTQ, b"\0" * 4))[0])
    except (OSError, ValueError):  # closed, or a system that does not tell
        return 0


def connection_of(scope: Scope) -> Connection | None:
    """Return the connection of a request; None under a server that is not ours."""
    state: dict[str, Any] = scope.get("state", {})
    found = state.get(_STATE)
    return found if isinstance(found, Connection) else None
