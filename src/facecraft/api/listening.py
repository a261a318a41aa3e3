"""Whether the address to listen on can be had, asked before the server starts and in words of our own."""

from __future__ import annotations

import errno
import os
import socket

from facecraft.errors import ConfigurationError

_OTHER_PORT = "Stop the program that listens there, or choose another port: --port (FACECRAFT_PORT)."
_OTHER_HOST = "Choose 127.0.0.1, 0.0.0.0 or an address of this machine: --host (FACECRAFT_HOST)."


def check_address(host: str, port: int) -> None:
    """Raise ConfigurationError when nobody can listen on ``port`` of ``host`` now; port 0 is any free one."""
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(f"There is no address called {host}.", hint=_OTHER_HOST, detail=str(error)) from error
    for family, kind, protocol, _, address in found:
        with socket.socket(family, kind, protocol) as probe:
            if os.name == "posix":  # a port that was in use a moment ago is free, as the server sees it
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                probe.bind(address)
            except OSError as error:
                raise _refused(host, port, error) from error


def _refused(host: str, port: int, error: OSError) -> ConfigurationError:
    match error.errno:
        case errno.EADDRINUSE:
            return ConfigurationError(f"Port {port} of {host} is in use.", hint=_OTHER_PORT, detail=str(error))
        case errno.EACCES:
            return ConfigurationError(
                f"Port {port} is not open to this user.",
                hint="Choose a port above 1023: --port (FACECRAFT_PORT).",
                detail=str(error),
            )
        case _:
            return ConfigurationError(
                f"The server cannot listen on port {port} of {host}.", hint=_OTHER_HOST, detail=str(error)
            )
