"""Jobs against doing the same at once, and what becomes of them when everything around them dies.

    python benchmarks/jobs.py throughput [--pictures 16] [--clients 4]
    python benchmarks/jobs.py workers    [--pictures 16]
    python benchmarks/jobs.py chaos      [--jobs 1000] [--kills 10] [--engine embedded|celery|both]

``throughput`` starts a real server and measures, in turns and with the same number of clients: portraits answered at
once, the same sent as jobs whose result comes in the same answer (``Prefer: respond-async, wait=100``), and jobs that
are sent, followed by their events and fetched in three requests. Then it keeps every place busy and times how long
the server takes to accept a job. ``workers`` compares one worker process over a real Redis with two, each with one
thread for its networks. ``chaos`` sends jobs that only pretend to work, kills the processes that run them (kill -9)
again and again, restarts Redis and Postgres in the middle where they take part, and counts: every job must have ended
exactly once, with its files, and none may have been worked on twice at the same time.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))  # for `services`: starters of real parts

from facecraft.cli.sample import sample
from facecraft.db.opening import open_database
from facecraft.jobs.celery import CeleryEngine
from facecraft.jobs.config import JobConfig
from facecraft.jobs.job import PICTURE, Input, Item, JobState, NewJob
from facecraft.jobs.opening import Jobs, open_jobs
from facecraft.jobs.tasks import PipelineTask
from facecraft.pipelines.presets import PortraitOptions
from facecraft.storage import ObjectBlobStore
from services.fleet import Fleet
from services.ports import free_port
from services.postgres import run_postgres
from services.redis_server import run_redis

ENDED = ("succeeded", "failed", "cancelled")
ROUNDS = 3
TURNS = 8


def environment(folder: Path, **changes: str) -> dict[str, str]:
    own = {
        "FACECRAFT_UPLOAD_DIR": str(folder / "uploads"),
        "FACECRAFT_OUTPUT_DIR": str(folder / "results"),
        "FACECRAFT_CROPS_DIR": str(folder / "crops"),
        "FACECRAFT_DATABASE_URL": f"sqlite:///{folder / 'facecraft.db'}",
        "FACECRAFT_LOG_LEVEL": "WARNING",
        "FACECRAFT_MAX_QUEUED_JOBS": "1000",
    }
    return {**os.environ, **own, **changes}


@contextlib.contextmanager
def process(*arguments: str, env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run the command line of Facecraft until the block ends."""
    running = subprocess.Popen([sys.executable, "-W", "ignore", "-m", "facecraft", *arguments], env=env)
    try:
        yield running
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(60)


@contextlib.contextmanager
def server(folder: Path, **changes: str) -> Iterator[tuple[httpx.Client, int]]:
    port = free_port()
    limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
    with (
        process("serve", "--port", str(port), env=environment(folder, **changes)) as running,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=300, limits=limits) as client,
    ):
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.TransportError):
                if client.get("/ready").status_code == 200:
                    break
            time.sleep(0.2)
        else:
            raise SystemExit("the server is not ready")
        yield client, running.pid


def portrait(client: httpx.Client, picture: bytes, headers: dict[str, str]) -> int:
    files = {"file": ("a.jpg", picture)}
    answer = client.post("/api/v1/portrait", files=files, headers={"Accept": "image/png", **headers})
    answer.raise_for_status()
    assert answer.status_code == 200
    return len(answer.content)


def submit(client: httpx.Client, picture: bytes) -> dict[str, object]:
    answer = client.post("/api/v1/jobs", data={"preset": "portrait"}, files={"files": ("a.jpg", picture)})
    answer.raise_for_status()
    body: dict[str, object] = answer.json()
    return body


def followed(client: httpx.Client, picture: bytes) -> int:
    job = submit(client, picture)
    with client.stream("GET", f"/api/v1/jobs/{job['id']}/events") as events:
        for line in events.iter_lines():
            if line.removeprefix("event: ") in ENDED:
                break
    answer = client.get(f"/api/v1/jobs/{job['id']}/artifacts/result.png")
    answer.raise_for_status()
    return len(answer.content)


def rate(work: Callable[[], int], pictures: int, clients: int) -> float:
    start = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        sizes = list(pool.map(lambda _: work(), range(pictures)))
    assert min(sizes) > 1000
    return pictures / (time.perf_counter() - start)


def throughput(pictures: int, clients: int) -> None:
    picture = sample()
    with tempfile.TemporaryDirectory() as name, server(Path(name)) as (client, process_id):
        ways = {
            "at once": lambda: portrait(client, picture, {}),
            "as jobs": lambda: portrait(client, picture, {"Prefer": "respond-async, wait=100"}),
            "as jobs in three requests": lambda: followed(client, picture),
        }
        for way in ways.values():
            rate(way, 2 * clients, clients)
        rates: dict[str, list[float]] = {which: [] for which in ways}
        seconds = dict.fromkeys(ways, 0.0)
        for _ in range(TURNS):
            for which, way in ways.items():
                before = cpu_seconds(process_id)
                rates[which].append(rate(way, pictures, clients))
                seconds[which] += cpu_seconds(process_id) - before
        for which, found in rates.items():
            spent = seconds[which] / (TURNS * pictures) * 1000
            print(
                f"{which}: best {max(found):.2f}, median {statistics.median(found):.2f} pictures/s; {spent:.0f} ms CPU each"
            )
        for which in list(ways)[1:]:
            pairs = [job / once for once, job in zip(rates["at once"], rates[which], strict=True)]
            print(f"{which} / at once, turn by turn: median {statistics.median(pairs):.3f}, best {max(pairs):.3f}")
        times = []
        for _ in range(110):
            start = time.perf_counter()
            submit(client, picture)
            times.append((time.perf_counter() - start) * 1000)
            time.sleep(0.05)
        busy = times[10:]  # by then every place is taken
        p95 = statistics.quantiles(busy, n=20)[-1]
        print(f"submit while every place is busy: p50 {statistics.median(busy):.1f} ms, p95 {p95:.1f} ms")


