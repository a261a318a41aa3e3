"""What the store answers: the state of a model, and what an install, a check or a removal did."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class ModelState(StrEnum):
    """What the disk holds of a model."""

    ABSENT = "absent"
    INSTALLED = "installed"
    """The file is there and has the checksum of the catalogue; or the model is built into its runtime."""
    CORRUPT = "corrupt"
    """A file is there and has another size or checksum: it is never loaded."""
    UNVERIFIED = "unverified"
    """A file is there and nobody has published a checksum for it: it is never loaded."""


class InstallStatus(StrEnum):
    """What an install did for one model."""

    INSTALLED = "installed"
    ALREADY = "already installed"


@dataclass(frozen=True, slots=True)
class InstallResult:
    """What became of one model: ``source`` and ``seconds`` (of the download it came with) where it was fetched."""

    model_id: str
    status: InstallStatus
    path: Path | None
    source: str | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """What a full check of one file found."""

    model_id: str
    state: ModelState
    path: Path | None = None
    sha256: str | None = None

    @property
    def ok(self) -> bool:
        """Whether the model can be trusted."""
        return self.state is ModelState.INSTALLED


@dataclass(frozen=True, slots=True)
class RemoveResult:
    """Whether a file was there to remove, and the bytes that became free."""

    model_id: str
    removed: bool
    freed: int = 0
