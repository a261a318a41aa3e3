"""Opens what tells webhooks, and says what of it and of idempotency keys is cleared away."""

from __future__ import annotations

from facecraft.db.clock import DatabaseClock
from facecraft.db.database import Database
from facecraft.jobs.config import JobConfig
from facecraft.jobs.housekeeping import Chore
from facecraft.jobs.idempotency import IdempotencyKeys
from facecraft.jobs.webhooks.delivery import Deliverer
from facecraft.jobs.webhooks.sealing import Seal
from facecraft.jobs.webhooks.webhooks import Webhooks

_SECONDS = 600.0


def start_deliverer(database: Database, seal: Seal, config: JobConfig) -> Deliverer | None:
    """Start to tell webhooks; None where the operator allows none."""
    if not config.webhooks_enabled:
        return None
    deliverer = Deliverer(database, seal, private=config.webhook_private_addresses, clock=DatabaseClock(database))
    deliverer.start()
    return deliverer


def chores_of(database: Database, seal: Seal) -> tuple[Chore, ...]:
    """Return what there is to clear away, also where webhooks are not allowed any more."""
    webhooks, keys = Webhooks(database, seal), IdempotencyKeys(database)
    return (
        Chore("old deliveries", webhooks.sweep, _SECONDS, wait=30.0),
        Chore("old idempotency keys", keys.sweep, _SECONDS, wait=30.0),
    )
