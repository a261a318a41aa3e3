"""What is kept of a job, and under which names and links it is found again."""

from __future__ import annotations

import json
from collections.abc import Iterable

from fastapi import Request

from facecraft.errors import ArtifactNotFoundError
from facecraft.imaging.codecs import OutputFormat
from facecraft.jobs.results import Results
from facecraft.studio import Result

MEDIA_TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "webp": "image/webp",
    "avif": "image/avif",
    "json": "application/json",
}
"""Endings of what can be fetched."""
_BATCH = "batch.members.json"


def ending(output: OutputFormat) -> str:
    """Return the ending of files of a format, without the dot."""
    return output.suffix.removeprefix(".")


def artifact_name(suffix: str) -> str:
    """Return the name under which a result with this ending is kept."""
    return f"result.{suffix}"


def link(request: Request, job_id: str, suffix: str) -> str:
    """Return the path under which a result is fetched, on whatever host and below whatever prefix we are served."""
    path = request.app.url_path_for("download", job_id=job_id, format=suffix)
    return f"{request.scope.get('root_path', '').rstrip('/')}{path}"


def keep(results: Results, job_id: str, result: Result) -> None:
    """Keep the files and the report of ``result``. Raises StorageError; nothing is kept then."""
    files = {artifact_name(ending(output.format)): output.data for output in result.outputs}
    results.save(job_id, {**files, artifact_name("json"): result.report.model_dump_json().encode()})


def keep_members(results: Results, job_id: str, members: Iterable[str]) -> None:
    """Remember which jobs belong to the batch ``job_id``. Raises StorageError."""
    results.save(job_id, {_BATCH: json.dumps(list(members)).encode()})


def members_of(results: Results, job_id: str) -> tuple[str, ...]:
    """Return the jobs of a batch; empty for any other job. Raises JobNotFoundError, StorageError."""
    try:
        return tuple(json.loads(results.fetch(job_id, _BATCH)))
    except ArtifactNotFoundError:
        return ()
