"""`Engine`: whoever sees to it that jobs in the database are run. The database knows the jobs; an engine forgets."""

from __future__ import annotations

from typing import Protocol

from facecraft.jobs.job import Job

GRACE_SECONDS = 20.0
"""How long a stopping process lets its jobs go on before they are given back to the queue."""

CANCEL_SECONDS = 10.0
"""How long jobs may then take to notice that they are to stop."""


class Engine(Protocol):
    """Runs jobs, here or elsewhere. What it misses it finds in the database soon after."""

    @property
    def name(self) -> str:
        """The word for it in ``/status``."""
        ...

    def wake(self, job: Job) -> None:
        """Say that ``job`` waits. Returns at once, never raises: the row in the database is what counts."""
        ...

    def stop(self, job_id: str) -> None:
        """Say that somebody asked a running job to stop, after that was written down. Returns at once."""
        ...

    def dead(self) -> tuple[str, ...]:
        """Return the names of threads of it that have stopped and should not have, or are stuck in a job.

        Such a process is to be ended.
        """
        ...

    def close(self) -> None:
        """Take up nothing more; let running jobs end for a while, then give them back."""
        ...
