"""Jobs against doing the same at once, and what becomes of them when everything around them dies.

    python benchmarks/jobs.py throughput [--pictures 40] [--clients 4]
    python benchmarks/jobs.py workers    [--pictures 40]
    python benchmarks/jobs.py chaos      [--jobs 1000] [--kills 10] [--engine embedded|celery|both]

``throughput`` starts a real server and measures, in turns and with the same number of clients: portraits answered at
once, and portraits sent as jobs, followed to their end and fetched. Then it keeps every place busy and times how long
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
from services.fleet import Fleet
from services.ports import free_port
from services.postgres import run_postgres
from services.redis_server import run_redis

ENDED = ("succeeded", "failed", "cancelled")
ROUNDS = 3


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
def server(folder: Path, **changes: str) -> Iterator[httpx.Client]:
    port = free_port()
    limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
    with (
        process("serve", "--port", str(port), env=environment(folder, **changes)),
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
        yield client


def at_once(client: httpx.Client, picture: bytes) -> int:
    answer = client.post("/api/v1/portrait", files={"file": ("a.jpg", picture)}, headers={"Accept": "image/png"})
    answer.raise_for_status()
    return len(answer.content)


def submit(client: httpx.Client, picture: bytes) -> dict[str, object]:
    answer = client.post("/api/v1/jobs", data={"preset": "portrait"}, files={"files": ("a.jpg", picture)})
    answer.raise_for_status()
    body: dict[str, object] = answer.json()
    return body


def as_job(client: httpx.Client, picture: bytes) -> int:
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
    with tempfile.TemporaryDirectory() as name, server(Path(name)) as client:
        rate(lambda: at_once(client, picture), 4, clients)
        rate(lambda: as_job(client, picture), 4, clients)
        once, jobs = [], []
        for _ in range(ROUNDS):
            once.append(rate(lambda: at_once(client, picture), pictures, clients))
            jobs.append(rate(lambda: as_job(client, picture), pictures, clients))
        print(f"at once: {max(once):.2f} pictures/s  {[round(value, 2) for value in once]}")
        print(f"as jobs: {max(jobs):.2f} pictures/s  {[round(value, 2) for value in jobs]}")
        print(f"ratio of the best rounds: {max(jobs) / max(once):.3f}")
        times = []
        for _ in range(60):
            start = time.perf_counter()
            submit(client, picture)
            times.append((time.perf_counter() - start) * 1000)
            time.sleep(0.05)
        cuts = statistics.quantiles(times[10:], n=20)
        print(f"submit while every place is busy: p50 {statistics.median(times):.1f} ms, p95 {cuts[-1]:.1f} ms")


def workers(pictures: int) -> None:
    picture = sample()
    best = {}
    with tempfile.TemporaryDirectory() as name, run_redis() as redis:
        folder = Path(name)
        env = environment(folder, FACECRAFT_CELERY_BROKER_URL=redis.url)
        with server(folder, FACECRAFT_CELERY_BROKER_URL=redis.url) as client, contextlib.ExitStack() as stack:
            for number in (1, 2):
                stack.enter_context(process("worker", "--threads", "1", env=env))
                time.sleep(4)
                rate(lambda: as_job(client, picture), 6, 6)
                best[number] = max(rate(lambda: as_job(client, picture), pictures, 6) for _ in range(ROUNDS))
                print(f"{number} worker(s): {best[number]:.2f} pictures/s")
    print(f"two workers are {best[2] / best[1]:.2f} times as fast as one")


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
            fleet.wait_for_marks(len(fleet.begun()) + random.randint(5, max(6, jobs // (kills + 2))), seconds=120)  # noqa: S311
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
    parser.add_argument("--pictures", type=int, default=40)
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
