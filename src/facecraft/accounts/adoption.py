"""Handing what belongs to nobody to a user."""

from __future__ import annotations

import sqlalchemy as sa

from facecraft.db.database import Database
from facecraft.db.tables import JOBS, METADATA
from facecraft.errors import JobStateError


def adopt(database: Database, user_id: str) -> dict[str, int]:
    """Give every row without an owner to ``user_id``, in one transaction; return how many of each table there were.

    Meant for the day when a server gets its first user. Raises StorageError, and JobStateError while a job of nobody
    runs: whoever runs it would keep what it makes for nobody. Nothing is handed over then.
    """
    moved: dict[str, int] = {}
    with database.write() as connection:
        # Changed before they are looked at: nobody takes one of them up meanwhile.
        jobs = sa.update(JOBS).where(JOBS.c.owner.is_(None)).values(owner=user_id).returning(JOBS.c.lease)
        leases = connection.execute(jobs).scalars().all()
        if any(lease is not None for lease in leases):
            raise JobStateError(
                "A job is running.", hint="Cancel it (`facecraft jobs list`), or wait until it has ended."
            )
        moved[JOBS.name] = len(leases)
        for table in METADATA.sorted_tables:
            if "owner" in table.c and table is not JOBS:
                change = sa.update(table).where(table.c.owner.is_(None)).values(owner=user_id)
                moved[table.name] = connection.execute(change).rowcount
    return {name: count for name, count in moved.items() if count}
