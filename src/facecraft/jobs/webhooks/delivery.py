"""`Deliverer`: tells webhooks what they want to know, by the schedule, until they have heard it."""

from __future__ import annotations

import asyncio
import logging
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import partial
from importlib.metadata import version

import anyio
import anyio.to_thread
from sqlalchemy.engine import Connection

from facecraft.db.clock import DatabaseClock
from facecraft.db.database import Database
from facecraft.errors import FacecraftError, SecretUnreadableError
from facecraft.jobs.loops import Loop
from facecraft.jobs.webhooks import rows
from facecraft.jobs.webhooks.addresses import Resolver, resolve
from facecraft.jobs.webhooks.records import TEST, message_id
from facecraft.jobs.webhooks.rows import Claimed
from facecraft.jobs.webhooks.schedule import Schedule, parse_retry_after
from facecraft.jobs.webhooks.sealing import Seal
from facecraft.jobs.webhooks.sending import SECONDS, Answer, Sender
from facecraft.jobs.webhooks.signing import signed

log = logging.getLogger("facecraft.webhooks")

PLACES = 32
"""How many deliveries one process sends at once."""
PLACES_EACH = 4
"""How many of them may go to one webhook: a slow one does not hold up the others."""
LEASE_SECONDS = 60.0
"""A process that was not heard of for so long after it took a delivery is taken for dead."""
GRACE_SECONDS = 5.0
"""How long a stopping process waits for answers."""
_TROUBLE_SECONDS = 5.0
"""When to look again after the database failed."""
UNSIGNED = "The secret of this webhook cannot be read, so that nothing was sent. Rotate it, or ask the operator."
"""What the owner of a webhook reads when its secret was encrypted under another secret of the server."""
UNEXPECTED = "Something unexpected went wrong while it was sent. The operator finds it in the log."
"""What the owner of a webhook reads of an error that nobody foresaw."""
TAKEN_TOO_OFTEN = "What came of the attempts before could not be noted. It was not sent again."
"""What the owner of a webhook reads when a delivery was taken up more often than the schedule has attempts."""
_GONE = 410


