"""What every error carries, and what of it anybody may know."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import ClassVar

_PATH = re.compile(r"(?:^|[\s'\"(])(?:/[\w.-]+|[A-Za-z]:\\)")


class Kind(StrEnum):
    """What sort of trouble an error is. Doors map it to a status or an exit code."""

    INVALID = "invalid"
    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    UNSUPPORTED = "unsupported"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    BUSY = "busy"
    CANCELLED = "cancelled"
    DEADLINE = "deadline"
    UNAVAILABLE = "unavailable"
    STORAGE_FULL = "storage_full"
    CONFIGURATION = "configuration"
    INTERNAL = "internal"


class FacecraftError(Exception):
    """Something went wrong inside Facecraft."""

    code: ClassVar[str] = "facecraft_error"
    kind: ClassVar[Kind] = Kind.INTERNAL
    default_hint: ClassVar[str | None] = None

    def __init_subclass__(cls, *, code: str | None = None, kind: Kind | None = None, hint: str | None = None) -> None:
        super().__init_subclass__()
        if code is not None:
            cls.code = code
        if kind is not None:
            cls.kind = kind
        if hint is not None:
            cls.default_hint = hint

    def __init__(self, message: str | None = None, *, hint: str | None = None, detail: str | None = None) -> None:
        self.message = message or (type(self).__doc__ or self.code).strip().splitlines()[0]
        self.hint = hint or self.default_hint
        self.detail = detail
        super().__init__(self.message)

    @property
    def title(self) -> str:
        """What every error of this sort is called."""
        return (type(self).__doc__ or self.code).strip().splitlines()[0].rstrip(".")

    @property
    def public_message(self) -> str:
        """What anybody may know of this error: folders and troubles of the server stay on the server."""
        if self.kind in (Kind.INTERNAL, Kind.CONFIGURATION) or _PATH.search(self.message):
            return f"{self.title}."
        return self.message

    @property
    def public_hint(self) -> str | None:
        """What anybody may be told to do about it."""
        return self.hint if self.hint is None or not _PATH.search(self.hint) else self.default_hint
