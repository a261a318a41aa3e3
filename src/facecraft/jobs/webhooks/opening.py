"""Opens what tells webhooks, and says what of it and of idempotency keys is cleared away."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from facecraft.db.database import Database
from facecraft.jobs.config import JobConfig
from facecraft.jobs.housekeeping import Chore
from facecraft.jobs.idempotency import IdempotencyKeys
from facecraft.jobs.webhooks.delivery import Deliverer
from facecraft.jobs.webhooks.sealing import Seal
from facecraft.jobs.webhooks.webhooks import Webhooks

_SECONDS = 600.0


def start_deliverer(
    database: Database, seal: Seal, config: JobConfig, *, clock: Callable[[], datetime]
) -> Deliverer | None:
    """Start to tell webhooks, by the clock of the jobs; None where the operator allows none."""
    if not config.webhooks_enabled:
        return None
    deliverer = Deliverer(database, seal, private=config.webhook_private_addresses, clock=clock)
    deliverer.start()
    return deliverer


def chores_of(database: Database, seal: Seal, *, clock: Callable[[], datetime]) -> tuple[Chore, ...]:
    """Return what there is to clear away, also where webhooks are not allowed any more."""
    webhooks, keys = Webhooks(database, seal, clock=clock), IdempotencyKeys(database, clock=clock)
    return (
        Chore("old deliveries", webhooks.sweep, _SECONDS, wait=30.0),
        Chore("old idempotency keys", keys.sweep, _SECONDS, wait=30.0),
    )
