"""``facecraft serve`` with users: what it warns of, and what it never writes into its log."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from facecraft.accounts.records import Scope
from facecraft.api.serving import _warn
from facecraft.settings import Settings
from facecraft.studio import Studio
from services.people import PASSWORD, SECRET, accounts_of
from services.ports import free_port

V1 = "/api/v1"
EMAIL = "ann@example.org"


def settings_in(folder: Path, **changes: object) -> Settings:
    own = {
        "models_dir": folder / "models",
        "upload_dir": folder / "uploads",
        "output_dir": folder / "results",
        "crops_dir": folder / "crops",
        "database_url": f"sqlite:///{folder / 'facecraft.db'}",
        "jwt_secret_key": SECRET,
        "device": "cpu",
        "offline": True,
    }
    return Settings(**{**own, **changes})


@pytest.fixture
def warnings_said() -> Iterator[list[str]]:
    """What the server logs in this process."""
    said: list[str] = []
    log, listener = logging.getLogger("facecraft.api"), logging.Handler()
    listener.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    log.addHandler(listener)
    yield said
    log.removeHandler(listener)


@pytest.mark.parametrize(
    ("changes", "user", "warned"),
    [
        ({"host": "0.0.0.0"}, False, "ANYBODY"),  # noqa: S104
        ({"host": "0.0.0.0", "auth": "off", "api_key": "0123456789abcdef"}, True, "ANYBODY"),  # noqa: S104
        ({"host": "0.0.0.0", "api_key": "0123456789abcdef"}, False, ""),  # noqa: S104
        ({"host": "0.0.0.0"}, True, ""),  # noqa: S104
        ({"host": "127.0.0.1"}, False, ""),
        ({"host": "127.0.0.1", "auth": "required"}, False, "NOBODY"),
        ({"host": "0.0.0.0", "auth": "required"}, False, "NOBODY"),  # noqa: S104
        ({"host": "0.0.0.0", "auth": "required"}, True, ""),  # noqa: S104
    ],
)
def test_an_open_door_is_warned_of(
    tmp_path: Path, warnings_said: list[str], changes: dict[str, object], user: bool, warned: str
) -> None:
    settings = settings_in(tmp_path, **changes)
    if user:
        with accounts_of(settings) as accounts:
            accounts.users.create(EMAIL, PASSWORD)
    with Studio.open(settings) as studio:
        _warn(settings, studio)
    assert len(warnings_said) == (1 if warned else 0)
    assert not warned or warnings_said[0].startswith(warned)
    if not user:
        assert not (tmp_path / "facecraft.db").exists()


@pytest.mark.parametrize(("auth", "warned"), [("auto", "NOBODY"), ("required", "NOBODY"), ("off", "ANYBODY")])
def test_a_door_that_nobody_is_left_to_open_is_warned_of(
    tmp_path: Path, warnings_said: list[str], auth: str, warned: str
) -> None:
    settings = settings_in(tmp_path, host="0.0.0.0", auth=auth)  # noqa: S104
    with accounts_of(settings) as accounts:
        made, _ = accounts.keys.create("ci", [Scope.READ])
        accounts.keys.revoke_any(made.id)
    with Studio.open(settings) as studio:
        _warn(settings, studio)
    assert [line.partition(" ")[0] for line in warnings_said] == [warned]


def test_the_log_has_no_secrets(tmp_path: Path) -> None:
    port = free_port()
    settings = settings_in(tmp_path, port=port, refresh_grace_seconds=0)
    with accounts_of(settings) as accounts:
        user = accounts.users.create(EMAIL, PASSWORD)
        _, key = accounts.keys.create("ci", [Scope.READ], user_id=user.id)
    environment = {**os.environ, **settings.environment(), "FACECRAFT_LOG_LEVEL": "DEBUG", "FACECRAFT_DEBUG": "1"}
    environment["FACECRAFT_QUOTTA_MB"] = "5"
    log = tmp_path / "log"
    with (
        log.open("wb") as said,
        subprocess.Popen(
            [sys.executable, "-m", "facecraft", "serve"], env=environment, stdout=said, stderr=said
        ) as server,
    ):
        client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)
        try:
            deadline = time.monotonic() + 60
            while True:
                try:
                    login = client.post(f"{V1}/auth/login", json={"email": EMAIL, "password": PASSWORD})
                    break
                except httpx.TransportError:
                    assert server.poll() is None, log.read_text()
                    assert time.monotonic() < deadline, log.read_text()
                    time.sleep(0.05)
            tokens = login.json()
            url = f"{V1}/account/profile"
            statuses = [
                client.get(url, headers={"X-API-Key": key}).status_code,
                client.get(url, params={"access_token": tokens["token"]}).status_code,
                client.get(url, params={"access_token": "bad.bad.bad"}).status_code,
                client.get(url, headers={"X-API-Key": key + "x"}).status_code,
                client.post(f"{V1}/auth/refresh", json={"refreshToken": tokens["refreshToken"]}).status_code,
                client.post(f"{V1}/auth/refresh", json={"refreshToken": tokens["refreshToken"]}).status_code,
                client.post(f"{V1}/auth/login", json={"email": EMAIL, "password": "wrong password"}).status_code,
            ]
            # Nobody told the server of a proxy: all attempts came from one address, whatever the header says.
            guesses = [
                client.post(
                    f"{V1}/auth/login",
                    json={"email": f"u{number}@example.org", "password": PASSWORD},
                    headers={"X-Forwarded-For": f"198.51.100.{number}"},
                ).status_code
                for number in range(12)
            ]
        finally:
            client.close()  # a stopping server waits for connections
            server.terminate()
            server.wait(60)
    assert statuses == [200, 200, 401, 401, 200, 401, 401]
    assert guesses[-1] == 429
    shown = log.read_text()
    assert "/api/v1/account/profile" in shown
    assert "There is no setting FACECRAFT_QUOTTA_MB; did you mean FACECRAFT_QUOTA_MB?" in shown
    secrets = [
        key,
        tokens["token"],
        tokens["refreshToken"],
        PASSWORD,
        SECRET,
        "wrong password",
        "access_token",
        "bad.bad",
    ]
    assert [secret for secret in secrets if secret in shown] == []
