"""Opens the galleries. Importing this loads no database package; opening does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from facecraft.errors import FacecraftError, RuntimeMissingError, StorageAccessError
from facecraft.imaging.image import Image
from facecraft.models.hub import ModelHub
from facecraft.storage import ObjectBlobStore

if TYPE_CHECKING:
    from facecraft.db.database import Database
    from facecraft.galleries.pictures import PictureGalleries

PictureT = TypeVar("PictureT")
_PACKAGES = ("sqlalchemy", "alembic")


def open_database(url: str) -> Database:
    """Prepare connections to ``url``; the caller closes them.

    Raises ConfigurationError, StorageError, and RuntimeMissingError where the database packages are not installed.
    """
    try:
        from facecraft.db.database import Database  # noqa: PLC0415 - loads SQLAlchemy and Alembic
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _PACKAGES:
            raise
        raise RuntimeMissingError(
            "The database packages are not installed.", hint="pip install 'facecraft[server]'", detail=str(error)
        ) from error
    return Database.open(url)


def open_galleries(
    url: str, crops_dir: Path, hub: ModelHub, read: Callable[[PictureT], Image], *, migrate: bool
) -> PictureGalleries[PictureT]:
    """Open the galleries of the database ``url`` with their crops in ``crops_dir``, which is made when missing.

    ``read`` decodes a picture as callers have it. With ``migrate`` the tables are brought to this version; without it
    they must be. Raises ConfigurationError, StorageError, RuntimeMissingError.
    """
    database = open_database(url)
    try:
        if migrate:
            database.migrate()
        else:
            database.check()
        from facecraft.galleries.pictures import PictureGalleries  # noqa: PLC0415 - needs the database packages

        return PictureGalleries(database, ObjectBlobStore.folder(_private(crops_dir)), hub=hub, read=read)
    except FacecraftError:
        database.close()
        raise


def _private(folder: Path) -> Path:
    """Make ``folder`` for this user only: faces are nobody else's business."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StorageAccessError(f"The folder {folder} cannot be made.", detail=str(error)) from error
    return folder
