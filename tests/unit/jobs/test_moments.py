"""A moment is written in one way, which is that of replies."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import TypeAdapter

from facecraft.jobs.moments import rfc3339


@pytest.mark.parametrize("microsecond", [0, 7, 120_000])
def test_it_is_written_as_in_replies(microsecond: int) -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, microsecond, tzinfo=UTC)
    assert rfc3339(moment) == TypeAdapter(datetime).dump_python(moment, mode="json")
    assert rfc3339(moment.astimezone(timezone(timedelta(hours=5)))) == rfc3339(moment)


def test_it_may_be_shorter() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 6789, tzinfo=UTC)
    assert rfc3339(moment, timespec="milliseconds") == "2026-01-02T03:04:05.006Z"
