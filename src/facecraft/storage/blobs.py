"""`BlobStore`: named bytes that outlive a request, and its obstore implementation (a local folder or memory).

Keys are made by the server, never by a client: lower-case letters, digits, ``.``, ``-`` and ``_`` in segments
divided by ``/``. The layout is one folder for each job: ``{job_id}/{artifact name}``.
"""

from __future__ import annotations

import errno
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from facecraft.errors import StorageAccessError, StorageError, StorageFullError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_KEY = re.compile(r"[a-z0-9_-][a-z0-9._-]*(/[a-z0-9_-][a-z0-9._-]*)*")


class BlobNotFoundError(StorageError, code="blob_not_found"):
    """There are no bytes under this key."""


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """What is known of stored bytes without reading them."""

    key: str
    size: int
    modified: datetime
    """When they were written, in UTC."""


class BlobStore(Protocol):
    """Named bytes. Safe to use from several threads. Writing a key again replaces it in one step."""

    def put(self, key: str, data: bytes) -> None:
        """Keep ``data`` under ``key``. Raises StorageFullError, StorageAccessError, StorageError."""
        ...

    def get(self, key: str) -> bytes:
        """Return the bytes under ``key``. Raises BlobNotFoundError, StorageError."""
        ...

    def find(self, prefix: str) -> Iterator[BlobInfo]:
        """List what lies under the folder ``prefix`` (all of it for an empty prefix)."""
        ...

    def delete(self, key: str) -> None:
        """Forget ``key``; nothing happens when it is not there."""
        ...

    def check(self) -> None:
        """Write, read and delete a small blob. Raises StorageError when that does not work."""
        ...


def write_file(path: Path, data: bytes) -> None:
    """Write ``data`` to a file of the caller's own choosing, whole or not at all; the folder is made when missing.

    Raises StorageFullError and StorageAccessError.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name[:40]}.", dir=path.parent)
        partial = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            partial.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o644)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFullError(f"There is no space left to write {path}.", detail=str(error)) from error
        raise StorageAccessError(f"{path} cannot be written: {error.strerror}.", detail=str(error)) from error


def check_key(key: str) -> str:
    """Return ``key`` when it is well formed. Raises ValueError: keys are made by us, a bad one is our mistake."""
    if len(key) > 512 or not _KEY.fullmatch(key):
        raise ValueError(f"not a storage key: {key!r}")
    return key


@contextmanager
def _translated(key: str) -> Iterator[None]:
    import obstore.exceptions  # noqa: PLC0415 - loaded with the first use

    try:
        yield
    except FileNotFoundError as error:
        raise BlobNotFoundError(detail=key) from error
    except (obstore.exceptions.PermissionDeniedError, PermissionError) as error:
        raise StorageAccessError(detail=str(error)) from error
    except (obstore.exceptions.BaseError, OSError) as error:
        text = str(error)
        if getattr(error, "errno", None) == errno.ENOSPC or "No space left" in text or "os error 28" in text:
            raise StorageFullError(detail=text) from error
        if any(sign in text for sign in ("Permission denied", "Read-only file system", "Not a directory")):
            raise StorageAccessError(detail=text) from error
        raise StorageError(detail=text) from error


class ObjectBlobStore:
    """A :class:`BlobStore` over any obstore store."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    @classmethod
    def folder(cls, path: Path) -> ObjectBlobStore:
        """Keep blobs as files under ``path``, which is made when missing. Raises StorageAccessError."""
        from obstore.store import LocalStore  # noqa: PLC0415

        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageAccessError(f"The folder {path} cannot be made.", detail=str(error)) from error
        return cls(LocalStore(path, automatic_cleanup=True))

    @classmethod
    def memory(cls) -> ObjectBlobStore:
        """Keep blobs in memory, for tests and for programs that store nothing."""
        from obstore.store import MemoryStore  # noqa: PLC0415

        return cls(MemoryStore())

    def put(self, key: str, data: bytes) -> None:
        """See :meth:`BlobStore.put`."""
        import obstore  # noqa: PLC0415

        with _translated(key):
            obstore.put(self._store, check_key(key), data)

    def get(self, key: str) -> bytes:
        """See :meth:`BlobStore.get`."""
        import obstore  # noqa: PLC0415

        with _translated(key):
            return bytes(obstore.get(self._store, check_key(key)).bytes())

    def find(self, prefix: str) -> Iterator[BlobInfo]:
        """See :meth:`BlobStore.find`."""
        import obstore  # noqa: PLC0415

        with _translated(prefix):
            for page in obstore.list(self._store, check_key(prefix) if prefix else None):
                for item in page:
                    yield BlobInfo(item["path"], item["size"], item["last_modified"])

    def delete(self, key: str) -> None:
        """See :meth:`BlobStore.delete`."""
        import obstore  # noqa: PLC0415

        try:
            with _translated(key):
                obstore.delete(self._store, check_key(key))
        except BlobNotFoundError:
            return

    def check(self) -> None:
        """See :meth:`BlobStore.check`."""
        self.put("_check/probe", b"facecraft")
        if self.get("_check/probe") != b"facecraft":
            raise StorageError("The store does not return what was written.")
        self.delete("_check/probe")
