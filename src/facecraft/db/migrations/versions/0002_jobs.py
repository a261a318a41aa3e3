"""Jobs with their items, files and events; workers, idempotency keys, webhooks and their deliveries."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_ID = sa.Uuid(as_uuid=False)
_JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "idempotency_keys",
        sa.Column("owner", sa.String(length=128), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("headers", _JSON),
        sa.Column("body", sa.LargeBinary),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("expires_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("owner", "key", name="pk_idempotency_keys"),
    )
    op.create_index("ix_idempotency_keys_expires_at", "idempotency_keys", ["expires_at"])
    op.create_table(
        "jobs",
        sa.Column("id", _ID, nullable=False),
        sa.Column("owner", sa.String(length=128)),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("queue", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("request", _JSON, nullable=False),
        sa.Column("fraction", sa.Float, nullable=False),
        sa.Column("stage", sa.String(length=60)),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("failure", _JSON),
        sa.Column("total", sa.Integer, nullable=False),
        sa.Column("succeeded", sa.Integer, nullable=False),
        sa.Column("failed", sa.Integer, nullable=False),
        sa.Column("event_count", sa.Integer, nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("updated_at", _MOMENT, nullable=False),
        sa.Column("due_at", _MOMENT, nullable=False),
        sa.Column("delayed_since", _MOMENT),
        sa.Column("delayed_by", _JSON),
        sa.Column("sent_at", _MOMENT),
        sa.Column("started_at", _MOMENT),
        sa.Column("finished_at", _MOMENT),
        sa.Column("expires_at", _MOMENT),
        sa.Column("cancel_at", _MOMENT),
        sa.Column("lease", _ID),
        sa.Column("lease_until", _MOMENT),
        sa.Column("worker_id", _ID),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
    )
    op.create_index("ix_jobs_expires_at", "jobs", ["expires_at"])
    op.create_index("ix_jobs_owner_id", "jobs", ["owner", "id"])
    op.create_index("ix_jobs_owner_name_id", "jobs", ["owner", "name", "id"])
    op.create_index("ix_jobs_owner_state_id", "jobs", ["owner", "state", "id"])
    op.create_index("ix_jobs_state_lease_until", "jobs", ["state", "lease_until"])
    op.create_index("ix_jobs_state_queue_due_at_id", "jobs", ["state", "queue", "due_at", "id"])
    op.create_index("ix_jobs_state_sent_at_id", "jobs", ["state", "sent_at", "id"])
    op.create_table(
        "webhooks",
        sa.Column("id", _ID, nullable=False),
        sa.Column("owner", sa.String(length=128)),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("types", _JSON, nullable=False),
        sa.Column("secret", sa.Text, nullable=False),
        sa.Column("old_secret", sa.Text),
        sa.Column("old_secret_until", _MOMENT),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("updated_at", _MOMENT, nullable=False),
        sa.Column("disabled_at", _MOMENT),
        sa.Column("disabled_why", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_webhooks"),
    )
    op.create_index("ix_webhooks_owner_id", "webhooks", ["owner", "id"])
    op.create_table(
        "workers",
        sa.Column("id", _ID, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("process", sa.BigInteger, nullable=False),
        sa.Column("engine", sa.String(length=16), nullable=False),
        sa.Column("queues", _JSON, nullable=False),
        sa.Column("device", sa.String(length=40), nullable=False),
        sa.Column("version", sa.String(length=40), nullable=False),
        sa.Column("places", sa.Integer, nullable=False),
        sa.Column("busy", sa.Integer, nullable=False),
        sa.Column("started_at", _MOMENT, nullable=False),
        sa.Column("seen_at", _MOMENT, nullable=False),
        sa.Column("deaf_since", _MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_workers"),
    )
    op.create_index("ix_workers_seen_at", "workers", ["seen_at"])
    op.create_table(
        "blobs",
        sa.Column("id", _ID, nullable=False),
        sa.Column("owner", sa.String(length=128)),
        sa.Column("key", sa.String(length=512), nullable=False),
        sa.Column("job_id", _ID),
        sa.Column("position", sa.Integer),
        sa.Column("name", sa.Text),
        sa.Column("media_type", sa.String(length=100), nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("expires_at", _MOMENT),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_blobs_job_id", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name="pk_blobs"),
        sa.UniqueConstraint("key", name="uq_blobs_key"),
    )
    op.create_index("ix_blobs_expires_at", "blobs", ["expires_at"])
    op.create_index("ix_blobs_job_id_position", "blobs", ["job_id", "position"])
    op.create_index("ix_blobs_owner_expires_at_bytes", "blobs", ["owner", "expires_at", "bytes"])
    op.create_table(
        "job_events",
        sa.Column("job_id", _ID, nullable=False),
        sa.Column("number", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("type", sa.String(length=40), nullable=False),
        sa.Column("data", _JSON, nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_job_events_job_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "number", name="pk_job_events"),
    )
    op.create_table(
        "job_inputs",
        sa.Column("job_id", _ID, nullable=False),
        sa.Column("blob_id", _ID, nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_job_inputs_job_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "blob_id", name="pk_job_inputs"),
    )
    op.create_index("ix_job_inputs_blob_id", "job_inputs", ["blob_id"])
    op.create_table(
        "job_items",
        sa.Column("job_id", _ID, nullable=False),
        sa.Column("position", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("name", sa.Text),
        sa.Column("inputs", _JSON, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("failure", _JSON),
        sa.Column("finished_at", _MOMENT),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_job_items_job_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "position", name="pk_job_items"),
    )
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", _ID, nullable=False),
        sa.Column("webhook_id", _ID, nullable=False),
        sa.Column("job_id", _ID),
        sa.Column("type", sa.String(length=40), nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("due_at", _MOMENT),
        sa.Column("lease_until", _MOMENT),
        sa.Column("last_status", sa.Integer),
        sa.Column("last_error", sa.Text),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("delivered_at", _MOMENT),
        sa.ForeignKeyConstraint(
            ["webhook_id"], ["webhooks.id"], name="fk_webhook_deliveries_webhook_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_deliveries"),
    )
    op.create_index("ix_webhook_deliveries_state_due_at", "webhook_deliveries", ["state", "due_at"])
    op.create_index("ix_webhook_deliveries_webhook_id_id", "webhook_deliveries", ["webhook_id", "id"])
    # ### end Alembic commands ###


def downgrade() -> None:
    """Remove the tables and everything in them."""
    for table in (
        "webhook_deliveries",
        "webhooks",
        "idempotency_keys",
        "workers",
        "blobs",
        "job_events",
        "job_inputs",
        "job_items",
        "jobs",
    ):
        op.drop_table(table)
