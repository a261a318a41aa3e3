"""How webhooks and their deliveries lie in the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from facecraft.db.ids import new_id, parse_id
from facecraft.db.tables import DELIVERIES, WEBHOOKS
from facecraft.errors import DeliveryNotFoundError, WebhookNotFoundError
from facecraft.jobs.webhooks.records import Delivery, DeliveryState, EventType, Webhook, message_id

AnyRow = Row[Any]

MAX_ERROR = 300
"""Most characters that are kept of why an attempt failed."""
_PENDING = DELIVERIES.c.state == DeliveryState.PENDING.value
_PIECE = 2000


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that this process, and no other, sends now."""

    id: str
    webhook_id: str
    type: str
    url: str
    secrets: tuple[str, ...]
    """Sealed; the first one is in use, the other one was until lately."""
    payload: str
    attempt: int
    """The number of this attempt, from 1."""
    created_at: datetime
    lease_until: datetime


def belongs(owner: str | None) -> sa.ColumnElement[bool]:
    """The condition that a webhook is the caller's own."""
    return WEBHOOKS.c.owner.is_(None) if owner is None else WEBHOOKS.c.owner == owner


def webhook_of(row: AnyRow) -> Webhook:
    """Return the webhook of a row, without its secrets."""
    return Webhook(
        id=row.id,
        url=row.url,
        types=tuple(EventType(text) for text in row.types),
        enabled=row.disabled_at is None,
        disabled_at=row.disabled_at,
        disabled_why=row.disabled_why,
        old_secret_until=row.old_secret_until,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def delivery_of(row: AnyRow) -> Delivery:
    """Return the delivery of a row."""
    return Delivery(
        id=row.id,
        message_id=message_id(row.id),
        webhook_id=row.webhook_id,
        job_id=row.job_id,
        type=row.type,
        state=DeliveryState(row.state),
        attempts=row.attempt,
        next_attempt_at=row.due_at,
        last_status=row.last_status,
        last_error=row.last_error,
        created_at=row.created_at,
        delivered_at=row.delivered_at,
        payload=row.payload,
    )


def require_webhook(connection: Connection, webhook_id: str, owner: str | None, *, lock: bool = False) -> AnyRow:
    """Read one webhook; with ``lock`` it stays as it is until the transaction ends. Raises WebhookNotFoundError."""
    known = parse_id(webhook_id)
    query = sa.select(WEBHOOKS).where(WEBHOOKS.c.id == known, belongs(owner))
    row = None if known is None else connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise WebhookNotFoundError
    return row


def require_delivery(connection: Connection, webhook_id: str, delivery_id: str, *, lock: bool = False) -> AnyRow:
    """Read one delivery of a webhook of the caller. Raises DeliveryNotFoundError."""
    known = parse_id(delivery_id)
    query = sa.select(DELIVERIES).where(DELIVERIES.c.id == known, DELIVERIES.c.webhook_id == webhook_id)
    row = None if known is None else connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise DeliveryNotFoundError
    return row


def insert_deliveries(
    connection: Connection,
    webhooks: Sequence[str],
    *,
    type: str,  # noqa: A002 - as the specification calls it
    payload: str,
    job_id: str | None,
    now: datetime,
) -> list[str]:
    """Write that each of ``webhooks`` (ids) is to be told ``payload``, at once; return the ids of the deliveries."""
    values = [
        {"id": new_id(), "webhook_id": webhook, "job_id": job_id, "type": type, "payload": payload, "attempt": 0,
         "state": DeliveryState.PENDING.value, "due_at": now, "created_at": now}
        for webhook in webhooks
    ]  # fmt: skip
    if values:
        connection.execute(sa.insert(DELIVERIES), values)
    return [str(row["id"]) for row in values]


def _due(now: datetime) -> sa.ColumnElement[bool]:
    free = sa.or_(DELIVERIES.c.lease_until.is_(None), DELIVERIES.c.lease_until <= now)
    return sa.and_(_PENDING, DELIVERIES.c.due_at <= now, free)


def any_due(connection: Connection, now: datetime) -> bool:
    """Whether anything waits to be sent: a look that takes no lock."""
    return connection.execute(sa.select(DELIVERIES.c.id).where(_due(now)).limit(1)).first() is not None


def claim(
    connection: Connection, now: datetime, until: datetime, *, limit: int, each: int, busy: Sequence[str]
) -> list[Claimed]:
    """Take up to ``limit`` due deliveries until a moment, ``each`` of one webhook at most and none of ``busy`` ones.

    What another process takes at the same time is passed over. An attempt counts from here on: whoever dies during
    it has made it.
    """
    place = sa.func.row_number().over(
        partition_by=DELIVERIES.c.webhook_id, order_by=(DELIVERIES.c.due_at, DELIVERIES.c.id)
    )
    ranked = sa.select(DELIVERIES.c.id, place.label("place")).where(_due(now), DELIVERIES.c.webhook_id.not_in(busy))
    first = ranked.subquery()
    query = (
        sa.select(DELIVERIES, WEBHOOKS.c.url, WEBHOOKS.c.secret, WEBHOOKS.c.old_secret, WEBHOOKS.c.old_secret_until)
        .join(WEBHOOKS, WEBHOOKS.c.id == DELIVERIES.c.webhook_id)
        .join(first, first.c.id == DELIVERIES.c.id)
        .where(_due(now), first.c.place <= each, WEBHOOKS.c.disabled_at.is_(None))
        .order_by(DELIVERIES.c.due_at, DELIVERIES.c.id)
        .limit(limit)
        .with_for_update(of=DELIVERIES, skip_locked=True)
    )
    found = connection.execute(query).all()
    if found:
        taken = sa.update(DELIVERIES).where(DELIVERIES.c.id.in_([row.id for row in found]))
        connection.execute(taken.values(attempt=DELIVERIES.c.attempt + 1, lease_until=until))
    return [
        Claimed(row.id, row.webhook_id, row.type, row.url, _secrets(row, now), row.payload, row.attempt + 1,
                row.created_at, until)
        for row in found
    ]  # fmt: skip


def _secrets(row: AnyRow, now: datetime) -> tuple[str, ...]:
    old = row.old_secret is not None and row.old_secret_until is not None and now < row.old_secret_until
    return (row.secret, row.old_secret) if old else (row.secret,)


def _mine(claimed: Claimed) -> sa.ColumnElement[bool]:
    return sa.and_(
        DELIVERIES.c.id == claimed.id,
        DELIVERIES.c.attempt == claimed.attempt,
        DELIVERIES.c.lease_until == claimed.lease_until,
    )


def mark_delivered(connection: Connection, claimed: Claimed, status: int, now: datetime) -> None:
    """Write that a delivery arrived, unless somebody else has taken it over."""
    values = {"state": DeliveryState.DELIVERED.value, "delivered_at": now, "last_status": status}
    free = {"due_at": None, "lease_until": None, "last_error": None}
    connection.execute(sa.update(DELIVERIES).where(_mine(claimed)).values(**values, **free))


def mark_missed(
    connection: Connection, claimed: Claimed, status: int | None, error: str, due_at: datetime | None
) -> bool:
    """Write that an attempt failed, to be made again at ``due_at`` (None: never). Return whether it was still ours."""
    state = DeliveryState.FAILED if due_at is None else DeliveryState.PENDING
    values = {"state": state.value, "due_at": due_at, "lease_until": None, "last_status": status}
    statement = sa.update(DELIVERIES).where(_mine(claimed), _PENDING)
    shown = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in error[:MAX_ERROR])
    return connection.execute(statement.values(**values, last_error=shown)).rowcount == 1


