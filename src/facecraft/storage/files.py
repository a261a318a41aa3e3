"""Files of the caller's own choosing, written whole."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from facecraft.errors import StorageAccessError, StorageFullError


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
