"""Stores and the configuration."""

from __future__ import annotations

from facecraft.errors.error import FacecraftError, Kind


class StorageError(FacecraftError, code="storage_error", kind=Kind.UNAVAILABLE):
    """The store could not be reached."""


class StorageFullError(StorageError, code="storage_full", kind=Kind.STORAGE_FULL, hint="Free some space and retry."):
    """There is no space left."""


class StorageAccessError(StorageError, code="storage_denied", hint="Check that the folder exists and is writable."):
    """The folder or file cannot be read or written."""


class ConfigurationError(FacecraftError, code="configuration", kind=Kind.CONFIGURATION):
    """The configuration is not usable."""


class PartNotReadyError(FacecraftError, code="not_ready", kind=Kind.UNAVAILABLE):
    """A part that the service needs is not ready."""
