"""``facecraft jobs``: what the operator at the terminal sees and may do."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from facecraft.cli.app import EXIT_CODES, run
from facecraft.errors import Kind
from facecraft.jobs.job import PICTURE, Failure, Input, Item, JobState, Lease, NewJob
from facecraft.jobs.tasks import QUEUES, PipelineTask
from facecraft.pipelines.presets import PortraitOptions
from facecraft.settings import Settings
from facecraft.studio import Studio

Ran = Callable[..., tuple[int, str, str]]
Made = Callable[..., str]


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A place without settings but these, with a database of its own."""
    for name in [name for name in os.environ if name.startswith("FACECRAFT_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    values = {"OUTPUT_DIR": tmp_path / "results", "DATABASE_URL": f"sqlite:///{tmp_path / 'f.db'}", "DEVICE": "cpu"}
    for name, value in values.items():
        monkeypatch.setenv(f"FACECRAFT_{name}", str(value))
    return tmp_path


@pytest.fixture
def ran(capfd: pytest.CaptureFixture[str]) -> Ran:
    def call(*args: object) -> tuple[int, str, str]:
        capfd.readouterr()
        code = run(["jobs", *(str(arg) for arg in args)])
        out, err = capfd.readouterr()
        return code, out.strip(), err

    return call


@pytest.fixture
def made() -> Made:
    def make(owner: str | None = None, *, state: JobState = JobState.QUEUED, name: str = "portrait") -> str:
        with Studio.open(Settings.load()) as studio:
            jobs = studio.jobs
            blob = jobs.blobs.receive(owner, b"no picture", name="a.jpg", media_type="image/jpeg", expires_at=None)
            item = Item(0, "a.jpg", {PICTURE: Input(blob.id, temporary=True)})
            task = PipelineTask(name=name, pipeline=PortraitOptions().pipeline())
            job = jobs.repository.add(NewJob(owner, task, (item,)))
            if state is not JobState.QUEUED:
                before: list[Lease] = []
                while (lease := jobs.leases.claim(QUEUES, job.id)) is not None and lease.job.id != job.id:
                    before.append(lease)
                assert lease is not None
                for other in before:
                    jobs.leases.give_back(other)
                if state is not JobState.RUNNING:
                    why = Failure("broken", "It broke.", "Try again.")
                    jobs.leases.finish(lease, state, why if state is JobState.FAILED else None)
            return job.id

    return make


def test_jobs_are_listed_by_state_name_and_page(ran: Ran, made: Made) -> None:
    first, second = made(), made(state=JobState.FAILED, name="cutout")
    code, out, _ = ran("list")
    assert code == 0
    assert out.index(second) < out.index(first)
    assert first not in ran("list", "--state", "failed")[1]
    assert second not in ran("list", "--name", "portrait")[1]
    page = json.loads(ran("list", "--limit", "1", "--json")[1])
    assert [job["id"] for job in page["items"]] == [second]
    code, out, err = ran("list", "--limit", "1")
    assert f"--cursor {page['cursor']}" in err
    assert first in ran("list", "--limit", "1", "--cursor", page["cursor"])[1]


def test_jobs_of_users_are_seen_by_who_asks_for_all(ran: Ran, made: Made) -> None:
    theirs = made("somebody")
    _, out, err = ran("list")
    assert theirs not in out
    assert "see them with --all" in err
    _, _, err = ran("list", "--state", "queued", "--name", "nothing")
    assert "--all" not in err
    _, out, _ = ran("list", "--all")
    assert theirs in out
    assert "somebody" in out
    for word in ("show", "cancel", "retry", "delete"):
        assert ran(word, theirs)[0] == EXIT_CODES[Kind.NOT_FOUND]
    assert ran("show", theirs, "--all")[0] == 0
    assert ran("cancel", theirs, "--all")[0] == 0


def test_a_failed_job_says_why_and_is_tried_again(ran: Ran, made: Made) -> None:
    job = made(state=JobState.FAILED)
    code, out, _ = ran("show", job)
    assert code == 0
    assert "[broken] It broke." in out
    assert "a.jpg" in out
    story = json.loads(ran("show", job, "--json")[1])
    assert [event["type"] for event in story["events"]] == ["queued", "running", "failed"]
    assert ran("retry", job)[0] == 0
    story = json.loads(ran("show", job, "--json")[1])
    assert (story["job"]["state"], story["position"]) == ("queued", 1)
    assert ran("retry", job)[0] == EXIT_CODES[Kind.CONFLICT]


def test_a_waiting_job_is_cancelled_and_a_running_one_asked_to_stop(ran: Ran, made: Made) -> None:
    waiting, running = made(), made(state=JobState.RUNNING)
    code, _, err = ran("cancel", waiting)
    assert (code, "is cancelled" in err) == (0, True)
    code, _, err = ran("cancel", running)
    assert (code, "stops at its next stage" in err) == (0, True)
    assert "to be cancelled" in ran("show", running)[1]
    assert ran("cancel", waiting)[0] == EXIT_CODES[Kind.CONFLICT]


def test_everything_that_happened_to_a_long_job_is_shown(ran: Ran, made: Made) -> None:
    job = made()
    with Studio.open(Settings.load()) as studio:
        lease = studio.jobs.leases.claim(QUEUES, job)
        assert lease is not None
        for number in range(600):
            studio.jobs.leases.tell(lease, number / 600, "restore")
        studio.jobs.leases.finish(lease, JobState.CANCELLED)
    _, out, _ = ran("show", job)
    assert out.splitlines()[-1].split()[:2] == ["603", "cancelled"]
    story = json.loads(ran("show", job, "--json")[1])
    assert [event["number"] for event in story["events"]] == list(range(1, 604))


def test_a_deleted_job_leaves_no_file(ran: Ran, made: Made, home: Path) -> None:
    job = made()
    kept = [path for path in (home / "results").rglob("*") if path.is_file()]
    assert kept
    code, _, err = ran("delete", job)
    assert (code, "with 1 file" in err) == (0, True)
    assert not [path for path in (home / "results").rglob("*") if path.is_file()]
    assert ran("show", job)[0] == EXIT_CODES[Kind.NOT_FOUND]
    assert ran("delete", made(state=JobState.RUNNING))[0] == EXIT_CODES[Kind.CONFLICT]


def test_a_database_that_cannot_be_reached_is_told_by_the_code(ran: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACECRAFT_DATABASE_URL", "postgresql://nobody:word-of-secret@127.0.0.1:9/none")
    code, _, err = ran("list")
    assert code == EXIT_CODES[Kind.UNAVAILABLE]
    assert "word-of-secret" not in err
