"""Galleries, their people, faces and removals."""

from __future__ import annotations

import sqlalchemy as sa

from facecraft.db.tables.metadata import METADATA, OWNER_LENGTH
from facecraft.db.types import Id, Json, Number, UtcDateTime

GALLERIES = sa.Table(
    "galleries",
    METADATA,
    sa.Column("id", Id, primary_key=True),
    sa.Column("owner", sa.String(OWNER_LENGTH)),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("model_id", sa.String(100), nullable=False),
    sa.Column("dimension", sa.Integer),  # known from the first face on
    sa.Column("revision", sa.BigInteger, nullable=False),  # counts up with every change of its faces
    sa.Column("forgotten_removal", sa.BigInteger, nullable=False),  # removals up to this number are no longer listed
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.Column("deleted_at", UtcDateTime),  # set while its rows are being deleted: nobody sees it any more
    sa.Index(None, "owner", "id"),
)

PEOPLE = sa.Table(
    "gallery_people",
    METADATA,
    # Numbers are never used twice (AUTOINCREMENT on SQLite): the search matrix knows people by their number.
    sa.Column("number", Number, primary_key=True, autoincrement=True),
    sa.Column("id", Id, nullable=False, unique=True),
    sa.Column("gallery_id", Id, sa.ForeignKey("galleries.id", ondelete="CASCADE"), nullable=False),
    sa.Column("owner", sa.String(OWNER_LENGTH)),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("details", Json, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.Index(None, "gallery_id", "id"),
    sqlite_autoincrement=True,
)

FACES = sa.Table(
    "gallery_faces",
    METADATA,
    # Within a gallery numbers grow in the order of the changes: writers of one gallery wait for each other.
    sa.Column("number", Number, primary_key=True, autoincrement=True),
    sa.Column("id", Id, nullable=False, unique=True),
    sa.Column("gallery_id", Id, sa.ForeignKey("galleries.id", ondelete="CASCADE"), nullable=False),
    sa.Column("person_number", Number, sa.ForeignKey("gallery_people.number", ondelete="CASCADE"), nullable=False),
    sa.Column("owner", sa.String(OWNER_LENGTH)),
    sa.Column("vector", sa.LargeBinary, nullable=False),  # little-endian float32, unit length
    sa.Column("crop_key", sa.String(512)),
    sa.Column("source", sa.Text),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Index(None, "gallery_id", "number"),
    sa.Index(None, "person_number", "id"),
    sqlite_autoincrement=True,
)

REMOVALS = sa.Table(
    "gallery_removals",
    METADATA,
    # Which faces have gone, for the matrices of other processes. Holds numbers only.
    sa.Column("number", Number, primary_key=True, autoincrement=True),
    sa.Column("gallery_id", Id, sa.ForeignKey("galleries.id", ondelete="CASCADE"), nullable=False),
    sa.Column("face_number", Number, nullable=False),
    sa.Index(None, "gallery_id", "number"),
    sqlite_autoincrement=True,
)

ERASURES = sa.Table(
    "gallery_erasures",
    METADATA,
    # Crops that must not outlive a failure: written before the crop is stored, and before its face is deleted.
    sa.Column("key", sa.String(512), primary_key=True),
    sa.Column("due_at", UtcDateTime, nullable=False, index=True),
)
