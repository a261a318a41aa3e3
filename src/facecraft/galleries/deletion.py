"""Deletes faces and whole galleries, and leaves word for those who must follow: the matrices of other processes and
the store of crops."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from facecraft.db.tables import ERASURES, FACES, GALLERIES, PEOPLE, REMOVALS
from facecraft.galleries.rows import chunks, now

REMEMBERED_REMOVALS = 4096
"""How many removals of a gallery are listed at least; a matrix that lags further behind is loaded anew."""

_PIECE = 2000  # rows of a gallery that are deleted in one transaction: other writers get their turn in between


def delete_faces(connection: Connection, gallery_id: str, condition: sa.ColumnElement[bool]) -> list[str]:
    """Delete faces of a gallery whose writers wait, note their numbers for other processes and their crops' keys
    for erasure; return these keys."""
    found = connection.execute(
        sa.select(FACES.c.number, FACES.c.crop_key).where(FACES.c.gallery_id == gallery_id, condition)
    ).all()
    if not found:
        return []
    keys = [row.crop_key for row in found if row.crop_key is not None]
    connection.execute(sa.insert(REMOVALS), [{"gallery_id": gallery_id, "face_number": row.number} for row in found])
    _note_erasures(connection, keys)
    for part in chunks([row.number for row in found]):
        connection.execute(sa.delete(FACES).where(FACES.c.number.in_(part)))
    _forget_removals(connection, gallery_id)
    return keys


def delete_piece(connection: Connection, gallery_id: str) -> list[str] | None:
    """Delete some rows of a gallery that nobody sees any more, at last its own.

    Returns the keys of crops that are to be erased, or None when nothing of the gallery is left.
    """
    mine = sa.select(GALLERIES.c.id).where(GALLERIES.c.id == gallery_id).with_for_update()
    if connection.execute(mine).one_or_none() is None:
        return None
    faces = connection.execute(
        sa.select(FACES.c.number, FACES.c.crop_key).where(FACES.c.gallery_id == gallery_id).limit(_PIECE)
    ).all()
    if faces:
        keys = [row.crop_key for row in faces if row.crop_key is not None]
        _note_erasures(connection, keys)
        connection.execute(sa.delete(FACES).where(FACES.c.number.in_([row.number for row in faces])))
        return keys
    some = sa.select(PEOPLE.c.number).where(PEOPLE.c.gallery_id == gallery_id).limit(_PIECE)
    if people := connection.execute(some).scalars().all():
        connection.execute(sa.delete(PEOPLE).where(PEOPLE.c.number.in_(people)))
        return []
    connection.execute(sa.delete(GALLERIES).where(GALLERIES.c.id == gallery_id))
    return None


def _note_erasures(connection: Connection, keys: Sequence[str]) -> None:
    moment = now()
    if keys:
        connection.execute(sa.insert(ERASURES), [{"key": key, "due_at": moment} for key in keys])


def _forget_removals(connection: Connection, gallery_id: str) -> None:
    mine = REMOVALS.c.gallery_id == gallery_id
    if connection.execute(sa.select(sa.func.count()).where(mine)).scalar_one() <= 2 * REMEMBERED_REMOVALS:
        return
    newest_first = sa.select(REMOVALS.c.number).where(mine).order_by(REMOVALS.c.number.desc())
    last = connection.execute(newest_first.offset(REMEMBERED_REMOVALS).limit(1)).scalar_one()
    connection.execute(sa.delete(REMOVALS).where(mine, REMOVALS.c.number <= last))
    connection.execute(sa.update(GALLERIES).where(GALLERIES.c.id == gallery_id).values(forgotten_removal=last))
