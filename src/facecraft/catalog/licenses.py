"""Which licences somebody accepted on this machine, and what the owner of the installation allows."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from facecraft.catalog.files import read_json, write_json
from facecraft.catalog.spec import ModelSpec
from facecraft.errors import LicenseNotAcceptedError


class LicensePolicy(StrEnum):
    """Which licences models may have on this machine."""

    ANY_ACCEPTED = "any-accepted"
    """Commercially usable models freely; others once somebody accepted their licence."""
    COMMERCIAL = "commercial"
    """Only models whose stated licence allows commercial use; acceptance does not help."""


class LicenseLedger:
    """The file ``licenses.json`` in the models folder: who accepted what, in words and dates.

    An acceptance holds for one model and one licence text: when the catalogue learns that the licence is another
    one, it must be accepted anew.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def accepted(self, spec: ModelSpec) -> bool:
        """Whether the present licence of ``spec`` was accepted."""
        entry = read_json(self._path).get(spec.id)
        return isinstance(entry, dict) and entry.get("license") == spec.license

    def accept(self, specs: tuple[ModelSpec, ...]) -> None:
        """Record the acceptance of the licences of ``specs``. The caller holds the folder's lock."""
        entries = read_json(self._path)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        for spec in specs:
            if not self.accepted(spec):
                entries[spec.id] = {"license": spec.license, "accepted": now, "url": spec.url}
        write_json(self._path, entries)

    def all(self) -> dict[str, str]:
        """Return the accepted licence text by model id."""
        return {
            model_id: str(entry.get("license", ""))
            for model_id, entry in read_json(self._path).items()
            if isinstance(entry, dict)
        }

    def require(self, spec: ModelSpec, policy: LicensePolicy) -> None:
        """Raise :class:`LicenseNotAcceptedError` unless ``policy`` and the ledger let ``spec`` be used."""
        if spec.commercial:
            return
        if policy is LicensePolicy.COMMERCIAL:
            raise LicenseNotAcceptedError(
                f"{spec.id} is not licensed for commercial use ({spec.license}) and the policy allows nothing else.",
                hint="Choose another model, or set FACECRAFT_LICENSE_POLICY=any-accepted.",
            )
        if not self.accepted(spec):
            raise LicenseNotAcceptedError(
                f"The licence of {spec.id} has not been accepted: {spec.license}.",
                hint=f"facecraft models install {spec.id} --accept-license",
            )
