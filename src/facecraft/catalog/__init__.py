"""What models exist and which are on this disk."""

from facecraft.catalog.catalog import Catalog
from facecraft.catalog.licenses import LicensePolicy
from facecraft.catalog.results import InstallResult, InstallStatus, ModelState, RemoveResult, VerifyResult
from facecraft.catalog.spec import ModelSpec, Runtime, Task
from facecraft.catalog.store import ModelStore

__all__ = [
    "Catalog",
    "InstallResult",
    "InstallStatus",
    "LicensePolicy",
    "ModelSpec",
    "ModelState",
    "ModelStore",
    "RemoveResult",
    "Runtime",
    "Task",
    "VerifyResult",
]
