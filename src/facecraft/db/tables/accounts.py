"""Users, their sessions, the keys of programs, and tokens for a forgotten password."""

from __future__ import annotations

import sqlalchemy as sa

from facecraft.db.tables.metadata import METADATA
from facecraft.db.types import Id, Json, UtcDateTime

USERS = sa.Table(
    "users",
    METADATA,
    sa.Column("id", Id, primary_key=True),  # as text it is the owner of all that the user keeps
    sa.Column("email", sa.String(254), nullable=False, unique=True),  # in lower case
    sa.Column("password_hash", sa.String(255), nullable=False),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("first_name", sa.String(100), nullable=False),
    sa.Column("last_name", sa.String(100), nullable=False),
    sa.Column("phone", sa.String(40)),
    sa.Column("delivery_recipient", sa.String(200)),
    sa.Column("delivery_city", sa.String(100)),
    sa.Column("delivery_street", sa.String(200)),
    sa.Column("delivery_house", sa.String(40)),
    sa.Column("delivery_apartment", sa.String(40)),
    sa.Column("delivery_postal_code", sa.String(20)),
    sa.Column("delivery_comment", sa.String(1000)),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.Column("signed_in_at", UtcDateTime),
    sa.Column("disabled_at", UtcDateTime),
)

SESSIONS = sa.Table(
    "sessions",
    METADATA,
    # A session ends by being deleted.
    sa.Column("id", Id, primary_key=True),
    sa.Column("user_id", Id, sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    sa.Column("agent", sa.String(200)),  # what the browser calls itself
    sa.Column("generation", sa.Integer, nullable=False),  # how often it was refreshed
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("refreshed_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False, index=True),
    sa.Index(None, "user_id", "id"),
)

REFRESH_TOKENS = sa.Table(
    "refresh_tokens",
    METADATA,
    # Used ones stay as long as they would have been good: who sends one again has stolen it, or was stolen from.
    sa.Column("digest", sa.String(64), primary_key=True),  # SHA-256 of the token
    sa.Column("session_id", Id, sa.ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("generation", sa.Integer, nullable=False),  # good while it is that of the session
    sa.Column("expires_at", UtcDateTime, nullable=False, index=True),
)

PASSWORD_RESETS = sa.Table(
    "password_resets",
    METADATA,
    sa.Column("digest", sa.String(64), primary_key=True),  # SHA-256 of the token
    sa.Column("user_id", Id, sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("expires_at", UtcDateTime, nullable=False, index=True),
)

CLOSURES = sa.Table(
    "closures",
    METADATA,
    # Any row: a user or a key was deleted. Who asks callers who they are goes on doing so when none is left.
    sa.Column("id", Id, primary_key=True),
    sa.Column("closed_at", UtcDateTime, nullable=False),
)

API_KEYS = sa.Table(
    "api_keys",
    METADATA,
    sa.Column("id", Id, primary_key=True),
    sa.Column("user_id", Id, sa.ForeignKey("users.id", ondelete="CASCADE")),  # empty: a key of the operator
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),  # SHA-256 of the secret part
    sa.Column("scopes", Json, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime),
    sa.Column("used_at", UtcDateTime),
    sa.Index(None, "user_id", "id"),
)
