"""Pages of a long list, with a cursor that stays true while rows are added and removed.

A cursor names the last row that was handed out, not a position: rows that are added later never move a row from
one page to another, so nothing is shown twice and nothing is passed over.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from facecraft.db.ids import parse_id
from facecraft.errors import InvalidOptionError

MAX_LIMIT = 200
"""Most items of one page."""

ItemT = TypeVar("ItemT")
RowT = TypeVar("RowT")


@dataclass(frozen=True, slots=True)
class Listing(Generic[ItemT]):
    """One page of a list."""

    items: tuple[ItemT, ...]
    cursor: str | None
    """What to send for the next page; None when this page is the last."""


def check_limit(limit: int) -> int:
    """Return ``limit`` when it lies in 1..MAX_LIMIT. Raises InvalidOptionError."""
    if not 1 <= limit <= MAX_LIMIT:
        raise InvalidOptionError(f"The limit must lie between 1 and {MAX_LIMIT}.")
    return limit


def encode_cursor(last_id: str) -> str:
    """Return the cursor that continues after the row ``last_id``."""
    return base64.urlsafe_b64encode(last_id.encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> str:
    """Return the id after which to continue. Raises InvalidOptionError.

    Cursors are not signed: a forged one can only name a place in the caller's own list.
    """
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, UnicodeError, ValueError) as error:
        raise InvalidOptionError("The cursor is not one of ours.", hint="Start again without a cursor.") from error
    last = parse_id(text)
    if last is None:
        raise InvalidOptionError("The cursor is not one of ours.", hint="Start again without a cursor.")
    return last


def cut(
    rows: Sequence[RowT], limit: int, make: Callable[[RowT], ItemT], identify: Callable[[RowT], str]
) -> Listing[ItemT]:
    """Make a page from ``rows``, of which the caller asked the database for one more than ``limit``."""
    page = rows[:limit]
    more = len(rows) > limit
    return Listing(tuple(make(row) for row in page), encode_cursor(identify(page[-1])) if more else None)
