"""What is made of the replies of S3 servers and of the errors of this machine."""

from __future__ import annotations

import errno

import obstore.exceptions
import pytest

from facecraft.errors import StorageAccessError, StorageError, StorageFullError
from facecraft.storage import BlobNotFoundError
from facecraft.storage.failures import translated


def reply(status: str, code: str) -> obstore.exceptions.GenericError:
    text = f"Generic S3 error: Server returned non-2xx status code: {status}: <Error><Code>{code}</Code></Error>"
    return obstore.exceptions.GenericError(text + "x" * 5000)


@pytest.mark.parametrize(
    ("error", "kind", "hint"),
    [
        (reply("403 Forbidden", "SignatureDoesNotMatch"), StorageAccessError, "FACECRAFT_S3_SECRET_KEY"),
        (reply("403 Forbidden", "AccessDenied"), StorageAccessError, "FACECRAFT_S3_ACCESS_KEY"),
        (reply("403 Forbidden", "RequestTimeTooSkewed"), StorageAccessError, "clock"),
        (reply("403 Forbidden", "QuotaExceeded"), StorageFullError, "space"),
        (reply("507 Insufficient Storage", "XMinioStorageFull"), StorageFullError, "space"),
        (reply("400 Bad Request", "AuthorizationHeaderMalformed"), StorageAccessError, "FACECRAFT_S3_REGION"),
        (reply("301 Moved Permanently", "PermanentRedirect"), StorageAccessError, "FACECRAFT_S3_REGION"),
        (reply("404 Not Found", "NoSuchBucket"), StorageAccessError, "FACECRAFT_S3_BUCKET"),
        (reply("503 Slow Down", "SlowDown"), StorageError, "FACECRAFT_S3_ENDPOINT"),
        (FileNotFoundError("<Code>NoSuchBucket</Code>"), StorageAccessError, "FACECRAFT_S3_BUCKET"),
        (FileNotFoundError("<Code>NoSuchKey</Code>"), BlobNotFoundError, ""),
    ],
)
def test_replies_of_a_bucket(error: Exception, kind: type[StorageError], hint: str) -> None:
    with pytest.raises(StorageError) as caught, translated("a/b", remote=True):
        raise error
    assert type(caught.value) is kind
    assert hint in (caught.value.hint or "")
    assert len(caught.value.detail or "") < 1000


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(errno.ENOSPC, "full"), StorageFullError),
        (OSError(errno.EDQUOT, "quota"), StorageFullError),
        (obstore.exceptions.GenericError("… No space left on device (os error 28)"), StorageFullError),
        (obstore.exceptions.GenericError("… Read-only file system (os error 30)"), StorageAccessError),
        (PermissionError(errno.EACCES, "no"), StorageAccessError),
        (FileNotFoundError("gone"), BlobNotFoundError),
        (obstore.exceptions.GenericError("odd"), StorageError),
    ],
)
def test_errors_of_this_machine(error: Exception, kind: type[StorageError]) -> None:
    with pytest.raises(StorageError) as caught, translated("a/b", remote=False):
        raise error
    assert type(caught.value) is kind


def test_mistakes_of_ours_pass_as_they_are() -> None:
    with pytest.raises(ValueError, match="ours"), translated("a/b", remote=True):
        raise ValueError("ours")
