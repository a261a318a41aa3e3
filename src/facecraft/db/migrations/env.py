"""Run by Alembic: migrates over the connection and in the transaction that `facecraft.db.schema` hands in."""

from __future__ import annotations

from alembic import context

from facecraft.db.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,  # SQLite alters a table by copying it
    compare_type=True,
)
context.run_migrations()
