"""Opens the store that the settings name."""

from __future__ import annotations

from pathlib import Path

from facecraft.storage.blobs import BlobStore
from facecraft.storage.config import StorageConfig
from facecraft.storage.objects import ObjectBlobStore


def open_store(config: StorageConfig, folder: Path) -> BlobStore:
    """Return the store of ``config``: its bucket where one is set, otherwise ``folder``, made when missing.

    Raises StorageAccessError for a folder that cannot be made. A bucket is not asked anything yet: ``check`` does.
    """
    return ObjectBlobStore.folder(folder) if config.s3_bucket is None else ObjectBlobStore.s3(config)
