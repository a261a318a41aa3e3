"""Accounts over the database of a studio: what the HTTP API and the command line open."""

from __future__ import annotations

from facecraft.accounts.opening import LazyAccounts
from facecraft.settings import Settings
from facecraft.studio.studio import Studio


def accounts_for(settings: Settings, studio: Studio) -> LazyAccounts:
    """Return the accounts over the database of ``studio``, which is opened with their first use."""
    return LazyAccounts(
        settings,
        settings.jwt_secret_file,
        database=lambda: studio.database,
        erase=lambda owner: erase(studio, owner),
        exists=lambda: settings.database_file is None or settings.database_file.exists(),
        debug=settings.debug,
    )


def erase(studio: Studio, owner: str) -> None:
    """Delete everything that belongs to a user. Raises StorageError, JobStateError while a job goes on running."""
    from facecraft.jobs.erasure import erase_owner  # noqa: PLC0415 - needs the database packages

    erase_owner(studio.jobs, owner)
    while found := studio.galleries.browse(owner=owner).items:
        for gallery in found:
            studio.galleries.delete(gallery.id, owner=owner)
