"""Webhooks over real HTTP, with a server that tells a real receiver."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import httpx
import pytest
from fastapi import Request
from standardwebhooks import Webhook as Verifier

from facecraft.api.callers.owners import owner_of
from services.receivers import Receiver, run_receiver

BASE = "/api/v1/webhooks"
NOBODY = "01900000-0000-7000-8000-000000000000"


@pytest.fixture(scope="module")
def client(open_door: Callable[..., object]) -> httpx.Client:
    """A server that may call this machine."""
    return open_door(webhook_private_addresses=True).client  # type: ignore[attr-defined]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with run_receiver() as running:
        yield running


@pytest.fixture
def webhook(client: httpx.Client, receiver: Receiver) -> Iterator[dict[str, str]]:
    reply = client.post(BASE, json={"url": receiver.url(), "types": ["job.failed", "job.succeeded"]})
    assert reply.status_code == 201, reply.text
    yield reply.json()
    client.delete(f"{BASE}/{reply.json()['id']}")


def _from_header(request: Request) -> str | None:
    return request.headers.get("x-owner")


def delivered(client: httpx.Client, webhook: dict[str, str], count: int) -> list[dict[str, object]]:
    deadline = time.monotonic() + 20
    items: list[dict[str, object]] = []
    while time.monotonic() < deadline:
        items = client.get(f"{BASE}/{webhook['id']}/deliveries").json()["items"]
        if len(items) == count and all(item["state"] == "delivered" for item in items):
            return items
        time.sleep(0.05)
    raise AssertionError(items)


def test_the_secret_is_shown_once(client: httpx.Client, webhook: dict[str, str]) -> None:
    assert webhook["secret"].startswith("whsec_")
    assert webhook["types"] == ["job.failed", "job.succeeded"]
    seen = client.get(f"{BASE}/{webhook['id']}")
    assert seen.json() == {name: value for name, value in webhook.items() if name != "secret"}
    listed = client.get(BASE)
    assert [one["id"] for one in listed.json()["items"]] == [webhook["id"]]
    assert "whsec_" not in seen.text + listed.text
    changed = client.patch(f"{BASE}/{webhook['id']}", json={"types": ["job.cancelled"]})
    assert (changed.json()["types"], "secret" in changed.json()) == (["job.cancelled"], False)


def test_a_test_arrives_signed_and_can_be_sent_again(
    client: httpx.Client, webhook: dict[str, str], receiver: Receiver
) -> None:
    made = client.post(f"{BASE}/{webhook['id']}/test")
    assert (made.status_code, made.json()["state"]) == (202, "pending")
    (request,) = receiver.wait(1)
    assert Verifier(webhook["secret"]).verify(request.body, request.headers)["type"] == "webhook.test"
    (item,) = delivered(client, webhook, 1)
    assert (item["last_status"], item["attempts"]) == (204, 1)
    again = client.post(f"{BASE}/{webhook['id']}/deliveries/{item['id']}/redeliver")
    assert (again.status_code, again.json()["message_id"]) == (202, item["message_id"])
    assert receiver.wait(2)[1].headers["webhook-id"] == item["message_id"]
    fresh = client.post(f"{BASE}/{webhook['id']}/rotate").json()
    assert fresh["secret"] != webhook["secret"]
    client.post(f"{BASE}/{webhook['id']}/test")
    last = receiver.wait(3)[2]
    for secret in (webhook["secret"], fresh["secret"]):
        Verifier(secret).verify(last.body, last.headers)


def test_a_disabled_webhook_says_so(client: httpx.Client, webhook: dict[str, str]) -> None:
    off = client.patch(f"{BASE}/{webhook['id']}", json={"enabled": False}).json()
    assert (off["enabled"], off["disabled_why"]) == (False, "Its owner disabled it.")
    reply = client.post(f"{BASE}/{webhook['id']}/test")
    assert (reply.status_code, reply.json()["code"]) == (409, "webhook_disabled")


@pytest.mark.parametrize("identity", [NOBODY, "..%2f..", "x" * 300])
def test_what_does_not_exist_is_not_found(client: httpx.Client, webhook: dict[str, str], identity: str) -> None:
    calls = [("GET", ""), ("DELETE", ""), ("POST", "/rotate"), ("POST", "/test"), ("GET", "/deliveries"),
             ("POST", f"/deliveries/{NOBODY}/redeliver")]  # fmt: skip
    for method, rest in calls:
        assert client.request(method, f"{BASE}/{identity}{rest}").status_code == 404
    assert client.patch(f"{BASE}/{identity}", json={"enabled": True}).status_code == 404
    reply = client.post(f"{BASE}/{webhook['id']}/deliveries/{identity}/redeliver")
    assert reply.status_code == 404


@pytest.mark.parametrize(
    "body",
    [{}, {"url": 5}, {"url": "https://example.com/", "types": []}, {"url": "https://example.com/", "types": ["x"]},
     {"url": "https://example.com/", "secret": "whsec_mine"}, {"url": "https://example.com/" + "a" * 3000},
     {"url": "https://example.com/", "types": ["webhook.test"]}],
)  # fmt: skip
def test_what_is_not_a_webhook_is_refused(client: httpx.Client, body: dict[str, object]) -> None:
    assert client.post(BASE, json=body).status_code == 422


def test_there_may_be_twenty(client: httpx.Client, receiver: Receiver) -> None:
    made = [client.post(BASE, json={"url": receiver.url()}) for _ in range(21)]
    try:
        assert [reply.status_code for reply in made] == [201] * 20 + [409]
        assert made[-1].json()["code"] == "too_many_webhooks"
        first = client.get(BASE, params={"limit": 15}).json()
        rest = client.get(BASE, params={"limit": 15, "cursor": first["cursor"]}).json()
        assert [one["id"] for one in first["items"] + rest["items"]] == [one.json()["id"] for one in made[:20]]
    finally:
        for reply in made[:20]:
            client.delete(f"{BASE}/{reply.json()['id']}")


def test_private_addresses_are_refused_by_default_with_the_setting_that_allows_them(
    open_door: Callable[..., object],
) -> None:
    client = open_door().client  # type: ignore[attr-defined]
    told = {
        "https://127.0.0.1/": "private network",
        "https://localhost/": "private network",
        "https://169.254.169.254/latest/": "private network",
        "https://nobody.invalid/": "Nobody answers",  # callers who are users are not told which names there are
        "http://127.0.0.1/": "must begin with https",
    }
    for url, words in told.items():
        body = client.post(BASE, json={"url": url}).json()
        assert (body["status"], body["code"]) == (422, "address_refused")
        assert words in body["detail"]
        assert "FACECRAFT_WEBHOOK_PRIVATE_ADDRESSES=true" in body["hint"]
    assert client.post(BASE, json={"url": "http://example.com/"}).status_code == 422
    assert client.post(BASE, content=b"x" * (2 << 20)).status_code == 413


def test_an_operator_may_allow_none(open_door: Callable[..., object]) -> None:
    client = open_door(webhooks_enabled=False).client  # type: ignore[attr-defined]
    reply = client.post(BASE, json={"url": "https://example.com/"})
    assert (reply.status_code, reply.json()["code"]) == (403, "webhooks_off")


def test_a_stranger_finds_nothing(open_door: Callable[..., object], receiver: Receiver) -> None:
    door = open_door(webhook_private_addresses=True)
    door.app.dependency_overrides[owner_of] = _from_header  # type: ignore[attr-defined]
    client = door.client  # type: ignore[attr-defined]
    mine, stranger = {"X-Owner": "user-1"}, {"X-Owner": "user-2"}
    made = client.post(BASE, json={"url": receiver.url()}, headers=mine).json()
    sent = client.post(f"{BASE}/{made['id']}/test", headers=mine).json()
    receiver.wait(1)
    own = f"{BASE}/{made['id']}"
    calls = [("GET", own), ("DELETE", own), ("POST", f"{own}/rotate"), ("POST", f"{own}/test"),
             ("GET", f"{own}/deliveries"), ("POST", f"{own}/deliveries/{sent['id']}/redeliver")]  # fmt: skip
    for headers in (stranger, {}):
        for method, path in calls:
            reply = client.request(method, path, headers=headers)
            assert (reply.status_code, reply.json()["code"]) == (404, "webhook_not_found")
        assert client.patch(own, json={"enabled": False}, headers=headers).status_code == 404
        assert client.get(BASE, headers=headers).json()["items"] == []
    assert client.get(own, headers=mine).json()["enabled"]
    assert len(receiver.received) == 1
