"""Galleries, their people, faces and removals.

A migration spells out its types instead of importing them: it describes the past, which later versions must not
change.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ID = sa.Uuid(as_uuid=False)
_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "galleries",
        sa.Column("id", _ID, nullable=False),
        sa.Column("owner", sa.String(128)),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("model_id", sa.String(100), nullable=False),
        sa.Column("dimension", sa.Integer),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("forgotten_removal", sa.BigInteger, nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("updated_at", _MOMENT, nullable=False),
        sa.Column("deleted_at", _MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_galleries"),
    )
    op.create_index("ix_galleries_owner_id", "galleries", ["owner", "id"])

    op.create_table(
        "gallery_people",
        sa.Column("number", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("id", _ID, nullable=False),
        sa.Column("gallery_id", _ID, nullable=False),
        sa.Column("owner", sa.String(128)),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("details", _JSON, nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("updated_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_gallery_people"),
        sa.UniqueConstraint("id", name="uq_gallery_people_id"),
        sa.ForeignKeyConstraint(
            ["gallery_id"], ["galleries.id"], name="fk_gallery_people_gallery_id", ondelete="CASCADE"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_gallery_people_gallery_id_id", "gallery_people", ["gallery_id", "id"])

    op.create_table(
        "gallery_faces",
        sa.Column("number", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("id", _ID, nullable=False),
        sa.Column("gallery_id", _ID, nullable=False),
        sa.Column("person_number", _NUMBER, nullable=False),
        sa.Column("owner", sa.String(128)),
        sa.Column("vector", sa.LargeBinary, nullable=False),
        sa.Column("crop_key", sa.String(512)),
        sa.Column("source", sa.Text),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_gallery_faces"),
        sa.UniqueConstraint("id", name="uq_gallery_faces_id"),
        sa.ForeignKeyConstraint(
            ["gallery_id"], ["galleries.id"], name="fk_gallery_faces_gallery_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["person_number"], ["gallery_people.number"], name="fk_gallery_faces_person_number", ondelete="CASCADE"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_gallery_faces_gallery_id_number", "gallery_faces", ["gallery_id", "number"])
    op.create_index("ix_gallery_faces_person_number_id", "gallery_faces", ["person_number", "id"])

    op.create_table(
        "gallery_removals",
        sa.Column("number", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("gallery_id", _ID, nullable=False),
        sa.Column("face_number", _NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_gallery_removals"),
        sa.ForeignKeyConstraint(
            ["gallery_id"], ["galleries.id"], name="fk_gallery_removals_gallery_id", ondelete="CASCADE"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_gallery_removals_gallery_id_number", "gallery_removals", ["gallery_id", "number"])

    op.create_table(
        "gallery_erasures",
        sa.Column("key", sa.String(512), nullable=False),
        sa.Column("due_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_gallery_erasures"),
    )
    op.create_index("ix_gallery_erasures_due_at", "gallery_erasures", ["due_at"])


def downgrade() -> None:
    """Remove the tables and everything in them."""
    for table in ("gallery_erasures", "gallery_removals", "gallery_faces", "gallery_people", "galleries"):
        op.drop_table(table)
