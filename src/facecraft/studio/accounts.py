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
        galleries=lambda: studio.galleries,
        exists=lambda: settings.database_file is None or settings.database_file.exists(),
    )
