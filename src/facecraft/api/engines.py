"""Which engine runs the jobs of a server."""

from __future__ import annotations

from collections.abc import Sequence

from facecraft.jobs.capacity import Capacity
from facecraft.jobs.embedded import EmbeddedEngine
from facecraft.jobs.engine import Engine
from facecraft.jobs.housekeeping import Chore
from facecraft.studio import Studio
from facecraft.studio.performing import StudioPerformer


def start_engine(studio: Studio, capacity: Capacity, chores: Sequence[Chore] = ()) -> Engine:
    """Start what runs the jobs of ``studio``: threads of this process, or workers elsewhere where a broker is set.

    ``chores`` are done now and then besides those of jobs. Raises ConfigurationError, StorageError,
    RuntimeMissingError.
    """
    jobs, broker = studio.jobs, studio.settings.celery_broker_url
    if broker is not None:
        from facecraft.jobs.celery import CeleryEngine  # noqa: PLC0415 - only who has a broker needs its library

        distant = CeleryEngine(jobs, broker.get_secret_value(), chores=chores)
        distant.start()
        return distant
    device = str(studio.device.device)
    own = EmbeddedEngine(jobs, StudioPerformer(studio), capacity=capacity, device=device, chores=chores)
    own.start()
    return own