class Deliverer:
    """Sends due deliveries from a thread of its own until it is closed. Several processes share one database.

    The rules: an answer 2xx is a delivery. 410 disables the webhook. Anything else is tried again by the schedule;
    when the last attempt fails, too, and nothing arrived at the webhook since that delivery was made, the webhook is
    disabled. A test is tried once and disables nothing but by 410.
    """

    def __init__(
        self,
        database: Database,
        seal: Seal,
        *,
        private: bool = False,
        schedule: Schedule | None = None,
        clock: Callable[[], datetime] | None = None,
        ask: Resolver = resolve,
        seconds: float = SECONDS,
        poll_seconds: float = 1.0,
        certificates: ssl.SSLContext | None = None,
    ) -> None:
        """Work on a migrated ``database``; nothing happens before :meth:`start`.

        ``clock`` is the time of all machines that share the database; unset: the database is asked for it.
        """
        self._database = database
        self._seal = seal
        self._schedule = schedule or Schedule()
        self._clock = clock or DatabaseClock(database)
        self._poll_seconds = poll_seconds
        self._sender = partial(Sender, private=private, ask=ask, seconds=seconds, certificates=certificates)
        self._lease_seconds = max(LEASE_SECONDS, 4 * seconds)
        self._agent = f"facecraft/{version('facecraft')}"
        self._running: Counter[str] = Counter()
        self._stop = threading.Event()
        self._awake: Callable[[], object] = self._stop.is_set  # nobody sleeps yet
        self.loop = Loop("webhooks", self._work)

    def start(self) -> None:
        """Begin to send."""
        self.loop.start()

    def close(self) -> None:
        """Stop taking deliveries up and wait some seconds for those under way; what is left is sent again later."""
        self._stop.set()
        self._awake()
        self.loop.join(2 * GRACE_SECONDS)

    def _work(self) -> None:
        while not self._stop.is_set():
            with self.loop.round():
                anyio.run(self._serve)
            self._running.clear()
            self._stop.wait(self._poll_seconds)

    async def _serve(self) -> None:
        bell = asyncio.Event()
        ring = partial(asyncio.get_running_loop().call_soon_threadsafe, bell.set)
        self._awake = ring
        try:
            await self._send_until(bell)
        finally:
            self._awake = self._stop.is_set

    async def _send_until(self, bell: asyncio.Event) -> None:
        async with self._sender() as sender, anyio.create_task_group() as group:
            while not self._stop.is_set():
                taken: list[Claimed] = []
                with self.loop.round():
                    taken = await self._take()
                for claimed in taken:
                    self._running[claimed.webhook_id] += 1
                    group.start_soon(self._deliver, sender, claimed)
                if not taken:
                    with anyio.move_on_after(self._poll_seconds):
                        await bell.wait()
            with anyio.move_on_after(GRACE_SECONDS):
                while self._running:
                    await anyio.sleep(0.02)
            group.cancel_scope.cancel()

    async def _take(self) -> list[Claimed]:
        free = PLACES - self._running.total()
        if free <= 0:
            return []
        busy = tuple(self._running)
        try:
            return await anyio.to_thread.run_sync(self._claim, free, busy)
        except FacecraftError as error:
            log.warning("webhooks could not be told: %s", error.message, extra={"detail": error.detail})
            await anyio.sleep(_TROUBLE_SECONDS)
            return []

    def _claim(self, free: int, busy: tuple[str, ...]) -> list[Claimed]:
        now = self._clock()
        with self._database.read() as connection:
            if not rows.any_due(connection, now):
                return []
        until = rows.later(now, self._lease_seconds)
        with self._database.write() as connection:
            return rows.claim(connection, now, until, limit=free, each=PLACES_EACH, busy=busy)

    async def _deliver(self, sender: Sender, claimed: Claimed) -> None:
        try:
            with self.loop.round():
                await self._send(sender, claimed)
        finally:
            self._running -= Counter([claimed.webhook_id])

    async def _send(self, sender: Sender, claimed: Claimed) -> None:
        answer = Answer(error=UNEXPECTED)
        try:
            answer = await self._attempt(sender, claimed)
        finally:
            # What nobody foresaw is a missed attempt, too, and follows the schedule: a lease that runs out would make it
            # another one each minute. The error goes on to the log. Who is cancelled gets no thread, and notes nothing.
            await self._note(claimed, answer)

    async def _attempt(self, sender: Sender, claimed: Claimed) -> Answer:
        if claimed.attempt > len(self._schedule.steps):
            return Answer(error=TAKEN_TOO_OFTEN)
        body = claimed.payload.encode()
        try:
            secrets = await anyio.to_thread.run_sync(self._secrets, claimed)
        except FacecraftError as error:
            # What cannot be signed is not sent. It waits for its next attempt, like anything that did not arrive.
            log.warning(
                "webhook %s cannot be told: %s %s", claimed.webhook_id, error.message, error.hint or "",
                extra={"detail": error.detail},
            )  # fmt: skip
            return Answer(error=UNSIGNED)
        proof = signed(message_id(claimed.id), self._clock(), body, secrets)
        headers = {**proof, "Content-Type": "application/json", "User-Agent": self._agent}
        return await sender.send(claimed.url, headers, body)

    async def _note(self, claimed: Claimed, answer: Answer) -> None:
        try:
            await anyio.to_thread.run_sync(self._settle, claimed, answer)
        except FacecraftError as error:
            # The lease runs out, and it is sent again: the receiver knows it by its id.
            log.warning("a delivery could not be noted: %s", error.message, extra={"detail": error.detail})

    def _secrets(self, claimed: Claimed) -> list[str]:
        """Return what to sign with. Raises SecretUnreadableError, and whatever keeps the server from its own secret."""
        first, *before = claimed.secrets
        secrets = [self._seal.open(claimed.webhook_id, first)]
        with suppress(SecretUnreadableError):  # rotated because it could not be read
            secrets += [self._seal.open(claimed.webhook_id, kept) for kept in before]
        return secrets

    def _settle(self, claimed: Claimed, answer: Answer) -> None:
        now = self._clock()
        with self._database.write() as connection:
            if answer.status is not None and answer.delivered:
                rows.mark_delivered(connection, claimed, answer.status, now)
                return
            error = answer.error or f"The answer was {answer.status}."
            final = answer.status == _GONE or claimed.type == TEST
            wait = parse_retry_after(answer.retry_after, now)
            due = None if final else self._schedule.next(claimed.attempt, now, wait)
            if due is None:
                rows.hold(connection, claimed.webhook_id)
            if not rows.mark_missed(connection, claimed, answer.status, error, due):
                return
            if answer.status == _GONE:
                rows.disable(connection, claimed.webhook_id, "It answered 410 Gone.", now)
            elif due is None and claimed.type != TEST:
                self._give_up(connection, claimed, now)
        log.info("webhook %s missed %s (attempt %s): %s", claimed.webhook_id, claimed.id, claimed.attempt, error)

    def _give_up(self, connection: Connection, claimed: Claimed, now: datetime) -> None:
        if not rows.heard_since(connection, claimed.webhook_id, claimed.created_at):
            why = f"Nothing arrived since {claimed.created_at:%Y-%m-%d %H:%M} UTC, in {claimed.attempt} attempts."
            rows.disable(connection, claimed.webhook_id, why, now)
