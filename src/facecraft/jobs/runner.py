"""`JobRunner`: runs one job that was taken, from its pictures to its end, the same in every engine."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy.engine import Connection

from facecraft.errors import (
    CancelledError,
    DeviceMemoryError,
    FacecraftError,
    LeaseLostError,
    ModelInstallingError,
    QuotaExceededError,
    StorageError,
    TaskUnknownError,
)
from facecraft.jobs import blob_rows
from facecraft.jobs.blob_rows import Blob
from facecraft.jobs.blobs import Blobs
from facecraft.jobs.current import working_on
from facecraft.jobs.job import Failure, Item, JobState, Lease
from facecraft.jobs.leases import End, Leases
from facecraft.jobs.pace import Pace, Tracker
from facecraft.jobs.performing import Performer, Product
from facecraft.jobs.pulse import Hold, Pulse, Stop
from facecraft.jobs.tasks import UnknownTask
from facecraft.pipelines.stage import Watch

log = logging.getLogger("facecraft.jobs")

AWAY = (StorageError, ModelInstallingError)
"""Something that the job needs is away or full: it waits until that is there again, for hours if it must be."""
SHORT = (DeviceMemoryError,)
"""What may be over in a moment, or is too much for the device for good: the job is tried again a few times."""
TRANSIENT = (*AWAY, *SHORT)
_WRITE_AGAIN_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class JobRunner:
    """Runs jobs, one at a time in each thread that calls it.

    Its items are done one after the other, so that a job of a thousand pictures needs no more memory than one. What is
    wrong with a picture fails its item at once; see :data:`TRANSIENT` for what is tried again.
    """

    leases: Leases
    blobs: Blobs
    performer: Performer
    pulse: Pulse
    timeout_seconds: float
    """Longest time of one attempt, where the job does not ask for less."""
    pace: Pace = field(default_factory=Pace)

    def run(self, lease: Lease) -> None:
        """Do the job of ``lease`` and write down how it ended. Raises nothing."""
        job = lease.job
        seconds = min(self.timeout_seconds, job.timeout_seconds or self.timeout_seconds)
        tracker = Tracker(job.task, job.total, self.pace, fraction=job.fraction)
        start = time.perf_counter()
        with working_on(job.id), self.pulse.hold(lease, tracker, seconds=seconds) as hold:
            try:
                outcome = self._run(lease, hold)
            except LeaseLostError:
                outcome = "lost: it was ended without this worker, or another has it"
            except StorageError as error:
                # Nothing can be written. The lease runs out, and whoever finds the job takes it up again.
                outcome = "left behind"
                log.warning("a job could not be ended: %s", error.message, extra=_about(lease, error))
            except Exception:
                # The last door of a worker thread: one job must never take the others with it.
                outcome = "left behind"
                log.exception("a job could not be run", extra=_about(lease))
            finally:
                with hold.writing:
                    hold.over = True
        log.info("job %s: %s (%.0f ms)", job.name, outcome, (time.perf_counter() - start) * 1000, extra=_about(lease))

    def _run(self, lease: Lease, hold: Hold) -> str:
        try:
            end = self._work(lease, hold)
        except CancelledError as error:
            return self._stopped(lease, hold, error)
        except LeaseLostError:
            raise
        except TRANSIENT as error:
            if self._may_wait(lease, error):
                why, counts = Failure.of(error), isinstance(error, SHORT)
                log.warning("a job waits: %s", error.message, extra=_about(lease, error))
                self._write(hold, lambda: self.leases.put_off(lease, why, counts=counts))
                return "waits"
            return self._ended(hold, End(JobState.FAILED, Failure.of(error)))
        except Exception:
            # A mistake of ours outside of any item.
            log.exception("a job failed", extra=_about(lease))
            return self._ended(hold, End(JobState.FAILED, Failure.of(FacecraftError())))
        return end.state.value

    def _ended(self, hold: Hold, end: End) -> str:
        """Write down that the job ends before the last of its items is done."""
        self._write(hold, lambda: self.leases.finish(hold.lease, end.state, end.failure))
        return end.state.value

    def _may_wait(self, lease: Lease, error: FacecraftError) -> bool:
        """Whether the job waits because of ``error`` instead of failing."""
        if isinstance(error, SHORT):
            return self.leases.may_try_again(lease)
        try:
            return self.leases.may_wait(lease)
        except StorageError:  # the database itself is away
            return True

    def _stopped(self, lease: Lease, hold: Hold, error: CancelledError) -> str:
        match hold.why:
            case Stop.LOST:
                raise LeaseLostError from error
            case Stop.LEAVING:
                self._write(hold, lambda: self.leases.give_back(lease))
                return "given back"
            case Stop.OVERDUE:
                self._ended(hold, End(JobState.FAILED, Failure.of(hold.late)))
                return "took too long"
            case _:
                return self._ended(hold, End(JobState.CANCELLED, Failure.of(CancelledError())))

    def _work(self, lease: Lease, hold: Hold) -> End:
        """Do every item that is left, and write down with the last one how the job ends, which is returned."""
        items = self.leases.items(lease)
        outcomes = {item.position: item.failure for item in items if item.state is not JobState.QUEUED}
        left = [item for item in items if item.position not in outcomes]
        for item in left:
            hold.check()
            self._item(hold, item, outcomes)
        end = _end_of(outcomes)
        if not left:  # an earlier version died between its last item and its end
            self._ended(hold, end)
        return end

    def _item(self, hold: Hold, item: Item, outcomes: dict[int, Failure | None]) -> None:
        """Do one item and write it down, here and in ``outcomes``: why it failed, or None.

        Raises what ends or postpones the whole job.
        """
        hold.tracker.begin(len(outcomes))
        saved, failure = self._attempt(hold, item)
        try:
            self._finish_item(hold, item, outcomes | {item.position: failure}, saved)
        except LeaseLostError:
            # Only here it is certain that no row says where these bytes are.
            self.blobs.discard(saved)
            raise
        except QuotaExceededError as error:
            self.blobs.discard(saved)
            failure = Failure.of(error)
            self._finish_item(hold, item, outcomes | {item.position: failure}, ())
        outcomes[item.position] = failure

    def _attempt(self, hold: Hold, item: Item) -> tuple[tuple[Blob, ...], Failure | None]:
        """Do one item and return what was stored of it, or why it failed. Raises what ends or postpones the whole job."""
        lease = hold.lease
        job = lease.job
        try:
            products = self._products(hold, item)
            hold.check()  # nothing is kept of what nobody wants
            return self.blobs.save(job.owner, job.id, products, position=item.position, total=job.total), None
        except (CancelledError, LeaseLostError):
            raise
        except TRANSIENT as error:
            if self._may_wait(lease, error):
                raise
            return (), Failure.of(error)
        except FacecraftError as error:
            log.info("item %s: %s", item.position, error.message, extra=_about(lease, error))
            return (), Failure.of(error)
        except Exception:
            # Whatever a picture can break: this item fails, and the next gets its chance.
            log.exception("item %s broke", item.position, extra=_about(lease))
            return (), Failure.of(FacecraftError())

    def _products(self, hold: Hold, item: Item) -> tuple[Product, ...]:
        job = hold.lease.job
        if isinstance(job.task, UnknownTask):
            raise TaskUnknownError
        pictures = {role: self._read(job.owner, given.blob_id) for role, given in item.inputs.items()}
        return self.performer(job.task, pictures, name=item.name, watch=Watch(hold.tracker, hold))

    def _read(self, owner: str | None, blob_id: str) -> bytes:
        return self.blobs.read(self.blobs.get(owner, blob_id))

    def _finish_item(
        self, hold: Hold, item: Item, outcomes: Mapping[int, Failure | None], saved: Sequence[Blob]
    ) -> None:
        """Write down how ``item`` has ended, with what was ``saved`` of it; with the last one how the job ends."""
        lease, failure, fraction = hold.lease, outcomes[item.position], hold.tracker.end(len(outcomes))
        end = _end_of(outcomes) if len(outcomes) == lease.job.total else None

        def also(connection: Connection) -> None:
            if not saved:
                return  # a failure is written down however much is kept
            blob_rows.place_within(connection, saved, owner=lease.job.owner, quota_bytes=self.blobs.quota_bytes)

        def write() -> None:
            self.leases.finish_item(lease, item, failure, fraction=fraction, also=also, end=end)

        def written() -> bool:
            now = {each.position: each.state for each in self.leases.items(lease)}
            return now.get(item.position) is not JobState.QUEUED

        self._write(hold, write, written)

    def _write(self, hold: Hold, write: Callable[[], object], written: Callable[[], bool] = lambda: False) -> None:
        """Write to the database; while it is away, again for as long as a lease lasts.

        No longer than that even when the lease itself can be renewed: then the database refuses this very write, and
        goes on to. A connection that breaks during a commit leaves open whether that was done: ``written`` finds out.
        The end of a job needs no such question, because the lease ends with it. Raises StorageError.
        """
        tries, until = 0, time.monotonic() + self.leases.seconds
        while True:
            try:
                with hold.writing:
                    if tries and written():
                        return
                    write()
                    return
            except StorageError:
                hold.look()
                if hold.why is Stop.LOST or time.monotonic() > until:
                    raise
            tries += 1
            time.sleep(_WRITE_AGAIN_SECONDS)


def _end_of(outcomes: Mapping[int, Failure | None]) -> End:
    """Return how a job ends whose items ended so: it fails when all of them did, for the reason of the first."""
    failures = [failure for _, failure in sorted(outcomes.items()) if failure is not None]
    return End(JobState.FAILED, failures[0]) if len(failures) == len(outcomes) else End(JobState.SUCCEEDED)


def _about(lease: Lease, error: FacecraftError | None = None) -> dict[str, object]:
    about: dict[str, object] = {"job_id": lease.job.id, "attempt": lease.job.attempt}
    return about if error is None else {**about, "code": error.code, "detail": error.detail}
