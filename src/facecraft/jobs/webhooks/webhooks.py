"""`Webhooks`: what callers do with their webhooks. Every one belongs to an owner, and nobody else sees it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import sqlalchemy as sa

from facecraft.db.clock import DatabaseClock
from facecraft.db.database import Database
from facecraft.db.ids import new_id
from facecraft.db.listing import Listing, check_limit, cut, decode_cursor
from facecraft.db.tables import DELIVERIES, WEBHOOKS
from facecraft.errors import AddressRefusedError, TooManyWebhooksError, WebhookDisabledError
from facecraft.jobs.repository import Also, nothing
from facecraft.jobs.webhooks import rows
from facecraft.jobs.webhooks.addresses import Resolver, check_url, refuse_private, resolve
from facecraft.jobs.webhooks.outbox import payload
from facecraft.jobs.webhooks.records import (
    TEST,
    Delivery,
    DeliveryState,
    NewWebhook,
    SecretWebhook,
    Webhook,
    WebhookChange,
)
from facecraft.jobs.webhooks.sealing import Seal
from facecraft.jobs.webhooks.signing import new_secret

MAX_WEBHOOKS = 20
"""Most webhooks of one owner."""
OLD_SECRET = timedelta(hours=24)
"""How long the secret from before a rotation signs, too."""
KEPT = timedelta(days=30)
"""How long deliveries are kept."""


def unsaid(webhook: Webhook, /) -> Also:  # noqa: ARG001 - the null form
    """Write nothing more about a webhook."""
    return nothing


class Webhooks:
    """Webhooks in a database. Safe to use from several threads and processes.

    Every method raises StorageError when the database fails, and WebhookNotFoundError when the webhook does not exist
    or belongs to somebody else.
    """

    def __init__(
        self,
        database: Database,
        seal: Seal,
        *,
        private: bool = False,
        clock: Callable[[], datetime] | None = None,
        ask: Resolver = resolve,
    ) -> None:
        """Work on a migrated ``database``; ``private`` allows addresses of this machine and of closed networks.

        ``clock`` is the time of all machines that share the database; unset: the database is asked for it.
        """
        self._database = database
        self._seal = seal
        self._private = private
        self._clock = clock or DatabaseClock(database)
        self._ask = ask

    def create(
        self, new: NewWebhook, *, owner: str | None, added: Callable[[SecretWebhook], Also] = unsaid
    ) -> SecretWebhook:
        """Add a webhook; what ``added`` returns is written with it. Its name is resolved, which may take a while.

        Raises AddressRefusedError, TooManyWebhooksError.
        """
        self._check(new.url, owner)
        webhook_id, secret, now = new_id(), new_secret(), self._clock()
        sealed = self._seal.close(webhook_id, secret)
        with self._database.write() as connection:
            # The rows that are there are locked, so that two callers who add the last one wait for each other.
            connection.execute(sa.select(WEBHOOKS.c.id).where(rows.belongs(owner)).with_for_update()).all()
            count = sa.select(sa.func.count()).select_from(WEBHOOKS).where(rows.belongs(owner))
            if connection.execute(count).scalar_one() >= MAX_WEBHOOKS:
                raise TooManyWebhooksError(f"There may be at most {MAX_WEBHOOKS} webhooks.")
            connection.execute(
                sa.insert(WEBHOOKS).values(
                    id=webhook_id, owner=owner, url=new.url, types=sorted(new.types),
                    secret=sealed, created_at=now, updated_at=now,
                )
            )  # fmt: skip
            made = self._with_secret(rows.require_webhook(connection, webhook_id, owner), secret)
            added(made)(connection)
            return made

    def browse(self, *, owner: str | None, cursor: str | None = None, limit: int = 50) -> Listing[Webhook]:
        """List the owner's webhooks, the oldest first. Raises InvalidOptionError."""
        check_limit(limit)
        query = sa.select(WEBHOOKS).where(rows.belongs(owner)).order_by(WEBHOOKS.c.id).limit(limit + 1)
        if cursor is not None:
            query = query.where(WEBHOOKS.c.id > decode_cursor(cursor))
        with self._database.read() as connection:
            found = connection.execute(query).all()
        return cut(found, limit, rows.webhook_of, lambda row: str(row.id))

    def get(self, webhook_id: str, *, owner: str | None) -> Webhook:
        """Return one webhook."""
        with self._database.read() as connection:
            return rows.webhook_of(rows.require_webhook(connection, webhook_id, owner))

    def reveal(self, webhook_id: str, *, owner: str | None) -> SecretWebhook:
        """Return one webhook with its secret, for whoever was never told it. Raises SecretUnreadableError."""
        with self._database.read() as connection:
            row = rows.require_webhook(connection, webhook_id, owner)
        return self._with_secret(row, self._seal.open(row.id, row.secret))

    def change(self, webhook_id: str, change: WebhookChange, *, owner: str | None) -> Webhook:
        """Change what is given. Disabling gives up what waits; enabling begins with what happens then.

        Raises AddressRefusedError.
        """
        if change.url is not None:
            self.get(webhook_id, owner=owner)  # whoever may not see it needs no look at the address
            self._check(change.url, owner)
        now = self._clock()
        values: dict[str, object] = {"updated_at": now}
        if change.url is not None:
            values["url"] = change.url
        if change.types is not None:
            values["types"] = sorted(change.types)
        if change.enabled:
            values |= {"disabled_at": None, "disabled_why": None}
        with self._database.write() as connection:
            row = rows.require_webhook(connection, webhook_id, owner, lock=True)
            connection.execute(sa.update(WEBHOOKS).where(WEBHOOKS.c.id == row.id).values(**values))
            if change.enabled is False:
                rows.disable(connection, row.id, "Its owner disabled it.", now)
            return rows.webhook_of(rows.require_webhook(connection, webhook_id, owner))

    def delete(self, webhook_id: str, *, owner: str | None) -> None:
        """Delete a webhook and all its deliveries."""
        with self._database.write() as connection:
            row = rows.require_webhook(connection, webhook_id, owner, lock=True)
            connection.execute(sa.delete(WEBHOOKS).where(WEBHOOKS.c.id == row.id))

    def rotate(self, webhook_id: str, *, owner: str | None) -> SecretWebhook:
        """Give a webhook a new secret. The one before signs for 24 hours more; one before that does not."""
        secret, now = new_secret(), self._clock()
        with self._database.write() as connection:
            row = rows.require_webhook(connection, webhook_id, owner, lock=True)
            sealed = self._seal.close(row.id, secret)
            values = {"secret": sealed, "old_secret": row.secret, "old_secret_until": now + OLD_SECRET}
            connection.execute(sa.update(WEBHOOKS).where(WEBHOOKS.c.id == row.id).values(**values, updated_at=now))
            return self._with_secret(rows.require_webhook(connection, webhook_id, owner), secret)

    def test(self, webhook_id: str, *, owner: str | None) -> Delivery:
        """Send a ``webhook.test``, which is tried once. Raises WebhookDisabledError."""
        now = self._clock()
        with self._database.write() as connection:
            row = rows.require_webhook(connection, webhook_id, owner, lock=True)
            if row.disabled_at is not None:
                raise WebhookDisabledError
            body = payload(TEST, now, {"webhook_id": row.id})
            (made,) = rows.insert_deliveries(connection, [row.id], type=TEST, payload=body, job_id=None, now=now)
            return rows.delivery_of(rows.require_delivery(connection, row.id, made))

    def deliveries(
        self, webhook_id: str, *, owner: str | None, cursor: str | None = None, limit: int = 50
    ) -> Listing[Delivery]:
        """List what a webhook was told in the last 30 days, the newest first. Raises InvalidOptionError."""
        check_limit(limit)
        before = None if cursor is None else decode_cursor(cursor)
        with self._database.read() as connection:
            row = rows.require_webhook(connection, webhook_id, owner)
            query = sa.select(DELIVERIES).where(DELIVERIES.c.webhook_id == row.id)
            query = query.order_by(DELIVERIES.c.id.desc()).limit(limit + 1)
            found = connection.execute(query if before is None else query.where(DELIVERIES.c.id < before)).all()
        return cut(found, limit, rows.delivery_of, lambda row: str(row.id))

    def redeliver(self, webhook_id: str, delivery_id: str, *, owner: str | None) -> Delivery:
        """Send something again, at once and by the whole schedule, under the message id it had.

        What is being sent at this moment is left alone. Raises DeliveryNotFoundError, WebhookDisabledError.
        """
        now = self._clock()
        with self._database.write() as connection:
            webhook = rows.require_webhook(connection, webhook_id, owner, lock=True)
            row = rows.require_delivery(connection, webhook.id, delivery_id, lock=True)
            if webhook.disabled_at is not None:
                raise WebhookDisabledError
            if row.lease_until is None or row.lease_until <= now:
                again = {"state": DeliveryState.PENDING.value, "attempt": 0, "due_at": now, "lease_until": None}
                connection.execute(
                    sa.update(DELIVERIES).where(DELIVERIES.c.id == row.id).values(**again, delivered_at=None)
                )
            return rows.delivery_of(rows.require_delivery(connection, webhook.id, row.id))

    def sweep(self, now: datetime | None = None) -> int:
        """Delete deliveries that are older than 30 days; return how many."""
        before, total = (now or self._clock()) - KEPT, 0
        while True:
            with self._database.write() as connection:
                deleted = rows.delete_old(connection, before)
            if deleted == 0:
                return total
            total += deleted

    def _check(self, url: str, owner: str | None) -> None:
        # Where nothing private is refused, and to the operator, it may be said which names there are.
        openly = self._private or owner is None
        try:
            host = check_url(url, private=self._private).host
            refuse_private(host, private=self._private, openly=openly, ask=self._ask)
        except AddressRefusedError as error:
            if not self._private:
                raise
            hint = "Give an http or https address with a name that this server can resolve."
            raise AddressRefusedError(error.message, hint=hint, detail=error.detail) from error

    @staticmethod
    def _with_secret(row: rows.AnyRow, secret: str) -> SecretWebhook:
        return SecretWebhook(**rows.webhook_of(row).model_dump(), secret=secret)
