"""The numbers of a worker are answered on a port of their own, and not to strangers."""

from __future__ import annotations

import httpx
import pytest

from facecraft.errors import ConfigurationError, StorageError
from facecraft.telemetry.metrics import Metrics
from facecraft.telemetry.serving import is_loopback, serve_metrics

KEY = "0123456789abcdef-worker"


def test_the_numbers_are_there_until_the_block_ends() -> None:
    with serve_metrics(Metrics(), "127.0.0.1", 0, allows=None) as port:
        address = f"http://127.0.0.1:{port}"
        reply = httpx.get(f"{address}/metrics?x=1")
        assert (reply.status_code, "facecraft_http_requests_open" in reply.text) == (200, True)
        assert httpx.get(f"{address}/other").status_code == 404
        assert httpx.post(f"{address}/metrics").status_code == 501
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{address}/metrics")


def test_the_key_is_asked_for() -> None:
    with serve_metrics(Metrics(), "127.0.0.1", 0, allows=lambda sent: sent == KEY) as port:
        address = f"http://127.0.0.1:{port}/metrics"
        for headers in ({}, {"X-API-Key": "wrong"}, {"Authorization": f"Basic {KEY}"}):
            assert httpx.get(address, headers=headers).status_code == 401
        for headers in ({"X-API-Key": KEY}, {"Authorization": f"Bearer {KEY}"}):
            assert httpx.get(address, headers=headers).status_code == 200


def test_who_cannot_be_known_is_told_to_come_later() -> None:
    def away(_: str) -> bool:
        raise StorageError("The database could not be reached.", detail="secret-host")

    with serve_metrics(Metrics(), "127.0.0.1", 0, allows=away) as port:
        reply = httpx.get(f"http://127.0.0.1:{port}/metrics", headers={"X-API-Key": KEY})
    assert (reply.status_code, reply.content) == (503, b"")


def test_an_open_address_needs_a_key_and_a_taken_port_is_told() -> None:
    with (
        pytest.raises(ConfigurationError, match="open to whoever"),
        serve_metrics(Metrics(), "0.0.0.0", 0, allows=None),  # noqa: S104
    ):
        pass
    with (
        serve_metrics(Metrics(), "127.0.0.1", 0, allows=None) as port,
        pytest.raises(ConfigurationError, match="cannot be served"),
        serve_metrics(Metrics(), "127.0.0.1", port, allows=None),
    ):
        pass


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("127.5.0.1", True),
        ("0.0.0.0", False),  # noqa: S104
        ("::", False),
        ("10.0.0.1", False),
        ("example.org", False),
    ],
)
def test_loopback_is_known(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
