"""``facecraft worker`` as operators run it: a real process over a real Redis, with real networks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from facecraft.jobs.celery import CeleryEngine
from facecraft.jobs.job import ENDED, PICTURE, Input, Item, JobState, NewJob
from facecraft.jobs.tasks import FacesTask
from facecraft.jobs.workers import Worker
from facecraft.pipelines.face_reports import FacesReport
from facecraft.pipelines.recognition import FACES
from facecraft.settings import Settings
from facecraft.studio import Studio
from services.redis_server import run_redis

COMMAND = [sys.executable, "-W", "ignore", "-m", "facecraft", "worker"]


@pytest.fixture
def settings(tmp_path: Path, models_dir: Path) -> Iterator[Settings]:
    with run_redis() as redis:
        yield Settings(
            models_dir=models_dir,
            upload_dir=tmp_path / "uploads",
            output_dir=tmp_path / "results",
            crops_dir=tmp_path / "crops",
            database_url=f"sqlite:///{tmp_path / 'facecraft.db'}",
            celery_broker_url=redis.url,
            device="cpu",
            offline=True,
        )


def environment(settings: Settings) -> dict[str, str]:
    return {**os.environ, **settings.environment()}


def check(settings: Settings) -> int:
    done = subprocess.run(
        [*COMMAND, "--check"], env=environment(settings), capture_output=True, timeout=60, check=False
    )
    return done.returncode


def test_a_worker_does_what_a_server_was_asked_and_says_that_it_lives(
    settings: Settings, studio: Studio, portrait_jpeg: bytes, tmp_path: Path
) -> None:
    assert studio.store.catalog  # the starter models are installed
    log = tmp_path / "log"
    with Studio.open(settings) as front, log.open("wb") as output:
        jobs = front.jobs
        engine = CeleryEngine(jobs, str(settings.environment()["FACECRAFT_CELERY_BROKER_URL"]))
        engine.start()
        worker = subprocess.Popen(
            [*COMMAND, "-Q", "gpu,celery"], env=environment(settings), stdout=output, stderr=output
        )
        try:
            blob = jobs.blobs.receive(None, portrait_jpeg, name="a.jpg", media_type="image/jpeg", expires_at=None)
            task = FacesTask(name="detect", options=FACES["detect"]())
            job = jobs.repository.add(
                NewJob(None, task, (Item(0, "a.jpg", {PICTURE: Input(blob.id, temporary=True)}),))
            )
            engine.wake(job)
            deadline = time.monotonic() + 60
            while (found := jobs.repository.get(None, job.id)).state not in ENDED and time.monotonic() < deadline:
                time.sleep(0.05)
            assert found.state is JobState.SUCCEEDED, log.read_text()
            (report,) = jobs.blobs.artifacts(job.id)
            assert len(FacesReport.model_validate_json(jobs.blobs.read(report)).faces) == 1
            assert check(settings) == 0
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(30) == 0
            assert check(settings) == 1
        finally:
            worker.kill()
            worker.wait(10)
            engine.close()


@pytest.mark.parametrize(("arguments", "says"), [([], "FACECRAFT_CELERY_BROKER_URL"), (["-Q", "nope"], "Known: gpu")])
def test_a_worker_that_cannot_work_says_why(arguments: list[str], says: str, tmp_path: Path) -> None:
    env = {**os.environ, "FACECRAFT_DATABASE_URL": f"sqlite:///{tmp_path / 'facecraft.db'}"}
    if arguments:
        env["FACECRAFT_CELERY_BROKER_URL"] = "redis://127.0.0.1:1/0"
    done = subprocess.run([*COMMAND, *arguments], env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 11
    assert says in done.stderr


def test_a_worker_names_all_that_it_lacks_at_once(tmp_path: Path) -> None:
    program = "import sys; sys.modules.update(celery=None, psycopg=None); from facecraft.cli.app import main; main()"
    env = {**os.environ, "FACECRAFT_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, "worker"],
        env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 11
    said = " ".join(done.stderr.split())
    assert "FACECRAFT_CELERY_BROKER_URL" in said
    assert "What workers need is not installed: celery, psycopg." in said
    assert "pip install 'facecraft[scale,postgres]', then facecraft migrate." in said


def test_a_worker_names_missing_tables_and_a_missing_broker_at_once(tmp_path: Path) -> None:
    env = {
        **os.environ,
        "FACECRAFT_DATABASE_URL": f"sqlite:///{tmp_path / 'facecraft.db'}",
        "FACECRAFT_AUTO_MIGRATE": "false",
    }
    done = subprocess.run(COMMAND, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 11
    assert "FACECRAFT_CELERY_BROKER_URL" in done.stderr
    assert "facecraft migrate" in done.stderr


def test_the_check_fails_for_a_worker_that_hears_nothing(settings: Settings) -> None:
    with Studio.open(settings) as studio:
        worker = studio.jobs.workers.seen(Worker.here("celery", ("gpu",), "cpu", 1))
        assert check(settings) == 0
        studio.jobs.workers.say(worker.id, deaf=True)
        assert check(settings) == 1


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root is warned")
def test_root_is_warned_in_one_line(settings: Settings, tmp_path: Path) -> None:
    log = tmp_path / "log"
    env = {**environment(settings), "FACECRAFT_LOG_JSON": "true"}
    with log.open("wb") as output:
        worker = subprocess.Popen([*COMMAND[:1], *COMMAND[3:]], env=env, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + 60
        while "runs as root" not in log.read_text() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(1.0)  # in which Celery would have its say
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        assert [line["level"] for line in lines if "root" in line["event"]] == ["warning"]
    finally:
        worker.kill()
        worker.wait(10)
