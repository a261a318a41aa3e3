"""`ObjectBlobStore`: blobs in a folder, in memory or in a bucket that speaks S3, all of them through obstore."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from facecraft.errors import ConfigurationError, StorageAccessError, StorageError
from facecraft.storage.blobs import BlobInfo, BlobNotFoundError, check_key, check_media_type
from facecraft.storage.config import StorageConfig
from facecraft.storage.failures import translated
from facecraft.storage.signing import LinkSigner

if TYPE_CHECKING:
    from obstore import Attributes
    from obstore.store import ObjectStore, S3Credential

_PART = 8 * 1024 * 1024  # S3 takes 5 MiB and more, and 10,000 parts at most: this is enough for 80 GB
_PARTS_AT_ONCE = 4
_PIECE = 1024 * 1024
_DELETED_AT_ONCE = 1000
_CONNECT = timedelta(seconds=5)
_LONGEST_REQUEST = timedelta(hours=1)  # a large download over a slow line; a silent one ends much sooner
_RETRIES = 3
_PARTIAL = re.compile(r".+#\d+")
"""Names of files that are still being written: obstore's own, which it never lists."""


class ObjectBlobStore:
    """A :class:`~facecraft.storage.BlobStore` over any obstore store.

    obstore works in threads of its own, which a fork does not copy: a process that forks must not have used any
    store before, or its children wait for ever.
    """

    def __init__(self, store: ObjectStore, *, folder: Path | None = None, signer: LinkSigner | None = None) -> None:
        self._store = store
        self._folder = folder
        self._signer = signer

    @classmethod
    def folder(cls, path: Path) -> ObjectBlobStore:
        """Keep blobs as files under ``path``, which is made for this user only when missing.

        Raises StorageAccessError.
        """
        from obstore.store import LocalStore  # noqa: PLC0415

        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StorageAccessError(f"The folder {path} cannot be made.", detail=str(error)) from error
        return cls(LocalStore(path, automatic_cleanup=True), folder=path)

    @classmethod
    def memory(cls) -> ObjectBlobStore:
        """Keep blobs in memory, for tests and for programs that store nothing."""
        from obstore.store import MemoryStore  # noqa: PLC0415

        return cls(MemoryStore())

    @classmethod
    def s3(cls, config: StorageConfig, *, patience: timedelta = timedelta(seconds=30)) -> ObjectBlobStore:
        """Keep blobs in the bucket of ``config``.

        Nothing is connected until it is used. A store that says nothing for ``patience`` is given up, and so are
        retries after that time. Raises ConfigurationError without a bucket and its keys.
        """
        from obstore.store import S3Store  # noqa: PLC0415

        bucket, access, secret = config.s3_bucket, config.s3_access_key, config.s3_secret_key
        if bucket is None or access is None or secret is None:
            raise ConfigurationError("A bucket needs its name and keys.", hint="Set the FACECRAFT_S3_* settings.")
        credential: S3Credential = {
            "access_key_id": access.get_secret_value(),
            "secret_access_key": secret.get_secret_value(),
            "token": None,
            "expires_at": None,
        }
        store = S3Store(
            bucket,
            # Everything that obstore would otherwise look for in the environment is said here.
            config={
                "endpoint": config.s3_address,
                "aws_endpoint_url_s3": config.s3_address,
                "region": config.s3_place,
                "virtual_hosted_style_request": config.s3_bucket_in_host,
                "skip_signature": False,
                "disable_bulk_delete": True,  # not every store has it
            },
            credential_provider=lambda: credential,
            client_options={
                "allow_http": config.s3_address.startswith("http://"),
                "connect_timeout": min(_CONNECT, patience),
                "read_timeout": patience,
                "timeout": _LONGEST_REQUEST,
            },
            retry_config={
                "max_retries": _RETRIES,
                "retry_timeout": patience,
                "backoff": {
                    "init_backoff": timedelta(milliseconds=100),
                    "max_backoff": timedelta(seconds=2),
                    "base": 2,
                },
            },
        )
        root = config.s3_address if config.s3_bucket_in_host else f"{config.s3_address}/{bucket}"
        signer = LinkSigner(root, config.s3_place, credential["access_key_id"], credential["secret_access_key"])
        return cls(store, signer=signer)

    def put(self, key: str, data: bytes, *, media_type: str | None = None) -> None:
        """See :meth:`BlobStore.put`."""
        import obstore  # noqa: PLC0415

        with self._translated(key):
            obstore.put(
                self._store, check_key(key), data,
                attributes=self._attributes(media_type), chunk_size=_PART, max_concurrency=_PARTS_AT_ONCE,
            )  # fmt: skip

    def put_file(self, key: str, file: BinaryIO, *, media_type: str | None = None) -> int:
        """See :meth:`BlobStore.put_file`. Holds four pieces of 8 MiB at most."""
        import obstore  # noqa: PLC0415

        first = file.read(_PART)
        if len(first) < _PART:
            self.put(key, first, media_type=media_type)
            return len(first)
        sizes: list[int] = []

        def pieces() -> Iterator[bytes]:
            for piece in chain((first,), iter(partial(file.read, _PART), b"")):
                sizes.append(len(piece))
                yield piece

        with self._translated(key):
            obstore.put(
                self._store, check_key(key), pieces(),
                attributes=self._attributes(media_type), chunk_size=_PART, max_concurrency=_PARTS_AT_ONCE,
            )  # fmt: skip
        return sum(sizes)

    def get(self, key: str) -> bytes:
        """See :meth:`BlobStore.get`."""
        import obstore  # noqa: PLC0415

        with self._translated(key):
            return bytes(obstore.get(self._store, check_key(key)).bytes())

    def stream(self, key: str) -> Iterator[bytes]:
        """See :meth:`BlobStore.stream`. The pieces have about one MiB; memory gives all in one."""
        import obstore  # noqa: PLC0415

        with self._translated(key):
            pieces = obstore.get(self._store, check_key(key)).stream(min_chunk_size=_PIECE)

        def read() -> Iterator[bytes]:
            with self._translated(key):
                for piece in pieces:
                    yield bytes(piece)

        return read()

    def presign(self, key: str, seconds: int, *, filename: str, media_type: str) -> str | None:
        """See :meth:`BlobStore.presign`. Raises ValueError for a time that is no second or more than a week."""
        if self._signer is None:
            return None
        return self._signer.link(key, seconds, filename=filename, media_type=media_type)

    def find(self, prefix: str) -> Iterator[BlobInfo]:
        """See :meth:`BlobStore.find`."""
        import obstore  # noqa: PLC0415

        with self._translated(prefix):
            for page in obstore.list(self._store, check_key(prefix) if prefix else None):
                for item in page:
                    yield BlobInfo(item["path"], item["size"], item["last_modified"])

    def delete(self, key: str) -> None:
        """See :meth:`BlobStore.delete`."""
        import obstore  # noqa: PLC0415

        try:
            with self._translated(key):
                obstore.delete(self._store, check_key(key))
        except BlobNotFoundError:
            return

    def delete_all(self, keys: Iterable[str]) -> None:
        """See :meth:`BlobStore.delete_all`."""
        import obstore  # noqa: PLC0415

        if self._signer is None:
            for key in keys:
                self.delete(key)
            return
        waiting = iter(keys)
        while part := [check_key(key) for key in islice(waiting, _DELETED_AT_ONCE)]:
            with self._translated(part[0]):
                obstore.delete(self._store, part)

    def tidy(self, before: datetime) -> int:
        """See :meth:`BlobStore.tidy`."""
        if self._folder is None:
            return 0
        removed = 0
        with self._translated(""):
            for path in self._folder.rglob("*#*"):
                if not _PARTIAL.fullmatch(path.name):
                    continue
                try:
                    if datetime.fromtimestamp(path.lstat().st_mtime, UTC) < before:
                        path.unlink()
                        removed += 1
                except FileNotFoundError:  # finished, or tidied by another process
                    continue
        return removed

    def check(self) -> None:
        """See :meth:`BlobStore.check`."""
        key, said = f"_check/{uuid.uuid4().hex}", b"facecraft"
        self.put(key, said)
        try:
            if self.get(key) != said:
                raise StorageError("The store does not return what was written.")
        except BlobNotFoundError as error:
            raise StorageError("The store does not keep what was written.", detail=error.detail) from error
        finally:
            self.delete(key)

    def _translated(self, key: str) -> AbstractContextManager[None]:
        return translated(key, remote=self._signer is not None)

    def _attributes(self, media_type: str | None) -> Attributes | None:
        if media_type is None:
            return None
        checked = check_media_type(media_type)
        return None if self._folder else {"Content-Type": checked}  # files have no place for it
