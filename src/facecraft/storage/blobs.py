"""`BlobStore`: named bytes that outlive a request.

Keys are made by the server, never by a client: lower-case letters, digits, ``.``, ``-`` and ``_`` in segments
divided by ``/``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, Protocol

from facecraft.errors import StorageError

_KEY = re.compile(r"[a-z0-9_-][a-z0-9._-]*(/[a-z0-9_-][a-z0-9._-]*)*")
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,63}/[a-z0-9][a-z0-9!#$&^_.+-]{0,63}")


class BlobNotFoundError(StorageError, code="bytes_not_found"):
    """There are no bytes under this key."""


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """What is known of stored bytes without reading them."""

    key: str
    size: int
    modified: datetime
    """When they were written, in UTC, by the clock of the store."""


class BlobStore(Protocol):
    """Named bytes. Safe to use from several threads. Writing a key again replaces it in one step."""

    def put(self, key: str, data: bytes, *, media_type: str | None = None) -> None:
        """Keep ``data`` under ``key``, with its media type where the store keeps one.

        Raises StorageFullError, StorageAccessError, StorageError.
        """
        ...

    def put_file(self, key: str, file: BinaryIO, *, media_type: str | None = None) -> int:
        """Keep what ``file`` holds from here on, a piece at a time, and return how many bytes that were.

        Nothing is kept when reading the file fails. Raises as :meth:`put`, and what reading the file raises.
        """
        ...

    def get(self, key: str) -> bytes:
        """Return the bytes under ``key``. Raises BlobNotFoundError, StorageError."""
        ...

    def stream(self, key: str) -> Iterator[bytes]:
        """Return the bytes under ``key`` a piece at a time.

        Raises BlobNotFoundError and StorageError at once, and StorageError later when the store goes away.
        """
        ...

    def presign(self, key: str, seconds: int, *, filename: str, media_type: str) -> str | None:
        """Return a link under which anybody may download ``key`` for so many seconds; None when the store cannot.

        The reply carries the media type and the name for the file. Nothing is asked of the store: whether the bytes
        are there is not known.
        """
        ...

    def find(self, prefix: str) -> Iterator[BlobInfo]:
        """List what lies under the folder ``prefix`` (all of it for an empty prefix). Raises StorageError."""
        ...

    def delete(self, key: str) -> None:
        """Forget ``key``; nothing happens when it is not there. Raises StorageError."""
        ...

    def delete_all(self, keys: Iterable[str]) -> None:
        """Forget many keys, several at a time where that is faster. Raises StorageError; some may be gone then."""
        ...

    def tidy(self, before: datetime) -> int:
        """Delete what writes that broke off before that moment left behind; return how many pieces. Raises StorageError.

        A bucket is left alone: what its own rule for incomplete uploads says applies.
        """
        ...

    def check(self) -> None:
        """Write, read and delete a small blob. Raises StorageError when that does not work."""
        ...


def check_key(key: str) -> str:
    """Return ``key`` when it is well formed. Raises ValueError: keys are made by us, a bad one is our mistake."""
    if len(key) > 512 or not _KEY.fullmatch(key):
        raise ValueError(f"not a storage key: {key!r}")
    return key


def check_media_type(media_type: str) -> str:
    """Return a media type without parameters (RFC 6838 section 4.2) when it is well formed. Raises ValueError."""
    if len(media_type) > 100 or not _MEDIA_TYPE.fullmatch(media_type):
        raise ValueError(f"not a media type: {media_type!r}")
    return media_type
