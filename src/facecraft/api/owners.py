"""To whom belongs what a caller keeps here."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request


def owner_of(request: Request) -> str | None:  # noqa: ARG001 - who calls will be read from it
    """Return the owner that the caller of ``request`` acts for; None is the one owner of a server without accounts."""
    return None


OwnerOf = Annotated[str | None, Depends(owner_of)]
