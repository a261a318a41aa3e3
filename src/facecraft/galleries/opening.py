"""Opens the galleries. Importing this loads no database package; opening does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from facecraft.errors import StorageAccessError
from facecraft.imaging.image import Image
from facecraft.models.hub import ModelHub
from facecraft.storage import ObjectBlobStore

if TYPE_CHECKING:
    from facecraft.db.database import Database
    from facecraft.galleries.pictures import PictureGalleries

PictureT = TypeVar("PictureT")


def open_galleries(
    database: Database, crops_dir: Path, hub: ModelHub, read: Callable[[PictureT], Image]
) -> PictureGalleries[PictureT]:
    """Open the galleries of ``database`` with their crops in ``crops_dir``, which is made when missing.

    ``read`` decodes a picture as callers have it. Raises StorageError.
    """
    from facecraft.galleries.pictures import PictureGalleries  # noqa: PLC0415 - needs the database packages

    return PictureGalleries(database, ObjectBlobStore.folder(_private(crops_dir)), hub=hub, read=read)


def _private(folder: Path) -> Path:
    """Make ``folder`` for this user only: faces are nobody else's business."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StorageAccessError(f"The folder {folder} cannot be made.", detail=str(error)) from error
    return folder
