"""Attacks of web pages on servers that ask nobody who they are: other names for them, and forms of other sites."""

from __future__ import annotations

import socket
from collections.abc import Callable

import httpx
import pytest

from services.people import SECRET, signed_in

V1 = "/api/v1"
KEY = "0123456789abcdef-key"
EVIL = "https://evil.example"


@pytest.fixture(scope="module")
def door(open_door: Callable[..., object]) -> object:
    """A server without users, as it is after the installation."""
    return open_door()


def post(door: object, **headers: str) -> httpx.Response:
    """Send what an HTML form can send: it needs no permission of the server."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    files = {"file": ("a.jpg", b"no picture", "image/jpeg")}
    return door.client.post(f"{V1}/jobs", files=files, data={"preset": "cutout"}, headers=named)


def refused(reply: httpx.Response) -> str | None:
    """The code of a refusal because of the page that asks; None: whatever else came of it."""
    code = reply.json().get("code") if reply.content else None
    return code if code in ("host_not_allowed", "origin_not_allowed") else None


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:8000", "EVIL.example.", "127.0.0.1.evil.example", "localhost.evil.example",
        "evil.localhost.example", "x.notlocal", "10.0.0.1.nip.io", "evil.example#.local", "[::1].evil.example",
        "127.0.0.1@evil.example", "evil.example\\.local/..", "xn--80ak6aa92e.com",
    ],
)  # fmt: skip
@pytest.mark.parametrize(("method", "path"), [("GET", "/jobs"), ("DELETE", "/jobs/x"), ("GET", "/models")])
def test_a_name_that_a_stranger_made_lead_here_opens_nothing(door: object, host: str, method: str, path: str) -> None:
    reply = door.client.request(method, V1 + path, headers={"Host": host})
    assert (reply.status_code, refused(reply)) == (403, "host_not_allowed"), reply.text
    assert "FACECRAFT_ALLOWED_HOSTS=" in reply.json()["hint"]


def test_a_refusal_says_which_setting_lets_the_name_in(door: object, open_door: Callable[..., object]) -> None:
    reply = door.client.get(f"{V1}/jobs", headers={"Host": "Studio.example.org:8000"}).json()
    assert "studio.example.org" in reply["detail"]
    assert reply["hint"].startswith("Set FACECRAFT_ALLOWED_HOSTS=studio.example.org, or")
    allowing = open_door(allowed_hosts="studio.example.org, *.Example.net")
    for host in ("studio.example.org", "STUDIO.example.org.:80", "a.example.net", "a.b.example.net:8000"):
        assert allowing.client.get(f"{V1}/jobs", headers={"Host": host}).status_code == 200, host
    for host in ("example.org", "evilstudio.example.org", "example.net", "evilexample.net"):
        assert refused(allowing.client.get(f"{V1}/jobs", headers={"Host": host})) == "host_not_allowed", host
    assert open_door(allowed_hosts="*").client.get(f"{V1}/jobs", headers={"Host": "evil.example"}).status_code == 200


def test_every_host_header_counts(door: object) -> None:
    for hosts in (("localhost", "evil.example"), ("evil.example", "localhost")):
        lines = [f"GET {V1}/jobs HTTP/1.1", *(f"Host: {host}" for host in hosts), "Connection: close", "", ""]
        with socket.create_connection(("127.0.0.1", door.port), timeout=10) as connection:
            connection.sendall("\r\n".join(lines).encode())
            answer = connection.recv(200)
        assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 403 "))


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.0.0.1:8000", "192.168.1.7:8000", "[::1]", "[::1]:8000", "[fe80::1]:80", "localhost",
        "LOCALHOST.:8000", "studio.localhost", "my-nas:8000", "facecraft:8000", "facecraft-cpu", "my_service", "nas.local:8000",
        "facecraft.default.svc.cluster.local", "host.docker.internal:8000", "nas.lan", "nas.home.arpa", "",
    ],
)  # fmt: skip
def test_names_that_no_stranger_can_have_open(door: object, host: str) -> None:
    assert door.client.get(f"{V1}/jobs", headers={"Host": host}).status_code == 200
    assert refused(post(door, Host=host)) is None
    if host:
        assert refused(post(door, Host=host, Origin=f"http://{host}")) is None


def test_the_name_it_listens_on_opens(open_door: Callable[..., object]) -> None:
    named = open_door(host="Studio.example.org")
    assert named.client.get(f"{V1}/jobs", headers={"Host": "studio.example.org:8000"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": EVIL}, {"Origin": EVIL, "Sec_Fetch_Site": "cross-site"}, {"Sec_Fetch_Site": "cross-site"},
        {"Origin": "null"}, {"Origin": "null", "Sec_Fetch_Site": "cross-site"},
        {"Origin": "http://localhost:3000", "Sec_Fetch_Site": "same-site"}, {"Origin": "http://localhost:3000"},
        {"Origin": "http://localhost.evil.example"}, {"Origin": "localhost"}, {"Origin": "http://[localhost"},
        {"Origin": "http://localhost@evil.example"}, {"Origin": ""},
    ],
)  # fmt: skip
def test_a_form_of_another_site_does_nothing(door: object, headers: dict[str, str]) -> None:
    reply = post(door, Host="localhost", **headers)
    assert (reply.status_code, refused(reply)) == (403, "origin_not_allowed"), reply.text
    assert "FACECRAFT_CORS_ORIGINS=" in reply.json()["hint"]
    assert door.client.get(f"{V1}/jobs").json()["items"] == []
    for method, path in (("POST", "/upload"), ("DELETE", f"{V1}/jobs/x"), ("PUT", "/nowhere"), ("PATCH", "/nowhere")):
        named = {"Host": "localhost", **{name.replace("_", "-"): value for name, value in headers.items()}}
        assert refused(door.client.request(method, path, headers=named)) == "origin_not_allowed"


@pytest.mark.parametrize(
    "headers",
    [
        {}, {"Sec_Fetch_Site": "same-origin", "Origin": "http://localhost:8000"}, {"Sec_Fetch_Site": "none"},
        {"Origin": "http://LOCALHOST:8000"}, {"Origin": "https://localhost:8000"},
        # Behind a proxy that keeps its own name for us the browser still knows that both are one site.
        {"Host": "facecraft", "Origin": "https://studio.example.org", "Sec_Fetch_Site": "same-origin"},
    ],
)  # fmt: skip
def test_programs_and_its_own_pages_may_send(door: object, headers: dict[str, str]) -> None:
    reply = post(door, **{"Host": "localhost:8000", **headers})
    assert refused(reply) is None, reply.text


def test_pages_that_the_operator_lists_may_send(open_door: Callable[..., object]) -> None:
    listing = open_door(cors_origins="https://studio.example")
    site = {"Sec_Fetch_Site": "cross-site"}
    assert refused(post(listing, Origin="https://studio.example", **site)) is None
    assert refused(post(listing, Origin="https://studio.example.evil.example", **site)) == "origin_not_allowed"
    told = post(listing, Origin=EVIL, **site)
    assert told.json()["hint"].startswith(f"Set FACECRAFT_CORS_ORIGINS={EVIL}, or")
    assert refused(post(open_door(cors_origins="*"), Origin=EVIL, **site)) is None


def test_probes_and_monitoring_come_by_any_name(door: object) -> None:
    for path, expected in (("/health", {200}), ("/ready", {200, 503}), ("/metrics", {200}), ("/docs", {200})):
        for host in ("evil.example", "facecraft.monitoring.svc:8000", "10.2.3.4:8000"):
            assert door.client.get(path, headers={"Host": host}).status_code in expected, (path, host)


def test_who_sends_a_key_may_use_any_name_and_page(open_door: Callable[..., object]) -> None:
    door = open_door(api_key=KEY, jwt_secret_key=SECRET)
    strange = {"Host": "studio.example.org", "Origin": EVIL, "Sec-Fetch-Site": "cross-site"}
    known = {**strange, "X-API-Key": KEY}
    assert door.client.get(f"{V1}/jobs", headers=known).status_code == 200
    assert door.client.get(f"{V1}/jobs", headers=strange).status_code == 401
    assert refused(post(door, **{name.replace("-", "_"): value for name, value in known.items()})) is None
    with signed_in(door, "ann@example.org") as ann:
        assert ann.client.get(f"{V1}/jobs", headers=strange).status_code == 200
        login = {"email": "ann@example.org", "password": "correct horse"}
        assert door.client.post(f"{V1}/auth/login", json=login, headers=strange).status_code == 200


def test_where_nobody_is_asked_users_change_nothing(open_door: Callable[..., object]) -> None:
    off = open_door(auth="off", jwt_secret_key=SECRET)
    with signed_in(off, "ann@example.org") as ann:
        assert refused(off.client.get(f"{V1}/jobs", headers={"Host": "evil.example"})) == "host_not_allowed"
        assert ann.client.get(f"{V1}/jobs", headers={"Host": "evil.example"}).status_code == 200


def test_nothing_of_a_header_is_repeated_that_is_no_name(door: object) -> None:
    for host in ("<script>.evil.example", "evil.example<b>", "a" * 300 + ".example"):
        reply = door.client.get(f"{V1}/jobs", headers={"Host": host})
        assert refused(reply) == "host_not_allowed"
        assert "<" not in reply.text
        assert "aaaa" not in reply.text
    reply = post(door, Origin="https://<b>.example")
    assert refused(reply) == "origin_not_allowed"
    assert "<" not in reply.text
