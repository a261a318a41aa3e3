"""Numbers of a process that serves nothing else: ``facecraft worker``."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from facecraft.errors import ConfigurationError
from facecraft.telemetry.metrics import Metrics

_SILENCE_SECONDS = 10.0


@contextmanager
def serve_metrics(metrics: Metrics, host: str, port: int, *, key: str | None) -> Iterator[int]:
    """Answer ``GET /metrics`` on ``host`` until the block ends; yields the port, a free one for 0.

    With a ``key``, whoever asks sends it as the API wants it: ``X-API-Key`` or ``Authorization: Bearer``. Raises
    ConfigurationError for an address that cannot be had, and for one that others reach when there is no key.
    """
    if key is None and not is_loopback(host):
        raise ConfigurationError(
            f"The numbers would be open to whoever reaches {host}.",
            hint="Set FACECRAFT_API_KEY, or FACECRAFT_WORKER_METRICS_HOST=127.0.0.1.",
        )
    digest = None if key is None else hashlib.sha256(key.encode()).digest()

    class Reply(BaseHTTPRequestHandler):
        timeout = _SILENCE_SECONDS
        server_version, sys_version = "Facecraft", ""

        def do_GET(self) -> None:
            """Answer one request."""
            if not self._allowed():
                self._send(HTTPStatus.UNAUTHORIZED, b"", "text/plain")
            elif self.path.partition("?")[0] != "/metrics":
                self._send(HTTPStatus.NOT_FOUND, b"", "text/plain")
            else:
                self._send(HTTPStatus.OK, *metrics.text(self.headers.get("Accept", "")))

        def _allowed(self) -> bool:
            scheme, _, bearer = self.headers.get("Authorization", "").partition(" ")
            given = self.headers.get("X-API-Key") or (bearer.strip() if scheme.lower() == "bearer" else "")
            sent = hashlib.sha256(given.encode("utf-8", "surrogateescape")).digest()
            return digest is None or hmac.compare_digest(sent, digest)

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

    try:
        server = ThreadingHTTPServer((host, port), Reply)
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


def is_loopback(host: str) -> bool:
    """Whether whoever listens on ``host`` is reached from this machine only."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
