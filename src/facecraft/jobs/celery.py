"""Celery over Redis: messages that say that a job waits. They carry its id and nothing else, and may get lost.

Whoever gets a message takes the job of its queue that has waited longest, so that a lost message makes no job wait
longer than those that came after it. When the broker has no messages left and jobs still wait, the :class:`Dispatcher`
of any server or worker sends theirs again: the rows in the database say which jobs wait. A message that comes twice
does no harm: a job is taken by one worker only.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from facecraft.errors import FacecraftError, RuntimeMissingError, StorageError
from facecraft.jobs.config import JobConfig
from facecraft.jobs.housekeeping import Chore, Housekeeping, chores_of
from facecraft.jobs.job import Job
from facecraft.jobs.loops import Loop, dead
from facecraft.jobs.opening import Jobs
from facecraft.jobs.tasks import FALLBACK
from facecraft.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from celery import Celery
    from kombu.connection import Connection

log = logging.getLogger("facecraft.jobs")

RUN_JOB = "facecraft.run_job"
"""The name of the one task; its one argument is the id of the job for which the message was sent."""
CONNECT_SECONDS = 2.0
READ_SECONDS = 10.0
POLL_SECONDS = 1.0
"""How often jobs are looked for that became due, or that another process took in."""
LOST_AFTER = timedelta(seconds=5)
"""A job that waits although its queue in the broker is empty was forgotten there, so long after the broker was told."""
_TROUBLE_SECONDS = 2.0
_NEVER = timedelta(days=36_500)
_BATCH = 200


def new_app(url: str, config: JobConfig) -> Celery:
    """Return a Celery application for the broker ``url``; nothing is connected yet. Raises RuntimeMissingError."""
    try:
        from celery import Celery  # noqa: PLC0415 - only who has a broker needs it

        from facecraft.jobs.outages import PatientAMQP  # noqa: PLC0415 - as above
    except ModuleNotFoundError as error:
        raise RuntimeMissingError(
            "Celery is not installed.", hint="pip install 'facecraft[scale]'", detail=str(error)
        ) from error
    app = Celery("facecraft", set_as_current=False, fixups=[], amqp=PatientAMQP)
    app.conf.update(
        # Both by name: Celery would prefer what CELERY_BROKER_URL says to what our settings say.
        broker_read_url=url,
        broker_write_url=url,
        broker_connection_timeout=CONNECT_SECONDS,
        broker_connection_retry=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # a worker waits for its broker as long as it takes
        broker_transport_options={
            # Redis gives a message to another worker after this; it must not happen while the first still works.
            "visibility_timeout": int(config.job_timeout_seconds + 600),
            "socket_connect_timeout": CONNECT_SECONDS,
            "socket_timeout": READ_SECONDS,
            "socket_keepalive": True,
            "health_check_interval": 10,
        },
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_default_queue=FALLBACK,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_publish_retry=False,
        worker_prefetch_multiplier=1,
        worker_cancel_long_running_tasks_on_connection_loss=False,  # the lease decides, not the broker
        worker_enable_prefetch_count_reduction=False,  # a connection that comes again has all places at once
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
    )
    return app


class Dispatcher:
    """Tells the broker which jobs wait, from a thread of its own. Any number of processes may do that at once."""

    def __init__(
        self, jobs: Jobs, app: Celery, *, waiting: Callable[[Collection[str]], object] = lambda _: None
    ) -> None:
        """``waiting`` is called once in a round with the queues in which messages wait for so long that it is strange.

        While the broker is away there are none.
        """
        self._jobs = jobs
        self._app = app
        self._waiting = waiting
        self._doubtful = False
        self._news = threading.Event()
        self._closing = threading.Event()
        self._in_trouble = False
        self.loop = Loop("dispatcher", self._work)

    def start(self) -> None:
        """Begin."""
        self.loop.start()

    def wake(self) -> None:
        """Look for waiting jobs now."""
        self._news.set()

    def doubt(self) -> None:
        """Look now for jobs that the broker has forgotten: it was away, and may have lost its memory."""
        self._doubtful = True
        self._news.set()

    def close(self) -> None:
        """Stop, after what is being sent."""
        self._closing.set()
        self._news.set()
        self.loop.join(READ_SECONDS + 2 * CONNECT_SECONDS)

    def _work(self) -> None:
        while not self._closing.is_set():
            self._news.clear()
            well = False
            with self.loop.round():
                well = self._tell()
            if well:
                self._news.wait(POLL_SECONDS)
            else:
                self._closing.wait(_TROUBLE_SECONDS)

    def _tell(self) -> bool:
        """Tell the broker of what waits, and return whether it heard."""
        try:
            while self._send(self._jobs.hints.unsent(_NEVER, limit=_BATCH)) == _BATCH:
                pass
            self._waiting(self._send_lost())
        except FacecraftError as error:
            with suppress(FacecraftError):
                self._waiting(())
            if not self._in_trouble:
                self._in_trouble = True
                log.warning("jobs wait in the database: %s", error.message, extra={"detail": error.detail})
            return False
        self._in_trouble = False
        return True

    def _send(self, jobs: Sequence[tuple[str, str]]) -> int:
        """Send a message for each of ``jobs``; return how many. Those that could not be sent count as not told."""
        left = list(jobs)
        if not left:
            return 0
        try:
            with self._connection() as connection:
                while left:
                    job_id, queue = left[0]
                    self._app.send_task(RUN_JOB, args=[job_id], queue=queue, connection=connection, retry=False)
                    left.pop(0)
        finally:
            if left:
                self._jobs.hints.untold([job_id for job_id, _ in left])
        return len(jobs)

    def _send_lost(self) -> tuple[str, ...]:
        """Send again what the broker has forgotten; return the queues in which what it was told of still waits.

        Only for queues that are empty there: jobs that wait for long behind others are not told of twice.
        """
        doubtful, self._doubtful = self._doubtful, False
        after = timedelta(0) if doubtful else LOST_AFTER
        try:
            due = self._jobs.hints.unheard(after)
            if not due:
                return ()
            with self._connection() as connection:
                empty = [queue for queue in due if _depth(connection, queue) == 0]
            if empty:
                lost = self._jobs.hints.unsent(after, queues=empty, limit=_BATCH)
                if lost:
                    log.info("the broker is told again of %s", counted(self._send(lost), "job"))
        except FacecraftError:
            self._doubtful |= doubtful
            raise
        return tuple(queue for queue in due if queue not in empty)

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        from kombu.exceptions import KombuError  # noqa: PLC0415 - as Celery

        # A new one each time: whatever became of the broker meanwhile, it is the present one.
        connection = self._app.connection_for_write()
        try:
            yield connection
        except (KombuError, OSError, *connection.connection_errors, *connection.channel_errors) as error:
            raise StorageError("The broker could not be reached.", detail=type(error).__name__) from error
        finally:
            connection.release()


def _depth(connection: Connection, queue: str) -> int:
    """Return how many messages wait in a queue; 0 for one that does not exist."""
    try:
        declared = connection.default_channel.queue_declare(queue=queue, passive=True)  # type: ignore[no-untyped-call]
        return int(declared.message_count)
    except connection.channel_errors:
        return 0


class CeleryEngine:
    """Leaves jobs to ``facecraft worker`` processes; here they are only announced, and old ones tidied away."""

    name = "celery"

    def __init__(self, jobs: Jobs, url: str, *, chores: Sequence[Chore] = ()) -> None:
        """``chores`` are done now and then besides those of jobs. Raises RuntimeMissingError."""
        self._dispatcher = Dispatcher(jobs, new_app(url, jobs.config))
        self._housekeeping = Housekeeping((*chores_of(jobs), *chores))

    def start(self) -> None:
        """Begin; the broker may be away."""
        self._dispatcher.start()
        self._housekeeping.start()

    def wake(self, job: Job) -> None:  # noqa: ARG002 - whoever sends looks into the database
        """Let the broker be told now."""
        self._dispatcher.wake()

    def stop(self, job_id: str) -> None:
        """Do nothing: whoever runs the job sees the wish in the database within a second."""

    def dead(self) -> tuple[str, ...]:
        """Return the names of threads that have stopped and should not have."""
        return dead((self._dispatcher.loop, *self._housekeeping.loops))

    def close(self) -> None:
        """Stop; jobs go on elsewhere."""
        self._housekeeping.close()
        self._dispatcher.close()
