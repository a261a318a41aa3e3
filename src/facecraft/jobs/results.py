"""Finished results that can be fetched for a while: one folder of artifacts for each job."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

from facecraft.errors import ArtifactNotFoundError, JobNotFoundError, StorageError
from facecraft.storage import BlobNotFoundError, BlobStore

_ARTIFACT = re.compile(r"[a-z0-9][a-z0-9_-]*(\.[a-z0-9]+)+")
_CHECK_PREFIX = "_check/"


def new_job_id() -> str:
    """Return a new UUIDv7 (RFC 9562): sortable by time, 74 random bits from the operating system."""
    stamp = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10))
    value = (
        (stamp & (1 << 48) - 1) << 80 | 0x7 << 76 | (random >> 68 & 0xFFF) << 64 | 0b10 << 62 | random & (1 << 62) - 1
    )
    return str(UUID(int=value))


def parse_job_id(text: str) -> str:
    """Return the canonical form of a job id. Raises JobNotFoundError for anything that is not a UUID."""
    try:
        parsed = UUID(text)
    except ValueError as error:
        raise JobNotFoundError from error
    if str(parsed) != text.lower():
        raise JobNotFoundError
    return str(parsed)


class Results:
    """Artifacts of finished jobs over a :class:`BlobStore`."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    def save(self, job_id: str, artifacts: Mapping[str, bytes]) -> None:
        """Keep ``artifacts`` (by name such as ``portrait.png``); all of them or none.

        Raises StorageError; what was written until then is removed.
        """
        written: list[str] = []
        try:
            for name, data in artifacts.items():
                if not _ARTIFACT.fullmatch(name):
                    raise ValueError(f"not an artifact name: {name!r}")
                key = f"{job_id}/{name}"
                self._blobs.put(key, data)
                written.append(key)
        except StorageError:
            for key in written:
                self._blobs.delete(key)
            raise

    def names(self, job_id: str) -> tuple[str, ...]:
        """Return the names of all artifacts of a job. Raises JobNotFoundError."""
        job = parse_job_id(job_id)
        names = tuple(sorted(info.key.removeprefix(f"{job}/") for info in self._blobs.find(job)))
        if not names:
            raise JobNotFoundError
        return names

    def fetch(self, job_id: str, name: str) -> bytes:
        """Return one artifact. Raises JobNotFoundError or ArtifactNotFoundError."""
        job = parse_job_id(job_id)
        if not _ARTIFACT.fullmatch(name):
            raise ArtifactNotFoundError
        try:
            return self._blobs.get(f"{job}/{name}")
        except BlobNotFoundError as error:
            self.names(job)
            raise ArtifactNotFoundError from error

    def delete(self, job_id: str) -> None:
        """Delete a job's artifacts. Raises JobNotFoundError when there are none."""
        job = parse_job_id(job_id)
        for name in self.names(job):
            self._blobs.delete(f"{job}/{name}")

    def sweep(self, age: timedelta, *, now: datetime | None = None) -> int:
        """Delete what is older than ``age``; return how many artifacts that were."""
        limit = (now or datetime.now(UTC)) - age
        old = [
            info.key
            for info in self._blobs.find("")
            if info.modified < limit and not info.key.startswith(_CHECK_PREFIX)
        ]
        for key in old:
            self._blobs.delete(key)
        return len(old)


class Sweeper:
    """Runs ``sweep`` again and again in a thread of its own until it is closed."""

    def __init__(self, sweep: Callable[[], object], *, seconds: float, failed: Callable[[StorageError], None]) -> None:
        self._sweep = sweep
        self._seconds = seconds
        self._failed = failed
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="facecraft-sweeper", daemon=True)
        self._thread.start()

    def _loop(self) -> None:
        while True:
            try:
                self._sweep()
            except StorageError as error:
                self._failed(error)
            if self._stop.wait(self._seconds):
                return

    def close(self) -> None:
        """Stop, and wait for a sweep that is under way."""
        self._stop.set()
        self._thread.join(timeout=10)
