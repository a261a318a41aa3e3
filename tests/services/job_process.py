"""A process that runs jobs with a performer that only pretends: the real engines, without their networks.

    python job_process.py embedded|celery SETTINGS.json

SETTINGS names the database, the folders, the broker, how long a pretended job takes, and how many connections to the
broker hear nothing.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from kombu.transport.virtual import QoS

from facecraft import telemetry
from facecraft.db.opening import open_database
from facecraft.jobs.capacity import Capacity
from facecraft.jobs.celery_worker import CeleryWorker
from facecraft.jobs.config import JobConfig
from facecraft.jobs.embedded import EmbeddedEngine
from facecraft.jobs.job import PICTURE
from facecraft.jobs.opening import open_jobs
from facecraft.jobs.performing import Product
from facecraft.jobs.tasks import QUEUES, FacesTask, PipelineTask
from facecraft.pipelines.stage import Watch
from facecraft.storage import ObjectBlobStore
from facecraft.testing import FakePerformer

HANGING = b"hanging"
"""A picture with which work never ends, and never looks whether it shall."""


class Performer(FakePerformer):
    """Pretends to work, or to hang."""

    def __call__(
        self, task: PipelineTask | FacesTask, pictures: Mapping[str, bytes], *, name: str | None, watch: Watch
    ) -> tuple[Product, ...]:
        if pictures[PICTURE] == HANGING:
            time.sleep(600)
        return super().__call__(task, pictures, name=name, watch=watch)


def main() -> None:
    engine, plan = sys.argv[1], json.loads(Path(sys.argv[2]).read_text())
    telemetry.configure(level="INFO", json=False)
    store = ObjectBlobStore.folder(Path(plan["store"]))
    config = JobConfig(job_lease_seconds=plan["lease"], job_max_attempts=plan["attempts"])
    performer = Performer(seconds=plan["seconds"], marks=Path(plan["marks"]))
    with open_database(plan["database"], migrate=False) as database:
        jobs = open_jobs(database, store, config, retention=None)
        if engine == "celery":
            places = plan["places"]
            make_deaf(plan["deaf"])
            worker = CeleryWorker(
                jobs,
                performer,
                plan["broker"],
                queues=QUEUES,
                places=places,
                device="cpu",
                patience=plan["patience"],
            )
            sys.exit(worker.run(grace=plan["grace"]))
        told = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: told.set())
        running = EmbeddedEngine(jobs, performer, capacity=Capacity(plan["places"]), device="cpu")
        running.start()
        told.wait()
        running.close(grace=plan["grace"])


def make_deaf(number: int) -> None:
    """Let so many connections be in the state in which Celery was left by outages: every place taken, for good."""
    hears = QoS.can_consume
    deaf: list[QoS] = []

    def can_consume(qos: QoS) -> bool:
        if qos not in deaf and len(deaf) < number:
            deaf.append(qos)
        return qos not in deaf and bool(hears(qos))

    QoS.can_consume = can_consume


if __name__ == "__main__":
    main()
