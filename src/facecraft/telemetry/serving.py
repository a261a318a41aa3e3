"""Numbers of a process that serves nothing else: ``facecraft worker``."""

from __future__ import annotations

import ipaddress
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from facecraft.errors import ConfigurationError, FacecraftError
from facecraft.telemetry.metrics import Metrics

_SILENCE_SECONDS = 10.0
log = logging.getLogger("facecraft.telemetry")


@contextmanager
def serve_metrics(metrics: Metrics, host: str, port: int, *, allows: Callable[[str], bool] | None) -> Iterator[int]:
    """Answer ``GET /metrics`` on ``host`` until the block ends; yields the port, a free one for 0.

    ``allows`` tells whether a key may read them (None: nobody is asked for one), which is sent as the API wants it:
    ``X-API-Key`` or ``Authorization: Bearer``. When it raises one of our errors, the answer is 503. Raises
    ConfigurationError for an address that cannot be had, and for one that others reach when nobody is asked for a key.
    """
    if allows is None and not is_loopback(host):
        raise ConfigurationError(
            f"The numbers would be open to whoever reaches {host}.",
            hint="Make a key (facecraft keys create) or set FACECRAFT_API_KEY; or set "
            "FACECRAFT_WORKER_METRICS_HOST=127.0.0.1.",
        )
    try:
        server = ThreadingHTTPServer((host, port), _replying(metrics, allows))
    except OSError as error:
        raise ConfigurationError(
            f"The numbers cannot be served on port {port} of {host}.",
            hint="Choose another FACECRAFT_WORKER_METRICS_PORT.",
            detail=str(error),
        ) from error
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="facecraft-metrics", daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


def _replying(metrics: Metrics, allows: Callable[[str], bool] | None) -> type[BaseHTTPRequestHandler]:
    class Reply(BaseHTTPRequestHandler):
        timeout = _SILENCE_SECONDS
        server_version, sys_version = "Facecraft", ""

        def do_GET(self) -> None:
            """Answer one request."""
            try:
                allowed = allows is None or allows(self._key())
            except FacecraftError as error:
                log.warning("nobody can be let in to the numbers: %s", error.message, extra={"detail": error.detail})
                self._send(HTTPStatus.SERVICE_UNAVAILABLE, b"", "text/plain")
                return
            if not allowed:
                self._send(HTTPStatus.UNAUTHORIZED, b"", "text/plain")
            elif self.path.partition("?")[0] != "/metrics":
                self._send(HTTPStatus.NOT_FOUND, b"", "text/plain")
            else:
                self._send(HTTPStatus.OK, *metrics.text(self.headers.get("Accept", "")))

        def _key(self) -> str:
            scheme, _, bearer = self.headers.get("Authorization", "").partition(" ")
            return self.headers.get("X-API-Key") or (bearer.strip() if scheme.lower() == "bearer" else "")

        def _send(self, status: HTTPStatus, body: bytes, media_type: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(body)))
            if status is HTTPStatus.UNAUTHORIZED:
                self.send_header("WWW-Authenticate", 'Bearer realm="facecraft"')
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the name in the library
            """Say nothing of every scrape."""

    return Reply


def is_loopback(host: str) -> bool:
    """Whether whoever listens on ``host`` is reached from this machine only."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
