"""One way to write a moment: events and messages say it as replies do."""

from __future__ import annotations

from datetime import UTC, datetime


def rfc3339(moment: datetime, *, timespec: str = "auto") -> str:
    """Return ``moment`` in UTC as RFC 3339 has it, with a Z. ``timespec`` is that of :meth:`datetime.isoformat`."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec=timespec) + "Z"
