"""A real receiver of webhooks for tests: an HTTP server in a thread, on a free loopback port."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Received:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """What came in, and what is answered: the next of ``statuses``, the last one for ever."""

    statuses: list[int] = field(default_factory=lambda: [204])
    headers: dict[str, str] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    before: Callable[[], None] = lambda: None
    port: int = 0

    def url(self, host: str = "127.0.0.1", scheme: str = "http") -> str:
        """The address of the receiver, by a name that the test lets lead to it."""
        return f"{scheme}://{host}:{self.port}/hook?from=facecraft"

    def wait(self, count: int, seconds: float = 10.0) -> Sequence[Received]:
        """Wait until so many requests came in."""
        deadline = time.monotonic() + seconds
        while len(self.received) < count and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(self.received) >= count, f"{len(self.received)} of {count} requests came in"
        return list(self.received)


@contextmanager
def run_receiver(certificates: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """Run a receiver; with ``certificates`` it speaks TLS."""
    receiver = Receiver()
    lock = threading.Lock()

    class Door(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            with lock:
                receiver.received.append(Received(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                status = receiver.statuses.pop(0) if len(receiver.statuses) > 1 else receiver.statuses[0]
            receiver.before()
            self.send_response(status)
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Say nothing: a refused certificate is what a test wants to see."""

    with Quiet(("127.0.0.1", 0), Door) as server:
        if certificates is not None:
            server.socket = certificates.wrap_socket(server.socket, server_side=True)
        receiver.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join(timeout=10)
