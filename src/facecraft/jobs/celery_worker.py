"""`CeleryWorker`: a process that takes jobs when a broker says that there are some."""

from __future__ import annotations

import logging
import os
import threading
import time
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

from facecraft.errors import StorageError
from facecraft.jobs.celery import RUN_JOB, Dispatcher, new_app
from facecraft.jobs.engine import CANCEL_SECONDS, GRACE_SECONDS
from facecraft.jobs.hearing import DEAF_AFTER, Hearing
from facecraft.jobs.housekeeping import Housekeeping, chores_of
from facecraft.jobs.job import Lease
from facecraft.jobs.opening import Jobs
from facecraft.jobs.performing import Performer
from facecraft.jobs.pulse import Pulse
from facecraft.jobs.runner import JobRunner
from facecraft.jobs.workers import Worker

if TYPE_CHECKING:
    from celery.apps.worker import Worker as CeleryProgram

log = logging.getLogger("facecraft.jobs")

DEAF_EXIT_CODE = 1
"""With which a worker ends that would have had to work and did not hear of it."""
_END_SECONDS = 10.0
"""For so long the process may take to end after its jobs had to."""
_TRIES = 30
_TRY_SECONDS = 1.0
_LOOK_SECONDS = 0.2


class CeleryWorker:
    """Runs jobs in threads of this process, which all share one studio and its loaded networks."""

    def __init__(
        self,
        jobs: Jobs,
        performer: Performer,
        url: str,
        *,
        queues: Sequence[str],
        places: int,
        device: str,
        patience: float = DEAF_AFTER,
    ) -> None:
        """Work off ``queues`` of the broker ``url``, ``places`` jobs at once.

        A worker that takes nothing for ``patience`` seconds although messages wait and it has a free place connects anew,
        and ends when that does not help. Raises RuntimeMissingError.
        """
        self._leases = jobs.leases
        self._workers = jobs.workers
        self._queues = tuple(queues)
        self._places = places
        self._app = new_app(url, jobs.config)
        self._app.task(name=RUN_JOB)(self._run)
        self._pulse = Pulse(jobs.leases, jobs.workers, Worker.here("celery", queues, device, places))
        self._runner = JobRunner(jobs.leases, jobs.blobs, performer, self._pulse, jobs.config.job_timeout_seconds)
        self._hearing = Hearing(queues, places, self, patience=patience)
        self._dispatcher = Dispatcher(jobs, self._app, waiting=self._hearing.listen)
        self._housekeeping = Housekeeping(chores_of(jobs))
        self._grace = GRACE_SECONDS
        self._program: CeleryProgram | None = None

    def run(self, *, grace: float = GRACE_SECONDS) -> int:
        """Work until the process is told to stop (SIGTERM); return its exit code. Call it in the main thread.

        Then nothing more is taken up, running jobs get ``grace`` seconds to end, and are given back to the queue
        otherwise. With a job that is stuck the process ends at once then, with code 1. Raises StorageError at the start.
        """
        from celery import signals  # noqa: PLC0415 - new_app has said whether it is there
        from celery.exceptions import SecurityWarning  # noqa: PLC0415

        from facecraft.jobs.outages import freeing_places  # noqa: PLC0415 - loads Celery

        def keep_our_log(**_: object) -> None:
            """Be somebody who sets up the log: Celery leaves it alone then."""

        signals.setup_logging.connect(keep_our_log, weak=False)
        signals.worker_shutting_down.connect(self._leave_soon, weak=False)
        self._grace = grace
        self._app.steps["consumer"].add(freeing_places(self._dispatcher.doubt))
        # Celery's text is about messages that bring objects along; ours are JSON with one id.
        warnings.filterwarnings("ignore", category=SecurityWarning)
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            log.warning("this worker runs as root, which it does not need; another user is safer")
        self._program = self._app.Worker(
            pool="threads",
            concurrency=self._places,
            queues=list(self._queues),
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
            quiet=True,
        )
        self._pulse.start()
        self._housekeeping.start()
        self._dispatcher.start()
        try:
            self._program.start()
        finally:
            self._pulse.leave()
            self._dispatcher.close()
            self._housekeeping.close()
            self._pulse.close()
        return self._program.exitcode or 0

    def say(self, *, deaf: bool) -> None:
        """Write down whether this worker hears of jobs. Raises StorageError."""
        self._workers.say(self._pulse.worker_id, deaf=deaf)

    def reconnect(self) -> None:
        """Let Celery connect to the broker anew, as after an outage; running jobs go on."""
        if self._program is not None and self._program.consumer is not None:
            self._program.consumer.call_soon(_lose_connection)

    def give_up(self) -> None:
        """End the process as SIGTERM does, with a code that tells of a failure; also where Celery is stuck."""
        from celery.worker import state  # noqa: PLC0415 - as above

        self._leave_soon()
        state.should_stop = DEAF_EXIT_CODE
        last = threading.Timer(self._grace + _END_SECONDS, os._exit, (DEAF_EXIT_CODE,))
        last.daemon = True
        last.start()

    def _leave_soon(self, **_: object) -> None:
        self._pulse.say_leaving(self._grace)
        timer = threading.Timer(self._grace, self._leave)
        timer.daemon = True
        timer.start()

    def _leave(self) -> None:
        """Stop the jobs, and end the process where one is stuck: Celery would wait for it for ever."""
        self._pulse.leave()
        pause = threading.Event()
        until = time.monotonic() + CANCEL_SECONDS
        while self._pulse.busy and time.monotonic() < until:
            pause.wait(_LOOK_SECONDS)
        if self._pulse.busy:
            log.error("the process ends without %s of its jobs, which cannot be stopped", self._pulse.busy)
            logging.shutdown()
            os._exit(1)  # its row stays, by which others see that it has ended, and take back what it still held

    def _run(self, job_id: str) -> None:
        """Do the job that has waited longest in the queue of a message, if any does.

        That is not always the one that was named: a message may be lost or come twice, and the job whose message was
        lost must not wait until all the others are done.
        """
        from celery import current_task  # noqa: PLC0415 - as above

        queue = current_task.request.delivery_info["routing_key"]
        with self._hearing.message():
            self._work(queue, job_id)

    def _work(self, queue: str, job_id: str) -> None:
        lease = self._claim([queue] if queue in self._queues else self._queues)
        if lease is None:
            log.debug("nothing waits any more where %s did", job_id)
        else:
            self._runner.run(lease)

    def _claim(self, queues: Sequence[str]) -> Lease | None:
        pause = threading.Event()
        for _ in range(_TRIES):
            try:
                return self._leases.claim(queues, self._pulse.worker_id)
            except StorageError as error:
                log.warning("a job could not be taken: %s", error.message, extra={"detail": error.detail})
                pause.wait(_TRY_SECONDS)
        return None  # it stays in the database, and the broker is told again


def _lose_connection() -> None:
    raise ConnectionResetError("The worker did not hear of jobs that wait.")
