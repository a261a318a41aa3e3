"""The API key, and which web pages may call."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

KEY = "0123456789abcdef-key"


def test_without_the_key_nothing_is_answered(open_door: Callable[..., object]) -> None:
    client = open_door(api_key=KEY).client
    wrong = [
        {}, {"X-API-Key": "wrong"}, {"X-API-Key": KEY + "x"}, {"Authorization": KEY}, {"X-API-Key": ""},
        {"Authorization": f"Basic {KEY}"}, {"Authorization": "Bearer"},
    ]  # fmt: skip
    paths = ("/status", "/api/v1/models", "/nowhere", "/health/", "/docsx")
    for headers, path in product(wrong, paths):
        reply = client.get(path, headers=headers)
        assert (reply.status_code, reply.json()["code"]) == (401, "unauthenticated"), (headers, path)
        assert reply.headers["www-authenticate"].startswith("Bearer")
        assert KEY not in reply.text
    assert client.post("/api/v1/portrait", content=b"x" * 3_000_000).status_code == 401


def test_the_key_opens(open_door: Callable[..., object]) -> None:
    client = open_door(api_key=KEY).client
    for headers in ({"X-API-Key": KEY}, {"Authorization": f"Bearer {KEY}"}, {"Authorization": f"bearer  {KEY}"}):
        assert client.get("/status", headers=headers).status_code == 200


def test_probes_need_no_key_and_the_document_names_it(open_door: Callable[..., object]) -> None:
    client = open_door(api_key=KEY).client
    assert client.get("/health").status_code == 200
    assert client.get("/ready").status_code in (200, 503)
    assert client.get("/docs").status_code == 200
    document = client.get("/openapi.json").json()
    assert document["components"]["securitySchemes"]["key"]["name"] == "X-API-Key"
    assert document["security"]


def test_no_web_page_may_call_by_default(open_door: Callable[..., object]) -> None:
    reply = open_door().client.get("/status", headers={"Origin": "https://evil.example"})
    assert not [name for name in reply.headers if name.startswith("access-control-")]


def test_only_listed_pages_may_call(open_door: Callable[..., object]) -> None:
    client = open_door(cors_origins=("https://studio.example",), api_key=KEY).client
    good = {"Origin": "https://studio.example", "X-API-Key": KEY}
    headers = client.get("/status", headers=good).headers
    assert headers["access-control-allow-origin"] == "https://studio.example"
    assert headers["access-control-allow-credentials"] == "true"
    evil = client.get("/status", headers={**good, "Origin": "https://evil.example"}).headers
    assert "access-control-allow-origin" not in evil
    preflight = {
        "Origin": "https://studio.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "X-API-Key",
    }
    assert client.options("/api/v1/portrait", headers=preflight).status_code == 200
    refused = client.get("/status", headers={"Origin": "https://studio.example"})
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == "https://studio.example"  # so that the page can read it


def test_any_origin_never_comes_with_credentials(open_door: Callable[..., object]) -> None:
    headers = (
        open_door(cors_origins=("*",))
        .client.get("/status", headers={"Origin": "https://any.example", "Cookie": "a=b"})
        .headers
    )
    assert headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in headers
