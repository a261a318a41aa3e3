"""`Workers`: which processes run jobs, where, and when they were last heard of."""

from __future__ import annotations

import hashlib
import os
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Row

from facecraft.db.database import Database
from facecraft.db.ids import new_id
from facecraft.db.tables import WORKERS

BEAT_SECONDS = 5.0
"""How often a worker says that it is there."""
SILENT_AFTER = timedelta(seconds=30)
"""A worker that was not heard of for so long is not counted any more."""
FORGOTTEN_AFTER = timedelta(hours=1)
"""When its row goes."""
_START_SLACK = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Worker:
    """A process that runs jobs."""

    id: str
    host: str
    process: int
    engine: str
    """``embedded`` or ``celery``."""
    queues: tuple[str, ...]
    device: str
    places: int
    """Jobs at the same time."""
    version: str
    started_at: datetime
    seen_at: datetime
    busy: int = 0
    deaf_since: datetime | None = None
    """Since when it takes up nothing although it has a free place and jobs of its queues wait; None: it works."""

    @classmethod
    def here(cls, engine: str, queues: Sequence[str], device: str, places: int) -> Worker:
        """Return a new worker of this process."""
        now = datetime.now(UTC)
        return cls(
            id=new_id(),
            host=this_host(),
            process=os.getpid(),
            engine=engine,
            queues=tuple(queues),
            device=device,
            places=places,
            version=version("facecraft"),
            started_at=now,
            seen_at=now,
        )

    @property
    def gone(self) -> bool:
        """Whether it was a process of this machine that has ended. False for workers elsewhere: nobody here can know."""
        return self.host == this_host() and _has_ended(self.process, self.started_at)


class Workers:
    """The rows of workers in a database."""

    def __init__(self, database: Database, *, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def seen(self, worker: Worker) -> Worker:
        """Write down that ``worker`` is there now; return it so. Raises StorageError."""
        current = replace(worker, seen_at=self._clock())
        values = {
            "host": current.host,
            "process": current.process,
            "engine": current.engine,
            "queues": list(current.queues),
            "device": current.device[:40],
            "version": current.version[:40],
            "places": current.places,
            "busy": current.busy,
            "started_at": current.started_at,
            "seen_at": current.seen_at,
        }
        with self._database.write() as connection:
            # Its row may have been swept while the database was away for long.
            changed = connection.execute(WORKERS.update().where(WORKERS.c.id == current.id).values(**values))
            if changed.rowcount == 0:
                connection.execute(WORKERS.insert().values(id=current.id, **values))
        return current

    def say(self, worker_id: str, *, deaf: bool) -> None:
        """Write down that a worker does not hear of the jobs that wait for it, or does again. Raises StorageError."""
        since = sa.func.coalesce(WORKERS.c.deaf_since, self._clock()) if deaf else None
        with self._database.write() as connection:
            connection.execute(WORKERS.update().where(WORKERS.c.id == worker_id).values(deaf_since=since))

    def forget(self, *worker_ids: str) -> None:
        """Forget workers that have ended. Raises StorageError."""
        with self._database.write() as connection:
            connection.execute(WORKERS.delete().where(WORKERS.c.id.in_(worker_ids)))

    def alive(self) -> tuple[Worker, ...]:
        """Return the workers that were heard of lately, the oldest first. Raises StorageError."""
        return self._found(WORKERS.c.seen_at > self._clock() - SILENT_AFTER)

    def here(self, engine: str) -> tuple[Worker, ...]:
        """Return the workers of this machine that were heard of lately and run. Raises StorageError."""
        return tuple(
            each for each in self.alive() if each.host == this_host() and each.engine == engine and not each.gone
        )

    def gone(self) -> tuple[Worker, ...]:
        """Return the workers whose processes have ended, as far as this machine can know. Raises StorageError."""
        return tuple(worker for worker in self._found(WORKERS.c.host == this_host()) if worker.gone)

    def sweep(self) -> int:
        """Forget workers that were not heard of for long; return how many. Raises StorageError."""
        old = WORKERS.c.seen_at < self._clock() - FORGOTTEN_AFTER
        with self._database.write() as connection:
            return connection.execute(WORKERS.delete().where(old)).rowcount

    def _found(self, where: sa.ColumnElement[bool]) -> tuple[Worker, ...]:
        query = sa.select(WORKERS).where(where).order_by(WORKERS.c.started_at, WORKERS.c.id)
        with self._database.read() as connection:
            return tuple(_worker_of(row) for row in connection.execute(query))


def _worker_of(row: Row[Any]) -> Worker:
    return Worker(
        id=row.id,
        host=row.host,
        process=row.process,
        engine=row.engine,
        queues=tuple(row.queues),
        device=row.device,
        places=row.places,
        version=row.version,
        started_at=row.started_at,
        seen_at=row.seen_at,
        busy=row.busy,
        deaf_since=row.deaf_since,
    )


def this_host() -> str:
    """Return the name of this machine and what tells it from others of that name.

    Process numbers mean something only between processes that share them: on Linux that is one boot and one PID
    namespace, so containers that share a name are told apart.
    """
    name = socket.gethostname()
    if sys.platform != "linux":
        return name
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        space = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return name
    return f"{name}/{hashlib.sha256(f'{boot} {space}'.encode()).hexdigest()[:8]}"


def _has_ended(process: int, started_at: datetime) -> bool:
    """Whether no process has that number, or one that began after ``started_at``: numbers are used again."""
    if os.name != "posix":
        return False  # elsewhere the question itself could end the process
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    born = _born(process)
    return born is not None and born > started_at + _START_SLACK


def _born(process: int) -> datetime | None:
    """Return when a process began; None where that cannot be known. proc(5): field 22 of stat, in clock ticks."""
    with suppress(OSError, ValueError, IndexError):
        fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        if fields[0] == "Z":  # ended, and its parent has not noticed
            return datetime.max.replace(tzinfo=UTC)
        ticks = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        uptime = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
        return datetime.now(UTC) - timedelta(seconds=uptime - ticks)
    return None
