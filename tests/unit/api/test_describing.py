"""What the OpenAPI document says of headers is what the server honors."""

from __future__ import annotations

from typing import Any

import pytest

from facecraft.api.app import create_app
from facecraft.settings import Settings


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found: dict[str, Any] = create_app(Settings()).openapi()
    return found


def headers(operation: dict[str, Any]) -> list[str]:
    return [each["name"] for each in operation.get("parameters", []) if each["in"] == "header"]


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("post", "/api/v1/jobs", ["Idempotency-Key"]),
        ("post", "/api/v1/jobs/{job_id}/retry", ["Idempotency-Key"]),
        ("post", "/api/v1/blobs", ["Idempotency-Key"]),
        ("post", "/api/v1/portrait", ["Idempotency-Key", "Prefer"]),
        ("post", "/api/v1/faces/detect", ["Idempotency-Key", "Prefer"]),
        ("get", "/api/v1/jobs/{job_id}/events", ["Last-Event-ID"]),
        ("get", "/api/v1/jobs/{job_id}/artifacts/{name}", ["If-None-Match"]),
        ("get", "/api/v1/jobs", []),
    ],
)
def test_headers_are_declared_where_they_are_honored(
    document: dict[str, Any], method: str, path: str, expected: list[str]
) -> None:
    assert [name for name in headers(document["paths"][path][method]) if name != "Accept"] == expected


def test_a_job_tried_again_is_declared_as_a_job(document: dict[str, Any]) -> None:
    answer = document["paths"]["/api/v1/jobs/{job_id}/retry"]["post"]["responses"]["200"]
    assert answer["content"]["application/json"]["schema"]["$ref"].endswith("/JobReport")


def test_the_document_is_the_same_each_time_it_is_asked_for() -> None:
    app = create_app(Settings())
    assert app.openapi() == app.openapi()
