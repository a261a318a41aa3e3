"""``facecraft worker``: a process beside the servers that runs jobs from their broker with a studio of its own."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from facecraft.accounts.overseers import Overseers
from facecraft.errors import ConfigurationError
from facecraft.imaging.threads import share_cores
from facecraft.jobs.broker import no_broker
from facecraft.jobs.celery_worker import CeleryWorker
from facecraft.jobs.tasks import QUEUES
from facecraft.memory import keep_freed_memory
from facecraft.settings import Settings
from facecraft.studio import Studio
from facecraft.studio.accounts import accounts_for
from facecraft.studio.performing import StudioPerformer

log = logging.getLogger("facecraft.worker")


def work(settings: Settings, *, queues: Sequence[str], places: int = 1, threads: int | None = None) -> int:
    """Run jobs of ``queues``, ``places`` at once, until the process is told to stop; return its exit code.

    ``threads`` is how many of them one network or one step on pixels uses on the CPU (None: one for each core).

    Raises ConfigurationError without a broker and for an unknown queue, StorageError, RuntimeMissingError,
    ProviderUnavailableError.
    """
    url = settings.celery_broker_url
    if url is None:
        raise no_broker()
    unknown = sorted(set(queues) - set(QUEUES))
    if unknown or not queues:
        raise ConfigurationError(f"Unknown queues: {', '.join(unknown)}.", hint=f"Known: {', '.join(QUEUES)}.")
    _adopt_log(settings)
    for line in Settings.misspelled():
        log.warning("%s", line)
    if threads is not None:
        share_cores(threads, 1)
    keep_freed_memory()
    with Studio.open(settings, threads=threads) as studio, _metrics(settings, studio):
        worker = CeleryWorker(
            studio.jobs,
            StudioPerformer(studio),
            url.get_secret_value(),
            queues=queues,
            places=places,
            device=str(studio.device.device),
        )
        return worker.run()


@contextmanager
def _metrics(settings: Settings, studio: Studio) -> Iterator[None]:
    """Serve the numbers of this process where the operator wants them."""
    if settings.worker_metrics_port == 0:
        yield
        return
    # Only who is asked for numbers needs the package for them.
    from facecraft.telemetry.metrics import Metrics  # noqa: PLC0415
    from facecraft.telemetry.serving import serve_metrics  # noqa: PLC0415
    from facecraft.telemetry.sources import studio_source  # noqa: PLC0415

    metrics = Metrics()
    metrics.add(studio_source(studio.tally, studio.pool.states, gpu=studio.device.device.kind == "cuda"))
    accounts = accounts_for(settings, studio)
    readers = Overseers(None if settings.api_key is None else settings.api_key.get_secret_value(), accounts)
    allows = readers if readers.needed(settings.auth) else None
    try:
        with serve_metrics(metrics, settings.worker_metrics_host, settings.worker_metrics_port, allows=allows):
            yield
    finally:
        accounts.close()


def _adopt_log(settings: Settings) -> None:
    """Let Celery's lines look like ours."""
    for name in ("celery", "kombu"):
        library = logging.getLogger(name)
        library.handlers[:] = logging.getLogger("facecraft").handlers
        library.propagate = False
        library.setLevel(max(logging.getLevelName(settings.log_level.value), logging.WARNING))