def hold(connection: Connection, webhook_id: str) -> None:
    """Lock a webhook before its deliveries, as everybody does: the other way round two would wait for each other."""
    connection.execute(sa.select(WEBHOOKS.c.id).where(WEBHOOKS.c.id == webhook_id).with_for_update()).all()


def heard_since(connection: Connection, webhook_id: str, moment: datetime) -> bool:
    """Whether anything arrived at a webhook since a moment."""
    arrived = sa.select(DELIVERIES.c.id).where(
        DELIVERIES.c.webhook_id == webhook_id, DELIVERIES.c.delivered_at >= moment
    )
    return connection.execute(arrived.limit(1)).first() is not None


def disable(connection: Connection, webhook_id: str, why: str, now: datetime) -> None:
    """Send nothing more to a webhook, and give up what waits for it."""
    mine = sa.update(WEBHOOKS).where(WEBHOOKS.c.id == webhook_id, WEBHOOKS.c.disabled_at.is_(None))
    connection.execute(mine.values(disabled_at=now, disabled_why=why, updated_at=now))
    waiting = sa.update(DELIVERIES).where(DELIVERIES.c.webhook_id == webhook_id, _PENDING)
    connection.execute(
        waiting.values(state=DeliveryState.FAILED.value, due_at=None, last_error="The webhook was disabled.")
    )


def delete_old(connection: Connection, before: datetime) -> int:
    """Delete some deliveries that were made before a moment; return how many.

    Their ids begin with the time (UUIDv7), so that no index of its own is needed.
    """
    limit = str(UUID(int=int(before.timestamp() * 1000) << 80))
    some = sa.select(DELIVERIES.c.id).where(DELIVERIES.c.id < limit).order_by(DELIVERIES.c.id).limit(_PIECE)
    return connection.execute(sa.delete(DELIVERIES).where(DELIVERIES.c.id.in_(some))).rowcount


def later(now: datetime, seconds: float) -> datetime:
    """Return the moment ``seconds`` after ``now``."""
    return now + timedelta(seconds=seconds)
