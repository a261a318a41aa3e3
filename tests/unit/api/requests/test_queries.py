"""A parameter that nobody reads is refused, with the name that was meant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from facecraft.accounts.records import Role
from services.people import SECRET, signed_in


@pytest.fixture(scope="module")
def client(open_door: Callable[..., Any]) -> httpx.Client:
    found: httpx.Client = open_door().client
    return found


def refused(reply: httpx.Response) -> dict[str, str]:
    assert (reply.status_code, reply.json()["code"]) == (422, "invalid_request"), reply.text
    (problem,) = reply.json()["errors"]
    return dict(problem)


@pytest.mark.parametrize(
    ("path", "sent", "meant"),
    [
        ("/api/v1/jobs", "staet", "state"),
        ("/api/v1/jobs", "State", "state"),
        ("/api/v1/galleries", "limits", "limit"),
        ("/api/v1/webhooks", "curser", "cursor"),
    ],
)
def test_a_misspelled_parameter_is_refused_with_the_one_that_was_meant(
    client: httpx.Client, path: str, sent: str, meant: str
) -> None:
    problem = refused(client.get(path, params={sent: "failed"}))
    assert problem["field"] == sent
    assert f"Did you mean {meant}?" in problem["message"]


def test_so_are_those_of_lists_that_only_users_see(open_door: Callable[..., Any]) -> None:
    with signed_in(open_door(jwt_secret_key=SECRET), "boss@example.org", role=Role.ADMIN) as boss:
        assert "Did you mean limit?" in refused(boss.client.get("/api/v1/users?limt=3"))["message"]
        assert "It takes none." in refused(boss.client.get("/api/v1/account/keys?limit=3"))["message"]
        assert boss.client.get("/api/v1/users", params={"access_token": boss.token}).status_code == 200


def test_without_a_likely_name_all_are_told(client: httpx.Client) -> None:
    assert "It takes state, name, cursor, limit." in refused(client.get("/api/v1/jobs?owner=me"))["message"]
    assert "It takes none." in refused(client.get("/api/v1/models?task=swap"))["message"]


def test_long_names_are_not_repeated_whole(client: httpx.Client) -> None:
    assert len(refused(client.get("/api/v1/jobs", params={"x" * 5000: "1"}))["field"]) < 100


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/jobs?state=failed&state=queued&limit=3",
        "/health?probe=1",
        "/status?x=1",
        "/openapi.json?x=1",
    ],
)
def test_what_is_read_or_is_not_ours_to_judge_is_answered(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 200


def test_links_to_files_take_what_others_add(client: httpx.Client) -> None:
    job = "01900000-0000-7000-8000-000000000001"
    for path in (f"/api/v1/download/{job}/png", f"/api/v1/jobs/{job}/artifacts/result.png", f"/status/{job}"):
        assert client.get(f"{path}?utm_source=mail").json()["code"] == "job_not_found"
