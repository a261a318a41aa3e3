"""Column types that mean the same on SQLite and on Postgres."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

Id = sa.Uuid(as_uuid=False)
"""A UUID, as text in Python: native on Postgres, 32 hexadecimal digits on SQLite. Both sort by value."""

Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""A 64-bit whole number that the database counts up by itself (SQLite counts only columns named INTEGER)."""

Json = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
"""A JSON document; on Postgres it can be searched. None is no document."""


class UtcDateTime(TypeDecorator[datetime]):
    """A moment: an aware datetime, kept and returned in UTC."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Turn ``value`` to UTC. Raises ValueError for a datetime without a zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a datetime without a zone is not a moment")
        return value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return the moment in UTC; SQLite gives it back without its zone."""
        if value is None:
            return None
        moment: datetime = value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
