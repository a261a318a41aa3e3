"""Turns what obstore raises into Facecraft's errors, at the place where it is called."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from facecraft.errors import StorageAccessError, StorageError, StorageFullError
from facecraft.storage.blobs import BlobNotFoundError

_LONGEST_DETAIL = 600
_KEY_HINT = "Check FACECRAFT_S3_ACCESS_KEY, FACECRAFT_S3_SECRET_KEY and what this key may do in FACECRAFT_S3_BUCKET."
_BUCKET_HINT = "Make the bucket, or check FACECRAFT_S3_BUCKET and FACECRAFT_S3_ENDPOINT."
_REGION_HINT = "Check FACECRAFT_S3_REGION and FACECRAFT_S3_ENDPOINT."
_CLOCK_HINT = "Set the clock of this machine."
_REACH_HINT = "Check FACECRAFT_S3_ENDPOINT, and that the store runs and can be reached from here."

# What S3 servers write into their replies (https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html; a full
# store has other names at Ceph and MinIO), and what it means here. The first that fits counts.
_FULL = ("<Code>QuotaExceeded", "<Code>XMinioStorageFull", "<Code>InsufficientStorage", "status code: 507")
_DENIED = (
    (("<Code>NoSuchBucket",), "The bucket does not exist.", _BUCKET_HINT),
    (("<Code>RequestTimeTooSkewed",), "The store's clock and this machine's differ.", _CLOCK_HINT),
    (
        ("<Code>AuthorizationHeaderMalformed", "<Code>PermanentRedirect", "status code: 301"),
        "The bucket lies in another region.",
        _REGION_HINT,
    ),
    (
        ("<Code>InvalidAccessKeyId", "status code: 401", "status code: 403"),
        "The store refuses the access key.",
        _KEY_HINT,
    ),
)

# The same of this machine, as obstore writes it: it keeps no number of the error.
_NO_SPACE = ("No space left", "os error 28", "Disk quota exceeded", "os error 122")
_FORBIDDEN = ("Permission denied", "Operation not permitted", "Read-only file system", "Not a directory")


@contextmanager
def translated(key: str, *, remote: bool) -> Iterator[None]:
    """Translate errors of a store inside the block; ``remote`` is true for a bucket, false for this machine.

    Raises BlobNotFoundError, StorageFullError, StorageAccessError, StorageError.
    """
    import obstore.exceptions  # noqa: PLC0415 - loaded with the first use

    try:
        yield
    except (obstore.exceptions.BaseError, OSError) as error:
        raise (_of_bucket if remote else _of_machine)(error, key) from error


def _of_bucket(error: Exception, key: str) -> StorageError:
    text = str(error)
    detail = text[:_LONGEST_DETAIL]
    if any(sign in text for sign in _FULL):
        return StorageFullError(detail=detail)
    for signs, message, hint in _DENIED:
        if any(sign in text for sign in signs):
            return StorageAccessError(message, hint=hint, detail=detail)
    if isinstance(error, FileNotFoundError):
        return BlobNotFoundError(detail=key)
    return StorageError(hint=_REACH_HINT, detail=detail)


def _of_machine(error: Exception, key: str) -> StorageError:
    text = str(error)
    detail = text[:_LONGEST_DETAIL]
    if isinstance(error, FileNotFoundError):
        return BlobNotFoundError(detail=key)
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or any(sign in text for sign in _NO_SPACE):
        return StorageFullError(detail=detail)
    if isinstance(error, PermissionError) or any(sign in text for sign in _FORBIDDEN):
        return StorageAccessError(detail=detail)
    return StorageError(detail=detail)
