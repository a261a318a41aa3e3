"""Attacks on accounts over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import httpx
import pytest

from facecraft.accounts.records import Role, Scope
from services.people import PASSWORD, SECRET, Person, accounts_of, key_for, signed_in

V1 = "/api/v1"
ANN, NOBODY = "ann@example.org", "nobody@example.org"


@pytest.fixture(scope="module")
def door(open_door: Callable[..., object]) -> object:
    return open_door(jwt_secret_key=SECRET, auth_rate_limit="")


@pytest.fixture(scope="module")
def ann(door: object) -> Iterator[Person]:
    with signed_in(door, ANN) as person:
        yield person


def without_ids(reply: httpx.Response) -> tuple[int, dict[str, object], list[str]]:
    """What an attacker can compare: everything but the identity of the request."""
    body = reply.json() if reply.content else {}
    said = {name: value for name, value in body.items() if name not in ("instance", "request_id")}
    return reply.status_code, said, sorted(reply.headers)


def test_no_answer_tells_who_has_an_account(door: object, ann: Person) -> None:
    for path, body in (
        ("login", {"password": "wrong password"}), ("login", {"password": "x"}), ("login", {"password": ""}),
        ("forgot-password", {}),
    ):  # fmt: skip
        known, unknown = (
            door.client.post(f"{V1}/auth/{path}", json={"email": email, **body}) for email in (ANN, NOBODY)
        )
        assert without_ids(known) == without_ids(unknown), path


@pytest.mark.parametrize(
    "email",
    [
        "' OR '1'='1",
        "ann@example.org' --",
        'ann@example.org"; DROP TABLE users; --',
        "ann@example.org\x00",
        "%@%.%",
        "*",
    ],
)
def test_sql_in_an_email_finds_nobody(door: object, ann: Person, email: str) -> None:
    for path in ("login", "forgot-password"):
        body = {"email": email, "password": PASSWORD} if path == "login" else {"email": email}
        reply = door.client.post(f"{V1}/auth/{path}", json=body)
        assert reply.status_code == 422
        assert reply.json()["code"] == "invalid_request"
    assert ann.client.get(f"{V1}/account/profile").status_code == 200


def test_headers_cannot_be_put_into_a_mail(door: object) -> None:
    reply = door.client.post(f"{V1}/auth/forgot-password", json={"email": "ann@example.org\r\nBcc: eve@example.org"})
    assert reply.status_code == 422


def test_a_refused_password_is_repeated_nowhere(
    door: object, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    secret = "s3cr3t-that-nobody-sees"
    for body in (
        {"email": ANN, "password": secret}, {"email": "bad", "password": secret}, {"email": ANN, "password": [secret]},
        {"email": ANN, "password": secret, "more": secret}, {"email": ANN, "password": secret + "x" * 2000},
    ):  # fmt: skip
        assert secret not in door.client.post(f"{V1}/auth/login", json=body).text
    shown = capfd.readouterr()
    assert secret not in caplog.text + shown.out + shown.err


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"null", b"{", b'"x"', b'{"email": {"$ne": null}, "password": {"$ne": null}}',
        b'{"email": "ann@example.org", "password": "\\ud800\\ud800\\ud800\\ud800\\ud800\\ud800\\ud800\\ud800"}',
        b"\xff\xfe", b'{"email": ' + b"[" * 20_000,
    ],
)  # fmt: skip
def test_bodies_that_are_no_sign_in_are_refused(door: object, body: bytes) -> None:
    for path in ("login", "signup", "refresh", "forgot-password", "reset-password"):
        reply = door.client.post(f"{V1}/auth/{path}", content=body, headers={"Content-Type": "application/json"})
        assert 400 <= reply.status_code < 500, (path, reply.text)


def test_large_bodies_are_not_read(door: object) -> None:
    body = json.dumps({"email": ANN, "password": "x" * 3_000_000})
    reply = door.client.post(f"{V1}/auth/login", content=body, headers={"Content-Type": "application/json"})
    assert reply.status_code == 413


def test_strangers_cannot_make_themselves_admins(open_door: Callable[..., object]) -> None:
    open_to_all = open_door(signup_enabled=True, jwt_secret_key=SECRET, auth_rate_limit="")
    body = {"email": "eve@example.org", "password": PASSWORD}
    assert open_to_all.client.post(f"{V1}/auth/signup", json={**body, "role": "admin"}).status_code == 422
    made = open_to_all.client.post(f"{V1}/auth/signup", json=body).json()
    mine = {"Authorization": f"Bearer {made['token']}"}
    assert made["user"]["role"] == "user"
    assert open_to_all.client.put(f"{V1}/account/profile", json={"role": "admin"}, headers=mine).status_code == 422
    reply = open_to_all.client.patch(f"{V1}/users/{made['user']['id']}", json={"role": "admin"}, headers=mine)
    assert reply.status_code == 403


def test_paths_cannot_be_spelled_around_the_guard(door: object, ann: Person) -> None:
    for path in (
        f"{V1}/users", f"{V1}//users", f"{V1}/Users", "/api/v1/auth/../users", f"{V1}/users/", f"{V1}/users/.", "/docs/../api/v1/users",
        "/health/../api/v1/users", f"{V1}/auth/login/../../users", "/docs/%2e%2e/api/v1/users", f"{V1}/users;x", f"{V1}/users%00",
    ):  # fmt: skip
        for client in (door.client, ann.client):
            request = client.build_request("GET", "/")
            request.url = request.url.copy_with(raw_path=path.encode())
            reply = client.send(request)
            assert reply.status_code in (401, 403, 404), (path, reply.status_code)
            assert "example.org" not in reply.text


def test_credentials_in_odd_headers_open_nothing(door: object, ann: Person) -> None:
    odd = [
        {"Authorization": ann.token}, {"Authorization": f"Basic {ann.token}"}, {"Authorization": "Bearer"},
        {"Authorization": f"Token {ann.token}"}, {"Cookie": f"access_token={ann.token}"},
        {"X-API-Key": ""}, {"X-API-Key": "\xff\xfe"}, {"X-API-Key": "x" * 20_000}, {"Authorization": "Bearer " + "a." * 9000},
        {"X-User-Id": ann.user.id}, {"X-Forwarded-User": ann.user.email}, {"X-API-Key": f"fck_{ann.user.id}_x"},
    ]  # fmt: skip
    for headers in odd:
        encoded = {name: value.encode("latin-1") for name, value in headers.items()}
        reply = door.client.get(f"{V1}/account/profile", headers=encoded)
        assert reply.status_code == 401, headers
        assert ann.token not in reply.text


def test_the_key_of_another_user_stays_with_that_user(door: object, ann: Person) -> None:
    with signed_in(door, "eve@example.org") as eve:
        made = ann.client.post(f"{V1}/account/keys", json={"name": "ci"}).json()
        assert eve.client.delete(f"{V1}/account/keys/{made['id']}").json()["code"] == "key_not_found"
        assert eve.client.get(f"{V1}/account/keys").json()["items"] == []
        mixed = made["key"][:37] + key_for(door, Scope.READ, user=eve.user)[37:]
        assert door.client.get(f"{V1}/account/profile", headers={"X-API-Key": mixed}).status_code == 401
        session = ann.client.get(f"{V1}/account/sessions").json()["items"][0]["id"]
        assert eve.client.delete(f"{V1}/account/sessions/{session}").json()["code"] == "session_not_found"
        assert ann.client.get(f"{V1}/account/profile").status_code == 200


def test_an_admins_key_without_the_scope_manages_nobody(door: object) -> None:
    with signed_in(door, "boss@example.org", role=Role.ADMIN) as boss:
        weak = {"X-API-Key": key_for(door, Scope.READ, Scope.WRITE, user=boss.user)}
        assert door.client.get(f"{V1}/users", headers=weak).json()["code"] == "insufficient_scope"
        strong = {"X-API-Key": key_for(door, Scope.ADMIN, user=boss.user)}
        assert door.client.get(f"{V1}/users", headers=strong).status_code == 200
        assert door.client.get(f"{V1}/galleries", headers=strong).json()["code"] == "insufficient_scope"


def test_guessing_passwords_ends_soon(open_door: Callable[..., object]) -> None:
    door = open_door(jwt_secret_key=SECRET, auth_rate_limit="5/minute")
    with signed_in(door, ANN):
        replies = [
            door.client.post(
                f"{V1}/auth/login",
                json={"email": ANN, "password": f"guess number {number}"},
                headers={"X-Forwarded-For": f"1.1.1.{number}"},  # made up: it changes nothing
            )
            for number in range(8)
        ]
        assert [reply.status_code for reply in replies] == [401] * 5 + [429] * 3
        assert replies[-1].json()["code"] == "rate_limited"
        assert 1 <= int(replies[-1].headers["retry-after"]) <= 60
        right = door.client.post(f"{V1}/auth/login", json={"email": ANN, "password": PASSWORD})
        assert right.status_code == 429  # also with the right one: a guesser must not learn that it was right
        for path in ("forgot-password", "reset-password", "signup"):
            body = {"email": NOBODY, "password": PASSWORD, "token": "x"}
            wanted = {
                "forgot-password": ("email",), "reset-password": ("token", "password"), "signup": ("email", "password"),
            }[path]  # fmt: skip
            reply = door.client.post(f"{V1}/auth/{path}", json={name: body[name] for name in wanted})
            assert reply.status_code == 429, path


def test_guessing_refresh_tokens_ends_soon_and_locks_nobody_out(open_door: Callable[..., object]) -> None:
    door = open_door(jwt_secret_key=SECRET, auth_rate_limit="3/minute")

    def refresh(token: str) -> httpx.Response:
        return door.client.post(f"{V1}/auth/refresh", json={"refreshToken": token})

    with signed_in(door, ANN) as ann, accounts_of(door.settings) as accounts:
        mine = accounts.sessions.open(ann.user).refresh_token
        assert [refresh(f"guess {number}").status_code for number in range(5)] == [401] * 3 + [429] * 2
        assert refresh(mine).status_code == 200
        right = door.client.post(f"{V1}/auth/login", json={"email": ANN, "password": PASSWORD})
        assert right.status_code == 200


def test_guessing_one_password_from_many_addresses_ends_soon(open_door: Callable[..., object]) -> None:
    door = open_door(jwt_secret_key=SECRET, auth_rate_limit="3/minute", trusted_proxies="127.0.0.1")

    def guess(number: int, email: str) -> int:
        body = {"email": email, "password": "wrong password"}
        headers = {"X-Forwarded-For": f"198.51.100.{number}"}
        return int(door.client.post(f"{V1}/auth/login", json=body, headers=headers).status_code)

    assert [guess(number, "Bob@example.org") for number in range(5)] == [401, 401, 401, 429, 429]
    assert guess(9, "cy@example.org") == 401
