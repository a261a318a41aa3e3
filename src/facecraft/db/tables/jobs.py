"""Jobs, their items, files and events; the workers that run them; what callers are told of them."""

from __future__ import annotations

import sqlalchemy as sa

from facecraft.db.tables.metadata import METADATA, OWNER_LENGTH
from facecraft.db.types import Id, Json, UtcDateTime

JOBS = sa.Table(
    "jobs",
    METADATA,
    sa.Column("id", Id, primary_key=True),
    sa.Column("owner", sa.String(OWNER_LENGTH)),
    sa.Column("name", sa.String(60), nullable=False),  # what is done, in the words of the API: portrait, embeddings
    sa.Column("queue", sa.String(40), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("request", Json, nullable=False),
    sa.Column("fraction", sa.Float, nullable=False),
    sa.Column("stage", sa.String(60)),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("failure", Json),
    sa.Column("total", sa.Integer, nullable=False),
    sa.Column("succeeded", sa.Integer, nullable=False),
    sa.Column("failed", sa.Integer, nullable=False),
    sa.Column("event_count", sa.Integer, nullable=False),  # the number of its newest event
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.Column("due_at", UtcDateTime, nullable=False),  # not to be started before
    sa.Column("delayed_since", UtcDateTime),  # since when what it needs has been away
    sa.Column("delayed_by", Json),  # as a failure: what that is
    sa.Column("sent_at", UtcDateTime),  # when a broker was last told of it
    sa.Column("started_at", UtcDateTime),
    sa.Column("finished_at", UtcDateTime),
    sa.Column("expires_at", UtcDateTime),  # its files, and it, are deleted after this
    sa.Column("cancel_at", UtcDateTime),  # when somebody asked a running job to stop
    # Whoever holds the lease may write to a running job; a worker that lost it may not.
    sa.Column("lease", Id),
    sa.Column("lease_until", UtcDateTime),
    sa.Column("worker_id", Id),
    # Whoever asks for a page of jobs, takes the next or sends one more must never read all of them, or all that wait.
    sa.Index(None, "owner", "id"),
    sa.Index(None, "owner", "state", "id"),
    sa.Index(None, "owner", "name", "id"),
    sa.Index(None, "state", "queue", "due_at", "id"),
    sa.Index(None, "state", "sent_at", "id"),
    sa.Index(None, "state", "lease_until"),
    sa.Index(None, "expires_at"),
)

JOB_ITEMS = sa.Table(
    "job_items",
    METADATA,
    sa.Column("job_id", Id, sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),  # from 0, in the order they were sent
    sa.Column("name", sa.Text),  # what the sender called the picture; never part of a key or a path
    sa.Column("inputs", Json, nullable=False),  # the blob of each role
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("failure", Json),
    sa.Column("finished_at", UtcDateTime),
)

JOB_INPUTS = sa.Table(
    "job_inputs",  # the files that a job which has not ended shares with others: nobody deletes them meanwhile
    METADATA,
    sa.Column("job_id", Id, sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("blob_id", Id, primary_key=True, index=True),
)

JOB_EVENTS = sa.Table(
    "job_events",
    METADATA,
    sa.Column("job_id", Id, sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),  # from 1, without gaps
    sa.Column("type", sa.String(40), nullable=False),
    sa.Column("data", Json, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
)

BLOBS = sa.Table(
    "blobs",
    METADATA,
    # A row outlives its bytes, never the other way round: it is deleted last.
    sa.Column("id", Id, primary_key=True),
    sa.Column("owner", sa.String(OWNER_LENGTH)),
    sa.Column("key", sa.String(512), nullable=False, unique=True),
    sa.Column("job_id", Id, sa.ForeignKey("jobs.id", ondelete="SET NULL")),  # of an artifact: the job that made it
    sa.Column("position", sa.Integer),  # of an artifact: the item it was made from
    sa.Column("name", sa.Text),  # of an artifact: its name; of an upload: what the sender called it
    sa.Column("media_type", sa.String(100), nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime),
    sa.Index(None, "owner", "expires_at", "bytes"),  # all that the sum for a quota needs
    sa.Index(None, "job_id", "position"),
    sa.Index(None, "expires_at"),
)

WORKERS = sa.Table(
    "workers",
    METADATA,
    sa.Column("id", Id, primary_key=True),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("process", sa.BigInteger, nullable=False),
    sa.Column("engine", sa.String(16), nullable=False),
    sa.Column("queues", Json, nullable=False),
    sa.Column("device", sa.String(40), nullable=False),
    sa.Column("version", sa.String(40), nullable=False),
    sa.Column("places", sa.Integer, nullable=False),
    sa.Column("busy", sa.Integer, nullable=False),
    sa.Column("started_at", UtcDateTime, nullable=False),
    sa.Column("seen_at", UtcDateTime, nullable=False, index=True),
    sa.Column("deaf_since", UtcDateTime),  # since when it takes up nothing although jobs wait for it
)

IDEMPOTENCY = sa.Table(
    "idempotency_keys",
    METADATA,
    sa.Column("owner", sa.String(OWNER_LENGTH), primary_key=True),  # empty for the anonymous caller
    sa.Column("key", sa.String(255), primary_key=True),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("status", sa.Integer),  # of the reply; empty while the first request is under way
    sa.Column("headers", Json),
    sa.Column("body", sa.LargeBinary),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False, index=True),
)

WEBHOOKS = sa.Table(
    "webhooks",
    METADATA,
    sa.Column("id", Id, primary_key=True),
    sa.Column("owner", sa.String(OWNER_LENGTH)),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("types", Json, nullable=False),
    sa.Column("secret", sa.Text, nullable=False),  # encrypted; the key is not in the database
    sa.Column("old_secret", sa.Text),  # signs, too, until everybody knows the new one
    sa.Column("old_secret_until", UtcDateTime),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.Column("disabled_at", UtcDateTime),
    sa.Column("disabled_why", sa.Text),
    sa.Index(None, "owner", "id"),
)

DELIVERIES = sa.Table(
    "webhook_deliveries",
    METADATA,
    sa.Column("id", Id, primary_key=True),
    sa.Column("webhook_id", Id, sa.ForeignKey("webhooks.id", ondelete="CASCADE"), nullable=False),
    sa.Column("job_id", Id),
    sa.Column("type", sa.String(40), nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("due_at", UtcDateTime),
    sa.Column("lease_until", UtcDateTime),
    sa.Column("last_status", sa.Integer),
    sa.Column("last_error", sa.Text),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("delivered_at", UtcDateTime),
    sa.Index(None, "webhook_id", "id"),
    sa.Index(None, "state", "due_at"),
)
