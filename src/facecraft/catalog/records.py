"""The memory of checksums: a file is hashed once and again only when it changed."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from facecraft.catalog.files import read_json, sha256_of, write_json
from facecraft.errors import StorageAccessError


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a file was like when it was hashed."""

    size: int
    mtime_ns: int
    sha256: str


class VerifiedFiles:
    """Checksums of model files by size and time of change, kept in ``.verified.json`` in the models folder.

    Where the folder cannot be written (a read-only image), they are kept in memory and every process hashes once.
    Safe for several threads and several processes.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._path = root / ".verified.json"
        self._lock = threading.RLock()
        self._seen: dict[str, _Seen] = {}

    def sha256(self, path: Path, *, fresh: bool = False) -> str:
        """Return the SHA-256 of ``path``, from memory if the file is unchanged; ``fresh`` hashes it anyway.

        Raises:
            StorageAccessError: the file cannot be read.
        """
        with self._lock:
            try:
                status = path.stat()
                if not fresh and (known := self._known(path)) and _matches(known, status):
                    return known.sha256
                digest = sha256_of(path)
            except OSError as error:
                raise StorageAccessError(f"The model file {path.name} cannot be read.", detail=str(error)) from error
            self._remember(path, _Seen(status.st_size, status.st_mtime_ns, digest))
            return digest

    def record(self, path: Path, sha256: str) -> None:
        """Remember the checksum of a file that was hashed while it was written."""
        with self._lock:
            status = path.stat()
            self._remember(path, _Seen(status.st_size, status.st_mtime_ns, sha256))

    def forget(self, path: Path) -> None:
        """Forget a file that was removed."""
        with self._lock:
            self._seen.pop(self._key(path), None)
            self._save({self._key(path): None})

    def _known(self, path: Path) -> _Seen | None:
        key = self._key(path)
        if key not in self._seen:
            self._seen |= {name: seen for name, seen in self._load().items() if name not in self._seen}
        return self._seen.get(key)

    def _remember(self, path: Path, seen: _Seen) -> None:
        self._seen[self._key(path)] = seen
        self._save({self._key(path): seen})

    def _key(self, path: Path) -> str:
        # Files in the models folder are known by name, so that the folder may be moved or mounted elsewhere.
        return path.name if path.parent == self._root else str(path)

    def _load(self) -> dict[str, _Seen]:
        found: dict[str, _Seen] = {}
        for name, entry in read_json(self._path).items():
            if not isinstance(entry, dict):
                continue
            size, mtime, digest = entry.get("size"), entry.get("mtime_ns"), entry.get("sha256")
            if isinstance(size, int) and isinstance(mtime, int) and isinstance(digest, str):
                found[name] = _Seen(size, mtime, digest)
        return found

    def _save(self, changes: dict[str, _Seen | None]) -> None:
        if not os.access(self._root, os.W_OK):
            return
        with FileLock(self._root / ".verified.lock"):
            merged: dict[str, _Seen | None] = {**self._load(), **changes}
            document = {
                name: {"size": seen.size, "mtime_ns": seen.mtime_ns, "sha256": seen.sha256}
                for name, seen in merged.items()
                if seen is not None
            }
            write_json(self._path, document)


def _matches(known: _Seen, status: os.stat_result) -> bool:
    return known.size == status.st_size and known.mtime_ns == status.st_mtime_ns
