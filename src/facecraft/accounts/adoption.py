"""Handing what belongs to nobody to a user."""

from __future__ import annotations

import sqlalchemy as sa

from facecraft.db.database import Database
from facecraft.db.tables import METADATA


def adopt(database: Database, user_id: str) -> dict[str, int]:
    """Give every row without an owner to ``user_id``, in one transaction; return how many of each table there were.

    Meant for the day when a server gets its first user. Raises StorageError.
    """
    moved: dict[str, int] = {}
    with database.write() as connection:
        for table in METADATA.sorted_tables:
            if "owner" in table.c:
                change = sa.update(table).where(table.c.owner.is_(None)).values(owner=user_id)
                moved[table.name] = connection.execute(change).rowcount
    return {name: count for name, count in moved.items() if count}
