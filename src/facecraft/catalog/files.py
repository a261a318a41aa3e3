"""Files on the way into the models folder: room for them, their checksum, their place."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from facecraft.errors import StorageAccessError, StorageFullError
from facecraft.progress import CancelToken

CHUNK = 1 << 20
"""Bytes moved at once."""

# Left free beside the files themselves, so that filling the models folder does not stop the machine.
_RESERVE = 32 << 20


def sha256_of(path: Path, cancel: CancelToken | None = None) -> str:
    """Return the SHA-256 of a file in lower-case hex."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
            if cancel is not None:
                cancel.check()
    return digest.hexdigest()


def require_space(folder: Path, size: int) -> None:
    """Raise :class:`StorageFullError` unless ``size`` bytes and a reserve fit beside ``folder``."""
    free = shutil.disk_usage(folder).free
    if free < size + _RESERVE:
        raise StorageFullError(
            f"There is no space for {in_megabytes(size)} in {folder}: {in_megabytes(free)} are free.",
            hint="Free some space, or set FACECRAFT_MODELS_DIR to a folder on another disk.",
        )


def place(part: Path, target: Path) -> None:
    """Make the finished ``part`` appear as ``target`` at once: whole and on disk, or not at all."""
    with part.open("rb+") as stream:
        os.fsync(stream.fileno())
    part.replace(target)
    _sync_folder(target.parent)


def write_json(path: Path, document: object) -> None:
    """Replace ``path`` by ``document`` as JSON, at once."""
    part = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        part.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", "utf-8")
        place(part, path)
    finally:
        part.unlink(missing_ok=True)


def read_json(path: Path) -> dict[str, object]:
    """Return the JSON object in ``path``; an empty one when the file is absent or damaged."""
    try:
        document = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


@contextmanager
def storage_errors(folder: Path) -> Iterator[None]:
    """Turn what the operating system says about ``folder`` into errors of the storage."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StorageFullError(f"There is no space left in {folder}.", detail=str(error)) from error
        raise StorageAccessError(f"The models folder {folder} cannot be used.", detail=str(error)) from error


def in_megabytes(size: int) -> str:
    """Return a size as a person reads it."""
    return f"{size / 1e6:.1f} MB"


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
