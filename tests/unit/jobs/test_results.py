"""Results that can be fetched for a while."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from facecraft.errors import ArtifactNotFoundError, JobNotFoundError, StorageFullError
from facecraft.jobs.results import Results, Sweeper, new_job_id, parse_job_id
from facecraft.storage import ObjectBlobStore


@pytest.fixture
def results() -> Results:
    return Results(ObjectBlobStore.memory())


def test_job_ids_are_version_7_sortable_and_unlike() -> None:
    ids = [new_job_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert {UUID(job).version for job in ids} == {7}
    assert {UUID(job).variant for job in ids} == {"specified in RFC 4122"}
    assert ids[0][:8] <= ids[-1][:8]


@pytest.mark.parametrize(
    "text", ["", "..", "%2e%2e", "1234", "../../etc", f"{{{new_job_id()}}}", new_job_id().replace("-", "")]
)
def test_anything_else_is_no_job(text: str, results: Results) -> None:
    with pytest.raises(JobNotFoundError):
        parse_job_id(text)
    with pytest.raises(JobNotFoundError):
        results.delete(text)


def test_artifacts_come_back_by_name(results: Results) -> None:
    job = new_job_id()
    results.save(job, {"portrait.png": b"png", "portrait.jpg": b"jpg"})
    assert results.fetch(job, "portrait.png") == b"png"
    assert results.names(job) == ("portrait.jpg", "portrait.png")


def test_a_missing_artifact_is_not_a_missing_job(results: Results) -> None:
    job = new_job_id()
    results.save(job, {"portrait.png": b"png"})
    with pytest.raises(ArtifactNotFoundError):
        results.fetch(job, "portrait.webp")
    with pytest.raises(ArtifactNotFoundError):
        results.fetch(job, "../portrait.png")
    with pytest.raises(JobNotFoundError):
        results.fetch(new_job_id(), "portrait.png")


def test_deleting_one_job_leaves_the_others(results: Results) -> None:
    first, second = new_job_id(), new_job_id()
    results.save(first, {"a.png": b"1", "b.png": b"2"})
    results.save(second, {"a.png": b"3"})
    results.delete(first)
    with pytest.raises(JobNotFoundError):
        results.names(first)
    assert results.fetch(second, "a.png") == b"3"


class _FullAfterOne(ObjectBlobStore):
    """A store whose disk is full after the first blob."""

    def put(self, key: str, data: bytes) -> None:
        if list(self.find("")):
            raise StorageFullError
        super().put(key, data)


def test_a_full_disk_leaves_no_half_result() -> None:
    blobs = _FullAfterOne(ObjectBlobStore.memory()._store)
    with pytest.raises(StorageFullError):
        Results(blobs).save(new_job_id(), {"a.png": b"1", "b.png": b"2"})
    assert list(blobs.find("")) == []


def test_sweeping_takes_the_old_only(results: Results) -> None:
    job = new_job_id()
    results.save(job, {"a.png": b"1"})
    now = datetime.now(UTC)
    assert results.sweep(timedelta(hours=24), now=now + timedelta(hours=23)) == 0
    assert results.fetch(job, "a.png") == b"1"
    assert results.sweep(timedelta(hours=24), now=now + timedelta(hours=25)) == 1
    with pytest.raises(JobNotFoundError):
        results.fetch(job, "a.png")


def test_the_sweeper_goes_on_after_a_failure_and_stops_when_closed() -> None:
    ran, failures = threading.Event(), []
    calls = []

    def sweep() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise StorageFullError
        ran.set()

    sweeper = Sweeper(sweep, seconds=0.01, failed=failures.append)
    assert ran.wait(10)
    sweeper.close()
    after = len(calls)
    assert [type(failure) for failure in failures] == [StorageFullError]
    assert not sweeper._thread.is_alive()
    assert len(calls) == after
