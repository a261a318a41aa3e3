"""That there were users or keys once: a server that has asked callers who they are does not stop to because all are gone."""

from __future__ import annotations

import logging

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from facecraft.accounts.config import NOBODY
from facecraft.accounts.records import now
from facecraft.db.ids import new_id
from facecraft.db.tables import API_KEYS, CLOSURES, USERS

log = logging.getLogger("facecraft.accounts")


def close(connection: Connection) -> None:
    """Write down that there was a user or a key, in the transaction that deletes one."""
    # Two at once may write two rows: one is enough, and more do no harm.
    row = sa.select(sa.literal(new_id(), CLOSURES.c.id.type), sa.literal(now(), CLOSURES.c.closed_at.type))
    once = row.where(~sa.exists(sa.select(CLOSURES.c.id)))
    connection.execute(sa.insert(CLOSURES).from_select(["id", "closed_at"], once))
    if not is_anybody(connection):
        log.warning(NOBODY)


def is_anybody(connection: Connection) -> bool:
    """Whether there is a user or a key."""
    return bool(connection.execute(sa.select(sa.or_(_any(USERS), _any(API_KEYS)))).scalar_one())


def is_closed(connection: Connection) -> bool:
    """Whether there is a user or a key, or was one."""
    return bool(connection.execute(sa.select(sa.or_(_any(USERS), _any(API_KEYS), _any(CLOSURES)))).scalar_one())


def _any(table: sa.Table) -> sa.Exists:
    return sa.exists(sa.select(table.c.id).limit(1))
