"""Accounts over real HTTP: signing up, in and out, keys, admins, and who must say who they are."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from facecraft.accounts.records import Role, Scope
from services.people import PASSWORD, SECRET, Person, accounts_of, key_for, signed_in

V1 = "/api/v1"
EMAIL = "ann@example.org"


@pytest.fixture(scope="module")
def door(open_door: Callable[..., object]) -> object:
    """A server on which anybody may sign up, with no limits; its mail stands in the log."""
    return open_door(signup_enabled=True, jwt_secret_key=SECRET, auth_rate_limit="", debug=True)


@pytest.fixture(scope="module")
def ann(door: object) -> Iterator[Person]:
    with signed_in(door, EMAIL) as person:
        yield person


@pytest.fixture(scope="module")
def boss(door: object) -> Iterator[Person]:
    with signed_in(door, "boss@example.org", role=Role.ADMIN) as person:
        yield person


def code(reply: httpx.Response) -> tuple[int, str]:
    assert reply.headers["content-type"] == "application/problem+json"
    return reply.status_code, reply.json()["code"]


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_the_whole_life_of_an_account(door: object) -> None:
    client = door.client
    body = {"email": "Cy@Example.org", "password": PASSWORD, "firstName": "Cy", "lastName": "Young"}
    reply = client.post(f"{V1}/auth/signup", json=body)
    assert reply.status_code == 201, reply.text
    made = reply.json()
    assert set(made) == {"token", "refreshToken", "expiresIn", "user"}
    assert made["expiresIn"] == 900
    assert (made["user"]["email"], made["user"]["firstName"], made["user"]["role"]) == ("cy@example.org", "Cy", "user")
    assert PASSWORD not in reply.text
    assert reply.headers["cache-control"] == "no-store"
    assert code(client.post(f"{V1}/auth/signup", json=body)) == (409, "email_exists")

    login = client.post(f"{V1}/auth/login", json={"email": "CY@example.org", "password": PASSWORD})
    assert login.status_code == 200
    token, refresh = login.json()["token"], login.json()["refreshToken"]
    profile = client.get(f"{V1}/account/profile", headers=bearer(token)).json()
    assert set(profile) == {
        "id", "email", "firstName", "lastName", "phone", "deliveryRecipient", "deliveryCity", "deliveryStreet",
        "deliveryHouse", "deliveryApartment", "deliveryPostalCode", "deliveryComment", "role", "disabled", "createdAt",
        "signedInAt",
    }  # fmt: skip
    changed = client.put(
        f"{V1}/account/profile",
        json={"firstName": "", "phone": "+1 555", "deliveryCity": "Zürich"},
        headers=bearer(token),
    ).json()
    assert (changed["firstName"], changed["phone"], changed["deliveryCity"]) == ("Cy", "+1 555", "Zürich")
    assert code(client.put(f"{V1}/account/profile", json={"role": "admin"}, headers=bearer(token)))[0] == 422

    fresh = client.post(f"{V1}/auth/refresh", json={"refreshToken": refresh}).json()
    sessions = client.get(f"{V1}/account/sessions", headers=bearer(fresh["token"])).json()["items"]
    assert [session["current"] for session in sessions] == [False, True]
    assert sessions[0]["agent"].startswith("python-httpx")
    other = f"{V1}/account/sessions/{sessions[0]['id']}"
    assert client.delete(other, headers=bearer(token)).status_code == 204
    assert code(client.delete(other, headers=bearer(token))) == (404, "session_not_found")
    assert code(client.get(f"{V1}/account/profile", headers=bearer(made["token"]))) == (401, "invalid_token")

    wrong = {"oldPassword": "wrong password", "newPassword": "new password"}
    assert code(client.post(f"{V1}/account/password", json=wrong, headers=bearer(token))) == (
        401, "invalid_credentials",
    )  # fmt: skip
    right = {"oldPassword": PASSWORD, "newPassword": "new password"}
    assert client.post(f"{V1}/account/password", json=right, headers=bearer(token)).status_code == 204
    assert client.get(f"{V1}/account/profile", headers=bearer(token)).status_code == 200

    assert client.post(f"{V1}/auth/logout", headers=bearer(token)).status_code == 204
    assert code(client.get(f"{V1}/account/profile", headers=bearer(token))) == (401, "invalid_token")
    dead = client.post(f"{V1}/auth/refresh", json={"refreshToken": fresh["refreshToken"]})
    assert code(dead) == (401, "invalid_token")

    again = client.post(f"{V1}/auth/login", json={"email": "cy@example.org", "password": "new password"}).json()
    for sent, expected in (
        (None, (422, "invalid_request")), ({"password": PASSWORD}, (401, "invalid_credentials")),
    ):  # fmt: skip
        refused = client.request("DELETE", f"{V1}/account", json=sent, headers=bearer(again["token"]))
        assert code(refused) == expected
    right = {"password": "new password"}
    assert client.request("DELETE", f"{V1}/account", json=right, headers=bearer(again["token"])).status_code == 204
    assert code(client.get(f"{V1}/account/profile", headers=bearer(again["token"]))) == (401, "invalid_token")
    gone = client.post(f"{V1}/auth/login", json={"email": "cy@example.org", "password": "new password"})
    assert code(gone) == (401, "invalid_credentials")


def test_a_lost_password_comes_by_mail(
    door: object, ann: Person, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with signed_in(door, "dot@example.org") as dot:
        replies = [
            door.client.post(f"{V1}/auth/forgot-password", json={"email": email})
            for email in ("dot@example.org", "nobody@example.org")
        ]
        assert {reply.status_code for reply in replies} == {202}
        assert replies[0].content == replies[1].content
        deadline = time.monotonic() + 20
        while (found := re.search(r"Your token: (\S+)", caplog.text)) is None:
            assert time.monotonic() < deadline, "no mail in the log"
            time.sleep(0.02)
        key = {"X-API-Key": key_for(door, Scope.READ, user=dot.user)}
        assert door.client.get(f"{V1}/account/profile", headers=key).status_code == 200
        body = {"token": found[1], "password": "another password", "revokeKeys": True}
        assert door.client.post(f"{V1}/auth/reset-password", json=body).status_code == 204
        assert code(door.client.post(f"{V1}/auth/reset-password", json=body)) == (422, "invalid_reset_token")
        assert code(dot.client.get(f"{V1}/account/profile")) == (401, "invalid_token")
        assert code(door.client.get(f"{V1}/account/profile", headers=key)) == (401, "invalid_token")
    login = {"email": "dot@example.org", "password": "another password"}
    assert door.client.post(f"{V1}/auth/login", json=login).status_code == 200


def test_a_key_is_made_used_and_revoked(door: object, ann: Person) -> None:
    made = ann.client.post(f"{V1}/account/keys", json={"name": "ci", "scopes": ["read"]}).json()
    key = {"X-API-Key": made["key"]}
    assert door.client.get(f"{V1}/account/profile", headers=key).json()["email"] == EMAIL
    assert door.client.get(f"{V1}/account/profile", headers=bearer(made["key"])).status_code == 200
    listed = ann.client.get(f"{V1}/account/keys")
    assert [item["name"] for item in listed.json()["items"]] == ["ci"]
    assert made["key"].rpartition("_")[2] not in listed.text
    assert code(door.client.put(f"{V1}/account/profile", json={}, headers=key)) == (403, "insufficient_scope")
    assert ann.client.delete(f"{V1}/account/keys/{made['id']}").status_code == 204
    assert code(door.client.get(f"{V1}/account/profile", headers=key)) == (401, "invalid_token")
    assert code(ann.client.delete(f"{V1}/account/keys/{made['id']}")) == (404, "key_not_found")
    assert code(ann.client.post(f"{V1}/account/keys", json={"name": "x", "scopes": ["admin"]})) == (
        422, "invalid_option",
    )  # fmt: skip
    naive = {"name": "x", "expiresAt": "2050-01-01T00:00:00"}
    assert code(ann.client.post(f"{V1}/account/keys", json=naive)) == (422, "invalid_option")


def test_a_key_cannot_change_how_its_user_gets_in(door: object, ann: Person) -> None:
    key = {"X-API-Key": key_for(door, Scope.READ, Scope.WRITE, user=ann.user)}
    password = {"oldPassword": PASSWORD, "newPassword": "new password"}
    for method, path, body in (
        ("POST", "/account/keys", {"name": "x"}), ("POST", "/account/password", password), ("DELETE", "/account", None),
        ("GET", "/account/sessions", None), ("POST", "/auth/logout", None),
    ):  # fmt: skip
        assert code(door.client.request(method, V1 + path, json=body, headers=key)) == (403, "forbidden"), path
    operator = {"X-API-Key": key_for(door, *Scope)}
    assert code(door.client.get(f"{V1}/account/profile", headers=operator)) == (403, "forbidden")


def test_only_admins_manage_users(door: object, ann: Person, boss: Person) -> None:
    with signed_in(door, "eve@example.org") as eve:
        for client in (ann.client, eve.client):
            for method, path in (("GET", ""), ("POST", ""), ("GET", f"/{eve.user.id}"), ("DELETE", f"/{ann.user.id}")):
                reply = client.request(method, f"{V1}/users{path}", json={} if method == "POST" else None)
                assert code(reply) == (403, "insufficient_scope"), (method, path)
        page = boss.client.get(f"{V1}/users", params={"limit": 2}).json()
        assert len(page["items"]) == 2
        assert boss.client.get(f"{V1}/users", params={"cursor": page["cursor"]}).json()["items"]
        mine = f"{V1}/users/{eve.user.id}"
        assert boss.client.patch(mine, json={"role": "admin"}).json()["role"] == "admin"
        assert eve.client.get(f"{V1}/users").status_code == 200
        assert boss.client.patch(mine, json={"disabled": True, "role": "user"}).json()["disabled"] is True
        assert code(eve.client.get(f"{V1}/account/profile")) == (401, "invalid_token")
        assert boss.client.delete(mine).status_code == 204
        assert code(boss.client.get(mine)) == (404, "user_not_found")
    made = boss.client.post(f"{V1}/users", json={"email": "fay@example.org", "password": PASSWORD, "role": "admin"})
    assert (made.status_code, made.json()["role"]) == (201, "admin")
    for method in ("DELETE", "PATCH"):
        body = {"role": "user"} if method == "PATCH" else None
        own = boss.client.request(method, f"{V1}/users/{boss.user.id}", json=body)
        assert code(own) == (403, "forbidden")


def test_the_last_admin_stays_while_there_are_others(open_door: Callable[..., object]) -> None:
    key = "0123456789abcdef-key"
    door = open_door(jwt_secret_key=SECRET, api_key=key)
    with signed_in(door, "boss@example.org", role=Role.ADMIN) as boss, signed_in(door, EMAIL) as ann:
        mine, with_key = f"{V1}/users/{boss.user.id}", {"X-API-Key": key}
        farewell = {"password": PASSWORD}
        for reply in (
            boss.client.request("DELETE", f"{V1}/account", json=farewell),
            door.client.delete(mine, headers=with_key),
            door.client.patch(mine, json={"role": "user"}, headers=with_key),
            door.client.patch(mine, json={"disabled": True}, headers=with_key),
        ):
            assert code(reply) == (409, "last_admin")
            assert "another user an admin" in reply.json()["hint"]
        assert boss.client.get(f"{V1}/account/profile").status_code == 200
        assert ann.client.request("DELETE", f"{V1}/account", json=farewell).status_code == 204
        assert boss.client.request("DELETE", f"{V1}/account", json=farewell).status_code == 204


def test_a_browser_may_send_the_token_in_the_address_of_a_download(
    door: object, ann: Person, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"{V1}/account/profile"
    assert door.client.get(url, params={"access_token": ann.token}).json()["email"] == EMAIL
    assert door.client.put(url, params={"access_token": ann.token}, json={}).status_code == 401
    assert door.client.get(url, params={"access_token": "x.y.z"}).status_code == 401
    key = key_for(door, Scope.READ, user=ann.user)
    assert door.client.get(url, params={"access_token": key}).status_code == 401  # keys live too long for that
    assert ann.token not in caplog.text
    assert key not in caplog.text


def test_the_document_says_how_callers_are_known(open_door: Callable[..., object], door: object, ann: Person) -> None:
    second = open_door(database_url=door.settings.database).client  # asked before anything else
    assert second.get("/openapi.json").json()["security"] == [{"key": []}, {"bearer": []}]
    document = door.client.get("/openapi.json").json()
    assert set(document["components"]["securitySchemes"]) == {"key", "bearer"}
    assert document["security"] == [{"key": []}, {"bearer": []}]
    assert document["paths"][f"{V1}/auth/login"]["post"]["security"] == []
    assert document["paths"]["/health"]["get"]["security"] == []
    assert "security" not in document["paths"][f"{V1}/auth/logout"]["post"]
    anonymous = open_door().client.get("/openapi.json").json()
    assert anonymous["security"] == [{}, {"key": []}, {"bearer": []}]


# --- who must say who they are -------------------------------------------------------------------------------------


def test_a_server_without_users_asks_nobody(open_door: Callable[..., object]) -> None:
    door = open_door()
    assert door.client.get(f"{V1}/models").status_code == 200
    assert door.client.get(f"{V1}/models", headers={"X-API-Key": "any"}).status_code == 200
    assert code(door.client.get(f"{V1}/models", headers=bearer("a.b.c"))) == (401, "invalid_token")
    assert code(door.client.get(f"{V1}/models", headers={"X-API-Key": "fck_x"})) == (401, "invalid_token")
    assert code(door.client.get(f"{V1}/users")) == (401, "unauthenticated")
    assert code(door.client.get(f"{V1}/account/profile")) == (401, "unauthenticated")


def test_the_first_user_closes_the_door(open_door: Callable[..., object]) -> None:
    door = open_door(jwt_secret_key=SECRET)
    assert door.client.get(f"{V1}/galleries").status_code == 200
    with signed_in(door, EMAIL) as ann:
        deadline = time.monotonic() + 20  # another process made the user: noticed within seconds
        while door.client.get(f"{V1}/galleries").status_code != 401:
            assert time.monotonic() < deadline, "the door is still open"
            time.sleep(0.1)
        assert ann.client.get(f"{V1}/galleries").status_code == 200
        assert door.client.get("/health").status_code == 200


def test_the_last_user_leaves_the_door_closed(open_door: Callable[..., object]) -> None:
    door = open_door(jwt_secret_key=SECRET)
    with signed_in(door, EMAIL) as ann:
        assert ann.client.request("DELETE", f"{V1}/account", json={"password": PASSWORD}).status_code == 204
    assert code(door.client.get(f"{V1}/galleries")) == (401, "unauthenticated")
    again = open_door(database_url=door.settings.database)
    assert code(again.client.get(f"{V1}/galleries")) == (401, "unauthenticated")
    off = open_door(database_url=door.settings.database, auth="off")
    assert off.client.get(f"{V1}/galleries").status_code == 200


def test_required_asks_everybody_and_off_nobody(open_door: Callable[..., object]) -> None:
    required = open_door(auth="required")
    assert code(required.client.get(f"{V1}/models")) == (401, "unauthenticated")
    off = open_door(auth="off", jwt_secret_key=SECRET)
    with signed_in(off, EMAIL) as ann:
        assert off.client.get(f"{V1}/galleries").status_code == 200
        made = ann.client.get(f"{V1}/account/profile")
        assert made.json()["email"] == EMAIL
        assert code(off.client.get(f"{V1}/users")) == (401, "unauthenticated")


def test_the_key_of_the_operator_manages_users(open_door: Callable[..., object]) -> None:
    door = open_door(api_key="0123456789abcdef-key", jwt_secret_key=SECRET)
    headers = {"X-API-Key": "0123456789abcdef-key"}
    made = door.client.post(f"{V1}/users", json={"email": EMAIL, "password": PASSWORD}, headers=headers)
    assert made.status_code == 201
    assert door.client.get(f"{V1}/users", headers=headers).json()["items"][0]["email"] == EMAIL
    login = door.client.post(f"{V1}/auth/login", json={"email": EMAIL, "password": PASSWORD}).json()
    assert door.client.get(f"{V1}/galleries", headers=bearer(login["token"])).status_code == 200
    assert code(door.client.post(f"{V1}/auth/signup", json={"email": "x@y.org", "password": PASSWORD})) == (
        403, "signup_disabled",
    )  # fmt: skip


def test_tokens_outlive_a_restart_of_the_server(open_door: Callable[..., object]) -> None:
    first = open_door(signup_enabled=True)
    token = first.client.post(f"{V1}/auth/signup", json={"email": EMAIL, "password": PASSWORD}).json()["token"]
    secret = Path(first.settings.jwt_secret_file)
    assert secret.stat().st_mode & 0o777 == 0o600
    assert secret.read_text().strip() not in first.client.get("/openapi.json").text
    second = open_door(database_url=first.settings.database)
    assert second.client.get(f"{V1}/account/profile", headers=bearer(token)).json()["email"] == EMAIL


# --- how often -----------------------------------------------------------------------------------------------------


def test_callers_are_limited_each_for_themselves(open_door: Callable[..., object]) -> None:
    door = open_door(auth="required", rate_limit="3/minute;100/hour", jwt_secret_key=SECRET)
    with signed_in(door, EMAIL) as ann, signed_in(door, "bob@example.org") as bob:
        replies = [ann.client.get(f"{V1}/galleries") for _ in range(4)]
        assert [reply.status_code for reply in replies] == [200, 200, 200, 429]
        assert [reply.headers["ratelimit-remaining"] for reply in replies] == ["2", "1", "0", "0"]
        assert {reply.headers["ratelimit-limit"] for reply in replies} == {"3"}
        assert code(replies[3]) == (429, "rate_limited")
        assert 1 <= int(replies[3].headers["retry-after"]) <= 60
        assert replies[3].headers["retry-after"] == replies[3].headers["ratelimit-reset"]
        assert bob.client.get(f"{V1}/galleries").status_code == 200
        keys = [{"X-API-Key": key_for(door, Scope.READ, user=ann.user)} for _ in range(3)]
        assert [door.client.get(f"{V1}/galleries", headers=key).status_code for key in keys] == [429] * 3
        for _ in range(2):
            key = {"X-API-Key": key_for(door, Scope.READ)}  # the operator's: each is a program of its own
            assert door.client.get(f"{V1}/galleries", headers=key).headers["ratelimit-remaining"] == "2"
        refused = [door.client.get(f"{V1}/galleries", headers={"X-Forwarded-For": f"1.1.1.{i}"}) for i in range(4)]
        assert [reply.status_code for reply in refused] == [401, 401, 401, 429]
        assert door.client.get("/health").status_code == 200
        with accounts_of(door.settings) as accounts:
            assert accounts.users.find(EMAIL) is not None


def test_an_office_behind_one_address_refreshes_without_locking_itself_out(open_door: Callable[..., object]) -> None:
    door = open_door(auth="required", auth_rate_limit="2/minute", refresh_rate_limit="4/minute", jwt_secret_key=SECRET)

    def refresh(token: str) -> httpx.Response:
        return door.client.post(f"{V1}/auth/refresh", json={"refreshToken": token})

    with signed_in(door, EMAIL) as ann, accounts_of(door.settings) as accounts:
        for _ in range(6):  # colleagues, or the same user elsewhere
            assert refresh(accounts.sessions.open(ann.user).refresh_token).status_code == 200
        login = {"email": EMAIL, "password": PASSWORD}
        tokens = door.client.post(f"{V1}/auth/login", json=login).json()
        for _ in range(4):
            reply = refresh(tokens["refreshToken"])
            assert reply.status_code == 200
            tokens = reply.json()
        too_many = refresh(tokens["refreshToken"])
        assert code(too_many) == (429, "rate_limited")
        assert too_many.headers["ratelimit-limit"] == "4"
        assert accounts.sessions.of(tokens["refreshToken"]) is not None  # it is not used up by that
        assert door.client.get(f"{V1}/account/profile", headers=bearer(tokens["token"])).status_code == 200


def test_behind_a_proxy_each_address_has_its_own_limit(open_door: Callable[..., object]) -> None:
    door = open_door(rate_limit="1/minute", trusted_proxies="127.0.0.0/8")

    def ask(forwarded: str) -> int:
        return door.client.get(f"{V1}/models", headers={"X-Forwarded-For": forwarded}).status_code

    assert [ask("198.51.100.7"), ask("198.51.100.8"), ask("198.51.100.7")] == [200, 200, 429]
    assert ask("1.2.3.4, 198.51.100.8") == 429  # what the caller wrote itself