def cpu_seconds(process_id: int) -> float:
    """Return what a process has computed until now: unlike a rate, it does not depend on what else the machine does."""
    fields = Path(f"/proc/{process_id}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def workers(pictures: int) -> None:
    best: dict[int, float] = {}
    running: list[int] = []
    with tempfile.TemporaryDirectory() as name, run_redis() as redis, contextlib.ExitStack() as stack:
        folder = Path(name)
        env = environment(folder, FACECRAFT_CELERY_BROKER_URL=redis.url)
        database = stack.enter_context(open_database(f"sqlite:///{folder / 'facecraft.db'}", migrate=True))
        jobs = open_jobs(database, ObjectBlobStore.folder(folder / "results"), JobConfig(), retention=None)
        engine = CeleryEngine(jobs, redis.url)
        engine.start()
        stack.callback(engine.close)
        for number in (1, 2):
            running.append(stack.enter_context(process("worker", "--threads", "1", env=env)).pid)
            while len(jobs.workers.alive()) < number:
                time.sleep(0.1)
            worked(jobs, engine, 6)
            before = sum(map(cpu_seconds, running))
            found = [pictures / worked(jobs, engine, pictures) for _ in range(ROUNDS)]
            spent = (sum(map(cpu_seconds, running)) - before) / (ROUNDS * pictures) * 1000
            best[number] = max(found)
            print(f"{number} worker(s): {[round(each, 2) for each in found]} pictures/s, {spent:.0f} ms CPU each")
    print(f"two workers are {best[2] / best[1]:.2f} times as fast as one")


def worked(jobs: Jobs, engine: CeleryEngine, number: int) -> float:
    """Send so many portraits; return the seconds until the last has ended."""
    task = PipelineTask(name="portrait", pipeline=PortraitOptions().pipeline())
    start = time.perf_counter()
    for _ in range(number):
        blob = jobs.blobs.receive(None, sample(), name="a.jpg", media_type="image/jpeg", expires_at=None)
        item = Item(0, "a.jpg", {PICTURE: Input(blob.id, temporary=True)})
        engine.wake(jobs.repository.add(NewJob(None, task, (item,))))
    while (counts := jobs.repository.counts())[JobState.QUEUED] + counts[JobState.RUNNING]:
        time.sleep(0.05)
    return time.perf_counter() - start


def chaos(engine: str, jobs: int, kills: int) -> bool:
    """Return whether every job ended exactly once."""
    start = time.perf_counter()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        redis = postgres = None
        url = f"sqlite:///{folder / 'facecraft.db'}"
        if engine == "celery":
            redis, postgres = stack.enter_context(run_redis()), stack.enter_context(run_postgres())
            url = stack.enter_context(postgres.database())
        broker = redis.url if redis else None
        fleet = stack.enter_context(Fleet(engine, url, folder, broker=broker, seconds=0.1, places=2, lease=5.0))
        processes = [fleet.start() for _ in range(3)]
        sent = [fleet.submit(b"picture") for _ in range(jobs)]
        print(f"{engine}: {jobs} jobs sent in {time.perf_counter() - start:.1f} s")
        for number in range(kills):
            fleet.wait_for_marks(len(fleet.begun()) + random.randint(5, max(6, jobs // (3 * kills))), seconds=120)  # noqa: S311
            fleet.kill(processes.pop(0))
            processes.append(fleet.start())
            if redis and number == kills // 3:
                redis.stop()
                time.sleep(1)
                redis.start()
                print("Redis was killed, with every message in it")
            if postgres and number == 2 * kills // 3:
                postgres.stop()
                time.sleep(1)
                postgres.start()
                print("Postgres was restarted")
        fleet.wait_until_idle(600)
        problems = fleet.problems(sent)
        begun = len(fleet.begun())
        print(
            f"{engine}: {jobs} jobs, {len(fleet.killed)} kills, {begun} runs begun ({begun - jobs} again), "
            f"{len(problems)} problems, {time.perf_counter() - start:.0f} s"
        )
        print(*problems[:20], sep="\n")
    return not problems


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["throughput", "workers", "chaos"])
    parser.add_argument("--pictures", type=int, default=16)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--engine", choices=["embedded", "celery", "both"], default="both")
    asked = parser.parse_args()
    if asked.what == "throughput":
        throughput(asked.pictures, asked.clients)
    elif asked.what == "workers":
        workers(asked.pictures)
    else:
        engines = ["embedded", "celery"] if asked.engine == "both" else [asked.engine]
        well = [chaos(engine, asked.jobs, asked.kills) for engine in engines]
        return 0 if all(well) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
