"""Headers of requests that no route reads by itself, written into the OpenAPI document of those that honor them."""

from __future__ import annotations

from typing import Any

from facecraft.api.jobs.respond_async import APPLIED
from facecraft.api.requests.preferences import ASYNCHRONOUS

_PREFER = {
    "name": "Prefer",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": f"`{ASYNCHRONOUS}` for a job instead of the result, `{ASYNCHRONOUS}, wait=N` for a job only when it "
    "takes longer than N seconds (RFC 7240).",
}
_IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "The `ETag` of the file that you have already.",
}


def describe_headers(document: dict[str, Any]) -> None:
    """Add to each operation of an OpenAPI document the headers that its answers say it honors."""
    for item in document["paths"].values():
        for operation in item.values():
            answers = operation["responses"]
            wanted = []
            if APPLIED in answers.get("202", {}).get("headers", {}):
                wanted.append(_PREFER)
            if "304" in answers:
                wanted.append(_IF_NONE_MATCH)
            if wanted:
                operation.setdefault("parameters", []).extend(wanted)
