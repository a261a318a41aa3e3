"""Which engine runs the jobs of a server."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from facecraft.api.dependencies import Statistics
from facecraft.api.watching.endings import Endings
from facecraft.errors import FacecraftError
from facecraft.jobs.capacity import Capacity
from facecraft.jobs.current import current_job
from facecraft.jobs.embedded import EmbeddedEngine
from facecraft.jobs.engine import Engine
from facecraft.jobs.housekeeping import Chore
from facecraft.jobs.performing import Performer, Product
from facecraft.jobs.tasks import FacesTask, PipelineTask
from facecraft.pipelines.stage import Watch
from facecraft.studio import Studio
from facecraft.studio.performing import StudioPerformer


@dataclass(frozen=True, slots=True)
class Attended:
    """Does tasks as ``performer`` does, beside requests: a :class:`facecraft.jobs.performing.Performer`.

    Pictures are counted as those of requests are, and what is made is handed to a request that waits for it.
    """

    performer: Performer
    statistics: Statistics
    endings: Endings

    def __call__(
        self, task: PipelineTask | FacesTask, pictures: Mapping[str, bytes], *, name: str | None, watch: Watch
    ) -> tuple[Product, ...]:
        """Return what ``performer`` returns. Raises what it raises."""
        start = time.perf_counter()
        try:
            made = self.performer(task, pictures, name=name, watch=watch)
        except FacecraftError:
            self.statistics.record(success=False)
            raise
        self.statistics.record(success=True, milliseconds=(time.perf_counter() - start) * 1000)
        job_id = current_job()
        if job_id is not None:
            self.endings.hand(job_id, made)
        return made


def start_engine(
    studio: Studio, capacity: Capacity, statistics: Statistics, endings: Endings, chores: Sequence[Chore] = ()
) -> Engine:
    """Start what runs the jobs of ``studio``: threads of this process, or workers elsewhere where a broker is set.

    What runs here is counted in ``statistics`` and handed to who waits in ``endings``. ``chores`` are done now and then
    besides those of jobs. Raises ConfigurationError, StorageError, RuntimeMissingError.
    """
    jobs, broker = studio.jobs, studio.settings.celery_broker_url
    if broker is not None:
        from facecraft.jobs.celery import CeleryEngine  # noqa: PLC0415 - only who has a broker needs its library

        distant = CeleryEngine(jobs, broker.get_secret_value(), chores=chores)
        distant.start()
        return distant
    device = str(studio.device.device)
    performer = Attended(StudioPerformer(studio), statistics, endings)
    own = EmbeddedEngine(jobs, performer, capacity=capacity, device=device, chores=chores)
    own.start()
    return own
