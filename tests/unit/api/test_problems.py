"""Every error is a problem of RFC 9457, with a request id and nothing of the inside."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from facecraft import errors
from facecraft.api.problems import STATUS
from facecraft.errors import FacecraftError, Kind, ModelIntegrityError, StorageAccessError

MEMBERS = {"type", "title", "status", "detail", "instance", "code", "request_id", "hint"}
FIELD = {"field", "message", "type"}


def check_problem(reply: httpx.Response, status: int, code: str) -> dict[str, object]:
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    body: dict[str, object] = reply.json()
    assert set(body) >= MEMBERS
    assert (body["status"], body["code"]) == (status, code)
    assert body["request_id"] == reply.headers["x-request-id"]
    assert body["type"] == f"urn:facecraft:problem:{code}"
    return body


def _picture(data: bytes = b"x") -> dict[str, tuple[str, bytes]]:
    return {"file": ("me.jpg", data)}


def test_every_kind_has_a_status() -> None:
    assert set(STATUS) == set(Kind)


def test_every_error_has_a_title_and_a_code() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, FacecraftError)]
    assert len(kinds) > 30
    assert len({kind.code for kind in kinds}) == len(kinds)


@pytest.mark.parametrize(
    "error",
    [
        StorageAccessError("The folder /srv/secret cannot be made."),
        ModelIntegrityError("The file of x is damaged or another one: /srv/secret/x.onnx."),
        FacecraftError("inside secret"),
    ],
)
def test_folders_and_insides_stay_inside(error: FacecraftError) -> None:
    assert "secret" not in error.public_message


def test_errors_of_every_path_are_problems(door: object) -> None:
    client = door.client
    for method, path, status, code in (
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/api/v1/portrait", 405, "method_not_allowed"),
        ("DELETE", "/health", 405, "method_not_allowed"),
        ("GET", "/api/v1/download/nonsense/png", 404, "job_not_found"),
        ("DELETE", "/api/v1/jobs/nonsense", 404, "job_not_found"),
        ("POST", "/api/v1/portrait", 415, "form_expected"),
        ("GET", "/api/v1/options/nonsense", 404, "unknown_model"),
    ):
        check_problem(client.request(method, path), status, code)


def test_fields_that_are_not_valid_are_named_and_not_repeated(door: object) -> None:
    client = door.client
    fields = {"width": "1e9secret", "face_margin": "-1", "shape": "secret-star", "no_such_field": "secret"}
    reply = client.post("/api/v1/portrait", files=_picture(), data=fields)
    body = check_problem(reply, 422, "invalid_request")
    assert {error["field"] for error in body["errors"]} == set(fields)
    assert all(set(error) == FIELD for error in body["errors"])
    assert "secret" not in reply.text
    missing = check_problem(client.post("/api/v1/portrait", files={"other": b"x"}), 422, "invalid_request")
    assert "file" in {error["field"] for error in missing["errors"]}


@pytest.mark.parametrize(
    ("sent", "detail"),
    [
        (b'{"email": x', "The body is not JSON (at character 10)."),
        (b"[]", "The body must be an object."),
        (b"", "The body is missing."),
        (b'{"email": 1}', "Not valid: email, password."),
    ],
)
def test_a_body_that_cannot_be_read_is_said_in_words(door: object, sent: bytes, detail: str) -> None:
    reply = door.client.post("/api/v1/auth/login", content=sent, headers={"Content-Type": "application/json"})
    body = check_problem(reply, 422, "invalid_request")
    assert body["detail"] == detail
    assert all(error["field"] for error in body["errors"])


def test_an_empty_list_is_told_what_it_lacks(door: object) -> None:
    sent = {"url": "https://example.com/", "types": []}
    body = check_problem(door.client.post("/api/v1/webhooks", json=sent), 422, "invalid_request")
    assert [(error["field"], error["message"]) for error in body["errors"]] == [("types", "Give at least one.")]


def test_who_sends_text_for_a_job_is_told_of_files_and_json(door: object) -> None:
    reply = door.client.post("/api/v1/jobs", content=b"me", headers={"Content-Type": "text/plain"})
    body = check_problem(reply, 415, "form_expected")
    assert "files" in body["hint"]
    assert "JSON" in body["hint"]


def test_a_missing_model_answers_with_the_command_that_installs_it(door: object, portrait_jpeg: bytes) -> None:
    client = door.client
    for path in ("portrait", "cutout", "process/quick"):
        reply = client.post(f"/api/v1/{path}", files=_picture(portrait_jpeg))
        body = check_problem(reply, 503, "model_not_installed")
        assert body["hint"] == "facecraft models install starter"
        assert "retry-after" not in reply.headers  # until an operator does that


def test_not_ready_says_what_to_install(door: object) -> None:
    client = door.client
    for _ in range(300):
        reply = client.get("/ready")
        if reply.json()["code"] == "model_not_installed":
            break
        time.sleep(0.05)
    body = check_problem(reply, 503, "model_not_installed")
    assert body["ready"] is False
    assert body["models_loaded"] is False
    assert "facecraft models install starter" in body["hint"]
    assert client.get("/health").json()["status"] == "healthy"


def test_a_good_request_id_is_taken_over_and_a_bad_one_replaced(door: object) -> None:
    client = door.client
    for sent in ("abc-1.2_3", "X" * 128):
        assert client.get("/health", headers={"X-Request-Id": sent}).headers["x-request-id"] == sent
    for bad in ("", "X" * 129, "a b", "<script>", "a/b", "ü".encode()):
        made = client.get("/health", headers={"X-Request-Id": bad}).headers["x-request-id"]
        assert re.fullmatch(r"[0-9a-f]{32}", made)


def test_a_surprise_is_a_500_without_insides(
    open_door: Callable[..., object], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    door = open_door()

    async def surprise() -> None:
        raise RuntimeError("secret inside")

    door.app.add_api_route("/surprise", surprise)
    reply = door.client.get("/surprise", headers={"X-Request-Id": "find-me"})
    check_problem(reply, 500, "facecraft_error")
    assert "secret" not in reply.text
    assert "Traceback" not in reply.text
    assert door.client.get("/health").status_code == 200


def test_replies_carry_the_headers_browsers_need(door: object) -> None:
    client = door.client
    for path in ("/status", "/nowhere", "/api/v1/models"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "default-src 'none'" in headers["content-security-policy"]
    assert client.get("/").headers["location"] == "docs"
    assert client.get("/redoc").status_code == 404
    assert client.get("/openapi.json").json()["info"]["title"] == "Facecraft API"
    assert "Problem" in client.get("/openapi.json").json()["components"]["schemas"]


def test_a_body_that_is_no_form_is_called_so(door: object) -> None:
    for path in ("process", "process/batch", "portrait", "detect"):
        reply = door.client.post(f"/api/v1/{path}", content=b"{}", headers={"Content-Type": "application/json"})
        body = check_problem(reply, 415, "form_expected")
        assert "form" in body["title"]
        assert "curl -F" in body["hint"]


def test_two_files_of_one_name_are_refused_by_name(door: object) -> None:
    for path in ("process", "process/quick", "portrait", "detect"):
        files = [("file", ("a.jpg", b"x")), ("file", ("b.jpg", b"x"))]
        body = check_problem(door.client.post(f"/api/v1/{path}", files=files), 422, "invalid_request")
        assert [(each["field"], each["type"]) for each in body["errors"]] == [("file", "too_many_files")]


def test_a_batch_takes_the_name_that_browsers_give_a_list(door: object) -> None:
    files = [("files[]", ("a.jpg", b"x")), ("files[]", ("b.jpg", b"y"))]
    body = door.client.post("/api/v1/process/batch", files=files).json()
    assert [item["filename"] for item in body["results"]] == ["a.jpg", "b.jpg"]


def test_a_type_that_is_not_made_is_not_acceptable(door: object) -> None:
    reply = door.client.post("/api/v1/portrait", files=_picture(), headers={"Accept": "image/gif"})
    assert "image/png" in check_problem(reply, 406, "not_acceptable")["hint"]
