"""Processes that run pretended jobs, a front that sends them, and the question whether everything went well."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from facecraft.db.opening import open_database
from facecraft.jobs.celery import CeleryEngine
from facecraft.jobs.config import JobConfig
from facecraft.jobs.job import ENDED, PICTURE, Input, Item, Job, JobState, NewJob
from facecraft.jobs.opening import open_jobs
from facecraft.jobs.tasks import PipelineTask
from facecraft.pipelines.presets import CutoutPresetOptions
from facecraft.storage import ObjectBlobStore

PROGRAM = Path(__file__).with_name("job_process.py")
TASK = PipelineTask(name="cutout", pipeline=CutoutPresetOptions(fill="red").pipeline())


class Fleet:
    """A database, a store, maybe a broker, and any number of processes that run jobs."""

    def __init__(
        self,
        engine: str,
        database_url: str,
        folder: Path,
        *,
        broker: str | None = None,
        seconds: float = 0.3,
        places: int = 2,
        lease: float = 3.0,
        attempts: int = 20,
        grace: float = 10.0,
        patience: float = 10.0,
        deaf: int = 0,
    ) -> None:
        self.engine = engine
        self.marks = folder / "marks"
        self._log = folder / "log"
        self._plan = folder / "plan.json"
        plan = {
            "database": database_url, "store": str(folder / "store"), "broker": broker, "marks": str(self.marks),
            "seconds": seconds, "places": places, "lease": lease, "attempts": attempts, "grace": grace,
            "patience": patience, "deaf": deaf,
        }  # fmt: skip
        self._plan.write_text(json.dumps(plan))
        self._processes: list[subprocess.Popen[bytes]] = []
        self.killed: dict[int, int] = {}
        self._database = open_database(database_url, migrate=True)
        config = JobConfig(job_lease_seconds=lease, job_max_attempts=attempts, job_queue_limit=100_000)
        self.jobs = open_jobs(self._database, ObjectBlobStore.folder(folder / "store"), config, retention=None)
        self._front = CeleryEngine(self.jobs, broker) if broker else None

    def __enter__(self) -> Self:
        if self._front:
            self._front.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, trace: TracebackType | None) -> None:
        for process in self._processes:
            process.kill()
            process.wait(10)
        if self._front:
            self._front.close()
        self._database.close()
        if kind is not None and self._log.exists():
            sys.stderr.write(self._log.read_text(errors="replace")[-6000:])

    # --- processes

    def start(self) -> subprocess.Popen[bytes]:
        """Start a process; it is ready some time later."""
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-W", "ignore", str(PROGRAM), self.engine, str(self._plan)], stdout=log, stderr=log
            )
        self._processes.append(process)
        return process

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """End a process as a crash does."""
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        self.killed[process.pid] = time.monotonic_ns()
        self._processes.remove(process)

    def stop(self, process: subprocess.Popen[bytes]) -> int:
        """Tell a process to stop; return its exit code."""
        process.send_signal(signal.SIGTERM)
        code = process.wait(40)
        self._processes.remove(process)
        return code

    # --- jobs

    def submit(self, *pictures: bytes, timeout_seconds: float | None = None) -> Job:
        """Send one job with these pictures."""
        return self.send(*[self.upload(picture) for picture in pictures], timeout_seconds=timeout_seconds)

    def upload(self, picture: bytes) -> str:
        """Store one picture and return its id."""
        return self.jobs.blobs.receive(None, picture, name="p.png", media_type="image/png", expires_at=None).id

    def send(self, *blob_ids: str, timeout_seconds: float | None = None) -> Job:
        """Send one job with pictures that were uploaded before."""
        mark = uuid.uuid4().hex
        items = tuple(
            Item(number, f"{mark}-{number}", {PICTURE: Input(blob_id, temporary=True)})
            for number, blob_id in enumerate(blob_ids)
        )
        job = self.jobs.repository.add(NewJob(None, TASK, items, timeout_seconds))
        if self._front:
            self._front.wake(job)
        return job

    def get(self, job: Job) -> Job:
        return self.jobs.repository.get(None, job.id)

    def wait(self, job: Job, *states: JobState, seconds: float = 30.0) -> Job:
        """Return the job once it is in one of ``states`` (none given: once it has ended)."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = self.get(job)
            if found.state in (states or ENDED):
                return found
            time.sleep(0.03)
        raise AssertionError(f"{self.get(job).state} after {seconds} s; wanted {states or 'an end'}")

    def wait_until_idle(self, seconds: float) -> None:
        """Wait until no job waits or runs."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            counts = self.jobs.repository.counts()
            if not counts[JobState.QUEUED] + counts[JobState.RUNNING]:
                return
            time.sleep(0.1)
        raise AssertionError(f"not idle after {seconds} s: {self.jobs.repository.counts()}")

    def types(self, job: Job) -> list[str]:
        return [event.type for event in self.jobs.repository.events(job.id, limit=100_000)]

    def names(self, job: Job) -> list[str | None]:
        return [blob.name for blob in self.jobs.blobs.artifacts(job.id)]

    # --- questions

    def begun(self) -> list[str]:
        """Return every beginning of an item, as it was marked."""
        if not self.marks.exists():
            return []
        return [line for line in self.marks.read_text().splitlines() if line.startswith("begin")]

    def wait_for_marks(self, number: int, seconds: float = 30.0) -> None:
        """Wait until so many items were begun, however often."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if len(self.begun()) >= number:
                return
            time.sleep(0.02)
        raise AssertionError(f"{len(self.begun())} items begun after {seconds} s, not {number}")

    def problems(self, jobs: Sequence[Job]) -> list[str]:
        """Return what went wrong with jobs of one good picture each; empty when each ended well exactly once."""
        found = []
        for job in jobs:
            state, types, names = self.get(job).state, self.types(job), Counter(self.names(job))
            ends = [each for each in types if each in ("succeeded", "failed", "cancelled")]
            if state is not JobState.SUCCEEDED or ends != ["succeeded"] or types.count("item") != 1:
                found.append(f"{job.id}: {state}, {types}")
            if names != {"result.png": 1, "result.json": 1}:
                found.append(f"{job.id}: {dict(names)}")
        return found + self.overlaps()

    def cut(self) -> list[str]:
        """Return the items that a process was killed over, as often as that happened."""
        running: Counter[tuple[str, int]] = Counter()
        for line in self.marks.read_text().splitlines():
            what, name, process, _ = line.split()
            running[name, int(process)] += 1 if what == "begin" else -1
        return [name for (name, process), left in running.items() if left and process in self.killed]

    def most_at_once(self, since: int) -> int:
        """Return how many items at most were worked on at the same time after ``since`` (time.monotonic_ns)."""
        lines = [line.split() for line in self.marks.read_text().splitlines()]
        steps = sorted((int(moment), 1 if what == "begin" else -1) for what, _, _, moment in lines)
        most = running = 0
        for moment, step in steps:
            running += step
            most = max(most, running) if moment > since else most
        return most

    def overlaps(self) -> list[str]:
        """Return the items that were worked on twice at the same time."""
        began: dict[tuple[str, int], int] = {}
        spans: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for line in self.marks.read_text().splitlines():
            what, name, process, moment = line.split()
            if what == "begin":
                began[name, int(process)] = int(moment)
            else:
                spans[name].append((began.pop((name, int(process))), int(moment)))
        for (name, process), moment in began.items():
            assert process in self.killed, f"{name} was begun by {process} and never ended"
            spans[name].append((moment, self.killed[process]))
        return [
            f"{name} was worked on twice at once"
            for name, runs in spans.items()
            for (_, end), (begin, _) in zip(sorted(runs), sorted(runs)[1:], strict=False)
            if begin < end
        ]
