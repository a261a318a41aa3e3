"""The numbers of a worker process: what it did for jobs that came over a real Redis."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from facecraft.accounts.records import Role, Scope
from facecraft.jobs.job import PICTURE, Input, Item, NewJob
from facecraft.jobs.tasks import PipelineTask
from facecraft.pipelines.presets import CutoutPresetOptions
from facecraft.settings import Settings
from facecraft.studio import Studio
from facecraft.studio.accounts import accounts_for
from services.ports import free_port
from services.redis_server import run_redis

KEY = "0123456789abcdef-worker"


def _numbers(port: int, worker: subprocess.Popen[bytes], *, wanted: str, log: Path) -> str:
    text = ""
    for _ in range(400):
        assert worker.poll() is None, log.read_text()
        try:
            text = httpx.get(f"http://127.0.0.1:{port}/metrics", headers={"X-API-Key": KEY}, timeout=10).text
        except httpx.TransportError:
            text = ""
        if wanted in text:
            return text
        time.sleep(0.1)
    raise AssertionError(f"{wanted} never came: {text}\n{log.read_text()}")


def test_a_worker_tells_its_stages_and_jobs(studio: Studio, portrait_jpeg: bytes, tmp_path: Path) -> None:
    pytest.importorskip("celery", reason="pip install 'facecraft[scale]'")
    port, log = free_port(), tmp_path / "log"
    with run_redis() as redis:
        values = {
            "MODELS_DIR": studio.settings.models_dir,
            "OUTPUT_DIR": tmp_path / "results",
            "DATABASE_URL": f"sqlite:///{tmp_path / 'f.db'}",
            "CELERY_BROKER_URL": redis.url,
            "WORKER_METRICS_PORT": port,
            "API_KEY": KEY,
            "DEVICE": "cpu",
            "OFFLINE": "true",
            "LOG_JSON": "true",
        }
        own = {name: value for name, value in os.environ.items() if not name.startswith("FACECRAFT_")}
        environment = own | {f"FACECRAFT_{name}": str(value) for name, value in values.items()}
        settings = Settings(
            output_dir=tmp_path / "results", database_url=f"sqlite:///{tmp_path / 'f.db'}", device="cpu"
        )
        with Studio.open(settings) as sender:
            jobs = sender.jobs
            accounts = accounts_for(settings, sender)
            opened = accounts.open()
            admin = opened.users.create("ann@example.org", "correct horse", role=Role.ADMIN)
            user = opened.users.create("bob@example.org", "correct horse")
            keys = {
                200: [
                    opened.keys.create("ops", [Scope.READ])[1],
                    opened.keys.create("a", [Scope.READ], user_id=admin.id)[1],
                ],
                401: [
                    opened.keys.create("b", [Scope.READ], user_id=user.id)[1],
                    opened.keys.create("w", [Scope.WRITE])[1],
                ],
            }
            accounts.close()
            blob = jobs.blobs.receive(None, portrait_jpeg, name="a.jpg", media_type="image/jpeg", expires_at=None)
            task = PipelineTask(name="cutout", pipeline=CutoutPresetOptions().pipeline())
            job = jobs.repository.add(
                NewJob(None, task, (Item(0, "a.jpg", {PICTURE: Input(blob.id, temporary=True)}),))
            )
        command = [sys.executable, "-m", "facecraft", "worker", "--queues", "gpu,celery"]
        with (
            log.open("wb") as said,
            subprocess.Popen(command, env=environment, stdout=said, stderr=said, cwd=tmp_path) as worker,
        ):
            try:
                ended = 'facecraft_jobs_ended_total{name="cutout",state="succeeded"} 1.0'
                text = _numbers(port, worker, wanted=ended, log=log)
                refused = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=10).status_code
                found = {
                    status: [
                        httpx.get(
                            f"http://127.0.0.1:{port}/metrics", headers={"X-API-Key": key}, timeout=10
                        ).status_code
                        for key in each
                    ]
                    for status, each in keys.items()
                }
            finally:
                worker.terminate()
                worker.wait(60)
    assert 'facecraft_stage_seconds_count{stage="cutout"} 1.0' in text
    assert "facecraft_model_loads_total{" in text
    assert refused == 401
    assert found == {200: [200, 200], 401: [401, 401]}
    lines = [line for line in log.read_text().splitlines() if job.id in line]
    assert lines
    assert f'"job_id": "{job.id}"' in lines[-1]
    assert KEY not in log.read_text()
