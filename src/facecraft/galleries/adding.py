"""What is written together with what is added: callers may keep a note of it in the same transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from sqlalchemy.engine import Connection

from facecraft.galleries.records import Person

Also = Callable[[Connection], object]
"""Writes something more inside a transaction, which is undone when it raises."""


def unsaid(made: object, /) -> Also:  # noqa: ARG001 - the null form
    """Write nothing more about what is made."""
    return _nothing


def of_the_first(added: Callable[[Person], Also]) -> Callable[[Sequence[Person]], Also]:
    """Return what tells ``added`` of the first of several people."""
    return partial(_of_the_first, added)


def _of_the_first(added: Callable[[Person], Also], people: Sequence[Person]) -> Also:
    return added(people[0])


def _nothing(connection: Connection, /) -> None:
    """Write nothing."""
