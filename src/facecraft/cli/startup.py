"""How long a user waits: for ``facecraft --help``, and for ``facecraft serve`` to answer and to be ready."""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request

from pydantic import BaseModel, ConfigDict

from facecraft.errors import DeadlineError

_PATIENCE = 60.0
_PAUSE = 0.01


class StartupRow(BaseModel):
    """One wait in seconds."""

    model_config = ConfigDict(frozen=True)

    what: str
    best_s: float
    median_s: float


class Startup(BaseModel):
    """All waits."""

    model_config = ConfigDict(frozen=True)

    rows: tuple[StartupRow, ...]


def measure_startup(runs: int) -> Startup:
    """Start fresh processes ``runs`` times. Raises DeadlineError when the server is not ready after a minute."""
    helps = [_help() for _ in range(runs)]
    answers, readies = zip(*(_serve() for _ in range(runs)), strict=True)
    return Startup(rows=(_row("--help", helps), _row("serve answers", answers), _row("serve is ready", readies)))


def _row(what: str, times: list[float] | tuple[float, ...]) -> StartupRow:
    return StartupRow(what=what, best_s=round(min(times), 3), median_s=round(statistics.median(times), 3))


def _help() -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "facecraft", "--help"], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def _serve() -> tuple[float, float]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "facecraft", "serve", "--host", "127.0.0.1", "--port", str(port)]
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:  # noqa: S603
        try:
            return _wait(port, "health", start), _wait(port, "ready", start)
        finally:
            server.terminate()


def _wait(port: int, path: str, start: float) -> float:
    while (spent := time.perf_counter() - start) < _PATIENCE:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=_PATIENCE):
                return time.perf_counter() - start
        except (urllib.error.URLError, ConnectionError):
            time.sleep(_PAUSE)
    raise DeadlineError(f"The server did not answer /{path} within {spent:.0f} seconds.")
