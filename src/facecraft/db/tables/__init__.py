"""Every table, once. A migration brings a database to this state, and a test holds the two to be equal."""

from facecraft.db.tables.accounts import API_KEYS, CLOSURES, PASSWORD_RESETS, REFRESH_TOKENS, SESSIONS, USERS
from facecraft.db.tables.galleries import ERASURES, FACES, GALLERIES, PEOPLE, REMOVALS
from facecraft.db.tables.jobs import (
    BLOBS,
    DELIVERIES,
    IDEMPOTENCY,
    JOB_EVENTS,
    JOB_INPUTS,
    JOB_ITEMS,
    JOBS,
    WEBHOOKS,
    WORKERS,
)
from facecraft.db.tables.metadata import METADATA, OWNER_LENGTH

__all__ = [
    "API_KEYS",
    "BLOBS",
    "CLOSURES",
    "DELIVERIES",
    "ERASURES",
    "FACES",
    "GALLERIES",
    "IDEMPOTENCY",
    "JOBS",
    "JOB_EVENTS",
    "JOB_INPUTS",
    "JOB_ITEMS",
    "METADATA",
    "OWNER_LENGTH",
    "PASSWORD_RESETS",
    "PEOPLE",
    "REFRESH_TOKENS",
    "REMOVALS",
    "SESSIONS",
    "USERS",
    "WEBHOOKS",
    "WORKERS",
]
