"""``facecraft serve`` as people start it: flags reach every worker, and an address that cannot be had is told."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from facecraft.cli.app import EXIT_CODES
from facecraft.errors import Kind
from services.ports import free_port

KEY = "0123456789abcdef-from-the-environment"


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


@pytest.fixture
def free() -> int:
    return free_port()


def _answer(address: str, server: subprocess.Popen[bytes]) -> httpx.Response | None:
    for _ in range(600):
        if server.poll() is not None:
            return None
        try:
            return httpx.get(f"{address}/api/v1/models", headers={"X-API-Key": KEY}, timeout=30)
        except httpx.TransportError:
            time.sleep(0.05)
    return None


def test_flags_reach_every_worker(tmp_path: Path, free: int, yunet_file: Path) -> None:
    models = tmp_path / "models of the flag"
    models.mkdir()
    (models / yunet_file.name).write_bytes(yunet_file.read_bytes())
    environment = {
        **os.environ,
        "FACECRAFT_MODELS_DIR": str(tmp_path / "models of the environment"),
        "FACECRAFT_UPLOAD_DIR": str(tmp_path / "up"),
        "FACECRAFT_OUTPUT_DIR": str(tmp_path / "out"),
        "FACECRAFT_DATABASE_URL": f"sqlite:///{tmp_path / 'facecraft.db'}",
        "FACECRAFT_API_KEY": KEY,
    }
    flags = ["--workers", "2", "--models-dir", str(models), "--port", str(free), "--device", "cpu", "--offline"]
    log = tmp_path / "log"
    with (
        log.open("wb") as said,
        subprocess.Popen(
            [sys.executable, "-m", "facecraft", "serve", *flags], env=environment, stdout=said, stderr=said
        ) as server,
    ):
        try:
            reply = _answer(f"http://127.0.0.1:{free}", server)
            assert reply is not None, log.read_text()
            state = {model["id"]: model["state"] for model in reply.json()}
            refused = httpx.get(f"http://127.0.0.1:{free}/api/v1/models", timeout=30).status_code
        finally:
            server.terminate()
            server.wait(60)
    assert state["yunet_2023mar"] == "installed"
    assert refused == 401
    assert KEY not in log.read_text()


def _refused(*flags: str) -> tuple[int, str]:
    """Start a server that cannot listen; its exit code and what it says."""
    command = [sys.executable, "-m", "facecraft", "serve", *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_port_in_use_is_a_configuration_error(taken: int, workers: str) -> None:
    code, err = _refused("--port", str(taken), "--workers", workers)
    assert code == EXIT_CODES[Kind.CONFIGURATION]
    assert f"Error: Port {taken} of 127.0.0.1 is in use." in err
    assert "--port" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host"])
def test_an_address_of_another_machine_is_a_configuration_error(host: str) -> None:
    code, err = _refused("--host", host, "--port", "0")
    assert code == EXIT_CODES[Kind.CONFIGURATION]
    assert "--host" in err


def test_a_database_that_cannot_be_opened_is_said_before_anybody_is_let_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    monkeypatch.setenv("FACECRAFT_OUTPUT_DIR", str(tmp_path / "out"))
    monkeypatch.setenv("FACECRAFT_DATABASE_URL", f"sqlite:///{blocked / 'facecraft.db'}")
    code, err = _refused("--port", "0")
    assert code != 0
    assert f"Error: The database {blocked / 'facecraft.db'} cannot be opened." in err
    assert "Traceback" not in err


def test_being_told_to_stop_is_no_failure(tmp_path: Path, free: int) -> None:
    environment = {
        **os.environ,
        "FACECRAFT_OUTPUT_DIR": str(tmp_path / "out"),
        "FACECRAFT_DATABASE_URL": f"sqlite:///{tmp_path / 'facecraft.db'}",
        "FACECRAFT_API_KEY": KEY,
    }
    command = [sys.executable, "-m", "facecraft", "serve", "--port", str(free), "--models-dir", str(tmp_path)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) as server:
        try:
            assert _answer(f"http://127.0.0.1:{free}", server) is not None
        finally:
            server.terminate()
            said = server.communicate(timeout=60)[1].decode()
    assert server.returncode == 0, said
