"""The secret that signs access tokens: given by the operator, or made once and kept on disk."""

from __future__ import annotations

import logging
import os
import secrets
from pathlib import Path

from filelock import FileLock

from facecraft.accounts.config import SECRET_LENGTH
from facecraft.errors import ConfigurationError, StorageAccessError

_WAIT_SECONDS = 30.0
log = logging.getLogger("facecraft.accounts")


def kept_secret(path: Path) -> str:
    """Return the secret in the file ``path``, which is made when missing: whole, once, and for this user only (0600).

    Processes that start at the same time get the same one. Raises StorageAccessError, and ConfigurationError for a
    file that holds no secret.
    """
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(path.with_name(f"{path.name}.lock"), timeout=_WAIT_SECONDS, mode=0o600):
                if not path.exists():
                    _write(path, secrets.token_hex(SECRET_LENGTH))
        secret = path.read_text("ascii").strip()
        open_to_others = os.name == "posix" and path.stat().st_mode & 0o077
    except (OSError, UnicodeDecodeError) as error:
        raise StorageAccessError(f"The secret {path} cannot be read or made.", detail=str(error)) from error
    if len(secret) < SECRET_LENGTH:
        raise ConfigurationError(
            f"{path} holds no secret.", hint="Delete it: a new one is made, and all sign in again."
        )
    if open_to_others:
        log.warning("%s can be read by others: chmod 600 it", path)
    return secret


def _write(path: Path, secret: str) -> None:
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secret + "\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
